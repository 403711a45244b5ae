"""The first page and the sidebar: what to do next, what runs, what is in trouble; quick with a million contacts."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import Permission, User
from django.contrib.staticfiles.finders import find
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from campaigns.models import Campaign, CampaignStatus
from channels.models import Channel, ChannelState
from contacts.models import ImportJob
from deliveries.models import Attempt, Delivery, Heartbeat, Receipt
from tests.analytics.garden import garden

pytestmark = pytest.mark.django_db
HOME = "/admin/"


@pytest.fixture(autouse=True)
def _no_cache() -> None:
    cache.clear()


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", BeautifulSoup(answer.content, "html.parser").get_text(" ", strip=True))


def staff(*permissions: str) -> Client:
    user = User.objects.create_user(f"user{User.objects.count()}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def entries(client: Client, url: str = HOME) -> dict[str, bool]:
    """Addresses of the sidebar with whether they are lit."""
    sections = client.get(url).context["sidebar_navigation"]
    return {item["link"]: item["active"] for section in sections for item in section["items"]}


def test_an_empty_installation_says_how_to_begin(admin_client: Client) -> None:
    steps = admin_client.get(HOME).context["first_steps"]
    assert [step["done"] for step in steps] == [False] * 5
    for step in steps:
        assert admin_client.get(step["url"], follow=True).status_code == 200


def test_the_ticks_come_one_by_one_and_the_list_goes_when_all_is_done(admin_client: Client) -> None:
    campaign = garden(people=1, by_messenger=1)
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.DRAFT)
    assert [step["done"] for step in admin_client.get(HOME).context["first_steps"]] == [True] * 4 + [False]
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.RUNNING)
    assert admin_client.get(HOME).context["first_steps"] == []


def test_what_is_in_trouble_comes_first(admin_client: Client) -> None:
    garden(people=2, by_messenger=1)
    Heartbeat.objects.create(name="send", at=now())
    assert admin_client.get(HOME).context["troubles"] == []
    sms = Channel.objects.get(kind="sms")
    ChannelState.objects.filter(channel=sms).update(breaker="open", trouble="balance", opened_at=now())
    Heartbeat.objects.update(at=now() - timedelta(minutes=9))
    Receipt.objects.create(channel=sms, dedup_key=b"1" * 32, method="POST", body=b"{", state="quarantined")
    Delivery.objects.filter(outcome_step=1).update(has_unknown=True, outcome="exhausted")
    page = admin_client.get(HOME)
    troubles = page.context["troubles"]
    assert len(troubles) == 4
    for one in troubles:
        assert one["text"]
        if one["url"]:
            assert admin_client.get(one["url"]).status_code == 200


def test_the_part_shows_progress_money_and_today(admin_client: Client) -> None:
    campaign = garden(people=10, by_messenger=4)
    Attempt.objects.update(called_at=now())
    Campaign.objects.filter(pk=campaign.pk).update(launched_at=now())
    told = text_of(admin_client.get(reverse("home_part")))
    assert "Садовые магазины" in told
    assert "39,20 ₽" in told
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.RUNNING)
    page = admin_client.get(reverse("home_part")).content.decode()
    assert reverse("admin:analytics_campaignreport_page", args=[campaign.pk]) in page
    assert "cp-bar" in page
    Attempt.objects.update(called_at=now() - timedelta(days=2))
    cache.clear()
    assert admin_client.get(reverse("home_part")).context["today"].sent == 0


def test_nothing_on_the_first_page_counts_contacts_or_deliveries(admin_client: Client) -> None:
    garden(people=3, by_messenger=1)
    ImportJob.objects.create(original_name="список.csv", stored_name="x", kind="csv")
    admin_client.get(HOME)
    with CaptureQueriesContext(connection) as queries:
        told = text_of(admin_client.get(HOME))
    assert "список.csv" in told
    assert len(queries) <= 20
    counting = [one["sql"] for one in queries if "COUNT(" in one["sql"]]
    # What is counted has a partial index of its own, and an end.
    few = ("has_unknown", """"state" = 'open'""", '"decided_at" IS NULL')
    assert all(any(mark in sql for mark in few) and "LIMIT" in sql for sql in counting), counting


def test_whoever_may_nothing_is_told_so_and_sees_nothing() -> None:
    garden(people=1, by_messenger=1)
    nobody = staff()
    page = nobody.get(HOME)
    assert page.status_code == 200
    assert page.context["sees_nothing"]
    assert "Садовые" not in page.content.decode()
    assert list(entries(nobody)) == [HOME]
    assert nobody.get(reverse("home_part")).status_code == 403
    assert Client().get(reverse("home_part")).status_code == 403


def test_the_sidebar_holds_every_list_the_owner_may_see_and_lights_one(admin_client: Client) -> None:
    found = entries(admin_client)
    for link in found:
        if link == HOME:
            continue
        assert admin_client.get(link).status_code == 200, link
        assert [one for one, lit in entries(admin_client, link).items() if lit] == [link]
    campaign = garden(people=1, by_messenger=1)
    report = reverse("admin:analytics_campaignreport_page", args=[campaign.pk])
    assert entries(admin_client, report)[reverse("admin:campaigns_campaign_changelist")]
    assert list(entries(staff("view_contact"))) == [HOME, reverse("admin:contacts_contact_changelist")]


def test_whoever_opens_the_login_by_itself_lands_on_the_first_page(client: Client) -> None:
    User.objects.create_user("olga", password="long enough", is_staff=True)
    answer = client.post("/admin/login/", {"username": "olga", "password": "long enough"})
    assert answer.url == HOME


def test_the_icon_of_the_tab_is_there(admin_client: Client) -> None:
    icon = BeautifulSoup(admin_client.get(HOME).content, "html.parser").select_one("link[rel=icon]")
    assert icon is not None
    assert find(str(icon["href"]).removeprefix("/static/"))
