"""A gateway of nobody's, for the channel whose wire its owner describes; mounted at /own_http.

POST /send {"to", "message", "custom": {"number", "once"}, "hook"} with X-Api-Key; mistakes are said with HTTP 200 and a word in `result`.
GET /status/<number of the message>. Receipts are a list under `events`.
"""

from __future__ import annotations

from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.world import Message, Sending, Wanted, plain

STATES = {"sent": "ENROUTE", "delivered": "DELIVRD", "read": "SEEN", "failed": "UNDELIV", "expired": "EXPIRED"}
REFUSALS = {
    "refused": "no_such_number",
    "blocked": "stop_listed",
    "error_json": "bad_text",
    "no_balance": "no_money",
    "unauthorized": "bad_key",
}


class OwnHttp(HttpProvider):
    name = "own_http"

    def handle(self, request: Request, path: str) -> None:
        key, body = request.header("X-Api-Key"), request.json()
        account = self.world.account(self.name, key)
        if request.method == "POST" and path == "/send":
            custom = body.get("custom")
            number = str(custom.get("number", "")) if isinstance(custom, dict) else ""
            to, text, hook = (str(body.get(name, "")) for name in ("to", "message", "hook"))
            self.world.take(request, self, account, [Wanted(plain(to), text, number, callback=hook)])
            return
        self.world.other(self.name, f"{request.method} {path.partition('/')[0]}", request)
        if account.state == "unauthorized" or not key:
            request.reply_json({"result": "bad_key"}, 401)
        elif path.startswith("/status/"):
            message = self.world.find_by_id(self.name, path.removeprefix("/status/"))
            request.reply_json(_event(message, message.status) if message else {}, 200 if message else 404)
        else:
            request.reply_json({"result": "ok"}, 200 if path == "/me" else 405)

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"result": "ok", "messages": [{"number": messages[0].id}]})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        return front_refusal(answer) or as_json({"result": REFUSALS.get(answer, answer)})

    def receipt(self, message: Message, status: str) -> Hook | None:
        return json_hook({"events": [_event(message, status)]})


def _event(message: Message, status: str) -> dict[str, Any]:
    return {"message": {"number": message.id, "state": STATES.get(status, status)}, "custom": message.ref}
