"""MAX Bot API as the fact sheet of 2026-11-22 (section 6) and correction A24 tell it, mounted at /max_bot.

No receipts: a delivered message says nothing. People start the bot (with the payload of a deep link), write, press
buttons, stop it; updates go to the webhook (POST /subscriptions or the control API) or wait for GET /updates.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qsl

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.world import Account, Message, Sending, Wanted, plain

#: answer -> (HTTP status, code, message). A balance is nothing MAX has: an account "without money" is refused.
REFUSALS = {
    "refused": (404, "chat.not.found", "error.dialog.notfound"),
    "blocked": (403, "chat.denied", "error.dialog.suspended"),
    "unauthorized": (401, "verify.token", "Invalid access_token"),
    "no_balance": (403, "access.denied", "access denied"),
    "error_json": (400, "proto.payload", "text: size must be between 0 and 4000"),
    "error_500": (500, "internal.error", "Internal error"),
}


class MaxBot(HttpProvider):
    name = "max_bot"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._numbers = itertools.count(1)
        #: token -> (marker, update): what a question without that marker, or a later one, is told again.
        self._queues: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)

    def reset(self) -> None:
        self._queues.clear()

    def handle(self, request: Request, path: str) -> None:
        token = request.header("Authorization")
        account = self.world.account(self.name, token)
        query, body = dict(parse_qsl(request.query_string)), request.json()
        operation = f"{request.method} {path}"
        if operation == "POST /messages":
            self._send(request, account, query, body)
            return
        self.world.other(self.name, operation, request)
        if account.state == "unauthorized" or not token or token.startswith("Bearer "):
            _fail(request, *REFUSALS["unauthorized"])
        elif operation == "GET /me":
            me = {"user_id": 229229229, "name": "Emulated", "username": "id7700000000_bot", "is_bot": True}
            request.reply_json(me)
        elif operation == "POST /subscriptions":
            account.callback_url = str(body.get("url", ""))
            account.callback_secret = str(body.get("secret", ""))
            request.reply_json({"success": True})
        elif operation == "DELETE /subscriptions":
            known = account.callback_url == query.get("url")
            if known:
                account.callback_url = account.callback_secret = ""
            request.reply_json({"success": known})
        elif operation == "POST /answers":
            request.reply_json({"success": bool(query.get("callback_id"))})
        elif operation == "DELETE /messages":
            self._delete(request, query)
        elif operation == "GET /updates":
            self._tell(request, account, query)
        else:
            _fail(request, 404, "not.found", "Unknown path")

    def _send(self, request: Request, account: Account, query: dict[str, str], body: dict[str, Any]) -> None:
        person, text = query.get("user_id", ""), body.get("text")
        if not person.isdigit():
            self.world.other(self.name, "message for nobody", request)
            _fail(request, 400, "proto.payload", "user_id: must be a number")
            return
        if not isinstance(text, str) or not text or len(text) > 4000:
            self.world.other(self.name, "message of a wrong size", request)
            _fail(request, *REFUSALS["error_json"])
            return
        found = body.get("attachments")
        keyboards = found if isinstance(found, list) else []
        rows = [row for one in keyboards for row in one.get("payload", {}).get("buttons", [])]
        buttons = tuple(str(key["payload"]) for row in rows for key in row if key.get("type") == "callback")
        self.world.take(request, self, account, [Wanted(plain(person), text, "", buttons)])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        message = messages[0]
        recipient = {"chat_id": _chat(message.recipient), "chat_type": "dialog", "user_id": int(message.recipient)}
        body = {"mid": _mid(message), "seq": int(message.id), "text": message.text}
        return as_json({"message": {"recipient": recipient, "timestamp": _now(), "body": body}})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        if answer not in REFUSALS:
            return front_refusal(answer) or as_json({}, 400)
        status, code, message = REFUSALS[answer]
        return as_json({"code": code, "message": message}, status)

    def _tell(self, request: Request, account: Account, query: dict[str, str]) -> None:
        """Updates after the marker, which confirms the earlier ones; nothing while there is a webhook."""
        confirmed = int(query.get("marker", "0"))
        waiting = [one for one in self._queues[account.name] if one[0] > confirmed]
        self._queues[account.name] = waiting
        told = [] if account.callback_url else waiting[: int(query.get("limit", "100"))]
        last = told[-1][0] if told else confirmed or None
        request.reply_json({"updates": [update for _, update in told], "marker": last})

    def _delete(self, request: Request, query: dict[str, str]) -> None:
        number = query.get("message_id", "").rpartition(".")[2].lstrip("0")
        recipient = self.world.recipients.get((self.name, number), "")
        message = self.world.messages.get((self.name, number, recipient))
        if message is None or message.recalled:
            request.reply_json({"success": False, "message": "message not found"})
            return
        message.recalled = True
        request.reply_json({"success": True})

    # --- people

    def receipt(self, message: Message, status: str) -> Hook | None:
        return None

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        number = next(self._numbers)
        if text.startswith("/start"):
            update: dict[str, Any] = {"update_type": "bot_started", "user": _person(recipient), "user_locale": "ru"}
            update |= {"chat_id": _chat(recipient), "payload": text.removeprefix("/start").strip() or None}
        elif button or (message is not None and not text):
            pressed = {"callback_id": f"f9LHod{number:016X}", "payload": button, "user": _person(recipient)}
            body = {"mid": _mid(message), "text": message.text} if message else None
            update = {"update_type": "message_callback", "callback": pressed, "message": body and {"body": body}}
        else:
            update = {
                "update_type": "message_created",
                "message": {
                    "sender": _person(recipient),
                    "recipient": {"chat_id": _chat(recipient), "chat_type": "dialog", "user_id": 229229229},
                    "body": {"mid": f"mid.in.{number:016d}", "text": text},
                },
            }
        return self._update(account, update)

    def membership(self, account: Account, recipient: str, blocked: bool) -> Hook | None:
        kind = "bot_stopped" if blocked else "bot_started"
        return self._update(
            account, {"update_type": kind, "chat_id": _chat(recipient), "user": _person(recipient), "user_locale": "ru"}
        )

    def _update(self, account: Account, update: dict[str, Any]) -> Hook | None:
        update["timestamp"] = _now()
        if not account.callback_url:
            self._queues[account.name].append((next(self._numbers), update))
            del self._queues[account.name][:-10_000]
            return None
        return json_hook(update, **{"X-Max-Bot-Api-Secret": account.callback_secret})


def _mid(message: Message) -> str:
    return f"mid.{int(message.id):032d}"


def _chat(recipient: str) -> int:
    """A dialogue's id is another number than the person's."""
    return int(recipient) + 58_725_393


def _person(recipient: str) -> dict[str, Any]:
    return {"user_id": int(recipient), "name": "Person", "is_bot": False}


def _now() -> int:
    return int(time.time() * 1000)


def _fail(request: Request, status: int, code: str, message: str) -> None:
    request.reply(status, json.dumps({"code": code, "message": message}).encode(), "application/json")
