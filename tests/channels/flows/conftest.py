"""The four adapters on the running engine: a shop with one channel of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from cascade.vocabulary import AddressKind
from channels.models import Chain, ChainStep, Channel
from channels.providers.registry import provider_class
from channels.services.accounts import create_channel
from contacts.models import ConsentState, Contact, ContactAddress, ContactList, ListMember
from deliveries.models import Attempt
from deliveries.services.send.pump import close_runtime
from tests.deliveries.live import tell, wire_name
from tests.deliveries.shop import Shop
from tests.plugins.processes import Processes, Running


@dataclass
class Street(Shop):
    """A shop with a bot and a mailbox as well, and people who behave as their test says."""

    mail_port: int = 0
    imap_port: int = 0

    def reading_mailbox(self, **fields: Any) -> Channel:
        """A mailbox whose returned letters, complaints and answers are read."""
        return self.mailbox(
            bounces={
                "bounce_host": "127.0.0.1",
                "bounce_port": self.imap_port,
                "bounce_ssl": False,
                "bounce_login": "hello@shop.example",
                "bounce_password": "imap-canary-password",
                "bounce_address": "hello@shop.example",
            },
            **fields,
        )

    def mailbox(self, bounces: dict[str, Any] | None = None, **fields: Any) -> Channel:
        config = {
            "host": "127.0.0.1",
            "port": self.mail_port,
            "sender": "hello@shop.example",
            "sender_name": "Салон «Ёж»",
            "username": "hello",
            "password": "mail-canary-password",
            "use_tls": False,
            **(bounces or {}),
        }
        return create_channel("smtp", "Почта", config, **{"rate": 1000.0, **fields})

    def cast(self, channel: Channel, behaviours: Sequence[str | dict[str, Any]]) -> ContactList:
        """One person for each behaviour of this channel's provider, in this order; a dict is a rule of its own."""
        provider = wire_name(channel.provider)
        people = []
        for number, behaviour in enumerate(behaviours):
            person = Contact.objects.create(
                phone=f"+7913{Contact.objects.count():05d}01",
                email=f"person{number}x01@people.example",
                name=f"Имя{number}",
                marketing_consent=ConsentState.GRANTED,
            )
            address = (person.phone or "").lstrip("+")
            if provider_class(channel.provider).capabilities.address is AddressKind.CHAT_ID:
                address = str(700_000_000 + person.pk * 100 + 1)
                ContactAddress.objects.create(contact=person, channel_id=channel.pk, value=address)
            elif provider_class(channel.provider).capabilities.address is AddressKind.EMAIL:
                address = person.email or ""
            elif channel.provider in {"fcm", "rustore"}:
                address = f"device-of-{address}"  # what the person's app will register
            rule = behaviour if isinstance(behaviour, dict) else {"behaviour": behaviour}
            if "times" in rule:
                tell(self.emulator, "rules", provider=provider, recipient=address, **rule)
                rule = {"behaviour": "delivered"}
            tell(self.emulator, "rules", provider=provider, recipient=address, **rule)
            people.append(person)
        saved = ContactList.objects.create(name=f"Список {ContactList.objects.count() + 1}")
        ListMember.objects.bulk_create([ListMember(list=saved, contact=person) for person in people])
        return saved

    def last_resort(self, first: Channel, second: Channel, *, expect: str, wait: timedelta) -> Chain:
        """`first`, and what it does not bring about in `wait`, through `second` for a long while."""
        chain = self.chain(first, wait=wait, expect=expect)
        ChainStep.objects.create(chain=chain, order=1, channel=second, wait=timedelta(hours=1))
        return chain


def told(channel: Channel) -> list[tuple[str, str, str, str]]:
    """(state, failure, reason, best milestone) of each person's last attempt here, in the order of the cast."""
    found = []
    for attempt in (
        Attempt.objects.filter(channel=channel).order_by("delivery__contact", "-try_no").distinct("delivery__contact")
    ):
        names = ("clicked", "replied", "read", "delivered", "sent", "accepted")
        best = next((name for name in names if getattr(attempt, f"{name}_at") is not None), "")
        found.append((attempt.state, attempt.failure, attempt.reason, best))
    return found


@pytest.fixture
def emulator(processes: Processes) -> Running:
    return processes.emulator()


@pytest.fixture
def street(emulator: Running) -> Iterator[Street]:
    yield Street(emulator=emulator.url, mail_port=emulator.smtp_port, imap_port=emulator.imap_port)
    close_runtime()
