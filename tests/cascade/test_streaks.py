"""A row of refusals: whose trouble is it?"""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.streaks import CHANCE, MOST_USUAL, SHORTEST, USUAL, Streak, Told, fold, is_systemic, needed
from cascade.vocabulary import Reason

_REASONS = [None, *USUAL, Reason.NO_ANSWER]
_told = st.lists(st.builds(Told, st.integers(1, 999), st.integers(1, 30), st.sampled_from(_REASONS)), max_size=60)


@settings(max_examples=400, deadline=None)
@given(_told, st.lists(st.integers(0, 60), max_size=6))
def test_in_whatever_batches_results_come_the_streak_is_the_same(told: list[Told], cuts: list[int]) -> None:
    streak = Streak()
    edges = [0, *sorted(min(cut, len(told)) for cut in cuts), len(told)]
    for start, end in itertools.pairwise(edges):
        streak = fold(streak, told[start:end])
    assert streak == fold(Streak(), told)


@settings(max_examples=400, deadline=None)
@given(_told)
def test_a_streak_is_of_one_reason_of_different_people_and_since_the_last_success(told: list[Told]) -> None:
    streak = fold(Streak(), told)
    people = [person for _, person in streak.refused]
    assert len(people) == len(set(people))
    counted = [one for one in told if one.reason is None or one.reason in USUAL]
    if not counted or counted[-1].reason is None:
        assert streak == Streak()
        return
    tail = []
    for one in reversed(counted):
        if one.reason != counted[-1].reason:
            break
        tail.append((one.key, one.person))
    assert streak.reason == counted[-1].reason
    assert set(streak.refused) <= set(tail)
    assert set(people) == {person for _, person in tail}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(USUAL)), st.integers(0, 20_000), st.integers(0, 20_000))
def test_the_more_usual_a_refusal_the_longer_the_row_and_chance_is_as_small_as_promised(
    reason: Reason, refusals: int, others: int
) -> None:
    answers = refusals + others
    row = needed(reason, refusals, answers)
    assert row >= SHORTEST
    assert row <= needed(reason, refusals + 10, answers + 10)
    assert row >= needed(reason, refusals, answers + 10)
    usual = min((refusals + USUAL[reason] * 20) / (answers + 20), MOST_USUAL)
    assert usual**row <= CHANCE
    streak = Streak(reason, tuple((number, number) for number in range(row)))
    assert is_systemic(streak, refusals, answers)
    assert not is_systemic(Streak(reason, streak.refused[1:]), refusals, answers)


@pytest.mark.parametrize(("reason", "share"), [(Reason.BLOCKED, 0.1), (Reason.BLOCKED, 0.65)])
def test_a_healthy_channel_of_a_hundred_thousand_people_raises_no_alarm(reason: Reason, share: float) -> None:
    """And a suspended one does, after as many people as its usual refusals need."""
    dice = random.Random(1)
    streak, refusals = Streak(), 0
    for number in range(100_000):
        refused = dice.random() < share
        streak = fold(streak, [Told(number, number, reason if refused else None)])
        assert not is_systemic(streak, refusals - len(streak.refused), number)
        refusals += refused
    for number in range(100_000, 100_000 + 60):
        streak = fold(streak, [Told(number, number, reason)])
    assert is_systemic(streak, refusals, 100_000)


def test_what_is_new_begins_with_a_guess() -> None:
    assert {reason: needed(reason, 0, 0) for reason in USUAL} == {
        Reason.BLOCKED: 10,
        Reason.RECIPIENT_REFUSED: 18,
        Reason.NOT_REGISTERED: 18,
    }
