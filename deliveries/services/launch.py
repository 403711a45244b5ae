"""LAUNCH: freeze the plan, then write one delivery per person by INSERT ... SELECT, in chunks. Flow box 5.

Each chunk is a transaction that also moves the cursor on the campaign, under the campaign's row lock: killed in the
middle it goes on where it stopped, and two workers make no row twice (I13, C12). Nobody is left out here: who may
not be written to gets a delivery too, and its first decision says why not.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from campaigns.models import Campaign, CampaignStatus
from campaigns.selectors import audience, audience_variables
from campaigns.services.lifecycle import start_due
from cascade.vocabulary import Purpose
from deliveries.models import Delivery, DeliveryPlan, DeliveryState
from deliveries.services.advance import BULK_PRIORITY, SERVICE_PRIORITY
from deliveries.services.plans import freeze_campaign

#: Large enough that the commit is nothing, small enough that a pause or a kill costs a second.
CHUNK = 20_000

_COLUMNS = (
    "plan_id, campaign_id, contact_id, variables, state, step, trail, priority, due_at, fence, wait_reason, stop_reason,"
    " outcome, outcome_milestone, outcome_reason, has_unknown, is_double, created_at, lead"
)
#: Which step goes first for a person `p.id`: that of the channel of the newest message they wrote, unless that channel has
#: been closed to us since. By the index of the contact's messages: one probe a person.
_LEAD = """(
    SELECT nullif(v.step, 0) FROM deliveries_inboundmessage m
    JOIN unnest(%s::bigint[], %s::int[]) AS v(channel_id, step) ON v.channel_id = m.channel_id
    WHERE m.contact_id = p.id AND m.received_at > now() - %s AND NOT EXISTS (
        SELECT 1 FROM contacts_reachability r WHERE r.contact_id = m.contact_id AND r.channel_id = m.channel_id
        AND r.state <> 'reachable' AND r.until > now() AND r.learned_at > m.received_at)
    ORDER BY m.received_at DESC LIMIT 1)"""
_INSERT = """
WITH people AS MATERIALIZED ({audience}),
made AS (
    INSERT INTO deliveries_delivery ({columns})
    SELECT %s, %s, p.id, p.variables, 'waiting', 0, '', %s, now(), 0, '', '', '', '', '', false, false, now(), {lead}
    FROM people p
    ON CONFLICT (campaign_id, contact_id) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM people), (SELECT max(id) FROM people), (SELECT count(*) FROM made)
"""


def launch_due(seconds: float = 20.0) -> bool:
    """Start what is scheduled and due, and write deliveries of launching campaigns for up to `seconds`.

    Returns whether there is more to do at once.
    """
    start_due()
    stop_at = time.monotonic() + seconds
    for campaign_id in Campaign.objects.filter(status=CampaignStatus.LAUNCHING).values_list("pk", flat=True):
        while launch_chunk(campaign_id):
            if time.monotonic() > stop_at:
                return True
    return False


@transaction.atomic
def launch_chunk(campaign_id: int, chunk: int = CHUNK) -> bool:
    """Write the next chunk of deliveries; True if there may be more. The last one sets the campaign running."""
    campaign = (
        Campaign.objects.select_for_update(no_key=True, of=("self",), skip_locked=True)
        .select_related("chain", "template")
        .filter(pk=campaign_id, status=CampaignStatus.LAUNCHING)
        .first()
    )
    if campaign is None:
        return False  # done, paused, or in the hands of another worker
    plan = freeze_campaign(campaign)
    found, last, made = _insert_chunk(campaign, plan, chunk)
    campaign.planned += made
    if found:
        campaign.launch_cursor = last
    if found < chunk:
        campaign.status = CampaignStatus.RUNNING
    campaign.save(update_fields=["planned", "launch_cursor", "status"])
    return found == chunk


def _insert_chunk(campaign: Campaign, plan: DeliveryPlan, chunk: int) -> tuple[int, int, int]:
    people = (
        audience(campaign)
        .filter(Q(pk__gt=campaign.launch_cursor))
        .order_by("pk")
        .annotate(variables=audience_variables(campaign))
        .values_list("pk", "variables")[:chunk]
    )
    sql, parameters = people.query.sql_with_params()
    purpose = Purpose(campaign.purpose)
    priority = SERVICE_PRIORITY if purpose is Purpose.SERVICE else BULK_PRIORITY
    with connection.cursor() as cursor:
        # `sql` is what Django made of the audience; its values travel as parameters.
        named = f"SELECT a.id, a.variables FROM ({sql}) AS a(id, variables)"  # noqa: S608
        lead, dialogues = _lead(plan)
        cursor.execute(
            _INSERT.format(audience=named, columns=_COLUMNS, lead=lead),
            [*parameters, plan.pk, campaign.pk, priority, *dialogues],
        )
        found, last, made = cursor.fetchone()
    return found, last or 0, made


def _lead(plan: DeliveryPlan) -> tuple[str, list[Any]]:
    """The SQL of a person's first step, with its parameters; NULL where the chain does not ask for dialogues."""
    days, steps = plan.definition["dialogue_days"], plan.definition["steps"]
    if not days or len(steps) < 2:
        return "NULL::int", []
    places = [(one["channel_id"], index) for index, step in enumerate(steps) for one in (step, *step["reserves"])]
    return _LEAD, [[channel for channel, _ in places], [index for _, index in places], timedelta(days=days)]


def _lead_of(contact_id: int, plan: DeliveryPlan) -> int | None:
    lead, dialogues = _lead(plan)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {lead} FROM (SELECT %s::bigint) AS p(id)", [*dialogues, contact_id])  # noqa: S608
        found: int | None = cursor.fetchone()[0]
    return found


def create_delivery(
    contact_id: int,
    plan: DeliveryPlan,
    *,
    dedup_key: str = "",
    variables: Mapping[str, Any] | None = None,
    not_after: datetime | None = None,
) -> tuple[int, bool]:
    """One message to one contact outside any campaign (an event, a test). Returns (delivery id, whether it is new).

    The same `dedup_key` is the same delivery, however often and however concurrently it is asked for (R14); empty: a
    key of its own. `not_after`: the moment after which it makes no sense (a visit starts). The caller enqueues.
    """
    key = dedup_key or f"once:{uuid.uuid4()}"
    delivery, new = Delivery.objects.get_or_create(
        dedup_key=key,
        defaults={
            "plan": plan,
            "contact_id": contact_id,
            "lead": _lead_of(contact_id, plan),
            "variables": dict(variables or {}),
            "state": DeliveryState.WAITING,
            "priority": SERVICE_PRIORITY if plan.purpose == Purpose.SERVICE else BULK_PRIORITY,
            "due_at": Now(),
            "not_after": not_after,
        },
    )
    return delivery.pk, new
