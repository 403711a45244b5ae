"""Approved templates in the owner's pages: the choice in a variant, the words that must agree, the copy to look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.test import Client
from django.urls import reverse
from django.utils import translation

from channels.models import ApprovedText, Channel
from channels.services.accounts import create_channel
from templates_app.models import MessageTemplate, TemplateVariant
from tests.channels.test_admin import errors_of, template_form

pytestmark = pytest.mark.django_db

CONFIG = {"phone_number_id": "1", "business_account_id": "2", "token": "t" * 20, "app_secret": "s" * 20}
KEY = "ru:visit_reminder"


@pytest.fixture
def owner(admin_client: Client) -> Any:
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    with translation.override("en"):
        yield admin_client


@pytest.fixture
def waba() -> Channel:
    channel = create_channel("whatsapp_cloud", "WABA", CONFIG)
    for name, state, unusable in (
        ("visit_reminder", "approved", ""),
        ("old", "paused", ""),
        ("pic", "approved", "No."),
    ):
        ApprovedText.objects.create(
            channel=channel,
            name=name,
            language="ru",
            category="utility",
            state=state,
            body="Здравствуйте, {{1}}!",
            ttl=timedelta(hours=1),
            unusable=unusable,
        )
    return channel


def save(owner: Client, **variant: str) -> Any:
    data = template_form({"kind": "whatsapp", "approved": KEY, **variant})
    return owner.post(reverse("admin:templates_app_messagetemplate_add"), data)


def test_only_what_can_be_sent_is_offered_and_brings_its_words(owner: Client, waba: Channel) -> None:
    page = owner.get(reverse("admin:templates_app_messagetemplate_add")).content
    options = BeautifulSoup(page, "html.parser").select("select[name=variants-__prefix__-approved] option")
    assert [one["value"] for one in options] == ["", KEY]
    assert options[1]["data-body"] == "Здравствуйте, {{1}}!"
    assert "visit_reminder (ru), utility" in options[1].text


def test_nobody_without_such_a_channel_sees_the_field(owner: Client) -> None:
    page = owner.get(reverse("admin:templates_app_messagetemplate_add")).content.decode()
    assert "-approved" not in page
    made = MessageTemplate.objects.create(name="Hello", text="Hello {name}")
    kept = TemplateVariant.objects.create(
        template=made, kind="whatsapp", text="x", approved_name="a", approved_language="ru"
    )
    data = template_form({"id": kept.pk, "kind": "whatsapp", "text": "Другой"}, **{"variants-INITIAL_FORMS": 1})
    answer = owner.post(reverse("admin:templates_app_messagetemplate_change", args=[made.pk]), data)
    assert answer.status_code == 302, errors_of(answer)
    kept.refresh_from_db()
    assert (kept.text, kept.approved_name) == ("Другой", "a"), "a channel that is away for a while loses no choice"


def test_the_words_must_be_the_approved_ones(owner: Client, waba: Channel) -> None:
    assert "differs" in errors_of(save(owner, text="Привет, {name}!"))
    assert "places for variables" in errors_of(save(owner, text="Здравствуйте!"))
    assert "single braces" in errors_of(save(owner, text="Здравствуйте, {{1}}!"))
    assert "differs" in errors_of(save(owner, text="")), "empty means the template's text, which must agree as well"
    assert not TemplateVariant.objects.exists()
    assert save(owner, text="Здравствуйте, {name|friend}!").status_code == 302
    variant = TemplateVariant.objects.get()
    assert (variant.approved_name, variant.approved_language) == ("visit_reminder", "ru")
    history = variant.history.first()
    assert history is not None
    assert history.approved_name == "visit_reminder"


def test_an_approved_template_is_whatsapp_s(owner: Client, waba: Channel) -> None:
    assert "WhatsApp only" in errors_of(save(owner, kind="sms", text="Здравствуйте, {name}!"))


def test_a_choice_that_is_not_approved_any_more_stays_visible(owner: Client, waba: Channel) -> None:
    save(owner, text="Здравствуйте, {name}!")
    ApprovedText.objects.filter(name="visit_reminder").update(state="disabled")
    made = MessageTemplate.objects.get()
    page = owner.get(reverse("admin:templates_app_messagetemplate_change", args=[made.pk])).content
    chosen = BeautifulSoup(page, "html.parser").select_one("select[name=variants-0-approved] option[selected]")
    assert chosen is not None
    assert chosen["value"] == KEY
    assert "not approved any more" in chosen.text


def test_the_copy_is_to_look_at(owner: Client, waba: Channel) -> None:
    page = owner.get(reverse("admin:channels_channel_change", args=[waba.pk])).content.decode()
    assert "Refresh templates" in page
    assert "have not been read yet" in page
    listed = owner.get(reverse("admin:channels_approvedtext_changelist")).content.decode()
    assert "visit_reminder" in listed
    assert "1 hour" in listed
    row = ApprovedText.objects.get(name="pic")
    shown = owner.get(reverse("admin:channels_approvedtext_change", args=[row.pk]))
    assert shown.status_code == 200
    assert owner.post(reverse("admin:channels_approvedtext_change", args=[row.pk]), {}).status_code == 403
