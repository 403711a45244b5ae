"""What `make demo` shows: the garden shops of the article, alive, and drafts to play with.

2,103 people get a messenger message (2.60 RUB, charged on delivery); 849 are reached there; the others fall back to SMS
(4.80 RUB, charged when accepted) within a minute. The emulator plays both providers by rules posted here. The report
must then read 8,226.60 RUB against 10,094.40 RUB, 18.5 % saved; `wait_and_judge` compares it with the emulator's own
journal, which knows nothing of our database.

Everything is found by name before it is made, so a second start continues with the same data. The emulator forgets at
each start: its rules and our addresses (ports may differ) are told again every time.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from analytics.selectors import Report, compute_report
from campaigns.models import Campaign, CampaignStatus
from campaigns.services import lifecycle
from cascade.vocabulary import Purpose
from channels.models import Chain, ChainStep, Channel
from channels.services.accounts import create_channel
from contacts.models import Branch, Contact, ContactAddress, ContactList, ListMember, Tag
from contacts.services.consents import ConsentLine, record_many
from templates_app.models import MessageTemplate, TemplateVariant

PEOPLE, BY_MESSENGER, NOT_REGISTERED = 2103, 849, 510
MESSENGER_PRICE, SMS_PRICE = Decimal("2.60"), Decimal("4.80")
COST, COST_OF_SMS_ALONE, SAVED_PERCENT = Decimal("8226.60"), Decimal("10094.40"), Decimal("18.5")
#: Long enough for every receipt on a busy machine, short enough for a visitor's patience.
WAIT = timedelta(seconds=45)
#: Both steps together are over in about a minute and a half.
RATE = 60.0

GARDEN = "Скидка 15% на мангалы: садовые магазины"
_MESSENGER, _SMS, _BOT = "Мессенджер (как Viber)", "SMS через SMSC", "Telegram-бот @sad_shop_bot"

_NAMES = [
    "Анна",
    "Мария",
    "Елена",
    "Ольга",
    "Наталья",
    "Ирина",
    "Татьяна",
    "Светлана",
    "Екатерина",
    "Юлия",
    "Людмила",
    "Галина",
    "Вера",
    "Надежда",
    "Любовь",
    "Дарья",
    "Алина",
    "Полина",
    "Ксения",
    "Марина",
    "Алексей",
    "Сергей",
    "Дмитрий",
    "Андрей",
    "Иван",
    "Михаил",
    "Николай",
    "Павел",
    "Виктор",
    "Олег",
    "Игорь",
    "Роман",
    "Максим",
    "Артём",
    "Кирилл",
    "Егор",
    "Антон",
    "Денис",
    "Владимир",
    "Константин",
]


def seed(emulator_url: str) -> None:
    """Make the demo's data, or find them again, and tell the emulator its part. Safe to repeat.

    Side effects: rows, and the launch of the garden campaign if it has never been launched.
    """
    with transaction.atomic():
        channels = _channels(emulator_url)
        people = _people()
        garden = _garden(channels, people)
        _drafts(channels, people)
    _instruct(emulator_url, channels)
    if garden.status == CampaignStatus.DRAFT:
        move = lifecycle.launch(garden.pk)
        if not move:
            raise RuntimeError("; ".join([move.message, *(one.text() for one in move.blockers)]))


# ---------------------------------------------------------------- channels and the emulator


def _channels(emulator_url: str) -> dict[str, Channel]:
    return {
        _MESSENGER: _channel(
            _MESSENGER,
            "green_api_whatsapp",
            {"id_instance": "1101000001", "api_token": "demo-token"},
            f"{emulator_url}/green",
            price=MESSENGER_PRICE,
            charged_on="delivered",
            rate=RATE,
        ),
        _SMS: _channel(
            _SMS,
            "smsc",
            {"apikey": "demo-key"},
            f"{emulator_url}/smsc",
            price=SMS_PRICE,
            charged_on="accepted",
            rate=RATE,
        ),
        _BOT: _channel(
            _BOT,
            "telegram_bot",
            {"token": "123456789:DEMO-token"},
            f"{emulator_url}/telegram",
            price=Decimal(0),
            rate=25.0,
        ),
    }


def _channel(name: str, provider: str, config: dict[str, Any], base_url: str, **fields: Any) -> Channel:
    found = Channel.objects.filter(name=name).first()
    if found is None:
        # The emulator calls us on the loopback, which no provider could.
        return create_channel(provider, name, config, base_url=base_url, incoming="callback", **fields)
    if found.base_url != base_url:
        found.base_url = base_url
        found.save()
    return found


def _instruct(emulator_url: str, channels: dict[str, Channel]) -> None:
    """Rules, prices and addresses for receipts: the emulator has forgotten them, if it ever knew."""
    reached = _reached()
    rest = [index for index in range(PEOPLE) if index not in reached]
    read, delivered = sorted(reached)[:520], sorted(reached)[520:]
    gone, silent = rest[:NOT_REGISTERED], rest[NOT_REGISTERED:]
    rules: list[dict[str, Any]] = [
        {"digits": False},
        _rule("green", read, [(0.3, "sent"), (1.2, "delivered"), (4.0, "read")]),
        _rule("green", delivered, [(0.3, "sent"), (2.5, "delivered")]),
        _rule("green", gone, [(0.5, "not_registered")]),
        _rule("green", silent, [(0.4, "sent")]),
        {
            "provider": "smsc",
            "behaviour": "delivered",
            "steps": [{"after": 0.3, "status": "sent"}, {"after": 2.0, "status": "delivered"}],
        },
    ]
    _post(emulator_url, "rules", {"rules": rules})
    prices = {
        "green": (MESSENGER_PRICE, "delivered"),
        "smsc": (SMS_PRICE, "accepted"),
        "telegram": (Decimal(0), "accepted"),
    }
    wires = {"green": _MESSENGER, "smsc": _SMS, "telegram": _BOT}
    for wire, (price, charged_on) in prices.items():
        _post(
            emulator_url, "accounts", {"provider": wire, "account": "*", "price": str(price), "charged_on": charged_on}
        )
        channel = channels[wires[wire]]
        path = reverse("public:callback", args=[channel.pk, channel.callback_secret])
        target = {"url": f"{settings.PUBLIC_BASE_URL}{path}", "secret": channel.callback_secret}
        _post(emulator_url, "callback_target", {"provider": wire, "account": "*", **target})


def _rule(provider: str, indexes: Sequence[int], steps: Sequence[tuple[float, str]]) -> dict[str, Any]:
    told = [{"after": after, "status": status} for after, status in steps]
    return {"provider": provider, "recipients": [_phone(index) for index in indexes], "steps": told}


def _post(emulator_url: str, name: str, body: dict[str, Any]) -> None:
    request = Request(  # noqa: S310 - our own emulator's http address
        f"{emulator_url}/_emulator/{name}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urlopen(request, timeout=20):  # noqa: S310
        pass


# ---------------------------------------------------------------- people


def _phone(index: int) -> str:
    return f"+7916{index * 41 % 10_000_000:07d}"


def _reached() -> frozenset[int]:
    """Who has the messenger: always the same 849, spread evenly."""
    return frozenset(random.Random(BY_MESSENGER).sample(range(PEOPLE), BY_MESSENGER))


def _people() -> ContactList:
    garden, made = ContactList.objects.get_or_create(name="Покупатели садовых магазинов")
    if not made:
        return garden
    branches = [
        Branch.objects.get_or_create(name=name, defaults={"timezone": zone})[0]
        for name, zone in (
            ("Сад на Ленина", "Europe/Moscow"),
            ("Сад у реки", "Europe/Samara"),
            ("Сад на Уральской", "Asia/Yekaterinburg"),
        )
    ]
    draw = random.Random(PEOPLE)
    people = Contact.objects.bulk_create(
        Contact(phone=_phone(index), name=draw.choice(_NAMES), branch=draw.choice(branches)) for index in range(PEOPLE)
    )
    ListMember.objects.bulk_create(ListMember(list=garden, contact=one) for one in people)
    record_many(
        [
            ConsentLine(
                one.pk,
                granted=True,
                source="Анкета на кассе",
                wording="Согласен получать сообщения об акциях",
                evidence="Демонстрационные данные",
            )
            for one in people
        ]
    )
    return garden


# ---------------------------------------------------------------- campaigns


def _garden(channels: dict[str, Channel], people: ContactList) -> Campaign:
    found = Campaign.objects.filter(name=GARDEN).first()
    if found is not None:
        return found
    chain = _chain(
        "Мессенджер → SMS",
        [(channels[_MESSENGER], "delivered", WAIT), (channels[_SMS], "delivered", timedelta(minutes=2))],
    )
    template, _ = MessageTemplate.objects.get_or_create(
        name="Мангалы: скидка 15%",
        defaults={"text": "{name|Здравствуйте}, скидка 15% на мангалы до 12 мая! Отписка: СТОП"},
    )
    campaign = Campaign.objects.create(name=GARDEN, chain=chain, template=template)
    campaign.lists.add(people)
    return campaign


def _chain(name: str, steps: Sequence[tuple[Channel, str, timedelta]]) -> Chain:
    chain, made = Chain.objects.get_or_create(name=name)
    if made:
        for order, (channel, expect, wait) in enumerate(steps):
            ChainStep.objects.create(
                chain=chain,
                order=order,
                channel=channel,
                expect=expect,
                wait=wait,
                min_wait=min(wait, timedelta(minutes=1)),
            )
    return chain


def _drafts(channels: dict[str, Channel], garden: ContactList) -> None:
    """Things to look at and to play with: a reminder to launch, texts, tags, a bot with people in it."""
    regulars, made = ContactList.objects.get_or_create(name="Запись на завтра")
    if made:
        vip, _ = Tag.objects.get_or_create(name="VIP")
        chosen = list(garden.contacts.order_by("pk")[:40])
        ListMember.objects.bulk_create(
            ListMember(
                list=regulars,
                contact=one,
                variables={"time": f"{10 + index % 9}:00", **({"master": _NAMES[index % 20]} if index % 13 else {})},
            )
            for index, one in enumerate(chosen)
        )
        vip.contacts.add(*chosen[:8])
        ContactAddress.objects.bulk_create(
            ContactAddress(contact=one, channel_id=channels[_BOT].pk, value=str(500_000 + index))
            for index, one in enumerate(chosen[:25])
        )
    chain = _chain(
        "Telegram → мессенджер → SMS",
        [
            (channels[_BOT], "replied", timedelta(hours=1)),
            (channels[_MESSENGER], "delivered", timedelta(minutes=15)),
            (channels[_SMS], "delivered", timedelta(hours=2)),
        ],
    )
    reminder, made = MessageTemplate.objects.get_or_create(
        name="Напоминание о записи",
        defaults={
            "text": "{name|Здравствуйте}, ждём вас завтра в {time}. Ваш мастер: {master}. Придёте?",
            "button": "Приду",
        },
    )
    if made:
        TemplateVariant.objects.create(
            template=reminder, kind="sms", text="Завтра в {time} вас ждёт {master}. Сад на Ленина"
        )
    MessageTemplate.objects.get_or_create(
        name="Спасибо за покупку",
        defaults={"text": "{name|Здравствуйте}, спасибо за покупку! Как вам инструмент? Ответьте на это сообщение."},
    )
    campaign, made = Campaign.objects.get_or_create(
        name="Напоминание о записи на завтра",
        defaults={"chain": chain, "template": reminder, "purpose": Purpose.SERVICE.value, "per_minute": 60},
    )
    if made:
        campaign.lists.add(regulars)


# ---------------------------------------------------------------- the judge


def wait_and_judge(timeout_s: int, emulator_url: str) -> dict[str, Any]:
    """Wait for the garden campaign to finish, then compare our report with the article and with the emulator's journal.

    Returns {"ok": bool, figures ..., "wrong": [what differs]}. Raises Campaign.DoesNotExist before seed().
    """
    campaign = Campaign.objects.get(name=GARDEN)
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        campaign.refresh_from_db()
        if campaign.status in (CampaignStatus.FINISHED, CampaignStatus.CANCELLED):
            break
        time.sleep(1)
    report = compute_report(campaign)
    journal = _read_journal(emulator_url)
    figures = _figures(campaign, report, journal)
    expected = {
        "status": "finished",
        "planned": PEOPLE,
        "reached": PEOPLE,
        "by_messenger": BY_MESSENGER,
        "by_sms": PEOPLE - BY_MESSENGER,
        "cost": str(COST),
        "sms_alone": str(COST_OF_SMS_ALONE),
        "saved_percent": str(SAVED_PERCENT),
        "balanced": True,
        "unknown": 0,
        "doubles": 0,
        "provider_charged": str(COST),
        "messenger_requests": PEOPLE,
        "sms_requests": PEOPLE - BY_MESSENGER,
        "sent_twice": 0,
        "never_sent": 0,
    }
    wrong = [
        f"{name}: {figures[name]} instead of {wanted}" for name, wanted in expected.items() if figures[name] != wanted
    ]
    return {"ok": not wrong, **figures, "seconds": round(time.monotonic() - started), "wrong": wrong}


def _figures(campaign: Campaign, report: Report, journal: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sent = Counter((one["provider"], one["recipient"]) for one in journal if one["kind"] == "request")
    charged = sum((Decimal(one["amount"]) for one in journal if one["kind"] == "charge"), Decimal(0))
    by_wire = Counter(provider for provider, _recipient in sent.elements())
    everybody = {_phone(index).lstrip("+") for index in range(PEOPLE)}
    return {
        "status": str(campaign.status),
        "planned": report.planned,
        "reached": report.reached,
        "by_messenger": report.steps[0].reached if report.steps else 0,
        "by_sms": report.steps[1].reached if len(report.steps) > 1 else 0,
        "cost": str(report.as_json()["cost"]),
        "sms_alone": str(report.as_json()["alone_cost"]),
        "saved_percent": str(report.saved_percent),
        "balanced": report.balanced,
        "unknown": report.unknown,
        "doubles": report.doubles,
        "provider_charged": f"{charged:.2f}",
        "messenger_requests": by_wire["green"],
        "sms_requests": by_wire["smsc"],
        "sent_twice": sum(times > 1 for times in sent.values()),
        "never_sent": len(everybody - {recipient for _provider, recipient in sent}),
    }


def _read_journal(emulator_url: str) -> list[dict[str, Any]]:
    return [one for page in _journal_pages(emulator_url) for one in page]


def _journal_pages(emulator_url: str) -> Iterator[list[dict[str, Any]]]:
    since = 0
    while True:
        with urlopen(f"{emulator_url}/_emulator/journal?since={since}", timeout=20) as answer:  # noqa: S310 - our own
            page = json.load(answer)
        if not page["records"]:
            return
        yield page["records"]
        since = page["last"]
