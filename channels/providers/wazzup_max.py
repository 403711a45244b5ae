"""Wazzup24 for MAX: an ordinary account, by phone.

Sources and what is unverified: channels.providers.wazzup_wire. That `phone` is taken for MAX is known from one SDK only
(fact sheet, section 13); the answer's chatId is kept and written to as for Telegram. Besides unverified: whether
`delivered` and `read` come; the longest text (MAX's own 4,000 is taken).
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from cascade.vocabulary import ChannelKind
from channels.providers.base import N_
from channels.providers.wazzup_wire import DOUBTFUL, Wazzup, WazzupReceiptsConfig

CAPABILITIES: Final = replace(DOUBTFUL, learns_id=True, max_text=4000)


class WazzupMax(Wazzup):
    slug: ClassVar[str] = "wazzup_max"
    kind: ClassVar[ChannelKind] = ChannelKind.MAX
    title: ClassVar[str] = N_("Wazzup24 (MAX by phone)")
    messenger: ClassVar[str] = "MAX"
    chat_type: ClassVar[str] = "max"
    transports: ClassVar[frozenset[str]] = frozenset({"max"})
    capabilities = CAPABILITIES
    Config: ClassVar[type] = WazzupReceiptsConfig

    def recipient(self, address: str) -> dict[str, str]:
        """A phone is looked up by MAX, an id is written to."""
        return {"phone": address[1:]} if address.startswith("+") else {"chatId": address}
