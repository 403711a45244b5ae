"""Approved templates of messengers, to look at: they are made and changed at the messenger."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display

from channels.models import ApprovedText
from channels.providers.base import TemplateState
from channels.services.approved import category_label
from channels.services.chains import say_duration

_COLOURS = {
    "approved": "success",
    "pending": "warning",
    "paused": "warning",
    "rejected": "danger",
    "disabled": "danger",
    "gone": "default",
    "unknown": "default",
}


@admin.register(ApprovedText)
class ApprovedTextAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("shown_name", "shown_text", "shown_category", "shown_state", "shown_life", "quality", "channel")
    list_filter = ("channel", "state")
    list_select_related = ("channel",)
    search_fields = ("name", "body")
    fields = (
        "name",
        "language",
        "channel",
        "shown_category",
        "state",
        "shown_why",
        "body",
        "shown_life",
        "quality",
        "synced_at",
    )
    readonly_fields = ("shown_category", "shown_why", "shown_life", "synced_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApprovedText | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApprovedText | None = None) -> bool:
        return False

    @display(description=gettext_lazy("Title"), header=True, ordering="name")
    def shown_name(self, row: ApprovedText) -> tuple[str, str]:
        return row.name, row.language

    @display(description=gettext_lazy("Text"))
    def shown_text(self, row: ApprovedText) -> str:
        return Truncator(row.body).chars(90)

    @display(description=gettext_lazy("Category"), ordering="category")
    def shown_category(self, row: ApprovedText) -> str:
        return category_label(row.category)

    @display(description=gettext_lazy("State"), label=_COLOURS)
    def shown_state(self, row: ApprovedText) -> tuple[str, str]:
        if row.state == TemplateState.APPROVED.value and row.unusable:
            return "pending", _("cannot be sent from here")
        return row.state, row.get_state_display()

    @display(description=gettext_lazy("Message life"), ordering="ttl")
    def shown_life(self, row: ApprovedText) -> str:
        return say_duration(row.ttl) if row.ttl else "—"

    @display(description=gettext_lazy("What to know"))
    def shown_why(self, row: ApprovedText) -> str:
        return " ".join(part for part in (row.detail, _(row.unusable) if row.unusable else "") if part) or "—"
