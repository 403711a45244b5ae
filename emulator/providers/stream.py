"""Stream Telecom's REST as its clients use it (see the fact sheet of 2026-11-22, section 3): Send/SendSms/,
State/state.php, Balance/balance.php, Session/session.php. Mounted at /stream. An account's name is its login.

What its callback says is not known: here it repeats the answer of State.
"""

from __future__ import annotations

import time
from urllib.parse import urlencode

from emulator.http import Request
from emulator.providers.base import Hook, HttpProvider, Reply, as_json, front_refusal
from emulator.providers.smsc import parts_of
from emulator.world import Account, Message, Sending, Wanted, plain

STATES = {"sent": (-1, "Отправлено"), "delivered": (0, "Доставлено"), "read": (0, "Доставлено")}
STATES |= {"expired": (46, "Просрочено"), "failed": (42, "Не доставлено"), "not_registered": (42, "Не доставлено")}
UNKNOWN = (255, "Неизвестный")
ERRORS = {
    "unauthorized": (4, "UnauthorizedAccess"),
    "no_balance": (5, "NotEnoughCredits"),
    "refused": (2, "InvalidArgument"),
    "error_json": (9, "InternalServerError"),
}


class Stream(HttpProvider):
    name = "stream"

    def handle(self, request: Request, path: str) -> None:
        fields = request.fields()
        account = self.world.account(self.name, fields.get("login", ""))
        known = bool(fields.get("pass") or fields.get("password")) and account.state != "unauthorized"
        if path == "/rest/Send/SendSms/" and known:
            self._send(request, account, fields)
            return
        self.world.other(self.name, path.removeprefix("/rest/"), request, ids=fields.get("messageId", ""))
        if not known:
            request.reply_json(_error("unauthorized"))
        elif path == "/rest/State/state.php":
            message = self.world.find_by_id(self.name, fields.get("messageId", ""))
            request.reply_json(_state(message, message.status if message else ""))
        elif path == "/rest/Balance/balance.php":
            request.reply_json(float(account.left))
        elif path == "/rest/Session/session.php":
            request.reply_json("OTUH5OC1IFU2LZQNBBH4E7GE0IBPQ1EKRXR1")
        else:
            request.reply(404, b"<html>404</html>", "text/html")

    def _send(self, request: Request, account: Account, fields: dict[str, str]) -> None:
        phone, text, sender = (fields.get(n, "") for n in ("destinationAddress", "data", "sourceAddress"))
        if not phone or not text or not sender:
            self.world.other(self.name, "send without phone, text or sender", request)
            request.reply_json({"Code": 1, "Desc": "ArgumentCanNotBeNullOrEmpty"})
            return
        callback = fields.get("callback_url", "")
        ref = callback.partition("ref=")[2].partition("&")[0]
        ttl = float(fields.get("validity") or 0) * 60
        wanted = Wanted(plain(phone), text, ref, ttl=ttl, parts=parts_of(text), callback=callback)
        self.world.take(request, self, account, [wanted])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json([message.id for message in messages])

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        return as_json(_error(answer))

    def receipt(self, message: Message, status: str) -> Hook | None:
        # As everything this provider takes and gives: a form, with the names of State.
        fields = {name: value for name, value in _state(message, status).items() if value is not None}
        return Hook(urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"})


def _state(message: Message | None, status: str) -> dict[str, object]:
    code, words = STATES.get(status, UNKNOWN)
    now = f"/Date({int(time.time() * 1000)})/"
    return {
        "State": code,
        "StateDescription": words,
        "Price": float(message.cost) if message else None,
        "CreationDateUtc": now,
        "SubmittedDateUtc": now,
        "ReportedDateUtc": now if code in {0, 42, 46} else None,
        "TimeStampUtc": now,
    }


def _error(answer: str) -> dict[str, object]:
    code, words = ERRORS.get(answer, (2, "InvalidArgument"))
    return {"Code": code, "Desc": words}
