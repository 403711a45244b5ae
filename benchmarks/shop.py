"""A small installation to measure: people, a channel, a chain, a text, a campaign."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.db import connection
from django.utils.timezone import now

from campaigns.models import Campaign, CampaignStatus
from cascade.vocabulary import Purpose
from channels.models import Chain, ChainStep, Channel
from channels.services.accounts import create_channel
from deliveries.models import DeliveryPlan
from deliveries.services.plans import freeze
from templates_app.models import MessageTemplate

TEXT = "Здравствуйте, {name|друг}! Ждём вас завтра, ваша скидка 10 %."


def people(count: int) -> None:
    """`count` contacts with a phone, a name and consent, and fresh statistics."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_contact (phone, name, full_name, attributes, marketing_consent, suppressed, timezone,"
            " created_at, updated_at) SELECT '+79' || lpad(n::text, 9, '0'), 'Имя' || n, '', '{}', 'granted', 0, '',"
            " now(), now() FROM generate_series(1, %s) n",
            [count],
        )
        cursor.execute("VACUUM ANALYZE contacts_contact")


def messenger(url: str = "http://127.0.0.1:9", rate: float = 1_000_000.0) -> Channel:
    """A GREEN-API account at this address, one call per message, whose rate is no limit."""
    return create_channel(
        "green_api_whatsapp",
        f"Мессенджер {Channel.objects.count() + 1}",
        {"id_instance": "1101", "api_token": "bench-token"},
        base_url=url,
        price=Decimal("2.60"),
        charged_on="delivered",
        rate=rate,
    )


def chain(*channels: Channel) -> Chain:
    """A step for each channel, an hour's wait for "delivered" in each."""
    made = Chain.objects.create(name=f"Цепочка {Chain.objects.count() + 1}")
    for order, channel in enumerate(channels):
        ChainStep.objects.create(chain=made, order=order, channel=channel, expect="delivered", wait=timedelta(hours=1))
    return made


def text() -> MessageTemplate:
    """One text with one variable."""
    return MessageTemplate.objects.get_or_create(name="Привет", defaults={"text": TEXT})[0]


def plan_of() -> int:
    """A frozen plan outside any campaign; returns its id."""
    definition = freeze(chain(messenger()), text(), Purpose.MARKETING)
    return DeliveryPlan.objects.create(purpose=Purpose.MARKETING.value, definition=definition).pk


def campaign(of: Chain, says: MessageTemplate) -> Campaign:
    """A campaign to everybody, ready to be written down."""
    return Campaign.objects.create(
        name="Рассылка",
        chain=of,
        template=says,
        purpose=Purpose.MARKETING.value,
        everybody=True,
        status=CampaignStatus.LAUNCHING,
        launched_at=now(),
    )
