"""VK community messages as the fact sheet of 2026-11-22 (section 7) and the API's schema 5.199 tell it, mounted at /vk.

Always HTTP 200. A random_id that was seen is answered with the first message's id and sends nothing. Nothing is told
of delivery; reading is told by `message_read` and by `out_read` of a conversation. Events of an account that has no
callback address wait for Bots Long Poll (/lp).
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.world import Account, Message, Sending, Wanted, plain

GROUP = 7
KEY = "long-poll-key"
#: answer -> (code, words). A balance is nothing VK has: an account "without money" is out of its daily quota.
REFUSALS = {
    "refused": (18, "User was deleted or banned"),
    "blocked": (901, "Can't send messages for users without permission"),
    "unauthorized": (5, "User authorization failed: access_token was given to another ip address."),
    "no_balance": (29, "Rate limit reached"),
    "rate_limited": (6, "Too many requests per second"),
    "error_json": (914, "Message is too long"),
}


class Vk(HttpProvider):
    name = "vk"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._events = itertools.count(1)
        self._seen: dict[tuple[str, str], Message] = {}
        self._news: list[dict[str, Any]] = []

    def reset(self) -> None:
        self._seen.clear()
        self._news.clear()

    def handle(self, request: Request, path: str) -> None:
        if path == "/lp":
            self._long_poll(request)
            return
        method, fields = path.removeprefix("/method/"), request.fields()
        account = self.world.account(self.name, fields.get("access_token", ""))
        if method == "messages.send":
            self._send(request, account, fields)
            return
        self.world.other(self.name, method, request)
        person = self.world.peek(self.name, fields.get("user_id", ""))[0]
        if account.state == "unauthorized" or not fields.get("access_token") or not fields.get("v"):
            _fail(request, *REFUSALS["unauthorized"])
        elif method == "groups.getById":
            request.reply_json({"response": {"groups": [{"id": GROUP, "name": "Emulated"}], "profiles": []}})
        elif method == "messages.isMessagesFromGroupAllowed":
            shut = (self.name, fields.get("user_id", "")) in self.world.blocked or person.name == "not_there"
            request.reply_json({"response": {"is_allowed": int(not shut)}})
        elif method == "messages.getConversationsById":
            request.reply_json({"response": self._conversations(fields.get("peer_ids", "").split(","))})
        elif method == "messages.delete":
            self._delete(request, fields)
        elif method == "groups.getLongPollServer":
            server = f"http://{request.header('Host')}/vk/lp"
            request.reply_json({"response": {"server": server, "key": KEY, "ts": str(len(self._news))}})
        elif method == "groups.setLongPollSettings" or method == "messages.sendMessageEventAnswer":
            request.reply_json({"response": 1})
        else:
            _fail(request, 3, "Unknown method passed")

    def _send(self, request: Request, account: Account, fields: dict[str, str]) -> None:
        number, text, peer = fields.get("random_id", ""), fields.get("message", ""), fields.get("peer_ids", "")
        if not number.isdigit() or not 0 < int(number) < 2**63 or not peer.isdigit() or not text:
            self.world.other(self.name, "message refused", request)
            _fail(request, 100, "One of the parameters specified was missing or invalid")
            return
        first = self._seen.get((account.name, number))
        if first is not None:
            self.world.other(self.name, "repeat", request, ids=first.id)
            request.reply_json(_sent(first))
            return
        rows = json.loads(fields["keyboard"])["buttons"] if "keyboard" in fields else []
        actions = [key["action"] for row in rows for key in row]
        payloads = tuple(str(action["payload"]) for action in actions if action.get("type") == "callback")
        before = set(self.world.messages)
        self.world.take(request, self, account, [Wanted(plain(peer), text, number, payloads)])
        for key in self.world.messages.keys() - before:
            self._seen[account.name, number] = self.world.messages[key]

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json(_sent(messages[0]))

    def refusal(self, sending: Sending, answer: str) -> Reply:
        if answer not in REFUSALS:
            return front_refusal(answer) or as_json({}, 400)
        code, words = REFUSALS[answer]
        if answer in {"refused", "blocked"}:
            peer = int(sending.wanted[0].recipient)
            return as_json({"response": [{"peer_id": peer, "error": {"code": code, "description": words}}]})
        return as_json({"error": {"error_code": code, "error_msg": words}})

    def _conversations(self, peers: list[str]) -> dict[str, Any]:
        """out_read is the last message of the conversation that was read: all before it are read as well."""
        items = []
        for peer in peers:
            mine = [one for one in self.world.messages.values() if one.provider == self.name and one.recipient == peer]
            read = [int(one.id) for one in mine if any(status == "read" for _, status in one.history)]
            conversation = {"peer": {"id": int(peer), "type": "user"}, "out_read": max(read, default=0)}
            items.append({**conversation, "last_message_id": max((int(one.id) for one in mine), default=0)})
        return {"count": len(items), "items": items}

    def _delete(self, request: Request, fields: dict[str, str]) -> None:
        number = fields.get("message_ids", "")
        message = self.world.messages.get((self.name, number, fields.get("peer_id", "")))
        if message is None or fields.get("delete_for_all") != "1":
            _fail(request, 924, "Can't delete this message for everybody")
            return
        message.recalled = True
        request.reply_json({"response": {number: 1}})

    def _long_poll(self, request: Request) -> None:
        """Bots Long Poll without waiting: `ts` counts the events."""
        fields = request.fields()
        self.world.other(self.name, "lp", request)
        if fields.get("key") != KEY or fields.get("act") != "a_check":
            request.reply_json({"failed": 2})
            return
        start = int(fields.get("ts") or 0)
        request.reply_json({"ts": str(len(self._news)), "updates": self._news[start:]})

    # --- people

    def receipt(self, message: Message, status: str) -> Hook | None:
        if status != "read":
            return None
        person = int(message.recipient)
        about = {"from_id": person, "peer_id": person, "read_message_id": int(message.id), "conversation_message_id": 1}
        return self._event(message.account, "message_read", about)

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        person = int(recipient)
        if button or (message is not None and not text):
            payload = json.loads(button) if button else {}
            about: dict[str, Any] = {"user_id": person, "peer_id": person, "payload": payload}
            return self._event(account, "message_event", {**about, "event_id": f"press{next(self._events)}"})
        words = {"id": next(self._events), "date": int(time.time()), "peer_id": person, "from_id": person, "text": text}
        return self._event(account, "message_new", {"message": words, "client_info": {"inline_keyboard": True}})

    def membership(self, account: Account, recipient: str, blocked: bool) -> Hook | None:
        about: dict[str, Any] = {"user_id": int(recipient)}
        if blocked:
            return self._event(account, "message_deny", about)
        return self._event(account, "message_allow", {**about, "key": ""})

    def _event(self, account: Account, kind: str, about: dict[str, Any]) -> Hook | None:
        event = {"type": kind, "group_id": GROUP, "event_id": f"e{next(self._events)}", "v": "5.199", "object": about}
        if not account.callback_url:
            self._news.append(event)
            return None
        return json_hook({**event, "secret": account.callback_secret})


def _sent(message: Message) -> dict[str, Any]:
    row = {"peer_id": int(message.recipient), "message_id": int(message.id), "conversation_message_id": 1}
    return {"response": [row]}


def _fail(request: Request, code: int, words: str) -> None:
    request.reply_json({"error": {"error_code": code, "error_msg": words}})
