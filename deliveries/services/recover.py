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
from cascade.vocabulary import ACCOUNT_TROUBLE, FailureClass
from channels.models import Channel, ChannelState
from channels.providers.registry import provider_class, slugs
from channels.services.checks import self_test
from channels.services.health import (
    EVERYBODY_REFUSED,
    due_probe,
    due_watch,
    give_a_trial,
    note_recovered,
    open_breaker,
)
from deliveries.models import Delivery, DeliveryState, Receipt
from deliveries.services.stops import stop_of_campaign
from deliveries.snapshots import Walk, frozen_plan

logger = logging.getLogger(__name__)

BATCH = 1000
#: Raw callbacks hold personal data; after this they are deleted (reliability.md section 6).
RECEIPTS_KEPT = timedelta(days=30)

_REAP = """
SELECT id FROM deliveries_delivery WHERE state = 'leased' AND lease_until < now()
ORDER BY lease_until LIMIT %s FOR UPDATE SKIP LOCKED
"""
#: A receipt may have come before the worker could write its result: then the outcome is known after all.
_IN_DOUBT = """
UPDATE deliveries_attempt a SET
    state = CASE WHEN a.failure <> '' AND a.delivered_at IS NULL THEN 'failed'
                 WHEN coalesce(a.accepted_at, a.sent_at, a.delivered_at, a.read_at) IS NOT NULL THEN 'accepted'
                 ELSE 'unknown' END,
    failure = CASE WHEN a.failure = '' AND coalesce(a.accepted_at, a.sent_at, a.delivered_at, a.read_at) IS NULL
                   THEN 'outcome_unknown' ELSE a.failure END,
    failed_at = CASE WHEN a.failure = '' THEN now() ELSE a.failed_at END,
    retry_at = now()
FROM deliveries_delivery d
WHERE a.delivery_id = ANY(%s::bigint[]) AND a.state = 'calling' AND d.id = a.delivery_id
RETURNING a.id, a.delivery_id, a.step, a.channel_id, a.state, d.plan_id, d.lead
"""
_ASK = "UPDATE deliveries_attempt SET next_poll_at = now() WHERE id = ANY(%s::bigint[])"
#: A receipt may have waited for a message that it turns out nobody can name: now it can be told whose it is.
_LOOK_AT_PARKED = """
UPDATE deliveries_receipt SET due_at = now() WHERE state = 'parked' AND channel_id IN (
    SELECT channel_id FROM deliveries_attempt WHERE delivery_id = ANY(%s::bigint[]) AND state = 'unknown')
"""
_RETURN = """
UPDATE deliveries_delivery SET state = 'waiting', due_at = now(), lease_until = NULL, channel_id = NULL,
    has_unknown = has_unknown OR id = ANY(%s::bigint[])
WHERE id = ANY(%s::bigint[])
"""


@transaction.atomic
def reap_leases(limit: int = BATCH) -> int:
    """Deliveries whose worker is gone: back to the core. Returns how many.

    A call that had been written down may have left: its attempt becomes `unknown`, is asked about at once where the
    provider knows our reference, and is never blindly repeated (R8). One that had only been claimed (C2) is simply
    decided again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REAP, [limit])
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return 0
        cursor.execute(_IN_DOUBT, [ids])
        called = cursor.fetchall()
        doubtful = [delivery_id for _, delivery_id, _, _, state, _, _ in called if state == "unknown"]
        askable = [one for one, _, step, channel, _, plan, lead in called if _can_ask((plan, lead), step, channel)]
        cursor.execute(_ASK, [askable])
        cursor.execute(_LOOK_AT_PARKED, [doubtful])
        cursor.execute(_RETURN, [doubtful, ids])
    logger.warning("%d leases ran out, %d of them with a call in doubt", len(ids), len(doubtful))
    return len(ids)


def _can_ask(walk: Walk, step: int, channel_id: int) -> bool:
    """Whether this channel answers by our own reference: the only one a message without an answer has."""
    terms = frozen_plan(*walk).routes[step][channel_id]
    return terms.can_poll and terms.lookup_by_ref


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
        if ChannelState.objects.filter(pk=channel_id, trouble=EVERYBODY_REFUSED).exists():
            # Its self-test may pass while every message is refused: only messages tell.
            give_a_trial(channel_id)
            mended.append(channel_id)
            continue
        report = self_test(Channel.objects.get(pk=channel_id))
        if report.ok:
            note_recovered(channel_id)
            mended.append(channel_id)
    if mended:
        wake_held()
    return mended


def watch_accounts() -> int:
    """Ask accounts that take messages while they are offline whether they are connected, once a minute each.

    What such an account takes meanwhile arrives hours later, after its fallback (R7): so none is given to it. Returns
    how many were found offline. The messages wait or go on as their chains say.
    """
    offline = 0
    watched = [slug for slug in slugs() if provider_class(slug).capabilities.takes_while_offline]
    for channel in Channel.objects.filter(provider__in=watched, enabled=True).exclude(config_encrypted=""):
        if not due_watch(channel.pk):
            continue
        verdict = self_test(channel)
        if not verdict.ok and verdict.failure in ACCOUNT_TROUBLE:
            offline += open_breaker(channel.pk, FailureClass(verdict.failure or ""), verdict.message % verdict.params)
    return offline


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
