"""The owner's standing rules: sending hours and frequency caps."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from campaigns.models import FrequencyCap, QuietHours


@admin.register(QuietHours)
class QuietHoursAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("purpose", "shown_kind", "start", "end")
    list_before_template = "campaigns/admin/hours_before.html"

    @display(description=_("channel kind"))
    def shown_kind(self, hours: QuietHours) -> str:
        return str(hours.get_kind_display() if hours.kind else _("all kinds"))

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_choice_field(db_field, request, **kwargs)
        if db_field.name == "kind":
            field.choices = [("", _("all kinds")), *(one for one in field.choices if one[0])]
        return field


@admin.register(FrequencyCap)
class FrequencyCapAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("shown_rule", "enabled")
    list_before_template = "campaigns/admin/caps_before.html"

    @display(description=_("rule"))
    def shown_rule(self, cap: FrequencyCap) -> str:
        return str(
            _("at most %(messages)s advertising messages in %(days)s days")
            % {"messages": cap.messages, "days": cap.days}
        )
