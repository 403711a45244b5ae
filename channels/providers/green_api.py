"""GREEN-API for WhatsApp: a gateway over an ordinary WhatsApp account (QR code), not Meta's official API.

Sources and what is unverified: channels.providers.green_wire; of this messenger: checkWhatsapp takes `chatId` and
`force` too (correction A29), which are not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

from cascade.vocabulary import ChannelKind
from channels.providers import green_wire, wire
from channels.providers.base import N_, AddressChange, AddressState, Answer, Call, HttpCall
from channels.providers.green_wire import GreenApi, GreenConfig, says_bad_phone

CAPABILITIES: Final = replace(green_wire.CAPABILITIES, recall=True, max_text=20_000)


class GreenApiWhatsApp(GreenApi):
    slug: ClassVar[str] = "green_api_whatsapp"
    kind: ClassVar[ChannelKind] = ChannelKind.WHATSAPP
    title: ClassVar[str] = N_("GREEN-API (WhatsApp)")
    messenger: ClassVar[str] = "WhatsApp"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = GreenConfig

    def chat_of(self, address: str) -> str:
        return f"{address.removeprefix('+')}@c.us"

    def address_of(self, chat: str) -> str:
        digits = chat.removesuffix("@c.us")
        return f"+{digits}" if digits != chat and digits.isascii() and digits.isdigit() else ""

    def build_check(self, addresses: Sequence[str]) -> list[Call]:
        url = self._url("checkWhatsapp")
        return [
            HttpCall("POST", url, json={"phoneNumber": int(digits)}, refs=(address,))
            for address in addresses
            if (digits := address.removeprefix("+")).isascii() and digits.isdigit() and len(digits) < 20
        ]

    def read_check(self, call: Call, answer: Answer) -> list[AddressChange]:
        """Only an explicit yes or no counts: "instance not authorized" also comes with HTTP 200 (correction A2), and
        taking that for a no would write off WhatsApp for everybody."""
        if answer.no_answer is not None or answer.truncated or not isinstance(call, HttpCall):
            return []
        address = f"+{wire.scalar(wire.get_dict(call.json).get('phoneNumber'))}"
        if says_bad_phone(answer):
            return [AddressChange(address, AddressState.INVALID)]
        body = wire.get_dict(wire.parse_json(answer.body))
        exists = body.get("existsWhatsapp")
        if answer.status != 200 or not isinstance(exists, bool):
            return []
        state = AddressState.REACHABLE if exists else AddressState.NOT_REGISTERED
        return [AddressChange(address, state, resolved=wire.ident(body.get("chatId")) if exists else "")]
