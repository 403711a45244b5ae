"""Links by which a person opens a dialogue with a bot, and is known from the first word on."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from django.db import connection, transaction
from django.utils.timezone import now

from contacts.models import Contact, Invitation
from contacts.services import addresses, suppressions

#: How long a link that nobody has opened is good after it was last handed out.
GOOD_FOR: Final = timedelta(days=30)
#: 96 random bits in 16 characters: every one of them is paid for in an SMS.
TOKEN_BYTES: Final = 12

_ISSUE = """
INSERT INTO contacts_invitation AS i (contact_id, channel_id, token, created_at, expires_at, used_by, refused_by)
SELECT v.contact_id, %s, v.token, now(), now() + %s, '', ''
FROM unnest(%s::bigint[], %s::text[]) AS v(contact_id, token) ORDER BY v.contact_id
ON CONFLICT (contact_id, channel_id) DO UPDATE SET
    token = CASE WHEN i.used_by = '' AND i.expires_at < now() THEN excluded.token ELSE i.token END,
    expires_at = greatest(i.expires_at, excluded.expires_at)
RETURNING i.contact_id, i.token
"""


def issue(contact_ids: Sequence[int], channel_id: int) -> dict[int, str]:
    """A token for each person, good for GOOD_FOR from now: the one they have already, unless it has run out unused.

    One statement, rows in the order of ids; the caller may hold locks of the contacts.
    """
    ids = sorted(set(contact_ids))
    if not ids:
        return {}
    parameters: list[Any] = [channel_id, GOOD_FOR, ids, [secrets.token_urlsafe(TOKEN_BYTES) for _ in ids]]
    with connection.cursor() as cursor:
        cursor.execute(_ISSUE, parameters)
        return dict(cursor.fetchall())


class Redeemed(StrEnum):
    """What became of a token somebody came with."""

    BOUND = "bound"  #: the address is the person's from now on (or was, by this very token)
    EXPIRED = "expired"
    FOREIGN = "foreign"  #: another account of the messenger has used it before
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Redeemed
    contact: Contact | None = None  #: only for BOUND


@transaction.atomic
def redeem(token: str, channel_id: int, address: str) -> Answer:
    """Somebody opened the dialogue with this token: their address becomes the invited person's, once.

    A second account is refused, and that is kept for the owner to see: a link travels, the first who uses it is the one
    it was sent to. Side effects of addresses.attach().
    """
    found = Invitation.objects.filter(token=token, channel_id=channel_id).first()
    if found is None:
        return Answer(Redeemed.UNKNOWN)
    # The locks of attach(), in its order; with the contact's all who come with this token take turns.
    suppressions.hold_for_writing_contacts()
    contact = Contact.objects.select_for_update(no_key=True, of=("self",)).filter(pk=found.contact_id).first()
    found = Invitation.objects.filter(pk=found.pk).first()
    if contact is None or found is None:
        return Answer(Redeemed.UNKNOWN)
    if found.used_by == address:
        return Answer(Redeemed.BOUND, contact)
    if found.used_by:
        Invitation.objects.filter(pk=found.pk).update(refused_at=now(), refused_by=address[:200])
        return Answer(Redeemed.FOREIGN)
    if found.expires_at < now():
        return Answer(Redeemed.EXPIRED)
    Invitation.objects.filter(pk=found.pk).update(used_at=now(), used_by=address[:200])
    addresses.attach(contact.pk, channel_id, address)
    return Answer(Redeemed.BOUND, contact)
