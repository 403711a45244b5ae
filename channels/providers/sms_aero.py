"""SMS Aero, API v2: SMS.

Sources, login and answers: channels.providers.sms_aero_wire.

Unverified, and how we live with it:
* what the callback says. That `callbackUrl` exists and wants a 200 is verified; its fields are not. We read `id` and
  `status` as sms/status names them, in JSON, a form or the query, also inside `data`; a callback without a status
  waits in quarantine, and statuses are asked for in any case. Option `callbacks`: off, nothing is asked for.
* nothing is signed. Each message gets an address of its own with a key in it (wire.message_callback_url), so nobody
  else can tell us anything. If SMS Aero drops or rewrites that query, callbacks are refused and polling remains.
* statuses 3, 4 and 8 (passed on, waiting, moderation): meanings unknown or third-party; they prove acceptance and no
  more. 2 and 6 as final failures are third-party. A status with `extendStatus: moderation` is never final.
* no time-to-live and no recall were seen anywhere: a message may arrive after the next step.
* no own ids and no duplicate guard. A lost answer is settled by the callback, if it comes: sms/list can be searched
  by number and text only, which does not tell two messages apart.
* HLR answers later and costs money: not used as a registration check. Rates and batch limits are not documented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    EMAIL,
    N_,
    Accepted,
    Answer,
    Call,
    CallbackItem,
    CallbackRequest,
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
from channels.providers.sms_aero_wire import SmsAeroAccount, as_number, record_of


@dataclass(frozen=True, slots=True)
class SmsAeroConfig:
    email: str = option(N_("E-mail of the account"), N_("The one you log in to the cabinet with."), shape=EMAIL)
    api_key: str = secret(
        N_("API key"), N_("Cabinet: settings, API key (smsaero.ru/cabinet/settings/apikey). Not the password.")
    )
    sign: str = option(
        N_("Sender name"),
        N_("As approved in the cabinet. “SMS Aero” is the common name for those who have none of their own yet."),
        default="SMS Aero",
    )
    callbacks: bool = option(
        N_("Ask for receipts at once"),
        N_("Each message names an address of this server. Statuses are asked for in any case, only later."),
        default=True,
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.DELIVERED: How.POLL,
        Milestone.CLICKED: How.LINK,
    },
    poll_batch=1,
    balance=True,
    max_text=640,
    counts_sms_parts=True,
    default_rate=10.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: Status -> milestone.
MILESTONES: Final[dict[int, Milestone]] = {
    0: Milestone.ACCEPTED,  # in the queue
    1: Milestone.DELIVERED,
    3: Milestone.ACCEPTED,
    4: Milestone.ACCEPTED,
    8: Milestone.ACCEPTED,  # waits for a moderator: the step's clock does not wait for him
}

#: Status that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    2: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    6: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
}


class SmsAero(SmsAeroAccount):
    slug: ClassVar[str] = "sms_aero"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("SMS Aero (SMS)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmsAeroConfig

    config: SmsAeroConfig

    def __init__(self, config: SmsAeroConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        if config.callbacks:
            reports = {**CAPABILITIES.reports, Milestone.DELIVERED: How.BOTH}
            self.capabilities = replace(CAPABILITIES, reports=reports, callback_per_message=True)

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._single(message) for message in messages]

    def _single(self, message: OutgoingMessage) -> HttpCall:
        fields = {"number": as_number(message.address), "text": message.text, "sign": self.config.sign}
        if self.config.callbacks and self.callback_url:
            fields["callbackUrl"] = wire.message_callback_url(self.callback_url, self.callback_secret, message.ref)
            fields["callbackFormat"] = "JSON"
        return self._ask("sms/send", (message.ref,), **fields)

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        record = self._taken(call, answer)
        if isinstance(record, list):
            return record
        status = wire.number(record.get("status"))
        if status in FAILED_STATUSES:
            failure, reason = FAILED_STATUSES[status]
            return wire.failures(call, failure, f"status {status}", reason=reason)
        cost = wire.money(record.get("cost"))
        return [Accepted(ref, wire.ident(record.get("id")), cost=cost) for ref in call.refs]

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [
            self._ask("sms/status", (message.ref,), id=as_number(message.provider_message_id))
            for message in messages
            if message.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer) or not isinstance(call, HttpCall):
            return []
        body = wire.json_object(answer.body) or {}
        record, asked = record_of(body), wire.ident(wire.get_dict(call.json).get("id"))
        if body.get("success") is not True or wire.ident(record.get("id")) not in {"", asked} or "status" not in record:
            return []
        return [self._report(record, asked, call.refs[0] if call.refs else "")]

    def _report(self, record: dict[str, Any], message_id: str, ref: str) -> StatusReport:
        raw = wire.scrub(wire.scalar(record.get("status")), self._secrets)
        words = wire.scrub(wire.scalar(record.get("extendStatus")), self._secrets)
        status = wire.number(raw)
        milestone = MILESTONES.get(status) if status is not None else None
        failure, reason = FAILED_STATUSES.get(status, (None, None)) if status is not None else (None, None)
        if words == "moderation" and (milestone or failure):
            milestone, failure, reason = Milestone.ACCEPTED, None, None
        return StatusReport(
            event_key=f"{message_id or ref}:{raw}:{words}"[: wire.MAX_IDENT],
            raw=raw,
            ref=ref,
            provider_message_id=message_id,
            milestone=milestone,
            failure=failure,
            reason=reason,
            detail=wire.scrub(f"status {raw}" + (f" ({words})" if words else ""), self._secrets),
            at=wire.moment(record.get("dateAnswer")) if milestone is not Milestone.ACCEPTED else None,
            cost=wire.money(record.get("cost")),
        )

    def verify_callback(self, request: CallbackRequest) -> None:
        wire.verify_message_key(request, self.callback_secret)

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        fields = wire.callback_fields(request)
        record = fields if "status" in fields else record_of(fields)
        if not wire.scalar(record.get("status")):
            raise ValueError("no status in it")
        return [self._report(record, wire.ident(record.get("id")), wire.message_ref(request))]
