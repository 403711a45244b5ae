"""Stop facts (R10): written onto the delivery row at once, folded in by the next decision.

The writer takes the row lock that TX-calling takes: when a stop is committed, no attempt of this delivery begins
any more (I3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from cascade.vocabulary import Purpose, Reason

#: The clock and not now(): a long transaction would write down a moment before it had the row, and a call that rightly
#: began in between would look like one after the stop.
_STOP = """
UPDATE deliveries_delivery SET
    stop_reason = %s, stop_at = clock_timestamp(),
    state = CASE WHEN state = 'leased' THEN state ELSE 'waiting' END,
    due_at = CASE WHEN state = 'leased' THEN due_at ELSE now() END,
    channel_id = CASE WHEN state = 'leased' THEN channel_id END
WHERE id IN (SELECT id FROM deliveries_delivery WHERE {condition} AND state <> 'final' AND stop_reason = ''
             ORDER BY id {limit} FOR UPDATE)
"""


def stop_of_contact(contact_id: int, reason: Reason, purpose: Purpose | None = None) -> int:
    """Stop the open deliveries of one person; with `purpose`, only those. Returns how many."""
    condition = "contact_id = %s"
    parameters: list[Any] = [str(reason), contact_id]
    if purpose is not None:
        condition += " AND plan_id IN (SELECT id FROM deliveries_deliveryplan WHERE purpose = %s)"
        parameters.append(str(purpose))
    return _run(_STOP.format(condition=condition, limit=""), parameters)


def stop_answered(contact_id: int, besides: Sequence[int]) -> int:
    """The person answered in one channel: their other deliveries that have said something end too (R10).

    `besides`: deliveries that get the answer as a milestone of their own. Deliveries that have not sent anything
    yet are about something else and go on.
    """
    condition = (
        "contact_id = %s AND NOT (id = ANY(%s::bigint[])) AND EXISTS (SELECT 1 FROM deliveries_attempt a"
        " WHERE a.delivery_id = deliveries_delivery.id AND a.accepted_at IS NOT NULL)"
    )
    return _run(_STOP.format(condition=condition, limit=""), [str(Reason.REPLIED), contact_id, list(besides)])


def stop_of_delivery(delivery_id: int, reason: Reason) -> bool:
    """Stop one delivery; False if it is over, or stopped already."""
    return bool(_run(_STOP.format(condition="id = %s", limit=""), [str(reason), delivery_id]))


def stop_of_campaign(campaign_id: int, limit: int = 5000) -> int:
    """Stop up to `limit` open deliveries of a cancelled campaign; call again until it returns 0."""
    return _run(
        _STOP.format(condition="campaign_id = %s", limit="LIMIT %s"), [str(Reason.CANCELLED), campaign_id, limit]
    )


def _run(sql: str, parameters: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)
