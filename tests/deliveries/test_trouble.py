"""R4, R9 on the running engine: trouble of the account is not the recipient's, and what happens then is the chain's
policy: wait for the channel (marketing by default) or go on to the next step (service by default)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from contacts.models import Contact
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery
from tests.deliveries.conftest import Shop
from tests.deliveries.live import finished, requests_of, run_until, tell
from tests.plugins.processes import Processes

LONG = timedelta(minutes=10)
PEOPLE = 30
TROUBLES = ("unauthorized", "no_balance", "outage")


def begin(shop: Shop, messenger: Channel, trouble: str) -> None:
    """The messenger's account is in trouble; SMS delivers. In an outage nobody listens at its address."""
    if trouble == "outage":
        Channel.objects.filter(pk=messenger.pk).update(base_url="http://127.0.0.1:9/green")
    else:
        tell(shop.emulator, "accounts", provider="green", account="*", state=trouble)


def end(shop: Shop, messenger: Channel) -> None:
    Channel.objects.filter(pk=messenger.pk).update(base_url=f"{shop.emulator}/green")
    tell(shop.emulator, "accounts", provider="green", account="*", state="ok")


def breaker(channel_id: int) -> str:
    return ChannelState.objects.get(channel=channel_id).breaker


@pytest.mark.parametrize("trouble", TROUBLES)
def test_R4_marketing_waits_for_its_channel_and_nobody_is_pushed_into_the_dearer_one(
    processes: Processes, live_shop: Shop, trouble: str
) -> None:
    messenger, sms = live_shop.messenger(), live_shop.sms()
    begin(live_shop, messenger, trouble)
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=LONG), live_shop.people(PEOPLE))
    run_until(processes, lambda: breaker(messenger.pk) == "open")
    called = Attempt.objects.count()
    for _ in range(5):
        run_once()
    assert Attempt.objects.count() == called, "the channel is called although its breaker is open"
    assert not requests_of(live_shop, provider="smsc")
    assert not Delivery.objects.exclude(state="waiting", step=0).exists()

    end(live_shop, messenger)
    ChannelState.objects.update(probe_at=now())
    Attempt.objects.update(retry_at=now())
    run_until(processes, lambda: breaker(messenger.pk) == "closed")
    run_until(processes, lambda: Attempt.objects.filter(state="accepted", channel=messenger).count() == PEOPLE)
    assert not requests_of(live_shop, provider="smsc")
    taken = Counter(one["recipient"] for one in requests_of(live_shop, provider="green") if one["accepted"])
    assert set(taken.values()) == {1} and len(taken) == PEOPLE
    assert campaign.pk


@pytest.mark.parametrize("trouble", TROUBLES)
def test_R4_a_service_message_goes_on_to_the_next_channel_at_once(
    processes: Processes, live_shop: Shop, trouble: str
) -> None:
    messenger, sms = live_shop.messenger(), live_shop.sms()
    begin(live_shop, messenger, trouble)
    campaign = live_shop.campaign(
        live_shop.chain(messenger, sms, wait=LONG), live_shop.people(PEOPLE), purpose="service"
    )
    run_until(processes, finished(campaign.pk))
    assert set(Delivery.objects.values_list("outcome", "outcome_step", "trail")) == {("reached", 1, "account_trouble")}
    assert len(requests_of(live_shop, provider="smsc")) == PEOPLE
    assert not any(one["accepted"] for one in requests_of(live_shop, provider="green"))


@pytest.mark.parametrize(("policy", "purpose", "step"), [("go_on", "marketing", 1), ("hold", "service", 0)])
def test_R4_the_chain_may_say_otherwise(
    processes: Processes, live_shop: Shop, policy: str, purpose: str, step: int
) -> None:
    messenger, sms = live_shop.messenger(), live_shop.sms()
    begin(live_shop, messenger, "no_balance")
    chain = live_shop.chain(messenger, sms, wait=LONG)
    chain.on_trouble = policy
    chain.save()
    live_shop.campaign(chain, live_shop.people(5), purpose=purpose)
    run_until(processes, lambda: breaker(messenger.pk) == "open")
    run_until(processes, lambda: not Delivery.objects.exclude(step=step).exists())
    for _ in range(3):
        run_once()
    assert len(requests_of(live_shop, provider="smsc")) == (5 if step else 0)


def test_R9_a_stumble_is_tried_again_on_the_same_step(processes: Processes, live_shop: Shop) -> None:
    """“Too fast, wait two seconds”, then it works: two calls, one message, nobody falls through."""
    messenger, sms = live_shop.messenger(), live_shop.sms()
    people = live_shop.people(2)
    phones = list(Contact.objects.values_list("phone", flat=True))
    tell(live_shop.emulator, "rules", provider="smsc", recipients=phones, answer="rate_limited", times=1)
    campaign = live_shop.campaign(live_shop.chain(sms, messenger, wait=LONG), people)
    run_until(processes, finished(campaign.pk))
    assert set(Delivery.objects.values_list("outcome", "outcome_step")) == {("reached", 0)}
    assert not requests_of(live_shop, provider="green")
    calls: dict[str, list[float]] = {}
    for one in requests_of(live_shop, provider="smsc"):
        calls.setdefault(one["recipient"], []).append(one["t"])
    # Retry-After was two seconds: nobody is asked earlier than they said.
    assert all(len(at) == 2 and at[1] - at[0] >= 2 for at in calls.values())
    tries = list(Attempt.objects.order_by("delivery_id", "try_no").values_list("try_no", "state", "failure"))
    assert tries == [(1, "failed", "rate_limited"), (2, "accepted", "")] * 2


def test_R9_retries_end_with_the_steps_own_wait(processes: Processes, live_shop: Shop) -> None:
    """A provider that is down must not eat the time of the channels behind it."""
    messenger, sms = live_shop.messenger(), live_shop.sms()
    people = live_shop.people(2, ending=2)  # 500
    phones = list(Contact.objects.values_list("phone", flat=True))
    tell(live_shop.emulator, "rules", provider="smsc", recipients=phones, behaviour="delivered")
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=timedelta(seconds=4)), people)
    run_until(processes, finished(campaign.pk))
    assert set(Delivery.objects.values_list("outcome", "outcome_step")) == {("reached", 1)}
    assert set(Delivery.objects.values_list("trail", flat=True)) <= {"retries_used_up", "unknown_unresolved"}
