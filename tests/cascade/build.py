"""Short ways to say "a chain of three steps" and "then it was delivered at 10:16"."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from cascade.actions import Action, Finish, Send, Skip, Wait
from cascade.events import (
    Accepted,
    Called,
    Event,
    Failed,
    Finished,
    Left,
    Reported,
    Stopped,
    Suppressed,
    Unknown,
)
from cascade.machine import account, apply, decide, settle
from cascade.plan import Expectation, Plan, SendWindow, Step
from cascade.state import Phase, State
from cascade.vocabulary import (
    ChannelKind,
    FailureClass,
    Milestone,
    Outcome,
    Purpose,
    Reason,
    TroublePolicy,
)

M = Milestone
R = Reason
F = FailureClass
K = ChannelKind

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
#: A Monday, 10:00 UTC.
TEN = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)

__all__ = [
    "HOUR",
    "MINUTE",
    "SECOND",
    "TEN",
    "Accepted",
    "Action",
    "Called",
    "Event",
    "Expectation",
    "F",
    "Failed",
    "Finish",
    "Finished",
    "K",
    "Left",
    "M",
    "Outcome",
    "Phase",
    "Plan",
    "Purpose",
    "R",
    "Reported",
    "Send",
    "SendWindow",
    "Skip",
    "State",
    "Step",
    "Stopped",
    "Suppressed",
    "TroublePolicy",
    "Unknown",
    "Wait",
    "Walk",
    "account",
    "apply",
    "by_time",
    "chain",
    "decide",
    "expect",
    "settle",
    "step",
    "window",
]


def expect(milestone: Milestone, within: timedelta, anchor: Milestone = M.ACCEPTED) -> Expectation:
    return Expectation(milestone, within, anchor)


def step(
    kind: ChannelKind = K.SMS,
    *expectations: Expectation,
    channel: int | None = None,
    wait: timedelta = timedelta(0),
    **more: object,
) -> Step:
    """A step that waits 15 minutes for `delivered` unless told otherwise."""
    if not expectations and not wait:
        expectations = (expect(M.DELIVERED, 15 * MINUTE),)
    number = list(ChannelKind).index(kind) + 1 if channel is None else channel
    return Step(number, kind, expectations, wait, **more)  # type: ignore[arg-type]


def by_time(kind: ChannelKind, wait: timedelta, **more: object) -> Step:
    """A step that moves on by time alone."""
    return Step(list(ChannelKind).index(kind) + 1, kind, (), wait, **more)  # type: ignore[arg-type]


def chain(*steps: Step, **more: object) -> Plan:
    return Plan(steps or (step(K.WHATSAPP), step(K.TELEGRAM), step(K.SMS)), **more)  # type: ignore[arg-type]


def window(start: str = "09:00", end: str = "22:00", days: str = "0123456") -> SendWindow:
    return SendWindow(time.fromisoformat(start), time.fromisoformat(end), frozenset(map(int, days)))


class Walk:
    """One delivery and a clock. Facts happen at the walk's `now`; ask() settles, and carries a Send out up to
    the call being in flight. `events` is the log from which a crashed engine would rebuild the state."""

    def __init__(self, plan: Plan, now: datetime = TEN, zone: str = "UTC", **surroundings: object) -> None:
        self.plan = plan
        self.now = now
        self.state = replace(State.fresh(len(plan.steps)), zone=zone, **surroundings)  # type: ignore[arg-type]
        self.events: list[Event] = []
        self.sent: list[tuple[int, datetime]] = []
        #: The account of each call, beside `sent`.
        self.accounts: list[int] = []
        self.left: list[tuple[int, Reason]] = []

    def at(self, moment: str | datetime | timedelta) -> Walk:
        """Set the clock: "HH:MM[:SS]" of the same day, a moment, or a span from now."""
        if isinstance(moment, timedelta):
            self.now += moment
        elif isinstance(moment, datetime):
            self.now = moment
        else:
            self.now = datetime.combine(self.now.date(), time.fromisoformat(moment), UTC)
        return self

    def know(self, event: Event) -> Walk:
        self.events.append(event)
        self.state = apply(self.plan, self.state, event)
        return self

    def look(self) -> Action:
        """decide(), carrying nothing out."""
        return decide(self.plan, self.state, self.now)

    def ask(self) -> Action:
        _, actions = settle(self.plan, self.state, self.now)
        for action in actions:
            if isinstance(action, Skip):
                self.left.append((action.step, action.because))
                self.know(Left(action.step, action.because, self.now))
        last = actions[-1]
        if isinstance(last, Send):
            self.sent.append((last.step, self.now))
            through = account(self.plan, self.state, last.step)
            assert through is not None, "R4: a call into a step whose accounts are all closed"
            self.accounts.append(through)
            self.know(Called(last.step, self.now, through))
        elif isinstance(last, Finish):
            self.know(Finished(self.now, last.outcome, last.because, last.step, last.milestone))
        return last

    def accepted(self, index: int | None = None) -> Walk:
        return self.know(Accepted(self._index(index), self.now))

    def reported(self, milestone: Milestone, index: int | None = None) -> Walk:
        return self.know(Reported(self._index(index), milestone, self.now))

    def failed(
        self,
        failure: FailureClass,
        reason: Reason | None = None,
        index: int | None = None,
        retry_after: timedelta | None = None,
    ) -> Walk:
        return self.know(Failed(self._index(index), failure, self.now, reason, retry_after))

    def unknown(self, index: int | None = None) -> Walk:
        return self.know(Unknown(self._index(index), self.now))

    def stopped(self, reason: Reason, index: int | None = None) -> Walk:
        return self.know(Stopped(reason, self.now, index))

    def send(self) -> Walk:
        """Ask, and insist that the answer is to send; the provider accepts at once."""
        action = self.ask()
        assert isinstance(action, Send), action
        return self.accepted(action.step)

    def surround(self, **changes: object) -> Walk:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        return self

    @property
    def phases(self) -> list[Phase]:
        return [known.phase for known in self.state.steps]

    def _index(self, index: int | None) -> int:
        return self.state.current if index is None else index
