"""RECOVER: what a crash, a pause or an end leaves behind is picked up here. Flow box 13.

Every function is level-triggered: it looks for rows in a state and moves them on; run twice, it does nothing twice.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Count
from django.db.models.functions import Now

from campaigns.models import Campaign, CampaignPause, CampaignStatus
from campaigns.services.lifecycle import finish
from channels.models import Channel, ChannelState
from channels.services.checks import self_test
from channels.services.health import due_probe, note_recovered
from deliveries.models import Delivery, DeliveryState, Receipt
from deliveries.services.stops import stop_of_campaign

logger = logging.getLogger(__name__)

BATCH = 1000
#: Raw callbacks hold personal data; after this they are deleted (reliability.md section 6).
RECEIPTS_KEPT = timedelta(days=30)

_REAP = """
SELECT id FROM deliveries_delivery WHERE state = 'leased' AND lease_until < now()
ORDER BY lease_until LIMIT %s FOR UPDATE SKIP LOCKED
"""
_IN_DOUBT = """
UPDATE deliveries_attempt SET state = 'unknown', failure = 'outcome_unknown', failed_at = now(), retry_at = now()
WHERE delivery_id = ANY(%s::bigint[]) AND state = 'calling' RETURNING delivery_id
"""
_RETURN = """
UPDATE deliveries_delivery SET state = 'waiting', due_at = now(), lease_until = NULL, channel_id = NULL,
    has_unknown = has_unknown OR id = ANY(%s::bigint[])
WHERE id = ANY(%s::bigint[])
"""


@transaction.atomic
def reap_leases(limit: int = BATCH) -> int:
    """Deliveries whose worker is gone: back to the core. Returns how many.

    A call that had been written down may have left: its attempt becomes `unknown` and is never blindly repeated (R8);
    one that had only been claimed (C2) is simply decided again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REAP, [limit])
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return 0
        cursor.execute(_IN_DOUBT, [ids])
        doubtful = [row[0] for row in cursor.fetchall()]
        cursor.execute(_RETURN, [doubtful, ids])
    logger.warning("%d leases ran out, %d of them with a call in doubt", len(ids), len(doubtful))
    return len(ids)


def wake_resumed() -> int:
    """Ask again about every delivery of campaigns that were resumed: their pause had put them off. Returns how many."""
    woken = 0
    for pause in CampaignPause.objects.filter(ended_at__isnull=False, woken_at__isnull=True):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE deliveries_delivery SET due_at = now() WHERE campaign_id = %s AND state = 'waiting'"
                " AND wait_reason IN ('paused', 'speed_limit', '') AND due_at > now()",
                [pause.campaign_id],
            )
            woken += cursor.rowcount
            # Turns handed out before the pause are not owed any more: the pace starts from now.
            Campaign.objects.filter(pk=pause.campaign_id).update(next_slot_at=None)
            CampaignPause.objects.filter(pk=pause.pk).update(woken_at=Now())
    return woken


def end_cancelled() -> int:
    """Stop what is open in cancelled campaigns, then close their books. Returns how many deliveries were stopped."""
    stopped = 0
    for campaign_id in Campaign.objects.filter(
        status=CampaignStatus.CANCELLED, finished_at__isnull=True, launched_at__isnull=False
    ).values_list("pk", flat=True):
        while count := stop_of_campaign(campaign_id):
            stopped += count
        if not _has_open(campaign_id):
            Campaign.objects.filter(pk=campaign_id, status=CampaignStatus.CANCELLED).update(finished_at=Now())
    return stopped


def finish_campaigns() -> int:
    """Finish running campaigns without open deliveries, if their books balance. Returns how many."""
    done = 0
    for campaign_id in Campaign.objects.filter(status=CampaignStatus.RUNNING).values_list("pk", flat=True):
        if not _has_open(campaign_id):
            rows = Delivery.objects.filter(campaign_id=campaign_id).values_list("outcome").annotate(n=Count("id"))
            done += bool(finish(campaign_id, dict(rows)))
    return done


def _has_open(campaign_id: int) -> bool:
    return Delivery.objects.filter(campaign_id=campaign_id).exclude(state=DeliveryState.FINAL).exists()


def probe_channels() -> list[int]:
    """Ask accounts in trouble, once a minute each, whether they work again; returns those that do.

    The probe is the channel's self-test and not a message: it costs nobody anything. What was held is woken.
    """
    mended = []
    for channel_id in ChannelState.objects.filter(breaker=ChannelState.Breaker.OPEN).values_list("pk", flat=True):
        if not due_probe(channel_id):
            continue
        report = self_test(Channel.objects.get(pk=channel_id))
        if report.ok:
            note_recovered(channel_id)
            mended.append(channel_id)
    if mended:
        wake_held()
    return mended


def wake_held() -> int:
    """Ask again about everything that waits for a channel: one of them works again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE deliveries_delivery SET due_at = now() WHERE state = 'waiting' AND wait_reason = 'channel_on_hold'"
            " AND due_at > now()"
        )
        return int(cursor.rowcount)


def forget_old_receipts() -> int:
    """Delete raw callbacks after their time. What they said stands on the attempts."""
    deleted, _ = Receipt.objects.filter(received_at__lt=Now() - RECEIPTS_KEPT).exclude(state=Receipt.State.NEW).delete()
    return deleted


def beat(name: str) -> None:
    """Note that a tick ran to its end: a silent engine must be seen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO deliveries_heartbeat (name, at) VALUES (%s, now())"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            [name],
        )
