"""The engine in miniature against a hostile world: any order of questions, answers, receipts, crashes, stops,
pauses and clock jumps (reliability.md 2.4, first level). After each of them I1, I3, I4, I6 and I10 must hold.

2,000 runs of up to 50 moves. The oracle does not know the machine: it keeps its own journal of what was called and
when, and judges by that, as the emulator's journal judges the real engine.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cascade.windows import is_open
from tests.cascade import worlds
from tests.cascade.build import (
    HOUR,
    MINUTE,
    SECOND,
    TEN,
    Accepted,
    Event,
    F,
    Failed,
    Finish,
    Finished,
    M,
    Phase,
    R,
    Reported,
    Send,
    Skip,
    State,
    Stopped,
    Suppressed,
    Unknown,
    Wait,
    Walk,
    apply,
    decide,
)


class Delivery(RuleBasedStateMachine):
    """One delivery, its worker, its provider, and its owner's whims."""

    walk: Walk

    @initialize(plan=worlds.plans, number=worlds.dice)
    def launch(self, plan, number):
        roll = worlds.Dice(number)
        zone, deadline = roll.of(worlds.ZONES), roll.of((None, None, None, TEN + 50 * MINUTE, TEN + 26 * HOUR))
        self.walk = Walk(plan, zone=zone, deadline=deadline, unreachable=roll.of(({}, {}, {}, {1: R.NO_ADDRESS})))
        self.due: datetime = TEN
        self.in_flight: int | None = None
        self.doubtful: set[int] = set()  # steps whose last call nobody knows the end of
        self.closed = False  # a stop fact is stored
        self.end: Finish | None = None
        self.milestones = self.walk.state.steps

    # --- the worker

    def ask(self):
        walk = self.walk
        action = walk.ask()
        if isinstance(action, Send):
            self.judge_send(action)
            self.in_flight = action.step
        elif isinstance(action, Wait):
            assert action.until > walk.now, "I6: a wait that is over already"
            self.due = action.until
        else:
            assert isinstance(action, Finish)
            assert self.end is None or action == self.end, "an outcome changed"
            self.end = action

    def judge_send(self, action: Send) -> None:
        walk, step = self.walk, self.walk.plan.steps[action.step]
        state = walk.state
        assert self.in_flight is None, "I1: two calls in flight"
        assert self.end is None and not self.closed, "I3: a send after the end"
        assert all(known.phase == Phase.LEFT for known in state.steps[: action.step]), "I2: a step sent too early"
        assert action.step >= max((index for index, _ in walk.sent), default=0), "I2: back to a step that was left"
        assert action.step not in self.doubtful or step.idempotent, "I4: a blind repeat"
        assert is_open(step.window, state.zone, walk.now), "I8: a send at night"
        assert state.deadline is None or walk.now < state.deadline, "I19: a send after the deadline"
        assert walk.plan.not_after is None or walk.now < walk.plan.not_after, "I19: a send after the campaign"
        assert not state.pauses or state.pauses[-1][1] is not None, "I14: a send while paused"
        assert action.step not in state.unreachable, "R4: a call to nobody"
        assert not state.closed_channels.issuperset(step.accounts), "R4: a call into a closed channel"
        known = state.steps[action.step]
        assert known.phase == Phase.CALLING and M.DELIVERED not in known.milestones, "a second copy"

    @precondition(lambda self: self.in_flight is not None)
    @rule(number=worlds.dice)
    def answer(self, number):
        roll = worlds.Dice(number)
        index = self.in_flight
        assert index is not None
        kind = roll.below(7)
        at = self.walk.at(SECOND).now
        self.in_flight = None
        self.doubtful.discard(index)
        if kind < 3:
            self.walk.know(Accepted(index, at))
        elif kind < 4:
            self.doubtful.add(index)
            self.walk.know(Unknown(index, at))
        else:
            retry_after = roll.of((None, 0 * SECOND, 10 * MINUTE))
            self.walk.know(Failed(index, roll.of(worlds.FAILURES), at, None, retry_after))

    def crash(self):
        """The process dies; another rebuilds the delivery from what was stored, and the reaper ends its call."""
        walk = self.walk
        state = replace(walk.state, steps=State.fresh(len(walk.plan.steps)).steps, current=0, stop=None)
        state = replace(state, outcome=None, outcome_step=None, outcome_milestone=None, outcome_reason=None)
        for event in walk.events:
            state = apply(walk.plan, state, event)
        assert state == walk.state, "R15: the facts do not make the state"
        if self.in_flight is not None:
            self.doubtful.add(self.in_flight)
            walk.know(Unknown(self.in_flight, walk.at(MINUTE).now))
            self.in_flight = None

    # --- the clock

    @rule()
    def tick(self):
        """What was waited for is due."""
        self.walk.at(max(self.walk.now, self.due))
        self.ask()

    @rule(number=worlds.dice)
    def look_in(self, number):
        """Somebody asks at a moment nobody planned."""
        spans = (0 * SECOND, 0 * SECOND, SECOND, MINUTE, 7 * MINUTE, 7 * MINUTE, HOUR, 13 * HOUR)
        self.walk.at(worlds.Dice(number).of(spans))
        self.ask()

    # --- the provider and the person

    @precondition(lambda self: bool(self.walk.sent))
    @rule(number=worlds.dice)
    def report(self, number):
        roll = worlds.Dice(number)
        walk = self.walk
        index = roll.of(sorted({index for index, _ in walk.sent}))
        at = max(walk.now - roll.of((0, 0, 1, 20)) * MINUTE, TEN)
        if roll.below(5) == 4:
            if self.in_flight != index:
                walk.know(Failed(index, roll.of((F.RECIPIENT_PERMANENT, F.MESSAGE_PERMANENT)), walk.now))
                self.doubtful.discard(index)
        else:
            walk.know(Reported(index, roll.of(list(M)), at))

    def tell_again(self, roll):
        """I10: any fact comes twice."""
        if not self.walk.events:
            return
        event: Event = roll.of(self.walk.events)
        if isinstance(event, Accepted) and self.in_flight == event.step:
            return  # told of the try before: the one repeat the core cannot recognise (docs, "What we regret")
        before = self.walk.state
        assert apply(self.walk.plan, before, event) == before, event

    def stop(self, roll):
        reason, at = roll.of(worlds.STOPS), self.walk.now
        self.walk.know(Stopped(reason, at, roll.of((None, 0))) if roll.below(3) else Suppressed(R.STOP_LIST, at))
        self.closed = True

    # --- the owner and the surroundings

    @rule(number=worlds.dice)
    def disturb(self, number):
        """One rule for all that happens less often: the walk itself should get most of the moves."""
        roll = worlds.Dice(number)
        what = roll.below(16)
        if what < 4:
            self.crash()
        elif what < 9:
            self.tell_again(roll)
        elif what < 15:
            self.surround(roll)
        else:
            self.stop(roll)

    def surround(self, roll):
        state = self.walk.state
        kind = roll.below(3)
        if kind == 0:
            pauses = state.pauses
            if pauses and pauses[-1][1] is None:
                pauses = (*pauses[:-1], (pauses[-1][0], self.walk.now))
            else:
                pauses = (*pauses, (self.walk.now, None))
            self.walk.surround(pauses=pauses)
        elif kind == 1:
            self.walk.surround(closed_channels=frozenset(roll.of(((), (1,), (2, 3), (1, 2, 3)))))
        else:
            self.walk.surround(unreachable=roll.of(({}, {0: R.BLOCKED}, {1: R.NO_ADDRESS})))

    # --- what always holds

    @invariant()
    def hold(self):
        state = self.walk.state
        phases = [known.phase for known in state.steps]
        assert phases.count(Phase.CALLING) == (self.in_flight is not None), "I1"
        assert all((phase == Phase.LEFT) == (index < state.current) for index, phase in enumerate(phases)), "I2"
        for before, now in zip(self.milestones, state.steps, strict=True):
            assert before.milestones.keys() <= now.milestones.keys(), "I10: a milestone was forgotten"
        self.milestones = state.steps
        action = decide(self.walk.plan, state, self.walk.now)
        if self.end is not None:
            assert action == self.end, "an outcome changed"
        elif self.closed:
            assert isinstance(action, Finish), "I3"
        else:
            assert not isinstance(action, Skip) or action.step == state.current, "I2"

    def teardown(self):
        """I6: left alone with a provider that works, every delivery comes to an end."""
        if not hasattr(self, "walk"):
            return
        walk = self.walk
        if self.in_flight is not None:
            walk.know(Accepted(self.in_flight, walk.now))
        pauses = tuple((start, end or walk.now) for start, end in walk.state.pauses)
        walk.surround(pauses=pauses, closed_channels=frozenset())
        for _ in range(60):
            action = walk.ask()
            if isinstance(action, Finish):
                assert walk.ask() == action
                walk.know(Finished(walk.now))
                return
            walk.at(SECOND)
            if isinstance(action, Send):
                walk.know(Accepted(action.step, walk.now))
            elif isinstance(action, Wait):
                walk.at(max(walk.now, action.until))
        raise AssertionError(f"no end: {walk.look()}")


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=2000,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
