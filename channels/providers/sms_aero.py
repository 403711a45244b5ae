"""SMS Aero, API v2.

Sources: PyPI smsaero-api 3.2.0, npm smsaero 2.0.0, github smsaero/smsaero_php and smsaero_golang as read in our fact
sheet of 2026-11-22 (section 2), corrections A14, A15. The vendor's own pages are a program and could not be read.

We do not use the vendor's libraries: they post the same SMS again to the next host on any exception.

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

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    CallbackItem,
    CallbackRequest,
    Capabilities,
    How,
    HttpCall,
    OutgoingMessage,
    Provider,
    SendResult,
    SentMessage,
    StatusReport,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class SmsAeroConfig:
    email: str = option(N_("E-mail of the account"), N_("The one you log in to the cabinet with."))
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

#: Field that "Validation error." names in `data` -> what it means. The first one named here decides: a bad sender
#: name is everybody's trouble, a bad number one person's.
ERRORS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "callbackUrl": (FailureClass.AUTH, None),  # our address is not accepted: trouble of this account's settings
    "sign": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "text": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    "number": (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
}
#: The other form of refusal: {"result": word}.
RESULTS: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "no credits": (FailureClass.BALANCE, None),
    "reject": (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
}
#: Words in `message` of an answer without success.
WORDS: Final[tuple[tuple[str, FailureClass], ...]] = (
    ("auth", FailureClass.AUTH),
    ("авториз", FailureClass.AUTH),
    ("credit", FailureClass.BALANCE),
    ("money", FailureClass.BALANCE),
    ("balance", FailureClass.BALANCE),
    ("средств", FailureClass.BALANCE),
)


class SmsAero(Provider):
    slug: ClassVar[str] = "sms_aero"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("SMS Aero (SMS)")
    base_url: ClassVar[str] = "https://gate.smsaero.ru"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmsAeroConfig

    config: SmsAeroConfig

    def __init__(self, config: SmsAeroConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        if config.callbacks:
            reports = {**CAPABILITIES.reports, Milestone.DELIVERED: How.BOTH}
            self.capabilities = replace(CAPABILITIES, reports=reports, callback_per_message=True)
        login = base64.b64encode(f"{config.email}:{config.api_key}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._secrets = (login, config.api_key, callback_secret)

    def _ask(self, method: str, refs: tuple[str, ...] = (), **fields: Any) -> HttpCall:
        """JSON always: a form is answered with "Validation error."."""
        return HttpCall("POST", f"{self.base}/v2/{method}", headers=self._headers, json=fields, refs=refs)

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._single(message) for message in messages]

    def _single(self, message: OutgoingMessage) -> HttpCall:
        fields = {"number": _number(message.address), "text": message.text, "sign": self.config.sign}
        if self.config.callbacks and self.callback_url:
            fields["callbackUrl"] = wire.message_callback_url(self.callback_url, self.callback_secret, message.ref)
            fields["callbackFormat"] = "JSON"
        return self._ask("sms/send", (message.ref,), **fields)

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is None or wire.by_http_status(answer) is not FailureClass.OUTCOME_UNKNOWN or answer.status >= 500:
            return wire.by_status_results(call, answer, self._secrets)
        data = _data(body)
        message_id = wire.ident(data.get("id"))
        if body.get("success") is True and answer.status == 200 and message_id:
            status = wire.number(data.get("status"))
            if status in FAILED_STATUSES:
                failure, reason = FAILED_STATUSES[status]
                return wire.failures(call, failure, f"status {status}", reason=reason)
            cost = wire.money(data.get("cost"))
            return [Accepted(ref, message_id, cost=cost) for ref in call.refs]
        failure, reason = _error(body)
        detail = wire.words(answer.body, self._secrets)
        if failure is FailureClass.OUTCOME_UNKNOWN:
            detail = f"unmapped {detail}"[: wire.MAX_DETAIL]
        return wire.failures(call, failure, detail, reason=reason)

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [
            self._ask("sms/status", (message.ref,), id=_number(message.provider_message_id))
            for message in messages
            if message.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer) or not isinstance(call, HttpCall):
            return []
        body = wire.json_object(answer.body) or {}
        data, asked = _data(body), wire.ident(wire.get_dict(call.json).get("id"))
        if body.get("success") is not True or wire.ident(data.get("id")) not in {"", asked} or "status" not in data:
            return []
        return [self._report(data, asked, call.refs[0] if call.refs else "")]

    def _report(self, data: dict[str, Any], message_id: str, ref: str) -> StatusReport:
        raw = wire.scrub(wire.scalar(data.get("status")), self._secrets)
        words = wire.scrub(wire.scalar(data.get("extendStatus")), self._secrets)
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
            at=wire.moment(data.get("dateAnswer")) if milestone is not Milestone.ACCEPTED else None,
            cost=wire.money(data.get("cost")),
        )

    def verify_callback(self, request: CallbackRequest) -> None:
        wire.verify_message_key(request, self.callback_secret)

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        fields = wire.callback_fields(request)
        data = fields if "status" in fields else _data(fields)
        if not wire.scalar(data.get("status")):
            raise ValueError("no status in it")
        return [self._report(data, wire.ident(data.get("id")), wire.message_ref(request))]

    # --- the account

    def build_balance(self) -> Call | None:
        return self._ask("balance")

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body) or {}
        balance = wire.money(_data(body).get("balance"))
        if answer.status == 200 and body.get("success") is True and balance is not None:
            return wire.balance_report(balance)
        failure = wire.by_http_status(answer)
        if failure is FailureClass.OUTCOME_UNKNOWN and answer.status < 500:
            failure, _ = _error(body)
        return wire.trouble_report(answer, failure, self._secrets)

    def build_self_test(self) -> list[Call]:
        return [self._ask("balance")]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        return self.read_balance(call, answer)


def _data(body: dict[str, Any]) -> dict[str, Any]:
    """`data` of an answer; of a list with one record (an answer to `numbers`) that record."""
    data = body.get("data")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return data if isinstance(data, dict) else {}


def _error(body: dict[str, Any]) -> tuple[FailureClass, Reason | None]:
    """What a refusal means; OUTCOME_UNKNOWN for words nobody has documented."""
    result = wire.scalar(body.get("result")).lower()
    if result in RESULTS:
        return RESULTS[result]
    if body.get("success") is not False:
        return FailureClass.OUTCOME_UNKNOWN, None
    named = wire.get_dict(body, "data")
    for field, meaning in ERRORS.items():
        if field in named:
            return meaning
    message = wire.scalar(body.get("message")).lower()
    for word, failure in WORDS:
        if word in message:
            return failure, None
    return FailureClass.OUTCOME_UNKNOWN, None


def _number(text: str) -> int | str:
    """Numbers and ids go as numbers, without the plus."""
    digits = text.lstrip("+")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else digits
