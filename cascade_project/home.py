"""The first page: what to do next, what runs, what is in trouble, what happened today.

The page itself asks only yes-or-no questions and for a handful of rows, so it opens at once with any number of contacts.
Figures that have to be counted come in a part of their own (home_part), which the page loads and keeps fresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from analytics.presentation import ReportView, present
from analytics.services import report_for_page
from analytics.today import today
from campaigns.models import Campaign, CampaignStatus
from campaigns.money import say_money
from campaigns.services.lifecycle import LIVE, say_reason
from channels.models import Chain, Channel, ChannelState
from channels.services.health import advice
from contacts.models import Contact, ImportJob
from deliveries.models import PersonPause, Receipt
from deliveries.selectors import count_tasks, pulse, unknown_outcomes
from templates_app.models import MessageTemplate

#: Milliseconds between two looks at what runs.
EVERY = 4000
_RUNNING_SHOWN = 5
_ENDED_SHOWN = 3
_IMPORTS_SHOWN = 5
#: Counting further says nothing more: “more than a thousand”.
_UNKNOWN_COUNTED = 1000


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's callback for the first page."""
    user = request.user
    steps = list(_first_steps(request))
    return context | {
        "title": _("Home"),
        "first_steps": steps if steps and not all(step["done"] for step in steps) else [],
        "troubles": list(_troubles(request)),
        "imports": _imports() if user.has_perm("contacts.view_importjob") else [],
        "desk": _desk(request),
        "sees_campaigns": user.has_perm("campaigns.view_campaign"),
        "sees_nothing": not context.get("app_list"),
        "part_url": reverse("home_part"),
        "every": EVERY,
    }


def _first_steps(request: HttpRequest) -> Iterator[dict[str, Any]]:
    """From an empty installation to the first message, in the order that works; only steps this person may take."""
    launched = Campaign.objects.exclude(status__in=(CampaignStatus.DRAFT, CampaignStatus.SCHEDULED))
    steps = (
        ("channels.add_channel", Channel.objects, _("Connect a channel"),
         _("An SMS account, a Telegram bot, WhatsApp or e-mail: whatever you already have."),
         "channels_channel_add"),
        ("channels.add_chain", Chain.objects, _("Put a chain together"),
         _("Which channel first, how long to wait, which one if it does not reach."), "channels_chain_changelist"),
        ("templates_app.add_messagetemplate", MessageTemplate.objects, _("Write a text"),
         _("With the name and your own words; you see how many SMS it makes."), "templates_app_messagetemplate_add"),
        ("contacts.add_importjob", Contact.objects, _("Upload your clients"),
         _("A table from Excel or your CRM as it is; nothing is saved before you have looked."),
         "contacts_importjob_add"),
        ("campaigns.add_campaign", launched, _("Launch a campaign"),
         _("First a test to yourself, then a look at people and money, then the button."), "campaigns_campaign_add"),
    )  # fmt: skip
    for permission, rows, title, about, name in steps:
        if request.user.has_perm(permission):
            yield {"done": rows.exists(), "title": title, "about": about, "url": reverse(f"admin:{name}")}


def _troubles(request: HttpRequest) -> Iterator[dict[str, Any]]:
    """What stands in the way of messages now, each with where to mend it."""
    user = request.user
    found = pulse()
    if not found.alive:
        text = (
            _("The sending processes have never run here. Start them: without them nothing leaves.")
            if found.last is None
            else ngettext(
                "The sending processes have been silent for %(count)s minute. Nothing leaves until they run.",
                "The sending processes have been silent for %(count)s minutes. Nothing leaves until they run.",
                found.silent_minutes,
            )
            % {"count": found.silent_minutes}
        )
        yield {"text": text, "todo": _("Tell whoever looks after this server."), "url": "", "bad": True}
    if user.has_perm("channels.view_channel"):
        for state in ChannelState.objects.filter(breaker=ChannelState.Breaker.OPEN).select_related("channel")[:10]:
            said = advice(state)
            yield {
                "text": f"{state.channel}: {_(said.what) if said else ''}",
                "todo": _(said.todo) if said else "",
                "url": reverse("admin:channels_channel_change", args=[state.channel_id]),
                "bad": True,
            }
    if user.has_perm("deliveries.view_receipt") and Receipt.objects.filter(state="quarantined").exists():
        yield {
            "text": _("A provider sent reports that cannot be read."),
            "todo": "",
            "url": f"{reverse('admin:deliveries_receipt_changelist')}?state__exact=quarantined",
            "bad": False,
        }
    if user.has_perm("deliveries.view_personpause"):
        doubtful = PersonPause.objects.filter(decided_at=None)[:_UNKNOWN_COUNTED].count()
        if doubtful:
            yield {
                "text": ngettext(
                    "%(count)s answer may be a refusal: advertising to this person stands still until you have read it.",
                    "%(count)s answers may be refusals: advertising to these people stands still until you have read them.",
                    doubtful,
                )
                % {"count": doubtful},
                "todo": "",
                "url": f"{reverse('admin:deliveries_personpause_changelist')}?decided=no",
                "bad": False,
            }
    if user.has_perm("deliveries.view_delivery"):
        unknown = unknown_outcomes()[:_UNKNOWN_COUNTED].count()
        if unknown:
            yield {
                "text": ngettext(
                    "Nobody knows whether %(count)s message arrived.",
                    "Nobody knows whether %(count)s messages arrived.",
                    unknown,
                )
                % {"count": f"{unknown}+" if unknown == _UNKNOWN_COUNTED else unknown},
                "todo": "",
                "url": f"{reverse('admin:deliveries_delivery_changelist')}?look=unknown",
                "bad": False,
            }


def _desk(request: HttpRequest) -> dict[str, Any] | None:
    """The calls that wait for this person or for anybody; None where nobody has any to make."""
    if not request.user.has_perm("deliveries.view_operatortask"):
        return None
    counted = count_tasks(request.user.pk)
    return {**counted, "url": reverse("admin:deliveries_operatortask_changelist")} if counted["open"] else None


def _imports() -> list[ImportJob]:
    return list(ImportJob.objects.select_related("target").order_by("-pk")[:_IMPORTS_SHOWN])


@never_cache
@require_GET
def home_part(request: HttpRequest) -> HttpResponse:
    """What runs and what went out today; a part of the first page. 403 for whoever may not see campaigns."""
    user = request.user
    if not (user.is_active and user.is_staff and user.has_perm("campaigns.view_campaign")):
        return HttpResponse(status=403)
    figures = today()
    return render(
        request,
        "home/part.html",
        {
            "running": [one for one in map(_card, _running()) if one],
            "ended": [one for one in map(_card, _ended()) if one],
            "today": figures,
            "today_costs": [say_money(cost, currency) for currency, cost in figures.costs] or [say_money(Decimal(0))],
        },
    )


def _running() -> list[Campaign]:
    return list(Campaign.objects.filter(status__in=LIVE).order_by("-launched_at", "-pk")[:_RUNNING_SHOWN])


def _ended() -> list[Campaign]:
    ended = Campaign.objects.filter(status__in=(CampaignStatus.FINISHED, CampaignStatus.CANCELLED))
    return list(ended.exclude(launched_at=None).order_by("-pk")[:_ENDED_SHOWN])


def _card(campaign: Campaign) -> dict[str, Any] | None:
    """One campaign with its progress; None when it has just been deleted."""
    try:
        view: ReportView = present(report_for_page(campaign.pk))
    except Campaign.DoesNotExist:
        return None
    url = reverse("admin:analytics_campaignreport_page", args=[campaign.pk])
    return {"campaign": campaign, "view": view, "report": view.report, "url": url, "reason": say_reason(campaign)}
