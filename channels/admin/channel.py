"""Sending accounts: choose a provider, fill in its own fields, see whether it works and what it costs."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.http import require_POST
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from cascade.vocabulary import AddressKind, ChargedOn
from channels.admin.words import charged_words, money, plain_price, price_words, provider_card
from channels.models import Channel, ChannelPull, ChannelState
from channels.providers.base import Capabilities
from channels.providers.registry import provider_class, slugs
from channels.services import accounts, checks, health, incoming, pace
from channels.services.accounts import AccountError

#: Config fields live among the model's own in one form; the prefix keeps `name` and `name` apart.
PREFIX = "config__"


class ChannelForm(forms.ModelForm):
    """Base of the per-provider forms made by form_for(). Secrets are write-only: shown never, kept when left empty."""

    proxy = forms.CharField(
        label=gettext_lazy("Proxy"),
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "http://user:password@host:port, if this server may not go out directly. Once saved, the login is hidden."
        ),
    )

    base_url = forms.URLField(
        label=gettext_lazy("Address of the API"),
        required=False,
        max_length=300,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("Only for a regional or own host; empty: the provider's usual one."),
    )

    class Meta:
        model = Channel
        fields = (
            "name",
            "enabled",
            "base_url",
            "price",
            "currency",
            "charged_on",
            "rate",
            "check_registration",
            "incoming",
        )
        labels = {"name": gettext_lazy("Title")}

    provider_slug = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored: dict[str, Any] = {}
        if self.instance.pk:
            try:
                self.stored = accounts.get_config(self.instance)
            except AccountError:
                self.stored = {}
            self.fields["proxy"].initial = self.instance.proxy
            self.initial["price"] = plain_price(self.instance.price)
        for one in config_fields(self.provider_slug):
            field = self.fields[PREFIX + one.name]
            if one.metadata.get("secret"):
                if self.stored.get(one.name):
                    field.required = False
                    field.help_text = _("Saved and hidden. Leave empty to keep it.")
            elif one.name in self.stored:
                field.initial = self.stored[one.name]

    def clean_proxy(self) -> str:
        """http(s)://[user:password@]host:port or nothing."""
        value = str(self.cleaned_data["proxy"]).strip()
        if value and not value.startswith(("http://", "https://")):
            raise forms.ValidationError(_("Write the proxy as http://user:password@host:port."))
        return value

    def config_values(self) -> dict[str, Any]:
        """What the owner entered, without secrets left empty."""
        values: dict[str, Any] = {}
        for one in config_fields(self.provider_slug):
            value = self.cleaned_data.get(PREFIX + one.name)
            if one.metadata.get("secret") and value in (None, ""):
                continue
            values[one.name] = value
        return values

    def clean(self) -> dict[str, Any]:
        """The adapter itself must be able to live with the values: what it refuses, the owner reads here."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                adapter = accounts.build_adapter(
                    self.provider_slug, {**self.stored, **self.config_values()}, base_url=cleaned.get("base_url", "")
                )
            except AccountError as error:
                raise forms.ValidationError(_(error.message) % error.params) from None
            except ValueError as error:
                raise forms.ValidationError(_("These settings cannot work: %(reason)s") % {"reason": error}) from None
            if problem := adapter.problem():
                self.add_error(PREFIX + config_fields(self.provider_slug)[0].name, _(problem))
        return cleaned

    def save(self, commit: bool = True) -> Channel:
        channel: Channel = super().save(commit=False)
        found = provider_class(self.provider_slug)
        channel.provider, channel.kind = self.provider_slug, found.kind.value
        proxy = self.cleaned_data["proxy"]
        # The field shows the address without its login: sent back as it was, it means "keep".
        kept = None if self.instance.pk and proxy == self.fields["proxy"].initial else proxy
        accounts.set_config(channel, self.config_values(), proxy=kept)
        if commit:
            channel.save()
        return channel


def config_fields(slug: str) -> list[dataclasses.Field[Any]]:
    """The owner's fields of a provider, in the order it declares them."""
    return list(dataclasses.fields(provider_class(slug).Config))


def form_for(slug: str) -> type[ChannelForm]:
    """The form of one provider: our fields and its own, rendered from its Config."""
    config = provider_class(slug).Config
    hints = get_type_hints(config)
    declared: dict[str, Any] = {"provider_slug": slug}
    for one in dataclasses.fields(config):
        declared[PREFIX + one.name] = _form_field(one, hints[one.name])
    return type("ChannelForm", (ChannelForm,), declared)


def _form_field(one: dataclasses.Field[Any], hint: Any) -> forms.Field:
    has_default = one.default is not dataclasses.MISSING
    label, about = one.metadata.get("label") or one.name, one.metadata.get("help_text")
    common: dict[str, Any] = {
        "label": _(label),
        "help_text": _(about) if about else "",
        "required": not has_default,
        "initial": one.default if has_default else None,
    }
    if hint is bool:
        return forms.BooleanField(widget=UnfoldBooleanSwitchWidget(), **{**common, "required": False})
    if hint is int:
        return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget(), **common)
    if hint is float:
        return forms.FloatField(widget=UnfoldAdminDecimalFieldWidget(), **common)
    if one.metadata.get("secret"):
        # autocomplete: a browser must not offer the owner's own password here, nor remember this one.
        widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False)
        return forms.CharField(widget=widget, max_length=4000, **{**common, "initial": None})
    if (lines := one.metadata.get("lines", 1)) > 1:
        area = UnfoldAdminTextareaWidget(attrs={"rows": lines, "spellcheck": "false"})
        return forms.CharField(widget=area, max_length=4000, **common)
    return forms.CharField(widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}), max_length=1000, **common)


class TestMessageForm(forms.Form):
    """“Send a test to me.”"""

    address = forms.CharField(label=gettext_lazy("Recipient"), max_length=200, widget=UnfoldAdminTextInputWidget())
    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


_ADDRESS_HELP = {
    AddressKind.PHONE: gettext_noop("Your phone, in any spelling."),
    AddressKind.EMAIL: gettext_noop("Your e-mail address."),
    AddressKind.CHAT_ID: gettext_noop("The number of your chat with this account. Write to the bot first."),
    AddressKind.DEVICE: gettext_noop("The token of your device."),
    AddressKind.PERSON: gettext_noop("A colleague's name."),
}


@admin.register(Channel)
class ChannelAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
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
        js = ("channels/channel.js",)

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
        context = {"no_channels": not Channel.objects.exists(), "providers": _cards()}
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
        if not _known(slug):
            return [(None, {"fields": ("name",)})]
        capabilities = accounts.capabilities_of(obj) if obj else provider_class(slug).capabilities
        fields = config_fields(slug)
        own = [PREFIX + one.name for one in fields if not one.metadata.get("rare")]
        rare = [PREFIX + one.name for one in fields if one.metadata.get("rare")]
        check = ("check_registration",) if capabilities.check and not capabilities.resolves else ()
        return [
            (None, {"fields": ("name", "enabled")}),
            (_("Account at the provider"), {"fields": own}),
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
        if not _known(slug):
            context = {
                **self.admin_site.each_context(request),
                "title": _("Choose a provider"),
                "opts": self.opts,
                "media": self.media,
                "providers": _cards(),
            }
            return TemplateResponse(request, "channels/admin/channel_choose.html", context)
        extra = {
            "title": _("New channel: %(provider)s") % {"provider": _(provider_class(slug).title)},
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            "card": provider_card(slug, provider_class(slug).capabilities),
        }
        return super().add_view(request, form_url, {**extra, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        channel = self.get_object(request, object_id)
        if channel is not None and not _known(channel.provider):
            messages.error(request, _("This installation does not know the provider “%s”.") % channel.provider)
            return redirect("admin:channels_channel_changelist")
        context: dict[str, Any] = {
            "show_save_and_add_another": False,
            "check_at_once": "check" in request.GET,
            "connect_at_once": "connect" in request.GET,
        }
        if channel is not None:
            context |= _panel(channel)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        obj.incoming_changed = change and "incoming" in form.changed_data  # type: ignore[attr-defined]
        ChannelState.objects.get_or_create(channel=obj)
        if not change:
            messages.info(request, _("Saved. Checking the connection…"))

    def response_add(self, request: HttpRequest, obj: Channel, post_url_continue: str | None = None) -> HttpResponse:
        """To the channel's page and not to the list: it checks the connection as soon as it is open."""
        if "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(f"{_change_url(obj)}?check=1")

    def response_change(self, request: HttpRequest, obj: Channel) -> HttpResponse:
        """Who chose another way for replies and receipts: the page tells the provider as soon as it is open."""
        if getattr(obj, "incoming_changed", False) and "_popup" not in request.POST:
            messages.info(request, _("Saved. Telling the provider…"))
            return HttpResponseRedirect(f"{_change_url(obj)}?connect=1")
        return super().response_change(request, obj)

    def revert_disabled(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        """History is for reading: an old row has no credentials to go back to."""
        return True

    # ------------------------------------------------------------ buttons

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any) -> Any:
            return self.admin_site.admin_view(view)

        return [
            path("<int:pk>/check/", wrap(require_POST(self.check_now)), name="channels_channel_check_now"),
            path("<int:pk>/balance/", wrap(require_POST(self.balance_now)), name="channels_channel_balance"),
            path("<int:pk>/receipts/", wrap(require_POST(self.receipts_here)), name="channels_channel_receipts"),
            path("<int:pk>/switch/", wrap(require_POST(self.switch)), name="channels_channel_switch"),
            path("<int:pk>/test/", wrap(self.send_test), name="channels_channel_test"),
            *super().get_urls(),
        ]

    def check_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        _say(request, checks.self_test(channel))
        if (opened := checks.check_mailbox(channel)) is not None:
            _say(request, opened)
        return HttpResponseRedirect(_change_url(channel))

    def balance_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        _say(request, checks.ask_balance(channel))
        return HttpResponseRedirect(_change_url(channel))

    def receipts_here(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        _say(request, checks.connect_receipts(channel))
        return HttpResponseRedirect(_change_url(channel))

    def switch(self, request: HttpRequest, pk: int) -> HttpResponse:
        channel = self._mine(request, pk)
        channel.enabled = not channel.enabled
        channel.save(update_fields=["enabled"])
        if channel.enabled:
            messages.success(request, _("The channel is switched on."))
        else:
            messages.warning(request, _("The channel is switched off. Running cascades skip it from now on."))
        return HttpResponseRedirect(_change_url(channel))

    def send_test(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A page of its own, because a test costs money: the button names the price."""
        channel = self._mine(request, pk)
        initial = {"text": _("Test message from Cascade. If you read this, the channel works.")}
        capabilities = accounts.capabilities_of(channel)
        if capabilities.address is AddressKind.EMAIL:
            initial["address"] = getattr(request.user, "email", "")
        form = TestMessageForm(request.POST or None, initial=initial)
        form.fields["address"].help_text = _(_ADDRESS_HELP[capabilities.address])
        if request.method == "POST" and form.is_valid():
            verdict = checks.send_test(
                channel, form.cleaned_data["address"], form.cleaned_data["text"], subject=_("Test message")
            )
            _say(request, verdict)
            if verdict.ok:
                return HttpResponseRedirect(_change_url(channel))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Test message: %(channel)s") % {"channel": channel.name},
            "opts": self.opts,
            "media": self.media,
            "original": channel,
            "channel": channel,
            "form": form,
            "price": price_words(channel) if channel.price else "",
            "charged": charged_words(channel.charged_on),
            "back": _change_url(channel),
        }
        return TemplateResponse(request, "channels/admin/channel_test.html", context)

    def _mine(self, request: HttpRequest, pk: int) -> Channel:
        """The channel, if this person may change it and its provider is known."""
        channel = get_object_or_404(Channel, pk=pk)
        if not self.has_change_permission(request, channel) or not _known(channel.provider):
            raise PermissionDenied
        return channel


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
    pulled = incoming.is_pulled(channel, capabilities)
    asked = ChannelPull.objects.filter(channel=channel).first() if pulled else None
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
            "callback_url": accounts.callback_url(channel) if _has_callbacks(capabilities) and not pulled else "",
            "pulled": pulled,
            "mailbox": pulled and capabilities.pull_always,
            "pulled_by_choice": pulled and incoming.has_public_address(),
            "pull": asked,
            "pull_trouble": _(asked.trouble) % asked.trouble_params if asked and asked.trouble else "",
            "can_connect": not capabilities.callback_set_by_hand,
            "by_hand": capabilities.callback_set_by_hand,
            "per_message": capabilities.callback_per_message,
            "public": accounts.callback_url(channel).startswith("https://"),
            "paused_until": pace.paused_until(channel.pk),
            "has_balance": capabilities.balance,
            "balance": money(state.balance, channel.currency) if state and state.balance is not None else "",
            "card": provider_card(channel.provider, capabilities),
            "price": price_words(channel) if channel.price else "",
            "charged": charged_words(channel.charged_on),
            "steps": channel.chain_steps.select_related("chain").order_by("chain__name")[:10],
        }
    }


def _has_callbacks(capabilities: Capabilities) -> bool:
    return any(how in {"callback", "both", "button"} for how in capabilities.reports.values())


def _state_of(channel: Channel) -> ChannelState | None:
    """The state row; a channel made by a bulk load has none yet."""
    return getattr(channel, "state", None)


def _title(channel: Channel) -> str:
    return _(provider_class(channel.provider).title) if _known(channel.provider) else channel.provider


def _known(slug: str) -> bool:
    try:
        provider_class(slug)
    except KeyError:
        return False
    return True


def _cards() -> list[dict[str, Any]]:
    url = reverse("admin:channels_channel_add")
    return [
        {**provider_card(slug, provider_class(slug).capabilities), "url": f"{url}?provider={slug}"} for slug in slugs()
    ]


def _change_url(channel: Channel) -> str:
    return reverse("admin:channels_channel_change", args=[channel.pk])


def _say(request: HttpRequest, verdict: checks.Verdict) -> None:
    level = messages.SUCCESS if verdict.ok else messages.ERROR
    text = verdict.text()
    if verdict.detail and not verdict.ok and verdict.detail not in text:
        text = f"{text} ({verdict.detail})"
    messages.add_message(request, level, text)


def price_help() -> str:
    """What “charged when” means, each way in its own line."""
    rows = [f"{charged_words(one.value)}: {_(_CHARGED_HELP[one])}" for one in ChargedOn]
    return format_html("{}<br>{}<br>{}", *(row[:1].upper() + row[1:] for row in rows))


_CHARGED_HELP = {
    ChargedOn.ACCEPTED: gettext_noop("you pay for every attempt, also for one that never arrived."),
    ChargedOn.DELIVERED: gettext_noop("what did not arrive costs nothing; this is where cascades save most."),
    ChargedOn.READ: gettext_noop("you pay only for messages that were opened."),
}
