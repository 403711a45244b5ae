"""Delays: growing, bounded, never earlier than asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.backoff import LONGEST_POLL, LONGEST_RETRY, SHORTEST_RETRY, poll_delay, retry_delay


def test_R9_doubles_up_to_the_cap():
    assert [retry_delay(tries).total_seconds() for tries in range(1, 13)] == [
        *(5 * 2**n for n in range(10)),
        3600,
        3600,
    ]


@pytest.mark.parametrize(
    ("asked", "given_"),
    [(30, 30), (0, 1), (-5, 1), (0.2, 1), (3600, 3600), (86_400, 3600), (10**9, 3600)],
)
def test_R9_retry_after_is_honoured_within_reason(asked, given_):
    assert retry_delay(7, 0.0, timedelta(seconds=asked)) == timedelta(seconds=given_)


def test_R9_jitter_spreads_and_never_shortens():
    assert retry_delay(3, 0.5) == timedelta(seconds=22.5)
    assert retry_delay(3, 0.5, timedelta(seconds=40)) == timedelta(seconds=45)


def test_polls_slow_down():
    delays = [poll_delay(polls) for polls in range(20)]
    assert delays[0] == timedelta(seconds=10) and delays[-1] == LONGEST_POLL
    assert delays == sorted(delays)


@settings(max_examples=2000)
@given(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False),
    st.none() | st.timedeltas(),
)
def test_R9_always_within_bounds(tries, jitter, retry_after):
    assert SHORTEST_RETRY <= retry_delay(tries, jitter, retry_after) <= 1.25 * LONGEST_RETRY
    assert timedelta(0) < poll_delay(tries, jitter) <= 1.25 * LONGEST_POLL
