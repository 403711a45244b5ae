"""The report of a campaign as a page: live while it runs, with everybody in it, and as a file."""

from __future__ import annotations

import tempfile
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from unfold.admin import ModelAdmin

from analytics import exports
from analytics.models import CampaignReport
from analytics.presentation import OUTCOME_COLOURS, outcome_label, present
from analytics.services import report_for_page
from campaigns.admin.campaign import buttons_for
from campaigns.models import Campaign, CampaignStatus
from campaigns.services.lifecycle import say_reason
from cascade.vocabulary import Outcome
from deliveries.models import OutcomeChoices
from deliveries.selectors import Recipient, Wanted, recipients, recipients_page
from deliveries.words import REASON_LABELS, milestone_label, reason_label

#: How often the page of a live campaign asks again, in milliseconds.
EVERY = 2500
_PAGE = 50


@admin.register(CampaignReport)
class CampaignReportAdmin(ModelAdmin):  # type: ignore[misc]
    """Stored figures are no objects to an owner: every address leads to the page of the campaign's report."""

    class Media:
        css = {"all": ("campaigns/pages.css",)}
        js = ("cascade/live.js",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Not a section of its own: the report is reached from its campaign."""
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("campaigns.view_campaign"))

    def get_urls(self) -> list[URLPattern]:
        def own(route: str, view: Any, name: str) -> URLPattern:
            wrapped = self.admin_site.admin_view(never_cache(view))
            return path(f"<int:pk>/{route}", wrapped, name=f"analytics_campaignreport_{name}")

        return [
            own("page/", self.report_page, "page"),
            own("live/", self.live_part, "live"),
            own("export.xlsx", self.export, "export"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_changelist"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not object_id.isascii() or not object_id.isdigit():
            return self._gone(request)
        return HttpResponseRedirect(reverse("admin:analytics_campaignreport_page", args=[object_id]))

    # ------------------------------------------------------------ pages

    def report_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Figures (kept fresh by live.js) and the people behind them."""
        context = self._figures(request, pk)
        if context is None:
            return self._gone(request)
        campaign = context["campaign"]
        context |= {
            **self.admin_site.each_context(request),
            "opts": Campaign._meta,  # noqa: SLF001 - Django's documented name
            "title": _("Report: %(campaign)s") % {"campaign": campaign.name},
            "media": self.media,
            "every": EVERY,
            "live_url": reverse("admin:analytics_campaignreport_live", args=[pk]),
        }
        if request.user.has_perm("deliveries.view_delivery"):
            context["people"] = _people(request, campaign)
        return TemplateResponse(request, "analytics/admin/report.html", context)

    def live_part(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Only the figures, for the page that shows them already; 410 when the campaign is gone."""
        context = self._figures(request, pk)
        if context is None:
            return HttpResponse(_("There is no such campaign any more."), status=410)
        answer = TemplateResponse(request, "analytics/admin/figures.html", context)
        if not context["live"]:
            # Nothing will change by itself any more: the page may stop asking.
            answer["X-Settled"] = "1"
        return answer

    def export(self, request: HttpRequest, pk: int) -> Any:
        """Figures and everybody as XLSX, written to a temporary file and sent from there."""
        campaign = self._campaign(request, pk)
        if not request.user.has_perm("deliveries.view_delivery"):
            raise PermissionDenied
        if campaign is None:
            return self._gone(request)
        file = tempfile.TemporaryFile()  # noqa: SIM115 - FileResponse closes it
        exports.write_report(present(report_for_page(pk)), recipients(pk), file)
        file.seek(0)
        # Phones leave the house: who took them is written down.
        self.log_change(request, campaign, _("Recipients exported."))
        name = slugify(campaign.name, allow_unicode=True)[:60] or "campaign"
        return FileResponse(file, as_attachment=True, filename=f"{name}-{pk}.xlsx")

    # ------------------------------------------------------------ helpers

    def _campaign(self, request: HttpRequest, pk: int) -> Campaign | None:
        """The campaign, None when it is gone. Raises PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return Campaign.objects.filter(pk=pk).first()

    def _figures(self, request: HttpRequest, pk: int) -> dict[str, Any] | None:
        campaign = self._campaign(request, pk)
        if campaign is None:
            return None
        view = present(report_for_page(pk))
        return {
            "campaign": campaign,
            "view": view,
            "report": view.report,
            "draft": campaign.status == CampaignStatus.DRAFT,
            "live": campaign.status in _MOVING or (campaign.status == CampaignStatus.CANCELLED and view.report.open),
            "reason": say_reason(campaign),
            "buttons": buttons_for(campaign) if request.user.has_perm("campaigns.change_campaign") else [],
            "may_export": request.user.has_perm("deliveries.view_delivery"),
            "change_url": reverse("admin:campaigns_campaign_change", args=[pk]),
            "page_url": reverse("admin:analytics_campaignreport_page", args=[pk]),
        }

    def _gone(self, request: HttpRequest) -> HttpResponse:
        messages.error(request, _("There is no such campaign any more."))
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_changelist"))


_MOVING = (CampaignStatus.SCHEDULED, CampaignStatus.LAUNCHING, CampaignStatus.RUNNING, CampaignStatus.PAUSED)


# ---------------------------------------------------------------- everybody


def _people(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """One page of recipients, as the address asks for it; nonsense in the address asks for nothing."""
    asked = request.GET
    outcomes = [
        *((value, label) for value, label in OutcomeChoices.choices),
        ("open", _("in work")),
        ("double", _("reached twice")),
        ("unknown", _("outcome of a step unknown")),
    ]
    step = asked.get("step", "")
    wanted = Wanted(
        outcome=asked.get("outcome", "") if asked.get("outcome") in dict(outcomes) else "",
        step=int(step) if step.isascii() and step.isdigit() and len(step) < 4 else 0,
        reason=asked.get("reason", "") if asked.get("reason") in REASON_LABELS else "",
        who=asked.get("who", "")[:100],
    )
    page, key = recipients_page(campaign.pk, wanted, asked.get("after", ""), _PAGE)
    kept = {name: value for name in ("outcome", "step", "reason", "who") if (value := getattr(wanted, name))}
    return {
        "rows": [_person(one) for one in page],
        "next": f"?{urlencode({**kept, 'after': key})}#people" if key else "",
        "first": f"?{urlencode(kept)}#people" if asked.get("after") else "",
        "filtered": bool(kept),
        "wanted": wanted,
        "outcomes": outcomes,
    }


def _person(one: Recipient) -> dict[str, Any]:
    """A recipient in words."""
    return {
        "one": one,
        "url": reverse("admin:deliveries_delivery_change", args=[one.delivery_id]),
        "outcome": outcome_label(one.outcome, one.state),
        "colour": OUTCOME_COLOURS.get(one.outcome, "info"),
        "why": milestone_label(one.milestone) if one.outcome == Outcome.REACHED else reason_label(one.reason),
        "marks": [
            words
            for flag, words in (("double", _("reached twice")), ("unknown", _("outcome of a step unknown")))
            if flag in one.flags
        ],
    }
