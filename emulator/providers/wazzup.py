"""Wazzup24 v3 as the fact sheet of 2026-11-22 (section 5) and corrections A19-A21 tell it, mounted at /wazzup.

One account (a key) has one channel of each transport, by the numbers in CHANNELS, and one address for webhooks. States by
Wazzup's own names (qr, notEnoughMoney ...) concern all of its channels. A person of Telegram or MAX is called by phone, and by
an id of its own in what comes back; a chat of Avito is called by whatever was written first.
"""

from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.world import Account, Message, Sending, Wanted, plain

#: chatType -> (number of the channel, its transport)
CHANNELS = {
    "whatsapp": ("a0000001-0000-4000-8000-000000000001", "whatsapp"),
    "telegram": ("a0000001-0000-4000-8000-000000000002", "tgapi"),
    "max": ("a0000001-0000-4000-8000-000000000003", "max"),
    "viber": ("a0000001-0000-4000-8000-000000000004", "viber"),
    "avito": ("a0000001-0000-4000-8000-000000000005", "avito"),
}
BY_PHONE = frozenset({"telegram", "max"})
#: Between a phone and its id here; the real ids are nobody's arithmetic.
APART = 70_000_000_000
LONGEST = {"whatsapp": 10_000, "telegram": 4096, "viber": 7000, "max": 4000, "avito": 1000}
#: Seconds in which a crmMessageId is taken once only.
REMEMBERED = 60.0

REFUSALS = {
    "refused": (400, "BAD_CONTACT", "There is no such contact"),
    "blocked": (400, "CHAT_NO_ACCESS", "No access to the chat"),
    "unauthorized": (401, "UNAUTHORIZED", "Unauthorized"),
    "no_balance": (400, "BALANCE_IS_EMPTY", "The balance is empty"),
    "error_json": (400, "SOMETHING_NEW", "Nobody has documented this"),
}
STATUSES = {"sent": "sent", "delivered": "delivered", "read": "read"}
ERRORS = {"failed": "CHAT_NO_ACCESS", "expired": "MESSAGE_CHANNEL_UNAVAILABLE", "not_registered": "BAD_CONTACT"}


class Wazzup(HttpProvider):
    name = "wazzup"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._numbers = itertools.count(1)
        self._taken: dict[str, float] = {}
        #: recipient -> the transport they were last written to through
        self._through: dict[str, str] = {}

    def reset(self) -> None:
        self._taken.clear()
        self._through.clear()

    def handle(self, request: Request, path: str) -> None:
        key = request.header("Authorization").removeprefix("Bearer ")
        account = self.world.account(self.name, key)
        operation = f"{request.method} {path}"
        if operation == "POST /v3/message":
            self._send(request, account, request.json())
            return
        self.world.other(self.name, operation, request)
        if account.state == "unauthorized" or not key:
            _fail(request, *REFUSALS["unauthorized"])
        elif operation == "GET /v3/channels":
            state = "active" if account.state == "ok" else account.state
            channels = [
                {"channelId": number, "transport": transport, "plainId": "79000000000", "state": state}
                for number, transport in CHANNELS.values()
            ]
            request.reply_json(channels)
        elif operation == "PATCH /v3/webhooks":
            self._subscribe(request, account, request.json())
        elif request.method == "DELETE" and path.startswith("/v3/message/"):
            self._delete(request, path.rpartition("/")[2])
        else:
            _fail(request, 404, "NOT_FOUND", "Unknown route")

    def _subscribe(self, request: Request, account: Account, body: dict[str, Any]) -> None:
        """The address is tried before it is taken: {"test": true} must be answered with 200."""
        url = str(body.get("webhooksUri", ""))
        if not url.startswith("https://") or len(url) > 200:
            _fail(request, 400, "VALIDATION_ERROR", "webhooksUri")
            return
        account.callback_url = url
        request.reply_json({})

    def _send(self, request: Request, account: Account, body: dict[str, Any]) -> None:
        chat_type, text, ref = str(body.get("chatType")), body.get("text"), str(body.get("crmMessageId", ""))
        number, _ = CHANNELS.get(chat_type, ("", ""))
        recipient = _recipient(chat_type, body)
        if not number or body.get("channelId") != number:
            self._refuse(request, "INVALID_MESSAGE_DATA", {"fields": ["channelId"]})
        elif not recipient:
            self._refuse(request, "INVALID_MESSAGE_DATA", {"fields": ["chatId"]})
        elif not isinstance(text, str) or not text:
            self._refuse(request, "MESSAGE_NOTHING_TO_SEND")
        elif len(text) > LONGEST[chat_type]:
            self._refuse(request, "MESSAGE_TEXT_TOO_LONG")
        elif time.monotonic() - self._taken.get(ref, -REMEMBERED) < REMEMBERED:
            self._refuse(request, "REPEATED_CRM_MESSAGE_ID")
        elif account.state == "notEnoughMoney":
            self._refuse(request, "CHANNEL_NO_MONEY")
        elif account.state not in {"ok", "unauthorized", "no_balance"}:
            self._refuse(request, "MESSAGE_CHANNEL_UNAVAILABLE")
        else:
            self._through[recipient] = chat_type
            self.world.take(request, self, account, [Wanted(recipient, text, ref)], chat_type=chat_type)

    def _refuse(self, request: Request, code: str, data: dict[str, Any] | None = None) -> None:
        self.world.other(self.name, f"message refused: {code}", request)
        _fail(request, 400, code, "", data)

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        message = messages[0]
        self._taken[message.ref] = time.monotonic()
        chat = _chat(sending.extra["chat_type"], message.recipient)
        return as_json({"messageId": _uuid(message), "chatId": chat}, 201)

    def refusal(self, sending: Sending, answer: str) -> Reply:
        if answer not in REFUSALS:
            return front_refusal(answer) or as_json({}, 400)
        status, code, words = REFUSALS[answer]
        return as_json({"status": status, "requestId": "r", "error": code, "description": words, "data": {}}, status)

    def _delete(self, request: Request, ident: str) -> None:
        number = str(int(ident.rpartition("-")[2]))
        message = self.world.find_by_id(self.name, number)
        if message is None or message.recalled or message.status == "read":
            _fail(request, 400, "MESSAGES_DELETION_TIME_EXPIRED", "")
            return
        message.recalled = True
        request.reply_json({})

    # --- what is told

    def receipt(self, message: Message, status: str) -> Hook | None:
        told: dict[str, Any] = {
            "messageId": _uuid(message),
            "timestamp": _now(),
            "status": STATUSES.get(status, "error"),
        }
        if status in ERRORS:
            told["error"] = {"error": ERRORS[status], "description": status, "data": {}}
        return json_hook({"statuses": [told]})

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        chat_type = self._through.get(recipient, "whatsapp")
        number, _ = CHANNELS[chat_type]
        told = {
            "messageId": f"b0000000-0000-4000-8000-{next(self._numbers):012d}",
            "channelId": number,
            "chatType": chat_type,
            "chatId": _chat(chat_type, recipient),
            "dateTime": _now(),
            "type": "text",
            "isEcho": False,
            "text": text or button,
            "status": "inbound",
            "contact": {"name": "Person"},
        }
        echo = {**told, "messageId": f"{told['messageId']}e", "isEcho": True, "text": "Здравствуйте!", "status": "sent"}
        return json_hook({"messages": [echo, told]})


def _recipient(chat_type: str, body: dict[str, Any]) -> str:
    """The person by phone where there is one, else by the chat; "" for neither."""
    chat, phone = str(body.get("chatId") or ""), str(body.get("phone") or "")
    if chat_type in BY_PHONE:
        if phone:
            return plain(phone) if phone.isdigit() else ""
        return str(int(chat) + APART) if chat.isdigit() else ""
    return chat if chat_type == "avito" or chat.isdigit() else ""


def _chat(chat_type: str, recipient: str) -> str:
    return str(int(recipient) - APART) if chat_type in BY_PHONE else recipient


def _uuid(message: Message) -> str:
    return f"f66c53a6-0000-4000-8000-{int(message.id):012d}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fail(request: Request, status: int, code: str, words: str, data: dict[str, Any] | None = None) -> None:
    body = {"status": status, "requestId": "r", "error": code, "description": words, "data": data or {}}
    request.reply(status, json.dumps(body).encode())
