"""A channel's rate, shared by all workers (R19, I15): one row, one statement, exact.

`ChannelState.next_slot_at` is the theoretical arrival time of the generic cell rate algorithm: the next moment this
account may be called. Whoever wants to send moves it on by as many intervals as fit and owns the slots in between.
PostgreSQL and not Redis: the claim that follows is in PostgreSQL anyway, the row survives a flush of Redis (after
which a limiter in Redis would forget how fast we just were), its lock orders all workers without a second clock, and
at one statement per batch of messages it costs microseconds a message. The price: claims of one channel wait for each
other for the length of the claiming transaction, so that one must be short (it is: two statements).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.timezone import now

from channels.models import ChannelState

#: Above this many messages a second single slots are shorter than a sleep is exact; slots then come in small
#: bursts, one per TICK, never earlier than one TICK before their exact moment.
BURST_ABOVE = 200.0
TICK = 0.05
#: A provider that asks for more patience than this is asked again; a slip in its answer must not stop us for a year.
LONGEST_SLOW_DOWN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slots:
    """`count` moments to send at: the first at `first_at` (database clock), then every `interval` seconds.

    `delay`: seconds from the statement to `first_at`; count it down on the monotonic clock, the machine's wall
    clock may differ from the database's.
    """

    count: int
    first_at: datetime
    interval: float
    delay: float

    def offsets(self) -> Iterator[float]:
        """Seconds after the reservation at which message 0, 1, 2 ... may leave."""
        for index in range(self.count):
            exact = index * self.interval
            if self.interval < 1 / BURST_ABOVE:
                exact = exact // TICK * TICK
            yield self.delay + exact


#: One round trip. `held` takes the row lock first; the clock is read after it (a statement that waited for the lock
#: must not hand out moments that have passed), and it is clock_timestamp() because now() is when the caller's
#: transaction began. A slot belongs to us if it begins inside the horizon: so a slow channel (one message in 30 s)
#: gets one slot as soon as its moment is less than a horizon away, and nothing is reserved far ahead.
_RESERVE = """
WITH held AS MATERIALIZED (
    SELECT s.channel_id, s.next_slot_at, c.rate
    FROM channels_channelstate s JOIN channels_channel c ON c.id = s.channel_id
    WHERE s.channel_id = %(channel)s
    FOR UPDATE OF s
), clock AS MATERIALIZED (
    SELECT channel_id, rate, next_slot_at, clock_timestamp() AS at FROM held
), granted AS MATERIALIZED (
    SELECT channel_id, rate, at, greatest(next_slot_at, at) AS first_at,
        greatest(0, least(
            %(wanted)s,
            ceil((%(horizon)s - extract(epoch FROM greatest(next_slot_at, at) - at)) * rate)
        ))::int AS slots
    FROM clock
)
UPDATE channels_channelstate s
SET next_slot_at = CASE
    WHEN g.slots > 0 THEN g.first_at + make_interval(secs => g.slots / g.rate)
    ELSE s.next_slot_at
END
FROM granted g
WHERE s.channel_id = g.channel_id
RETURNING g.slots, g.first_at, g.rate, extract(epoch FROM g.first_at - g.at)::float8
"""


def reserve_slots(channel_id: int, wanted: int, horizon: float = 1.0) -> Slots:
    """Take up to `wanted` sending moments that begin within `horizon` seconds from now.

    Runs inside the caller's transaction: rolled back, the slots were never taken. Slots that are not used are lost,
    never sent faster later. `count` may be 0: the channel's time is given away already, come back at `first_at`.
    """
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(_RESERVE, {"channel": channel_id, "wanted": wanted, "horizon": horizon})
            row = cursor.fetchone()
            if row is not None:
                slots, first_at, rate, delay = row
                return Slots(slots, first_at, 1 / rate, delay)
            # A channel made by a bulk load has no state row yet.
            ChannelState.objects.get_or_create(channel_id=channel_id)
    raise AssertionError("a state row was made and is not there")


def paused_until(channel_id: int) -> datetime | None:
    """The end of a pause the provider asked for, None when there is none. For the owner's page."""
    return (
        ChannelState.objects.filter(channel_id=channel_id, held_until__gt=now())
        .values_list("held_until", flat=True)
        .first()
    )


def slow_down(channel_id: int, wait: timedelta) -> None:
    """Nobody calls this account for `wait` from now (Retry-After); a shorter wait than known changes nothing.

    Takes no new slots away from anybody by itself: who holds one inside the pause asks pauses() before using it.
    """
    parameters: list[Any] = [min(wait, LONGEST_SLOW_DOWN), channel_id]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE channels_channelstate s SET next_slot_at = greatest(s.next_slot_at, v.until),"
            " held_until = greatest(s.held_until, v.until)"
            " FROM (SELECT clock_timestamp() + %s AS until) v WHERE s.channel_id = %s",
            parameters,
        )


def pauses() -> dict[int, float]:
    """Channel id -> seconds left of the pause its provider asked for; channels without one are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT channel_id, extract(epoch FROM held_until - clock_timestamp())::float8"
            " FROM channels_channelstate WHERE held_until > clock_timestamp()"
        )
        return dict(cursor.fetchall())
