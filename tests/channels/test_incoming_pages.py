"""The channel's page says which way replies and receipts come, and lets the owner change it."""

from __future__ import annotations

from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from channels.models import Channel, ChannelPull
from channels.services.accounts import create_channel


def page(client: Client, channel: Channel, query: str = "") -> str:
    address = reverse("admin:channels_channel_change", args=[channel.pk])
    return client.get(f"{address}{query}", headers={"accept-language": "en"}).content.decode()


def test_a_bot_of_an_unreachable_server_says_that_it_asks_and_what_is_wrong(
    admin_client: Client, settings: LazySettings
) -> None:
    bot = create_channel("telegram_bot", "Бот", {"token": "123456789:AAtest"})
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:8000"
    text = page(admin_client, bot)
    assert "has no public https address, so it asks" in text
    assert "It has not asked yet." in text
    assert "Connect receipts" in text
    assert bot.callback_secret not in text, "an address nobody calls is not shown"
    ChannelPull.objects.create(channel=bot, trouble="MAX answers: %(detail)s.", trouble_params={"detail": "418"})
    assert "MAX answers: 418." in page(admin_client, bot)
    settings.PUBLIC_BASE_URL = "https://shop.example"
    text = page(admin_client, bot)
    assert "Connect receipts" in text
    assert "so it asks" not in text


def test_choosing_another_way_tells_the_provider_from_the_page_and_not_while_saving(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.PUBLIC_BASE_URL = "https://shop.example"
    bot = create_channel("telegram_bot", "Бот", {"token": "123456789:AAtest"})
    address = reverse("admin:channels_channel_change", args=[bot.pk])
    form = {"name": "Бот", "enabled": "on", "price": "0", "currency": "RUB", "charged_on": "accepted", "rate": "25"}
    assert admin_client.post(address, form).headers["Location"] == reverse("admin:channels_channel_changelist")
    answer = admin_client.post(address, {**form, "incoming": "pull"})
    assert answer.headers["Location"] == f"{address}?connect=1"
    text = page(admin_client, bot, "?connect=1")
    assert "as chosen under" in text
    assert 'receipts/" data-at-once' in text
