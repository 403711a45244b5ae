"""A small installation to send from: channels that point at the emulator, a chain, a text, people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.utils.timezone import now

from campaigns.models import Campaign, CampaignStatus
from cascade.vocabulary import Purpose
from channels.models import Chain, ChainStep, Channel
from channels.services.accounts import create_channel
from contacts.models import ConsentState, Contact, ContactList, ListMember
from templates_app.models import MessageTemplate


@dataclass
class Shop:
    """Makes the objects tests are about. Phones end in the two digits the emulator goes by."""

    emulator: str = "http://127.0.0.1:9"

    def messenger(self, name: str = "Мессенджер", **fields: object) -> Channel:
        fields = {"price": Decimal("2.60"), "charged_on": "delivered", "rate": 1000.0, "incoming": "callback", **fields}
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

    def bot(self, name: str = "Бот", **fields: object) -> Channel:
        """A channel that reports nothing: only the person's own answer ends its step."""
        fields = {"price": Decimal(0), "charged_on": "accepted", "rate": 1000.0, "incoming": "callback", **fields}
        return create_channel(
            "telegram_bot", name, {"token": "123456789:AAtest"}, base_url=f"{self.emulator}/telegram", **fields
        )

    def chain(
        self,
        *channels: Channel,
        wait: timedelta | Sequence[timedelta] = timedelta(seconds=2),
        expect: str | Sequence[str] = "delivered",
    ) -> Chain:
        """`wait`, `expect`: of every step, or of each."""
        waits = [wait] * len(channels) if isinstance(wait, timedelta) else wait
        expects = [expect] * len(channels) if isinstance(expect, str) else expect
        chain = Chain.objects.create(name=f"Цепочка {Chain.objects.count() + 1}")
        for order, (channel, ends, after) in enumerate(zip(channels, expects, waits, strict=True)):
            ChainStep.objects.create(
                chain=chain, order=order, channel=channel, expect=ends, wait=after, min_wait=timedelta(seconds=1)
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
            "template": template,
            "purpose": Purpose.MARKETING.value,
            "status": CampaignStatus.LAUNCHING,
            "launched_at": now(),
            **fields,
        }
        campaign = Campaign.objects.create(name="Рассылка", chain=chain, **fields)
        campaign.lists.add(people)
        return campaign
