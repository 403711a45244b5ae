"""The channel of the last living dialogue first: decided at the launch, frozen, told, and counted by the plan's steps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from analytics.selectors import compute_report
from campaigns.models import Campaign
from cascade.vocabulary import FailureClass, Purpose, Reason
from channels.models import Channel
from channels.providers.base import Failed
from contacts.models import Contact, ContactAddress, Reachability
from deliveries.models import Delivery, DeliveryPlan, InboundMessage
from deliveries.selectors import Wanted, recipients_page, timeline
from deliveries.services import advance, launch
from deliveries.services.plans import freeze
from deliveries.snapshots import plan_step, walked
from templates_app.models import MessageTemplate
from tests.deliveries.conftest import Shop
from tests.deliveries.hands import answer, call_out

pytestmark = pytest.mark.django_db
LONG = timedelta(hours=2)


def wrote(person: Contact, channel: Channel, days: int) -> None:
    InboundMessage.objects.create(
        channel=channel,
        event_key=f"{person.pk}-{channel.pk}-{days}",
        address="1",
        contact=person,
        text="Здравствуйте",
        received_at=now() - timedelta(days=days),
    )


@pytest.fixture
def street(shop: Shop) -> tuple[list[Channel], list[Contact], Campaign]:
    """messenger, bot, SMS; of five people: nobody wrote, one wrote to the bot, to both, long ago, and left again."""
    messenger, bot, sms = shop.messenger(), shop.bot(), shop.sms()
    chain = shop.chain(messenger, bot, sms, wait=LONG, expect=("delivered", "replied", "delivered"))
    chain.dialogue_days = 30
    chain.save()
    people = shop.people(5)
    cards = list(Contact.objects.order_by("pk"))
    for card in cards:
        ContactAddress.objects.create(contact=card, channel_id=bot.pk, value=str(card.pk))
    wrote(cards[1], bot, 3)
    wrote(cards[2], bot, 3)
    wrote(cards[2], messenger, 1)
    wrote(cards[3], bot, 40)
    wrote(cards[4], bot, 3)
    Reachability.objects.create(
        contact=cards[4],
        channel_id=bot.pk,
        address=str(cards[4].pk),
        state="blocked",
        until=now() + timedelta(days=9),
        source="callback",
    )
    campaign = shop.campaign(chain, people)
    launch.launch_due()
    advance.advance_due()
    return [messenger, bot, sms], cards, campaign


def test_who_wrote_last_and_where_decides_the_first_step(street) -> None:
    (messenger, bot, sms), cards, campaign = street
    first = dict(Delivery.objects.values_list("contact_id", "channel_id"))
    assert first == {
        cards[0].pk: messenger.pk,
        cards[1].pk: bot.pk,
        cards[2].pk: messenger.pk,
        cards[3].pk: messenger.pk,
        cards[4].pk: messenger.pk,
    }
    led = Delivery.objects.get(contact=cards[1])
    assert led.lead == 1
    assert "goes first" in timeline(led.pk)[1].text or "идёт первым" in timeline(led.pk)[1].text
    assert led.plan.definition["dialogue_days"] == 30
    # The others keep their order: after the bot the messenger, then SMS.
    answer(call_out(bot), Failed("", FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED))
    advance.advance_due()
    led.refresh_from_db()
    assert (led.step, led.trail, led.channel_id) == (1, "blocked", messenger.pk)
    for item in call_out(messenger):
        refused = Failed("", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED)
        answer([item], refused if item.row.id == led.pk else None)
    advance.advance_due()
    led.refresh_from_db()
    assert (led.step, led.trail, led.channel_id) == (2, "blocked,not_registered", sms.pk)
    answer(call_out(sms))

    report = compute_report(campaign)
    assert [(step.channel_id, step.entered) for step in report.steps] == [(messenger.pk, 5), (bot.pk, 1), (sms.pk, 1)]
    assert [step.failed for step in report.steps] == [{"not_registered": 1}, {"blocked": 1}, {}]
    assert [step.waiting for step in report.steps] == [4, 0, 1]

    def people(**wanted: object) -> list[int]:
        return [one.delivery_id for one in recipients_page(campaign.pk, Wanted(**wanted))[0]]  # type: ignore[arg-type]

    assert people(step=3) == [led.pk] and people(step=2, reason="blocked") == [led.pk]
    assert people(step=1, reason="not_registered") == [led.pk]
    assert len(people(step=1)) == 4


def test_a_single_message_goes_there_too_and_without_the_option_nobody_is_led(shop: Shop, street) -> None:
    _channels, cards, campaign = street
    template = MessageTemplate.objects.get()
    for days, lead in ((30, 1), (2, None), (None, None)):
        campaign.chain.dialogue_days = days
        definition = freeze(campaign.chain, template, Purpose.SERVICE)
        plan = DeliveryPlan.objects.create(purpose="service", definition=definition)
        pk, _ = launch.create_delivery(cards[1].pk, plan)
        assert Delivery.objects.get(pk=pk).lead == lead


@pytest.mark.parametrize("lead", [None, 0, 1, 2, 3])
def test_positions_of_a_walk_are_steps_of_the_plan(lead: int | None) -> None:
    assert [plan_step(position, lead) for position in range(4)] == walked(range(4), lead)
