"""The campaign page: What - How - Whom - When, then a look before the leap, then the buttons of a live campaign.

A draft is edited; everything else is read. Every button is a POST through services.lifecycle, so what the page shows
may be a second old and the answer is still right: the move says who was first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display

from campaigns.models import Campaign, CampaignStatus
from campaigns.services import drafts, lifecycle, preflight, subscribers, test_send
from campaigns.services.lifecycle import Move
from campaigns.services.readiness import Finding
from channels import legal
from channels.models import Chain, Channel
from channels.services import setup
from channels.services.chains import say_duration
from templates_app.models import MessageTemplate

#: Colours of Unfold's labels.
_BADGES = {
    CampaignStatus.DRAFT: "default",
    CampaignStatus.SCHEDULED: "info",
    CampaignStatus.LAUNCHING: "info",
    CampaignStatus.RUNNING: "success",
    CampaignStatus.PAUSED: "warning",
    CampaignStatus.CANCELLED: "danger",
    CampaignStatus.FINISHED: "default",
}

#: verb -> (move, question, what follows, name of the button, icon, colour of the button)
_VERBS: dict[str, tuple[Callable[[int], Move], Any, Any, Any, str, str]] = {
    "pause": (
        lifecycle.pause,
        gettext_lazy("Pause the campaign?"),
        gettext_lazy("New messages stop within seconds; what has already left cannot be taken back. Receipts go on."),
        gettext_lazy("Pause"),
        "pause",
        "primary",
    ),
    "resume": (
        lifecycle.resume,
        gettext_lazy("Let the campaign go on?"),
        gettext_lazy("It goes on where it stopped. The time it stood still is not counted as waiting."),
        gettext_lazy("Resume"),
        "play_arrow",
        "primary",
    ),
    "cancel": (
        lifecycle.cancel,
        gettext_lazy("Cancel the campaign?"),
        gettext_lazy("Nobody gets anything more from it, and it cannot be started again. You can copy it."),
        gettext_lazy("Cancel the campaign"),
        "cancel",
        "danger",
    ),
    "unschedule": (
        lifecycle.unschedule,
        gettext_lazy("Take the campaign off the schedule?"),
        gettext_lazy("It becomes a draft again and can be edited."),
        gettext_lazy("Back to draft"),
        "edit",
        "primary",
    ),
}
_BUTTONS: dict[str, tuple[str, ...]] = {
    CampaignStatus.SCHEDULED: ("unschedule", "cancel"),
    CampaignStatus.LAUNCHING: ("pause", "cancel"),
    CampaignStatus.RUNNING: ("pause", "cancel"),
    CampaignStatus.PAUSED: ("resume", "cancel"),
}


class CampaignForm(forms.ModelForm):
    class Meta:
        model = Campaign
        fields = (
            "name", "purpose", "template", "chain", "everybody", "lists", "tags", "dialogues", "exclude_lists", "exclude_tags",
            "check_consent", "scheduled_at", "not_after", "window_start", "window_end", "per_minute", "budget",
        )  # fmt: skip
        labels = {"name": gettext_lazy("Title")}
        help_texts = {
            "name": gettext_lazy("For you; clients do not see it."),
            "scheduled_at": gettext_lazy("Empty: at once, when you press “Launch”."),
            "not_after": gettext_lazy("What has not left by then stays unsent."),
            "budget": gettext_lazy("The campaign pauses when so much is spent."),
            "window_start": gettext_lazy("By the recipient's clock. Empty: your sending hours."),
        }

    def clean(self) -> dict[str, Any]:
        """Half a window is no window; the end lies after the start."""
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("window_start"), cleaned.get("window_end")
        if (start is None) != (end is None):
            self.add_error("window_end" if end is None else "window_start", _("Give both hours, or neither."))
        begins, over = cleaned.get("scheduled_at"), cleaned.get("not_after")
        if begins and over and over <= begins:
            self.add_error("not_after", _("This must be later than the start."))
        return cleaned


class _NoDraftError(Exception):
    """The campaign was launched or deleted between opening the form and saving it."""


@admin.register(Campaign)
class CampaignAdmin(ModelAdmin):  # type: ignore[misc]
    form = CampaignForm
    list_display = ("shown_name", "shown_status", "shown_people", "shown_when", "shown_links")
    list_filter = ("status", "purpose")
    search_fields = ("name",)
    list_before_template = "campaigns/admin/campaign_list_before.html"
    change_form_outer_before_template = "campaigns/admin/campaign_panel.html"
    autocomplete_fields = ("template", "chain", "lists", "tags", "dialogues", "exclude_lists", "exclude_tags")
    list_per_page = 50
    warn_unsaved_form = True
    compressed_fields = False
    fieldsets = (
        (gettext_lazy("1. What"), {"fields": ("name", "purpose", "template")}),
        (gettext_lazy("2. How"), {"fields": ("chain",)}),
        (
            gettext_lazy("3. Whom"),
            {"fields": (("lists", "tags"), "dialogues", "everybody", "check_consent")},
        ),
        (gettext_lazy("4. When"), {"fields": ("scheduled_at",)}),
        (
            gettext_lazy("Exceptions and limits"),
            {
                "fields": (
                    ("exclude_lists", "exclude_tags"),
                    ("window_start", "window_end"),
                    ("per_minute", "budget"),
                    "not_after",
                ),
                "classes": ("collapse",),
            },
        ),
    )

    class Media:
        css = {"all": ("campaigns/pages.css",)}

    # ------------------------------------------------------------ list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        found: QuerySet[Campaign] = super().get_queryset(request).select_related("template", "chain")
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"missing": _missing(), "none_yet": not Campaign.objects.exists()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @display(description=gettext_lazy("Title"), ordering="name")
    def shown_name(self, campaign: Campaign) -> str:
        return campaign.name

    @display(description=gettext_lazy("status"), label={value.value: colour for value, colour in _BADGES.items()})
    def shown_status(self, campaign: Campaign) -> tuple[str, str]:
        return campaign.status, campaign.get_status_display()

    @display(description=gettext_lazy("people"), ordering="planned")
    def shown_people(self, campaign: Campaign) -> str:
        return number_format(campaign.planned, force_grouping=True) if campaign.planned else ""

    @display(description=gettext_lazy("when"), ordering="launched_at")
    def shown_when(self, campaign: Campaign) -> Any:
        return campaign.launched_at or campaign.scheduled_at or campaign.created_at

    @display(description="")
    def shown_links(self, campaign: Campaign) -> str:
        if campaign.status == CampaignStatus.DRAFT:
            return format_html(
                '<a class="cascade-link" href="{}">{}</a>',
                reverse("admin:campaigns_campaign_preflight", args=[campaign.pk]),
                _("check and launch"),
            )
        url = report_url(campaign.pk)
        return format_html('<a class="cascade-link" href="{}">{}</a>', url, _("report")) if url else ""

    # ------------------------------------------------------------ form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        missing = _missing()
        if missing:
            messages.info(request, _("First: %s.") % ", ".join(str(one["words"]) for one in missing))
            return HttpResponseRedirect(reverse("admin:campaigns_campaign_changelist"))
        context = {"title": _("New campaign"), "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        campaign = self.get_object(request, unquote(object_id))
        context: dict[str, Any] = {"show_save_and_add_another": False}
        if request.method == "POST" and campaign is not None and campaign.status != CampaignStatus.DRAFT:
            return self._not_saved(request, campaign.pk)
        if campaign is not None:
            context |= {"panel": self._panel(campaign), "title": campaign.name}
        try:
            return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})
        except _NoDraftError:
            return self._not_saved(request, int(object_id))

    def _not_saved(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Somebody launched or deleted it while it was open here."""
        messages.error(request, _("Your changes are not saved: meanwhile the campaign is no draft any more."))
        if not Campaign.objects.filter(pk=pk).exists():
            return _to_list()
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_change", args=[pk]))

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """A launched campaign is read: what runs is the frozen plan, and editing here would only look like a change."""
        if obj is not None and obj.status != CampaignStatus.DRAFT:
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """Only drafts: the others are the proof of what was sent."""
        if obj is not None and obj.status != CampaignStatus.DRAFT:
            return False
        return bool(super().has_delete_permission(request, obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """No mass deletion: it would ask nobody about the status."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj: Campaign, form: Any, change: bool) -> None:
        """Saved only while it is a draft, under its row lock: a launch in another tab wins."""
        if change:
            status = Campaign.objects.select_for_update().values_list("status", flat=True).filter(pk=obj.pk).first()
            if status != CampaignStatus.DRAFT:
                raise _NoDraftError
        else:
            obj.created_by = request.user if request.user.is_authenticated else None
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Campaign, post_url_continue: str | None = None) -> HttpResponse:
        return self._next(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Campaign) -> HttpResponse:
        return self._next(request, obj) or super().response_change(request, obj)

    def _next(self, request: HttpRequest, obj: Campaign) -> HttpResponse | None:
        """After saving comes looking: people, money, texts."""
        if "_continue" in request.POST or "_popup" in request.POST:
            return None
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_preflight", args=[obj.pk]))

    def _panel(self, campaign: Campaign) -> dict[str, Any]:
        return {
            "campaign": campaign,
            "draft": campaign.status == CampaignStatus.DRAFT,
            "badge": _BADGES[CampaignStatus(campaign.status)],
            "reason": lifecycle.say_reason(campaign),
            "report": report_url(campaign.pk) if campaign.status != CampaignStatus.DRAFT else "",
            "buttons": buttons_for(campaign),
        }

    # ------------------------------------------------------------ pages of their own

    def get_urls(self) -> list[URLPattern]:
        def own(route: str, view: Any, name: str) -> URLPattern:
            return path(f"<int:pk>/{route}", self.admin_site.admin_view(view), name=f"campaigns_campaign_{name}")

        return [
            own("preflight/", self.preflight_page, "preflight"),
            own("launch/", require_POST(self.launch_now), "launch"),
            own("test/", self.test_page, "test"),
            own("copy/", require_POST(self.copy_campaign), "copy"),
            own("move/<slug:verb>/", self.move_page, "move"),
            # Of a channel: its people as a list. Here, because channels know no campaigns.
            path(
                "dialogues/<int:pk>/list/",
                self.admin_site.admin_view(require_POST(self.dialogue_list)),
                name="campaigns_campaign_dialogue_list",
            ),
            *super().get_urls(),
        ]

    def dialogue_list(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A list of everybody with a living dialogue in a channel."""
        if not request.user.has_perm("contacts.add_contactlist"):  # type: ignore[union-attr]
            raise PermissionDenied
        made = subscribers.make_list(get_object_or_404(Channel, pk=pk))
        people = made.members.count()
        text = ngettext(
            "The list “%(name)s” has %(count)s person.", "The list “%(name)s” has %(count)s people.", people
        )
        messages.success(request, text % {"name": made.name, "count": people})
        return HttpResponseRedirect(reverse("admin:contacts_contactlist_change", args=[made.pk]))

    def _get(self, request: HttpRequest, pk: int) -> Campaign | None:
        """The campaign, or None when it has been deleted meanwhile. Raises PermissionDenied."""
        campaign = self.get_queryset(request).filter(pk=pk).first()
        # Of the model, not of the object: a launched campaign may be paused by whoever may change campaigns.
        if not super().has_change_permission(request):
            raise PermissionDenied
        if campaign is None:
            self._gone(request)
        return campaign

    def _gone(self, request: HttpRequest) -> HttpResponse:
        messages.error(request, _("There is no such campaign any more."))
        return _to_list()

    def _page(self, request: HttpRequest, campaign: Campaign, template: str, **context: Any) -> TemplateResponse:
        everything = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "campaign": campaign,
            "original": campaign,
            "media": self.media,
            "change_url": reverse("admin:campaigns_campaign_change", args=[campaign.pk]),
            **context,
        }
        return TemplateResponse(request, f"campaigns/admin/{template}", everything)

    def preflight_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """People, money, texts, what forbids and what to beware of; the launch button."""
        campaign = self._get(request, pk)
        if campaign is None:
            return _to_list()
        result = preflight.run(campaign)
        return self._page(
            request,
            campaign,
            "preflight.html",
            title=_("Check: %(campaign)s") % {"campaign": campaign.name},
            result=result,
            cost=result.say_cost(),
            at_least=say_duration(result.at_least) if result.at_least.total_seconds() >= 60 else "",
            blockers=[_with_link(one) for one in result.blockers],
            warnings=[_with_link(one) for one in result.warnings],
            draft=campaign.status == CampaignStatus.DRAFT,
            question=launch_question(campaign, result),
            law_read_on=legal.READ_ON,
        )

    def launch_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The owner has seen the figures and pressed."""
        campaign = self._get(request, pk)
        if campaign is None:
            return _to_list()
        try:
            move = lifecycle.launch(campaign.pk, request.user if request.user.is_authenticated else None)
        except Campaign.DoesNotExist:
            return self._gone(request)
        _say(request, move)
        if not move:
            return HttpResponseRedirect(reverse("admin:campaigns_campaign_preflight", args=[pk]))
        self.log_change(request, campaign, [{"changed": {"fields": ["status"]}}])
        return HttpResponseRedirect(_report_or_page(pk))

    def move_page(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Pause, resume, cancel, back to draft: asked on GET, done on POST."""
        campaign = self._get(request, pk)
        if campaign is None or verb not in _VERBS:
            return _to_list()
        move, question, follows, button, icon, colour = _VERBS[verb]
        if request.method == "POST":
            try:
                made = move(campaign.pk)
            except Campaign.DoesNotExist:
                return self._gone(request)
            _say(request, made)
            if made:
                self.log_change(request, campaign, [{"changed": {"fields": ["status"]}}])
            return HttpResponseRedirect(_report_or_page(pk))
        return self._page(
            request,
            campaign,
            "move.html",
            title=campaign.name,
            question=question,
            follows=follows,
            button=button,
            icon=icon,
            colour=colour,
            back=_report_or_page(pk),
        )

    def copy_campaign(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A new draft with the same text, chain, people and limits."""
        campaign = self._get(request, pk)
        if campaign is None:
            return _to_list()
        if not self.has_add_permission(request):
            raise PermissionDenied
        copied = drafts.copy(campaign, request.user if request.user.is_authenticated else None)
        messages.success(request, _("The copy is a draft: change what you like."))
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_change", args=[copied.pk]))

    def test_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One real message per channel to the owner's own addresses."""
        campaign = self._get(request, pk)
        if campaign is None:
            return _to_list()
        channels = test_send.channels_of(campaign)
        names = {channel.pk: f"channel-{channel.pk}" for channel in channels}
        tried: list[test_send.Tried] = []
        if request.method == "POST":
            given = {pk: request.POST.get(name, "") for pk, name in names.items()}
            # Addresses are kept for the next test of this session; they are the owner's own.
            request.session["test_addresses"] = {str(pk): value for pk, value in given.items()}
            tried = test_send.send_tests(campaign, given)
            if not tried:
                messages.info(request, _("Give at least one address."))
        known = request.session.get("test_addresses", {})
        fields = [
            {
                "name": names[channel.pk],
                "channel": channel.name,
                "label": test_send.address_label(channel),
                "value": known.get(str(channel.pk)) or setup.remembered_address(channel, request.user),
            }
            for channel in channels
        ]
        title = _("Test: %(campaign)s") % {"campaign": campaign.name}
        return self._page(request, campaign, "test.html", title=title, fields=fields, tried=tried)


# ---------------------------------------------------------------- helpers of the pages


def report_url(campaign_id: int) -> str:
    """The report's page. It stands above this app, so it is found by name; "" where it is not installed."""
    try:
        return reverse("admin:analytics_campaignreport_page", args=[campaign_id])
    except NoReverseMatch:
        return ""


def buttons_for(campaign: Campaign) -> list[dict[str, Any]]:
    """What may be done with a live campaign now."""
    return [
        {
            "url": reverse("admin:campaigns_campaign_move", args=[campaign.pk, verb]),
            "label": _VERBS[verb][3],
            "icon": _VERBS[verb][4],
            "colour": _VERBS[verb][5],
        }
        for verb in _BUTTONS.get(campaign.status, ())
    ]


def launch_question(campaign: Campaign, result: preflight.Preflight) -> str:
    """“2 103 people, from 5 467,80 to 15 562,20 RUB”."""
    people = ngettext("%(count)s person", "%(count)s people", result.people) % {
        "count": number_format(result.people, force_grouping=True)
    }
    return f"{people}, {result.say_cost()}"


def _report_or_page(pk: int) -> str:
    return report_url(pk) or reverse("admin:campaigns_campaign_change", args=[pk])


def _to_list() -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:campaigns_campaign_changelist"))


def _say(request: HttpRequest, move: Move) -> None:
    (messages.success if move else messages.error)(request, move.message)
    for one in move.blockers:
        messages.error(request, one.text())


def _with_link(finding: Finding) -> dict[str, str]:
    """A finding with the page that mends it."""
    if finding.pk is None:
        url = reverse(f"admin:{finding.mend.value}_changelist")
    else:
        url = reverse(f"admin:{finding.mend.value}_change", args=[finding.pk])
    return {"text": finding.text(), "url": url}


def _missing() -> list[dict[str, Any]]:
    """What must exist before a campaign can be made, with where to make it."""
    found = []
    if not MessageTemplate.objects.exists():
        url = reverse("admin:templates_app_messagetemplate_add")
        found.append({"words": _("write a text"), "url": url})
    if not Chain.objects.exists():
        found.append({"words": _("put a chain together"), "url": reverse("admin:channels_chain_changelist")})
    return found
