"""The garden shops of the article, as rows: 2,103 people, 849 reached by the messenger, the rest by SMS."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.timezone import now

from campaigns.models import Campaign, CampaignStatus
from channels.models import Chain, ChainStep
from channels.services.accounts import create_channel
from contacts.models import Contact
from deliveries.models import Attempt, Delivery
from deliveries.services.plans import freeze_campaign
from templates_app.models import MessageTemplate

PEOPLE, BY_MESSENGER = 2103, 849
MESSENGER, SMS = Decimal("2.60"), Decimal("4.80")


def garden(charged_on: str = "delivered", people: int = PEOPLE, by_messenger: int = BY_MESSENGER) -> Campaign:
    """A finished campaign with the books the engine would have left."""
    messenger = create_channel(
        "green_api_whatsapp",
        "Мессенджер",
        {"id_instance": "1", "api_token": "t"},
        price=MESSENGER,
        charged_on=charged_on,
    )
    sms = create_channel("smsc", "SMS", {"login": "l", "password": "p"}, price=SMS)
    chain = Chain.objects.create(name="Мессенджер, потом SMS")
    ChainStep.objects.create(chain=chain, order=0, channel=messenger, wait=timedelta(minutes=15))
    ChainStep.objects.create(chain=chain, order=1, channel=sms, wait=timedelta(hours=2))
    template = MessageTemplate.objects.create(name="Скидка", text="{name}, скидка 15% на мангалы!")
    campaign = Campaign.objects.create(
        name="Садовые магазины",
        chain=chain,
        template=template,
        everybody=True,
        status=CampaignStatus.FINISHED,
        planned=people,
        finished_at=now(),
    )
    contacts = Contact.objects.bulk_create(
        Contact(phone=f"+7916{index:07d}", name=f"Имя{index}", marketing_consent="granted") for index in range(people)
    )
    plan = freeze_campaign(campaign)
    start = now() - timedelta(hours=1)
    deliveries = Delivery.objects.bulk_create(
        Delivery(
            plan=plan,
            campaign=campaign,
            contact=contact,
            state="final",
            step=int(index >= by_messenger),
            trail="not_delivered_in_time" if index >= by_messenger else "",
            outcome="reached",
            outcome_step=int(index >= by_messenger),
            outcome_milestone="delivered",
            outcome_reason="milestone_met",
            created_at=start,
            finished_at=start,
        )
        for index, contact in enumerate(contacts)
    )
    attempts = []
    for index, delivery in enumerate(deliveries):
        works = index < by_messenger
        booked = works or charged_on == "accepted"
        attempts.append(_attempt(delivery, 0, messenger.pk, MESSENGER, charged_on, start, works=works, booked=booked))
        if not works:
            attempts.append(_attempt(delivery, 1, sms.pk, SMS, "accepted", start, works=True, booked=True))
    Attempt.objects.bulk_create(attempts)
    return campaign


def _attempt(
    delivery: Delivery,
    step: int,
    channel_id: int,
    price: Decimal,
    charged_on: str,
    at: datetime,
    *,
    works: bool,
    booked: bool,
) -> Attempt:
    assert delivery.contact is not None
    return Attempt(
        delivery=delivery,
        step=step,
        try_no=1,
        channel_id=channel_id,
        address=delivery.contact.phone or "",
        state="accepted",
        client_ref=f"{step}x{delivery.pk:020d}",
        provider_message_id=f"{step}-{delivery.pk}",
        called_at=at + timedelta(minutes=step),
        accepted_at=at + timedelta(minutes=step),
        sent_at=at + timedelta(minutes=step),
        delivered_at=at + timedelta(minutes=step, seconds=4) if works else None,
        price=price,
        charged_on=charged_on,
        cost=price if booked else None,
    )
