"""Viber of SMS Aero v2 as the vendor's libraries show it: viber/send, viber/statistic, balance. Mounted at /sms_aero_viber.

What statuses besides "send" and "write" are called is not known: here they have names nobody would guess.
"""

from __future__ import annotations

import time
from typing import Any

from emulator.http import Request
from emulator.providers.base import Hook, Reply, as_json
from emulator.providers.sms_aero import SmsAero, basic, refuse
from emulator.world import Account, Message, Sending, Wanted, plain

STATUSES = {"accepted": (1, "moderation"), "sent": (0, "send"), "delivered": (5, "word-arrived"), "read": (2, "write")}
NOT_DELIVERED = (6, "word-lost")


class SmsAeroViber(SmsAero):
    name = "sms_aero_viber"

    def handle(self, request: Request, path: str) -> None:
        email, _, key = basic(request.header("authorization")).partition(":")
        account, body = self.world.account(self.name, email), request.json()
        if path == "/v2/viber/send":
            self._send_viber(request, account, body, key)
        elif path == "/v2/viber/statistic" and key and account.state != "unauthorized":
            self.world.other(self.name, path.removeprefix("/v2/"), request, ids=str(body.get("sendingId", "")))
            message = self.world.find_by_id(self.name, str(body.get("sendingId", "")))
            if message is None:
                refuse(request, 200, "Not found")
                return
            status, word = STATUSES.get(message.status, NOT_DELIVERED)
            row = {"number": message.recipient, "status": status, "extendStatus": word, "dateSend": int(time.time())}
            links = {"self": f"/v2/viber/statistic?sendingId={message.id}&page=1"}
            request.reply_json({"success": True, "data": {"0": row, "links": links}, "message": None})
        else:
            super().handle(request, path)

    def _send_viber(self, request: Request, account: Account, body: dict[str, Any], key: str) -> None:
        number, text = body.get("number"), body.get("text")
        sound = isinstance(number, int) and isinstance(text, str) and 2 <= len(text) <= 640 and body.get("channel")
        if not key or not sound or not body.get("sign") or "signSms" in body:
            self.world.other(self.name, "send refused", request)
            refuse(request, 200 if key else 401, "Validation error.", {"number": ["is invalid"]})
            return
        self.world.take(request, self, account, [Wanted(plain(str(number)), str(text))])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        message = messages[0]
        counts = dict.fromkeys(("countSend", "countDelivered", "countWrite", "countUndelivered", "countError"), 0)
        record = {
            "id": int(message.id),
            "number": message.recipient,
            "count": 1,
            "sign": "SALON",
            "channel": "OFFICIAL",
        }
        record |= {
            "text": message.text,
            "cost": float(message.cost),
            "status": 1,
            "extendStatus": "moderation",
            **counts,
        }
        return as_json({"success": True, "data": record, "message": None})

    def receipt(self, message: Message, status: str) -> Hook | None:
        return None
