"""Flash calls of SMS.RU as the fact sheet of 2026-11-22 (section 4) tells them: code/call. Mounted at /sms_ru_call.

The digits are the last four of a counter: the journal has them as the text of the message.
"""

from __future__ import annotations

from emulator.http import Request
from emulator.providers.base import Hook, Reply, as_json, front_refusal
from emulator.providers.sms_ru import SmsRu
from emulator.world import Message, Sending, Wanted, plain

REFUSALS = {"refused": 202, "blocked": 207, "no_balance": 201, "unauthorized": 200}


class SmsRuCall(SmsRu):
    name = "sms_ru_call"

    def handle(self, request: Request, path: str) -> None:
        if path != "/code/call":
            super().handle(request, path)
            return
        fields = request.fields()
        account = self.world.account(self.name, fields.get("api_id", ""))
        digits = f"{len(self.world.messages) * 37 % 10_000:04d}"
        self.world.take(request, self, account, [Wanted(plain(fields.get("phone", "")), digits)])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        call = messages[0]
        told = {"code": call.text, "call_id": call.id, "cost": 0.4, "balance": 4122.56}
        return as_json({"status": "OK", **told})

    def refusal(self, sending: Sending, answer: str) -> Reply:
        front = front_refusal(answer)
        if front is not None:
            return front
        return as_json({"status": "ERROR", "status_code": REFUSALS.get(answer, 207), "status_text": answer})

    def receipt(self, message: Message, status: str) -> Hook | None:
        return None
