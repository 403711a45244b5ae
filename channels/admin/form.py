"""The form of a sending account: our fields and its provider's own, rendered from the provider's Config."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from django import forms
from django.core.validators import RegexValidator
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from cascade.vocabulary import AddressKind, ChargedOn
from channels.admin.words import charged_words, plain_price
from channels.models import Channel
from channels.providers.registry import provider_class
from channels.services import accounts
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
            "greeting",
            "ask_phone",
        )
        labels = {"name": gettext_lazy("Title")}

    provider_slug = ""
    #: After save(): whether these are other credentials or another way to the provider than before.
    account_changed = False

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

    def _names_another_account(self, values: dict[str, Any]) -> bool:
        """Whether anything but a switch differs from what is stored: switches change what is sent, not whose account it
        is."""
        before = {one.name: self.stored.get(one.name, one.default) for one in config_fields(self.provider_slug)}
        return any(before[name] != value for name, value in values.items() if not isinstance(value, bool))

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
        values = self.config_values()
        self.account_changed = (
            kept is not None or "base_url" in self.changed_data or self._names_another_account(values)
        )
        accounts.set_config(channel, accounts.completed(found.slug, {**self.stored, **values}), proxy=kept)
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
    if shape := one.metadata.get("shape"):
        common["validators"] = [RegexValidator(rf"\A(?:{shape.pattern})\Z", _(shape.words))]
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

    address = forms.CharField(label=gettext_lazy("Recipient"), max_length=1000, widget=UnfoldAdminTextInputWidget())
    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


ADDRESS_HELP = {
    AddressKind.PHONE: gettext_noop("Your phone, in any spelling."),
    AddressKind.EMAIL: gettext_noop("Your e-mail address."),
    AddressKind.CHAT_ID: gettext_noop(
        "The number of your chat with this account. Write to it from your phone, wait a few seconds and open this page "
        "again: the number of who wrote last stands here."
    ),
    AddressKind.DEVICE: gettext_noop(
        "Your phone, if your device is registered on your card here; or the token of the device."
    ),
    AddressKind.PERSON: gettext_noop("A colleague's name."),
}


def price_help() -> str:
    """What “charged when” means, each way in its own line."""
    rows = [f"{charged_words(one.value)}: {_(_CHARGED_HELP[one])}" for one in ChargedOn]
    return format_html("{}<br>{}<br>{}", *(row[:1].upper() + row[1:] for row in rows))


_CHARGED_HELP = {
    ChargedOn.ACCEPTED: gettext_noop("you pay for every attempt, also for one that never arrived."),
    ChargedOn.DELIVERED: gettext_noop("what did not arrive costs nothing; this is where cascades save most."),
    ChargedOn.READ: gettext_noop("you pay only for messages that were opened."),
}
