"""R19, I15, I25: one rate for all workers, and a service message does not stand in the queue of a mailing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cascade.vocabulary import Purpose
from contacts.models import Contact
from deliveries.models import Attempt, DeliveryPlan
from deliveries.services import launch
from deliveries.services.plans import freeze
from templates_app.models import MessageTemplate
from tests.deliveries.live import requests_of, tell
from tests.flows.conftest import Installation

pytestmark = [pytest.mark.processes, pytest.mark.slow]

RATE, PEOPLE = 10.0, 120
LONG = timedelta(minutes=10)


def test_R19_I25_workers_share_the_rate_and_service_overtakes_bulk(engine: Installation) -> None:
    """Two send workers of two processes each; the provider's own limiter, at the very rate, has nothing to refuse."""
    shop = engine.shop
    engine.processes.worker("send", concurrency=2, environment=engine.environment)
    messenger = shop.messenger(rate=RATE)
    tell(shop.emulator, "accounts", provider="green", account="*", rate=RATE * 1.1)
    chain = shop.chain(messenger, wait=LONG)
    shop.campaign(chain, shop.people(PEOPLE, ending=1))
    engine.until(lambda: len(requests_of(shop)) >= 15, "the mailing runs")

    template = MessageTemplate.objects.create(name="Запись", text="Ждём вас завтра")
    plan = DeliveryPlan.objects.create(purpose="service", definition=freeze(chain, template, Purpose.SERVICE))
    guest = Contact.objects.create(phone="+79990000001", name="Гость")
    behind = PEOPLE - len(requests_of(shop))
    launch.create_delivery(guest.pk, plan, dedup_key="visit-1")
    engine.until(lambda: len(requests_of(shop)) == PEOPLE + 1, "everybody has been written to")

    requests = requests_of(shop)
    order = [one["recipient"] for one in requests]
    overtaken = len(order) - 1 - order.index("79990000001")
    # A few turns are taken before it is decided: those of the last second, and of the tick that finds it.
    assert overtaken >= behind - 5 * RATE, f"{overtaken} of {behind} were behind it"
    assert not any(one.get("limited") for one in requests)
    moments = [one["t"] for one in requests]
    longest = moments[-1] - moments[0]
    assert longest >= (PEOPLE - RATE) / RATE * 0.9, "faster than the channel allows"
    assert Attempt.objects.filter(failure="rate_limited").count() == 0
