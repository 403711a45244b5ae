"""Keys: made here, shown once, revoked here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from api.models import ApiKey, Scope
from api.services import keys


class KeyForm(forms.ModelForm):
    """A new key."""

    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Allowed to"),
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Only what the program needs: a key that leaks can do no more than this."),
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")

    def clean_expires_at(self) -> Any:
        """A key that has expired before it was made would open nothing."""
        at = self.cleaned_data["expires_at"]
        if at is not None and at <= now():
            raise forms.ValidationError(_("This moment has passed."))
        return at


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Keys of other programs. A key cannot be changed: what it may do is what was agreed when it was made."""

    form = KeyForm
    list_display = ("name", "prefix", "shown_state", "last_used_at", "expires_at")
    list_before_template = "api/admin/key_hint.html"
    search_fields = ("name", "prefix")
    actions_detail = ("revoke_key",)

    @display(description=gettext_lazy("State"), label={"valid": "success", "revoked": "danger", "expired": "warning"})
    def shown_state(self, key: ApiKey) -> tuple[str, str]:
        if key.revoked_at is not None:
            return "revoked", _("revoked")
        if key.expires_at is not None and key.expires_at <= now():
            return "expired", _("expired")
        return "valid", _("valid")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """What is asked for a new key; all that is known of an old one."""
        if obj is None:
            return ("name", "scopes", "expires_at")
        return (
            "name",
            "prefix",
            "shown_scopes",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "created_at",
            "created_by",
        )

    @display(description=gettext_lazy("Allowed to"))
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(str(Scope(one).label) for one in key.scopes)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        """One button: what follows is the key, and there is nothing to go on editing."""
        extra = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**extra, **(extra_context or {})})

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Revoked instead: the list tells who could do what, and until when."""
        return False

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> ApiKey:
        """The row is made by the service, which alone knows the key."""
        said = form.cleaned_data
        row, key = keys.issue(
            said["name"], said["scopes"], said["expires_at"], by=request.user if request.user.is_authenticated else None
        )
        # On the request: this object serves all threads.
        request.fresh_key = key  # type: ignore[attr-defined]
        return row

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Saved already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing hangs on a key."""

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The only moment the key can be read."""
        messages.success(
            request,
            format_html(
                "{} <code style='user-select:all;word-break:break-all'>{}</code>",
                _("The key is made. Copy it now: it is not kept and cannot be shown again."),
                request.fresh_key,  # type: ignore[attr-defined]
            ),
        )
        return HttpResponseRedirect(reverse("admin:api_apikey_changelist"))

    @action(description=gettext_lazy("Revoke"), icon="block", url_path="open-revoke")
    def revoke_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:api_apikey_revoke", args=[object_id]))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:pk>/revoke/", view, name="api_apikey_revoke"), *super().get_urls()]

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, then do it: from then on the key opens nothing."""
        if not request.user.has_perm("api.change_apikey"):
            raise PermissionDenied
        key = get_object_or_404(ApiKey, pk=pk)
        if request.method == "POST":
            if keys.revoke(key.pk):
                self.log_change(request, key, _("Revoked."))
                messages.success(request, _("The key is revoked. Programs that use it get no answer any more."))
            else:
                messages.info(request, _("The key was revoked already."))
            return HttpResponseRedirect(reverse("admin:api_apikey_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Revoke a key"),
            "opts": self.opts,
            "original": key,
        }
        return TemplateResponse(request, "api/admin/revoke.html", context)
