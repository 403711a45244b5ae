"""Facts about one delivery, as they are folded into State by machine.apply().

All moments are aware UTC datetimes. A fact may come late, twice or out of order: apply() must not mind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cascade.vocabulary import FailureClass, Milestone, Outcome, Reason


@dataclass(frozen=True, slots=True)
class Called:
    """A provider call for this step was written down and is about to leave: from now the outcome may be unknown.

    `channel_id`: the account it leaves through; 0: the step's first.
    """

    step: int
    at: datetime
    channel_id: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    step: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Reported:
    """A receipt: this step's message got at least this far."""

    step: int
    milestone: Milestone
    at: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """The call was refused, or a receipt said the message will not arrive.

    `retry_after` is the provider's own wish (already clamped), only with RATE_LIMITED or TRANSIENT.
    `reason` is what to tell the owner (NOT_REGISTERED, BLOCKED, MESSAGE_REFUSED ...). `jitter` in [0, 1)
    is drawn by the caller: the core has no randomness of its own.
    """

    step: int
    failure: FailureClass
    at: datetime
    reason: Reason | None = None
    retry_after: timedelta | None = None
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request left and no answer came (R8). `jitter` in [0, 1) as in Failed: it spreads the repeats
    with the same key where the provider honours one."""

    step: int
    at: datetime
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Left:
    """A decision as a fact: the walk went past this step (Skip was carried out)."""

    step: int
    reason: Reason
    at: datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """Anything that ends the delivery at once in any channel (R10): reply, click on confirm, goal, opt-out,
    cancellation, CRM change. `reason` is one of the finishing Reasons; `step` is known when the person
    answered a particular message."""

    reason: Reason
    at: datetime
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A gate said no at the moment of a send (R11): no consent, stop-list, cap, budget, hold-out."""

    reason: Reason
    at: datetime


@dataclass(frozen=True, slots=True)
class Finished:
    """A decision as a fact: Finish was carried out.

    The optional half is the Finish itself, as stored. Without it apply() asks decide() at `at`, which is the
    same answer as long as the surroundings (deadline, pauses) are the ones of that moment.
    """

    at: datetime
    outcome: Outcome | None = None
    reason: Reason | None = None
    step: int | None = None
    milestone: Milestone | None = None


Event = Called | Accepted | Reported | Failed | Unknown | Left | Stopped | Suppressed | Finished
