"""The pages of real providers: every form renders from its Config, and where receipts go is said truly."""

import pytest
from bs4 import BeautifulSoup
from django.urls import reverse

from channels.admin.form import PREFIX, config_fields
from channels.providers.registry import slugs
from channels.services.accounts import adapter_for, create_channel

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
