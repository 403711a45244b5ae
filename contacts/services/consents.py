"""The consent ledger and its newest line on the card.

One rule holds both together: **the card repeats the newest marketing line, written in the same transaction**, under
the lock that TX-calling takes on the card. So a send that has read the card sees either the old line or the new one,
never a card without its evidence. Of two lines of one moment the withdrawal counts as newer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils.timezone import now

from cascade.vocabulary import Purpose
from contacts.models import Consent, Contact

#: How far ahead of us another system's clock may be before its consent is refused as nonsense.
CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """What is to be written down. `source` is where (form, file and line, chat), `wording` what the person was
    shown, `evidence` what proves it; `at` is when the person said it (None: now)."""

    contact_id: int
    granted: bool
    source: str
    purpose: Purpose = Purpose.MARKETING
    wording: str = ""
    evidence: str = ""
    at: datetime | None = None
    by_id: int | None = None


def record(
    contact_id: int,
    *,
    granted: bool,
    source: str,
    purpose: Purpose = Purpose.MARKETING,
    wording: str = "",
    evidence: str = "",
    at: datetime | None = None,
    by_id: int | None = None,
) -> Consent:
    """Write one line and refresh the card.

    Out: the new line. Raises Contact.DoesNotExist when the contact is gone, ValueError for an empty source or a
    moment in the future. Locks the contact (FOR NO KEY UPDATE) until the caller's transaction ends.
    """
    line = ConsentLine(contact_id, granted, source, purpose, wording, evidence, at, by_id)
    made = record_many([line])
    if not made:
        raise Contact.DoesNotExist(f"contact {contact_id}")
    return made[0]


def record_many(lines: Sequence[ConsentLine]) -> list[Consent]:
    """Write many lines in one transaction; those of contacts that are gone are left out.

    Raises ValueError as `record` does, before anything is written. Locks the contacts in the order of their ids.
    """
    moment = now()
    for line in lines:
        if not line.source.strip():
            raise ValueError("a consent needs its source: where was it given?")
        if line.at is not None and line.at > moment + CLOCK_TOLERANCE:
            raise ValueError(f"a consent cannot be given in the future ({line.at.isoformat()})")
    with transaction.atomic():
        known = set(
            Contact.objects.select_for_update(no_key=True, of=("self",))
            .filter(pk__in={line.contact_id for line in lines})
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        made = Consent.objects.bulk_create(
            Consent(
                contact_id=line.contact_id,
                purpose=line.purpose.value,
                granted=line.granted,
                at=line.at or moment,
                source=line.source[:200],
                wording=line.wording,
                evidence=line.evidence,
                by_id=line.by_id,
            )
            for line in lines
            if line.contact_id in known
        )
        refresh_cards(known)
    return made


def refresh_cards(contact_ids: Collection[int]) -> None:
    """Make the cards repeat the newest marketing line of their ledgers. Call it inside the transaction that wrote
    the lines and holds the locks."""
    if not contact_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE contacts_contact card
               SET consent_id = newest.id,
                   marketing_consent = CASE WHEN newest.granted THEN 'granted' ELSE 'withdrawn' END
              FROM (SELECT DISTINCT ON (contact_id) contact_id, id, granted
                      FROM contacts_consent
                     WHERE contact_id = ANY(%s) AND purpose = 'marketing'
                     ORDER BY contact_id, at DESC, granted, id DESC) newest
             WHERE card.id = newest.contact_id AND card.consent_id IS DISTINCT FROM newest.id
            """,
            [list(contact_ids)],
        )
