"""Addresses that belong to one sending account: a bot's chat id, a push token."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models.functions import Now
from django.utils.timezone import now

from contacts.models import Contact, ContactAddress, Reachability
from contacts.services import merge, suppressions
from contacts.services.reachability import BELIEVED_FOR


@transaction.atomic
def attach(contact_id: int, channel_id: int, value: str, *, found_for: str = "") -> ContactAddress:
    """Make `value` the contact's address in this channel; `found_for`: the phone a channel found it for.

    Whoever shows up with a chat owns it: when it hangs on another card that has no phone and no e-mail (the bot made
    it when the stranger first wrote), that card is merged into this one; from a full card the chat is moved.
    The contact inherits a stop of the chat. Out: the address. Raises Contact.DoesNotExist.
    """
    suppressions.hold_for_writing_contacts()
    Contact.objects.select_for_update(no_key=True, of=("self",)).get(pk=contact_id)
    held = ContactAddress.objects.select_related("contact").filter(channel_id=channel_id, value=value).first()
    if held is not None and held.contact_id != contact_id:
        if held.contact.phone or held.contact.email:
            held.delete()
        else:
            merge.merge(keep_id=contact_id, drop_id=held.contact_id)
    address, _ = ContactAddress.objects.update_or_create(
        contact_id=contact_id,
        channel_id=channel_id,
        defaults={"value": value, "found_for": found_for, "created_at": now()},
    )
    suppressions.refresh_cards([contact_id])
    return address


def found_addresses(contact_ids: Sequence[int], channel_id: int) -> dict[tuple[int, str], str]:
    """Addresses a channel has found for phones and that are still believed: (contact, phone) -> address."""
    rows = ContactAddress.objects.filter(
        contact_id__in=contact_ids,
        channel_id=channel_id,
        created_at__gt=Now() - BELIEVED_FOR[Reachability.State.REACHABLE],
    ).exclude(found_for="")
    return {
        (contact_id, phone): value for contact_id, phone, value in rows.values_list("contact_id", "found_for", "value")
    }


@transaction.atomic
def detach(contact_id: int, channel_id: int) -> bool:
    """Forget the contact's address in this channel. Out: whether there was one."""
    deleted, _ = ContactAddress.objects.filter(contact_id=contact_id, channel_id=channel_id).delete()
    return bool(deleted)
