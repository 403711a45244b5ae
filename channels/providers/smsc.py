"""SMSC.ru, text messages (also smsc.kz, smsc.ua, smscentre.com and white labels: the same API under another base URL).

Sources: channels.providers.smsc_wire, with what is unverified of the wire as a whole.

Unverified, and how we live with it:
* `list=` (one request, many texts) and `op=1` (per-number verdicts): third-party sources; option `batch`, off.
* `del=1` deletes a sent message; that it stops one still waiting is only likely: option `recall_by_delete`, off.
* fields of an inbound SMS in the callback and its checksum: believed on the strength of the secret URL alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    Answer,
    Call,
    Capabilities,
    Failed,
    How,
    HttpCall,
    OutgoingMessage,
    SendResult,
    SentMessage,
    option,
)
from channels.providers.smsc_wire import BATCH, ERRORS, TTL, WAITS, SmscAccount, SmscAccountConfig, digits, plus, valid


@dataclass(frozen=True, slots=True)
class SmscConfig(SmscAccountConfig):
    sender: str = option(
        N_("Sender name"), N_("As registered in the cabinet; empty: the account's default name."), default=""
    )
    batch: bool = option(
        N_("Send up to 100 messages in one request"),
        N_("For large campaigns. An unknown outcome then concerns the whole hundred."),
        default=False,
        rare=True,
    )
    replies: bool = option(
        N_("A number for replies is rented"), N_("Then a chain may wait for a reply by SMS."), default=False, rare=True
    )
    recall_by_delete: bool = option(
        N_("Take back waiting messages"),
        N_("Sends del=1 before the next step. SMSC does not promise that this stops a message."),
        default=False,
        rare=True,
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.SENT: How.BOTH,
        Milestone.DELIVERED: How.BOTH,
        Milestone.CLICKED: How.LINK,
    },
    lookup_by_ref=True,
    poll_batch=100,
    ttl=TTL,
    balance=True,
    max_text=1000,
    counts_sms_parts=True,
    default_rate=10.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: status -> milestone. -1 "waiting" proves acceptance (it settles an unknown outcome). 2 "read" exists for Viber
#: and e-mail only; for an SMS it proves what read implies.
MILESTONES: Final[dict[int, Milestone]] = {
    -1: Milestone.ACCEPTED,
    0: Milestone.SENT,
    1: Milestone.DELIVERED,
    2: Milestone.DELIVERED,
    4: Milestone.CLICKED,
}

#: status that ends a message badly -> what it means.
FAILED_STATUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    -2: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # somebody stopped it in the cabinet
    3: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),
    20: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
    22: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    23: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    24: (FailureClass.BALANCE, None),
    25: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),
}
#: `err` beside such a status: says more than the status.
STATUS_ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    1: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),  # subscriber does not exist
    6: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME),  # phone is off
    11: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # no SMS service, roaming, landline
    12: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # handset or SIM error
    13: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # subscriber is blocked
    21: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # service not supported
    219: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # new SIM: named senders blocked for 24 h
    220: (FailureClass.TRANSIENT, None),  # operator's queue is full
}


class Smsc(SmscAccount):
    slug: ClassVar[str] = "smsc"
    kind: ClassVar[ChannelKind] = ChannelKind.SMS
    title: ClassVar[str] = N_("SMSC.ru (SMS)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmscConfig
    milestones = MILESTONES
    failed_statuses = FAILED_STATUSES
    status_errors = STATUS_ERRORS

    config: SmscConfig

    def __init__(self, config: SmscConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        reports = dict(CAPABILITIES.reports)
        if config.replies:
            reports[Milestone.REPLIED] = How.CALLBACK
        self.capabilities = replace(
            CAPABILITIES,
            reports=reports,
            send_batch=BATCH if config.batch else 1,
            lookup_by_ref=config.own_id and not config.batch,
            recall=config.recall_by_delete,
        )

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        if not self.config.batch:
            return super().build_send(messages)
        return [self.single(group[0]) if len(group) == 1 else self._list(group) for group in _groups(messages)]

    def what(self, message: OutgoingMessage) -> dict[str, str]:
        return {"mes": message.text, **self._named()}

    def _named(self) -> dict[str, str]:
        return {"sender": self.config.sender} if self.config.sender else {}

    def _list(self, group: Sequence[OutgoingMessage]) -> HttpCall:
        rows = "\n".join(f"{plus(message.address)}:{message.text}" for message in group)
        form = {**self._common, "cost": "3", "op": "1", "list": rows, **self._named()}
        if self.config.own_id:
            # One id for the whole list, told from the reference of a single message by its dot.
            form["id"] = f"b.{group[0].ref}"
        if group[0].ttl is not None:
            form["valid"] = valid(group[0].ttl)
        return HttpCall("POST", self._send_url, form=form, refs=tuple(message.ref for message in group))

    def read_list(self, call: Call, message_id: str, body: dict[str, Any]) -> list[SendResult]:
        """A number with an `error` was refused, the others were taken."""
        rows = body.get("phones")
        by_phone = {
            digits(wire.scalar(row.get("phone"))): row
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict)
        }
        phones = _phones_of(call)
        results: list[SendResult] = []
        for index, ref in enumerate(call.refs):
            row = by_phone.get(digits(phones[index])) if index < len(phones) else None
            code = wire.number(row.get("error")) if row else None
            if row is None or not code:
                results.append(Accepted(ref, message_id, cost=wire.money(row.get("cost")) if row else None))
                continue
            failure, reason = ERRORS.get(code, (FailureClass.OUTCOME_UNKNOWN, None))
            results.append(Failed(ref, failure, reason, f"{code}", WAITS.get(code)))
        return results

    # --- taking back

    def build_recall(self, message: SentMessage) -> Call | None:
        message_id = message.provider_message_id or (message.ref if self.capabilities.lookup_by_ref else "")
        if not self.capabilities.recall or not message_id:
            return None
        form = {**self._common, "phone": plus(message.address), "id": message_id, "del": "1"}
        return HttpCall("POST", self._status_url, form=form, refs=(message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        body = wire.json_object(answer.body)
        return answer.no_answer is None and answer.status == 200 and body is not None and "error" not in body


def _groups(messages: Sequence[OutgoingMessage]) -> Iterator[list[OutgoingMessage]]:
    """Messages that may share a request: same lifetime, no phone twice (answers and receipts tell them apart by
    phone), no line breaks (a list is one line for each message)."""
    groups: dict[timedelta | None, list[OutgoingMessage]] = {}
    seen: dict[timedelta | None, set[str]] = {}
    for message in messages:
        if "\n" in message.text or "\r" in message.text:
            yield [message]
            continue
        group, phones = groups.setdefault(message.ttl, []), seen.setdefault(message.ttl, set())
        if len(group) == BATCH or message.address in phones:
            yield list(group)
            group.clear()
            phones.clear()
        group.append(message)
        phones.add(message.address)
    yield from (group for group in groups.values() if group)


def _phones_of(call: Call) -> list[str]:
    form = call.form if isinstance(call, HttpCall) and call.form else {}
    return [row.partition(":")[0] for row in form.get("list", "").split("\n")]
