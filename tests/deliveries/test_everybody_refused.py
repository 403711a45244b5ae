"""R4, I27: a sender that suddenly hears "blocked" from everybody is in trouble itself; nobody is written off for it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.utils.timezone import now

from campaigns.models import Campaign
from cascade.vocabulary import FailureClass, Milestone, Reason
from channels.models import Channel, ChannelState, RefusalStreak
from channels.providers.base import Failed, StatusReport
from channels.services import health
from contacts.models import Reachability
from deliveries.models import Attempt, Delivery
from deliveries.services import advance, launch, recover, reports
from deliveries.services.reports import News
from deliveries.services.send.claim import send_back
from tests.deliveries.conftest import Shop
from tests.deliveries.hands import answer, call_out

pytestmark = pytest.mark.django_db
BLOCKED = Failed("", FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED, "Forbidden: bot was blocked by the user")
LONG = timedelta(minutes=10)


def start(shop: Shop, people: int, **fields: object) -> tuple[Channel, Channel, Campaign]:
    first, sms = shop.messenger(), shop.sms()
    campaign = shop.campaign(shop.chain(first, sms, wait=LONG), shop.people(people), **fields)
    launch.launch_due()
    advance.advance_due()
    return first, sms, campaign


def state(channel: Channel) -> ChannelState:
    return ChannelState.objects.get(channel=channel)


def test_R4_one_batch_of_refusals_opens_the_breaker_and_marks_nobody(shop: Shop) -> None:
    first, _sms, _campaign = start(shop, 25)
    answer(call_out(first), BLOCKED)
    advance.advance_due()
    assert (state(first).breaker, state(first).trouble) == ("open", "everybody_refused")
    assert state(first).last_error == "25 × blocked: Forbidden: bot was blocked by the user"
    assert not Reachability.objects.exists()
    assert Counter(Delivery.objects.values_list("state", "step", "wait_reason")) == {
        ("waiting", 0, "channel_on_hold"): 25
    }
    assert set(Attempt.objects.values_list("failure", "reason")) == {("auth", "everybody_refused")}


def test_R4_what_was_written_off_before_the_alarm_is_taken_back_unless_it_has_moved_on(shop: Shop) -> None:
    """One by one: nine are believed, the tenth is one too many."""
    first, sms, _campaign = start(shop, 20)
    for _ in range(3):
        answer(call_out(first, 1), BLOCKED)
    advance.advance_due()
    gone = call_out(sms, 2)  # two of them are on their way by SMS
    assert len(gone) == 2
    for _ in range(6):
        answer(call_out(first, 1), BLOCKED)
    assert Reachability.objects.filter(state="blocked").count() == 9
    assert state(first).breaker == "closed"
    answer(call_out(first, 1), BLOCKED)
    assert state(first).breaker == "open"
    assert not Reachability.objects.exists()
    send_back(first.pk)
    advance.advance_due()
    moved = {item.row.id for item in gone}
    rows = Delivery.objects.exclude(pk__in=moved)
    assert set(rows.values_list("state", "step", "trail", "wait_reason")) == {("waiting", 0, "", "channel_on_hold")}
    assert set(Delivery.objects.filter(pk__in=moved).values_list("state", "step", "trail")) == {
        ("leased", 1, "blocked")
    }
    told = Delivery.objects.filter(timeline__reason="everybody_refused", timeline__kind="note").count()
    assert told == 7, "the timeline of each that came back says why"


def test_R4_a_service_message_goes_on_and_its_person_is_not_marked(shop: Shop) -> None:
    first, sms, _campaign = start(shop, 12, purpose="service")
    answer(call_out(first), BLOCKED)
    advance.advance_due()
    assert set(Delivery.objects.values_list("state", "channel_id", "trail")) == {("ready", sms.pk, "account_trouble")}
    assert not Reachability.objects.exists()


def test_R4_one_success_between_them_and_all_are_believed(shop: Shop) -> None:
    first, _sms, _campaign = start(shop, 19)
    answer(call_out(first, 9), BLOCKED)
    answer(call_out(first, 1))
    answer(call_out(first, 9), BLOCKED)
    assert state(first).breaker == "closed"
    assert Reachability.objects.filter(state="blocked").count() == 18


def test_R4_one_person_in_many_campaigns_is_one_person(shop: Shop) -> None:
    first, sms = shop.messenger(), shop.sms()
    people = shop.people(1)
    chain = shop.chain(first, sms, wait=LONG)
    for _ in range(12):
        shop.campaign(chain, people)
    launch.launch_due()
    advance.advance_due()
    answer(call_out(first), BLOCKED)
    assert state(first).breaker == "closed"
    assert len(RefusalStreak.objects.get().refused) == 1


def test_strangers_who_are_not_registered_say_nothing_about_the_account_and_acquaintances_do(shop: Shop) -> None:
    """A list sorted by town brings hundreds of the former in a row; people written to last month do not all leave."""
    unknown = Failed("", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED)
    first, sms = shop.messenger(), shop.sms()
    chain, people = shop.chain(first, sms, wait=LONG), shop.people(20)
    shop.campaign(chain, people)
    shop.campaign(chain, shop.people(40, start=100))
    launch.launch_due()
    advance.advance_due()
    items = call_out(first)
    acquainted = set(people.members.values_list("contact_id", flat=True))
    answer([item for item in items if item.row.contact_id in acquainted])
    Attempt.objects.filter(state="accepted").update(delivered_at=now())
    answer([item for item in items if item.row.contact_id not in acquainted], unknown)
    assert state(first).breaker == "closed"
    assert Reachability.objects.filter(state="not_registered").count() == 40
    shop.campaign(chain, people)
    launch.launch_due()
    advance.advance_due()
    answer(call_out(first), unknown)
    assert (state(first).breaker, state(first).trouble) == ("open", "everybody_refused")
    assert Reachability.objects.filter(state="not_registered").count() == 40


def test_the_owner_has_looked_and_refusals_are_believed(shop: Shop) -> None:
    first, _sms, _campaign = start(shop, 30)
    answer(call_out(first, 15), BLOCKED)
    health.vouch(first.pk)
    assert state(first).breaker == "closed"
    answer(call_out(first, 15), BLOCKED)
    assert state(first).breaker == "closed"
    assert Reachability.objects.filter(state="blocked").count() == 15


def test_a_trial_ends_well_or_with_the_first_refusal(shop: Shop) -> None:
    first, _sms, _campaign = start(shop, 16)
    answer(call_out(first, 12), BLOCKED)
    assert recover.probe_channels() == [], "not before its quarter of an hour"
    ChannelState.objects.update(probe_at=now())
    assert recover.probe_channels() == [first.pk]
    answer(call_out(first, 1), BLOCKED)
    assert (state(first).breaker, state(first).trouble) == ("open", "everybody_refused")
    assert not Reachability.objects.exists()
    ChannelState.objects.update(probe_at=now())
    recover.probe_channels()
    answer(call_out(first, 1))
    assert not RefusalStreak.objects.exists()
    answer(call_out(first, 1), BLOCKED)
    assert state(first).breaker == "closed"
    assert Reachability.objects.count() == 1


def test_a_success_that_was_in_flight_closes_it_and_other_refusals_do_not(shop: Shop) -> None:
    first, _sms, _campaign = start(shop, 14)
    items = call_out(first)
    answer(items[:12], BLOCKED)
    answer(items[12:13], Failed("", FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED))
    assert state(first).breaker == "open"
    answer(items[13:])
    assert state(first).breaker == "closed"


def test_R4_receipts_that_refuse_everybody_are_the_account_s_too(shop: Shop) -> None:
    """An account that takes every message and refuses it later: taking is no success there, arriving is."""
    first, _sms, _campaign = start(shop, 13)
    items = call_out(first)
    answer(items)

    def told(wanted: list[int], **fact: object) -> None:
        found = {}
        for attempt_id in wanted:
            found[attempt_id] = News()
            found[attempt_id].add(StatusReport(event_key="", raw="x", **fact), now())  # type: ignore[arg-type]
        reports.believe(first.pk, found)
        reports.apply(found)

    ids = [item.attempt_id for item in items]
    refused = {"failure": FailureClass.RECIPIENT_PERMANENT, "reason": Reason.BLOCKED}
    told(ids[:6], **refused)
    assert Reachability.objects.count() == 6
    told(ids[6:12], **refused)
    assert (state(first).breaker, state(first).trouble) == ("open", "everybody_refused")
    assert not Reachability.objects.exists()
    advance.advance_due()
    assert Delivery.objects.filter(state="waiting", step=0, wait_reason="channel_on_hold").count() == 12
    told(ids[12:], milestone=Milestone.DELIVERED)
    assert state(first).breaker == "closed"
