"""The whole flow in this process against the emulator: real HTTP, real callbacks through a real web server."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from contacts.models import Contact
from deliveries.models import Attempt, Delivery, DeliveryPlan
from deliveries.services import advance, launch
from deliveries.services.send.pump import send_ready
from deliveries.snapshots import frozen_plan
from tests.deliveries.live import finished, receive_callbacks, requests_of, run_until, tell
from tests.deliveries.shop import Shop
from tests.plugins.processes import Processes


def test_a_cascade_runs_from_the_list_to_the_last_fallback(processes: Processes, live_shop: Shop) -> None:
    """Twenty reached in the messenger, ten who are silent there get the SMS; each once, and the money agrees."""
    web = processes.web().url
    messenger, sms = live_shop.messenger(), live_shop.sms()
    receive_callbacks(live_shop, web, messenger)
    receive_callbacks(live_shop, web, sms)
    people = live_shop.people(30, ending=lambda number: 0 if number < 20 else 1)
    tell(live_shop.emulator, "accounts", provider="smsc", account="*", price="4.80")
    phones = list(Contact.objects.values_list("phone", flat=True))
    tell(live_shop.emulator, "rules", provider="smsc", recipients=phones, behaviour="delivered")
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=timedelta(seconds=2)), people)

    run_until(processes, finished(campaign.pk))

    outcomes = dict.fromkeys(Delivery.objects.values_list("outcome", "outcome_step"))
    assert set(outcomes) == {("reached", 0), ("reached", 1)}
    assert Delivery.objects.filter(outcome_step=0).count() == 20
    assert Delivery.objects.filter(outcome_step=1).count() == 10
    assert len(requests_of(live_shop)) == 40
    assert Attempt.objects.filter(channel=messenger, cost=Decimal("2.60")).count() == 20
    assert Attempt.objects.filter(channel=messenger, cost=None).count() == 10
    assert Attempt.objects.filter(channel=sms, cost=Decimal("4.80")).count() == 10


def test_a_row_that_breaks_our_code_does_not_cost_others_their_results(processes: Processes, live_shop: Shop) -> None:
    """A plan this version cannot read: loud, and yet the message written down beside it is called and recorded."""
    messenger, sms = live_shop.messenger(), live_shop.sms()
    people = live_shop.people(2)
    whole = live_shop.campaign(live_shop.chain(messenger), people)
    broken = live_shop.campaign(live_shop.chain(sms), people)
    launch.launch_due()
    advance.advance_due()
    assert Delivery.objects.filter(state="ready").count() == 4
    DeliveryPlan.objects.filter(campaign=broken).update(definition={})
    frozen_plan.cache_clear()
    with pytest.raises(KeyError):
        send_ready(1.0)
    assert Attempt.objects.filter(delivery__campaign=whole, state="accepted").count() == 2
    assert not Attempt.objects.filter(delivery__campaign=broken).exists()
