"""Stories of deliveries in words, and who got what."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now
from django.utils.translation import override

from campaigns.models import FrequencyCap
from campaigns.selectors import over_cap
from cascade.explain import REASON_TEXT
from cascade.vocabulary import Reason
from contacts.models import Contact
from deliveries.models import Attempt, Delivery, Heartbeat, MarketingTouch, TimelineEvent
from deliveries.selectors import contact_history, pulse, reason_sentence, recipients, timeline
from deliveries.words import REASON_LABELS, masked
from tests.analytics.garden import garden

pytestmark = pytest.mark.django_db


def _told(delivery: Delivery) -> str:
    with override("en"):
        return "\n".join(f"{line.text} {line.cost}".strip() for line in timeline(delivery.pk))


def test_R16_a_fallback_reads_like_a_story() -> None:
    garden(people=3, by_messenger=1)
    delivery = Delivery.objects.filter(outcome_step=1).order_by("pk")[0]
    first, second = Attempt.objects.filter(delivery=delivery).order_by("step")
    TimelineEvent.objects.create(
        delivery=delivery, at=first.called_at + timedelta(seconds=30), kind="left", step=0,
        reason="not_delivered_in_time",
    )  # fmt: skip
    TimelineEvent.objects.create(
        delivery=delivery, at=second.called_at + timedelta(seconds=9), kind="finished", step=1,
        reason="milestone_met", params={"outcome": "reached"},
    )  # fmt: skip
    told = _told(delivery)
    assert told.index("through «Мессенджер»") < told.index("Step 1 left") < told.index("through «SMS»")
    assert "4.80" in told
    assert told.endswith("Reached. What was expected has happened.")
    assert "2.60" not in told


def test_phones_can_be_masked() -> None:
    garden(people=2, by_messenger=1)
    delivery = Delivery.objects.order_by("pk")[0]
    assert delivery.contact is not None
    shown = " ".join(line.text for line in timeline(delivery.pk, mask=True))
    assert str(delivery.contact.phone) not in shown
    assert masked("+79160001234") == "+7916•••1234"
    assert masked("anna@mail.ru") == "an•••@mail.ru"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    assert reason in REASON_LABELS
    sentence = reason_sentence(reason, {"until": now().isoformat()}, step=1, kind="sms")
    assert sentence
    assert "%(" not in sentence
    assert set(REASON_TEXT) <= set(REASON_LABELS)


def test_an_unknown_code_of_a_newer_version_is_shown_as_it_is() -> None:
    assert reason_sentence("invented_later", {}) == "invented_later"


def test_the_contacts_page_knows_what_worked() -> None:
    garden(people=3, by_messenger=1)
    contact = Contact.objects.order_by("pk")[1]
    history = contact_history(contact.pk)
    (touch,) = history.touches
    assert (touch.reached_by, touch.cost) == ("SMS", Decimal("4.80"))
    assert [(score.channel, score.delivered) for score in history.scores] == [("SMS", 1), ("Мессенджер", 0)]
    assert not history.more


def test_the_history_of_nobody_is_empty() -> None:
    assert contact_history(1).touches == []


def test_every_recipient_is_listed_once_whatever_the_page_size() -> None:
    campaign = garden(people=25, by_messenger=10)
    rows = list(recipients(campaign.pk, batch=4))
    assert len({row.delivery_id for row in rows}) == len(rows) == 25
    assert sum(row.cost for row in rows) == 10 * Decimal("2.60") + 15 * Decimal("4.80")
    assert [row.step for row in rows[:1] + rows[-1:]] == [1, 2]


def test_commands_print_json_a_script_can_read() -> None:
    campaign = garden(people=5, by_messenger=2)
    out = StringIO()
    call_command("deliveries", campaign.pk, "--json", stdout=out)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(rows) == 5
    assert {"recipient", "outcome", "step", "reason", "cost", "flags"} <= set(rows[0])
    assert rows[0]["cost"] == "2.6000"
    out = StringIO()
    call_command("campaign_report", campaign.pk, "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert report["cost"] == "19.60"
    assert report["balanced"] is True
    with pytest.raises(CommandError):
        call_command("campaign_report", 10**6, "--json")


def test_I8_who_has_had_enough_is_known_to_the_preflight() -> None:
    campaign = garden(people=3, by_messenger=3)
    FrequencyCap.objects.update_or_create(days=7, defaults={"messages": 2})
    person = Contact.objects.order_by("pk")[0]
    deliveries = list(Delivery.objects.filter(campaign=campaign).order_by("pk"))
    for index, delivery in enumerate(deliveries):
        MarketingTouch.objects.create(delivery=delivery, contact=person, at=now() - timedelta(days=3 * index))
    tired = over_cap()
    assert tired is not None
    assert list(Contact.objects.filter(tired)) == [person]
    MarketingTouch.objects.filter(delivery__in=deliveries[:2]).delete()
    assert not Contact.objects.filter(tired).exists()


def test_a_silent_engine_is_seen() -> None:
    assert not pulse().alive
    Heartbeat.objects.create(name="advance", at=now())
    assert pulse().alive
    Heartbeat.objects.create(name="send", at=now() - timedelta(minutes=7))
    found = pulse()
    assert not found.alive
    assert found.silent == ("send",)
    assert found.silent_minutes == 7
