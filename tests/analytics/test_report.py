"""Figures of the report, to the kopeck."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics.models import CampaignReport
from analytics.selectors import Report, campaign_report, compute_report
from analytics.services import report_for_page
from campaigns.models import Campaign, CampaignStatus
from deliveries.models import Attempt, Delivery
from tests.analytics.garden import garden

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_cache() -> None:
    cache.clear()


def test_the_garden_shops_save_18_5_percent_when_delivery_is_charged() -> None:
    report = compute_report(garden())
    assert report.planned == report.reached == 2103
    assert report.balanced
    assert [step.reached for step in report.steps] == [849, 1254]
    assert [step.entered for step in report.steps] == [2103, 1254]
    assert [step.cost for step in report.steps] == [Decimal("2207.40"), Decimal("6019.20")]
    assert (report.cost, report.alone_cost) == (Decimal("8226.60"), Decimal("10094.40"))
    assert report.saved == Decimal("1867.80")
    assert report.saved_percent == Decimal("18.5")
    assert report.alone_channel == "SMS"


def test_the_same_campaign_loses_13_8_percent_when_each_attempt_is_charged() -> None:
    report = compute_report(garden("accepted"))
    assert (report.cost, report.alone_cost) == (Decimal("11487.00"), Decimal("10094.40"))
    assert report.saved == Decimal("-1392.60")
    assert report.saved_percent == Decimal("-13.8")


def test_failed_and_skipped_are_told_apart() -> None:
    campaign = garden(people=10, by_messenger=4)
    skipped = Delivery.objects.filter(outcome_step=1).order_by("pk")[:2]
    Attempt.objects.filter(delivery__in=list(skipped), step=0).delete()
    Delivery.objects.filter(pk__in=[one.pk for one in skipped]).update(trail="no_address")
    report = compute_report(campaign)
    first = report.steps[0]
    assert first.failed == {"not_delivered_in_time": 4}
    assert first.skipped == {"no_address": 2}
    assert first.entered == 8
    assert first.average_seconds == 4.0


def test_parts_really_sent_make_the_comparison() -> None:
    campaign = garden(people=10, by_messenger=4)
    Attempt.objects.filter(step=1).update(parts=2, price=Decimal("9.60"), cost=Decimal("9.60"))
    report = compute_report(campaign)
    assert report.alone_cost == 10 * 2 * Decimal("4.80")


def test_without_any_sms_the_frozen_text_is_counted() -> None:
    report = compute_report(garden(people=10, by_messenger=10))
    assert report.alone_cost == Decimal("48.00")
    assert report.cost == Decimal("26.00")


def test_suppressed_people_are_in_no_comparison() -> None:
    campaign = garden(people=10, by_messenger=4)
    one = Delivery.objects.order_by("pk").last()
    assert one is not None
    Attempt.objects.filter(delivery=one).delete()
    Delivery.objects.filter(pk=one.pk).update(
        outcome="suppressed", outcome_reason="no_consent", outcome_step=None, trail=""
    )
    report = compute_report(campaign)
    assert report.alone_cost == 9 * Decimal("4.80")
    assert report.outcomes == {"reached": 9, "suppressed": 1}
    assert report.reasons["suppressed"] == {"no_consent": 1}
    assert report.balanced


def test_doubles_show_both_costs() -> None:
    campaign = garden(people=10, by_messenger=4)
    double = Delivery.objects.filter(outcome_step=1).order_by("pk")[:1].get()
    Attempt.objects.filter(delivery=double, step=0).update(cost=Decimal("2.60"))
    Delivery.objects.filter(pk=double.pk).update(is_double=True, outcome_step=0)
    report = compute_report(campaign)
    assert report.doubles == 1
    assert report.doubles_cost == Decimal("7.40")
    assert report.doubles_waste == Decimal("4.80")


def test_I26_books_that_do_not_balance_are_seen() -> None:
    campaign = garden(people=10, by_messenger=4)
    Campaign.objects.filter(pk=campaign.pk).update(planned=11)
    assert not compute_report(Campaign.objects.get(pk=campaign.pk)).balanced


def test_what_is_open_says_why() -> None:
    campaign = garden(people=10, by_messenger=4)
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.RUNNING)
    Delivery.objects.filter(outcome_step=1).update(
        state="waiting", outcome="", outcome_step=None, outcome_reason="", due_at=campaign.created_at,
        wait_reason="quiet_hours", finished_at=None,
    )  # fmt: skip
    report = compute_report(Campaign.objects.get(pk=campaign.pk))
    assert report.open == 6
    assert report.balanced
    assert not report.over
    assert [(hold.reason, hold.step, hold.people) for hold in report.holds] == [("quiet_hours", 2, 6)]
    assert report.steps[1].waiting == 6


def test_a_finished_report_is_stored_once_and_read_back_the_same() -> None:
    campaign = garden(people=10, by_messenger=4)
    first = report_for_page(campaign.pk)
    assert CampaignReport.objects.count() == 1
    cache.clear()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        again = campaign_report(campaign.pk)
    assert len(queries) == 2
    assert again == first
    assert Report.from_json(first.as_json()) == first


def test_a_live_report_is_computed_once_for_many_readers() -> None:
    campaign = garden(people=10, by_messenger=4)
    Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.RUNNING)
    campaign_report(campaign.pk)
    with CaptureQueriesContext(connection) as queries:
        campaign_report(campaign.pk)
    assert len(queries) == 1
