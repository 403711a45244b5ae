"""The stop-list: addresses that must not be written to, whatever happens to the contact.

A row is keyed by HMAC-SHA256 of the normalised address, so it outlives deletion and re-import of the person and says
nothing to a thief of the table. What the engine reads is `Contact.suppressed`, the strictest scope over all addresses
of the contact, kept here.

Two orders make it hold (I3, I22):

* Who stops an address takes the stop-list lock exclusively, writes the row, then locks the contacts. Who creates
  contacts or gives them addresses takes the same lock shared, looks the addresses up, then writes. So no contact can
  be born beside the stop: one of the two waits for the other. An import holds the lock for one chunk (a second or two).
* Contacts are locked FOR NO KEY UPDATE, the lock TX-calling takes: when `suppress` returns and commits, no later
  attempt to this person begins.

The key must never change: under another key every lookup would find nothing. Each row carries the key's fingerprint,
and a row of a foreign key makes every function here raise KeyChangedError instead of answering "not on the list".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from cascade.vocabulary import AddressKind
from contacts.models import Contact, ContactAddress, Suppression, SuppressionScope
from contacts.phones import Phone, normalise

#: Advisory lock number of the stop-list: "supp" as bytes. Every advisory lock of this app is listed here or in
#: contacts.services.imports, so that two purposes never share a number.
STOP_LIST_LOCK = 0x73757070


class KeyChangedError(ImproperlyConfigured):
    """The stop-list was written with another SUPPRESSION_KEY: looking anything up would wrongly find nothing."""


class NotAnAddressError(ValueError):
    """What should be stopped is neither a phone nor an e-mail."""


@dataclass(frozen=True, slots=True)
class Address:
    """A normalised address. `value` is E.164, a lower-case e-mail, or `<channel id>:<chat id>`."""

    kind: AddressKind
    value: str

    @classmethod
    def read(cls, text: str) -> Address:
        """Read a phone in any spelling or an e-mail. Raises NotAnAddressError."""
        cleaned = text.strip()
        if "@" in cleaned and " " not in cleaned:
            return cls(AddressKind.EMAIL, cleaned.lower())
        phone = normalise(cleaned)
        if isinstance(phone, Phone):
            return cls(AddressKind.PHONE, phone.e164)
        raise NotAnAddressError(cleaned)

    @classmethod
    def chat(cls, channel_id: int, value: str) -> Address:
        """Return the address of a chat, which belongs to one sending account."""
        return cls(AddressKind.CHAT_ID, f"{channel_id}:{value}")

    @property
    def hint(self) -> str:
        """Return the address with its middle hidden: enough to recognise one's own, not to write to."""
        if self.kind is AddressKind.EMAIL:
            name, _, domain = self.value.partition("@")
            return f"{name[:2]}***@{domain}"[:40]
        if self.kind is AddressKind.PHONE:
            return f"{self.value[:5]}***{self.value[-4:]}"
        return f"{self.kind.value} ***{self.value[-4:]}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """What `suppress` did: the entry and the contacts it now covers."""

    entry: Suppression
    contact_ids: tuple[int, ...]


def _key() -> bytes:
    """Return the 32 bytes the addresses are hashed with. Not SECRET_KEY: that one is meant to be rotated."""
    return hashlib.sha256(b"cascade.suppression:" + str(settings.SUPPRESSION_KEY).encode()).digest()


def key_fingerprint() -> str:
    """Return what identifies the key without telling it."""
    return hmac.digest(_key(), b"fingerprint", "sha256").hex()[:16]


class Hasher:
    """Hashes many addresses with one reading of the key."""

    def __init__(self) -> None:
        self._key = _key()

    def hash(self, address: Address) -> bytes:
        """Return the 32 bytes an address is filed under."""
        return hmac.digest(self._key, f"{address.kind.value}:{address.value}".encode(), "sha256")

    def phone(self, e164: str) -> bytes:
        """Return the hash of a phone without making an Address (the import's inner loop)."""
        return hmac.digest(self._key, b"phone:" + e164.encode(), "sha256")

    def email(self, email: str) -> bytes:
        """Return the hash of a lower-case e-mail (the import's inner loop)."""
        return hmac.digest(self._key, b"email:" + email.encode(), "sha256")


def ensure_key_unchanged() -> None:
    """Raise KeyChangedError when the list holds rows of another key."""
    mine = key_fingerprint()
    if Suppression.objects.exclude(key_id=mine).exists():
        raise KeyChangedError(
            "The stop-list was written with another SUPPRESSION_KEY. Put the old key back: with a new one nobody "
            "would be recognised as stopped."
        )


def hold_for_writing_contacts() -> None:
    """Take the stop-list lock shared until the end of the transaction: no address is stopped meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [STOP_LIST_LOCK])


def scopes_by_hash(hashes: Iterable[bytes]) -> dict[bytes, int]:
    """Return scope by hash for those on the list. One query whatever the number. Raises KeyChangedError."""
    ensure_key_unchanged()
    rows = Suppression.objects.filter(address_hash__in=list(hashes)).values_list("address_hash", "scope")
    return {bytes(found): scope for found, scope in rows}


def strictest_scope(addresses: Collection[Address]) -> SuppressionScope:
    """Return the strictest scope over the addresses; NONE when none is on the list. Raises KeyChangedError."""
    hasher = Hasher()
    found = scopes_by_hash(hasher.hash(address) for address in addresses) if addresses else {}
    return SuppressionScope(max(found.values(), default=SuppressionScope.NONE))


def addresses_of(contact: Contact) -> list[Address]:
    """Return every address of a contact, those of its bots' chats included."""
    found = []
    if contact.phone:
        found.append(Address(AddressKind.PHONE, contact.phone))
    if contact.email:
        found.append(Address(AddressKind.EMAIL, contact.email.lower()))
    if contact.pk:
        chats = ContactAddress.objects.filter(contact_id=contact.pk).values_list("channel_id", "value")
        found.extend(Address.chat(channel_id, value) for channel_id, value in chats)
    return found


def suppress(address: str | Address, scope: SuppressionScope, reason: str, source: str) -> Stopped:
    """Put an address on the list and stop every contact that has it.

    In: a phone in any spelling, an e-mail, or an Address; a scope above NONE. An address already on the list keeps
    its stricter scope. Out: the entry and the contacts stopped. Raises NotAnAddressError, KeyChangedError.
    """
    target = Address.read(address) if isinstance(address, str) else address
    return _suppress_all([target], scope, reason, source)[0]


def suppress_contact(contact_id: int, scope: SuppressionScope, reason: str, source: str) -> list[Stopped]:
    """Put every address of a contact on the list: "do not write to me anywhere". Raises Contact.DoesNotExist."""
    contact = Contact.objects.get(pk=contact_id)
    addresses = addresses_of(contact)
    if not addresses:
        # Nothing to remember it by; the card alone carries the stop.
        Contact.objects.filter(pk=contact_id, suppressed__lt=scope).update(suppressed=scope)
        return []
    return _suppress_all(addresses, scope, reason, source)


@transaction.atomic
def _suppress_all(addresses: Sequence[Address], scope: SuppressionScope, reason: str, source: str) -> list[Stopped]:
    if scope == SuppressionScope.NONE:
        raise ValueError("a stop needs a scope; to take an address off the list use release()")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [STOP_LIST_LOCK])
    ensure_key_unchanged()
    hasher = Hasher()
    done = []
    for address in addresses:
        entry, created = Suppression.objects.select_for_update().get_or_create(
            address_hash=hasher.hash(address),
            defaults={
                "hint": address.hint,
                "scope": scope,
                "reason": reason[:200],
                "source": source[:64],
                "key_id": key_fingerprint(),
            },
        )
        if not created and entry.scope < scope:
            entry.scope, entry.reason, entry.source = scope, reason[:200], source[:64]
            entry.save(update_fields=["scope", "reason", "source"])
        contact_ids = tuple(_lock_holders(address))
        Contact.objects.filter(pk__in=contact_ids, suppressed__lt=entry.scope).update(suppressed=entry.scope)
        done.append(Stopped(entry, contact_ids))
    return done


@transaction.atomic
def release(entry: Suppression) -> tuple[int, ...]:
    """Take an entry off the list; its contacts keep what their other addresses impose.

    The address is not in the entry, so the contacts are found by hashing those that are stopped. Out: the contacts
    whose scope went down. Deciding that the person has asked for it, and keeping the proof, is the caller's.
    Raises KeyChangedError.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [STOP_LIST_LOCK])
    ensure_key_unchanged()
    gone = bytes(entry.address_hash)
    entry.delete()
    hasher = Hasher()
    touched = [
        contact
        for contact in Contact.objects.filter(suppressed__gt=SuppressionScope.NONE).iterator(chunk_size=2000)
        if any(hasher.hash(address) == gone for address in addresses_of(contact))
    ]
    return refresh_cards([contact.pk for contact in touched])


def refresh_cards(contact_ids: Collection[int]) -> tuple[int, ...]:
    """Set `suppressed` of these contacts to what the list says now. Out: those that changed.

    Call it in a transaction that holds the stop-list lock.
    """
    changed = []
    locked = Contact.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=contact_ids).order_by("pk")
    for contact in locked:
        scope = strictest_scope(addresses_of(contact))
        if scope != contact.suppressed:
            Contact.objects.filter(pk=contact.pk).update(suppressed=scope)
            changed.append(contact.pk)
    return tuple(changed)


def _lock_holders(address: Address) -> list[int]:
    """Lock and return the contacts that have this address, in the order of their ids."""
    cards = Contact.objects.select_for_update(no_key=True, of=("self",)).order_by("pk")
    match address.kind:
        case AddressKind.PHONE:
            cards = cards.filter(phone=address.value)
        case AddressKind.EMAIL:
            cards = cards.filter(email=address.value)
        case _:
            channel_id, _, value = address.value.partition(":")
            owners = ContactAddress.objects.filter(channel_id=int(channel_id), value=value)
            cards = cards.filter(pk__in=owners.values("contact_id"))
    return list(cards.values_list("pk", flat=True))


def guard_new_contact(sender: type[Contact], instance: Contact, **options: Any) -> None:
    """pre_save of Contact: whoever saves a card, a stopped address arrives stopped.

    The net below every door (admin, API, inbound message). Bulk doors (bulk_create, COPY) bypass signals and look
    the list up themselves. Takes the shared lock, which lasts to the end of the transaction when there is one.
    """
    fields = options.get("update_fields")
    if options.get("raw") or (fields is not None and not {"phone", "email"} & set(fields)):
        return
    if instance.email is not None:
        instance.email = instance.email.strip().lower() or None
    hold_for_writing_contacts()
    instance.suppressed = max(
        strictest_scope(addresses_of(instance)),
        # A stop without any address to file it under lives on the card alone.
        SuppressionScope(instance.suppressed) if not (instance.phone or instance.email) else SuppressionScope.NONE,
    )


def list_state() -> str:
    """Return a text that changes whenever the list does: the import compares it instead of looking rows up twice."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), coalesce(max(id), 0), coalesce(sum(scope), 0) FROM contacts_suppression")
        return "/".join(str(part) for part in cursor.fetchone())
