"""What drives the engine: beat's rows, ticks that ask for themselves again, and the same by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.models import Campaign
from deliveries import tasks
from deliveries.models import Delivery
from deliveries.schedule import TICKS
from tests.deliveries.live import finished, requests_of
from tests.flows.conftest import Installation

pytestmark = [pytest.mark.processes, pytest.mark.slow]

LONG = timedelta(minutes=10)


def test_a_tick_with_work_left_asks_for_itself_again(quiet: Installation) -> None:
    """No beat here: one hint each, and yet all is sent, although a run of the sender lasts five seconds at most and
    the channel's rate allows a third of the messages in that time."""
    quiet.processes.worker("send", "default", concurrency=1)
    shop = quiet.shop
    shop.campaign(shop.chain(shop.messenger(rate=5.0), wait=LONG), shop.people(75))
    tasks.launch_campaigns.delay()
    quiet.until(lambda: Delivery.objects.count() == 75, "the launch")
    tasks.advance_due.delay()
    quiet.until(lambda: len(requests_of(shop)) == 75, "all messages")


def test_the_same_to_the_end_by_hand(quiet: Installation) -> None:
    """`manage.py run_once --until-idle`, as one types it to see what happens: no Celery, no beat."""
    shop = quiet.shop
    campaign = shop.campaign(
        shop.chain(shop.messenger(), shop.sms(), wait=timedelta(seconds=2)),
        shop.people(6, ending=lambda number: 0 if number < 4 else 1),
    )
    said = quiet.manage("run_once", "--until-idle")
    assert "sent=6" in said
    quiet.until(lambda: quiet.manage("run_once", "--until-idle") and finished(campaign.pk)(), "the end", 90)
    assert len(requests_of(shop, provider="green")) == 6
    assert len(requests_of(shop, provider="smsc")) == 2
    assert Campaign.objects.get().planned == 6 == Delivery.objects.filter(state="final").count()


def test_the_ticks_are_rows_the_owner_can_see_and_change(db: None) -> None:
    from django_celery_beat.models import PeriodicTask

    from deliveries.schedule import ensure_ticks

    ensure_ticks()
    rows = {row.name: row for row in PeriodicTask.objects.filter(name__startswith="deliveries: ")}
    assert rows.keys() == TICKS.keys()
    assert all(row.enabled and row.description and row.expire_seconds for row in rows.values())
    PeriodicTask.objects.filter(name="deliveries: send").update(enabled=False)
    ensure_ticks()
    assert not PeriodicTask.objects.get(name="deliveries: send").enabled
