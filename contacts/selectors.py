"""Questions about contacts. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date

from django.db import connection
from django.db.models import Q

from contacts.models import Contact, ListMember
from contacts.phones import Rejected, normalise

#: Names an owner may write in a text, by the card's field: the first is the canonical one, the others mean the same.
#: Templates validate against known_variables(); column headers of files are matched elsewhere (imports.headers).
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "имя"),
    "full_name": ("full_name", "фио"),
    "phone": ("phone", "телефон"),
    "email": ("email", "почта"),
    "birthday": ("birthday", "день_рождения"),
    "branch": ("branch", "филиал"),
}

#: Names of the card's fields: an attribute or a file's column cannot take one of them.
RESERVED: frozenset[str] = frozenset(alias for aliases in VARIABLES.values() for alias in aliases)


def template_variables(contact_ids: Collection[int]) -> dict[int, dict[str, str]]:
    """Return what each contact's text may mention, by contact id.

    Every name of VARIABLES is present, empty when unknown; attributes come under their own keys and never cover a
    field of the card. Values are texts as a person would read them (birthday 31.12.1990). One query. Contacts that
    are gone are missing from the answer.
    """
    if not contact_ids:
        return {}
    rows = Contact.objects.filter(pk__in=contact_ids).values_list(
        "pk", "name", "full_name", "phone", "email", "birthday", "branch__name", "attributes"
    )
    return {pk: as_variables(*row) for pk, *row in rows.iterator(chunk_size=5000)}


def as_variables(
    name: str,
    full_name: str,
    phone: str | None,
    email: str | None,
    birthday: date | None,
    branch: str | None,
    attributes: Mapping[str, object] | None,
) -> dict[str, str]:
    """The same for one card that the caller has read already."""
    values = {key: as_text(value) for key, value in attributes.items()} if attributes else {}
    born = birthday.strftime("%d.%m.%Y") if birthday else ""
    for aliases, value in zip(
        VARIABLES.values(), (name, full_name, phone or "", email or "", born, branch or ""), strict=True
    ):
        for alias in aliases:
            values[alias] = value
    return values


def known_variables() -> set[str]:
    """Return every name a text may mention: the card's fields with their aliases and the attribute keys in use."""
    return set(RESERVED) | attribute_keys()


def attribute_keys() -> set[str]:
    """Return the attribute keys that occur on cards.

    Looks at the newest 20,000 cards with attributes: keys come with imports, so a key that none of them has is
    history, and reading all of a million cards for it would cost a second at every saving of a template.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT jsonb_object_keys(attributes) FROM (
                SELECT attributes FROM contacts_contact WHERE attributes <> '{}' ORDER BY id DESC LIMIT 20000) recent
            """
        )
        return {row[0] for row in cursor.fetchall()}


def list_variables(list_ids: Iterable[int]) -> set[str]:
    """Return the names that the files of these lists brought along ({order}, {master} ...). Looks at the newest
    20,000 members of each list."""
    found: set[str] = set()
    with connection.cursor() as cursor:
        for list_id in list_ids:
            cursor.execute(
                """
                SELECT DISTINCT jsonb_object_keys(variables) FROM (
                    SELECT variables FROM contacts_listmember
                     WHERE list_id = %s AND variables <> '{}' ORDER BY id DESC LIMIT 20000) recent
                """,
                [list_id],
            )
            found.update(row[0] for row in cursor.fetchall())
    return found


def file_variables() -> set[str]:
    """Return the names that the files of any list brought along. Looks at 2,000 members of each list: an import gives
    its columns to all of them, and this is asked while an owner types."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT jsonb_object_keys(seen.variables) FROM contacts_contactlist list CROSS JOIN LATERAL (
                SELECT variables FROM contacts_listmember WHERE list_id = list.id LIMIT 2000) seen
            """
        )
        return {row[0] for row in cursor.fetchall()}


def people_with(names: Collection[str], count: int) -> list[tuple[Contact, dict[str, str]]]:
    """Return the newest people whose list's file gave them one of these values, each with all values of that list row.

    Looks at the newest 20,000 rows of lists, for the same reason.
    """
    recent = ListMember.objects.order_by("-pk").values("pk")[:20_000]
    rows = ListMember.objects.filter(pk__in=recent, variables__has_any_keys=list(names)).select_related("contact")
    return [
        (row.contact, {key: as_text(value) for key, value in row.variables.items()})
        for row in rows.order_by("-pk")[:count]
    ]


def as_text(value: object) -> str:
    """Return a JSON value as a person writes it: no None, no True, no brackets."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, list):
        return ", ".join(as_text(one) for one in value)
    return str(value)


_OWN = """
SELECT DISTINCT ON (a.contact_id, a.channel_id) a.contact_id, a.channel_id, a.value, coalesce(r.state, '')
  FROM contacts_contactaddress a LEFT JOIN contacts_reachability r
    ON r.contact_id = a.contact_id AND r.channel_id = a.channel_id AND r.address = a.value
   AND r.until > now() AND r.state <> 'reachable'
 WHERE a.contact_id = ANY(%s::bigint[]) AND a.channel_id = ANY(%s::bigint[])
 ORDER BY a.contact_id, a.channel_id, r.state IS NOT NULL, a.seen_at DESC, a.id DESC
"""


def own_addresses(contact_ids: Collection[int], channel_ids: Collection[int]) -> dict[tuple[int, int], tuple[str, str]]:
    """Where to write to these people in channels with addresses of their own: (contact, channel) -> (address, "").

    Of several the one seen last that is not known to be dead; where all are, the newest of them with what is known:
    a Reachability state instead of "". One query, by the contacts' index.
    """
    if not contact_ids or not channel_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_OWN, [list(contact_ids), list(channel_ids)])
        return {(contact, channel): (value, state) for contact, channel, value, state in cursor.fetchall()}


#: Set by register_channel_names(); None until the app of the channels has introduced itself.
_channel_names: Callable[[], Mapping[int, str]] | None = None


def register_channel_names(names: Callable[[], Mapping[int, str]]) -> None:
    """The app above tells what its channels are called: contacts know their numbers only."""
    global _channel_names  # noqa: PLW0603 - imports go one way through the house, so the upper app comes to us at start
    _channel_names = names


def channel_names() -> Mapping[int, str]:
    """What each channel is called, by its id. One query."""
    return _channel_names() if _channel_names is not None else {}


def time_zone(contact: Contact, default: str) -> str:
    """Return the contact's IANA zone: its own, its branch's, else the given default."""
    return contact.timezone or (contact.branch.timezone if contact.branch else "") or default


def found_by(term: str) -> Q:
    """Return the condition on Contact for what somebody types to find a person: a phone in any spelling or its first
    digits, the beginning of an e-mail, parts of a name. Each way has its index (see Contact.Meta.indexes)."""
    term = term.strip().replace("\x00", "")
    if "@" in term:
        return Q(email__startswith=term.lower())
    digits = "".join(char for char in term if char.isdigit())
    if len(digits) >= 4 and not any(char.isalpha() for char in term):
        return _phone_like(term, digits)
    found = Q()
    for word in term.split()[:5]:
        found &= Q(name__icontains=word) | Q(full_name__icontains=word)
    if term.isascii() and " " not in term:
        found |= Q(email__startswith=term.lower())
    return found


def _phone_like(term: str, digits: str) -> Q:
    read = normalise(term)
    if not isinstance(read, Rejected):
        return Q(phone=read.e164)
    if term.startswith("+"):
        return Q(phone__startswith=f"+{digits}")
    if digits[0] in "78":
        return Q(phone__startswith=f"+7{digits[1:]}")
    return Q(phone__startswith=f"+7{digits}") | Q(phone__startswith=f"+{digits}")
