"""SMSC.ru as the fact sheet of 2026-11-22 tells it (section 1): send.php, status.php, balance.php, callbacks.

Mounted at /smsc, so a channel's base URL is http://host:port/smsc and paths are /smsc/sys/....
Status lists follow the order of the question and do not repeat ids and phones: the poorer of the two shapes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.world import Account, Message, Sending, Wanted, plain

STATUSES = {"accepted": -1, "sent": 0, "delivered": 1, "read": 2, "failed": 20, "expired": 3, "not_registered": 22}
ERRS = {"failed": 12, "expired": 6, "not_registered": 1}
MOSCOW = timezone(timedelta(hours=3))
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€"
)
DOUBLE = frozenset("^{}\\[~]|€")


def parts_of(text: str) -> int:
    """SMS parts the provider charges for."""
    if GSM.issuperset(text):
        size, single, multi = sum(2 if letter in DOUBLE else 1 for letter in text), 160, 153
    else:
        size, single, multi = len(text.encode("utf-16-be")) // 2, 70, 67
    return 1 if size <= single else -(-size // multi)


class Smsc(HttpProvider):
    name = "smsc"
    statuses = STATUSES
    errs = ERRS
    _numbers = itertools.count(100_000)

    def handle(self, request: Request, path: str) -> None:
        fields = request.fields("utf-8" if "charset=utf-8" in _raw(request) else "cp1251")
        account = self.world.account(self.name, fields.get("apikey") or fields.get("login", ""))
        if path == "/sys/send.php":
            self._send(request, account, fields)
            return
        operation = path.removeprefix("/sys/").removesuffix(".php")
        self.world.other(self.name, "recall" if fields.get("del") else operation, request, ids=fields.get("id", ""))
        if account.state == "unauthorized" or not (fields.get("apikey") or fields.get("psw")):
            request.reply_json({"error": "authorise error", "error_code": 2})
        elif path == "/sys/status.php":
            self._status(request, account, fields)
        elif path == "/sys/balance.php":
            request.reply_json({"balance": str(account.left)})
        else:
            request.reply(404, b"<html>404</html>", "text/html")

    # --- sending

    def _send(self, request: Request, account: Account, fields: dict[str, str]) -> None:
        hours, _, minutes = fields.get("valid", "").partition(":")
        ttl = int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0 if hours.isdigit() else 0.0
        ref = fields.get("id", "")
        if "list" in fields:
            rows = [row.partition(":") for row in fields["list"].split("\n") if row]
            pairs = [(phone, text) for phone, _, text in rows]
        else:
            pairs = [(phone, fields.get("mes", "")) for phone in fields.get("phones", "").replace(";", ",").split(",")]
        wanted = [Wanted(plain(phone), text, ref, (), ttl, parts_of(text)) for phone, text in pairs if phone.strip()]
        if not wanted or not all(one.text for one in wanted):
            self.world.other(self.name, "send without phones or text", request)
            request.reply_json({"error": "parameters error", "error_code": 1})
            return
        if not ref:
            # One id for the whole request, like the original's counter.
            ref = str(next(self._numbers))
            wanted = [Wanted(one.recipient, one.text, ref, (), ttl, one.parts) for one in wanted]
        self.world.take(request, self, account, wanted, id=ref, cost=fields.get("cost"), op=fields.get("op"))

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        answer: dict[str, object] = {"id": sending.extra["id"], "cnt": sum(one.parts for one in sending.wanted)}
        if sending.extra["cost"] in {"2", "3"}:
            answer["cost"] = str(sum((message.cost for message in messages), Decimal(0)))
        if sending.extra["cost"] == "3" and sending.account.balance is not None:
            answer["balance"] = str(sending.account.balance)
        if sending.extra["op"] == "1":
            taken = {message.recipient: message for message in messages}
            answer["phones"] = [
                {"phone": one.recipient, "cost": str(taken[one.recipient].cost), "status": "", "error": ""}
                if one.recipient in taken
                else {"phone": one.recipient, "cost": "0", "status": "", "error": "8"}
                for one in sending.wanted
            ]
        return as_json(answer)

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        text, code = {
            "unauthorized": ("authorise error", 2),
            "no_balance": ("no money", 3),
            "refused": ("invalid number", 7),
            "blocked": ("message is denied", 8),
            "error_json": ("message is denied", 8),
        }.get(answer, ("parameters error", 1))
        error: dict[str, object] = {"error": text, "error_code": code}
        if code in {3, 6, 7, 8}:
            error["id"] = sending.extra["id"]
        return as_json(error)

    # --- statuses

    def _status(self, request: Request, account: Account, fields: dict[str, str]) -> None:
        phones, ids = fields.get("phone", ""), fields.get("id", "")
        pairs = list(zip(ids.split(","), phones.split(","), strict=False))
        as_list = len(pairs) > 1
        answers = [self._one(message_id, plain(phone), fields) for message_id, phone in pairs if message_id]
        if fields.get("del"):
            request.reply_json({"result": "OK"})
            return
        request.reply_json(
            answers if as_list else answers[0] if answers else {"error": "parameters error", "error_code": 1}
        )

    def _one(self, message_id: str, phone: str, fields: dict[str, str]) -> dict[str, object]:
        message = self.world.find(self.name, message_id, phone)
        if message is None:
            return {"status": -3, "last_date": "", "last_timestamp": 0}
        if fields.get("del"):
            message.recalled = message.status in {"accepted", "sent"}
        stamp = time.time()
        answer: dict[str, object] = {
            "status": self.statuses[message.status],
            "last_date": datetime.fromtimestamp(stamp, MOSCOW).strftime("%d.%m.%Y %H:%M:%S"),
            "last_timestamp": int(stamp),
        }
        if message.status in self.errs:
            answer["err"] = self.errs[message.status]
        return answer | self.more(message, message.status)

    def more(self, message: Message, status: str) -> dict[str, object]:
        """What a product says beside a status."""
        return {}

    def receipt(self, message: Message, status: str) -> Hook | None:
        code = self.statuses[status]
        fields: dict[str, Any] = {
            "id": message.id,
            "phone": message.recipient,
            "status": str(code),
            "time": datetime.now(UTC).astimezone(MOSCOW).strftime("%d.%m.%Y %H:%M:%S"),
            "ts": str(int(time.time())),
            "err": str(self.errs.get(status, 0)),
            "cnt": str(message.parts),
            "type": "0",
        }
        fields |= {name: str(value) for name, value in self.more(message, status).items()}
        secret = message.account.callback_secret
        signed = f"{message.id}:{message.recipient}:{code}:{secret}".encode()
        fields["md5"] = hashlib.md5(signed, usedforsecurity=False).hexdigest()
        fields["sha1"] = hashlib.sha1(signed, usedforsecurity=False).hexdigest()
        return _hook(message.account.callback_style, fields)

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        fields = {
            "id": str(next(self._numbers)),
            "phone": recipient,
            "mes": text,
            "to": "79000000000",
            "time": datetime.now(UTC).astimezone(MOSCOW).strftime("%d.%m.%Y %H:%M:%S"),
        }
        return _hook(account.callback_style, fields)


def _hook(style: str, fields: dict[str, Any]) -> Hook:
    if style == "json":
        return Hook(json.dumps(fields).encode(), {"Content-Type": "application/json"})
    if style == "get":
        return Hook(b"", method="GET", query=urlencode(fields))
    return Hook(urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"})


def _raw(request: Request) -> str:
    return request.query_string + "&" + request.body.decode("latin-1")
