"""Asterisk over ARI: a robot call from the owner's own telephone exchange, with the most control there is.

Sources: asterisk/asterisk rest-api/api-docs (channels, playbacks, applications, events) and the ari-client package, as read
in our fact sheet of 2026-11-22, sections 8.1 and 8.3. ARI is a stable public interface; marked "general knowledge" there:
409 for an id that is in use, Q.931 causes.

`POST /ari/channels/{channelId}` calls the person, under an id of ours: the same request twice is one call while it lasts.
All else is told over one WebSocket, held by the listener (deliveries.services.listening): StasisStart when the person
picks up, then we play, wait for a key, hang up. What to play travels with the call itself, in appArgs, so the listener
needs to know nothing beforehand.

Listened to is our decision (section 8.1): played to its end or at least `share` of it, and at least `min_seconds` of
conversation; or a pressed key. An answering machine picks up too, hence the keys.

Unverified, and how we live with it:
* how a playback that the person cut short is told: PlaybackFinished may come before or after the hangup. What finishes
  after a hangup was asked for counts as not heard to its end.
* `sound:` with an http address (a speech server of the owner's, for texts of one's own): the modules it needs differ by
  version. Any media address may be entered; {text} in it is the message's text.
* which Q.931 cause a provider's trunk gives for a phone that is off: 18, 19, 20, 27 and 31 are all "no answer".
* detection of answering machines (AMD) belongs into the exchange's dialplan and is not driven from here.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import quote

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    CallbackItem,
    CallbackRequest,
    Capabilities,
    Ear,
    How,
    HttpCall,
    Inbound,
    OutgoingMessage,
    Provider,
    Reaction,
    Refusal,
    SendResult,
    SentMessage,
    StatusReport,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class AsteriskConfig:
    username: str = option(N_("ARI user"), N_("From ari.conf."))
    password: str = secret(N_("ARI password"), N_("From ari.conf."))
    media: str = option(
        N_("What to play"),
        N_(
            "sound:salon/reminder, recording:reminder, or the address of your speech server with {text} in it, for example "
            "sound:http://127.0.0.1:5002/say?text={text}."
        ),
    )
    endpoint: str = option(
        N_("Where to dial"),
        N_("{number} stands for the phone without plus, for example PJSIP/{number}@trunk."),
        default="PJSIP/{number}@trunk",
    )
    caller_id: str = option(N_("Number to show"), N_("Empty: as the trunk is set."), default="")
    ring_seconds: int = option(
        N_("Let the phone ring, seconds"), N_("Longer than 25 usually reaches an answering machine."), default=25
    )
    min_seconds: int = option(
        N_("Heard when listened to, seconds"),
        N_("A shorter conversation without a pressed key counts as no answer: an answering machine also picks up."),
        default=5,
    )
    share: int = option(
        N_("Heard when so much was played, per cent"),
        N_("Counts for who hangs up before the end; needs the length of the recording below."),
        default=80,
        rare=True,
    )
    audio_seconds: int = option(
        N_("Length of the recording, seconds"),
        N_("0: not known, then only who heard it to the end has listened."),
        default=0,
        rare=True,
    )
    key_seconds: int = option(
        N_("Wait for a key after the text, seconds"), N_("0: hang up at once."), default=6, rare=True
    )
    confirm_key: str = option(
        N_("Key that confirms"), N_("Pressing it is the target action of the call."), default="1", rare=True
    )
    refuse_key: str = option(
        N_("Key that refuses further calls"),
        N_("Pressing it works like the word STOP. Empty: there is none."),
        default="",
        rare=True,
    )
    thanks: str = option(
        N_("What to play after a key"), N_("Like “What to play”. Empty: hang up at once."), default="", rare=True
    )
    longest_seconds: int = option(
        N_("Hang up at the latest after, seconds"),
        N_("Whatever happens: a forgotten line costs money."),
        default=180,
        rare=True,
    )
    app: str = option(
        N_("Name of the application"), N_("One for each installation on one Asterisk."), default="cascade", rare=True
    )


_NO_ADDRESS: Final = N_(
    "Enter the address of your Asterisk as the address of the API, for example http://10.0.0.5:8088."
)
_NO_NUMBER_PLACE: Final = N_("Where to dial needs {number} in it.")
_SAME_KEYS: Final = N_("The key that confirms and the key that refuses must differ.")

CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.LISTEN,
        Milestone.DELIVERED: How.LISTEN,
        Milestone.REPLIED: How.LISTEN,
        Milestone.GOAL: How.LISTEN,
    },
    lookup_by_ref=True,
    poll_batch=1,
    recall=True,
    max_text=1000,
    default_rate=1.0,
    charged_on=ChargedOn.DELIVERED,
    listens=True,
)

_NO_ANSWER: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.NO_ANSWER)
_NO_NUMBER: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED)
#: Q.931 cause of a call nobody took -> what it means. Not listed: no answer.
CAUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    1: _NO_NUMBER,  # unallocated
    17: _NO_ANSWER,  # busy
    18: _NO_ANSWER,
    19: _NO_ANSWER,
    20: _NO_ANSWER,  # subscriber absent
    21: _NO_ANSWER,  # rejected
    27: _NO_ANSWER,
    28: _NO_NUMBER,  # invalid number format
    31: _NO_ANSWER,
    34: (FailureClass.TRANSIENT, None),  # no circuit
    38: (FailureClass.TRANSIENT, None),
    41: (FailureClass.TRANSIENT, None),
    42: (FailureClass.TRANSIENT, None),  # congestion
}
#: state of a channel -> milestone.
STATES: Final = {"Ring": Milestone.SENT, "Ringing": Milestone.SENT, "Up": Milestone.SENT, "Down": Milestone.ACCEPTED}

PREFIX: Final = "cascade-"
#: Ends remembered, so that a straggler does not open a call again.
_REMEMBERED: Final = 10_000
#: Who hangs up in the last seconds has heard it.
_LAST_SECONDS: Final = 2


class AsteriskAri(Provider):
    slug: ClassVar[str] = "asterisk_ari"
    kind: ClassVar[ChannelKind] = ChannelKind.VOICE
    title: ClassVar[str] = N_("Asterisk (robot call from your own exchange)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = AsteriskConfig

    config: AsteriskConfig

    def __init__(self, config: AsteriskConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        login = base64.b64encode(f"{config.username}:{config.password}".encode()).decode()
        self._secrets = tuple(filter(None, (config.password, login, callback_secret)))
        self._headers = {"Authorization": f"Basic {login}"}

    def problem(self) -> str:
        if not self.base:
            return _NO_ADDRESS
        if "{number}" not in self.config.endpoint:
            return _NO_NUMBER_PLACE
        if self.config.refuse_key and self.config.refuse_key == self.config.confirm_key:
            return _SAME_KEYS
        return ""

    def call(self, method: str, path: str, *, refs: tuple[str, ...] = (), json: Any = None, **query: str) -> HttpCall:
        """A request to ARI."""
        return HttpCall(method, f"{self.base}/ari/{path}", headers=self._headers, query=query, json=json, refs=refs)

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._originate(message) for message in messages]

    def _originate(self, message: OutgoingMessage) -> HttpCall:
        number = "".join(sign for sign in message.address if sign.isascii() and sign.isdigit())
        media = self.config.media.replace("{text}", quote(message.text.encode("utf-8", "replace"), safe=""))
        wanted: dict[str, Any] = {
            "endpoint": self.config.endpoint.replace("{number}", number),
            "app": self.config.app,
            # Commas part arguments, so what may hold one is wrapped.
            "appArgs": f"{message.ref},{base64.urlsafe_b64encode(media.encode()).decode()},{number}",
            "timeout": self.config.ring_seconds,
        }
        if self.config.caller_id:
            wanted["callerId"] = self.config.caller_id
        return self.call("POST", f"channels/{PREFIX}{message.ref}", json=wanted, refs=(message.ref,))

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = (wire.json_object(answer.body) if not answer.truncated else None) or {}
        if answer.status == 409:  # this very call is going on already
            return [Accepted(ref, f"{PREFIX}{ref}") for ref in call.refs]
        if answer.status in {200, 201} and [wire.ident(body.get("id"))] == [f"{PREFIX}{ref}" for ref in call.refs]:
            return [Accepted(ref, f"{PREFIX}{ref}") for ref in call.refs]
        if answer.status == 400:
            detail = wire.words(answer.body, self._secrets)
            return wire.failures(call, FailureClass.MESSAGE_PERMANENT, detail, reason=Reason.MESSAGE_REFUSED)
        return wire.by_status_results(call, answer, self._secrets)

    # --- what becomes of it

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [self.call("GET", f"channels/{PREFIX}{message.ref}", refs=(message.ref,)) for message in messages]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        body = (wire.json_object(answer.body) or {}) if wire.is_whole(answer) else {}
        state = wire.scrub(wire.ident(body.get("state")), self._secrets)
        if not call.refs or wire.ident(body.get("id")) != f"{PREFIX}{call.refs[0]}" or state not in STATES:
            return []  # over, or none of ours: what became of it was told to the listener
        return [StatusReport(f"{call.refs[0]}:{state}", state, ref=call.refs[0], milestone=STATES[state])]

    def build_listen(self) -> HttpCall | None:
        return self.call("GET", "events", app=self.config.app)

    def open_ear(self) -> Ear:
        return AsteriskEar(self)

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """A report of our own listener; the public door is shut for this channel."""
        told = wire.json_object(request.body) or {}
        ref, word, at = wire.ident(told.get("ref")), wire.ident(told.get("word")), wire.moment(told.get("at"))
        if not wire.OUR_REF.fullmatch(ref):
            raise ValueError("not a report of the listener")
        if word == "ringing":
            return [StatusReport(f"{ref}:ringing", word, ref=ref, milestone=Milestone.SENT, at=at)]
        if word == "lost":
            detail = "the call ended while nobody listened"
            unknown = FailureClass.OUTCOME_UNKNOWN
            return [StatusReport(f"{ref}:lost", word, ref=ref, failure=unknown, detail=detail, at=at)]
        if word != "ended":
            raise ValueError("a report of no kind we know")
        return self._ended(ref, told, at)

    def _ended(self, ref: str, told: dict[str, Any], at: datetime | None) -> list[CallbackItem]:
        key, cause = wire.ident(told.get("key"))[:1], wire.number(told.get("cause")) or 0
        seconds, picked_up = wire.number(told.get("seconds")) or 0, told.get("answered") is True
        milestone: Milestone | None = None
        failure: FailureClass | None = None
        reason: Reason | None = None
        if key:
            milestone = Milestone.GOAL if key == self.config.confirm_key else Milestone.DELIVERED
        elif not picked_up:
            failure, reason = CAUSES.get(cause, _NO_ANSWER)
        elif self._listened(seconds, told.get("heard") is True):
            milestone = Milestone.DELIVERED
        else:
            failure, reason = _NO_ANSWER
        words = wire.scrub(wire.scalar(told.get("cause_txt")), self._secrets)
        detail = wire.scrub(f"cause {cause} {words}, {seconds} s" + (f", key {key}" if key else ""), self._secrets)
        items: list[CallbackItem] = [
            StatusReport(f"{ref}:ended", f"cause {cause}", ref, "", "", milestone, failure, reason, detail, at)
        ]
        phone = "".join(sign for sign in wire.ident(told.get("phone")) if sign.isascii() and sign.isdigit())
        if key and key != self.config.confirm_key and phone:
            # Another key is an answer in its own words, as a written one would be.
            refuses = Refusal.MARKETING if key == self.config.refuse_key else Refusal.NOTHING
            known = f"{PREFIX}{ref}"
            items.append(Inbound(f"{ref}:key", f"+{phone}", key, in_reply_to=known, refuses=refuses, at=at))
        return items

    def _listened(self, seconds: int, to_the_end: bool) -> bool:
        if seconds < self.config.min_seconds:
            return False
        length = self.config.audio_seconds
        return to_the_end or (length > 0 and seconds >= min(length * self.config.share / 100, length - _LAST_SECONDS))

    # --- taking back, and the account

    def build_recall(self, message: SentMessage) -> Call | None:
        return self.call("DELETE", f"channels/{PREFIX}{message.ref}", refs=(message.ref,), reason="normal")

    def read_recall(self, call: Call, answer: Answer) -> bool:
        return answer.no_answer is None and answer.status == 204

    def build_self_test(self) -> list[Call]:
        return [self.call("GET", "asterisk/info"), self.call("GET", f"applications/{self.config.app}")]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        of_app = isinstance(call, HttpCall) and "/ari/applications/" in call.url
        if of_app and answer.status == 404:
            return AccountReport(
                ok=False,
                message=N_(
                    "Asterisk answers, but nobody listens to it: robot calls would ring and say nothing. Start the process "
                    "“listener” (docs/operations.md), or wait until it has connected, and check again."
                ),
                failure=FailureClass.TRANSIENT,
            )
        if answer.status != 200 or wire.json_object(answer.body) is None:
            return wire.trouble_report(answer, wire.by_http_status(answer), self._secrets)
        return AccountReport(ok=True, message=N_("Asterisk answers, and our listener is connected to it."))


# ---------------------------------------------------------------- following calls while they happen


@dataclass(slots=True)
class _Line:
    """One call of ours, from its ringing to its end."""

    rung: bool = False
    phone: str = ""
    up_at: datetime | None = None
    heard: bool = False  #: played to the end before anybody hung up
    hanging_up: bool = False  #: the person has, or we have asked for it
    thanking: bool = False
    key: str = ""
    playback: str = ""
    hang_up_at: datetime | None = None


@dataclass(slots=True)
class AsteriskEar(Ear):
    """What is known about the calls of one account that are going on."""

    provider: AsteriskAri
    lines: dict[str, _Line] = field(default_factory=dict)
    #: Ended while we listened, since the last connection; the newest ones, as a connection may stand for months.
    ended: dict[str, None] = field(default_factory=dict)

    def connected(self, open_refs: Sequence[str], now: datetime) -> Reaction:
        self.ended.clear()
        for ref in open_refs:
            self.lines.setdefault(ref, _Line())
        return Reaction(calls=(self.provider.call("GET", "channels"),))

    def answered(self, call: Call, answer: Answer, now: datetime) -> Reaction:
        if not isinstance(call, HttpCall) or not call.url.endswith("/ari/channels"):
            return self._not_played(call, answer, now)
        channels = wire.parse_json(answer.body) if wire.is_whole(answer) else None
        if not isinstance(channels, list):
            return Reaction()
        there: dict[str, str] = {}
        for one in channels:
            ref = _ref_of(one)
            if ref:
                there[ref] = wire.scalar(one.get("state"))
        # Who is not there has ended while nobody listened: nobody knows how, and we say so.
        gone = [ref for ref in self.lines if ref not in there and ref not in self.ended]
        for ref in gone:
            del self.lines[ref]
        for ref, state in there.items():
            line = self.lines.setdefault(ref, _Line())
            if state == "Up" and line.up_at is None:
                # Picked up while nobody listened: nothing plays, so it is not kept waiting in silence.
                line.up_at = line.hang_up_at = now
        return Reaction(reports=tuple(_report(ref, "lost", now) for ref in gone))

    def _not_played(self, call: Call, answer: Answer, now: datetime) -> Reaction:
        """A refused playback: nobody is left listening to silence."""
        if isinstance(call, HttpCall) and call.url.endswith("/play") and answer.status not in {200, 201}:
            line = self.lines.get(call.url.removesuffix("/play").rpartition("/")[2].removeprefix(PREFIX))
            if line is not None:
                line.hang_up_at = now
        return Reaction()

    def wake(self, now: datetime) -> Reaction:
        due = [ref for ref, line in self.lines.items() if line.hang_up_at is not None and line.hang_up_at <= now]
        for ref in due:
            self.lines[ref].hang_up_at = None
            self.lines[ref].hanging_up = True
        return Reaction(calls=tuple(self._hang_up(ref) for ref in due))

    def _hang_up(self, ref: str) -> Call:
        return self.provider.call("DELETE", f"channels/{PREFIX}{ref}", reason="normal")

    def hear(self, text: str, now: datetime) -> Reaction:
        event = wire.json_object(text.encode("utf-8", "replace")) or {}
        kind = wire.scalar(event.get("type"))
        if kind.startswith("Playback"):
            return self._playback(kind, wire.get_dict(event, "playback"), now)
        ref = _ref_of(event.get("channel"))
        if not ref or ref in self.ended:
            return Reaction()
        line = self.lines.setdefault(ref, _Line())
        if kind == "StasisStart":
            return self._picked_up(ref, line, event.get("args"), now)
        if kind == "ChannelStateChange":
            rings = wire.scalar(wire.get_dict(event, "channel").get("state")) in {"Ring", "Ringing"}
            first, line.rung = rings and not line.rung, line.rung or rings
            return Reaction(reports=(_report(ref, "ringing", now),)) if first else Reaction()
        if kind == "ChannelDtmfReceived":
            return self._pressed(ref, line, wire.scalar(event.get("digit"))[:1], now)
        if kind == "ChannelHangupRequest":
            line.hanging_up = True
        elif kind == "ChannelDestroyed":
            return self._over(ref, line, event, now)
        return Reaction()

    def _picked_up(self, ref: str, line: _Line, args: Any, now: datetime) -> Reaction:
        if line.up_at is not None:
            return Reaction()
        line.up_at, line.hang_up_at = now, now + timedelta(seconds=self.provider.config.longest_seconds)
        parts = [wire.scalar(one) for one in args] if isinstance(args, list) else []
        media = _unwrap(parts[1]) if len(parts) > 1 else ""
        line.phone = parts[2] if len(parts) > 2 else ""
        if not media:
            line.hang_up_at = now
            return Reaction()
        return Reaction(calls=(self._play(ref, media),))

    def _play(self, ref: str, media: str) -> Call:
        return self.provider.call("POST", f"channels/{PREFIX}{ref}/play", json={"media": media})

    def _playback(self, kind: str, playback: dict[str, Any], now: datetime) -> Reaction:
        target = wire.scalar(playback.get("target_uri"))
        ref = target.removeprefix(f"channel:{PREFIX}")
        line = self.lines.get(ref) if target.startswith(f"channel:{PREFIX}") else None
        if line is None:
            return Reaction()
        config = self.provider.config
        if kind == "PlaybackStarted":
            line.playback = wire.ident(playback.get("id"))
        elif kind == "PlaybackFinished":
            stopped = line.key and not line.thanking
            line.playback = ""
            if stopped and config.thanks:
                line.thanking = True
                return Reaction(calls=(self._play(ref, config.thanks),))
            if not line.hanging_up and not line.key:
                line.heard = wire.scalar(playback.get("state")) != "failed"
            wait = config.key_seconds if line.heard and not line.key else 0
            line.hang_up_at = now + timedelta(seconds=wait)
        return Reaction()

    def _pressed(self, ref: str, line: _Line, key: str, now: datetime) -> Reaction:
        """The first key counts; what was being said is over."""
        if line.key or not key:
            return Reaction()
        line.key = key
        if line.playback:
            # Its end will be told, and then the thanks are played.
            line.hang_up_at = now + timedelta(seconds=self.provider.config.longest_seconds)
            return Reaction(calls=(self.provider.call("DELETE", f"playbacks/{line.playback}"),))
        if self.provider.config.thanks:
            line.thanking = True
            return Reaction(calls=(self._play(ref, self.provider.config.thanks),))
        line.hang_up_at = now
        return Reaction()

    def _over(self, ref: str, line: _Line, event: dict[str, Any], now: datetime) -> Reaction:
        del self.lines[ref]
        self.ended[ref] = None
        if len(self.ended) > _REMEMBERED:
            del self.ended[next(iter(self.ended))]
        seconds = int((now - line.up_at).total_seconds()) if line.up_at is not None else 0
        told = {
            "answered": line.up_at is not None,
            "seconds": seconds,
            "heard": line.heard,
            "key": line.key,
            "phone": line.phone,
            "cause": wire.number(event.get("cause")) or 0,
            "cause_txt": wire.scalar(event.get("cause_txt"))[:100],
        }
        return Reaction(reports=(_report(ref, "ended", now, **told),))


def _ref_of(channel: Any) -> str:
    """Our reference in a channel of ours; "" for anybody else's."""
    ident = wire.ident(channel.get("id")) if isinstance(channel, dict) else ""
    ref = ident.removeprefix(PREFIX)
    return ref if ident.startswith(PREFIX) and wire.OUR_REF.fullmatch(ref) else ""


def _unwrap(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text.encode("ascii", "replace")).decode()
    except (ValueError, binascii.Error):
        return ""


def _report(ref: str, word: str, now: datetime, **told: Any) -> CallbackRequest:
    body = {"ref": ref, "word": word, "at": int(now.timestamp()), **told}
    return CallbackRequest("POST", {}, {}, json.dumps(body, sort_keys=True).encode())
