"""GREEN-API for Telegram (beta): writes by phone, from an ordinary Telegram account (QR code or SMS), not a bot.

Sources: green-api.com/telegram/docs/api (beta), as read in our fact sheet of 2026-11-22, section 4, corrections A2,
A31; the rest in channels.providers.green_wire. Nothing of it was seen on a real account (corrections, D).

Unverified, and how we live with it:
* taking a message back: not offered.
* `delivered` is the gateway's own conclusion: counts as sent unless the owner believes it; trust `read`.
* getMessage, documented for MAX and WhatsApp, is asked here too: where it answers nothing, only webhooks tell.
* whether statuses `sent` and `noAccount` are ever sent for Telegram: understood if they come.
* a personal chat's id is a number, a group's is negative: what is not digits is nobody's answer to us.
* a refused chatId ends the step; it is not remembered against the person.
* how long the messenger limits checks: the owner's number of minutes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from cascade.vocabulary import ChannelKind
from channels.providers.base import N_
from channels.providers.green_wire import BY_PHONE, GreenByPhone, GreenByPhoneConfig

CAPABILITIES: Final = replace(BY_PHONE, max_text=4096)


class GreenApiTelegram(GreenByPhone):
    slug: ClassVar[str] = "green_api_telegram"
    kind: ClassVar[ChannelKind] = ChannelKind.TELEGRAM
    title: ClassVar[str] = N_("GREEN-API (Telegram by phone, beta)")
    messenger: ClassVar[str] = "Telegram"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = GreenByPhoneConfig
