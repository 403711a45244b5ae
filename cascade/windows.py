"""Quiet hours: when a channel may speak, and how much time passes on a clock that stops at night (R6, R12).

A SendWindow is written in the recipient's wall-clock time; everything here answers in UTC. Two decisions:

* **Never at night, even twice a year.** Where the wall clock is ambiguous (the repeated hour in autumn) an
  opening takes its later reading and a closing its earlier one, so no moment counts as open whose wall
  clock is outside the window. Price: up to one hour of sending time, once a year, for windows that begin
  or end in that hour. Where the wall clock jumps (spring), a bound inside the gap is the jump itself.
* **Days are computed once.** Openings are cut at UTC midnights and cached per (window, zone, UTC day), so
  a question costs a dictionary look-up and a few comparisons, not a time-zone conversion: decide() asks
  for each delivery of a campaign, and all of them ask about the same few days.

All moments in and out are aware datetimes in UTC; zones are IANA names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cascade.plan import SendWindow

Pauses = Sequence[tuple[datetime, datetime | None]]
Interval = tuple[datetime, datetime]

_DAY = timedelta(days=1)
_ZERO = timedelta(0)
_MIDNIGHT = time(0)
#: A window that does not open for this long never does: one weekday a week is 7 days, and a window that lies
#: wholly inside a DST gap misses one of them.
_HORIZON_DAYS = 16
#: 9999-12-31 is the last day datetime knows; a "forever" that can still be compared and added to.
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def is_open(window: SendWindow | None, zone: str, at: datetime) -> bool:
    """Whether `at` lies inside the window of the recipient in `zone`. None is always open.

    Raises zoneinfo.ZoneInfoNotFoundError or ValueError for a zone that does not exist.
    """
    return window is None or next_open_moment(window, zone, at) == at


def next_open_moment(window: SendWindow | None, zone: str, at: datetime) -> datetime | None:
    """`at` itself if it lies inside the window, else the moment the window opens next; None if it never does
    (no weekdays, or hours that do not exist).

    Raises zoneinfo.ZoneInfoNotFoundError or ValueError for a zone that does not exist.
    """
    if window is None:
        return at
    calendar = _calendar(window, zone)
    ordinal = at.toordinal()
    for day in range(ordinal, ordinal + _HORIZON_DAYS):
        for opens, closes in calendar.day(day):
            if at < closes:
                return max(at, opens)
    return None


def add_open_time(
    window: SendWindow | None,
    zone: str,
    start: datetime,
    duration: timedelta,
    pauses: Pauses = (),
) -> datetime | None:
    """The first moment by which `duration` of open time has passed since `start`.

    Open time is what lies inside the window and outside the pauses ([from, to) moments; `to` None is a
    pause that is still open). A zero or negative duration has passed at `start`. None: it never passes
    (an open pause, a window that never opens). Exactly at a closing the earlier moment is returned: what
    ended at 22:00 ended at 22:00, not at 9:00 tomorrow.
    """
    if duration <= _ZERO:
        return start
    if window is None and not pauses:
        return start + duration
    for opens, closes in _open_intervals(window, zone, start, pauses):
        length = closes - opens
        if duration <= length:
            return opens + duration
        duration -= length
    return None


def open_time_between(
    window: SendWindow | None,
    zone: str,
    start: datetime,
    end: datetime,
    pauses: Pauses = (),
) -> timedelta:
    """How much open time (see add_open_time) lies in [start, end). Zero if end <= start."""
    if end <= start:
        return _ZERO
    if window is None and not pauses:
        return end - start
    total = _ZERO
    for opens, closes in _open_intervals(window, zone, start, pauses, end):
        if opens >= end:
            break
        total += min(closes, end) - opens
    return total


def pause_at(pauses: Pauses, at: datetime) -> tuple[datetime, datetime | None] | None:
    """The pause that covers `at`, or None. Of several that overlap, the one that ends last."""
    found: tuple[datetime, datetime | None] | None = None
    for start, end in pauses:
        if start <= at and (end is None or at < end):
            if end is None:
                return start, None
            if found is None or (found[1] is not None and end > found[1]):
                found = (start, end)
    return found


def _open_intervals(
    window: SendWindow | None,
    zone: str,
    start: datetime,
    pauses: Pauses,
    end: datetime | None = None,
) -> Iterator[Interval]:
    """Pieces of open time from `start` on, in order, disjoint; endless unless the window never opens again,
    `end` is passed, or a pause is open."""
    source = _window_intervals(window, zone, start, end)
    if not pauses:
        yield from source
        return
    merged = sorted(((a, _FOREVER if b is None else b) for a, b in pauses if b is None or b > start))
    for piece_opens, closes in source:
        opens = piece_opens
        for pause_start, pause_end in merged:
            if pause_end <= opens:
                continue
            if pause_start >= closes:
                break
            if pause_start > opens:
                yield opens, pause_start
            opens = pause_end
            if opens >= closes:
                break
        if opens < closes:
            yield opens, closes
        if merged and merged[-1][1] == _FOREVER and merged[-1][0] <= closes:
            # An open pause: no open time after it, and the loop over days would never end.
            return


def _window_intervals(
    window: SendWindow | None, zone: str, start: datetime, end: datetime | None
) -> Iterator[Interval]:
    if window is None:
        yield start, _FOREVER
        return
    calendar = _calendar(window, zone)
    ordinal = start.toordinal()
    last = _FOREVER.toordinal() if end is None else end.toordinal()
    idle = 0
    while ordinal <= last and idle < _HORIZON_DAYS:
        pieces = calendar.day(ordinal)
        idle = 0 if pieces else idle + 1
        for opens, closes in pieces:
            if closes > start:
                yield max(opens, start), closes
        ordinal += 1


@lru_cache(maxsize=1024)
def _calendar(window: SendWindow, zone: str) -> _Calendar:
    return _Calendar(window, ZoneInfo(zone))


class _Calendar:
    """The openings of one window in one zone, cut at UTC midnights, each UTC day computed once.

    Shared between threads: two may compute the same day, and both store the same value.
    """

    __slots__ = ("_days", "_window", "_zone")

    def __init__(self, window: SendWindow, zone: ZoneInfo) -> None:
        self._window = window
        self._zone = zone
        self._days: dict[int, tuple[Interval, ...]] = {}

    def day(self, ordinal: int) -> tuple[Interval, ...]:
        """Openings inside the UTC day with this proleptic ordinal, in order, disjoint, none empty."""
        known = self._days.get(ordinal)
        if known is None:
            known = self._days[ordinal] = self._compute(ordinal)
        return known

    def _compute(self, ordinal: int) -> tuple[Interval, ...]:
        midnight = datetime.combine(date.fromordinal(ordinal), _MIDNIGHT, UTC)
        day_end = midnight + _DAY
        pieces: list[Interval] = []
        # Zones reach from UTC-12 to UTC+14, and a window may wrap midnight: the local day before the day
        # before can still be open.
        for local in range(ordinal - 2, ordinal + 2):
            opening = self._opening(date.fromordinal(local))
            if opening is None:
                continue
            opens = max(opening[0], midnight, pieces[-1][1] if pieces else midnight)
            closes = min(opening[1], day_end)
            if opens < closes:
                pieces.append((opens, closes))
        return tuple(pieces)

    def _opening(self, day: date) -> Interval | None:
        """The opening that begins on this local day, in UTC."""
        window, zone = self._window, self._zone
        if day.weekday() not in window.weekdays:
            return None
        if window.start == window.end:
            return _instant(zone, day, _MIDNIGHT, later=False), _instant(zone, day + _DAY, _MIDNIGHT, later=False)
        last_day = day if window.start < window.end else day + _DAY
        opens = _instant(zone, day, window.start, later=True)
        closes = _instant(zone, last_day, window.end, later=False)
        if opens >= closes:
            # Both bounds in the repeated hour: its first reading is a full window, use that one.
            opens = _instant(zone, day, window.start, later=False)
        return (opens, closes) if opens < closes else None


def _instant(zone: ZoneInfo, day: date, wall: time, *, later: bool) -> datetime:
    """The UTC moment at which the clocks of `zone` show this date and time; of two, the later or earlier one;
    of none (a gap), the jump."""
    first = datetime.combine(day, wall, zone).replace(fold=0).astimezone(UTC)
    second = datetime.combine(day, wall, zone).replace(fold=1).astimezone(UTC)
    if first == second:
        return first
    if first < second:
        return second if later else first
    # In a gap fold=0 reads with the offset before the jump and lands after it; fold=1 the other way round.
    before, after = int(second.timestamp()), int(first.timestamp())
    offset_after = first.astimezone(zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset_after:
            after = middle
        else:
            before = middle
    return datetime.fromtimestamp(after, UTC)
