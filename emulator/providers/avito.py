"""Avito Messenger as the fact sheet of 2026-11-22 (section 9) tells it, mounted at /avito.

An account in the state `token_expired` refuses every token given so far; the next one it gives works. Reading is seen in
the list of a chat's messages; whoever writes comes by webhook, and so do our own messages.
"""

from __future__ import annotations

import itertools
import re
import time
from typing import Any
from urllib.parse import parse_qsl, unquote

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.world import Account, Message, Sending, Wanted

#: answer -> HTTP status; bodies are not documented.
REFUSALS = {
    "refused": 404,
    "blocked": 404,
    "unauthorized": 401,
    "token_expired": 401,
    "no_balance": 402,
    "error_json": 400,
}
_CHAT = re.compile(r"/messenger/v(1|3)/accounts/(\d+)/chats/([^/]+)/messages/?")


class Avito(HttpProvider):
    name = "avito"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._numbers = itertools.count(1)
        self._tokens: dict[str, str] = {}

    def reset(self) -> None:
        self._tokens.clear()

    def handle(self, request: Request, path: str) -> None:
        if path == "/token" and request.method == "POST":
            self._token(request)
            return
        client = self._tokens.get(request.header("Authorization").removeprefix("Bearer "))
        if client is None:
            self.world.other(self.name, "refused token", request)
            request.reply_json({"result": {"message": "invalid access token"}, "status": False}, 401)
            return
        account = self.world.account(self.name, client)
        chat = _CHAT.fullmatch(path)
        if chat and request.method == "POST" and chat[1] == "1":
            self._send(request, account, unquote(chat[3]))
            return
        operation = f"{request.method} {'chat' if chat else path}"
        self.world.other(self.name, operation, request)
        if account.state != "ok":
            request.reply_json({}, REFUSALS.get(account.state, 403))
        elif chat and chat[1] == "3":
            self._list(request, unquote(chat[3]))
        elif path == "/messenger/v3/webhook" and request.method == "POST":
            account.callback_url = str(request.json().get("url", ""))
            request.reply_json({"ok": True})
        elif path.startswith("/messenger/v2/accounts/") and path.endswith("/chats"):
            request.reply_json({"chats": []})
        else:
            request.reply_json({"error": "not found"}, 404)

    def _token(self, request: Request) -> None:
        """A new one each time; `token_expired` ends all older ones."""
        form = dict(parse_qsl(request.body.decode("latin-1")))
        client = form.get("client_id", "")
        account = self.world.account(self.name, client)
        self.world.other(self.name, "token", request)
        if account.state == "unauthorized" or form.get("grant_type") != "client_credentials" or not client:
            request.reply_json({"error": "invalid_client"}, 400)
            return
        if account.state == "token_expired":
            self._tokens = {token: owner for token, owner in self._tokens.items() if owner != client}
            account.state = "ok"
        token = f"avito-token-{next(self._numbers)}"
        self._tokens[token] = client
        request.reply_json({"access_token": token, "token_type": "Bearer", "expires_in": 86400})

    def _send(self, request: Request, account: Account, chat: str) -> None:
        if account.state == "token_expired":
            self.world.other(self.name, "refused token", request)
            request.reply_json({"result": {"message": "access token expired"}, "status": False}, 401)
            return
        body = request.json()
        text = body.get("message", {}).get("text") if isinstance(body.get("message"), dict) else None
        if not isinstance(text, str) or not 0 < len(text) <= 1000 or body.get("type") != "text":
            self.world.other(self.name, "message of a wrong size", request)
            request.reply_json({"error": "text"}, 400)
            return
        self.world.take(request, self, account, [Wanted(chat, text)])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        message = messages[0]
        content = {"text": message.text}
        return as_json(
            {"id": message.id, "created": int(time.time()), "direction": "out", "type": "text", "content": content}
        )

    def refusal(self, sending: Sending, answer: str) -> Reply:
        if answer in REFUSALS:
            return as_json({}, REFUSALS[answer])
        return front_refusal(answer) or as_json({}, 400)

    def _list(self, request: Request, chat: str) -> None:
        rows = []
        for (name, number, recipient), message in self.world.messages.items():
            if name != self.name or recipient != chat:
                continue
            read = next((at for at, status in message.history if status == "read"), None)
            row = {"id": number, "direction": "out", "type": "text", "content": {"text": message.text}}
            rows.append(row | {"is_read": read is not None, "read": int(time.time()) if read is not None else None})
        request.reply_json({"messages": rows})

    # --- people

    def receipt(self, message: Message, status: str) -> Hook | None:
        """None of delivery or reading; but our own message comes back as any other in the chat."""
        if status != "sent":
            return None
        return self._message(message.recipient, 94235311, message.text, message.id)

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        return self._message(recipient, 5551, text, f"in{next(self._numbers)}")

    def _message(self, chat: str, author: int, text: str, number: str) -> Hook:
        value = {"id": number, "chat_id": chat, "chat_type": "u2i", "user_id": 94235311, "author_id": author}
        value |= {"created": int(time.time()), "type": "text", "content": {"text": text}, "item_id": 42}
        return json_hook(
            {
                "id": f"w{number}",
                "version": "v3.0.0",
                "timestamp": int(time.time()),
                "payload": {"type": "message", "value": value},
            }
        )
