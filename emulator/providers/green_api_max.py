"""GREEN-API (MAX) as the fact sheet of 2026-11-22 (section 4) and corrections A2, A29-A31 tell it, mounted at
/green_api_max: a person is written to by an id that checkAccount finds for a phone."""

from __future__ import annotations

from typing import Any

from emulator.http import Request
from emulator.providers.green import Green
from emulator.world import Account

#: Between a phone and its id here; the real ids are nobody's arithmetic.
APART = 70_000_000_000


class GreenMax(Green):
    name = "green_api_max"
    max_text = 4000
    type_instance = "v3"

    def chat(self, recipient: str) -> str:
        return str(int(recipient) - APART)

    def recipient(self, chat: str) -> str:
        return str(int(chat) + APART) if chat.isascii() and chat.isdigit() else ""

    def _do_checkAccount(self, request: Request, account: Account, body: dict[str, Any]) -> None:  # noqa: N802
        phone = self.checkable(request, account, body)
        if not phone:
            return
        behaviour, _ = self.world.peek(self.name, phone)
        if behaviour.name == "not_there":
            request.reply_json({"exist": False, "chatId": "", "fromCache": False})
        else:
            request.reply_json({"exist": True, "chatId": self.chat(phone), "fromCache": False})
