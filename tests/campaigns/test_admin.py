"""The campaign's pages from the draft to the copy, pressed as an owner presses them: twice, too late, out of order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import localtime, now
from django.utils.translation import override

from campaigns.admin.campaign import CampaignForm
from campaigns.models import Campaign, CampaignPause, CampaignStatus
from channels.models import Chain, ChainStep, Channel
from contacts.models import ContactList
from templates_app.models import MessageTemplate

pytestmark = pytest.mark.django_db


def url(name: str, *args: object) -> str:
    return reverse(f"admin:campaigns_campaign_{name}", args=args)


def said(answer: Any) -> str:
    """The messages of a page, and that it is a page."""
    assert answer.status_code == 200, answer
    return " ".join(str(one) for one in answer.context["messages"])


def form(chain: Chain, template: MessageTemplate, roll: ContactList, **changes: object) -> dict[str, object]:
    return {
        "name": "Осень",
        "purpose": "marketing",
        "template": template.pk,
        "chain": chain.pk,
        "lists": [roll.pk],
        "check_consent": "on",
        **changes,
    }


def status_of(campaign: Campaign) -> str:
    return Campaign.objects.values_list("status", flat=True).get(pk=campaign.pk)


def test_without_text_and_chain_the_owner_is_led_to_them(admin_client: Client) -> None:
    answer = admin_client.get(url("add"), follow=True)
    assert said(answer)
    page = answer.content.decode()
    assert reverse("admin:templates_app_messagetemplate_add") in page
    assert reverse("admin:channels_chain_changelist") in page


def test_made_checked_launched_paused_resumed_cancelled_copied(
    admin_client: Client, chain: Chain, template: MessageTemplate, people: Callable[..., ContactList]
) -> None:
    roll = people(10)
    answer = admin_client.post(url("add"), form(chain, template, roll), follow=True)
    campaign = Campaign.objects.get()
    assert answer.redirect_chain[-1][0] == url("preflight", campaign.pk), answer.context.get("errors")
    assert campaign.created_by is not None
    assert "10" in answer.content.decode()
    answer = admin_client.post(url("change", campaign.pk), form(chain, template, roll, name="Осень 2"), follow=True)
    assert "Осень 2" in answer.content.decode()
    admin_client.post(url("launch", campaign.pk), follow=True)
    assert status_of(campaign) == CampaignStatus.LAUNCHING
    for verb, status in (("pause", "paused"), ("resume", "launching"), ("cancel", "cancelled")):
        assert admin_client.get(url("move", campaign.pk, verb)).status_code == 200
        assert said(admin_client.post(url("move", campaign.pk, verb), follow=True))
        assert status_of(campaign) == status
    assert CampaignPause.objects.get().ended_at is not None
    answer = admin_client.post(url("copy", campaign.pk), follow=True)
    copied = Campaign.objects.exclude(pk=campaign.pk).get()
    assert copied.status == CampaignStatus.DRAFT
    assert list(copied.lists.all()) == [roll]
    assert answer.redirect_chain[-1][0] == url("change", copied.pk)


def test_I13_two_presses_of_launch_are_one_launch(admin_client: Client, draft: Campaign) -> None:
    first = said(admin_client.post(url("launch", draft.pk), follow=True))
    second = said(admin_client.post(url("launch", draft.pk), follow=True))
    with override("ru"):
        assert first != second
    assert status_of(draft) == CampaignStatus.LAUNCHING
    assert admin_client.get(url("launch", draft.pk)).status_code == 405


def test_a_scheduled_campaign_goes_back_to_draft(admin_client: Client, draft: Campaign) -> None:
    Campaign.objects.filter(pk=draft.pk).update(scheduled_at=now() + timedelta(days=1))
    admin_client.post(url("launch", draft.pk))
    assert status_of(draft) == CampaignStatus.SCHEDULED
    admin_client.post(url("move", draft.pk, "unschedule"))
    assert status_of(draft) == CampaignStatus.DRAFT


@pytest.mark.parametrize("missing", ["people", "steps", "consent"])
def test_what_forbids_a_launch_is_said_and_nothing_starts(
    admin_client: Client, draft: Campaign, people: Callable[..., ContactList], missing: str
) -> None:
    if missing == "people":
        draft.lists.clear()
    elif missing == "steps":
        ChainStep.objects.all().delete()
    else:
        draft.lists.set([people(3, consent="unknown", name="Без согласия")])
    assert admin_client.get(url("preflight", draft.pk)).context["blockers"]
    assert said(admin_client.post(url("launch", draft.pk), follow=True))
    assert status_of(draft) == CampaignStatus.DRAFT


def test_half_a_window_and_an_end_before_the_start_are_refused(
    admin_client: Client, chain: Chain, template: MessageTemplate, people: Callable[..., ContactList]
) -> None:
    roll = people(1)
    start = localtime() + timedelta(days=2)
    moments = {
        "scheduled_at_0": start.strftime("%d.%m.%Y"), "scheduled_at_1": "12:00:00",
        "not_after_0": start.strftime("%d.%m.%Y"), "not_after_1": "11:00:00",
    }  # fmt: skip
    for changes, field in (({"window_start": "09:00"}, "window_end"), (moments, "not_after")):
        answer = admin_client.post(url("add"), form(chain, template, roll, **changes))
        assert field in answer.context["adminform"].form.errors, answer
    assert not Campaign.objects.exists()


def test_who_saves_after_the_launch_is_told_and_nothing_is_changed(
    admin_client: Client, draft: Campaign, chain: Chain, template: MessageTemplate
) -> None:
    data = form(chain, template, draft.lists.get(), name="Поздно")
    admin_client.post(url("launch", draft.pk))
    assert said(admin_client.post(url("change", draft.pk), data, follow=True))
    draft.refresh_from_db()
    assert draft.name == "Мангалы"


def test_who_saves_in_the_same_instant_as_a_launch_loses(
    admin_client: Client, draft: Campaign, chain: Chain, template: MessageTemplate
) -> None:
    """The launch lands between the form's check and its saving: the row lock decides."""
    data = form(chain, template, draft.lists.get(), name="Поздно")

    class Racing(CampaignForm):
        def clean(self) -> dict[str, Any]:
            Campaign.objects.filter(pk=draft.pk).update(status=CampaignStatus.LAUNCHING)
            return super().clean()

    page = admin.site.get_model_admin(Campaign)
    usual, page.form = page.form, Racing
    try:
        assert said(admin_client.post(url("change", draft.pk), data, follow=True))
    finally:
        page.form = usual
    draft.refresh_from_db()
    assert draft.name == "Мангалы"


def test_a_campaign_deleted_meanwhile_is_said_on_every_button(admin_client: Client, draft: Campaign) -> None:
    pk = draft.pk
    assert admin_client.post(url("delete", pk), {"post": "yes"}).status_code == 302
    assert said(admin_client.get(url("change", pk), follow=True))
    assert said(admin_client.get(url("preflight", pk), follow=True))
    assert said(admin_client.get(url("test", pk), follow=True))
    for name, *rest in (("launch",), ("copy",), ("move", "pause"), ("move", "nonsense")):
        assert said(admin_client.post(url(name, pk, *rest), follow=True))


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "unschedule"])
def test_a_button_pressed_too_late_explains_itself(admin_client: Client, draft: Campaign, verb: str) -> None:
    for status in CampaignStatus:
        CampaignPause.objects.all().delete()
        Campaign.objects.filter(pk=draft.pk).update(status=status)
        assert said(admin_client.post(url("move", draft.pk, verb), follow=True)), status


def test_a_launched_campaign_is_read_and_never_deleted(admin_client: Client, draft: Campaign) -> None:
    Campaign.objects.filter(pk=draft.pk).update(status=CampaignStatus.RUNNING)
    page = admin_client.get(url("change", draft.pk)).content.decode()
    assert 'name="name"' not in page
    assert url("move", draft.pk, "pause") in page
    assert admin_client.post(url("delete", draft.pk), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [draft.pk], "post": "yes"}
    admin_client.post(url("changelist"), data)
    assert Campaign.objects.filter(pk=draft.pk).exists()


def test_a_test_that_cannot_leave_says_why(admin_client: Client, draft: Campaign) -> None:
    # Nothing may be called there: the outgoing seam refuses private addresses nobody has named.
    Channel.objects.update(base_url="http://127.0.0.1:9")
    assert said(admin_client.post(url("test", draft.pk), {}))
    sms = Channel.objects.get(kind="sms")
    answer = admin_client.post(url("test", draft.pk), {f"channel-{sms.pk}": "+79161234567"})
    assert [(one.ok, bool(one.message)) for one in answer.context["tried"]] == [(False, True)]
    assert "+79161234567" in admin_client.get(url("test", draft.pk)).content.decode()


def test_who_may_only_look_cannot_press(draft: Campaign) -> None:
    anna = User.objects.create_user("anna", password="x", is_staff=True)
    anna.user_permissions.set(Permission.objects.filter(codename="view_campaign"))
    client = Client()
    client.force_login(anna)
    assert client.get(url("changelist")).status_code == 200
    assert client.get(url("change", draft.pk)).status_code == 200
    for name, *rest in (("launch",), ("copy",), ("test",), ("move", "cancel")):
        assert client.post(url(name, draft.pk, *rest)).status_code == 403
    assert status_of(draft) == CampaignStatus.DRAFT
    anna.user_permissions.set(Permission.objects.filter(codename__in=["view_campaign", "change_campaign"]))
    assert client.post(url("copy", draft.pk)).status_code == 403
    assert client.post(url("launch", draft.pk)).status_code == 302


def test_three_campaigns_cost_as_many_queries_as_one(admin_client: Client, draft: Campaign) -> None:
    admin_client.get(url("changelist"))
    with CaptureQueriesContext(connection) as one:
        admin_client.get(url("changelist"))
    for _number in range(2):
        admin_client.post(url("copy", draft.pk))
    admin_client.get(url("changelist"))  # shows the messages of the copies
    with CaptureQueriesContext(connection) as three:
        admin_client.get(url("changelist"))
    assert len(three) == len(one) <= 10
