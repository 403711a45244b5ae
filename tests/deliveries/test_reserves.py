"""A step of several accounts: another one stands in while the first is in trouble, and nobody gets it twice."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from analytics.selectors import AccountShare, Report, compute_report
from campaigns.models import Campaign
from cascade.vocabulary import FailureClass
from channels.models import Channel, ChannelState
from channels.providers.base import Failed
from channels.services.accounts import create_channel
from contacts.models import Contact
from deliveries.models import Attempt, Delivery
from deliveries.selectors import contact_history, recipients, timeline
from deliveries.services import advance, launch
from deliveries.services.send.claim import send_back
from tests.deliveries.conftest import Shop
from tests.deliveries.hands import answer, call_out

pytestmark = pytest.mark.django_db
LONG = timedelta(minutes=10)
REFUSED = Failed("", FailureClass.BALANCE, None, "no money")


def start(shop: Shop, people: int, **fields: object) -> tuple[Channel, Channel, Campaign]:
    first = shop.sms("Первый шлюз")
    second = create_channel(
        "sms_ru", "Второй шлюз", {"api_id": "x"}, price=Decimal("5.10"), charged_on="accepted", rate=1000.0
    )
    chain = shop.chain(first, shop.messenger(), wait=timedelta(hours=2))
    chain.steps.filter(order=0).update(reserve=second)
    campaign = shop.campaign(chain, shop.people(people), **fields)
    launch.launch_due()
    advance.advance_due()
    return first, second, campaign


@pytest.mark.parametrize("purpose", ["marketing", "service"])
def test_R4_no_money_here_and_the_message_goes_out_there(shop: Shop, purpose: str) -> None:
    first, second, campaign = start(shop, 6, purpose=purpose)
    answer(call_out(first, 2), REFUSED)
    assert ChannelState.objects.get(channel=first).breaker == "open"
    advance.advance_due()
    assert Counter(Delivery.objects.values_list("state", "step", "channel_id")) == {
        ("ready", 0, second.pk): 2,
        ("ready", 0, first.pk): 4,
    }
    send_back(first.pk)
    advance.advance_due()
    assert set(Delivery.objects.values_list("state", "channel_id")) == {("ready", second.pk)}
    answer(call_out(second))
    assert Counter(Attempt.objects.values_list("channel_id", "state", "price")) == {
        (first.pk, "failed", Decimal("4.8")): 2,
        (second.pk, "accepted", Decimal("5.1")): 6,
    }
    tried = Attempt.objects.filter(channel=first).earliest("pk").delivery_id
    told = [line.text for line in timeline(tried)]
    assert any(line.startswith("«Первый шлюз»: на аккаунте нет денег") for line in told), told
    assert any("«Второй шлюз»" in line for line in told)
    untried = Delivery.objects.exclude(attempts__channel=first).earliest("pk")
    assert [event.reason for event in untried.timeline.all()] == ["other_account"]

    report = compute_report(campaign)
    assert report.steps[0].entered == 6 and report.cost == 6 * Decimal("5.10")
    assert report.steps[0].accounts == [
        AccountShare("Первый шлюз", "4.8000", 2, 0, Decimal(0)),
        AccountShare("Второй шлюз", "5.1000", 6, 0, 6 * Decimal("5.1")),
    ]
    assert Report.from_json(report.as_json()).steps[0].accounts == report.steps[0].accounts
    assert {one.channel for one in recipients(campaign.pk)} == {"Второй шлюз"}
    Delivery.objects.filter(pk=tried).update(outcome_step=0)
    assert contact_history(Delivery.objects.get(pk=tried).contact_id or 0).touches[0].reached_by == "Второй шлюз"


def test_R8_what_may_have_left_is_not_sent_through_the_reserve(shop: Shop) -> None:
    first, _second, _campaign = start(shop, 1)
    answer(call_out(first), Failed("", FailureClass.OUTCOME_UNKNOWN))
    ChannelState.objects.filter(channel=first).update(breaker="open", trouble="balance")
    Delivery.objects.update(due_at="2026-01-01T00:00:00Z")
    advance.advance_due()
    row = Delivery.objects.get()
    assert (row.state, row.step, row.wait_reason) == ("waiting", 0, "waiting_for_milestone")
    assert Attempt.objects.count() == 1


def test_R4_a_switched_off_account_is_passed_over_and_the_step_is_left_only_without_any(shop: Shop) -> None:
    first, second, _campaign = start(shop, 2)
    Channel.objects.filter(pk=first.pk).update(enabled=False)
    send_back(first.pk)
    advance.advance_due()
    assert set(Delivery.objects.values_list("state", "channel_id")) == {("ready", second.pk)}
    Channel.objects.filter(pk=second.pk).update(enabled=False)
    send_back(second.pk)
    advance.advance_due()
    assert set(Delivery.objects.values_list("step", "trail")) == {(1, "channel_disabled")}


def test_all_accounts_in_trouble_and_marketing_holds(shop: Shop) -> None:
    first, second, _campaign = start(shop, 1)
    answer(call_out(first), REFUSED)
    advance.advance_due()
    answer(call_out(second), REFUSED)
    advance.advance_due()
    row = Delivery.objects.get()
    assert (row.state, row.step, row.wait_reason) == ("waiting", 0, "channel_on_hold")
    assert Contact.objects.count() == 1
