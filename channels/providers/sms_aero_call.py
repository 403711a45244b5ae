"""SMS Aero, API v2: flash calls. The phone rings, nobody need answer: the caller's number ends with our code.

Source: `flashcall/send` of smsaero 2.0.0 for Node and of the vendor's other libraries (github smsaero/*), as read in our fact
sheet of 2026-11-22 (sections 2 and 10) and on 2026-11-25. Login and answers: channels.providers.sms_aero_wire. For
one-time codes only (docs/codes.md).

Whether a call came through is not asked for: the typed code is the only proof, and the chain goes on to SMS when none
comes.

Unverified: the record in the answer (an `id` is read as everywhere at SMS Aero); statuses of `flashcall/status` (not
used); how many digits a code may have (4 in all examples, so longer ones are refused here); prices and rates. The code is
sent as a number, as their libraries do: ours never begin with a zero. No time-to-live, recall or own id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, Milestone
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    Answer,
    Call,
    Capabilities,
    How,
    OutgoingMessage,
    SendResult,
    option,
    secret,
)
from channels.providers.sms_aero_wire import SmsAeroAccount, as_number


@dataclass(frozen=True, slots=True)
class SmsAeroCallConfig:
    email: str = option(N_("E-mail of the account"), N_("The one you log in to the cabinet with."))
    api_key: str = secret(
        N_("API key"), N_("Cabinet: settings, API key (smsaero.ru/cabinet/settings/apikey). Not the password.")
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={Milestone.ACCEPTED: How.ANSWER},
    poll_batch=0,
    balance=True,
    max_text=1000,  # of the text nobody says
    default_rate=5.0,
    charged_on=ChargedOn.ACCEPTED,
    codes_only=True,
)

#: Digits a caller's number can end with.
DIGITS: Final = 4


class SmsAeroCall(SmsAeroAccount):
    slug: ClassVar[str] = "sms_aero_call"
    kind: ClassVar[ChannelKind] = ChannelKind.VOICE
    title: ClassVar[str] = N_("SMS Aero (flash call with a code)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmsAeroCallConfig

    config: SmsAeroCallConfig

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        """Raises ValueError for a message that is no code of four digits."""
        if not all(len(message.code) == DIGITS for message in messages):
            raise ValueError("a flash call of SMS Aero carries one-time codes of four digits only")
        return [
            self._ask("flashcall/send", (one.ref,), phone=as_number(one.address), code=as_number(one.code))
            for one in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        record = self._taken(call, answer)
        if isinstance(record, list):
            return record
        cost = wire.money(record.get("cost"))
        return [Accepted(ref, wire.ident(record.get("id")), cost=cost) for ref in call.refs]
