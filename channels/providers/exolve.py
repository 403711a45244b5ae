"""MTS Exolve: SMS.

Sources: docs.exolve.ru/docs/ru/api-reference/sms-api (sending-sms, getting-messages-list) and public GitHub code as
read in our fact sheet of 2026-11-22 (section 5); the page of GetList again on 2026-11-25 (message_id is one of its
filters; the statuses are an enumeration whose values we could not read).

The trap of names: `number` is the sender (a rented number or a registered name), `destination` the recipient.

Unverified, and how we live with it:
* what the values of `delivery_status` mean, and whether they are words or numbers. Nothing is guessed: the owner
  copies them from Exolve's page into `delivered_words` and `failed_words`. Until then this channel reports no
  delivery, says so in the chain editor, and asks no questions.
* `message_id` in the answer to a send is third-party (`messageId` was seen too); the list's name `messages` is
  third-party.
* the error body {"error": {"message", "details"}} is third-party: 400 is held against the message, or against this
  recipient when the words name `destination`, and nothing is remembered about the person. 402 and words about money
  mean an empty account.
* the callback of an application: its address is set in Exolve's cabinet, its fields and signature are unknown. A row
  like GetList's is read (direction 1 = incoming is third-party), everything else waits in quarantine; the secret URL
  is all there is. Option `replies`: a chain may wait for a reply.
* finance/v1/GetBalance: third-party and weak. Option `ask_balance`, off.
* no time-to-live, recall, own ids, batches or limits were seen: a message may arrive after the next step, and a lost
  answer stays unknown. Templates for service messages are approved by operators; their parameter's name is unknown.
"""

from __future__ import annotations

import hashlib
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
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    How,
    HttpCall,
    Inbound,
    OutgoingMessage,
    Provider,
    SendResult,
    SentMessage,
    StatusReport,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class ExolveConfig:
    api_key: str = secret(
        N_("API key of the application"), N_("In the cabinet at exolve.ru, in the settings of your application.")
    )
    sender: str = option(
        N_("Sender: name or number"),
        N_("A registered name, or a rented mobile number in digits. From numbers operators do not promise delivery."),
    )
    delivered_words: str = option(
        N_("delivery_status: delivered"),
        N_("Its value as Exolve's page on GetList names it; several with commas. Empty: no delivery is reported."),
        default="",
    )
    failed_words: str = option(
        N_("delivery_status: not delivered"), N_("The values for failed messages, with commas."), default=""
    )
    replies: bool = option(
        N_("A number for replies is rented"), N_("Then a chain may wait for a reply by SMS."), default=False
    )
    ask_balance: bool = option(
        N_("Ask for the balance"), N_("Switch off again if it only brings errors."), default=False
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.CLICKED: How.LINK,
    },
    poll_batch=0,
    max_text=1000,
    counts_sms_parts=True,
    default_rate=5.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: HTTP status -> what it means; 400 is decided by its words, see _by_words().
ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    401: (FailureClass.AUTH, None),
    402: (FailureClass.BALANCE, None),
    403: (FailureClass.AUTH, None),
    429: (FailureClass.RATE_LIMITED, None),
}
#: Words in the error of a 400.
WORDS: Final[tuple[tuple[str, FailureClass, Reason | None], ...]] = (
    ("balance", FailureClass.BALANCE, None),
    ("money", FailureClass.BALANCE, None),
    ("funds", FailureClass.BALANCE, None),
    ("средств", FailureClass.BALANCE, None),
    ("баланс", FailureClass.BALANCE, None),
    ("destination", FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
)
#: `direction` of a row: the person wrote.
INCOMING: Final = 1


class Exolve(Provider):
    slug: ClassVar[str] = "exolve"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("MTS Exolve (SMS)")
    base_url: ClassVar[str] = "https://api.exolve.ru"
    capabilities = CAPABILITIES
    Config: ClassVar[type] = ExolveConfig

    config: ExolveConfig

    def __init__(self, config: ExolveConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._delivered, self._failed = _values(config.delivered_words), _values(config.failed_words)
        reports = dict(CAPABILITIES.reports)
        if self._delivered:
            reports[Milestone.DELIVERED] = How.POLL
        if config.replies:
            reports[Milestone.REPLIED] = How.CALLBACK
        self.capabilities = replace(
            CAPABILITIES,
            reports=reports,
            poll_batch=1 if self._delivered or self._failed else 0,
            balance=config.ask_balance,
        )
        self._headers = {"Authorization": f"Bearer {config.api_key}"}
        self._secrets = (config.api_key, callback_secret)

    def _ask(self, path: str, refs: tuple[str, ...] = (), **fields: Any) -> HttpCall:
        return HttpCall("POST", f"{self.base}/{path}", headers=self._headers, json=fields, refs=refs)

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [
            self._ask(
                "messaging/v1/SendSMS",
                (message.ref,),
                number=self.config.sender,
                destination=message.address.lstrip("+"),
                text=message.text,
            )
            for message in messages
        ]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if answer.status == 200 and body is not None and "error" not in body and len(call.refs) == 1:
            message_id = wire.ident(body.get("message_id")) or wire.ident(body.get("messageId"))
            if message_id:
                return [Accepted(call.refs[0], message_id)]
        failure, reason = _error(answer, body)
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        detail = wire.scrub(f"HTTP {answer.status}: {wire.words(answer.body, self._secrets)}", self._secrets)
        return wire.failures(call, failure, detail, reason=reason, wait=wait)

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        if not self.capabilities.poll_batch:
            return []
        return [
            self._ask("messaging/v1/GetList", (message.ref,), message_id=message.provider_message_id)
            for message in messages
            if message.provider_message_id
        ]

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer) or not isinstance(call, HttpCall):
            return []
        rows = (wire.json_object(answer.body) or {}).get("messages")
        asked = wire.ident(wire.get_dict(call.json).get("message_id"))
        ref = call.refs[0] if call.refs else ""
        return [
            self._report(row, asked, ref)
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict) and asked and wire.ident(row.get("message_id")) == asked and _status(row)
        ]

    def _report(self, row: dict[str, Any], message_id: str, ref: str) -> StatusReport:
        raw = wire.scrub(_status(row), self._secrets)
        failed = raw.lower() in self._failed
        return StatusReport(
            event_key=f"{message_id}:{raw}"[: wire.MAX_IDENT],
            raw=raw,
            ref=ref,
            provider_message_id=message_id,
            milestone=Milestone.DELIVERED if raw.lower() in self._delivered and not failed else None,
            failure=FailureClass.RECIPIENT_PERMANENT if failed else None,
            reason=Reason.RECIPIENT_REFUSED if failed else None,
            detail=f"delivery_status {raw}"[: wire.MAX_DETAIL],
        )

    def verify_callback(self, request: CallbackRequest) -> None:
        """The secret part of the address is all there is; the door has compared it already."""
        if not self.callback_secret:
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        row = wire.callback_fields(request)
        message_id = wire.ident(row.get("message_id"))
        sender = _phone(wire.ident(row.get("sender")))
        if wire.number(row.get("direction")) == INCOMING and sender and "text" in row:
            text = wire.prose(row["text"])
            stamp = "\0".join((sender, wire.scalar(row.get("date")), text))
            key = message_id or hashlib.sha256(stamp.encode("utf-8", "replace")).hexdigest()
            return [Inbound(f"in:{key}", sender, text=text, at=wire.iso_moment(row.get("date")))]
        if message_id and _status(row):
            return [self._report(row, message_id, "")]
        raise ValueError("neither a status nor an incoming message")

    # --- the account

    def build_balance(self) -> Call | None:
        return self._ask("finance/v1/GetBalance") if self.config.ask_balance else None

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body)
        balance = wire.money((body or {}).get("balance"))
        if answer.status == 200 and balance is not None:
            return wire.balance_report(balance)
        return wire.trouble_report(answer, _error(answer, body)[0], self._secrets)

    def build_self_test(self) -> list[Call]:
        """One row of the message list: proves the key, sends nothing."""
        return [self._ask("messaging/v1/GetList", limit=1)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        body = wire.json_object(answer.body)
        if answer.status == 200 and body is not None and "error" not in body:
            return AccountReport(ok=True, message=N_("MTS Exolve accepts the key."))
        return wire.trouble_report(answer, _error(answer, body)[0], self._secrets)


def _error(answer: Answer, body: dict[str, Any] | None) -> tuple[FailureClass, Reason | None]:
    if answer.status in ERRORS:
        return ERRORS[answer.status]
    if answer.status == 400 and body is not None and "error" in body:
        return _by_words(body["error"])
    return wire.by_http_status(answer), None


def _by_words(error: Any) -> tuple[FailureClass, Reason | None]:
    said = wire.get_dict(error) or {"message": error}
    text = f"{wire.scalar(said.get('message'))} {wire.scalar(said.get('details'))}".lower()
    for word, failure, reason in WORDS:
        if word in text:
            return failure, reason
    return FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED


def _status(row: dict[str, Any]) -> str:
    return wire.scalar(row.get("delivery_status")).strip()


def _values(words: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in words.split(",") if word.strip())


def _phone(text: str) -> str:
    """+79... of a sender's number; "" for a name."""
    digits = text.removeprefix("+")
    return f"+{digits}" if digits.isascii() and digits.isdigit() else ""
