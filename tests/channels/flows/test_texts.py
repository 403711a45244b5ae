"""M1-M3, I17 on the wire: whose values, in which channel's words, and exactly what the preview had shown."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import LazySettings

from campaigns.services import preflight
from cascade.vocabulary import Purpose
from channels.services import texts
from contacts.models import Contact, ListMember
from deliveries.models import Attempt, Delivery, DeliveryPlan
from deliveries.services import launch
from deliveries.services.plans import freeze
from templates_app.models import MessageTemplate
from templates_app.services import resolve
from tests.channels.flows.conftest import Street
from tests.deliveries.live import requests_of, run_until, tell
from tests.plugins.processes import Processes

LONG = timedelta(minutes=30)

#: Names people have, or pretend to have.
HOSTILE = [
    "{phone}",
    "<name>",
    "{{ 7*7 }}{% load x %}",
    "%(name)s %s $name ${name}",
    "<b>Анна</b> & «Ко»",
    "*Анна* _x_ [link](http://evil.example)",
    "Анна\nВторая строка",
    "\u202eаннА",
    'O\'Neil \\ "x"',
]


@pytest.mark.parametrize("channel", ["sms", "messenger", "bot", "mailbox"])
def test_M2_values_are_data_in_every_channel(
    processes: Processes, street: Street, settings: LazySettings, channel: str
) -> None:
    """One pass: what a person is called stands in their own message, letter by letter, and in nobody else's."""
    made = getattr(street, channel)()
    people = street.cast(made, ["silent"] * len(HOSTILE))
    for person, name in zip(Contact.objects.order_by("pk"), HOSTILE, strict=True):
        Contact.objects.filter(pk=person.pk).update(name=name)
    MessageTemplate.objects.create(name="Привет", text="{name}: ждём. <name|друг>", subject="Для {name}")
    street.campaign(street.chain(made, wait=LONG, expect="clicked"), people)
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == len(HOSTILE))
    wire = {"sms": "smsc", "messenger": "green", "bot": "telegram", "mailbox": "smtp"}[channel]
    said = {record["recipient"]: record["text"] for record in requests_of(street, provider=wire)}
    for attempt in Attempt.objects.select_related("delivery__contact"):
        name = attempt.delivery.contact.name
        text = said[attempt.address.removeprefix("+").removesuffix("@c.us")]
        assert text.replace("\r\n", "\n") == f"{name}: ждём. {name}"


def test_each_channel_says_its_own_words_with_values_of_card_file_and_event(
    processes: Processes, street: Street
) -> None:
    messenger, sms = street.messenger(), street.sms()
    template = MessageTemplate.objects.create(name="Привет", text="{name}, заказ {order} ждёт. {note|Приходите!}")
    template.variants.create(kind="sms", text="{order} готов")
    people = street.people(2, ending=3)  # refused in the messenger: the SMS follows at once
    phones = list(Contact.objects.values_list("phone", flat=True))
    tell(street.emulator, "rules", provider="smsc", recipients=phones, behaviour="delivered")
    for number, member in enumerate(ListMember.objects.order_by("contact")):
        member.variables = {"order": f"№{number}", "name": "имя из файла" if number else ""}
        member.save()
    street.campaign(street.chain(messenger, sms, wait=LONG), people)
    run_until(processes, lambda: len(requests_of(street, provider="smsc")) == 2)
    assert sorted(r["text"] for r in requests_of(street, provider="smsc")) == ["№0 готов", "№1 готов"]
    assert sorted(r["text"] for r in requests_of(street, provider="green")) == [
        "Имя0, заказ №0 ждёт. Приходите!",  # a blank cell does not hide the card
        "имя из файла, заказ №1 ждёт. Приходите!",
    ]

    plan = DeliveryPlan.objects.create(
        purpose="service", definition=freeze(street.chain(sms, wait=LONG), template, Purpose.SERVICE)
    )
    contact = Contact.objects.order_by("pk")[0]
    launch.create_delivery(contact.pk, plan, variables={"order": "из события"})
    run_until(processes, lambda: len(requests_of(street, provider="smsc")) == 3)
    assert requests_of(street, provider="smsc")[2]["text"] == "из события готов"


def test_M1_who_has_no_value_is_left_out_and_listed_before(processes: Processes, street: Street) -> None:
    sms = street.sms()
    MessageTemplate.objects.create(name="Привет", text="{name}, заказ {order} готов")
    people = street.people(3, ending=1)
    member = ListMember.objects.order_by("contact")[0]
    ListMember.objects.filter(pk=member.pk).update(variables={"order": "15"})
    campaign = street.campaign(street.chain(sms, wait=LONG), people)
    listed = preflight.run(campaign)
    assert [(one.name, one.people) for one in listed.empty] == [("order", 2)]
    run_until(processes, lambda: Delivery.objects.filter(state="final").count() == 2)
    (sent,) = requests_of(street, provider="smsc")
    assert sent["text"] == "Имя0, заказ 15 готов"
    assert set(Delivery.objects.filter(state="final").values_list("outcome", "trail")) == {
        ("exhausted", "empty_variable")
    }


def test_M3_the_preview_is_what_is_sent_and_paid(processes: Processes, street: Street, settings: LazySettings) -> None:
    """Parts at their boundaries, an emoji, and a tracked link counted at its real length."""
    settings.PUBLIC_BASE_URL = "https://t.example"
    tell(street.emulator, "accounts", provider="smsc", account="*", price="4.80")
    sms = street.sms(price="4.80")
    template = MessageTemplate.objects.create(
        name="Привет", text="{name} {link}", link="https://shop.example/a/long/address"
    )
    shell = len(" https://t.example/l/") + 22
    sizes = {70: 1, 71: 2, 134: 2, 135: 3}
    people = street.people(len(sizes), ending=1)
    for contact, size in zip(Contact.objects.order_by("pk"), sizes, strict=True):
        Contact.objects.filter(pk=contact.pk).update(name="Ж" * (size - shell - 2) + "\U0001f642")
    previewed = texts.preview(resolve(template, "sms"), "sms", "https://t.example", people=len(sizes))
    shown = {one.who: (one.segments.units, one.segments.parts) for one in previewed.samples if one.segments}
    assert sorted(shown.values()) == sorted(sizes.items())
    street.campaign(street.chain(sms, wait=LONG, expect="clicked"), people)
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == len(sizes))
    for attempt in Attempt.objects.select_related("delivery__contact"):
        (sent,) = requests_of(street, recipient=(attempt.address or "").lstrip("+"))
        units = len(sent["text"].encode("utf-16-be")) // 2
        assert shown[str(attempt.delivery.contact)] == (units, attempt.parts)
        assert attempt.parts == sizes[units]
        assert attempt.cost == Decimal("4.80") * attempt.parts
    assert previewed.price == Decimal("14.40"), "the longest of those shown"
