"""What is known about one delivery: the only input of the decision besides the plan and the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cascade.vocabulary import FailureClass, Milestone, Outcome, Reason


class Phase(StrEnum):
    """Where one step stands."""

    PENDING = "pending"  #: nothing was called yet
    CALLING = "calling"  #: a call is in flight
    ACCEPTED = "accepted"  #: the provider took it; the step's clock runs
    UNKNOWN = "unknown"  #: nobody knows whether it left; the step's clock runs from the call
    FAILED = "failed"  #: the last call (or a receipt) failed; see `failure`
    LEFT = "left"  #: the walk went past it


@dataclass(frozen=True, slots=True)
class StepState:
    """What is known about one step. `milestones` holds the first moment each milestone was reported, with
    implied ones filled in by apply(); a dict that nobody changes in place."""

    phase: Phase = Phase.PENDING
    tries: int = 0
    called_at: datetime | None = None
    first_called_at: datetime | None = None
    milestones: Mapping[Milestone, datetime] = field(default_factory=dict)
    failure: FailureClass | None = None
    reason: Reason | None = None
    failed_at: datetime | None = None
    retry_at: datetime | None = None
    #: Failures that count towards Step.max_tries: TRANSIENT and unknown ones. RATE_LIMITED and account
    #: trouble do not (R9), so this is not `tries`.
    strikes: int = 0
    #: The account of the newest call; 0 before any.
    account: int = 0
    #: Accounts whose newest call here ended in trouble of the account (R4).
    in_trouble: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """One delivery's knowledge. The second half is the surroundings: read afresh for each question."""

    steps: tuple[StepState, ...]
    current: int = 0
    outcome: Outcome | None = None
    outcome_step: int | None = None
    outcome_milestone: Milestone | None = None
    outcome_reason: Reason | None = None
    stop: tuple[Reason, datetime, int | None] | None = None

    # surroundings
    #: step index -> why it cannot be called (no address, not registered, blocked, condition, disabled ...)
    unreachable: Mapping[int, Reason] = field(default_factory=dict)
    #: channels whose account is in trouble right now (R4)
    closed_channels: frozenset[int] = frozenset()
    #: IANA zone of the recipient (contact's, else branch's, else project's)
    zone: str = "Europe/Moscow"
    #: Nothing may be sent at or after this moment (a visit starts).
    deadline: datetime | None = None
    #: [start, end) intervals in which the campaign was paused; the last may be open (end None).
    pauses: tuple[tuple[datetime, datetime | None], ...] = ()

    @classmethod
    def fresh(cls, step_count: int) -> State:
        """A delivery nobody has touched yet."""
        return cls(steps=tuple(StepState() for _ in range(step_count)))
