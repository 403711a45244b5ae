"""MTS Exolve's SMS API as the fact sheet of 2026-11-22 (section 5) tells it: SendSMS, GetList, GetBalance. Mounted at
/exolve. An account's name is its key.

The sheet does not know the values of delivery_status: here they are words of our own, so that nothing learns them by
heart (an account of the emulator is set up with them, as an owner sets his up with Exolve's).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.providers.smsc import parts_of
from emulator.world import Account, Message, Sending, Wanted, plain

STATUSES = {"accepted": "word-queued", "sent": "word-sent", "delivered": "word-delivered", "read": "word-delivered"}
FAILED = "word-failed"


class Exolve(HttpProvider):
    name = "exolve"

    def handle(self, request: Request, path: str) -> None:
        key = request.header("authorization").removeprefix("Bearer ")
        account, body = self.world.account(self.name, key), request.json()
        if path == "/messaging/v1/SendSMS":
            self._send(request, account, body)
            return
        self.world.other(self.name, path.rpartition("/")[2], request, ids=str(body.get("message_id", "")))
        if account.state == "unauthorized" or not key:
            request.reply_json(_error("unauthorized", ""), 401)
        elif path == "/messaging/v1/GetList":
            message = self.world.find_by_id(self.name, str(body.get("message_id", "")))
            request.reply_json({"messages": [_row(message, message.status)] if message else []})
        elif path == "/finance/v1/GetBalance":
            request.reply_json({"balance": str(account.left)})
        else:
            request.reply(404, b"404 page not found", "text/plain")

    def _send(self, request: Request, account: Account, body: dict[str, Any]) -> None:
        number, phone, text = (str(body.get(name) or "") for name in ("number", "destination", "text"))
        if not number or not text or not phone.isdigit():
            self.world.other(self.name, "SendSMS refused", request)
            request.reply_json(_error("invalid request", "destination" if number and text else "number"), 400)
            return
        self.world.take(request, self, account, [Wanted(plain(phone), text, parts=parts_of(text))])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"message_id": messages[0].id})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        if answer == "unauthorized":
            return as_json(_error("unauthorized", ""), 401)
        if answer == "no_balance":
            return as_json(_error("not enough money", ""), 402)
        return as_json(_error("invalid request", "destination is not valid"), 400)

    def receipt(self, message: Message, status: str) -> Hook | None:
        return json_hook(_row(message, status))

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        row = {"message_id": f"in-{recipient}-{len(text)}", "date": _now(), "number": "79000000000", "direction": 1}
        return json_hook({**row, "sender": recipient, "receiver": "79000000000", "text": text})


def _row(message: Message, status: str) -> dict[str, object]:
    return {
        "message_id": message.id,
        "date": _now(),
        "number": "79000000000",
        "sender": "79000000000",
        "receiver": message.recipient,
        "text": message.text,
        "direction": 2,
        "segments_count": message.parts,
        "delivery_status": STATUSES.get(status, FAILED),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _error(message: str, details: str) -> dict[str, object]:
    return {"error": {"message": message, "details": details}}
