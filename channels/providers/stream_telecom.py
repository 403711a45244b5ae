"""Stream Telecom (stream-telecom.ru), REST over gateway.api.sc: SMS.

Sources: stream-telecom.ru/solutions/integrations/viber (the same gateway, login and password) as read in our fact
sheet of 2026-11-22 (section 3). The SMS methods are not on a page we could read: they come from the vendor's PHP
sample (StreamClass.php) as found in public repositories and from six unrelated clients in PHP, Go, C# and Python read
on 2026-11-25, which agree on everything used here. Nothing of it was run against a live account.

Unverified, and how we live with it:
* that State and Balance take login and password instead of a session: seen for State in one client running at work,
  not seen for Balance. The connection is checked by asking for a session, which all samples do; the balance question
  is option `ask_balance`, off.
* the body of `callback_url`: unknown. Option `callbacks`, off. On: each message names an address of its own with a
  key in it; a `State` in the callback is read as the status question's; everything else waits in quarantine.
* the unit of `validity`: minutes by the vendor's sample ("в минутах", 1440). Its limits: we stay within 1 and 1440.
* the names of errors 1-10 come from one client; their consequences are ours. 8 and 9 do not prove that nothing was
  sent, and nobody says what 6 means: unknown outcome. 10 "Flood SMS": we rest a minute.
* states other than -1, 0, 42, 46, 255. 255 "no access to the status" is no news.
* the longest text (we stop at 1000 letters), rates, inbound SMS (a service their manager switches on), recall, own
  ids. A message's cost is told by the status question only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
    TtlRange,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class StreamTelecomConfig:
    login: str = option(N_("Login"), N_("The one you log in to the cabinet with."))
    password: str = secret(
        N_("API password"), N_("Cabinet: user settings, API settings. It is not the password of the cabinet.")
    )
    sender: str = option(N_("Sender name"), N_("As registered in the cabinet; “SMS Info” is for tests only."))
    callbacks: bool = option(
        N_("Ask for receipts at once"),
        N_("What Stream Telecom sends is not documented. Statuses are asked for in any case."),
        default=False,
    )
    ask_balance: bool = option(
        N_("Ask for the balance"), N_("Switch off again if it only brings errors."), default=False
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.POLL,
        Milestone.DELIVERED: How.POLL,
        Milestone.CLICKED: How.LINK,
    },
    poll_batch=1,
    ttl=TtlRange(timedelta(minutes=1), timedelta(minutes=1440), timedelta(minutes=1)),
    max_text=1000,
    counts_sms_parts=True,
    default_rate=10.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: No access to the status: no news.
NO_NEWS: Final = frozenset({255})
#: State -> milestone.
MILESTONES: Final[dict[int, Milestone]] = {-1: Milestone.SENT, 0: Milestone.DELIVERED}

#: State that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    42: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    46: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),
}

#: Code of a refusal -> what it means.
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    1: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # ArgumentCanNotBeNullOrEmpty
    2: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # InvalidArgument
    3: (FailureClass.AUTH, None),  # InvalidSessionID
    4: (FailureClass.AUTH, None),  # UnauthorizedAccess
    5: (FailureClass.BALANCE, None),  # NotEnoughCredits
    6: (FailureClass.OUTCOME_UNKNOWN, None),  # InvalidOperation
    7: (FailureClass.AUTH, None),  # Forbidden
    8: (FailureClass.OUTCOME_UNKNOWN, None),  # GatewayError
    9: (FailureClass.OUTCOME_UNKNOWN, None),  # InternalServerError
    10: (FailureClass.RATE_LIMITED, None),  # Flood SMS
}
FLOOD_WAIT: Final = timedelta(seconds=60)

_TICKS = re.compile(r"/Date\((-?\d{1,17})\)/")


class StreamTelecom(Provider):
    slug: ClassVar[str] = "stream_telecom"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("Stream Telecom (SMS)")
    base_url: ClassVar[str] = "https://gateway.api.sc"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = StreamTelecomConfig

    config: StreamTelecomConfig

    def __init__(self, config: StreamTelecomConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        how = How.BOTH if config.callbacks else How.POLL
        reports = {**CAPABILITIES.reports, Milestone.SENT: how, Milestone.DELIVERED: how}
        self.capabilities = replace(
            CAPABILITIES, reports=reports, balance=config.ask_balance, callback_per_message=config.callbacks
        )
        self._secrets = (config.password, callback_secret)

    def _ask(self, path: str, refs: tuple[str, ...] = (), **fields: str) -> HttpCall:
        form = {"login": self.config.login, "pass": self.config.password, **fields}
        return HttpCall("POST", f"{self.base}/rest/{path}", form=form, refs=refs)

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._single(message) for message in messages]

    def _single(self, message: OutgoingMessage) -> HttpCall:
        fields = {
            "sourceAddress": self.config.sender,
            "destinationAddress": message.address.lstrip("+"),
            "data": message.text,
        }
        if message.ttl is not None and CAPABILITIES.ttl is not None:
            fields["validity"] = str(CAPABILITIES.ttl.snap(message.ttl) // timedelta(minutes=1))
        if self.config.callbacks and self.callback_url:
            fields["callback_url"] = wire.message_callback_url(self.callback_url, self.callback_secret, message.ref)
        return self._ask("Send/SendSms/", (message.ref,), **fields)

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        """A list with one id, or a bare id, means yes; an object with Code, or a bare code, means no."""
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.parse_json(answer.body) if not answer.truncated else wire.UNREADABLE
        code, detail = _refusal(body)
        if code is not None:
            known = ERRORS.get(code)
            detail = wire.scrub(f"{code}: {detail}", self._secrets)
            if known is None:
                return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, f"unmapped {detail}"[: wire.MAX_DETAIL])
            failure, reason = known
            wait = FLOOD_WAIT if failure is FailureClass.RATE_LIMITED else None
            return wire.failures(call, failure, detail, reason=reason, wait=wait)
        message_id = _message_id(body)
        if answer.status != 200 or not message_id or len(call.refs) != 1:
            return wire.by_status_results(call, answer, self._secrets)
        return [Accepted(call.refs[0], message_id)]

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        return [
            self._ask("State/state.php", (message.ref,), messageId=message.provider_message_id)
            for message in messages
            if message.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer) or not isinstance(call, HttpCall):
            return []
        state = wire.json_object(answer.body) or {}
        if not wire.scalar(state.get("State")) or wire.number(state["State"]) in NO_NEWS:
            return []
        asked = (call.form or {}).get("messageId", "")
        return [self._report(state, wire.ident(asked), call.refs[0] if call.refs else "")]

    def _report(self, state: dict[str, Any], message_id: str, ref: str) -> StatusReport:
        raw = wire.scrub(wire.scalar(state.get("State")), self._secrets)
        status = wire.number(raw)
        failure, reason = FAILED_STATUSES.get(status, (None, None)) if status is not None else (None, None)
        said = wire.scalar(state.get("StateDescription"))
        return StatusReport(
            event_key=f"{message_id or ref}:{raw}"[: wire.MAX_IDENT],
            raw=raw,
            ref=ref,
            provider_message_id=message_id,
            milestone=MILESTONES.get(status) if status is not None else None,
            failure=failure,
            reason=reason,
            detail=wire.scrub(f"state {raw}" + (f": {said}" if said else ""), self._secrets),
            at=_ticks(state.get("ReportedDateUtc")),
            cost=wire.money(state.get("Price")),
        )

    def verify_callback(self, request: CallbackRequest) -> None:
        wire.verify_message_key(request, self.callback_secret)

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        fields = wire.callback_fields(request)
        if not wire.scalar(fields.get("State")):
            raise ValueError("no State in it")
        return [self._report(fields, "", wire.message_ref(request))]

    # --- the account

    def build_balance(self) -> Call | None:
        return self._ask("Balance/balance.php") if self.config.ask_balance else None

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.parse_json(answer.body)
        code, _ = _refusal(body) if isinstance(body, dict) else (None, "")
        balance = wire.money(body)
        if answer.status == 200 and balance is not None:
            return wire.balance_report(balance)
        return self._trouble(answer, code)

    def build_self_test(self) -> list[Call]:
        """A session proves login and password; it is not used for anything."""
        form = {"login": self.config.login, "password": self.config.password}
        return [HttpCall("POST", f"{self.base}/rest/Session/session.php", form=form)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.parse_json(answer.body)
        code, _ = _refusal(body)
        if answer.status == 200 and code is None and isinstance(body, str) and body.strip():
            return AccountReport(ok=True, message=N_("Stream Telecom accepts the login and the password."))
        return self._trouble(answer, code)

    def _trouble(self, answer: Answer, code: int | None) -> AccountReport:
        failure = ERRORS[code][0] if code in ERRORS else wire.by_http_status(answer)
        return wire.trouble_report(answer, failure, self._secrets)


def _refusal(body: Any) -> tuple[int | None, str]:
    """The code and the words of a refusal: {"Code": 4, "Desc": ".."}, or a bare code."""
    if isinstance(body, dict):
        return wire.number(body.get("Code")), wire.scalar(body.get("Desc"))
    code = wire.number(body)
    return (code, "") if code in ERRORS else (None, "")


def _message_id(body: Any) -> str:
    """The id in ["371324579"] or "371324579"; "" for anything else."""
    if isinstance(body, list) and len(body) == 1:
        (body,) = body
    found = wire.ident(body)
    return found if found.isascii() and found.isdigit() else ""


def _ticks(value: Any) -> datetime | None:
    """ "/Date(1455820744000)/", milliseconds since 1970."""
    found = _TICKS.fullmatch(wire.scalar(value))
    return wire.moment(int(found[1]) // 1000) if found else None
