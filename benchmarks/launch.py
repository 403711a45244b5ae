"""`launch`: recipients a second written down by services.launch, against one raw INSERT ... SELECT of the same rows into
the same table with the same indexes.

Ours freezes the plan, asks the audience's own SQL, and commits every chunk with the campaign's cursor, so that a kill
costs a second and nobody is made twice; the limit is one statement in one transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from benchmarks import shop
from benchmarks.rig import Rig, ratios
from campaigns.models import CampaignStatus
from deliveries.services.launch import launch_chunk

_RAW = """
INSERT INTO deliveries_delivery (plan_id, campaign_id, contact_id, variables, state, step, trail, priority, due_at,
    fence, wait_reason, stop_reason, outcome, outcome_milestone, outcome_reason, has_unknown, is_double)
SELECT (SELECT max(id) FROM deliveries_deliveryplan), %s, id, '{}', 'waiting', 0, '', 10, now(),
    0, '', '', '', '', '', false, false
FROM contacts_contact
"""


def run(rig: Rig) -> dict[str, Any]:
    """Both into an emptied table, in turn."""
    recipients = rig.count(1_000_000)
    shop.people(recipients)
    shop.plan_of()
    chain, says = shop.chain(shop.messenger()), shop.text()
    rounds = rig.rounds({"limit": _raw(chain, says, recipients), "ours": _ours(chain, says, recipients)})
    return {**ratios(rounds), "recipients": recipients}


def _emptied(chain: Any, says: Any) -> int:
    """The id of a campaign that nobody was written down for, in a table that holds nothing."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE deliveries_delivery CASCADE")
        cursor.execute("CHECKPOINT")
    return shop.campaign(chain, says).pk


def _raw(chain: Any, says: Any, recipients: int) -> Callable[[], float]:
    def insert_select() -> float:
        campaign_id = _emptied(chain, says)
        start = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(_RAW, [campaign_id])
            assert cursor.rowcount == recipients
        return recipients / (time.perf_counter() - start)

    return insert_select


def _ours(chain: Any, says: Any, recipients: int) -> Callable[[], float]:
    def launch() -> float:
        campaign_id = _emptied(chain, says)
        start = time.perf_counter()
        while launch_chunk(campaign_id):
            pass
        seconds = time.perf_counter() - start
        with connection.cursor() as cursor:
            cursor.execute("SELECT status, planned FROM campaigns_campaign WHERE id = %s", [campaign_id])
            assert cursor.fetchone() == (CampaignStatus.RUNNING, recipients)
        return recipients / seconds

    return launch
