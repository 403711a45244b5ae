"""GREEN-API (WhatsApp) as the fact sheet of 2026-11-22 and corrections A2-A5 tell it, mounted at /green.

Account states by their own names: authorized (ok), notAuthorized (sends are taken and wait, as on the real queue),
starting, expired, deleted, yellowCard, blocked; `unauthorized` is a wrong token, `checks_limited` the messenger's limit of
checks. MAX and Telegram through the same gateway: green_api_max.py, green_api_telegram.py.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict, deque
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, json_hook
from emulator.world import RETRY_AFTER, Account, Message, Sending, Wanted, plain

#: Notifications kept for receiveNotification.
QUEUE = 10_000
STATUSES = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "expired": "failed",
    "not_registered": "noAccount",
}


class Green(HttpProvider):
    name = "green"
    max_text = 20_000
    type_instance = "whatsapp"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._inbound_ids = itertools.count(1)
        self._receipts = itertools.count(1)
        self._queues: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=QUEUE))

    def reset(self) -> None:
        self._queues.clear()

    def handle(self, request: Request, path: str) -> None:
        pieces = path.removeprefix("/v3").split("/")
        if len(pieces) < 4 or not pieces[1].startswith("waInstance"):
            self.world.other(self.name, "unknown path", request)
            request.reply(404, b"<html><head><title>404 Not Found</title></head></html>", "text/html")
            return
        account = self.world.account(self.name, pieces[1].removeprefix("waInstance"))
        method, body = pieces[2], request.json()
        if account.state == "unauthorized" and method != "sendMessage":
            self.world.other(self.name, method, request)
            request.reply(401, b"")
        elif method == "sendMessage":
            self._send(request, account, body)
        else:
            self.world.other(self.name, method, request)
            handler = getattr(self, f"_do_{method}", None)
            if handler is None:
                request.reply(404, b"<html><head><title>404 Not Found</title></head></html>", "text/html")
            else:
                handler(request, account, body)

    # --- people

    def chat(self, recipient: str) -> str:
        """The chatId of a person, who is called by phone everywhere else in here."""
        return f"{recipient}@c.us"

    def recipient(self, chat: str) -> str:
        """The person of a chatId, "" for none."""
        return plain(chat) if chat.endswith(("@c.us", "@g.us")) else ""

    # --- sending

    def _send(self, request: Request, account: Account, body: dict[str, Any]) -> None:
        chat, text = body.get("chatId"), body.get("message")
        recipient = self.recipient(chat) if isinstance(chat, str) else ""
        if not recipient:
            self._invalid(request, "'chatId' must be one of the following formats: phone_number@c.us or group_id@g.us")
        elif not isinstance(text, str) or not text or len(text) > self.max_text:
            self._invalid(request, f"'message' length must be between 1 and {self.max_text} characters")
        elif account.state in {"starting", "expired", "deleted"}:
            self.world.other(self.name, f"sendMessage while {account.state}", request)
            words = {
                "starting": "instance in starting process try later",
                "expired": "Instance account is expired. Please, pay for it",
                "deleted": "Instance is deleted",
            }
            request.reply(400, words[account.state].encode(), "text/plain")
        else:
            self.world.take(request, self, account, [Wanted(recipient, text)])

    def _invalid(self, request: Request, details: str) -> None:
        self.world.other(self.name, "sendMessage refused", request)
        request.reply(400, f"Validation failed. Details: {details}".encode(), "text/plain")

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"idMessage": messages[0].id})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        path = sending.request.path.removeprefix(f"/{self.name}")
        if answer == "error_500":
            error = {"timestamp": int(time.time()), "path": path, "status": 500, "error": "Internal Server Error"}
            return Reply(json.dumps(error).encode(), 500)
        if answer == "refused":
            return Reply(b"Validation failed. Details: 'chatId' is not a valid phone", 400, "text/plain")
        if answer == "blocked":
            return Reply(b"bad request data", 400, "text/plain")
        if answer == "rate_limited":
            return Reply(b"", 429, "application/json", f"Retry-After: {RETRY_AFTER}\r\n")
        if answer == "unauthorized":
            return Reply(b"", 401)
        if answer == "no_balance":
            quota = {"method": "sendMessage", "used": 3, "total": 3, "status": "QUOTE_EXCEEDED", "description": path}
            return Reply(json.dumps(quota).encode(), 466)
        return as_json({"status": False, "reason": "something nobody has documented"})

    # --- other methods

    def _do_getStateInstance(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        works = account.state in {"ok", "checks_limited"}
        request.reply_json({"stateInstance": "authorized" if works else account.state})

    def _do_checkWhatsapp(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        phone = self.checkable(request, account, body)
        if phone:
            behaviour, _ = self.world.behaviour(self.name, phone)
            request.reply_json({"existsWhatsapp": behaviour.name not in {"not_registered", "refused", "not_there"}})

    def checkable(self, request: Request, account: Account, body: dict[str, Any]) -> str:
        """The phone a check asks about; "" where it was answered with the account's or the number's trouble."""
        if account.state == "no_balance":
            quota = {"invokeStatus": {"method": "check", "used": 100, "total": 100, "status": "QUOTE_EXCEEDED"}}
            request.reply_json(quota, 466)
        elif account.state == "checks_limited":
            request.reply_json({"status": False, "reason": "User get contact info limit reached"})
        elif account.state not in {"ok", "authorized"}:
            # Correction A2: HTTP 200, and no word about the number.
            request.reply_json({"status": False, "reason": "instance is starting or not authorized"})
        elif not isinstance(body.get("phoneNumber"), int) or not 10**9 < body["phoneNumber"] < 10**16:
            request.reply(400, b"bad phone number", "text/plain")
        else:
            return str(body["phoneNumber"])
        return ""

    def _do_getMessage(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        message = self.world.find(self.name, str(body.get("idMessage")), self.recipient(str(body.get("chatId"))))
        if message is None:
            request.reply(400, b"message not found", "text/plain")
            return
        answer = {
            "type": "outgoing",
            "idMessage": message.id,
            "timestamp": int(time.time()),
            "chatId": self.chat(message.recipient),
        }
        if message.history:
            answer["statusMessage"] = STATUSES[message.status]
        request.reply_json(answer)

    def _do_deleteMessage(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        key = (self.name, str(body.get("idMessage")), self.recipient(str(body.get("chatId"))))
        message = self.world.messages.get(key)
        if message is None:
            request.reply(400, b"message not found", "text/plain")
            return
        message.recalled = True
        request.reply(200, b"")

    def _do_setSettings(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        account.callback_url = str(body.get("webhookUrl", account.callback_url))
        account.callback_secret = str(body.get("webhookUrlToken", account.callback_secret))
        request.reply_json({"saveSettings": True})

    def _do_receiveNotification(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        queue = self._queues[account.name]
        request.reply_json(queue[0] if queue else None)

    def _do_deleteNotification(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        number = request.path.rpartition("/")[2]
        queue = self._queues[account.name]
        found = bool(queue) and str(queue[0]["receiptId"]) == number
        if found:
            queue.popleft()
        request.reply_json({"result": found})

    # --- what is told

    def receipt(self, message: Message, status: str) -> Hook | None:
        return self._webhook(
            message.account,
            {
                "typeWebhook": "outgoingMessageStatus",
                "chatId": self.chat(message.recipient),
                "timestamp": int(time.time()),
                "idMessage": message.id,
                "status": STATUSES[status],
                "sendByApi": True,
            },
        )

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        data: dict[str, Any] = {"typeMessage": "textMessage", "textMessageData": {"textMessage": text or button}}
        return self._webhook(
            account,
            {
                "typeWebhook": "incomingMessageReceived",
                "timestamp": int(time.time()),
                "idMessage": f"IN{next(self._inbound_ids):018X}",
                "senderData": {
                    "chatId": self.chat(recipient),
                    "sender": self.chat(recipient),
                    "senderName": "Person",
                },
                "messageData": data,
            },
        )

    def _webhook(self, account: Account, body: dict[str, Any]) -> Hook | None:
        instance = {"idInstance": account.name, "wid": "79000000000@c.us", "typeInstance": self.type_instance}
        body = {**body, "instanceData": instance}
        if not account.callback_url:
            self._queues[account.name].append({"receiptId": next(self._receipts), "body": body})
            return None
        secret = account.callback_secret
        return json_hook(body, **({"Authorization": f"Bearer {secret}"} if secret else {}))
