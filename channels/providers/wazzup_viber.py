"""Wazzup24 for Viber: an ordinary account, by phone.

Sources and what is unverified: channels.providers.wazzup_wire. Besides: whether `delivered` and `read` come at all; the word
for the transport in the list of channels (`viber` is taken); the longest text (about 7,000 characters in one source).
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from cascade.vocabulary import ChannelKind
from channels.providers.base import N_
from channels.providers.wazzup_wire import DOUBTFUL, Wazzup, WazzupReceiptsConfig

CAPABILITIES: Final = replace(DOUBTFUL, max_text=7000)


class WazzupViber(Wazzup):
    slug: ClassVar[str] = "wazzup_viber"
    kind: ClassVar[ChannelKind] = ChannelKind.VIBER
    title: ClassVar[str] = N_("Wazzup24 (Viber)")
    messenger: ClassVar[str] = "Viber"
    chat_type: ClassVar[str] = "viber"
    transports: ClassVar[frozenset[str]] = frozenset({"viber"})
    capabilities = CAPABILITIES
    Config: ClassVar[type] = WazzupReceiptsConfig
