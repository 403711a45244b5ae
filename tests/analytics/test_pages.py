"""The report as a page and as a file: the owner's figures, everybody behind them, nothing that breaks."""

from __future__ import annotations

import io
import re
import tracemalloc
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import override
from openpyxl import load_workbook

from analytics.exports import write_report
from analytics.presentation import present
from analytics.selectors import compute_report
from campaigns.models import Campaign, CampaignStatus
from contacts.models import Contact
from deliveries.models import Attempt, Delivery
from deliveries.selectors import Recipient
from deliveries.words import reason_label
from tests.analytics.garden import garden

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_cache() -> None:
    cache.clear()


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", BeautifulSoup(answer.content, "html.parser").get_text(" ", strip=True))


def url(name: str, campaign: Campaign) -> str:
    return reverse(f"admin:analytics_campaignreport_{name}", args=[campaign.pk])


def staff(*permissions: str) -> Client:
    user = User.objects.create_user(f"user{User.objects.count()}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def run_again(campaign: Campaign, **held: Any) -> None:
    """Make the campaign live, with the people of its second step waiting."""
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.RUNNING, finished_at=None)
    Delivery.objects.filter(outcome_step=1).update(
        state="waiting", outcome="", outcome_step=None, outcome_milestone="", outcome_reason="", finished_at=None,
        due_at=now() + timedelta(hours=3), wait_reason="quiet_hours", **held,
    )  # fmt: skip


def test_the_page_says_what_the_garden_shops_saved(admin_client: Client) -> None:
    told = text_of(admin_client.get(url("page", garden())))
    for figure in ("8 226,60 ₽", "10 094,40 ₽", "18,5 %", "1 867,80 ₽", "2 207,40 ₽", "6 019,20 ₽", "2 103 ="):
        assert figure in told, figure


def test_a_dearer_campaign_does_not_claim_to_save(admin_client: Client) -> None:
    told = text_of(admin_client.get(url("page", garden("accepted"))))
    assert "13,8 %" in told
    assert "-13,8" not in told
    assert "Сэкономлено" not in told


def test_a_live_campaign_says_what_is_held_and_reloads_only_its_figures(admin_client: Client) -> None:
    campaign = garden(people=10, by_messenger=4)
    run_again(campaign)
    page = admin_client.get(url("page", campaign))
    soup = BeautifulSoup(page.content, "html.parser")
    assert soup.select_one("[data-live]")["data-live"] == url("live", campaign)  # type: ignore[index]
    assert not soup.select("#content script:not([src])")
    part = admin_client.get(url("live", campaign))
    assert "X-Settled" not in part
    assert "<html" not in part.content.decode()
    told = text_of(part)
    with override("ru"):
        assert reason_label("quiet_hours") in told
    for verb in ("pause", "cancel"):
        assert reverse("admin:campaigns_campaign_move", args=[campaign.pk, verb]) in part.content.decode()
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.CANCELLED)
    assert "X-Settled" not in admin_client.get(url("live", campaign))
    Delivery.objects.exclude(state="final").update(
        state="final", outcome="stopped", outcome_reason="cancelled", due_at=None
    )
    cache.clear()
    assert admin_client.get(url("live", campaign))["X-Settled"] == "1"


def test_I26_books_that_do_not_balance_are_red(admin_client: Client) -> None:
    campaign = garden(people=10, by_messenger=4)
    page = admin_client.get(url("page", campaign))
    assert "cp-alarm" not in page.content.decode()
    Campaign.objects.filter(pk=campaign.pk).update(planned=11, status=CampaignStatus.RUNNING)
    cache.clear()
    assert "cp-alarm" in admin_client.get(url("page", campaign)).content.decode()


def test_doubles_and_unknown_lead_to_the_people(admin_client: Client) -> None:
    campaign = garden(people=10, by_messenger=4)
    one = Delivery.objects.order_by("pk")[0]
    Delivery.objects.filter(pk=one.pk).update(is_double=True, has_unknown=True)
    page = admin_client.get(url("page", campaign)).content.decode()
    for mark in ("double", "unknown"):
        assert f"?outcome={mark}#people" in page
        people = admin_client.get(url("page", campaign), {"outcome": mark}).context["people"]["rows"]
        assert [row["one"].delivery_id for row in people] == [one.pk]


def test_everybody_is_found_by_pages_filters_and_search(admin_client: Client) -> None:
    campaign = garden(people=120, by_messenger=30)
    seen: list[int] = []
    query = ""
    while True:
        people = admin_client.get(url("page", campaign) + query).context["people"]
        seen += [row["one"].delivery_id for row in people["rows"]]
        if not people["next"]:
            break
        query = people["next"].partition("#")[0]
    assert sorted(seen) == sorted(Delivery.objects.values_list("pk", flat=True))

    def count(**asked: str) -> int:
        return len(admin_client.get(url("page", campaign), asked).context["people"]["rows"])

    assert count(step="1") == 30
    assert count(who="8 (916) 000-00-07") == 1
    assert count(who="Имя119", step="2") == 1
    assert count(outcome="exhausted") == 0
    assert count(step="1", reason="not_delivered_in_time") == 50
    # Nonsense in the address asks for nothing.
    for asked in ({"step": "-1"}, {"step": "٣"}, {"outcome": "'"}, {"reason": "x"}, {"after": "c" + "9" * 30}):
        assert count(**asked) == 50, asked
    assert admin_client.get(url("page", campaign), {"who": "\x00"}).status_code == 400


@pytest.mark.parametrize("status", CampaignStatus)
def test_every_status_has_a_page(admin_client: Client, status: CampaignStatus) -> None:
    campaign = garden(people=2, by_messenger=1)
    Campaign.objects.filter(pk=campaign.pk).update(status=status, scheduled_at=now())
    assert admin_client.get(url("page", campaign)).status_code == 200
    assert admin_client.get(url("live", campaign)).status_code == 200


def test_before_the_plan_is_frozen_there_is_a_page_too(admin_client: Client) -> None:
    campaign = garden(people=2, by_messenger=1)
    Attempt.objects.all().delete()
    Delivery.objects.all().delete()
    campaign.plan.delete()
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.LAUNCHING, planned=0)
    assert "cp-alarm" not in admin_client.get(url("page", campaign)).content.decode()


def test_a_campaign_that_is_gone_is_said(admin_client: Client) -> None:
    for name, status in (("page", 200), ("export", 200), ("live", 410)):
        answer = admin_client.get(reverse(f"admin:analytics_campaignreport_{name}", args=[10**9]), follow=True)
        assert answer.status_code == status
    for address in ("changelist", "add"):
        answer = admin_client.get(reverse(f"admin:analytics_campaignreport_{address}"), follow=True)
        assert answer.status_code in (200, 403)
    assert (
        admin_client.get(reverse("admin:analytics_campaignreport_change", args=["_x"]), follow=True).status_code == 200
    )


def test_only_who_may_sees_figures_people_and_buttons() -> None:
    campaign = garden(people=2, by_messenger=1)
    run_again(campaign)
    phone = str(Contact.objects.order_by("pk")[0].phone)
    assert staff().get(url("page", campaign)).status_code == 403
    assert Client().get(url("page", campaign)).status_code == 302
    looks = staff("view_campaign")
    page = looks.get(url("page", campaign))
    assert page.status_code == 200
    assert phone not in page.content.decode()
    assert "/move/pause/" not in page.content.decode()
    assert looks.get(url("export", campaign)).status_code == 403
    reads = staff("view_campaign", "view_delivery", "change_campaign").get(url("page", campaign)).content.decode()
    assert phone in reads
    assert "/move/pause/" in reads


def test_three_people_cost_as_many_queries_as_one(admin_client: Client) -> None:
    campaign = garden(people=3, by_messenger=1)
    admin_client.get(url("page", campaign))
    with CaptureQueriesContext(connection) as three:
        admin_client.get(url("page", campaign))
    with CaptureQueriesContext(connection) as one:
        admin_client.get(url("page", campaign), {"who": "+79160000001"})
    assert len(three) == len(one) <= 14


# ---------------------------------------------------------------- the file


def sheets(client: Client, campaign: Campaign) -> Any:
    answer = client.get(url("export", campaign))
    assert answer.status_code == 200
    return load_workbook(io.BytesIO(b"".join(answer.streaming_content)))


def test_the_file_holds_the_figures_and_everybody(admin_client: Client) -> None:
    campaign = garden(people=12, by_messenger=5)
    evil = Contact.objects.order_by("pk")[3]
    Contact.objects.filter(pk=evil.pk).update(name='=HYPERLINK("http://evil","x")')
    book = sheets(admin_client, campaign)
    summary, people = book.worksheets
    figures = {row[0]: row[1] for row in summary.iter_rows(values_only=True) if row[0]}
    assert Decimal(str(5 * Decimal("2.60") + 7 * Decimal("4.80"))) in [
        Decimal(str(value)) for value in figures.values() if isinstance(value, (int, float))
    ]
    rows = list(people.iter_rows(min_row=2))
    assert len(rows) == 12
    assert all(row[0].data_type == "s" and row[0].value.startswith("+7916") for row in rows)
    assert {cell.data_type for row in rows for cell in row} <= {"s", "n", "d"}
    assert next(row[1] for row in rows if "HYPERLINK" in row[1].value).quotePrefix
    assert round(sum(row[7].value for row in rows), 2) == 46.6
    assert LogEntry.objects.filter(object_id=str(campaign.pk)).exists()


def test_the_file_takes_the_same_memory_for_ten_times_the_people() -> None:
    view = present(compute_report(garden(people=1, by_messenger=1)))

    def people(count: int) -> Any:
        for number in range(count):
            yield Recipient(
                number, f"+7916{number:07d}", f"Имя {number}", "reached", "final", 1, "SMS", "delivered",
                "milestone_met", Decimal("4.80"), 1, now(), now(), (),
            )  # fmt: skip

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            target = io.BytesIO()
            write_report(view, people(count), target)
            return tracemalloc.get_traced_memory()[1] - len(target.getvalue())
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(4000) < 2 * peak(400) + 1_000_000
