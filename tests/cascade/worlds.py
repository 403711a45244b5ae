"""Hypothesis strategies: plans, histories and hostile little worlds. Small numbers, so that failures read well.

Everything is decoded from few integers, each a row of dice: Hypothesis pays per draw, and thousands of examples
times dozens of draws were minutes. It still shrinks well: zero is the plainest choice everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st

from tests.cascade.build import (
    HOUR,
    MINUTE,
    SECOND,
    TEN,
    Accepted,
    Called,
    Event,
    Expectation,
    F,
    Failed,
    K,
    Left,
    M,
    Plan,
    R,
    Reported,
    State,
    Step,
    Stopped,
    TroublePolicy,
    Unknown,
    apply,
    window,
)

T = TypeVar("T")


class Dice:
    """An integer read as choices, one after the other."""

    def __init__(self, number: int) -> None:
        # Hypothesis likes small integers, which would leave all later choices at the first. An odd factor spreads
        # every bit and is a bijection; zero stays zero.
        self.number = number * 0x5DEECE66D % 2**48

    def of(self, choices: Sequence[T]) -> T:
        self.number, choice = divmod(self.number, len(choices))
        return choices[choice]

    def below(self, limit: int) -> int:
        self.number, choice = divmod(self.number, limit)
        return choice


#: Enough for some ten choices.
dice = st.integers(0, 2**48 - 1)

EXPECTATIONS: tuple[tuple[Expectation, ...], ...] = (
    (Expectation(M.DELIVERED, 15 * MINUTE),),
    (),
    (Expectation(M.READ, 40 * MINUTE, M.SENT),),
    (Expectation(M.READ, 30 * MINUTE, M.SENT), Expectation(M.CLICKED, 20 * MINUTE, M.READ)),
    (Expectation(M.DELIVERED, 10 * MINUTE), Expectation(M.GOAL, 60 * MINUTE)),
    (Expectation(M.DELIVERED, timedelta(0)),),
)
HOURS = (None, None, window("09:00", "22:00"), window("20:00", "02:00"), window("10:05", "10:50"))
FAILURES = [failure for failure in F if failure != F.OUTCOME_UNKNOWN]
STOPS = (R.OPTED_OUT, R.CANCELLED, R.OBJECT_CHANGED, R.REPLIED, R.CLICKED, R.GOAL)
PAUSES: tuple[tuple[tuple[datetime, datetime | None], ...], ...] = (
    (),
    (),
    ((TEN + 5 * MINUTE, TEN + 12 * MINUTE),),
    ((TEN + HOUR, None),),
)
ZONES = ("UTC", "Europe/Moscow", "Asia/Kamchatka")
DEADLINES = (None, None, TEN + 50 * MINUTE, TEN + 26 * HOUR, TEN)


def make_step(number: int) -> Step:
    roll = Dice(number)
    return Step(
        channel_id=roll.of((1, 2, 3)),
        kind=roll.of((K.SMS, K.EMAIL, K.TELEGRAM, K.VOICE)),
        expectations=roll.of(EXPECTATIONS),
        window=roll.of(HOURS),
        idempotent=roll.of((False, True)),
        wait=roll.of((30 * MINUTE, 5 * MINUTE, timedelta(0))),
        min_wait=roll.of((MINUTE, 10 * MINUTE, timedelta(0))),
        max_tries=roll.of((3, 2, 1, 0)),
        reserves=roll.of(((), (), (7,), (7, 8))),
    )


def make_plan(numbers: Sequence[int]) -> Plan:
    roll = Dice(numbers[0] >> 40)
    return Plan(
        steps=tuple(map(make_step, numbers)),
        on_trouble=roll.of((TroublePolicy.GO_ON, TroublePolicy.HOLD)),
        not_after=roll.of((None, None, TEN + 90 * MINUTE, TEN + 20 * HOUR)),
    )


def make_state(plan: Plan, number: int) -> State:
    """A fresh delivery in some surroundings."""
    roll = Dice(number)
    return State(
        State.fresh(len(plan.steps)).steps,
        zone=roll.of(ZONES),
        deadline=roll.of(DEADLINES),
        unreachable=roll.of(({}, {}, {0: R.NO_ADDRESS}, {1: R.BLOCKED})),
        closed_channels=frozenset(roll.of(((), (), (1,), (2,), (1, 2, 3), (7,)))),
        pauses=roll.of(PAUSES),
    )


def make_fact(steps: int, number: int) -> Event:
    """Any fact about a plan of so many steps."""
    roll = Dice(number)
    kind, index, at = roll.below(12), roll.below(steps), TEN + roll.below(7200) * SECOND
    if kind < 3:
        return Called(index, at, roll.of((0, 0, 7, 8)))
    if kind < 5:
        return Accepted(index, at)
    if kind < 8:
        return Reported(index, roll.of(list(M)), at)
    if kind < 10:
        return Failed(index, roll.of(FAILURES), at, roll.of((None, R.BLOCKED, R.NOT_REGISTERED)))
    if kind < 11:
        return Unknown(index, at)
    return Left(index, R.TIME_PASSED, at)


def make_receipt(steps: int, number: int) -> Event:
    """What providers report after the call: the facts whose order must not matter."""
    roll = Dice(number)
    kind, index, at = roll.below(6), roll.below(steps), TEN + roll.below(7200) * SECOND
    if kind == 0:
        return Accepted(index, at)
    if kind < 4:
        return Reported(index, roll.of(list(M)), at)
    failure = roll.of((F.RECIPIENT_PERMANENT, F.MESSAGE_PERMANENT))
    return Failed(index, failure, at, roll.of((None, R.BLOCKED, R.NOT_REGISTERED)))


def make_history(numbers: tuple[list[int], int, list[int]]) -> tuple[Plan, State, list[Event]]:
    """A plan, the state after some facts in any order, however absurd, and those facts."""
    plan = make_plan(numbers[0])
    state = make_state(plan, numbers[1])
    events = [make_fact(len(plan.steps), number) for number in numbers[2]]
    roll = Dice(numbers[1] >> 24)
    if roll.below(8) == 7:
        events.append(Stopped(roll.of(STOPS), TEN + roll.below(7200) * SECOND, roll.of((None, 0))))
    for event in events:
        state = apply(plan, state, event)
    return plan, state, events


plans = st.lists(dice, min_size=1, max_size=4).map(make_plan)
histories = st.tuples(st.lists(dice, min_size=1, max_size=4), dice, st.lists(dice, max_size=12)).map(make_history)


def moments(minutes: int = 120) -> st.SearchStrategy[datetime]:
    return st.integers(0, minutes * 60).map(lambda seconds: TEN + seconds * SECOND)
