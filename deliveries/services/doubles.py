"""How often a message arrives after its fallback has left: counted from what has happened, for the chain's page."""

from __future__ import annotations

from django.db import connection

from channels.services.chains import Seen, keep_doubles_seen

#: The newest attempts that are looked at: one walk along the primary key, about a second once an hour.
NEWEST = 200_000

#: Only a message that was taken can arrive. A later step counts when its call was not refused.
_COUNT = """
SELECT a.channel_id, count(*), count(*) FILTER (WHERE a.delivered_at > next.called_at)
FROM deliveries_attempt a CROSS JOIN LATERAL (
    SELECT min(b.called_at) AS called_at FROM deliveries_attempt b
    WHERE b.delivery_id = a.delivery_id AND b.step > a.step AND b.state <> 'failed') next
WHERE a.id > (SELECT coalesce(max(id), 0) - %s FROM deliveries_attempt)
    AND a.accepted_at IS NOT NULL AND a.recalled_at IS NULL AND next.called_at IS NOT NULL
    AND (a.delivered_at IS NULL OR a.delivered_at > next.called_at)
GROUP BY a.channel_id
"""


def count_doubles() -> int:
    """Count the newest attempts' doubles by channel and keep the figures with the channels. Returns how many channels."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [NEWEST])
        seen = {channel_id: Seen(fallbacks, doubles) for channel_id, fallbacks, doubles in cursor.fetchall()}
    keep_doubles_seen(seen)
    return len(seen)
