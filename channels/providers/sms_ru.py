"""SMS.RU.

Sources: sms.ru/api/send, cost, status, callback as read in our fact sheet of 2026-11-22 (section 4) through the
doc comments of node-sms-ru and the Bitrix24 module; corrections A6-A8; seven public receivers and clients read
on 2026-11-25 (the shapes of sms/status, of the callback and its hash agree in all of them).

HTTP is 200 even for errors: the whole answer has a code, and each phone in it has its own.

Unverified, and how we live with it:
* the hash of a callback, sha256(api_id + all data entries in the order of their keys): seen in unrelated receivers,
  one of them on live traffic, not in the vendor's own page. Option `signed`: off, the secret URL alone is believed.
* whether a callback is urlencoded or multipart: both are read. Entries of other kinds (call checks, the heartbeat
  `test`) are not ours.
* codes 150, 200-205, 300-302, 901, 902 are third-party; the meanings of 209, 220, 230-233 and 500 are believed only as
  far as it is safe: 500 does not prove that nothing was sent (unknown outcome), 230-233 are about this number and
  this text (next step, nothing is remembered), 209 is our own stop list in their cabinet (next step).
* 206, the day's limit, ends at midnight in Moscow; an adapter has no clock, so the channel rests an hour at a time.
* different texts in one request (`to[..]` or `multi[..]`, correction A8): not used, each message is its own request.
* `cost` beside a message; the longest text (code 205 says when it was too long; we stop at 1000 letters); inbound SMS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
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
    OutgoingMessage,
    SendResult,
    SentMessage,
    StatusReport,
    TtlRange,
    option,
    secret,
)
from channels.providers.sms_ru_wire import OK, SmsRuAccount, text_of


@dataclass(frozen=True, slots=True)
class SmsRuConfig:
    api_id: str = secret(N_("API key (api_id)"), N_("On the main page of the cabinet at sms.ru."))
    sender: str = option(
        N_("Sender name"), N_("As approved in the cabinet; empty: the account's default name."), default=""
    )
    limit_life: bool = option(
        N_("Limit how long a message lives"),
        N_(
            "Then a message does not arrive after the next step was sent, but SMS.RU keeps the money of what was not "
            "delivered. Off: undelivered messages are refunded, and a person may get both."
        ),
        default=True,
    )
    signed: bool = option(
        N_("Refuse callbacks without the right hash"),
        N_("Switch off only if SMS.RU's receipts are refused although the key is right."),
        default=True,
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.BOTH,
        Milestone.DELIVERED: How.BOTH,
        Milestone.CLICKED: How.LINK,
    },
    poll_batch=100,
    ttl=TtlRange(timedelta(minutes=1), timedelta(minutes=1440), timedelta(minutes=1)),
    balance=True,
    max_text=1000,
    counts_sms_parts=True,
    default_rate=10.0,
    charged_on=ChargedOn.ACCEPTED,
    callback_set_by_hand=False,
)

#: Status of a message -> milestone. 110 "read" exists for messengers; for an SMS it proves what reading implies.
MILESTONES: Final[dict[int, Milestone]] = {
    100: Milestone.ACCEPTED,
    101: Milestone.ACCEPTED,  # on its way to the operator
    102: Milestone.SENT,
    103: Milestone.DELIVERED,
    110: Milestone.DELIVERED,
}

_REFUSED: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED)

#: Not found: no news, the message may be too young.
NO_NEWS: Final = frozenset({-1})
#: Status that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    104: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),
    105: _REFUSED,  # deleted by the operator
    106: _REFUSED,  # the phone failed
    107: _REFUSED,  # reason unknown
    108: _REFUSED,  # rejected
    150: _REFUSED,  # no route to this number
}

BATCH: Final = 100


class SmsRu(SmsRuAccount):
    slug: ClassVar[str] = "sms_ru"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("SMS.RU (SMS)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmsRuConfig

    config: SmsRuConfig

    def __init__(self, config: SmsRuConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        if not config.limit_life:
            # What is not delivered is refunded, but only where no life is set.
            self.capabilities = replace(CAPABILITIES, ttl=None, charged_on=ChargedOn.DELIVERED)
        self._send_url = f"{self.base}/sms/send"

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._single(message) for message in messages]

    def _single(self, message: OutgoingMessage) -> HttpCall:
        form = {"api_id": self.config.api_id, "json": "1", "to": message.address.lstrip("+"), "msg": message.text}
        if self.config.sender:
            form["from"] = self.config.sender
        if message.ttl is not None and self.capabilities.ttl is not None:
            form["ttl"] = str(self.capabilities.ttl.snap(message.ttl) // timedelta(minutes=1))
        return HttpCall("POST", self._send_url, form=form, refs=(message.ref,))

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        body = wire.json_object(answer.body) if not answer.truncated else None
        if body is None or answer.status != 200:
            return wire.by_status_results(call, answer, self._secrets)
        code = wire.number(body.get("status_code"))
        if code != OK:
            return self._refused(call, code, body)
        rows = [row for row in wire.get_dict(body, "sms").values() if isinstance(row, dict)]
        if len(rows) != 1 or len(call.refs) != 1:
            return wire.by_status_results(call, answer, self._secrets)
        (row,) = rows
        code, message_id = wire.number(row.get("status_code")), wire.ident(row.get("sms_id"))
        if code in MILESTONES and message_id:
            return [Accepted(call.refs[0], message_id, cost=wire.money(row.get("cost")))]
        return self._refused(call, code, row)

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        asked = [message for message in messages if message.provider_message_id]
        calls: list[Call] = []
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            ids = ",".join(message.provider_message_id for message in part)
            calls.append(self._ask("sms/status", tuple(message.ref for message in part), sms_id=ids))
        return calls

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        if not wire.is_whole(answer) or not isinstance(call, HttpCall):
            return []
        body = wire.json_object(answer.body) or {}
        if wire.number(body.get("status_code")) != OK:
            return []
        ref_of = dict(zip((call.form or {}).get("sms_id", "").split(","), call.refs, strict=False))
        return [
            self._report(message_id, wire.scalar(row.get("status_code")), None, ref_of[message_id], row)
            for message_id, row in wire.get_dict(body, "sms").items()
            if message_id in ref_of and isinstance(row, dict) and "status_code" in row
            if wire.number(row["status_code"]) not in NO_NEWS
        ]

    def _report(self, message_id: str, raw: str, at: Any, ref: str, row: dict[str, Any]) -> StatusReport:
        raw = wire.scrub(raw, self._secrets)
        status = wire.number(raw)
        failure, reason = FAILED_STATUSES.get(status, (None, None)) if status is not None else (None, None)
        said = text_of(row)
        return StatusReport(
            event_key=f"{message_id}:{raw}",
            raw=raw,
            ref=ref,
            provider_message_id=message_id,
            milestone=MILESTONES.get(status) if status is not None else None,
            failure=failure,
            reason=reason,
            detail=wire.scrub(f"status {raw}" + (f": {said}" if said else ""), self._secrets),
            at=wire.moment(at),
            cost=wire.money(row.get("cost")),
        )

    def verify_callback(self, request: CallbackRequest) -> None:
        entries, given = _entries(request)
        if not self.callback_secret or not entries:
            raise CallbackRejected
        if not self.config.signed:
            return  # the secret part of the address is all there is
        signed = (self.config.api_id + "".join(entries)).encode("utf-8", "replace")
        if not wire.same(given.lower(), hashlib.sha256(signed).hexdigest()):
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """Several events in one callback, each a few lines: kind, message id, code, unix time (correction A7)."""
        entries, _ = _entries(request)
        if not entries:
            raise ValueError("no data in it")
        items: list[CallbackItem] = []
        for entry in entries:
            kind, *rest = [line.strip() for line in entry.split("\n")]
            if kind in {"test", "callcheck_status"}:
                continue  # the heartbeat; a check by a call of the person's
            message_id, code, at = (*rest, "", "", "")[:3]
            if kind == "sms_status" and wire.ident(message_id) and code:
                items.append(self._report(wire.ident(message_id), code, at, "", {}))
            else:
                key = hashlib.sha256(entry.encode("utf-8", "replace")).hexdigest()
                items.append(StatusReport(event_key=f"odd:{key}", raw=wire.scrub(entry, self._secrets)))
        return items

    def callback_reply(self, request: CallbackRequest) -> tuple[int, str]:
        """Anything but "100" is sent again."""
        return 200, "100"

    def build_callback_setup(self, url: str) -> Call | None:
        return self._ask("callback/add", url=url)

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        code = wire.number((wire.json_object(answer.body) or {}).get("status_code"))
        if answer.status == 200 and code == OK:
            return AccountReport(ok=True, message=N_("SMS.RU will send receipts to this server."))
        if code in {901, 902}:
            return AccountReport(
                ok=False,
                message=N_("SMS.RU does not accept the address of this server. It must be reachable from outside."),
                failure=FailureClass.AUTH,
            )
        return self._trouble(answer, code)


def _entries(request: CallbackRequest) -> tuple[list[str], str]:
    """The data entries in the order of their keys (which start at 0 or 1 and may have gaps), and the hash."""
    numbered: list[tuple[int, str]] = []
    given = ""
    for name, value in wire.form_fields(request.body):
        if name == "hash":
            given = value.strip()
        elif name.startswith("data[") and name.endswith("]"):
            key = wire.number(name[5:-1])
            # `data[]` has no keys: the order they came in.
            numbered.append((len(numbered) if key is None else key, value))
    return [value for _, value in sorted(numbered, key=lambda pair: pair[0])], given
