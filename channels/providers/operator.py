"""Operator: no wire at all, a colleague calls. The message is a task on a page of ours, its receipt a pressed button.

Source: our own pages (deliveries.admin.desk); nothing of it is anybody else's, so nothing is unverified. The order of
things is that of every provider: taken (the task stands on the desk), then a report. Reports come through the inbox
like callbacks, but from deliveries.services.desk and never through the public door, which is shut here.

A lost outcome does not exist: the task is written in the transaction that records that it was taken. So an unknown
outcome means that there is no task, and it may be tried again (idempotent_send).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    ON_THE_DESK,
    Accepted,
    AccountReport,
    Answer,
    Call,
    CallbackItem,
    CallbackRequest,
    Capabilities,
    DeskCall,
    How,
    Inbound,
    OutgoingMessage,
    Provider,
    Refusal,
    SendResult,
    SentMessage,
    StatusReport,
    option,
)


class Said(StrEnum):
    """What a colleague reports: the buttons of a task."""

    CONFIRMED = "confirmed"  #: spoke to the person, who does what was asked
    NOT_INTERESTED = "not_interested"  #: spoke to the person, who does not
    NO_ANSWER = "no_answer"
    WRONG_NUMBER = "wrong_number"  #: somebody else's, or nobody's
    REFUSED = "refused"  #: wants no messages of any kind any more


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    due_minutes: int = option(
        N_("Call within, minutes"),
        N_("After this a task counts as overdue and is shown in red. The chain goes on when its own wait ends."),
        default=60,
    )


_BAD_DUE: Final = N_("A task needs at least one minute and at most thirty days.")
_LONGEST: Final = 30 * 24 * 60

CAPABILITIES: Final = Capabilities(
    address=AddressKind.PERSON,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.DELIVERED: How.PERSON,
        Milestone.REPLIED: How.PERSON,
        Milestone.GOAL: How.PERSON,
    },
    idempotent_send=True,
    poll_batch=0,
    recall=True,
    max_text=4096,
    default_rate=50.0,
    charged_on=ChargedOn.ACCEPTED,
    due=timedelta(hours=1),
    callback_set_by_hand=True,
)

MILESTONES: Final[dict[Said, Milestone]] = {
    Said.CONFIRMED: Milestone.GOAL,
    Said.NOT_INTERESTED: Milestone.DELIVERED,
    Said.REFUSED: Milestone.DELIVERED,
}
#: What nobody got: the next step at once. Only a wrong number is held against it.
FAILED: Final[dict[Said, Reason]] = {
    Said.NO_ANSWER: Reason.NO_ANSWER,
    Said.WRONG_NUMBER: Reason.NOT_REGISTERED,
}


_WORDS: Final = frozenset(word.value for word in Said)


class Operator(Provider):
    slug: ClassVar[str] = "operator"
    kind: ClassVar[ChannelKind] = ChannelKind.OPERATOR
    title: ClassVar[str] = N_("Operator (a colleague calls)")
    price_habit: ClassVar[str] = N_("The time of a colleague")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = OperatorConfig

    config: OperatorConfig

    def __init__(self, config: OperatorConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self.capabilities = replace(CAPABILITIES, due=timedelta(minutes=config.due_minutes))

    def problem(self) -> str:
        return "" if 1 <= self.config.due_minutes <= _LONGEST else _BAD_DUE

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [DeskCall((message.ref,)) for message in messages]

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        if (answer.status, answer.body) != (ON_THE_DESK.status, ON_THE_DESK.body):
            return wire.failures(call, FailureClass.OUTCOME_UNKNOWN, "nobody stands at the desk")
        return [Accepted(ref, ref) for ref in call.refs]

    def build_recall(self, message: SentMessage) -> Call | None:
        return DeskCall((message.ref,))

    def read_recall(self, call: Call, answer: Answer) -> bool:
        """The decision to go on has withdrawn the task before anything else could be sent."""
        return (answer.status, answer.body) == (ON_THE_DESK.status, ON_THE_DESK.body)

    # --- what a colleague reports

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        told = wire.json_object(request.body) or {}
        ref, said = wire.ident(told.get("ref")), wire.ident(told.get("said"))
        if not wire.OUR_REF.fullmatch(ref) or said not in _WORDS:
            raise ValueError("not a report of an operator")
        word, at = Said(said), wire.moment(told.get("at"))
        items: list[CallbackItem] = [
            StatusReport(
                event_key=f"{ref}:{word}",
                raw=word,
                ref=ref,
                milestone=MILESTONES.get(word),
                failure=FailureClass.RECIPIENT_PERMANENT if word in FAILED else None,
                reason=FAILED.get(word),
                detail=wire.scrub(wire.scalar(told.get("words"))) if word in FAILED else "",
                at=at,
            )
        ]
        address = wire.ident(told.get("address"))
        if word in {Said.NOT_INTERESTED, Said.REFUSED} and address:
            # Spoken words are an answer like written ones: it ends what it answers (R10).
            refuses = Refusal.ALL if word is Said.REFUSED else Refusal.NOTHING
            text = wire.prose(told.get("words"))
            items.append(Inbound(f"{ref}:{word}:said", address, text, in_reply_to=ref, at=at, refuses=refuses))
        return items

    # --- the account

    def build_self_test(self) -> list[Call]:
        return [DeskCall()]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if (answer.status, answer.body) == (ON_THE_DESK.status, ON_THE_DESK.body):
            return AccountReport(
                ok=True,
                message=N_(
                    "There is nothing to connect. Tasks appear under “Operator's tasks”; give those who call the "
                    "permission to see and change them."
                ),
            )
        return AccountReport(
            ok=False, message=N_("Something is wrong with this installation."), failure=FailureClass.TRANSIENT
        )
