"""Wazzup24 for WhatsApp: an ordinary account (transport `whatsapp`) or Meta's own API behind Wazzup (`wapi`).

Sources and what is unverified: channels.providers.wazzup_wire. Free text through `wapi` reaches only who wrote in the last
24 hours: Wazzup then answers 24_HOURS_EXCEEDED. Its templates (templateId) are not offered here: which of their values
fill what is not documented well enough. For templates there is channels.providers.whatsapp_cloud.

Texts: 10,000 characters through an ordinary account, 4,096 through `wapi`; the smaller holds for both.
"""

from __future__ import annotations

from typing import ClassVar

from cascade.vocabulary import ChannelKind
from channels.providers.base import N_
from channels.providers.wazzup_wire import CAPABILITIES, Wazzup


class WazzupWhatsApp(Wazzup):
    slug: ClassVar[str] = "wazzup_whatsapp"
    kind: ClassVar[ChannelKind] = ChannelKind.WHATSAPP
    title: ClassVar[str] = N_("Wazzup24 (WhatsApp)")
    messenger: ClassVar[str] = "WhatsApp"
    chat_type: ClassVar[str] = "whatsapp"
    transports: ClassVar[frozenset[str]] = frozenset({"whatsapp", "wapi"})
    capabilities = CAPABILITIES
