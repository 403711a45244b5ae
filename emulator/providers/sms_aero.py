"""SMS Aero v2 as the fact sheet of 2026-11-22 (section 2) tells it: sms/send, sms/status, balance. Mounted at /sms_aero;
Viber of the same API at /sms_aero_viber (sms_aero_viber.py).

JSON bodies and Basic auth; an account's name is its e-mail. What its callback says is not known to the sheet: here it
repeats the record of sms/status.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal, json_hook
from emulator.providers.smsc import parts_of
from emulator.world import Account, Message, Sending, Wanted, plain

STATUSES = {"accepted": (0, "queue"), "sent": (3, ""), "delivered": (1, "delivery"), "read": (1, "delivery")}
NOT_DELIVERED = (2, "")


class SmsAero(HttpProvider):
    name = "sms_aero"

    def handle(self, request: Request, path: str) -> None:
        email, _, key = basic(request.header("authorization")).partition(":")
        account = self.world.account(self.name, email)
        body = request.json()
        if path == "/v2/sms/send":
            self._send(request, account, body, key)
            return
        self.world.other(self.name, path.removeprefix("/v2/"), request, ids=str(body.get("id", "")))
        if account.state == "unauthorized" or not key:
            refuse(request, 401, "Your request was made with invalid credentials.")
        elif path == "/v2/sms/status":
            message = self.world.find_by_id(self.name, str(body.get("id", "")))
            if message is None:
                refuse(request, 200, "Not found")
            else:
                request.reply_json({"success": True, "data": _record(message, message.status), "message": None})
        elif path == "/v2/balance":
            request.reply_json({"success": True, "data": {"balance": float(account.left)}, "message": None})
        else:
            request.reply(404, b"<html>404</html>", "text/html")

    def _send(self, request: Request, account: Account, body: dict[str, Any], key: str) -> None:
        number, text, sign = body.get("number"), body.get("text"), body.get("sign")
        wrong = {
            name: ["is invalid"]
            for name, good in (
                ("number", isinstance(number, int)),
                ("text", isinstance(text, str) and 2 <= len(text) <= 640),
                ("sign", bool(sign)),
            )
            if not good
        }
        if not key or wrong:
            self.world.other(self.name, "send refused", request)
            refuse(request, 200 if key else 401, "Validation error.", wrong)
            return
        callback = str(body.get("callbackUrl", ""))
        ref = callback.partition("ref=")[2].partition("&")[0]
        wanted = Wanted(plain(str(number)), str(text), ref, parts=parts_of(str(text)), callback=callback)
        self.world.take(request, self, account, [wanted])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"success": True, "data": _record(messages[0], "accepted"), "message": None})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        if answer == "unauthorized":
            return as_json({"success": False, "data": None, "message": "invalid credentials"}, 401)
        if answer == "no_balance":
            return as_json({"result": "no credits"})
        if answer == "error_json":
            return as_json({"result": "reject", "reason": "text"})
        return as_json({"success": False, "data": {"number": ["is invalid"]}, "message": "Validation error."})

    def receipt(self, message: Message, status: str) -> Hook | None:
        return json_hook(_record(message, status))


def _record(message: Message, status: str) -> dict[str, object]:
    code, words = STATUSES.get(status, NOT_DELIVERED)
    record: dict[str, object] = {
        "id": int(message.id),
        "from": "SMS Aero",
        "number": message.recipient,
        "text": message.text,
        "status": code,
        "extendStatus": words,
        "channel": "FREE SIGN",
        "cost": str(message.cost),
        "dateCreate": int(time.time()),
        "dateSend": int(time.time()),
    }
    if code in {1, 2}:
        record["dateAnswer"] = int(time.time())
    return record


def refuse(request: Request, status: int, words: str, data: dict[str, Any] | None = None) -> None:
    request.reply_json({"success": False, "data": data, "message": words}, status)


def basic(header: str) -> str:
    try:
        return base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
