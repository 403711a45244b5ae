"""What channels told us about reaching people: remembered for a while, then tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection

from contacts.models import Reachability

State = Reachability.State

#: How long each fact is believed. Rest, then try again: every one of them can become untrue without telling us.
BELIEVED_FOR: Mapping[str, timedelta] = {
    # People join messengers every day; a week costs one skipped step, a wrong guess the cheaper channel.
    State.NOT_REGISTERED: timedelta(days=7),
    # A block is a person's decision. A month of rest; asking sooner earns the sender a spam mark.
    State.BLOCKED: timedelta(days=30),
    # A dead mailbox or number rarely comes back, but numbers are given to new people.
    State.INVALID: timedelta(days=90),
    # Long enough for a monthly campaign to spare the registration check, short enough to notice who left.
    State.REACHABLE: timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Learned:
    """One fact about one address of a contact. `source`: send, check, callback or inbound."""

    contact_id: int
    channel_id: int
    address: str
    state: str
    source: str


def learn(facts: Sequence[Learned]) -> int:
    """Store facts, the later one about an address winning; those of deleted contacts are left out.

    An id that a channel has found for a phone stands for that phone: what is told about the one is known of the other.
    Out: how many addresses were written. Raises KeyError for an unknown state. One statement; rows are written in the
    order of their keys, so two workers that learn about the same people cannot deadlock.
    """
    newest = {(fact.contact_id, fact.channel_id, fact.address): fact for fact in facts if fact.address}
    if not newest:
        return 0
    rows = [newest[key] for key in sorted(newest)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO contacts_reachability (contact_id, channel_id, address, state, source, learned_at, until)
            SELECT DISTINCT ON (fact.contact_id, fact.channel_id, known.address)
                   fact.contact_id, fact.channel_id, known.address, fact.state, fact.source, now(), now() + fact.believed
              FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::interval[])
                   WITH ORDINALITY AS fact(contact_id, channel_id, address, state, source, believed, position)
              JOIN contacts_contact card ON card.id = fact.contact_id
              CROSS JOIN LATERAL (SELECT coalesce((
                   SELECT nullif(found.found_for, '') FROM contacts_contactaddress found
                    WHERE found.channel_id = fact.channel_id AND found.value = fact.address), fact.address)) known(address)
             ORDER BY fact.contact_id, fact.channel_id, known.address, fact.position DESC
            ON CONFLICT (contact_id, channel_id, address) DO UPDATE
               SET state = excluded.state, source = excluded.source,
                   learned_at = excluded.learned_at, until = excluded.until
            """,
            [
                [fact.contact_id for fact in rows],
                [fact.channel_id for fact in rows],
                [fact.address for fact in rows],
                [str(State(fact.state)) for fact in rows],
                [fact.source[:32] for fact in rows],
                [BELIEVED_FOR[State(fact.state)] for fact in rows],
            ],
        )
        return cursor.rowcount


def forget_expired(limit: int = 10_000) -> int:
    """Delete facts whose time is over, at most `limit` of them. Out: how many went. Safe to run twice at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM contacts_reachability WHERE id IN (
                SELECT id FROM contacts_reachability WHERE until < now() LIMIT %s FOR UPDATE SKIP LOCKED)
            """,
            [limit],
        )
        return cursor.rowcount
