"""Wazzup24 for Telegram: an ordinary account (transport `tgapi`), by phone; not a bot (`telegram`).

Sources and what is unverified: channels.providers.wazzup_wire. A phone is sent as `phone`, and the answer's chatId is the
person's Telegram id, from which they write back: it is kept with the phone it was found for and written to for a month
(Capabilities.learns_id). Besides unverified: whether `delivered` and `read` come; what a phone without Telegram, or one
hidden from search, is answered with (BAD_CONTACT is taken for "not there").
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from cascade.vocabulary import ChannelKind
from channels.providers.base import N_
from channels.providers.wazzup_wire import DOUBTFUL, Wazzup, WazzupReceiptsConfig

CAPABILITIES: Final = replace(DOUBTFUL, learns_id=True, max_text=4096)


class WazzupTelegram(Wazzup):
    slug: ClassVar[str] = "wazzup_telegram"
    kind: ClassVar[ChannelKind] = ChannelKind.TELEGRAM
    title: ClassVar[str] = N_("Wazzup24 (Telegram by phone)")
    messenger: ClassVar[str] = "Telegram"
    chat_type: ClassVar[str] = "telegram"
    transports: ClassVar[frozenset[str]] = frozenset({"tgapi"})
    capabilities = CAPABILITIES
    Config: ClassVar[type] = WazzupReceiptsConfig

    def recipient(self, address: str) -> dict[str, str]:
        """A phone is looked up by Telegram, an id is written to."""
        return {"phone": address[1:]} if address.startswith("+") else {"chatId": address}
