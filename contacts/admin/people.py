"""Branches, tags and the contact's card."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from import_export.admin import ExportMixin
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.contrib.import_export.forms import ExportForm
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from cascade.vocabulary import Purpose
from contacts.admin.paginator import EstimatingPaginator
from contacts.exports import ContactResource, ExcelCsv, TextXlsx
from contacts.models import (
    Branch,
    Consent,
    ConsentState,
    Contact,
    ContactAddress,
    ListMember,
    PurposeChoices,
    Reachability,
    SuppressionScope,
    Tag,
)
from contacts.phones import Rejected, normalise
from contacts.reasons import text as reason_text
from contacts.selectors import channel_names, found_by
from contacts.services import consents, suppressions

#: Colour of each value in lists; green is what one may write to.
CONSENT_COLOURS = {
    ConsentState.GRANTED.label: "success",
    ConsentState.WITHDRAWN.label: "danger",
    ConsentState.UNKNOWN.label: "info",
}


#: Reachability.source -> the owner's words.
LEARNED_FROM = {
    "send": gettext_noop("an attempt to send"),
    "check": gettext_noop("the provider's check"),
    "callback": gettext_noop("the provider's report"),
    "inbound": gettext_noop("a message of the person"),
}


@admin.register(Branch)
class BranchAdmin(ModelAdmin):
    """Salons and shops."""

    list_display = ("name", "timezone")
    search_fields = ("name",)
    list_before_template = "contacts/admin/branch_hint.html"


@admin.register(Tag)
class TagAdmin(ModelAdmin):
    """Tags."""

    list_display = ("name",)
    search_fields = ("name",)


class ReadOnlyInline(TabularInline):
    """Rows that services write and people read."""

    extra = 0
    can_delete = False
    tab = True
    # A row's own words would only repeat its columns.
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ConsentInline(ReadOnlyInline):
    model = Consent
    fields = ("at", "purpose", "granted", "source", "wording", "evidence", "by")
    per_page = 20


class PerChannelInline(ReadOnlyInline):
    """Rows about one channel each, which is shown by its name."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        self.names = channel_names()
        return super().get_queryset(request)

    @display(description=gettext_lazy("channel"))
    def show_channel(self, row: Reachability | ContactAddress) -> str:
        return self.names.get(row.channel_id, f"#{row.channel_id}")


class ReachabilityInline(PerChannelInline):
    model = Reachability
    fields = ("show_channel", "address", "state", "learned_at", "until", "show_source")
    readonly_fields = ("show_channel", "show_source")

    @display(description=gettext_lazy("source"))
    def show_source(self, row: Reachability) -> str:
        return _(LEARNED_FROM[row.source]) if row.source in LEARNED_FROM else row.source


class AddressInline(PerChannelInline):
    model = ContactAddress
    fields = ("show_channel", "value", "show_since", "seen_at")
    readonly_fields = ("show_channel", "show_since", "seen_at")
    ordering = ("channel_id", "-seen_at")

    @display(description=gettext_lazy("since"))
    def show_since(self, row: ContactAddress) -> Any:
        return row.created_at


class MembershipInline(ReadOnlyInline):
    model = ListMember
    fields = ("show_list", "variables")
    readonly_fields = ("show_list",)
    ordering = ("-id",)
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> QuerySet[ListMember]:
        return super().get_queryset(request).select_related("list")

    @display(description=gettext_lazy("list"))
    def show_list(self, row: ListMember) -> str:
        return str(row.list)


class ContactForm(forms.ModelForm):
    """The card: phones in any spelling are understood, and refused with the reason."""

    class Meta:
        model = Contact
        fields = ("phone", "email", "name", "full_name", "birthday", "branch", "timezone", "tags", "attributes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "phone" in self.fields:
            # The column holds sixteen characters, people write twenty.
            self.fields["phone"].max_length = 40  # type: ignore[attr-defined]  # a CharField
            self.fields["phone"].validators = []
            self.fields["phone"].widget.attrs.pop("maxlength", None)
            self.fields["phone"].help_text = _("In any spelling: 8 912 345-67-89, +7 (912) 345-67-89.")

    def clean_phone(self) -> str | None:
        raw = self.cleaned_data.get("phone")
        if not raw:
            return None
        read = normalise(raw)
        if isinstance(read, Rejected):
            raise forms.ValidationError(reason_text(read.reason))
        return read.e164

    def clean_email(self) -> str | None:
        return (self.cleaned_data.get("email") or "").strip().lower() or None

    def clean_attributes(self) -> dict[str, Any]:
        value = self.cleaned_data.get("attributes") or {}
        if not isinstance(value, dict):
            raise forms.ValidationError(_('Attributes are pairs of a name and a value: {"master": "Olga"}.'))
        return value

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("phone") and not cleaned.get("email") and not self.instance.pk:
            raise forms.ValidationError(_("Give a phone or an e-mail: without one there is nowhere to write to."))
        return cleaned


class ConsentForm(forms.Form):
    """What the owner writes into the ledger by hand."""

    granted = forms.ChoiceField(
        label=gettext_lazy("What the person said"),
        choices=[("1", gettext_lazy("agrees to messages")), ("0", gettext_lazy("withdraws consent"))],
        widget=UnfoldAdminSelectWidget,
    )
    purpose = forms.ChoiceField(
        label=gettext_lazy("Purpose"), choices=PurposeChoices.choices, widget=UnfoldAdminSelectWidget
    )
    source = forms.CharField(
        label=gettext_lazy("Where"),
        max_length=200,
        help_text=gettext_lazy("Form at the desk, call, letter, chat."),
        widget=UnfoldAdminTextInputWidget,
    )
    wording = forms.CharField(
        label=gettext_lazy("Wording shown to the person"), required=False, widget=UnfoldAdminTextareaWidget
    )
    evidence = forms.CharField(
        label=gettext_lazy("Evidence"),
        help_text=gettext_lazy("What proves it: number of the signed form, recording, link."),
        widget=UnfoldAdminTextareaWidget,
    )


class DownloadForm(ExportForm):
    """Excel unless somebody wants CSV."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["format"].choices = [("1", "Excel (.xlsx)"), ("0", "CSV")]


@admin.register(Contact)
class ContactAdmin(ExportMixin, ModelAdmin):
    """The card of one person, and the way to a million of them."""

    form = ContactForm
    resource_classes = (ContactResource,)
    export_form_class = DownloadForm
    export_template_name = "contacts/admin/contact_export.html"
    formats = (ExcelCsv, TextXlsx)
    list_display = ("show_name", "phone", "email", "show_consent", "show_stop", "branch")
    list_filter = (
        ("marketing_consent", ChoicesDropdownFilter),
        ("suppressed", ChoicesDropdownFilter),
        ("branch", RelatedDropdownFilter),
        ("tags", RelatedDropdownFilter),
        ("lists", RelatedDropdownFilter),
    )
    list_filter_submit = True
    list_select_related = ("branch",)
    list_per_page = 50
    paginator = EstimatingPaginator
    show_full_result_count = False
    ordering = ("-id",)
    #: Any field turns the search box on; what is searched is said in get_search_results.
    search_fields = ("name",)
    search_help_text = gettext_lazy("Phone in any spelling, part of a name, or the beginning of an e-mail")
    autocomplete_fields = ("branch", "tags")
    readonly_fields = ("show_consent", "show_stop", "created_at", "updated_at")
    inlines = (ConsentInline, ReachabilityInline, AddressInline, MembershipInline)
    actions_detail = ("open_invitation", "open_record_consent", "open_stop")
    list_before_template = "contacts/admin/contact_hint.html"
    change_form_after_template = "contacts/admin/contact_history.html"
    fieldsets = (
        (None, {"fields": (("phone", "email"), ("name", "full_name"), ("birthday", "branch"), "timezone", "tags")}),
        (gettext_lazy("May we write?"), {"fields": (("show_consent", "show_stop"),)}),
        (gettext_lazy("More"), {"fields": ("attributes", ("created_at", "updated_at")), "classes": ["collapse"]}),
    )

    class Media:
        # The second sheet dresses the history that the deliveries app fills in.
        css = {"all": ("contacts/admin.css", "campaigns/pages.css")}
        js = ("contacts/history.js",)

    @display(description=gettext_lazy("contact"), ordering="name")
    def show_name(self, contact: Contact) -> str:
        return str(contact)

    @display(description=gettext_lazy("marketing consent"), label=CONSENT_COLOURS)
    def show_consent(self, contact: Contact) -> str:
        return str(contact.get_marketing_consent_display())

    @display(
        description=gettext_lazy("stop-list"),
        label={SuppressionScope.MARKETING.label: "warning", SuppressionScope.ALL.label: "danger"},
    )
    def show_stop(self, contact: Contact) -> str:
        return str(contact.get_suppressed_display()) if contact.suppressed else ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Contact], search_term: str
    ) -> tuple[QuerySet[Contact], bool]:
        """Search by what the term looks like; each way has its index (see Contact.Meta.indexes)."""
        term = search_term.strip()
        return (queryset.filter(found_by(term)) if term else queryset), False

    def save_model(self, request: HttpRequest, obj: Contact, form: Any, change: bool) -> None:
        """Write only what was changed here: a withdrawal that came in meanwhile must not be overwritten."""
        if not change:
            obj.save()
            return
        changed = [name for name in form.changed_data if name != "tags"]
        if changed:
            extra = ["suppressed"] if {"phone", "email"} & set(changed) else []
            obj.save(update_fields=[*changed, *extra, "updated_at"])

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        # A person who is only being added has no history yet.
        return self.inlines if obj is not None else ()

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "<int:pk>/consent/",
                self.admin_site.admin_view(self.record_consent_view),
                name="contacts_contact_consent",
            ),
            path("<int:pk>/stop/", self.admin_site.admin_view(self.stop_view), name="contacts_contact_stop"),
            *super().get_urls(),
        ]

    @action(description=gettext_lazy("Invitation link"), icon="person_add", url_path="open-invitation")
    def open_invitation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The channels app makes the page: contacts know nobody above them."""
        try:
            return HttpResponseRedirect(reverse("admin:channels_channel_invite", args=[object_id]))
        except NoReverseMatch:
            return HttpResponseRedirect(reverse("admin:contacts_contact_change", args=[object_id]))

    @action(description=gettext_lazy("Record consent"), icon="fact_check", url_path="open-consent")
    def open_record_consent(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_contact_consent", args=[object_id]))

    @action(description=gettext_lazy("Do not write"), icon="block", url_path="open-stop")
    def open_stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_contact_stop", args=[object_id]))

    def record_consent_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the evidence, write the line."""
        contact = get_object_or_404(Contact, pk=pk)
        self._may_change(request, contact)
        form = ConsentForm(request.POST or None)
        if form.is_valid():
            said = form.cleaned_data
            consents.record(
                contact.pk,
                granted=said["granted"] == "1",
                purpose=Purpose(said["purpose"]),
                source=said["source"],
                wording=said["wording"],
                evidence=said["evidence"],
                by_id=request.user.pk,
            )
            self.log_change(request, contact, _("Consent recorded."))
            messages.success(request, _("Written into the consent ledger."))
            return HttpResponseRedirect(reverse("admin:contacts_contact_change", args=[pk]))
        return self._form_page(
            request,
            contact,
            form,
            title=_("Record consent"),
            explanation=_(
                "The ledger only grows: nothing in it can be changed or deleted later. "
                "The newest line decides whether advertising may be sent."
            ),
            button=_("Write down"),
        )

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put all addresses of a person on the stop-list."""
        contact = get_object_or_404(Contact, pk=pk)
        self._may_change(request, contact)
        form = ScopeForm(request.POST or None)
        if form.is_valid():
            suppressions.suppress_contact(
                contact.pk,
                SuppressionScope(int(form.cleaned_data["scope"])),
                form.cleaned_data["reason"],
                f"admin:{request.user.pk}",
            )
            self.log_change(request, contact, _("Put on the stop-list."))
            messages.success(request, _("No message will be started to this person from now on."))
            return HttpResponseRedirect(reverse("admin:contacts_contact_change", args=[pk]))
        return self._form_page(
            request,
            contact,
            form,
            title=_("Do not write to this person"),
            explanation=_(
                "All addresses of the person go to the stop-list. It holds even if the contact is deleted and "
                "uploaded again; an entry can be taken off in the stop-list."
            ),
            button=_("Put on the stop-list"),
        )

    def _may_change(self, request: HttpRequest, contact: Contact) -> None:
        if not self.has_change_permission(request, contact):
            raise PermissionDenied

    def _form_page(self, request: HttpRequest, contact: Contact, form: forms.Form, **context: Any) -> HttpResponse:
        return TemplateResponse(
            request,
            "contacts/admin/form_page.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "form": form,
                "subject": str(contact),
                "back": reverse("admin:contacts_contact_change", args=[contact.pk]),
                "media": self.media,
                **context,
            },
        )

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        contact = kwargs.get("obj")
        context["history_url"] = history_url(contact.pk) if contact else ""
        return super().render_change_form(request, context, **kwargs)


class ScopeForm(forms.Form):
    """How much shall be stopped, and why."""

    scope = forms.ChoiceField(
        label=gettext_lazy("What not to send"), choices=SuppressionScope.choices[1:], widget=UnfoldAdminSelectWidget
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=200, widget=UnfoldAdminTextInputWidget)


def history_url(contact_id: int) -> str:
    """Return where the deliveries app shows everything ever sent to a person; empty without that app."""
    try:
        return reverse("deliveries:contact_history", args=[contact_id])
    except NoReverseMatch:
        return ""
