"""Webhooks: made here, their secret shown once, their calls looked at and sent again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from deliveries.models import HookEndpoint, HookEvent, HookKind
from deliveries.services import outbox


class HookForm(forms.ModelForm):
    """Who is told what."""

    events = forms.MultipleChoiceField(
        label=gettext_lazy("Is told when"), choices=HookKind.choices, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = HookEndpoint
        fields = ("name", "url", "events", "enabled")

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        if problem := outbox.address_problem(url):
            raise forms.ValidationError(_(problem))
        return url


class CallInline(TabularInline):
    """The newest calls."""

    model = HookEvent
    fields = ("kind", "created_at", "shown_state", "tries", "error")
    readonly_fields = fields
    extra = 0
    can_delete = False
    hide_title = True
    ordering = ("-id",)
    per_page = 20

    @display(description=gettext_lazy("State"))
    def shown_state(self, call: HookEvent) -> str:
        if call.told_at is not None:
            return _("heard")
        return _("given up") if call.due_at is None else _("will be told")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(HookEndpoint)
class HookEndpointAdmin(ModelAdmin):
    """Other programs that are told what happens."""

    form = HookForm
    list_display = ("name", "url", "shown_health", "enabled")
    list_before_template = "deliveries/admin/hook_hint.html"
    actions = ("tell_again",)

    @display(description=gettext_lazy("Health"), label={"ok": "success", "failing": "danger", "off": "info"})
    def shown_health(self, hook: HookEndpoint) -> tuple[str, str]:
        if not hook.enabled:
            return "off", _("switched off")
        return ("failing", _("does not answer")) if hook.failing_since is not None else ("ok", _("works"))

    def get_inlines(self, request: HttpRequest, obj: HookEndpoint | None = None) -> Any:
        return () if obj is None else (CallInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: HookEndpoint | None = None) -> Any:
        return () if obj is None else ("failing_since", "last_error", "created_at")

    def get_fields(self, request: HttpRequest, obj: HookEndpoint | None = None) -> Any:
        first = ("name", "url", "events", "enabled")
        return first if obj is None else (*first, "failing_since", "last_error", "created_at")

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> HookEndpoint:
        """A new one is made by the service, which alone knows its secret."""
        if change:
            return super().save_form(request, form, change)
        said = form.cleaned_data
        row, secret = outbox.make_endpoint(said["name"], said["url"], said["events"])
        # On the request: this object serves all threads.
        request.fresh_secret = secret  # type: ignore[attr-defined]
        row.enabled = said["enabled"]
        return row

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The calls are the engine's."""

    def response_add(
        self, request: HttpRequest, obj: HookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The only moment the secret can be read."""
        messages.success(
            request,
            format_html(
                "{} <code style='user-select:all;word-break:break-all'>{}</code>",
                _("The webhook is made. Copy its secret now, your program checks the signature with it:"),
                request.fresh_secret,  # type: ignore[attr-defined]
            ),
        )
        return HttpResponseRedirect(reverse("admin:deliveries_hookendpoint_changelist"))

    @admin.action(description=gettext_lazy("Tell once more what was not heard"), permissions=["change"])
    def tell_again(self, request: HttpRequest, queryset: Any) -> None:
        count = sum(outbox.give_another_try(hook.pk) for hook in queryset)
        messages.success(
            request,
            ngettext("%(count)s call is told again.", "%(count)s calls are told again.", count) % {"count": count},
        )
