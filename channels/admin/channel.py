"""Sending accounts: choose a provider, fill in its own fields, see whether it works and what it costs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from unfold.decorators import display

from cascade.vocabulary import AddressKind, Milestone
from channels import legal
from channels.admin import choose, guide
from channels.admin.form import PREFIX, ChannelForm, config_fields, form_for, price_help
from channels.admin.setup import ConnectingAdmin, change_url, checklist
from channels.admin.words import charged_words, is_known, money, price_words, provider_card
from channels.models import Channel, ChannelState
from channels.providers import wire
from channels.providers.registry import provider_class
from channels.services import accounts, health, incoming, invites, pace, setup
from channels.services.accounts import AccountError


@admin.register(Channel)
class ChannelAdmin(ConnectingAdmin):
    """List with health and price; add page in two steps; status panel above the form."""

    list_display = ("shown_name", "shown_health", "shown_price", "shown_balance", "shown_rate", "enabled")
    list_filter = ("enabled", "kind")
    list_select_related = ("state",)
    search_fields = ("name",)
    history_list_display: tuple[str, ...] = ()
    list_before_template = "channels/admin/channel_list_before.html"
    change_form_outer_before_template = "channels/admin/channel_panel.html"
    warn_unsaved_form = True

    class Media:
        css = {"all": ("channels/admin.css",)}
        js = ("channels/channel.js", "cascade/live.js")

    # ------------------------------------------------------------ list

    @display(description=gettext_lazy("Channel"), header=True, ordering="name")
    def shown_name(self, channel: Channel) -> tuple[str, str]:
        return channel.name, _title(channel)

    @display(
        description=gettext_lazy("Health"),
        label={"ok": "success", "trouble": "danger", "off": "default", "new": "warning"},
    )
    def shown_health(self, channel: Channel) -> tuple[str, str]:
        return health_badge(channel, _state_of(channel))

    @display(description=gettext_lazy("Price"), ordering="price")
    def shown_price(self, channel: Channel) -> str:
        return f"{price_words(channel)}, {charged_words(channel.charged_on)}" if channel.price else _("free")

    @display(description=gettext_lazy("Balance"))
    def shown_balance(self, channel: Channel) -> str:
        state = _state_of(channel)
        return "—" if state is None or state.balance is None else money(state.balance, channel.currency)

    @display(description=gettext_lazy("Messages a second"), ordering="rate")
    def shown_rate(self, channel: Channel) -> str:
        return f"{channel.rate:g}"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"no_channels": not Channel.objects.exists()}
        if context["no_channels"]:
            context |= choose.context(QueryDict())
        return super().changelist_view(request, {**context, **(extra_context or {})})

    # ------------------------------------------------------------ form

    def get_form(
        self, request: HttpRequest, obj: Channel | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """The provider's own form. Its extra fields are declared, so Django must only be told of the model's."""
        kwargs["form"] = form_for(obj.provider if obj else request.GET["provider"])
        kwargs["fields"] = ChannelForm.Meta.fields
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        slug = obj.provider if obj else request.GET.get("provider", "")
        if not is_known(slug):
            return [(None, {"fields": ("name",)})]
        capabilities = accounts.capabilities_of(obj) if obj else provider_class(slug).capabilities
        fields = config_fields(slug)
        own = [PREFIX + one.name for one in fields if not one.metadata.get("rare")]
        rare = [PREFIX + one.name for one in fields if one.metadata.get("rare")]
        check = ("check_registration",) if capabilities.check and not capabilities.resolves else ()
        return [
            (None, {"fields": ("name", "enabled")}),
            (_("Account at the provider"), {"fields": own}),
            *([(_("Dialogues"), {"fields": ("greeting", "ask_phone")})] if capabilities.invites else []),
            (_("Price"), {"fields": (("price", "currency"), "charged_on"), "description": price_help()}),
            # Folded: their first values suit nearly everybody, and a long form looks like hard work.
            (_("Fine points"), {"fields": (*check, "rate", *rare), "classes": ("collapse",)}),
            (
                _("Connection"),
                {
                    "fields": (
                        "base_url",
                        "proxy",
                        *(("incoming",) if capabilities.pull and not capabilities.pull_always else ()),
                    ),
                    "classes": ("collapse",),
                },
            ),
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        found = provider_class(request.GET["provider"])
        return {
            "name": _(found.title),
            "rate": found.capabilities.default_rate,
            "charged_on": found.capabilities.charged_on.value,
        }

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Step one: choose a provider. Step two: its form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        slug = request.GET.get("provider", "")
        if not is_known(slug):
            context = {
                **self.admin_site.each_context(request),
                "title": _("Choose a provider"),
                "opts": self.opts,
                "media": self.media,
                **choose.context(request.GET),
            }
            return TemplateResponse(request, "channels/admin/channel_choose.html", context)
        extra = {
            "title": _("New channel: %(provider)s") % {"provider": _(provider_class(slug).title)},
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            "card": choose.card_of(slug),
            # A form sent back with a mistake must not stand below it.
            **_guide(slug, opened=request.method == "GET"),
        }
        return super().add_view(request, form_url, {**extra, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        channel = self.get_object(request, object_id)
        if channel is not None and not is_known(channel.provider):
            messages.error(request, _("This installation does not know the provider “%s”.") % channel.provider)
            return redirect("admin:channels_channel_changelist")
        context: dict[str, Any] = {"show_save_and_add_another": False}
        if channel is not None:
            context |= _panel(channel) | checklist(channel, at_once=request.GET)
            context |= _guide(channel.provider, opened=context["setup"]["current"] == setup.Key.CHECKED)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        obj.incoming_changed = change and "incoming" in form.changed_data  # type: ignore[attr-defined]
        obj.account_changed = change and form.account_changed  # type: ignore[attr-defined]
        ChannelState.objects.get_or_create(channel=obj)
        if obj.account_changed:  # type: ignore[attr-defined]
            setup.forget(obj)
        if not change:
            messages.info(request, _("Saved. Checking the connection…"))

    def response_add(self, request: HttpRequest, obj: Channel, post_url_continue: str | None = None) -> HttpResponse:
        """To the channel's page and not to the list: it checks the connection as soon as it is open."""
        if "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(f"{change_url(obj)}?check=1")

    def response_change(self, request: HttpRequest, obj: Channel) -> HttpResponse:
        """New credentials are checked at once, like the first ones. Who chose another way for replies and receipts: the page
        tells the provider as soon as it is open."""
        if "_popup" not in request.POST and getattr(obj, "account_changed", False):
            messages.info(request, _("Saved. Checking the connection…"))
            return HttpResponseRedirect(f"{change_url(obj)}?check=1")
        if "_popup" not in request.POST and getattr(obj, "incoming_changed", False):
            messages.info(request, _("Saved. Telling the provider…"))
            return HttpResponseRedirect(f"{change_url(obj)}?connect=1")
        return super().response_change(request, obj)

    def revert_disabled(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        """History is for reading: an old row has no credentials to go back to."""
        return True


# ---------------------------------------------------------------- what the pages show


def health_badge(channel: Channel, state: ChannelState | None) -> tuple[str, str]:
    """(key for the colour, words)."""
    if not channel.enabled:
        return "off", _("switched off")
    if state is not None and state.breaker == ChannelState.Breaker.OPEN:
        return "trouble", _("account trouble")
    if not channel.config_encrypted:
        return "new", _("no credentials")
    return "ok", _("works")


def _panel(channel: Channel) -> dict[str, Any]:
    """Everything the status panel needs; no network here."""
    state = _state_of(channel)
    capabilities = accounts.capabilities_of(channel)
    trouble = health.advice(state) if state else None
    broken = ""
    try:
        accounts.get_secrets(channel)
    except AccountError as error:
        broken = _(error.message) % error.params
    key, words = health_badge(channel, state)
    return {
        "panel": {
            "channel": channel,
            "state": state,
            "key": key,
            "health": words,
            "broken": broken,
            "what": _(trouble.what) if trouble else "",
            "todo": _(trouble.todo) if trouble else "",
            # Our own words about an account (logged out, asleep) are msgids; a provider's come back as they are.
            "last_error": _(state.last_error) if state and state.last_error else "",
            "app": _app(channel) if capabilities.address is AddressKind.DEVICE else None,
            "invite": next((one.link() for one in invites.inviters([channel.kind]) if one.channel == channel), ""),
            "has_dialogues": Milestone.REPLIED in capabilities.reports,
            "paused_until": pace.paused_until(channel.pk),
            "has_templates": capabilities.templates,
            "templates": channel.approved_texts.exclude(state="gone").count() if capabilities.templates else 0,
            "has_balance": capabilities.balance,
            "balance": money(state.balance, channel.currency) if state and state.balance is not None else "",
            "card": provider_card(channel.provider, capabilities),
            "price": price_words(channel) if channel.price else "",
            "charged": charged_words(channel.charged_on),
        }
    }


def _app(channel: Channel) -> dict[str, Any]:
    """What whoever builds the owner's app or site needs to know (docs/channels/app.md)."""
    return {
        "url": accounts.app_url(channel),
        "signing_key": wire.app_signing_key(channel.callback_secret),
        "in_browser": channel.provider == "web_push",
        "public": incoming.has_public_address(),
    }


def _state_of(channel: Channel) -> ChannelState | None:
    """The state row; a channel made by a bulk load has none yet."""
    return getattr(channel, "state", None)


def _title(channel: Channel) -> str:
    return _(provider_class(channel.provider).title) if is_known(channel.provider) else channel.provider


def _guide(slug: str, *, opened: bool) -> dict[str, Any]:
    """The steps that lead to an account, and the law about its kind. There is one copy of the steps, in Russian, so an
    English page says so."""
    foreign = not (get_language() or "").startswith("ru")
    return {
        "guide": guide.guide_for(slug),
        "guide_open": opened and not foreign,
        "guide_foreign": foreign,
        "law": legal.notes_for([provider_class(slug).kind]),
        "law_read_on": legal.READ_ON,
    }
