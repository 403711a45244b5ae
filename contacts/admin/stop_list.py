"""The stop-list: put an address on it, take an entry off again with a confirmation."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from contacts.admin.paginator import EstimatingPaginator
from contacts.models import Suppression, SuppressionScope
from contacts.services import suppressions


class SuppressionForm(forms.ModelForm):
    """An address in any spelling; only its hash is kept."""

    address = forms.CharField(
        label=gettext_lazy("Phone or e-mail"),
        max_length=254,
        help_text=gettext_lazy("In any spelling. Only a masked form and a one-way key are stored."),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = Suppression
        fields = ("scope", "reason")

    def clean_address(self) -> suppressions.Address:
        try:
            return suppressions.Address.read(self.cleaned_data["address"])
        except suppressions.NotAnAddressError:
            raise forms.ValidationError(
                _("This is neither a phone nor an e-mail. Example: +7 912 345-67-89 or anna@example.ru.")
            ) from None


@admin.register(Suppression)
class SuppressionAdmin(ModelAdmin):
    """Entries are added and released, never edited."""

    form = SuppressionForm
    list_display = ("hint", "show_scope", "reason", "source", "created_at")
    list_filter = ("scope",)
    search_fields = ("hint",)
    search_help_text = gettext_lazy("The whole phone or e-mail")
    paginator = EstimatingPaginator
    show_full_result_count = False
    list_before_template = "contacts/admin/stop_hint.html"
    #: The usual "delete selected" speaks of deleting; here it is a release and goes through the service.
    actions = None

    @display(
        description=gettext_lazy("scope"),
        label={SuppressionScope.MARKETING.label: "warning", SuppressionScope.ALL.label: "danger"},
    )
    def show_scope(self, entry: Suppression) -> str:
        return str(entry.get_scope_display())

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("address", "scope", "reason")
        return ("hint", "scope", "reason", "source", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("hint", "scope", "reason", "source", "created_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        """Look a whole address up by its hash; anything else by what the masked form shows."""
        try:
            address = suppressions.Address.read(search_term)
        except suppressions.NotAnAddressError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(address_hash=suppressions.Hasher().hash(address)), False

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        stopped = suppressions.suppress(
            form.cleaned_data["address"],
            SuppressionScope(int(form.cleaned_data["scope"])),
            form.cleaned_data["reason"],
            f"admin:{request.user.pk}",
        )
        obj.pk = stopped.entry.pk
        obj.hint, obj.scope = stopped.entry.hint, stopped.entry.scope
        if stopped.contact_ids:
            messages.info(request, _("Contacts stopped: %(number)s.") % {"number": len(stopped.contact_ids)})

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        released = suppressions.release(obj)
        messages.info(request, _("Contacts that may be written to again: %(number)s.") % {"number": len(released)})

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return super().delete_view(
            request, object_id, {**(extra_context or {}), "title": _("Take the address off the stop-list?")}
        )
