"""ADVANCE: claim what is due, ask the core, write the answers. Flow box 6.

One transaction per batch: the rows stay locked (SKIP LOCKED keeps other workers away) from the question to
the answer, and there is no I/O between them, so no lease is needed. Killed in the middle, nothing happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from campaigns.models import Campaign
from cascade.actions import Send, Wait
from cascade.vocabulary import Reason
from deliveries.services.decisions import (
    Verdict,
    database_now,
    judge,
    load_attempts,
    load_surroundings,
    write,
)
from deliveries.snapshots import DELIVERY_COLUMNS, DeliveryFacts, frozen_plan

#: Measured optimum of claim + decide + write; larger batches only hold locks for longer.
BATCH = 500

#: How far ahead of its turn a paced message may be decided. What is further away is asked again, so that a
#: pause, a stop or a changed mind takes effect within this.
PACE_HORIZON = timedelta(seconds=60)
#: A row far back in the queue of a slow campaign is not asked more often than this.
_PACE_LOOK = timedelta(hours=1)

_DUE = (
    f"SELECT {DELIVERY_COLUMNS} FROM deliveries_delivery"  # noqa: S608 - constant columns
    " WHERE state = 'waiting' AND priority = %s AND due_at <= now() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED"
)
_THESE = (
    f"SELECT {DELIVERY_COLUMNS} FROM deliveries_delivery"  # noqa: S608 - constant columns
    " WHERE id = ANY(%s::bigint[]) AND state = 'waiting' AND due_at <= now() ORDER BY id FOR UPDATE SKIP LOCKED"
)

SERVICE_PRIORITY = 0
BULK_PRIORITY = 10


def advance_due(limit: int = BATCH) -> tuple[int, int]:
    """Decide up to `limit` due deliveries, service messages first (R19).

    Returns (asked, became ready to send). Side effects: rows and timeline; no I/O. Raises what the database
    raises; then nothing has changed.
    """
    with transaction.atomic():
        rows = _fetch(_DUE, [SERVICE_PRIORITY, limit])
        if len(rows) < limit:
            rows += _fetch(_DUE, [BULK_PRIORITY, limit - len(rows)])
        return len(rows), _advance(rows)


def advance_these(delivery_ids: Sequence[int]) -> tuple[int, int]:
    """The same for named deliveries: how a service message leaves at once. Not due or held ones are skipped."""
    with transaction.atomic():
        rows = _fetch(_THESE, [list(delivery_ids)])
        return len(rows), _advance(rows)


def _fetch(sql: str, params: list[Any]) -> list[DeliveryFacts]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [DeliveryFacts._make(row) for row in cursor.fetchall()]


def _advance(rows: Sequence[DeliveryFacts]) -> int:
    if not rows:
        return 0
    now = database_now()
    plans = {walk: frozen_plan(*walk) for walk in {row.walk for row in rows}}
    attempts = load_attempts([row.id for row in rows])
    around = load_surroundings(rows, plans, now)
    verdicts = [judge(row, plans[row.walk], attempts.get(row.id, ()), around[row.id], now) for row in rows]
    due = _pace(verdicts, now)
    write(verdicts, due, now)
    return sum(1 for verdict in verdicts if isinstance(verdict.action, Send))


def _pace(verdicts: Iterable[Verdict], now: datetime) -> dict[int, datetime]:
    """Give the sends of slow campaigns their turns (R19): delivery id -> when it may leave.

    Turns are reserved by moving Campaign.next_slot_at under its row lock, so any number of workers together
    keep the pace. Verdicts beyond the horizon become waits without a reserved turn.
    """
    paced: dict[int, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.frozen.per_minute and verdict.row.campaign_id and isinstance(verdict.action, Send):
            paced[verdict.row.campaign_id].append(verdict)
    due: dict[int, datetime] = {}
    for campaign_id, wanting in sorted(paced.items()):
        campaign = Campaign.objects.select_for_update(no_key=True).only("next_slot_at").get(pk=campaign_id)
        turn = max(campaign.next_slot_at or now, now)
        gap = timedelta(minutes=1) / (wanting[0].frozen.per_minute or 1)
        for verdict in wanting:
            if turn <= now + PACE_HORIZON:
                due[verdict.row.id] = turn
            else:
                verdict.action = Wait(min(turn, now + _PACE_LOOK), Reason.SPEED_LIMIT, verdict.step)
            turn += gap
        reserved = len([v for v in wanting if v.row.id in due])
        if reserved:
            start = max(campaign.next_slot_at or now, now)
            Campaign.objects.filter(pk=campaign_id).update(next_slot_at=start + gap * reserved)
    return due
