"""The pages of real providers: every form renders from its Config, and where receipts go is said truly."""

import re

import pytest
from bs4 import BeautifulSoup
from django.urls import reverse

from channels.admin.form import PREFIX, config_fields
from channels.models import Channel
from channels.providers.registry import slugs
from channels.services.accounts import adapter_for, app_url, create_channel

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("slug", slugs())
def test_the_add_page_asks_for_every_field_of_the_config(admin_client, slug):
    page = BeautifulSoup(
        admin_client.get(f"{reverse('admin:channels_channel_add')}?provider={slug}").content, "html.parser"
    )
    assert {field.get("name") for field in page.select("input, select, textarea")} >= {
        PREFIX + one.name for one in config_fields(slug)
    }


@pytest.mark.parametrize(
    ("base", "words"),
    [("https://shop.example", "Nothing to set up"), ("http://localhost:8000", "public https address")],
)
def test_a_message_names_its_address_only_where_it_can_be_reached(admin_client, settings, base, words):
    settings.PUBLIC_BASE_URL = base
    channel = create_channel("sms_aero", "SMS Aero", {"email": "a@b.example", "api_key": "canary-key"})
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    page = admin_client.get(url, headers={"accept-language": "en"}).content.decode()
    assert words in page
    assert "canary-key" not in page
    assert channel.callback_secret not in page, "there is nothing to paste"
    assert bool(adapter_for(channel).callback_url) is base.startswith("https")


def refused(client, slug, name, value):
    """What the add page says about one field."""
    answer = client.post(
        f"{reverse('admin:channels_channel_add')}?provider={slug}",
        {PREFIX + name: value},
        headers={"accept-language": "en"},
    )
    assert answer.status_code == 200
    return " ".join(answer.context["adminform"].form.errors.get(PREFIX + name, []))


@pytest.mark.parametrize(
    ("slug", "name", "good", "bad", "words"),
    [
        ("telegram_bot", "token", "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "@salon_bot", "digits, a colon"),
        ("green_api_max", "id_instance", " 3100000001 ", "instance 3100", "Digits only"),
        ("vk", "group_id", "123", "club123", "Digits only"),
        ("sms_aero", "email", "a@shop.example", "a@shop", "not an e-mail"),
        ("smtp", "host", "smtp.почта.рф", "https://smtp.shop.example/", "name of a server"),
        ("smtp", "sender", "hello@shop.example", "hello", "not an e-mail"),
        ("web_push", "subject", "mailto:a@shop.example", "a@shop.example", "begins with mailto:"),
        ("avito", "user_id", "94235311", "my-shop", "Digits only"),
        ("own_http", "url", "https://gateway.example/api", "my.gateway/send", "whole address"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_in_words_before_the_provider_is_asked(
    admin_client, slug, name, good, bad, words
):
    said = refused(admin_client, slug, name, bad)
    assert words in said
    assert bad not in said
    assert words not in refused(admin_client, slug, name, good)


def test_what_a_field_may_be_is_well_formed_and_allows_its_own_default():
    shaped = [(slug, one) for slug in slugs() for one in config_fields(slug) if one.metadata.get("shape")]
    assert len(shaped) >= 10
    for slug, one in shaped:
        pattern = re.compile(one.metadata["shape"].pattern)
        if isinstance(one.default, str) and one.default:
            assert pattern.fullmatch(one.default), (slug, one.name)


def test_a_push_channel_makes_its_keys_once_and_says_where_apps_and_people_come(admin_client, settings):
    settings.PUBLIC_BASE_URL = "https://shop.example"
    add = f"{reverse('admin:channels_channel_add')}?provider=web_push"
    fields = {
        "name": "Браузер",
        "enabled": "on",
        "price": "0",
        "currency": "RUB",
        "charged_on": "accepted",
        "rate": "50",
        PREFIX + "title": "Салон",
        PREFIX + "subject": "mailto:a@shop.example",
        PREFIX + "hosts": "fcm.googleapis.com",
    }
    assert admin_client.post(add, fields).status_code == 302
    channel = Channel.objects.get()
    key = adapter_for(channel).public_key
    assert len(key) == 87
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    assert admin_client.post(url, {**fields, PREFIX + "title": "Другой"}).status_code == 302
    channel.refresh_from_db()
    assert adapter_for(channel).config.title == "Другой"
    assert adapter_for(channel).public_key == key, "with other keys everybody would have to subscribe anew"
    page = admin_client.get(url).content.decode()
    assert page.count(app_url(channel)) >= 3, "the page to subscribe on, the scripts, the door"
    assert adapter_for(channel).config.private_key not in page
    assert channel.callback_secret not in page
