"""Wazzup24 for Avito: answers in a chat that a client has begun about an advertisement; nobody is written to first.

Sources and what is unverified: channels.providers.wazzup_wire. A person's address is the chatId of their first message to
us. Besides unverified: whether `delivered` and `read` come at all (promised only if the owner says so), and the longest
text (Avito's own 1,000 is taken).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, Milestone
from channels.providers.base import N_, option
from channels.providers.wazzup_wire import DOUBTFUL, Wazzup, WazzupReceiptsConfig


@dataclass(frozen=True, slots=True)
class WazzupAvitoConfig(WazzupReceiptsConfig):
    tells_read: bool = option(
        N_("Reports “read”"),
        N_("Switch on after a test message to yourself whose report “read” came in."),
        default=False,
    )


CAPABILITIES: Final = replace(
    DOUBTFUL,
    address=AddressKind.CHAT_ID,
    reports={mile: how for mile, how in DOUBTFUL.reports.items() if mile is not Milestone.READ},
    max_text=1000,
)


class WazzupAvito(Wazzup):
    slug: ClassVar[str] = "wazzup_avito"
    kind: ClassVar[ChannelKind] = ChannelKind.AVITO
    title: ClassVar[str] = N_("Wazzup24 (Avito)")
    messenger: ClassVar[str] = "Avito"
    chat_type: ClassVar[str] = "avito"
    transports: ClassVar[frozenset[str]] = frozenset({"avito"})
    capabilities = CAPABILITIES
    Config: ClassVar[type] = WazzupAvitoConfig

    def recipient(self, address: str) -> dict[str, str]:
        return {"chatId": address}
