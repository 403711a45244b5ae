"""SMS Aero, API v2: Viber Business messages, by phone.

Sources: `viber/send`, `viber/list`, `viber/statistic` as the vendor's own libraries have them (smsaero-api 3.2.0 for Python
and its async twin, github smsaero/*: read on 2026-11-22 and 2026-11-25), correction A15; of Viber itself: messengers,
section 8b. Login and answers: channels.providers.sms_aero_wire.

We send one message to one number and never ask for the gateway's own fallback (`signSms`, `textSms`): our next step
would be a second copy, and nobody could say which of the two arrived.

Unverified, and how we live with it:
* statuses. The examples show two: 0 "send" (ours: sent) and 2 "write" (ours: read); `viber/send` itself answers
  1 "moderation". What the others are called is not known: the owner names them (`delivered_words`, `failed_words`) as
  the cabinet or a test shows them. A word nobody named is no news.
* for how long a message waits for a moderator: the step's clock does not wait for him.
* the time-to-live of a message (Viber has one, 30 s to 14 days; no field for it was seen), recall, callbacks, own ids,
  rates. A lost answer stays unknown; a message may arrive after the next step.
* that `viber/statistic` of a message to one number has one record, under "0" or in a list: the number is compared.
* `channel`: OFFICIAL by the examples; the cabinet may want another (INFO).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    Answer,
    Call,
    Capabilities,
    How,
    HttpCall,
    OutgoingMessage,
    SendResult,
    SentMessage,
    StatusReport,
    option,
    secret,
)
from channels.providers.sms_aero_wire import SmsAeroAccount, as_number


@dataclass(frozen=True, slots=True)
class SmsAeroViberConfig:
    email: str = option(N_("E-mail of the account"), N_("The one you log in to the cabinet with."))
    api_key: str = secret(
        N_("API key"), N_("Cabinet: settings, API key (smsaero.ru/cabinet/settings/apikey). Not the password.")
    )
    sign: str = option(N_("Viber sender name"), N_("As approved for Viber in the cabinet; it is not the one of SMS."))
    channel: str = option(
        N_("Viber channel"), N_("As your manager says; OFFICIAL is usual."), default="OFFICIAL", rare=True
    )
    delivered_words: str = option(
        N_("Status: delivered"),
        N_("The word or number SMS Aero's statistics show for it; several with commas. Empty: only reading is known."),
        default="",
    )
    failed_words: str = option(
        N_("Status: not delivered"), N_("The words or numbers for failed messages, with commas."), default=""
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.POLL,
        Milestone.READ: How.POLL,
        Milestone.CLICKED: How.LINK,
    },
    poll_batch=1,
    balance=True,
    max_text=640,
    default_rate=10.0,
    charged_on=ChargedOn.DELIVERED,
)

#: `status` or `extendStatus` -> milestone.
MILESTONES: Final[dict[str, Milestone]] = {
    "0": Milestone.SENT,
    "send": Milestone.SENT,
    "2": Milestone.READ,
    "write": Milestone.READ,
    "moderation": Milestone.ACCEPTED,
}


class SmsAeroViber(SmsAeroAccount):
    slug: ClassVar[str] = "sms_aero_viber"
    kind: ClassVar[ChannelKind] = ChannelKind.VIBER
    title: ClassVar[str] = N_("SMS Aero (Viber)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmsAeroViberConfig

    config: SmsAeroViberConfig

    def __init__(self, config: SmsAeroViberConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._delivered, self._failed = _words(config.delivered_words), _words(config.failed_words)
        if self._delivered:
            self.capabilities = replace(CAPABILITIES, reports={**CAPABILITIES.reports, Milestone.DELIVERED: How.POLL})

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            self._ask(
                "viber/send",
                (message.ref,),
                number=as_number(message.address),
                sign=self.config.sign,
                channel=self.config.channel,
                text=message.text,
            )
            for message in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        record = self._taken(call, answer)
        if isinstance(record, list):
            return record
        cost = wire.money(record.get("cost"))
        return [Accepted(ref, wire.ident(record.get("id")), cost=cost) for ref in call.refs]

    # --- statuses

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [
            replace(
                self._ask("viber/statistic", (message.ref,), sendingId=as_number(message.provider_message_id)),
                query={"page": "1"},
            )
            for message in messages
            if message.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer) or not isinstance(call, HttpCall) or not call.refs:
            return []
        body = wire.json_object(answer.body) or {}
        rows = [row for row in _rows(body.get("data")) if "status" in row or "extendStatus" in row]
        if body.get("success") is not True or len(rows) != 1:
            return []
        asked = wire.ident(wire.get_dict(call.json).get("sendingId"))
        return [self._report(rows[0], asked, call.refs[0])]

    def _report(self, row: dict[str, Any], message_id: str, ref: str) -> StatusReport:
        status, word = (
            wire.scrub(wire.ident(row.get(name)), self._secrets).lower() for name in ("status", "extendStatus")
        )
        milestone, failure = None, None
        if {status, word} & self._delivered:
            milestone = Milestone.DELIVERED
        elif {status, word} & self._failed:
            failure = FailureClass.RECIPIENT_PERMANENT
        else:
            milestone = MILESTONES.get(word) or (MILESTONES.get(status) if not word else None)
        raw = word or status
        return StatusReport(
            event_key=f"{message_id}:{status}:{word}"[: wire.MAX_IDENT],
            raw=raw,
            ref=ref,
            provider_message_id=message_id,
            milestone=milestone,
            failure=failure,
            reason=Reason.RECIPIENT_REFUSED if failure else None,
            detail=wire.scrub(f"status {status} ({word})", self._secrets),
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())


def _rows(data: Any) -> list[dict[str, Any]]:
    """Records of a list, or of an object with keys "0", "1" ... beside its "links" (A15)."""
    found = data if isinstance(data, list) else list(data.values()) if isinstance(data, dict) else []
    return [row for row in found if isinstance(row, dict)]
