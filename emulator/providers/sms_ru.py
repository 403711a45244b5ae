"""SMS.RU as the fact sheet of 2026-11-22 (section 4) and corrections A6, A7 tell it: sms/send, sms/status, my/balance,
callback/add, callbacks with their hash. Mounted at /sms_ru. An account's name is its api_id.
"""

from __future__ import annotations

import hashlib
import time
from urllib.parse import urlencode

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.providers.smsc import parts_of
from emulator.world import Account, Message, Sending, Wanted, plain

STATUSES = {"accepted": 100, "sent": 102, "delivered": 103, "read": 110, "failed": 108, "expired": 104}
REFUSALS = {"refused": (202, "Неправильно указан номер телефона получателя"), "blocked": (207, "На этот номер нельзя")}


class SmsRu(HttpProvider):
    name = "sms_ru"

    def handle(self, request: Request, path: str) -> None:
        fields = request.fields()
        account = self.world.account(self.name, fields.get("api_id", ""))
        if path == "/sms/send":
            self._send(request, account, fields)
            return
        self.world.other(self.name, path.strip("/"), request, ids=fields.get("sms_id", ""))
        if account.state == "unauthorized" or not account.name:
            request.reply_json(_error(200, "Неправильный api_id"))
        elif path == "/sms/status":
            rows = {one: self._status(account, one) for one in fields.get("sms_id", "").split(",")}
            request.reply_json({"status": "OK", "status_code": 100, "sms": rows})
        elif path == "/my/balance":
            request.reply_json({"status": "OK", "status_code": 100, "balance": float(account.left)})
        elif path == "/callback/add":
            account.callback_url = fields.get("url", "")
            request.reply_json({"status": "OK", "status_code": 100, "callback": [account.callback_url]})
        else:
            request.reply(404, b"<html>404</html>", "text/html")

    def _send(self, request: Request, account: Account, fields: dict[str, str]) -> None:
        phone, text = fields.get("to", ""), fields.get("msg", "")
        if not phone or not text:
            self.world.other(self.name, "send without phone or text", request)
            request.reply_json(_error(202 if text else 203, "Нет текста или номера"))
            return
        ttl = float(fields.get("ttl") or 0) * 60
        self.world.take(request, self, account, [Wanted(plain(phone), text, "", (), ttl, parts_of(text))])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        rows = {
            message.recipient: {"status": "OK", "status_code": 100, "sms_id": message.id, "cost": str(message.cost)}
            for message in messages
        }
        return as_json({"status": "OK", "status_code": 100, "sms": rows, "balance": 4122.56})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        if answer == "unauthorized":
            return as_json(_error(200, "Неправильный api_id"))
        code, text = (
            (201, "Не хватает средств") if answer == "no_balance" else REFUSALS.get(answer, REFUSALS["blocked"])
        )
        return as_json({"status": "OK", "status_code": 100, "sms": {sending.wanted[0].recipient: _error(code, text)}})

    def _status(self, account: Account, message_id: str) -> dict[str, object]:
        message = self.world.find_by_id(self.name, message_id)
        if message is None:
            return _error(-1, "Сообщение не найдено")
        return {"status": "OK", "status_code": _code(message.status), "cost": str(message.cost), "status_text": ""}

    def receipt(self, message: Message, status: str) -> Hook | None:
        # The heartbeat rides along, as it does in life.
        entries = [f"test\n{int(time.time())}", f"sms_status\n{message.id}\n{_code(status)}\n{int(time.time())}"]
        signed = message.account.name + "".join(entries)
        fields = {f"data[{key}]": entry for key, entry in enumerate(entries, start=1)}
        fields["hash"] = hashlib.sha256(signed.encode()).hexdigest()
        return Hook(urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"})


def _code(status: str) -> int:
    return STATUSES.get(status, 150)


def _error(code: int, text: str) -> dict[str, object]:
    return {"status": "ERROR", "status_code": code, "status_text": text}
