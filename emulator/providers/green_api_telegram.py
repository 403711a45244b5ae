"""GREEN-API (Telegram, beta) as the fact sheet of 2026-11-22 (section 4) tells it, mounted at /green_api_telegram: the wire
of MAX with another length of a text."""

from __future__ import annotations

from emulator.providers.green_api_max import GreenMax


class GreenTelegram(GreenMax):
    name = "green_api_telegram"
    max_text = 4096
    type_instance = "telegram"
