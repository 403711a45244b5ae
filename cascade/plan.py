"""The frozen copy of a chain that a delivery walks. Editing the chain never touches it (rule of section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from cascade.vocabulary import ChannelKind, Milestone, Purpose, TroublePolicy


@dataclass(frozen=True, slots=True)
class Expectation:
    """MILESTONE within DURATION counted from ANCHOR.

    `within` is counted in open time: quiet hours and pauses do not count (R6). `anchor` is the
    milestone whose moment starts the clock; `accepted` for the first expectation of a step.
    """

    milestone: Milestone
    within: timedelta
    anchor: Milestone = Milestone.ACCEPTED


@dataclass(frozen=True, slots=True)
class SendWindow:
    """Local hours in which sending is allowed: [start, end), end exclusive; start > end wraps midnight.

    `weekdays`: 0 = Monday. start == end means the whole day.
    """

    start: time
    end: time
    weekdays: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Step:
    """One rung: a channel, what would make it a success, and how long to wait for that.

    `expectations` empty means: by time alone, after `wait` (only a reply, goal or stop ends it earlier).
    `wait` is then the time before moving on; with expectations it is ignored.
    """

    channel_id: int
    kind: ChannelKind
    expectations: tuple[Expectation, ...] = ()
    wait: timedelta = timedelta(0)
    #: R13 never shrinks one expectation below this.
    min_wait: timedelta = timedelta(minutes=1)
    #: When this channel may speak for this purpose, in the recipient's zone; None = always.
    window: SendWindow | None = None
    #: The provider honours our reference as an idempotency key: an unknown outcome may be repeated (R8).
    idempotent: bool = False
    #: Transient failures are retried at most this often before the step is left.
    max_tries: int = 6
    #: Further accounts of the same kind, tried in this order while those before them are in trouble (R4).
    reserves: tuple[int, ...] = ()

    @property
    def accounts(self) -> tuple[int, ...]:
        """Every account this step may go through, in the order they are tried."""
        return (self.channel_id, *self.reserves)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a delivery was launched with."""

    steps: tuple[Step, ...]
    purpose: Purpose = Purpose.SERVICE
    on_trouble: TroublePolicy = TroublePolicy.GO_ON
    #: Nothing is sent at or after this moment (campaign end); a delivery's own deadline is in State.
    not_after: datetime | None = None
