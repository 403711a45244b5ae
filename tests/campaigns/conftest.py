"""A small house to launch campaigns from: two channels, a chain, a text, people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from campaigns.models import Campaign
from channels.models import Chain, ChainStep, Channel
from channels.services.accounts import create_channel
from contacts.models import ConsentState, Contact, ContactList, ListMember
from templates_app.models import MessageTemplate


@pytest.fixture
def messenger(db: None) -> Channel:
    return create_channel(
        "green_api_whatsapp",
        "Мессенджер",
        {"id_instance": "1101000001", "api_token": "token"},
        price=Decimal("2.60"),
        charged_on="delivered",
    )


@pytest.fixture
def sms(db: None) -> Channel:
    return create_channel("smsc", "SMS", {"login": "garden", "password": "secret"}, price=Decimal("4.80"))


@pytest.fixture
def chain(messenger: Channel, sms: Channel) -> Chain:
    chain = Chain.objects.create(name="Мессенджер, потом SMS")
    ChainStep.objects.create(chain=chain, order=0, channel=messenger, wait=timedelta(minutes=15))
    ChainStep.objects.create(chain=chain, order=1, channel=sms, wait=timedelta(hours=2))
    return chain


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return MessageTemplate.objects.create(name="Скидка", text="{name|Здравствуйте}, скидка 15% на мангалы!")


@pytest.fixture
def people(db: None) -> Callable[..., ContactList]:
    """people(10): a new list of so many contacts, with consent unless told otherwise."""

    def make(count: int, consent: str = ConsentState.GRANTED, name: str = "Садовые магазины") -> ContactList:
        first = (Contact.objects.count() + 1) * 7
        made = Contact.objects.bulk_create(
            Contact(phone=f"+7916{first + index:07d}", name=f"Имя{index}", marketing_consent=consent)
            for index in range(count)
        )
        target = ContactList.objects.create(name=name)
        ListMember.objects.bulk_create(ListMember(list=target, contact=one) for one in made)
        return target

    return make


@pytest.fixture
def draft(chain: Chain, template: MessageTemplate, people: Callable[..., ContactList]) -> Campaign:
    """A campaign of ten people that may be launched at once."""
    campaign = Campaign.objects.create(name="Мангалы", chain=chain, template=template)
    campaign.lists.add(people(10))
    return campaign
