"""Status moves: guarded, once, and explained in words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils.timezone import now

from campaigns.models import Campaign, CampaignPause, CampaignSpend, CampaignStatus
from campaigns.services import lifecycle


def _race(count: int, work: Callable[[], Any]) -> list[Any]:
    """Run `work` in so many threads with a connection each, all let go at the same instant."""
    gate = threading.Barrier(count)
    results: list[Any] = []

    def run() -> None:
        try:
            connection.ensure_connection()
            gate.wait(20)
            results.append(work())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == count
    return results


def _set(campaign: Campaign, status: str, **fields: Any) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(status=status, **fields)


@pytest.mark.django_db(transaction=True)
def test_twenty_launches_at_once_are_one_launch(draft: Campaign) -> None:
    moves = _race(20, lambda: lifecycle.launch(draft.pk))
    assert [move.done for move in moves].count(True) == 1
    late = next(move for move in moves if not move.done)
    assert "already" in late.message or "уже" in late.message
    draft.refresh_from_db()
    assert draft.status == CampaignStatus.LAUNCHING
    assert draft.launched_at is not None
    assert CampaignSpend.objects.filter(campaign=draft).count() == 1


@pytest.mark.django_db(transaction=True)
def test_pause_and_cancel_in_a_race_leave_one_story(draft: Campaign) -> None:
    _set(draft, CampaignStatus.RUNNING)
    moves = _race(12, lambda: lifecycle.pause(draft.pk))
    assert sum(bool(move) for move in moves) == 1
    assert CampaignPause.objects.filter(campaign=draft, ended_at=None).count() == 1
    resumed = _race(12, lambda: lifecycle.resume(draft.pk))
    assert sum(bool(move) for move in resumed) == 1
    pause = CampaignPause.objects.get(campaign=draft)
    assert pause.ended_at is not None
    assert pause.woken_at is None
    assert pause.started_at <= pause.ended_at


def test_a_start_in_the_future_is_a_schedule_and_starts_when_due(draft: Campaign) -> None:
    Campaign.objects.filter(pk=draft.pk).update(scheduled_at=now() + timedelta(hours=1))
    assert lifecycle.launch(draft.pk).status == CampaignStatus.SCHEDULED
    assert lifecycle.start_due() == []
    Campaign.objects.filter(pk=draft.pk).update(scheduled_at=now() - timedelta(seconds=1))
    assert lifecycle.start_due() == [draft.pk]
    assert lifecycle.start_due() == []
    draft.refresh_from_db()
    assert draft.status == CampaignStatus.LAUNCHING
    assert draft.launched_at is not None


def test_a_scheduled_campaign_can_become_a_draft_again(draft: Campaign) -> None:
    Campaign.objects.filter(pk=draft.pk).update(scheduled_at=now() + timedelta(hours=1))
    lifecycle.launch(draft.pk)
    assert lifecycle.unschedule(draft.pk)
    assert not lifecycle.unschedule(draft.pk)
    draft.refresh_from_db()
    assert draft.status == CampaignStatus.DRAFT


def test_R20_a_launch_paused_half_way_goes_on_being_launched(draft: Campaign) -> None:
    lifecycle.launch(draft.pk)
    assert lifecycle.pause(draft.pk)
    assert lifecycle.resume(draft.pk).status == CampaignStatus.LAUNCHING


def test_a_campaign_finishes_only_when_the_books_balance(draft: Campaign) -> None:
    _set(draft, CampaignStatus.RUNNING, planned=10)
    move = lifecycle.finish(draft.pk, {"reached": 7, "exhausted": 2})
    assert not move
    draft.refresh_from_db()
    assert draft.status == CampaignStatus.RUNNING
    assert lifecycle.say_reason(draft)
    assert lifecycle.finish(draft.pk, {"reached": 7, "exhausted": 2, "stopped": 1})
    draft.refresh_from_db()
    assert draft.status == CampaignStatus.FINISHED
    assert draft.finished_at is not None
    assert draft.status_reason == ""


@pytest.mark.parametrize("status", [CampaignStatus.SCHEDULED, *lifecycle.LIVE[1:]])
def test_everything_live_can_be_cancelled_once(draft: Campaign, status: CampaignStatus) -> None:
    _set(draft, status)
    if status == CampaignStatus.PAUSED:
        CampaignPause.objects.create(campaign=draft, started_at=now())
    assert lifecycle.cancel(draft.pk)
    again = lifecycle.cancel(draft.pk)
    assert not again
    assert again.message
    assert not CampaignPause.objects.filter(campaign=draft, ended_at=None).exists()


@pytest.mark.parametrize("move", [lifecycle.pause, lifecycle.resume, lifecycle.cancel, lifecycle.unschedule])
def test_a_draft_can_only_be_launched(draft: Campaign, move: Callable[[int], lifecycle.Move]) -> None:
    assert not move(draft.pk)
    draft.refresh_from_db()
    assert draft.status == CampaignStatus.DRAFT


def test_a_campaign_without_people_is_refused_with_the_place_to_mend(draft: Campaign) -> None:
    draft.lists.clear()
    move = lifecycle.launch(draft.pk)
    assert not move
    assert [one.mend.value for one in move.blockers] == ["campaigns_campaign"]
    assert move.blockers[0].text()


def test_an_unknown_variable_and_a_disabled_channel_forbid_the_launch(draft: Campaign) -> None:
    draft.template.text = "Здравствуйте, {nmae}"
    draft.template.save()
    channel = draft.chain.steps.first().channel
    channel.enabled = False
    channel.save()
    found = lifecycle.launch(draft.pk).blockers
    assert {one.mend.value for one in found} == {"templates_app_messagetemplate", "channels_channel"}
    assert "nmae" in " ".join(one.text() for one in found)
