"""What a refusal does to a card. Under services.stops, which ends what runs."""

from __future__ import annotations

from contacts.models import Contact, SuppressionScope
from contacts.services import consents, suppressions
from deliveries.models import HookKind
from deliveries.services.outbox import announce


def forget_marketing(contact: Contact, *, source: str, evidence: str) -> None:
    """Withdraw the consent and put every address of the person on the stop-list for marketing."""
    # The stop-list first: its lock comes before those of the cards everywhere (contacts.services.suppressions).
    suppressions.suppress_contact(contact.pk, SuppressionScope.MARKETING, evidence[:200], source[:64])
    consents.record(contact.pk, granted=False, source=source, evidence=evidence[:2000])
    announce(HookKind.OPTED_OUT, [contact.pk])
