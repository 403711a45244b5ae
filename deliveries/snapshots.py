"""Rows <-> cascade.State: the only translator between the database and the pure core.

Two directions. Down: a frozen plan as JSON becomes cascade.Plan plus what the engine itself needs of each
step (texts, price, TTL); plans never change, so each process keeps the ones it has read. Up: a delivery
row with its attempt rows becomes a State, exactly the one that folding its facts would give (but for the failure of a
step already left, which no decision asks about); tests/deliveries/test_snapshots.py holds both to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from django.utils.dateparse import parse_datetime

from cascade.backoff import retry_delay
from cascade.machine import OUTWEIGHS
from cascade.plan import Plan, Step
from cascade.state import Phase, State, StepState
from cascade.vocabulary import (
    ACCOUNT_TROUBLE,
    RETRYABLE,
    ChannelKind,
    ChargedOn,
    FailureClass,
    Milestone,
    Purpose,
    Reason,
    TroublePolicy,
)
from channels.services import approved
from channels.services.approved import FrozenTemplate
from channels.services.chains import to_plan_step
from deliveries.models import DeliveryPlan
from templates_app.services import Prepared, Text, prepare

T = TypeVar("T")
#: (plan, lead)
Walk = tuple[int, int | None]

#: Attempt columns that hold the moment of each milestone, in the order of the lattice.
MILESTONE_COLUMNS: dict[Milestone, str] = {
    Milestone.ACCEPTED: "accepted_at",
    Milestone.SENT: "sent_at",
    Milestone.DELIVERED: "delivered_at",
    Milestone.READ: "read_at",
    Milestone.CLICKED: "clicked_at",
    Milestone.REPLIED: "replied_at",
    Milestone.GOAL: "goal_at",
}

#: Failures that wear a step out; being too fast or an account in trouble are not the recipient's turn (R9, R4). An
#: unknown outcome that a receipt has settled leaves its moment behind and has worn the step out all the same.
_STRIKES = frozenset({FailureClass.TRANSIENT.value, FailureClass.OUTCOME_UNKNOWN.value})


_ACCOUNT_TROUBLE = frozenset(failure.value for failure in ACCOUNT_TROUBLE)


@dataclass(frozen=True, slots=True)
class StepTerms:
    """What the engine needs of a step through one of its accounts, beyond the decision: wire, words, money."""

    channel_id: int
    kind: ChannelKind
    says: Prepared
    ttl: timedelta | None
    recall: bool
    can_poll: bool
    lookup_by_ref: bool
    price: Decimal
    charged_on: ChargedOn
    counts_sms_parts: bool
    max_text: int
    only_tag: int | None
    check_registration: bool
    by_address: bool  #: needs an address of its own account (a bot's chat), not the card's phone or e-mail
    by_email: bool
    by_person: bool  #: a colleague does it: a task on the desk instead of a message on a wire
    due: timedelta | None  #: when the colleague should have done it, from the moment it was put there
    #: The approved text this one goes out by, where the channel takes no other.
    template: FrozenTemplate | None


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """A DeliveryPlan row as the engine uses it."""

    id: int
    campaign_id: int | None
    plan: Plan
    #: Of each step, through its first account; through any of them: `routes`.
    terms: tuple[StepTerms, ...]
    routes: tuple[Mapping[int, StepTerms], ...]
    check_consent: bool
    #: What the recipient's zone is when neither card nor branch says.
    zone: str
    per_minute: float | None
    has_budget: bool
    #: Its messages carry one-time codes.
    codes: bool


def _terms(raw: Mapping[str, Any]) -> StepTerms:
    return StepTerms(
        channel_id=raw["channel_id"],
        kind=ChannelKind(raw["kind"]),
        says=prepare(Text(**raw["says"])),
        ttl=None if raw["ttl"] is None else timedelta(seconds=raw["ttl"]),
        recall=raw["recall"],
        can_poll=raw["can_poll"],
        lookup_by_ref=raw["lookup_by_ref"],
        price=Decimal(raw["price"]),
        charged_on=ChargedOn(raw["charged_on"]),
        counts_sms_parts=raw["counts_sms_parts"],
        max_text=raw["max_text"],
        only_tag=raw["only_tag"],
        check_registration=raw["check_registration"],
        by_address=raw["address"] in ("chat_id", "device"),
        by_email=raw["address"] == "email",
        by_person=raw["address"] == "person",
        due=timedelta(seconds=raw["due"]) if raw.get("due") is not None else None,
        template=approved.thaw(raw.get("template")),
    )


def walked(steps: Sequence[T], lead: int | None) -> list[T]:
    """The plan's steps in the order a delivery with this `lead` walks them."""
    if lead is None:
        return list(steps)
    return [steps[lead], *steps[:lead], *steps[lead + 1 :]]


def plan_step(position: int, lead: int | None) -> int:
    """Which step of the plan stands at this position of a walk; the inverse of walked()."""
    if lead is None or position > lead:
        return position
    return lead if position == 0 else position - 1


def thaw(plan_id: int, campaign_id: int | None, definition: Mapping[str, Any], lead: int | None = None) -> FrozenPlan:
    """Read a plan's JSON, in the order of a walk with this `lead`. Raises KeyError/ValueError on one that this version cannot read: better a loud tick
    than a wrong message."""
    not_after = definition["not_after"]
    steps = walked(definition["steps"], lead)
    routes = tuple({one["channel_id"]: _terms({**raw, **one}) for one in (raw, *raw["reserves"])} for raw in steps)
    return FrozenPlan(
        id=plan_id,
        campaign_id=campaign_id,
        plan=Plan(
            steps=tuple(to_plan_step(raw) for raw in steps),
            purpose=Purpose(definition["purpose"]),
            on_trouble=TroublePolicy(definition["on_trouble"]),
            not_after=parse_datetime(not_after) if not_after else None,
        ),
        terms=tuple(next(iter(route.values())) for route in routes),
        routes=routes,
        check_consent=definition["check_consent"],
        zone=definition["zone"],
        per_minute=definition["per_minute"],
        has_budget=definition["has_budget"],
        codes=definition.get("codes", False),
    )


@lru_cache(maxsize=512)
def frozen_plan(plan_id: int, lead: int | None) -> FrozenPlan:
    """The plan of this id as a delivery with this `lead` walks it, read once per process: plans are never updated (I16)."""
    row = DeliveryPlan.objects.get(pk=plan_id)
    return thaw(row.pk, row.campaign_id, row.definition, lead)


class AttemptFacts(NamedTuple):
    """The attempt columns a State is made of, in the order ATTEMPT_COLUMNS selects them."""

    id: int
    delivery_id: int
    step: int
    try_no: int
    state: str
    called_at: datetime
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    clicked_at: datetime | None
    replied_at: datetime | None
    goal_at: datetime | None
    failed_at: datetime | None
    failure: str
    reason: str
    retry_at: datetime | None
    channel_id: int


ATTEMPT_COLUMNS = ", ".join(AttemptFacts._fields)


class DeliveryFacts(NamedTuple):
    """The delivery columns a State is made of, in the order DELIVERY_COLUMNS selects them."""

    id: int
    plan_id: int
    campaign_id: int | None
    contact_id: int | None
    step: int
    fence: int
    priority: int
    not_after: datetime | None
    stop_reason: str
    stop_at: datetime | None
    stop_step: int | None
    wait_reason: str
    trail: str
    lead: int | None

    @property
    def walk(self) -> Walk:
        """Which plan it walks, and in which order: the arguments of frozen_plan()."""
        return self.plan_id, self.lead


DELIVERY_COLUMNS = ", ".join(DeliveryFacts._fields)


@dataclass(slots=True)
class Surroundings:
    """What is true around one delivery right now; see the second half of cascade.State."""

    unreachable: dict[int, Reason]
    #: Accounts that cannot be used for this delivery now: in trouble, or in a step with others that can (no address
    #: there, switched off).
    closed_channels: frozenset[int]
    zone: str
    pauses: tuple[tuple[datetime, datetime | None], ...]
    #: One of the pauses is the person's: an answer of theirs waits to be read (deliveries.services.pausing).
    person_asked: bool = False


def _milestones(attempt: AttemptFacts, into: dict[Milestone, datetime]) -> None:
    """Add the earliest moment of each milestone; columns hold implied ones too (the writers fill them in)."""
    for milestone, at in zip(MILESTONE_COLUMNS, attempt[6:13], strict=True):
        if at is not None and (milestone not in into or at < into[milestone]):
            into[milestone] = at


def _phase(last: AttemptFacts, milestones: Mapping[Milestone, datetime]) -> Phase:
    if last.state == "calling":
        return Phase.CALLING
    if last.state == "failed":
        proof = OUTWEIGHS.get(FailureClass(last.failure))
        return Phase.ACCEPTED if proof in milestones else Phase.FAILED
    if last.state == "unknown" and not milestones:
        return Phase.UNKNOWN
    return Phase.ACCEPTED


#: A failure with a moment to try again at: what machine.apply() gives one, whatever the row holds.
_TRIED_AGAIN = RETRYABLE | ACCOUNT_TROUBLE


def _step_state(step: Step, attempts: Sequence[AttemptFacts], left: Reason | None) -> StepState:
    last = attempts[-1]
    milestones: dict[Milestone, datetime] = {}
    for attempt in attempts:
        _milestones(attempt, milestones)
    phase = Phase.LEFT if left else _phase(last, milestones)
    failure = FailureClass(last.failure) if phase in (Phase.FAILED, Phase.UNKNOWN) and last.failure else None
    again = step.idempotent if phase is Phase.UNKNOWN else failure in _TRIED_AGAIN
    retry_at = last.retry_at
    if again and retry_at is None and last.failed_at is not None:
        # A receipt said “try again” and no more; the moments of answers are written with them.
        retry_at = last.failed_at + retry_delay(len(attempts))
    return StepState(
        phase=phase,
        tries=len(attempts),
        called_at=last.called_at,
        first_called_at=attempts[0].called_at,
        milestones=milestones,
        failure=failure,
        reason=left or (Reason(last.reason) if failure and last.reason else None),
        failed_at=max((a.failed_at for a in attempts if a.failed_at), default=None),
        retry_at=retry_at if again else None,
        strikes=sum(1 for a in attempts if a.failure in _STRIKES or (a.failed_at and not a.failure)),
        account=last.channel_id,
        in_trouble=_in_trouble(attempts),
    )


def _in_trouble(attempts: Sequence[AttemptFacts]) -> frozenset[int]:
    """Accounts whose newest call of this step ended in trouble of their own."""
    newest = {attempt.channel_id: attempt.failure for attempt in attempts}
    return frozenset(account for account, failure in newest.items() if failure in _ACCOUNT_TROUBLE)


_PENDING = StepState()


def build_state(
    frozen: FrozenPlan, row: DeliveryFacts, attempts: Iterable[AttemptFacts], around: Surroundings
) -> State:
    """The knowledge about one delivery. `attempts`: all of its attempts, ordered by (step, try_no)."""
    by_step: dict[int, list[AttemptFacts]] = {}
    for attempt in attempts:
        by_step.setdefault(attempt.step, []).append(attempt)
    left = [Reason(word) for word in row.trail.split(",")] if row.trail else []
    steps = []
    for index in range(len(frozen.plan.steps)):
        reason = left[index] if index < len(left) else None
        if index in by_step:
            steps.append(_step_state(frozen.plan.steps[index], by_step[index], reason))
        else:
            steps.append(_PENDING if reason is None else StepState(phase=Phase.LEFT, reason=reason))
    stop = None
    if row.stop_reason and row.stop_at is not None:
        stop = (Reason(row.stop_reason), row.stop_at, row.stop_step)
    return State(
        steps=tuple(steps),
        current=len(left),
        stop=stop,
        unreachable=around.unreachable,
        closed_channels=around.closed_channels,
        zone=around.zone,
        deadline=row.not_after,
        pauses=around.pauses,
    )
