"""One object of every kind an owner can meet, in Russian, for tests that open everything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.urls import reverse
from django.utils.timezone import now
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from campaigns.models import Campaign, CampaignStatus, FrequencyCap, QuietHours
from channels.models import ApprovedText, Chain, Channel
from contacts.models import (
    Branch,
    Contact,
    ContactAddress,
    ContactList,
    ImportJob,
    ImportStatus,
    ListMember,
    Reachability,
    SuppressionScope,
    Tag,
)
from contacts.services import consents, suppressions
from deliveries.models import (
    Attempt,
    CodeRules,
    Delivery,
    Heartbeat,
    InboundMessage,
    PersonPause,
    Receipt,
    TimelineEvent,
)
from deliveries.schedule import ensure_ticks
from deliveries.services import codes
from tests.analytics.garden import garden


def make_world() -> Campaign:
    """Fill the database; returns the finished campaign the rest hangs on."""
    campaign = garden(people=4, by_messenger=2)
    Campaign.objects.filter(pk=campaign.pk).update(launched_at=now())
    _people(campaign)
    _campaigns(campaign)
    _deliveries()
    _service()
    return campaign


def _people(campaign: Campaign) -> None:
    branch = Branch.objects.create(name="Центр", timezone="Asia/Novosibirsk")
    tag = Tag.objects.create(name="Постоянные")
    roll = ContactList.objects.create(name="Осенний список")
    for contact in Contact.objects.all():
        ListMember.objects.create(list=roll, contact=contact, variables={"заказ": "17"})
    anna = Contact.objects.order_by("pk")[0]
    anna.tags.add(tag)
    Contact.objects.filter(pk=anna.pk).update(branch=branch, attributes={"мастер": "Ольга"})
    consents.record(anna.pk, granted=True, source="анкета", evidence="№ 5")
    suppressions.suppress("89031112233", SuppressionScope.ALL, "просила", "")
    messenger = Channel.objects.get(kind="whatsapp")
    ContactAddress.objects.create(contact=anna, channel_id=messenger.pk, value="100200300")
    ApprovedText.objects.create(
        channel=messenger,
        name="visit_reminder",
        language="ru",
        category="utility",
        state="rejected",
        detail="ABUSIVE_CONTENT",
        body="Здравствуйте, {{1}}!",
        ttl=timedelta(hours=1),
        unusable="It has no text.",
    )
    Reachability.objects.create(
        contact=anna,
        channel_id=messenger.pk,
        address=anna.phone,
        state="blocked",
        until=now() + timedelta(days=9),
        source="send",
    )
    # A checked one has its rows in a table of their own: tests/contacts walks that page.
    for status in set(ImportStatus) - {ImportStatus.CHECKED}:
        ImportJob.objects.create(
            original_name=f"{status.label}.csv",
            stored_name=f"{status.value}.csv",
            kind="csv",
            status=status,
            target=roll,
        )
    campaign.lists.add(roll)
    campaign.tags.add(tag)


def _campaigns(campaign: Campaign) -> None:
    for status in CampaignStatus:
        if status == CampaignStatus.FINISHED:
            continue
        Campaign.objects.create(
            name=f"Рассылка: {status.label}", chain=campaign.chain, template=campaign.template, everybody=True,
            status=status, scheduled_at=now() + timedelta(days=1) if status == CampaignStatus.SCHEDULED else None,
            status_reason="budget" if status == CampaignStatus.PAUSED else "",
        )  # fmt: skip
    QuietHours.objects.get_or_create(purpose="marketing", kind="sms")
    FrequencyCap.objects.get_or_create(days=30)


def _deliveries() -> None:
    first, second, third, _fourth = Delivery.objects.order_by("pk")
    for reason, kind in (("not_delivered_in_time", "left"), ("quiet_hours", "waiting"), ("milestone_met", "finished")):
        TimelineEvent.objects.create(
            delivery=third, at=now(), kind=kind, step=0, reason=reason, params={"until": now().isoformat()}
        )
    Delivery.objects.filter(pk=first.pk).update(is_double=True, variables={"заказ": "17"})
    Delivery.objects.filter(pk=second.pk).update(
        has_unknown=True, outcome="exhausted", outcome_reason="all_steps_tried", outcome_step=None
    )
    Attempt.objects.filter(delivery=second).update(state="unknown", failure="outcome_unknown", failed_at=now())
    sms, messenger = Channel.objects.get(kind="sms"), Channel.objects.get(kind="whatsapp")
    for number, state in enumerate(Receipt.State):
        Receipt.objects.create(
            channel=sms, dedup_key=bytes([number + 1]) * 32, method="POST", body=b"{}", state=state, due_at=now(),
            note="its message is not known yet" if state == "parked" else "",
        )  # fmt: skip
    attempt = Attempt.objects.filter(delivery=first).first()
    InboundMessage.objects.create(
        channel=messenger, event_key="1", address="79160000000", contact=first.contact, attempt=attempt, text="Приду",
        received_at=now(),
    )  # fmt: skip
    InboundMessage.objects.create(
        channel=messenger, event_key="2", address="79990001122", payload="x", received_at=now()
    )
    rules = CodeRules.objects.create(
        name="Вход", slug="v1", chain=Chain.objects.first(), text="Код: {code}", per_phone=1
    )
    assert isinstance(codes.issue("+79160000001", rules.slug), codes.Issued)
    PersonPause.objects.create(
        contact=first.contact, message=InboundMessage.objects.first(), began_at=now(), ends_at=now() + timedelta(days=7)
    )
    Heartbeat.objects.create(name="send", at=now() - timedelta(minutes=9))


def _service() -> None:
    Group.objects.create(name="Менеджеры")
    User.objects.create_user("менеджер", password="x")
    ensure_ticks()
    clocked = ClockedSchedule.objects.create(clocked_time=now())
    crontab = CrontabSchedule.objects.create()
    SolarSchedule.objects.create(event="sunrise", latitude=55, longitude=37)
    PeriodicTask.objects.create(name="раз", task="deliveries.send", clocked=clocked, one_off=True)
    PeriodicTask.objects.create(name="по часам", task="deliveries.send", crontab=crontab)
    assert IntervalSchedule.objects.exists()
    common: dict[str, Any] = {"username": "анна", "ip_address": "127.0.0.1", "path_info": "/", "user_agent": "-"}
    AccessAttempt.objects.create(failures_since_start=3, **common)
    AccessLog.objects.create(**common)
    AccessFailureLog.objects.create(**common)


def one_of(model: type[Model]) -> list[Any]:
    """Objects of a model to open: all where they differ by state, else one."""
    many = model in (Campaign, ImportJob, Receipt, InboundMessage, Delivery)
    return list(model._default_manager.order_by("pk")[: 10 if many else 1])


def admin_pages() -> list[str]:
    """Address of every page of every registered model: list, form, and each object's pages."""
    found = [reverse("admin:index"), reverse("home_part"), reverse("admin:password_change")]
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found += [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
        for one in one_of(model):
            found += [reverse(f"{name}_{page}", args=[one.pk]) for page in ("change", "history", "delete")]
        found += list(_own_pages(model_admin, model))
    return list(dict.fromkeys(found))


#: What a page of our own takes besides the id.
_WORDS = {"verb": ("pause", "resume", "cancel", "unschedule", "nonsense"), "kind": ("csv", "xlsx"), "step": ("run",)}


def _own_pages(model_admin: Any, model: type[Model]) -> list[str]:
    """Addresses of the pages a ModelAdmin adds to Django's, for each object (GET)."""
    usual = ("_changelist", "_add", "_change", "_delete", "_history", "_autocomplete")
    found = []
    for pattern in model_admin.get_urls():
        if not pattern.name or pattern.name.endswith(usual):
            continue
        names = list(pattern.pattern.converters) or [
            part for part in ("object_id",) if f"<path:{part}>" in str(pattern.pattern)
        ]
        objects = one_of(_subject(model)) if names else [None]
        for one in objects:
            choices: list[dict[str, Any]] = [{}]
            for name in names:
                values = _WORDS.get(name, (one.pk if one is not None else 0,))
                choices = [{**chosen, name: value} for chosen in choices for value in values]
            found += [reverse(f"admin:{pattern.name}", kwargs=chosen) for chosen in choices]
    return found


def _subject(model: type[Model]) -> type[Model]:
    """Whose ids a page takes: reports are addressed by their campaign."""
    return apps.get_model("campaigns", "Campaign") if model._meta.model_name == "campaignreport" else model
