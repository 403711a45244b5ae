"""SMS.RU: flash calls. The phone rings, nobody need answer: the last four digits of the caller are the code.

Source: sms.ru/api/code_call as read in our fact sheet of 2026-11-22 (sections 4 and 10). Codes of errors and the
account: channels.providers.sms_ru_wire. For one-time codes only (docs/codes.md).

The provider picks the digits and answers with them, so they join ours (Accepted.code). Whether a call came through is
not told: the typed code is the only proof, and the chain goes on to SMS when none comes.

Unverified: the meanings of error codes for this method (they are those of messages); whether `ip`, the person's address
for the provider's own guard against fraud, may be left out (it is); rates. There is no time-to-live, recall or own id:
a lost answer means that the digits of that call are unknown to us, and the person's code will be the next step's.
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
    secret,
)
from channels.providers.sms_ru_wire import OK, SmsRuAccount


@dataclass(frozen=True, slots=True)
class SmsRuCallConfig:
    api_id: str = secret(N_("API key (api_id)"), N_("On the main page of the cabinet at sms.ru."))


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

#: Digits of a code the caller's number ends with.
DIGITS: Final = 4


class SmsRuCall(SmsRuAccount):
    slug: ClassVar[str] = "sms_ru_call"
    kind: ClassVar[ChannelKind] = ChannelKind.VOICE
    title: ClassVar[str] = N_("SMS.RU (flash call with a code)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmsRuCallConfig

    config: SmsRuCallConfig

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        """Raises ValueError for a message that is no code."""
        if not all(message.code for message in messages):
            raise ValueError("a flash call carries one-time codes only")
        return [self._ask("code/call", (one.ref,), phone=one.address.lstrip("+")) for one in messages]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is None or answer.status != 200:
            return wire.by_status_results(call, answer, self._secrets)
        code, call_id = wire.ident(body.get("code")), wire.ident(body.get("call_id"))
        told = wire.number(body.get("status_code"))
        if body.get("status") != "OK" and told != OK:
            return self._refused(call, told, body)
        digits = code.zfill(DIGITS)  # sent as a number, it has lost its zeros
        if not call_id or not code or not (digits.isascii() and digits.isdigit()) or len(digits) != DIGITS:
            return self._refused(call, None, body)
        return [Accepted(ref, call_id, cost=wire.money(body.get("cost")), code=digits) for ref in call.refs]
