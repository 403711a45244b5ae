"""A small installation to send from: channels that point at the emulator, a chain, a text, people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils.timezone import now

from campaigns.models import Campaign, CampaignStatus
from cascade.vocabulary import Purpose
from channels.models import Chain, ChainStep, Channel
from channels.services.accounts import create_channel
from contacts.models import ConsentState, Contact, ContactList, ListMember
from deliveries.services.send.pump import close_runtime
from templates_app.models import MessageTemplate
from tests.plugins.processes import Processes


@dataclass
class Shop:
    """Makes the objects tests are about. Phones end in the two digits the emulator goes by."""

    emulator: str = "http://127.0.0.1:9"

    def messenger(self, name: str = "Мессенджер", **fields: object) -> Channel:
        fields = {"price": Decimal("2.60"), "charged_on": "delivered", "rate": 1000.0, **fields}
        return create_channel(
            "green_api_whatsapp",
            name,
            {"id_instance": "1101", "api_token": "green-token"},
            base_url=f"{self.emulator}/green",
            **fields,
        )

    def sms(self, name: str = "СМС", **fields: object) -> Channel:
        fields = {"price": Decimal("4.80"), "charged_on": "accepted", "rate": 1000.0, **fields}
        return create_channel("smsc", name, {"apikey": "smsc-key"}, base_url=f"{self.emulator}/smsc", **fields)

    def chain(self, *channels: Channel, wait: timedelta = timedelta(seconds=2), expect: str = "delivered") -> Chain:
        chain = Chain.objects.create(name=f"Цепочка {Chain.objects.count() + 1}")
        for order, channel in enumerate(channels):
            ChainStep.objects.create(
                chain=chain, order=order, channel=channel, expect=expect, wait=wait, min_wait=timedelta(seconds=1)
            )
        return chain

    def people(self, count: int, ending: Callable[[int], int] | int = 0, start: int = 0) -> ContactList:
        """`count` people with consent on a new list; `ending` gives the last two digits of each phone."""
        ends = ending if callable(ending) else lambda _: ending
        people = [
            Contact(
                phone=f"+7912{start + number:05d}{ends(number):02d}",
                name=f"Имя{number}",
                marketing_consent=ConsentState.GRANTED,
            )
            for number in range(count)
        ]
        made = Contact.objects.bulk_create(people)
        saved = ContactList.objects.create(name=f"Список {ContactList.objects.count() + 1}")
        ListMember.objects.bulk_create([ListMember(list=saved, contact=person) for person in made])
        return saved

    def campaign(self, chain: Chain, people: ContactList, **fields: object) -> Campaign:
        template, _ = MessageTemplate.objects.get_or_create(
            name="Привет", defaults={"text": "Здравствуйте, {name|друг}!"}
        )
        fields = {
            "purpose": Purpose.MARKETING.value,
            "status": CampaignStatus.LAUNCHING,
            "launched_at": now(),
            **fields,
        }
        campaign = Campaign.objects.create(name="Рассылка", chain=chain, template=template, **fields)
        campaign.lists.add(people)
        return campaign


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def live_shop(processes: Processes, shop: Shop) -> Iterator[Shop]:
    """A shop whose channels reach the emulator, and whose callbacks come back through a web process."""
    shop.emulator = processes.emulator().url
    yield shop
    close_runtime()
