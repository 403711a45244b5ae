"""One-time codes: the rules an owner sets, and what became of each code. The digits are on no page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from channels.admin.durations import DurationField
from channels.services.chains import say_duration
from deliveries.admin.reading import ReadOnlyAdmin, moment
from deliveries.models import CodeEnd, CodeRules, OneTimeCode
from templates_app.rendering import TemplateError
from templates_app.services import LinkError, validate_text

COLOURS: dict[str, str] = {
    "": "info",
    CodeEnd.ENTERED: "success",
    CodeEnd.LOCKED: "danger",
    CodeEnd.REPLACED: "default",
    CodeEnd.EXPIRED: "warning",
}


class CodeRulesForm(forms.ModelForm):
    """What the database cannot say no to."""

    lifetime = DurationField(
        label=gettext_lazy("good for"),
        initial=timedelta(minutes=5),
        help_text=gettext_lazy("After this no code of it is accepted or sent."),
    )
    pause = DurationField(
        label=gettext_lazy("next code not before"),
        initial=timedelta(seconds=30),
        help_text=gettext_lazy("After the one before, for one phone."),
    )

    class Meta:
        model = CodeRules
        fields = (
            "name",
            "slug",
            "chain",
            "text",
            "digits",
            "lifetime",
            "attempts",
            "pause",
            "per_phone",
            "per_hour",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.initial.setdefault("text", _("Code: {code}. Tell it nobody."))

    def clean_text(self) -> str:
        """A text that shows the code and knows nothing else."""
        text = str(self.cleaned_data["text"])
        try:
            compiled = validate_text(text, {"code"}, has_link=False)
        except (TemplateError, LinkError) as error:
            raise forms.ValidationError(_(error.message) % error.params) from None
        if "code" not in compiled.variables:
            raise forms.ValidationError(_("The text does not show the code. Write {code} where the digits go."))
        return text

    def clean_chain(self) -> Any:
        chain = self.cleaned_data["chain"]
        if not chain.steps.exists():
            raise forms.ValidationError(_("This chain has no steps yet."))
        return chain

    def clean(self) -> dict[str, Any]:
        """The last step must still leave while the code is good."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        chain, lifetime = cleaned.get("chain"), cleaned.get("lifetime")
        if chain is not None and lifetime is not None:
            *before, _last = chain.steps.all()
            waits = sum((step.wait for step in before), timedelta(0))
            if waits >= lifetime:
                words = _("By then the last step has not been reached: the waits before it are %(waits)s together.")
                self.add_error("lifetime", words % {"waits": say_duration(waits)})
        return cleaned


@admin.register(CodeRules)
class CodeRulesAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
    form = CodeRulesForm
    list_display = ("name", "slug", "chain", "shown_lifetime", "attempts", "per_phone", "per_hour")
    list_select_related = ("chain",)
    history_list_display: tuple[str, ...] = ()
    fieldsets = (
        (None, {"fields": ("name", "slug", "chain", "text", "digits")}),
        (gettext_lazy("Guessing"), {"fields": (("lifetime", "attempts"),)}),
        (gettext_lazy("Flooding"), {"fields": ("pause", "per_phone", "per_hour")}),
    )

    @display(description=gettext_lazy("good for"))
    def shown_lifetime(self, rules: CodeRules) -> str:
        return say_duration(rules.lifetime)


@admin.register(OneTimeCode)
class OneTimeCodeAdmin(ReadOnlyAdmin):
    list_display = ("shown_when", "phone", "rules", "shown_fate", "attempts_left", "shown_over", "shown_delivery")
    list_display_links = None
    list_select_related = ("rules", "delivery")
    list_filter = (("end", ChoicesDropdownFilter), ("rules", RelatedDropdownFilter))
    list_before_template = "deliveries/admin/code_list_before.html"
    search_fields = ("phone",)
    search_help_text = gettext_lazy("Phone, beginning with +7")
    fields = ("phone", "rules", "created_at", "expires_at", "shown_end", "attempts_left", "ended_at", "shown_delivery")
    readonly_fields = ("shown_end", "shown_delivery")

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By the beginning of the phone: an index answers, however many codes there are."""
        term = search_term.strip().replace("\x00", "")
        return (queryset.filter(phone__startswith=term) if term else queryset), False

    @display(description=gettext_lazy("asked for"))
    def shown_when(self, code: OneTimeCode) -> str:
        return moment(code.created_at)

    @display(description=gettext_lazy("over since"))
    def shown_over(self, code: OneTimeCode) -> str:
        return moment(code.ended_at)

    @display(description=gettext_lazy("what became of it"), label=COLOURS)
    def shown_fate(self, code: OneTimeCode) -> tuple[str, str]:
        return code.end, self.shown_end(code)

    @display(description=gettext_lazy("what became of it"))
    def shown_end(self, code: OneTimeCode) -> str:
        if code.end:
            return str(code.get_end_display())
        return str(CodeEnd.EXPIRED.label if code.expires_at <= now() else _("may be entered"))

    @display(description=gettext_lazy("delivery"))
    def shown_delivery(self, code: OneTimeCode) -> str:
        url = reverse("admin:deliveries_delivery_change", args=[code.delivery_id])
        return format_html('<a class="cascade-link" href="{}">{}</a>', url, _("Why each step happened"))
