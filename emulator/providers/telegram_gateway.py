"""Telegram Gateway as the fact sheet of 2026-11-22 (messengers.md section 2) tells it, mounted at /telegram_gateway.

Two requests for a message: checkSendAbility gives a request_id, sendVerificationMessage uses it. A message past its ttl
expires. Receipts are signed with the token.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.world import Account, Message, Sending, Wanted, plain

STATUSES = {"sent": "sent", "delivered": "delivered", "read": "read", "expired": "expired", "failed": "expired"}
REFUSALS = {
    "refused": "PHONE_NUMBER_NOT_FOUND",
    "blocked": "PHONE_NUMBER_NOT_AVAILABLE",
    "rate_limited": "FLOOD_WAIT_1",
    "unauthorized": "ACCESS_TOKEN_INVALID",
    "no_balance": "BALANCE_NOT_ENOUGH",
    "error_json": "CODE_INVALID",
}


class TelegramGateway(HttpProvider):
    name = "telegram_gateway"

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._numbers = itertools.count(1)
        #: request_id -> phone it was given for
        self._able: dict[str, str] = {}

    def reset(self) -> None:
        self._able.clear()

    def handle(self, request: Request, path: str) -> None:
        fields = request.fields()
        account = self.world.account(self.name, fields.get("access_token", ""))
        if path == "/sendVerificationMessage":
            self._send(request, account, fields)
            return
        self.world.other(self.name, path.removeprefix("/"), request)
        if account.state in {"unauthorized", "no_balance"} or not fields.get("access_token"):
            _fail(request, REFUSALS[account.state if account.state in REFUSALS else "unauthorized"])
        elif path == "/checkSendAbility":
            self._ability(request, fields.get("phone_number", ""))
        elif path == "/checkVerificationStatus":
            message = self.world.find_by_id(self.name, fields.get("request_id", ""))
            if message is None:
                _fail(request, "REQUEST_ID_INVALID")
            else:
                request.reply_json({"ok": True, "result": _status(message, message.status)})
        else:
            _fail(request, "METHOD_NOT_FOUND", 404)

    def _ability(self, request: Request, phone: str) -> None:
        answer = self.world.peek(self.name, plain(phone))[0].answer
        if answer in {"refused", "blocked"} or not phone.startswith("+"):
            _fail(request, REFUSALS.get(answer, "PHONE_NUMBER_INVALID"))
            return
        request_id = f"able{next(self._numbers)}"
        self._able[request_id] = phone
        request.reply_json({"ok": True, "result": {"request_id": request_id, "request_cost": 0.01}})

    def _send(self, request: Request, account: Account, fields: dict[str, str]) -> None:
        phone, code = fields.get("phone_number", ""), fields.get("code", "")
        able = self._able.pop(fields.get("request_id", ""), "")
        life = fields.get("ttl", "")
        sound = 4 <= len(code) <= 8 and code.isdigit() and (not life or 30 <= int(life) <= 3600)
        if not able or able != phone or not sound:
            self.world.other(self.name, "message refused", request)
            _fail(request, "MESSAGE_ALREADY_SENT" if not able else "CODE_INVALID")
            return
        wanted = Wanted(plain(phone), code, fields.get("payload", ""), ttl=float(life or 0))
        wanted.callback = fields.get("callback_url", "")
        self.world.take(request, self, account, [wanted])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"ok": True, "result": {**_status(messages[0], "sent"), "remaining_balance": 9.5}})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        if answer not in REFUSALS:
            return front_refusal(answer) or as_json({"ok": False, "error": "UNKNOWN"}, 400)
        return as_json({"ok": False, "error": REFUSALS[answer]})

    def receipt(self, message: Message, status: str) -> Hook | None:
        body = json.dumps(_status(message, status)).encode()
        moment = str(int(time.time()))
        key = hashlib.sha256(message.account.name.encode()).digest()
        signature = hmac.new(key, moment.encode() + b"\n" + body, hashlib.sha256).hexdigest()
        return Hook(
            body,
            {"Content-Type": "application/json", "X-Request-Timestamp": moment, "X-Request-Signature": signature},
        )


def _status(message: Message, status: str) -> dict[str, Any]:
    word = STATUSES.get(status, "sent")
    return {
        "request_id": message.id,
        "phone_number": f"+{message.recipient}",
        "request_cost": 0.01,
        "is_refunded": word == "expired",
        "delivery_status": {"status": word, "updated_at": int(time.time())},
        "payload": message.ref,
    }


def _fail(request: Request, error: str, status: int = 200) -> None:
    request.reply_json({"ok": False, "error": error}, status)
