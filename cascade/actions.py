"""What decide() may answer. Frozen values: the engine carries them out, the simulation counts them,
explain() words them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cascade.vocabulary import Milestone, Outcome, Reason


@dataclass(frozen=True, slots=True)
class Send:
    """Call the provider of this step now."""

    step: int
    because: Reason


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` unless a new fact comes. `step` is what we wait on."""

    until: datetime
    because: Reason
    step: int


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave this step (tried or not) and ask again."""

    step: int
    because: Reason


@dataclass(frozen=True, slots=True)
class Finish:
    """The delivery is over. `step`/`milestone` say by what it was reached, where it was."""

    outcome: Outcome
    because: Reason
    step: int | None = None
    milestone: Milestone | None = None


Action = Send | Wait | Skip | Finish
