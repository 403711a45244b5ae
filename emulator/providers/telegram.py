"""Telegram Bot API as the fact sheet of 2026-11-22 tells it (messengers.md section 1), mounted at /telegram.

No receipts: a delivered message says nothing. People can write, press buttons, block the bot; updates go to the
webhook (setWebhook or the control API) or wait for getUpdates.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, json_hook
from emulator.world import RETRY_AFTER, Account, Message, Sending, Wanted, plain


class Telegram(HttpProvider):
    name = "telegram"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._updates = itertools.count(1000)
        self._queues: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def reset(self) -> None:
        self._queues.clear()

    def handle(self, request: Request, path: str) -> None:
        token, _, method = path.removeprefix("/bot").partition("/")
        account = self.world.account(self.name, token)
        body = request.json() or dict(request.fields())
        if method == "sendMessage":
            self._send(request, account, body)
            return
        self.world.other(self.name, method, request)
        if account.state == "unauthorized" or ":" not in token:
            _fail(request, 401, "Unauthorized")
        elif method == "getMe":
            _ok(request, {"id": 123456789, "is_bot": True, "first_name": "Emulated", "username": "emulated_bot"})
        elif method == "setWebhook":
            account.callback_url = str(body.get("url", ""))
            account.callback_secret = str(body.get("secret_token", ""))
            _ok(request, True)
        elif method == "deleteWebhook":
            account.callback_url = account.callback_secret = ""
            _ok(request, True)
        elif method == "deleteMessage":
            self._delete(request, body)
        elif method == "answerCallbackQuery":
            _ok(request, True)
        elif method == "getUpdates":
            if account.callback_url:
                _fail(request, 409, "Conflict: can't use getUpdates method while webhook is active")
                return
            offset = int(body.get("offset") or 0)
            self._queues[token] = [u for u in self._queues[token] if u["update_id"] >= offset]
            _ok(request, self._queues[token][: int(body.get("limit") or 100)])
        else:
            _fail(request, 404, "Not Found")

    def _send(self, request: Request, account: Account, body: dict[str, Any]) -> None:
        chat, text = body.get("chat_id"), body.get("text")
        if chat in {None, ""} or not isinstance(text, str) or not text:
            self.world.other(self.name, "sendMessage without chat or text", request)
            _fail(request, 400, "Bad Request: chat_id is empty" if not chat else "Bad Request: message text is empty")
            return
        if len(text) > 4096:
            self.world.other(self.name, "sendMessage too long", request)
            _fail(request, 400, "Bad Request: message is too long")
            return
        markup = body.get("reply_markup")
        rows = markup.get("inline_keyboard", []) if isinstance(markup, dict) else []
        if isinstance(markup, dict) and any(
            key.get("request_contact") for row in markup.get("keyboard", []) for key in row
        ):
            self.world.other(self.name, "asks for the phone", request)
        buttons = tuple(str(key["callback_data"]) for row in rows for key in row if "callback_data" in key)
        self.world.take(request, self, account, [Wanted(plain(str(chat)), text, "", buttons)])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        message = messages[0]
        chat = {"id": _number(message.recipient), "type": "private"}
        result = {"message_id": int(message.id), "chat": chat, "date": int(time.time()), "text": message.text}
        return as_json({"ok": True, "result": result})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        status, description, more = {
            "error_500": (500, "Internal Server Error: restarting", {}),
            "refused": (400, "Bad Request: chat not found", {}),
            "blocked": (403, "Forbidden: bot was blocked by the user", {}),
            "rate_limited": (
                429,
                f"Too Many Requests: retry after {RETRY_AFTER}",
                {"parameters": {"retry_after": RETRY_AFTER}},
            ),
            "unauthorized": (401, "Unauthorized", {}),
            "error_json": (400, "Bad Request: chat not found", {}),
            "no_balance": (400, "Bad Request: not enough rights", {}),
        }.get(answer, (400, "Bad Request", {}))
        body = {"ok": False, "error_code": status, "description": description, **more}
        http = 200 if answer == "error_json" else status
        headers = f"Retry-After: {RETRY_AFTER}\r\n" if answer == "rate_limited" else ""
        return Reply(json.dumps(body).encode(), http, "application/json", headers)

    def _delete(self, request: Request, body: dict[str, Any]) -> None:
        key = (self.name, str(body.get("message_id")), plain(str(body.get("chat_id"))))
        message = self.world.messages.get(key)
        if message is None or message.recalled:
            _fail(request, 400, "Bad Request: message to delete not found")
            return
        message.recalled = True
        _ok(request, True)

    # --- people

    def receipt(self, message: Message, status: str) -> Hook | None:
        return None

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        chat = {"id": _number(recipient), "type": "private"}
        person = {"id": _number(recipient), "is_bot": False, "first_name": "Person"}
        update: dict[str, Any] = {"update_id": next(self._updates)}
        if button or (message is not None and not text):
            update["callback_query"] = {
                "id": str(update["update_id"] * 1_000_003),
                "from": person,
                "message": {"message_id": int(message.id) if message else 0, "chat": chat, "date": int(time.time())},
                "data": button,
            }
        else:
            update["message"] = {
                "message_id": next(self._updates),
                "from": person,
                "chat": chat,
                "date": int(time.time()),
                "text": text,
            }
        return self._update(account, update)

    def membership(self, account: Account, recipient: str, blocked: bool) -> Hook | None:
        return self._update(
            account,
            {
                "update_id": next(self._updates),
                "my_chat_member": {
                    "chat": {"id": _number(recipient), "type": "private"},
                    "from": {"id": _number(recipient), "is_bot": False},
                    "date": int(time.time()),
                    "old_chat_member": {"status": "member" if blocked else "kicked"},
                    "new_chat_member": {"status": "kicked" if blocked else "member"},
                },
            },
        )

    def _update(self, account: Account, update: dict[str, Any]) -> Hook | None:
        if not account.callback_url:
            self._queues[account.name].append(update)
            del self._queues[account.name][:-10_000]
            return None
        return json_hook(update, **{"X-Telegram-Bot-Api-Secret-Token": account.callback_secret})


def _number(recipient: str) -> int | str:
    return int(recipient) if recipient.removeprefix("-").isdigit() else recipient


def _ok(request: Request, result: Any) -> None:
    request.reply_json({"ok": True, "result": result})


def _fail(request: Request, status: int, description: str) -> None:
    request.reply_json({"ok": False, "error_code": status, "description": description}, status)
