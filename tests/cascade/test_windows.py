"""Quiet hours and the clock that stops at night: tables for the days that matter, properties for the rest."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.plan import SendWindow
from cascade.windows import (
    add_open_time,
    is_open,
    next_open_moment,
    open_time_between,
    pause_at,
)
from tests.cascade.build import HOUR, MINUTE, TEN, window

BERLIN = "Europe/Berlin"
#: One hour forward at 01:00 UTC / one hour back at 01:00 UTC.
SPRING, AUTUMN = "2026-03-29", "2026-10-25"


def local(text: str, zone: str = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


# --- R12 -------------------------------------------------------------------------------------------------------


def test_R12_inside_the_window_it_is_now():
    assert next_open_moment(window(), "UTC", TEN) == TEN
    assert next_open_moment(None, "UTC", TEN) == TEN
    assert is_open(window(), "UTC", TEN) and is_open(None, "UTC", TEN)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-06-01 08:59:59.999999", "2026-06-01 09:00"),
        ("2026-06-01 09:00", "2026-06-01 09:00"),
        ("2026-06-01 21:59:59.999999", "2026-06-01 21:59:59.999999"),
        ("2026-06-01 22:00", "2026-06-02 09:00"),  # the end is exclusive
        ("2026-06-02 00:00", "2026-06-02 09:00"),
    ],
)
def test_R12_bounds(at, opens):
    assert next_open_moment(window(), BERLIN, local(at)) == local(opens)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-06-01 19:00", "2026-06-01 20:00"),
        ("2026-06-01 23:30", "2026-06-01 23:30"),
        ("2026-06-02 01:59", "2026-06-02 01:59"),
        ("2026-06-02 02:00", "2026-06-02 20:00"),
    ],
)
def test_R12_a_window_that_wraps_midnight(at, opens):
    assert next_open_moment(window("20:00", "02:00"), BERLIN, local(at)) == local(opens)


def test_R12_weekdays_belong_to_the_day_a_window_begins():
    friday = window("20:00", "02:00", days="4")
    assert is_open(friday, BERLIN, local("2026-06-06 01:00"))  # Saturday, of Friday's evening
    assert next_open_moment(friday, BERLIN, local("2026-06-05 01:00")) == local("2026-06-05 20:00")
    assert next_open_moment(friday, BERLIN, local("2026-06-06 02:00")) == local("2026-06-12 20:00")


def test_R12_equal_bounds_are_the_whole_day():
    weekend = window("09:00", "09:00", days="56")
    assert next_open_moment(weekend, BERLIN, local("2026-06-05 12:00")) == local("2026-06-06 00:00")
    assert is_open(weekend, BERLIN, local("2026-06-07 23:59:59"))
    assert not is_open(weekend, BERLIN, local("2026-06-08 00:00"))
    assert open_time_between(weekend, BERLIN, local("2026-06-05 00:00"), local("2026-06-09 00:00")) == 48 * HOUR


def test_R12_a_window_that_never_opens():
    assert next_open_moment(window(days=""), BERLIN, TEN) is None
    assert add_open_time(window(days=""), BERLIN, TEN, HOUR) is None
    assert open_time_between(window(days=""), BERLIN, TEN, TEN + 1000 * HOUR) == timedelta(0)


@pytest.mark.parametrize(
    "zone", ["Asia/Kamchatka", "Pacific/Kiritimati", "Etc/GMT+12", "America/St_Johns", "Asia/Kolkata"]
)
def test_R12_far_zones(zone):
    at = datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
    for hour in range(48):
        opens = next_open_moment(window(), zone, at + hour * HOUR)
        assert opens is not None and opens - (at + hour * HOUR) <= 11 * HOUR
        assert time(9) <= opens.astimezone(ZoneInfo(zone)).time() < time(22)


def test_R12_an_unknown_zone_raises():
    with pytest.raises(Exception, match="Atlantis"):
        next_open_moment(window(), "Europe/Atlantis", TEN)


# --- daylight saving ----------------------------------------------------------------------------------------------


def test_R12_gap_an_opening_inside_it_is_the_jump():
    w = window("02:30", "12:00")
    assert next_open_moment(w, BERLIN, local(f"{SPRING} 01:30")) == local(f"{SPRING} 03:00")
    # the day before and after, as written
    assert next_open_moment(w, BERLIN, local("2026-03-28 01:30")) == local("2026-03-28 02:30")
    assert next_open_moment(w, BERLIN, local("2026-03-30 01:30")) == local("2026-03-30 02:30")


def test_R12_gap_a_closing_inside_it_is_the_jump():
    w = window("20:00", "02:30")
    assert is_open(w, BERLIN, local(f"{SPRING} 01:59:59"))
    assert not is_open(w, BERLIN, local(f"{SPRING} 03:00"))
    assert open_time_between(w, BERLIN, local("2026-03-28 12:00"), local(f"{SPRING} 12:00")) == 6 * HOUR


def test_R12_gap_a_window_wholly_inside_it_does_not_exist_that_day():
    w = window("02:10", "02:50")
    assert next_open_moment(w, BERLIN, local(f"{SPRING} 01:00")) == local("2026-03-30 02:10")


def test_R12_gap_a_night_is_an_hour_shorter():
    assert add_open_time(window(), BERLIN, local("2026-03-28 21:00"), 2 * HOUR) == local(f"{SPRING} 10:00")
    assert local(f"{SPRING} 09:00") - local("2026-03-28 22:00") == 10 * HOUR


def test_R12_overlap_an_opening_inside_it_is_its_second_reading():
    w = window("02:30", "12:00")
    opens = next_open_moment(w, BERLIN, local(f"{AUTUMN} 01:30"))
    assert opens == local(f"{AUTUMN} 02:30", fold=1)
    assert open_time_between(w, BERLIN, local(f"{AUTUMN} 00:00"), local(f"{AUTUMN} 23:00")) == 9.5 * HOUR


def test_R12_overlap_a_closing_inside_it_is_its_first_reading():
    w = window("20:00", "02:30")
    assert is_open(w, BERLIN, local(f"{AUTUMN} 02:29:59", fold=0))
    assert not is_open(w, BERLIN, local(f"{AUTUMN} 02:29:59", fold=1))


def test_R12_overlap_a_window_wholly_inside_it_opens_once():
    w = window("02:10", "02:50")
    assert open_time_between(w, BERLIN, local(f"{AUTUMN} 00:00"), local(f"{AUTUMN} 12:00")) == 40 * MINUTE


def test_R12_overlap_whole_days_have_no_hole():
    # Havana turns its clocks back at 01:00, so midnight comes twice.
    always = window("00:00", "00:00")
    start, end = datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC)
    assert open_time_between(always, "America/Havana", start, end) == end - start


# --- the clock (R6) -----------------------------------------------------------------------------------------------


def test_R6_open_time_runs_over_the_night():
    assert add_open_time(window(), "UTC", TEN.replace(hour=21), 2 * HOUR) == datetime(2026, 6, 2, 10, tzinfo=UTC)
    assert add_open_time(window(), "UTC", TEN.replace(hour=23), HOUR) == datetime(2026, 6, 2, 10, tzinfo=UTC)
    assert add_open_time(window(), "UTC", TEN, 48 * HOUR) == datetime(2026, 6, 4, 19, tzinfo=UTC)


def test_R6_what_ends_at_the_closing_ends_at_the_closing():
    assert add_open_time(window(), "UTC", TEN.replace(hour=21), HOUR) == TEN.replace(hour=22)


@pytest.mark.parametrize("duration", [timedelta(0), -HOUR])
def test_R6_nothing_to_wait_for_has_passed_already(duration):
    assert add_open_time(window(), "UTC", TEN.replace(hour=23), duration) == TEN.replace(hour=23)


@pytest.mark.parametrize(
    ("pauses", "ends"),
    [
        (((10, 11),), 13),
        (((8, 9),), 12),
        (((11, 13),), 14),
        (((11, 13), (13, 14)), 15),
        (((11, 13), (12, 14)), 15),
        (((12, 14), (11, 13)), 15),
        (((9, 20),), 33),  # two hours are left of the day, both paused away but for 20-22
        (((12, 13),), 12),
    ],
)
def test_R6_pauses_do_not_count(pauses, ends):
    midnight = TEN.replace(hour=0)
    spans = tuple((midnight + a * HOUR, midnight + b * HOUR) for a, b in pauses)
    expected = midnight + ends * HOUR if ends != 33 else midnight + 22 * HOUR
    assert add_open_time(window(), "UTC", TEN, 2 * HOUR, spans) == expected


def test_R6_an_open_pause_stops_the_clock_for_good():
    assert add_open_time(None, "UTC", TEN, HOUR, ((TEN + HOUR / 2, None),)) is None
    assert add_open_time(window(), "UTC", TEN, HOUR, ((TEN + HOUR / 2, None),)) is None
    assert add_open_time(None, "UTC", TEN, HOUR, ((TEN + HOUR, None),)) == TEN + HOUR
    assert open_time_between(window(), "UTC", TEN, TEN + 90 * HOUR, ((TEN + HOUR, None),)) == HOUR


def test_R20_the_pause_that_covers_a_moment():
    pauses = ((TEN, TEN + HOUR), (TEN, TEN + 2 * HOUR), (TEN + 5 * HOUR, None))
    assert pause_at(pauses, TEN - MINUTE) is None
    assert pause_at(pauses, TEN) == pauses[1]
    assert pause_at(pauses, TEN + 2 * HOUR) is None
    assert pause_at(pauses, TEN + 6 * HOUR) == pauses[2]


# --- properties ---------------------------------------------------------------------------------------------------

ZONES = st.sampled_from(
    [BERLIN, "Europe/Moscow", "America/Havana", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Beirut", "UTC"]
)
MOMENTS = st.one_of(
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE),
    # around the two days that are not 24 hours long
    st.integers(-2000, 2000).map(lambda minutes: datetime(2026, 3, 29, 1, tzinfo=UTC) + minutes * MINUTE),
    st.integers(-2000, 2000).map(lambda minutes: datetime(2026, 10, 25, 1, tzinfo=UTC) + minutes * MINUTE),
)
CLOCKS = st.integers(0, 24 * 12 - 1).map(lambda slot: time(slot // 12, slot % 12 * 5))
WINDOWS = st.builds(SendWindow, CLOCKS, CLOCKS, st.frozensets(st.integers(0, 6), min_size=1))
SPANS = st.integers(0, 6 * 24 * 60).map(lambda minutes: minutes * MINUTE)


def wall_is_inside(w: SendWindow, zone: str, at: datetime) -> bool:
    """The definition, written once more in the plainest way, without DST: what a clock on the wall would say."""
    there = at.astimezone(ZoneInfo(zone))
    now, today = there.time(), there.weekday()
    if w.start == w.end:
        return today in w.weekdays
    if w.start < w.end:
        return w.start <= now < w.end and today in w.weekdays
    return (now >= w.start and today in w.weekdays) or (now < w.end and (today - 1) % 7 in w.weekdays)


@settings(max_examples=2000, deadline=None)
@given(WINDOWS, ZONES, MOMENTS)
def test_R12_never_open_at_night(w, zone, at):
    opens = next_open_moment(w, zone, at)
    if opens is None:  # the one window a week lies in a DST gap twice in a row: impossible
        pytest.fail("a window with weekdays opens at least once in 16 days")
    assert opens >= at
    assert wall_is_inside(w, zone, opens)
    assert next_open_moment(w, zone, opens) == opens


@settings(max_examples=2000, deadline=None)
@given(WINDOWS, ZONES, MOMENTS, st.integers(0, 24 * 60))
def test_R12_no_moment_is_passed_over(w, zone, at, minutes):
    """Between `at` and the opening no wall clock shows an open minute, but for the hour given away in autumn."""
    opens = next_open_moment(w, zone, at)
    between = at + minutes * MINUTE
    if opens is not None and between < opens and wall_is_inside(w, zone, between):
        offsets = {(between + hour * HOUR).astimezone(ZoneInfo(zone)).utcoffset() for hour in range(-26, 27)}
        assert len(offsets) == 2


@settings(max_examples=2000, deadline=None)
@given(WINDOWS, ZONES, MOMENTS, SPANS, st.lists(st.tuples(MOMENTS, SPANS), max_size=3))
def test_R6_adding_and_measuring_open_time_are_inverse(w, zone, at, span, pauses):
    spans = tuple((start, start + length) for start, length in pauses)
    end = add_open_time(w, zone, at, span, spans)
    assert end is not None and end >= at
    assert open_time_between(w, zone, at, end, spans) == span


@settings(max_examples=2000, deadline=None)
@given(WINDOWS, ZONES, MOMENTS, SPANS, SPANS)
def test_R6_more_time_never_ends_earlier(w, zone, at, span, more):
    first = add_open_time(w, zone, at, span)
    assert first is not None
    assert add_open_time(w, zone, first, more) == add_open_time(w, zone, at, span + more) or more == timedelta(0)


@settings(max_examples=1000, deadline=None)
@given(WINDOWS, ZONES, MOMENTS, SPANS, SPANS)
def test_R6_open_time_adds_up(w, zone, at, first, second):
    middle, end = at + first, at + first + second
    total = open_time_between(w, zone, at, end)
    assert total == open_time_between(w, zone, at, middle) + open_time_between(w, zone, middle, end)
    assert timedelta(0) <= total <= first + second
