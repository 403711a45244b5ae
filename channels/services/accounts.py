"""Credentials of sending accounts: encrypted at rest, read here and nowhere else.

`Channel.config_encrypted` is one Fernet token over JSON `{"config": {...}, "proxy": "..."}`. Keys come from
`settings.CHANNEL_SECRET_KEYS` (outside the database): the first encrypts, all decrypt, so a key is changed by
putting a new one in front, running `manage.py rotate_channel_keys`, and dropping the old one, with no moment at
which a worker cannot read. The proxy's address is inside too, because it usually carries a password; the column
`Channel.proxy` shows the same address without the login.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_type_hints
from urllib.parse import urlsplit, urlunsplit

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_noop

from channels import mail_services
from channels.models import Channel, ChannelState
from channels.providers.base import Capabilities, Provider
from channels.providers.registry import provider_class
from channels.providers.wire import app_key


class AccountError(Exception):
    """The account cannot be used as it is stored. `message` is an English msgid, `params` fill its %(name)s."""

    def __init__(self, message: str, **params: str) -> None:
        super().__init__(message, params)
        self.message = message
        self.params = params

    def __str__(self) -> str:
        return self.message % self.params


_UNREADABLE = gettext_noop(
    "The credentials of this channel cannot be decrypted: the key they were written with is no longer among "
    "CHANNEL_SECRET_KEYS. Put the key back, or enter the credentials again."
)
_INCOMPLETE = gettext_noop("The settings of this channel are incomplete: “%(field)s” is missing.")
_WRONG = gettext_noop("The settings of this channel are wrong: “%(field)s” must be a number.")
_NO_PROVIDER = gettext_noop("This installation does not know the provider “%(provider)s”.")


@dataclasses.dataclass(frozen=True, slots=True)
class Secrets:
    """What the token holds. `repr` shows nothing of it: this object travels near logs."""

    config: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    proxy: str = dataclasses.field(default="", repr=False)


def get_secrets(channel: Channel) -> Secrets:
    """Decrypted settings; empty for a channel that has none yet. Raises AccountError when no key fits."""
    if not channel.config_encrypted:
        return Secrets()
    try:
        held = json.loads(unseal_text(channel.config_encrypted))
    except (InvalidToken, ValueError):
        # Not `from error`: the chain would carry the token into a traceback.
        raise AccountError(_UNREADABLE) from None
    return Secrets(config=dict(held["config"]), proxy=held.get("proxy", ""))


def get_config(channel: Channel) -> dict[str, Any]:
    """The provider's Config fields as stored. Raises AccountError."""
    return get_secrets(channel).config


def set_config(channel: Channel, values: Mapping[str, Any], *, proxy: str | None = None) -> None:
    """Put Config fields (and the proxy, unless None) into `channel`, unsaved.

    Fields not given keep their value, so a form that leaves a secret empty leaves it out. Where the stored token
    cannot be read any more it is replaced: entering the credentials again must be possible.
    """
    try:
        held = get_secrets(channel)
    except AccountError:
        held = Secrets()
    kept = held.proxy if proxy is None else proxy.strip()
    channel.proxy = proxy_without_login(kept)
    channel.config_encrypted = _seal({**held.config, **values}, kept)


def create_channel(provider: str, name: str, config: Mapping[str, Any], **fields: Any) -> Channel:
    """A new, saved account with its state row; kind, rate and charged-on come from the adapter unless given.

    Raises AccountError for an unknown provider or incomplete settings.
    """
    proxy = fields.pop("proxy", "")
    config = completed(provider, config)
    channel = Channel(provider=provider, name=name, **fields)
    adapter = build_adapter(provider, config)
    channel.kind = adapter.kind.value
    channel.rate = fields.get("rate", adapter.capabilities.default_rate)
    channel.charged_on = fields.get("charged_on", adapter.capabilities.charged_on.value)
    set_config(channel, config, proxy=proxy)
    with transaction.atomic():
        channel.save()
        ChannelState.objects.create(channel=channel)
    return channel


def proxy_for(channel: Channel) -> str:
    """The proxy with its login, "" for none; for the outgoing seam. Raises AccountError."""
    return get_secrets(channel).proxy


def proxy_without_login(address: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else address


def adapter_for(channel: Channel) -> Provider:
    """The adapter of this account, built once per process and again when the owner changed anything it is made of.

    The row is the version: the key below is everything the adapter is built from, compared on every call, so no
    signal and no time-to-live is needed and a worker cannot go on with an old token after it has read the row.
    Raises AccountError.
    """
    key = (channel.provider, channel.config_encrypted, channel.base_url, channel.callback_secret)
    cached = _adapters.get(channel.pk)
    if cached is not None and cached[0] == key:
        return cached[1]
    built = build_adapter(
        channel.provider,
        get_config(channel),
        base_url=channel.base_url,
        callback_secret=channel.callback_secret,
    )
    if channel.pk is not None:
        address = callback_url(channel)
        built.callback_url = address if address.startswith("https://") else ""
        built.app_url = app_url(channel)
        _adapters[channel.pk] = (key, built)
    return built


def callback_url(channel: Channel) -> str:
    """The address the provider calls with receipts; "" while no callback door is mounted (see docs/channels.md).

    The door is the engine's and the engine is above us, so it is found by name.
    """
    try:
        return f"{settings.PUBLIC_BASE_URL}{reverse('public:callback', args=[channel.pk, channel.callback_secret])}"
    except NoReverseMatch:
        return ""


def app_url(channel: Channel) -> str:
    """Where this account's app or site registers devices and reports receipts. Not a secret, and not to be guessed."""
    try:
        return f"{settings.PUBLIC_BASE_URL}{reverse('public:app', args=[channel.pk, app_key(channel.callback_secret)])}"
    except NoReverseMatch:
        return ""


def capabilities_of(channel: Channel) -> Capabilities:
    """What this account can do: its options may narrow or widen what its provider can (SMSC's recall, replies).

    Falls back to the provider's own facts for an account whose settings cannot be read. Raises AccountError for a
    provider nobody wrote.
    """
    try:
        return adapter_for(channel).capabilities
    except AccountError:
        try:
            return provider_class(channel.provider).capabilities
        except KeyError:
            raise AccountError(_NO_PROVIDER, provider=channel.provider) from None


def build_adapter(slug: str, values: Mapping[str, Any], *, base_url: str = "", callback_secret: str = "") -> Provider:
    """An adapter from plain values. Raises AccountError for an unknown provider or incomplete settings."""
    try:
        found = provider_class(slug)
    except KeyError:
        raise AccountError(_NO_PROVIDER, provider=slug) from None
    built = found(make_config(found.Config, values), base_url=base_url, callback_secret=callback_secret)
    built.read_events = mail_services.read_events
    return built


def completed(slug: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with what is made for the owner (a pair of keys). Raises AccountError for an unknown provider."""
    try:
        return provider_class(slug).completed(values)
    except KeyError:
        raise AccountError(_NO_PROVIDER, provider=slug) from None


def make_config(config: type, values: Mapping[str, Any]) -> Any:
    """An instance of a provider's Config dataclass from JSON values.

    Keys the provider no longer knows are ignored (an old row, a newer adapter). Raises AccountError for a required
    field that is missing or empty.
    """
    hints = get_type_hints(config)
    ready: dict[str, Any] = {}
    for one in dataclasses.fields(config):
        value = values.get(one.name)
        optional = one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING
        if value is None or value == "":
            if not optional:
                raise AccountError(_INCOMPLETE, field=str(one.metadata.get("label", one.name)))
            if value is None or hints[one.name] is not str:
                continue
        if hints[one.name] in {int, float} and not isinstance(value, bool):
            try:
                value = hints[one.name](value)
            except (TypeError, ValueError):
                raise AccountError(_WRONG, field=str(one.metadata.get("label", one.name))) from None
        ready[one.name] = value
    return config(**ready)


def secret_fields(config: type) -> list[str]:
    """Names of the Config fields that are never shown."""
    return [one.name for one in dataclasses.fields(config) if one.metadata.get("secret")]


def rotate_keys() -> int:
    """Re-encrypt every channel with the first key; return how many. Raises AccountError naming the first channel
    that no key opens, and then changes nothing.

    Rows are locked one by one in a fixed order, so a form saved meanwhile waits or is re-encrypted, never lost.
    `update()` and not `save()`: a key change is not the owner's change and belongs in no history.
    """
    fernet = _fernet()
    with transaction.atomic():
        count = 0
        for channel in Channel.objects.select_for_update().exclude(config_encrypted="").order_by("pk"):
            try:
                token = fernet.rotate(channel.config_encrypted.encode()).decode()
            except InvalidToken:
                raise AccountError(_ROTATE, channel=channel.name) from None
            Channel.objects.filter(pk=channel.pk).update(config_encrypted=token)
            count += 1
    return count


_ROTATE = gettext_noop(
    "None of the keys opens the channel “%(channel)s”. Nothing was changed. Add the key it was written with."
)

#: channel id -> (what it was built from, the adapter)
_adapters: dict[int, tuple[tuple[str, ...], Provider]] = {}


def _seal(config: Mapping[str, Any], proxy: str) -> str:
    return seal_text(json.dumps({"config": dict(config), "proxy": proxy}))


def seal_text(text: str) -> str:
    """`text` encrypted with the newest key."""
    return _fernet().encrypt(text.encode()).decode()


def unseal_text(token: str) -> str:
    """What seal_text() got. Raises cryptography's InvalidToken when no key fits."""
    return _fernet().decrypt(token.encode()).decode()


def _fernet() -> MultiFernet:
    return _fernet_of(tuple(settings.CHANNEL_SECRET_KEYS))


@lru_cache(maxsize=4)
def _fernet_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
