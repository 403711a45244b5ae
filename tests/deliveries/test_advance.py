"""Launch and advance against a real database, without any sending."""

from __future__ import annotations

import pytest

from campaigns.models import CampaignStatus
from contacts.models import Contact
from deliveries.models import Delivery, DeliveryState
from deliveries.services import advance, launch
from tests.deliveries.shop import Shop

pytestmark = pytest.mark.django_db


def test_I13_launch_writes_one_delivery_per_person_and_goes_on_where_it_stopped(shop: Shop) -> None:
    campaign = shop.campaign(shop.chain(shop.messenger(), shop.sms()), shop.people(25))
    assert launch.launch_chunk(campaign.pk, chunk=10)
    assert Delivery.objects.count() == 10
    assert launch.launch_chunk(campaign.pk, chunk=10)
    assert not launch.launch_chunk(campaign.pk, chunk=10)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.RUNNING
    assert campaign.planned == Delivery.objects.count() == 25
    assert not launch.launch_chunk(campaign.pk, chunk=10)


def test_advance_makes_the_first_step_ready(shop: Shop) -> None:
    messenger = shop.messenger()
    campaign = shop.campaign(shop.chain(messenger, shop.sms()), shop.people(3))
    launch.launch_due()
    assert advance.advance_due() == (3, 3)
    assert set(Delivery.objects.values_list("state", "step", "channel_id")) == {(DeliveryState.READY, 0, messenger.pk)}
    assert campaign.pk


def test_R4_known_unreachable_step_is_left_without_a_call(shop: Shop) -> None:
    sms = shop.sms()
    shop.campaign(shop.chain(shop.messenger(), sms), shop.people(1))
    launch.launch_due()
    from contacts.services.reachability import Learned, learn

    learn(
        [
            Learned(
                Contact.objects.get().pk,
                Delivery.objects.get().plan.definition["steps"][0]["channel_id"],
                Contact.objects.get().phone,
                "not_registered",
                "check",
            )
        ]
    )
    advance.advance_due()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.step, delivery.channel_id, delivery.trail) == (
        "ready",
        1,
        sms.pk,
        "not_registered",
    )
    assert [(line.kind, line.reason) for line in delivery.timeline.all()] == [("left", "not_registered")]
