"""Worked examples of the rules on the running engine, judged by the emulator's journal; the pure ones are in
tests/cascade/test_examples.py, example 8 (СТОП) is test_R10_stop_in_one_channel... in test_rules.py."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import translation

from analytics.selectors import compute_report
from campaigns.models import Campaign
from cascade.vocabulary import Purpose, Reason
from contacts.models import Contact
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, DeliveryPlan
from deliveries.selectors import timeline
from deliveries.services import launch, stops
from deliveries.services.plans import freeze
from templates_app.models import MessageTemplate
from tests.deliveries.conftest import Shop
from tests.deliveries.live import finished, journal, receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes

LONG = timedelta(minutes=10)


def test_R2_R16_example_1_the_messenger_is_silent_the_next_one_delivers_and_sms_never_goes(
    processes: Processes, live_shop: Shop
) -> None:
    """And the story reads so that the owner understands each step."""
    messenger, second, sms = live_shop.messenger("WhatsApp"), live_shop.sms("Второй"), live_shop.sms("СМС")
    receive_callbacks(live_shop, processes.web().url, messenger)
    people = live_shop.people(1)
    phone = Contact.objects.get().phone
    tell(live_shop.emulator, "rules", provider="green", recipient=phone, behaviour="sent")
    tell(live_shop.emulator, "rules", provider="smsc", recipient=phone, behaviour="delivered")
    tell(live_shop.emulator, "accounts", provider="smsc", account="*", price="4.80")
    campaign = live_shop.campaign(live_shop.chain(messenger, second, sms, wait=timedelta(seconds=3)), people)
    run_until(processes, finished(campaign.pk))

    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_step, delivery.trail) == ("reached", 1, "not_delivered_in_time")
    assert not Attempt.objects.filter(channel=sms).exists()
    first, then = requests_of(live_shop)
    accepted = Attempt.objects.get(channel=messenger).accepted_at
    called = Attempt.objects.get(channel=second).called_at
    assert accepted is not None and called - accepted >= timedelta(seconds=3), "R2: before the wait was over"
    assert (first["provider"], then["provider"]) == ("green", "smsc") and then["t"] > first["t"]

    with translation.override("ru"):
        story = [(line.step, line.text, line.cost) for line in timeline(delivery.pk)]
    texts = [text for _, text, _ in story]
    assert not any(letter in text for text in texts for letter in "%{}"), texts
    assert all(any("а" <= letter <= "я" for letter in text.lower()) for text in texts), texts
    told = [step for step, _, _ in story if step is not None]
    assert told == sorted(told), "the story goes back"
    assert sum(cost != "" for _, _, cost in story) == 1
    assert any("4,80" in cost for step, _, cost in story if step == 2)
    assert any("WhatsApp" in text and phone in text for text in texts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("charged_on", "cost", "saved"),
    [("delivered", "8226.60", "18.5"), ("accepted", "11487.00", "-13.8")],
)
def test_4a_example_4_the_garden_shops_both_ways(
    processes: Processes, live_shop: Shop, charged_on: str, cost: str, saved: str
) -> None:
    """2,103 people through the engine: Viber at 2.60 charged on delivery, then on acceptance; SMS at 4.80."""
    viber, sms = live_shop.messenger("Как Viber", charged_on=charged_on), live_shop.sms(price=Decimal("4.80"))
    tell(live_shop.emulator, "rules", digits=False)
    for wire, price, due in (("green", "2.60", charged_on), ("smsc", "4.80", "accepted")):
        tell(live_shop.emulator, "accounts", provider=wire, account="*", price=price, charged_on=due)
    people = live_shop.people(2103)
    phones = list(Contact.objects.order_by("pk").values_list("phone", flat=True))
    tell(live_shop.emulator, "rules", provider="green", recipients=phones[849:], behaviour="not_registered")
    web = processes.web().url
    receive_callbacks(live_shop, web, viber)
    receive_callbacks(live_shop, web, sms)
    campaign = live_shop.campaign(live_shop.chain(viber, sms, wait=LONG), people)
    run_until(processes, finished(campaign.pk))

    report = compute_report(Campaign.objects.get(pk=campaign.pk))
    assert (report.planned, report.reached, report.balanced) == (2103, 2103, True)
    assert [step.reached for step in report.steps] == [849, 1254]
    assert (report.cost, report.alone_cost) == (Decimal(cost), Decimal("10094.40"))
    assert str(report.saved_percent) == saved
    charged = sum(
        (Decimal(one["amount"]) for one in journal(live_shop.emulator) if one["kind"] == "charge"), Decimal(0)
    )
    assert charged == Decimal(cost), "our books and the provider's differ"
    assert Counter(one["provider"] for one in requests_of(live_shop)) == {"green": 2103, "smsc": 1254}


def test_R10_example_7_the_visit_is_cancelled_while_step_1_waits(processes: Processes, live_shop: Shop) -> None:
    """The CRM says so by a stop fact; the same delivery asked again and again sends nothing more."""
    messenger, sms = live_shop.messenger(), live_shop.sms()
    live_shop.people(1, ending=1)
    chain = live_shop.chain(messenger, sms, wait=timedelta(seconds=4))
    template = MessageTemplate.objects.create(name="Запись", text="Ждём вас, {name}")
    plan = DeliveryPlan.objects.create(purpose="service", definition=freeze(chain, template, Purpose.SERVICE))
    contact = Contact.objects.get()
    pk, _ = launch.create_delivery(contact.pk, plan, dedup_key="visit-7")
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").exists())
    assert stops.stop_of_contact(contact.pk, Reason.OBJECT_CHANGED, Purpose.SERVICE) == 1
    run_until(processes, lambda: Delivery.objects.get(pk=pk).state == "final")
    delivery = Delivery.objects.get(pk=pk)
    assert (delivery.outcome, delivery.outcome_reason, delivery.outcome_milestone) == (
        "stopped",
        "object_changed",
        "accepted",
    )
    again, new = launch.create_delivery(contact.pk, plan, dedup_key="visit-7")
    assert (again, new) == (pk, False), "R14: the hook repeated makes nothing new"
    for _ in range(3):
        run_once()
    assert len(requests_of(live_shop)) == 1
