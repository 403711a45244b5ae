"""Devices of the owner's app or site: who may register one for whom (AddressKind.DEVICE).

Whoever registers a device for a person gets that person's messages, so nobody may for a phone they merely name. One proof
is asked for, and each is something only the right side has:

* the reference of a message of ours that the person got within the last days, through any channel (`message`): the link in
  it leads to our page, or the app was opened from it;
* a signature of the owner's own server, which knows who is logged in: HMAC-SHA256 of "phone|expires" with the channel's
  signing key (`phone`, `expires`, `signature`);
* the device's own former registration (`old`): a browser or a phone got a new token.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.timezone import now

from channels.models import ChannelSetup
from channels.providers import wire
from channels.providers.base import Provider
from contacts import phones
from contacts.models import Contact, ContactAddress
from contacts.services.addresses import attach
from contacts.services.reachability import Learned, learn
from deliveries.models import Attempt

#: A link in a message is a proof for so long: it may be passed on, and the person's messages would follow it.
LINK_PROVES_FOR = timedelta(days=3)
#: Devices of one person in one channel that are kept, the newest.
DEVICES = 5
#: The longest life of a signature of the owner's server.
SIGNATURE_LIVES = timedelta(days=1)


class Refused(Exception):  # noqa: N818 - a verdict
    """Nobody proved whose device this is."""


def register(channel_id: int, provider: Provider, told: Mapping[str, Any]) -> int:
    """Keep the device that `told` describes as the person's newest; returns the contact's id.

    Raises ValueError for what is no device of this channel, Refused where no proof holds. Idempotent.
    """
    address = provider.device_address(_device(told))
    old = told.get("old")
    before = provider.device_address(old) if isinstance(old, dict) else ""
    with transaction.atomic():
        contact_id = _of_former(channel_id, before) or _of_message(told) or _of_signature(provider, told)
        if contact_id is None:
            raise Refused
        if before != address:
            ContactAddress.objects.filter(channel_id=channel_id, value=before, contact_id=contact_id).delete()
        attach(contact_id, channel_id, address)
        _keep_newest(contact_id, channel_id)
        learn([Learned(contact_id, channel_id, address, "reachable", "inbound")])
    return contact_id


def forget(channel_id: int, provider: Provider, told: Mapping[str, Any]) -> bool:
    """The person switched notifications off on this device. Whoever names it whole is the device. Raises ValueError."""
    address = provider.device_address(_device(told))
    deleted, _ = ContactAddress.objects.filter(channel_id=channel_id, value=address).delete()
    return bool(deleted)


def is_ours(channel_id: int, ref: str) -> bool:
    """Whether a message with this reference was sent through this channel; the owner's test message counts."""
    if not wire.OUR_REF.fullmatch(ref):
        return False
    sent = Attempt.objects.filter(client_ref=ref, channel_id=channel_id)
    return sent.exists() or ChannelSetup.objects.filter(pk=channel_id, test_ref=ref).exists()


def _keep_newest(contact_id: int, channel_id: int) -> None:
    """A person has a few devices, and gets a new token with each reinstallation: the older ones are dead or strangers'."""
    mine = ContactAddress.objects.filter(contact_id=contact_id, channel_id=channel_id)
    older = mine.order_by("-seen_at", "-pk").values_list("pk", flat=True)[DEVICES:]
    ContactAddress.objects.filter(pk__in=list(older)).delete()


def _device(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """The device itself: {"subscription": {...}} of a browser, or the registration's own {"token": ...}."""
    inner = told.get("subscription")
    return inner if isinstance(inner, dict) else told


def _of_former(channel_id: int, address: str) -> int | None:
    if not address:
        return None
    held = ContactAddress.objects.filter(channel_id=channel_id, value=address)
    return held.values_list("contact_id", flat=True).first()


def _of_message(told: Mapping[str, Any]) -> int | None:
    ref = wire.ident(told.get("message"))
    if not wire.OUR_REF.fullmatch(ref):
        return None
    found = Attempt.objects.filter(client_ref=ref, called_at__gt=now() - LINK_PROVES_FOR)
    return found.values_list("delivery__contact_id", flat=True).first()


def _of_signature(provider: Provider, told: Mapping[str, Any]) -> int | None:
    """The person whose phone the owner's server has signed; a card is made for one we do not know yet."""
    phone, expires = wire.ident(told.get("phone")), wire.number(told.get("expires"))
    key = wire.app_signing_key(provider.callback_secret)
    if not phone or expires is None or not key:
        return None
    good = hmac.new(key.encode(), f"{phone}|{expires}".encode(), "sha256").hexdigest()
    if not wire.same(wire.ident(told.get("signature")), good):
        return None
    if not 0 < expires - time.time() <= SIGNATURE_LIVES.total_seconds():
        return None
    parsed = phones.normalise(phone)
    if isinstance(parsed, phones.Rejected):
        raise ValueError("not a phone")
    return Contact.objects.get_or_create(phone=parsed.e164)[0].pk
