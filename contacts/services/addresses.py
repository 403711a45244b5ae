"""Addresses that belong to one sending account: a bot's chat id, a push token."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models.functions import Now
from django.utils.timezone import now

from contacts.models import Contact, ContactAddress, Reachability
from contacts.services import merge, suppressions
from contacts.services.reachability import BELIEVED_FOR, Learned, learn


@transaction.atomic
def attach(contact_id: int, channel_id: int, value: str, *, found_for: str = "") -> ContactAddress:
    """Make `value` an address of the contact's in this channel, the newest; `found_for`: the phone a channel found it for.

    Others the contact has there are kept. Whoever shows up with a chat owns it: when it hangs on another card that has
    no phone and no e-mail (the bot made it when the stranger first wrote), that card is merged into this one; from a
    full card the chat is moved. The contact inherits a stop of the chat. Out: the address. Raises Contact.DoesNotExist.
    """
    suppressions.hold_for_writing_contacts()
    Contact.objects.select_for_update(no_key=True, of=("self",)).get(pk=contact_id)
    held = ContactAddress.objects.select_related("contact").filter(channel_id=channel_id, value=value).first()
    if held is not None and held.contact_id != contact_id and not (held.contact.phone or held.contact.email):
        merge.merge(keep_id=contact_id, drop_id=held.contact_id)
    address, _ = ContactAddress.objects.update_or_create(
        channel_id=channel_id,
        value=value,
        defaults={"contact_id": contact_id, "found_for": found_for, "seen_at": now()},
    )
    suppressions.refresh_cards([contact_id])
    return address


def keep_learned(facts: Sequence[Learned]) -> None:
    """Store what callbacks taught about addresses. One the person has written from goes before their others from now
    on, and lives, whatever was believed of it. In the order of keys, as learn()."""
    learn(facts)
    wrote = sorted({(one.contact_id, one.channel_id, one.address) for one in facts if one.source == "inbound"})
    for contact_id, channel_id, value in wrote:
        mine = ContactAddress.objects.filter(contact_id=contact_id, channel_id=channel_id, value=value)
        mine.update(seen_at=now())


def found_addresses(contact_ids: Sequence[int], channel_id: int) -> dict[tuple[int, str], str]:
    """Addresses a channel has found for phones and that are still believed: (contact, phone) -> the newest address."""
    rows = ContactAddress.objects.filter(
        contact_id__in=contact_ids,
        channel_id=channel_id,
        seen_at__gt=Now() - BELIEVED_FOR[Reachability.State.REACHABLE],
    ).exclude(found_for="")
    return {
        (contact_id, phone): value
        for contact_id, phone, value in rows.order_by("seen_at").values_list("contact_id", "found_for", "value")
    }
