"""TX-claim: take ready deliveries of one channel under a lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from channels.services.pace import reserve_slots
from deliveries.models import DeliveryState

#: Longer than the latest start of a call, its deadline and the slowest honest TX-result: a living worker never loses
#: its lease.
LEASE = timedelta(seconds=3 * settings.SEND_DEADLINE)
#: A message whose preliminaries (take back, ask) took longer than this is not sent any more, so that its call and
#: its result still fall inside the lease.
LATEST_START = timedelta(seconds=5 / 3 * settings.SEND_DEADLINE)
#: How far ahead of now a turn may be taken: what a dying worker had reserved is lost pace, so keep it short.
PACE_HORIZON = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased delivery. `wait` is the seconds from the claim to its turn on the channel's pace."""

    delivery_id: int
    fence: int
    wait: float


_PICK = """
SELECT id FROM deliveries_delivery
WHERE state = 'ready' AND channel_id = %s AND due_at <= now()
ORDER BY priority, due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_LEASE = """
UPDATE deliveries_delivery SET state = 'leased', lease_until = now() + %s, due_at = NULL, fence = fence + 1
WHERE id = ANY(%s::bigint[]) RETURNING id, fence
"""


def claim(channel_id: int, limit: int) -> list[Claim]:
    """Lease up to `limit` ready deliveries of this channel, service messages first (R19).

    Turns are reserved for exactly the rows taken, in the same transaction: a channel's rate is shared by all
    workers and not a turn is wasted on a row somebody else got. Returns them in turn order.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PICK, [channel_id, limit])
        picked = [row[0] for row in cursor.fetchall()]
        if not picked:
            return []
        slots = reserve_slots(channel_id, len(picked), PACE_HORIZON)
        taken = picked[: slots.count]
        if not taken:
            return []
        lease: list[Any] = [LEASE, taken]
        cursor.execute(_LEASE, lease)
        leased = dict(cursor.fetchall())
    return [
        Claim(delivery_id, leased[delivery_id], offset)
        for delivery_id, offset in zip(taken, slots.offsets(), strict=True)
    ]


_BACK = """
UPDATE deliveries_delivery SET state = 'waiting', due_at = now()
WHERE id IN (SELECT id FROM deliveries_delivery WHERE state = 'ready' AND channel_id = %s
             ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def send_back(channel_id: int, limit: int = 5000) -> int:
    """The channel cannot be used now: let the core decide anew about what was ready for it (hold or go on, R4).

    Returns how many rows moved; call again while it returns `limit`.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BACK, [channel_id, limit])
        return int(cursor.rowcount)


def channels_with_work() -> list[int]:
    """Channels that have a ready delivery due, each found by one look into the partial index.

    LATERAL with a LIMIT and not EXISTS: that becomes a join which reads every ready row.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id FROM channels_channel c, LATERAL (SELECT 1 FROM deliveries_delivery d"
            " WHERE d.state = %s AND d.channel_id = c.id AND d.due_at <= now() LIMIT 1) work",
            [DeliveryState.READY.value],
        )
        return [row[0] for row in cursor.fetchall()]
