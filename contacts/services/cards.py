"""Cards made and changed by other programs: one person, one card, whoever asks how often."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db import IntegrityError, transaction

from contacts.models import Contact, Tag


class TakenError(ValueError):
    """The phone or e-mail stands on another card. `contact_id`: whose."""

    def __init__(self, contact_id: int) -> None:
        super().__init__(f"contact {contact_id} has it")
        self.contact_id = contact_id


def find(phone: str | None, email: str | None) -> Contact | None:
    """The card of a person: by the phone (E.164), without one by the e-mail (lower case) of a card without a phone."""
    if phone:
        return Contact.objects.filter(phone=phone).first()
    if email:
        return Contact.objects.filter(phone__isnull=True, email=email).first()
    return None


def upsert(values: Mapping[str, Any], tags: Collection[str] | None = None) -> tuple[Contact, bool]:
    """Find the person by phone or e-mail and write the given fields, or make a new card. Out: the card, whether new.

    Fields that are not given keep what they have. `attributes` are merged key by key; `tags` are added. Two programs that
    ask at once meet on one card. Raises ValueError with neither a phone nor an e-mail.
    """
    phone, email = values.get("phone"), values.get("email")
    if not phone and not email:
        raise ValueError("a person is found by a phone or an e-mail")
    try:
        with transaction.atomic():
            found = find(phone, email)
            if found is not None:
                return change(found.pk, values, tags), False
            made = Contact(**values)
            made.save()
            _tag(made, tags)
            return made, True
    except IntegrityError:
        # Somebody else has just made the card: now it can be found.
        found = find(phone, email)
        if found is None:
            raise
        return change(found.pk, values, tags), False


def change(contact_id: int, values: Mapping[str, Any], tags: Collection[str] | None = None) -> Contact:
    """Write fields of a card under its lock; `attributes` are merged, `tags` added.

    Raises Contact.DoesNotExist, TakenError when phone or e-mail belong to another card.
    """
    try:
        with transaction.atomic():
            card = Contact.objects.select_for_update(no_key=True, of=("self",)).get(pk=contact_id)
            for name, value in values.items():
                setattr(card, name, {**card.attributes, **value} if name == "attributes" else value)
            card.save()
            _tag(card, tags)
            return card
    except IntegrityError:
        held = find(values.get("phone"), values.get("email"))
        if held is None or held.pk == contact_id:
            raise
        raise TakenError(held.pk) from None


def _tag(card: Contact, names: Collection[str] | None) -> None:
    if names:
        Tag.objects.bulk_create([Tag(name=name) for name in names], ignore_conflicts=True)
        card.tags.add(*Tag.objects.filter(name__in=names))
