"""Flash calls of SMS Aero v2 as the vendor's libraries make them: flashcall/send. Mounted at /sms_aero_call."""

from __future__ import annotations

from emulator.http import Request
from emulator.providers.base import Hook, Reply, as_json
from emulator.providers.sms_aero import SmsAero, basic, refuse
from emulator.world import Message, Sending, Wanted, plain


class SmsAeroCall(SmsAero):
    name = "sms_aero_call"

    def handle(self, request: Request, path: str) -> None:
        if path != "/v2/flashcall/send":
            super().handle(request, path)
            return
        email, _, key = basic(request.header("authorization")).partition(":")
        account, body = self.world.account(self.name, email), request.json()
        phone, code = body.get("phone"), body.get("code")
        if not key or not isinstance(phone, int) or not isinstance(code, int) or not 1000 <= code <= 9999:
            self.world.other(self.name, "call refused", request)
            refuse(request, 200 if key else 401, "Validation error.", {"phone": ["is invalid"]})
            return
        self.world.take(request, self, account, [Wanted(plain(str(phone)), str(code))])

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return as_json({"success": True, "data": {"id": int(messages[0].id), "status": 0}, "message": None})

    def receipt(self, message: Message, status: str) -> Hook | None:
        return None
