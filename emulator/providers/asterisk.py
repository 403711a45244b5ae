"""Asterisk's ARI as the fact sheet of 2026-11-22 tells it (section 8.3) and its own api-docs: channels, playbacks,
applications, events over one WebSocket. Mounted at /asterisk. An account's name is its user.

A person's story (emulator.behaviours) is told as events of the channel: sent rings; delivered picks up and listens to the
end; short picks up and hangs up while it plays; key presses 1 when it plays. A recording lasts PLAYS seconds. An event
with nobody connected is lost, as on the original.
"""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.websocket import WebSocket
from emulator.world import Message, Sending, Wanted, World

PLAYS = 0.3
CAUSES = {"busy": (17, "User busy"), "no_answer": (19, "No answer"), "failed": (20, "Subscriber absent")}
CAUSES |= {"expired": (27, "Out of order"), "not_registered": (1, "Unallocated number")}
ANSWERS = {"delivered", "read", "short", "key"}


@dataclass(slots=True)
class Call:
    """A channel that exists."""

    id: str
    app: str
    args: list[str]
    state: str = "Down"
    #: What the person will do once it plays.
    does: str = ""
    playback: str = ""


class Asterisk(HttpProvider):
    name = "asterisk"
    _playbacks = itertools.count(1)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.calls: dict[str, Call] = {}
        self.sockets: dict[str, WebSocket] = {}

    def reset(self) -> None:
        self.calls.clear()
        for socket in list(self.sockets.values()):
            socket.close()
        self.sockets.clear()

    def handle(self, request: Request, path: str) -> None:
        login = base64.b64decode(request.header("Authorization").removeprefix("Basic ") or "").decode()
        account = self.world.account(self.name, login.partition(":")[0])
        if not login or account.state == "unauthorized":
            self.world.other(self.name, "unauthorized", request)
            request.reply_json({"message": "Authentication required"}, 401)
            return
        kind, _, rest = path.removeprefix("/ari/").partition("/")
        if kind == "events" and request.header("Upgrade").lower() == "websocket":
            self._connect(request, request.fields().get("app", ""))
        elif kind == "channels" and request.method == "POST" and "/" not in rest:
            self._originate(request, account, rest)
        else:
            self.world.other(self.name, f"{request.method} {path}", request)
            self._other(request, kind, rest)

    def _other(self, request: Request, kind: str, rest: str) -> None:
        ident, _, verb = rest.partition("/")
        call = self.calls.get(ident)
        if kind == "channels" and not rest:
            request.reply_json([self._channel(one) for one in self.calls.values()])
        elif kind == "asterisk":
            request.reply_json({"system": {"version": "20.9.0"}})
        elif kind == "applications":
            request.reply_json({"name": rest}, 200) if rest in self.sockets else _missing(request)
        elif kind == "playbacks" and request.method == "DELETE":
            playing = next((one for one in self.calls.values() if one.playback == ident), None)
            if playing is None:
                _missing(request)
                return
            request.reply(204, b"")
            self._played(playing, ident)
        elif call is None:
            _missing(request)
        elif verb == "play":
            self._play(request, call, str(request.json().get("media", "")))
        elif request.method == "DELETE":
            request.reply(204, b"")
            self._end(call, 16, "Normal Clearing")
        else:
            request.reply_json(self._channel(call))

    # --- the connection

    def _connect(self, request: Request, app: str) -> None:
        before = self.sockets.get(app)
        self.world.other(self.name, "listening", request, app=app)
        if before is not None:
            before.tell({"type": "ApplicationReplaced", "application": app})
            before.close()
        self.sockets[app] = WebSocket(request, lambda socket: self._gone(app, socket))

    def _gone(self, app: str, socket: WebSocket) -> None:
        if self.sockets.get(app) is socket:
            del self.sockets[app]

    def _tell(self, call: Call, kind: str, **more: Any) -> None:
        socket = self.sockets.get(call.app)
        if socket is not None:
            socket.tell({"type": kind, "application": call.app, "channel": self._channel(call), **more})

    def _channel(self, call: Call) -> dict[str, Any]:
        return {"id": call.id, "name": f"PJSIP/trunk-{call.id[-6:]}", "state": call.state}

    # --- calls

    def _originate(self, request: Request, account: Any, ident: str) -> None:
        asked = request.json()
        number = str(asked.get("endpoint", "")).removeprefix("PJSIP/").partition("@")[0]
        args = str(asked.get("appArgs", "")).split(",")
        if ident in self.calls:
            self.world.other(self.name, "id in use", request)
            request.reply_json({"message": "A channel with this id exists"}, 409)
            return
        if not number.isdigit() or not asked.get("app"):
            request.reply_json({"message": "Invalid parameters"}, 400)
            return
        said = base64.urlsafe_b64decode(args[1]).decode() if len(args) > 1 else ""
        self.calls[ident] = Call(ident, str(asked["app"]), args)
        self.world.take(request, self, account, [Wanted(number, said, args[0])], id=ident)
        taken = self.world.last_message.get((self.name, number))
        if taken is None or taken.ref != args[0]:
            self.calls.pop(ident, None)

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"id": sending.extra["id"], "state": "Down", "name": "PJSIP/trunk-1"})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        if answer == "unauthorized":
            return as_json({"message": "Authentication required"}, 401)
        return as_json({"message": "Invalid parameters"}, 400)

    def receipt(self, message: Message, status: str) -> Hook | None:
        """Nothing is posted: what happens is told over the connection."""
        call = self.calls.get(f"cascade-{message.ref}")
        if call is None:
            return None
        if status == "sent":
            call.state = "Ringing"
            self._tell(call, "ChannelStateChange")
        elif status in ANSWERS:
            if call.state != "Up":
                call.state, call.does = "Up", status
                self._tell(call, "ChannelStateChange")
                self._tell(call, "StasisStart", args=call.args)
        else:
            self._end(call, *CAUSES.get(status, (16, "Normal Clearing")))
        return None

    def _play(self, request: Request, call: Call, media: str) -> None:
        if not media.startswith(("sound:", "recording:")):
            request.reply_json({"message": "Unknown media"}, 400)
            return
        call.playback = f"playback-{next(self._playbacks)}"
        playback = {"id": call.playback, "media_uri": media, "target_uri": f"channel:{call.id}", "state": "playing"}
        request.reply_json({**playback, "state": "queued"}, 201)
        self._tell(call, "PlaybackStarted", playback=playback)
        does, call.does = call.does, ""
        if does == "short":
            self.world.after(PLAYS / 3, self._hangs_up, call)
        elif does == "key":
            self.world.after(PLAYS / 3, self._presses, call)
        self.world.after(PLAYS, self._played, call, call.playback)

    def _presses(self, call: Call) -> None:
        if call.id in self.calls:
            self._tell(call, "ChannelDtmfReceived", digit="1", duration_ms=120)

    def _hangs_up(self, call: Call) -> None:
        if call.id in self.calls:
            self._tell(call, "ChannelHangupRequest", cause=16)
            self._end(call, 16, "Normal Clearing")

    def _played(self, call: Call, ident: str) -> None:
        if call.playback == ident and call.id in self.calls:
            call.playback = ""
            done = {"id": ident, "target_uri": f"channel:{call.id}", "state": "done"}
            self._tell(call, "PlaybackFinished", playback=done)

    def _end(self, call: Call, cause: int, words: str) -> None:
        if self.calls.pop(call.id, None) is not None:
            self._tell(call, "StasisEnd")
            self._tell(call, "ChannelDestroyed", cause=cause, cause_txt=words)


def _missing(request: Request) -> None:
    request.reply_json({"message": "Not found"}, 404)
