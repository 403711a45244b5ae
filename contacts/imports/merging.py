"""From staging rows to contacts, a chunk at a time: five statements for 25,000 people.

Everything is said in sets, and said once: the verdict of a row is what INSERT ... ON CONFLICT did, not what a lookup
before it believed. The rules of the merge, per field:

    empty never erases            an empty cell keeps what the card has
    consent only gets stricter    no -> withdrawn, always; yes -> granted only where nothing was said yet
    the ledger gets a line        only when the card's consent changed; so a second upload adds none
    stop-list                     the stricter of the card's and the address's
    nothing changed               the card is not written at all: a second upload costs lookups

Identity is the phone; without one the e-mail among the cards that have no phone.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from contacts.imports.staging import quoted


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one chunk did; the four sum to its rows."""

    rows: int
    imported: int
    updated: int
    duplicates: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where the rows go besides the base, and what proves their consent."""

    job_id: int
    list_id: int | None
    tag_ids: tuple[int, ...]
    #: The file gives no names of its own (only full names): a derived one never replaces the owner's.
    name_is_derived: bool
    consent_source: str
    consent_wording: str
    by_id: int | None
    default_zone: str


class MovedUnderUsError(Exception):
    """A contact was deleted between two statements of one chunk. Rolling back and repeating the chunk is the answer."""


def merge_chunk(table: str, first: int, last: int, target: Target) -> Chunk:
    """Merge the rows first <= n <= last. Call it inside a transaction that holds the stop-list lock shared.

    Raises MovedUnderUsError (repeat the chunk).
    """
    name = quoted(table)
    window = {"first": first, "last": last}
    with connection.cursor() as cursor:
        cursor.execute(_IDS_TABLE)
        cursor.execute(_BRANCHES.format(table=name), {**window, "zone": target.default_zone})
        keep_name = "CASE WHEN card.name <> '' THEN card.name ELSE excluded.name END"
        if not target.name_is_derived:
            keep_name = "CASE WHEN excluded.name <> '' THEN excluded.name ELSE card.name END"
        for by_phone in (True, False):
            parts = {"table": name, "name": keep_name, **(_BY_PHONE if by_phone else _BY_EMAIL)}
            cursor.execute(_UPSERT.format(**parts), window)
            cursor.execute(_UNCHANGED.format(**parts), window)
        cursor.execute(_COUNTS.format(table=name), window)
        rows, rejected, duplicates, people, found, imported = cursor.fetchone()
        if found != people:
            raise MovedUnderUsError
        cursor.execute(
            _LEDGER.format(table=name),
            {
                **window,
                "source": target.consent_source,
                "wording": target.consent_wording,
                "by": target.by_id,
            },
        )
        if target.list_id is not None:
            cursor.execute(_MEMBERS.format(table=name), {**window, "list": target.list_id})
        for statement in (_TAG_NAMES, _TAGS):
            cursor.execute(statement.format(table=name), window)
        if target.tag_ids:
            cursor.execute(_TAGS_FOR_ALL, {"tags": list(target.tag_ids)})
        if rejected:
            cursor.execute(_REJECTS.format(table=name), {**window, "job": target.job_id})
        cursor.execute("TRUNCATE contacts_import_ids")
    return Chunk(rows, imported, found - imported, duplicates, rejected)


#: Which card each row of the chunk became. Temporary: private to this connection, not logged, emptied per chunk.
_IDS_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS contacts_import_ids (
    n integer, contact_id bigint, consent_id bigint, is_new boolean) ON COMMIT DELETE ROWS
"""

_BRANCHES = """
INSERT INTO contacts_branch (name, timezone)
SELECT DISTINCT branch, %(zone)s FROM {table}
 WHERE n BETWEEN %(first)s AND %(last)s AND branch IS NOT NULL AND reject IS NULL
ON CONFLICT (name) DO NOTHING
"""

_BY_PHONE = {"mine": "staged.phone IS NOT NULL", "conflict": "(phone)", "key": "phone", "cards": "true"}
_BY_EMAIL = {
    "mine": "staged.phone IS NULL",
    "conflict": "(email) WHERE phone IS NULL",
    "key": "email",
    "cards": "card.phone IS NULL",
}

# The consent's id is drawn before the contact is written, so that the contact is written once with it: a second
# UPDATE of a million cards would double the work on eight indexes. Its line follows below (foreign keys are checked
# at commit). Sorted by key: two imports of overlapping files take their row locks in one order.
_UPSERT = """
WITH source AS MATERIALIZED (
    SELECT staged.n, staged.phone, staged.email, coalesce(staged.name, '') AS name, coalesce(staged.full_name, '') AS full_name,
           staged.birthday, branch.id AS branch_id, coalesce(staged.timezone, '') AS timezone,
           coalesce(staged.attributes, '{{}}') AS attributes, coalesce(staged.suppressed, 0) AS suppressed,
           CASE staged.consent WHEN 1 THEN 'granted' WHEN 0 THEN 'withdrawn' ELSE 'unknown' END AS consent,
           CASE WHEN staged.consent IS NOT NULL THEN nextval('contacts_consent_id_seq') END AS consent_id
      FROM {table} staged LEFT JOIN contacts_branch branch ON branch.name = staged.branch
     WHERE staged.n BETWEEN %(first)s AND %(last)s AND staged.reject IS NULL AND staged.first_n IS NULL AND {mine}),
written AS (
    INSERT INTO contacts_contact AS card (phone, email, name, full_name, birthday, branch_id, timezone, attributes,
        marketing_consent, consent_id, suppressed, created_at, updated_at)
    SELECT phone, email, name, full_name, birthday, branch_id, timezone, attributes, consent, consent_id, suppressed,
           now(), now()
      FROM source ORDER BY {key}
    ON CONFLICT {conflict} DO UPDATE SET
        email = coalesce(excluded.email, card.email),
        name = {name},
        full_name = CASE WHEN excluded.full_name <> '' THEN excluded.full_name ELSE card.full_name END,
        birthday = coalesce(excluded.birthday, card.birthday),
        branch_id = coalesce(excluded.branch_id, card.branch_id),
        timezone = CASE WHEN excluded.timezone <> '' THEN excluded.timezone ELSE card.timezone END,
        attributes = card.attributes || excluded.attributes,
        marketing_consent = CASE
            WHEN excluded.marketing_consent = 'withdrawn' THEN 'withdrawn'
            WHEN excluded.marketing_consent = 'granted' AND card.marketing_consent = 'unknown' THEN 'granted'
            ELSE card.marketing_consent END,
        consent_id = CASE
            WHEN excluded.marketing_consent = 'withdrawn' AND card.marketing_consent <> 'withdrawn'
              OR excluded.marketing_consent = 'granted' AND card.marketing_consent = 'unknown'
            THEN excluded.consent_id ELSE card.consent_id END,
        suppressed = greatest(card.suppressed, excluded.suppressed),
        updated_at = now()
    WHERE (excluded.email IS NOT NULL AND excluded.email IS DISTINCT FROM card.email)
       OR {name} <> card.name
       OR (excluded.full_name <> '' AND excluded.full_name <> card.full_name)
       OR (excluded.birthday IS NOT NULL AND excluded.birthday IS DISTINCT FROM card.birthday)
       OR (excluded.branch_id IS NOT NULL AND excluded.branch_id IS DISTINCT FROM card.branch_id)
       OR (excluded.timezone <> '' AND excluded.timezone <> card.timezone)
       OR NOT card.attributes @> excluded.attributes
       OR (excluded.marketing_consent = 'withdrawn' AND card.marketing_consent <> 'withdrawn')
       OR (excluded.marketing_consent = 'granted' AND card.marketing_consent = 'unknown')
       OR excluded.suppressed > card.suppressed
    RETURNING id, card.{key} AS key, consent_id, xmax = 0 AS is_new)
INSERT INTO contacts_import_ids (n, contact_id, consent_id, is_new)
SELECT source.n, written.id, CASE WHEN written.consent_id = source.consent_id THEN source.consent_id END, written.is_new
  FROM written JOIN source ON source.{key} = written.key
"""

# Cards that had nothing to change were not returned above. A statement of its own: its snapshot is newer, so it also
# sees cards somebody else created while the one above ran.
_UNCHANGED = """
INSERT INTO contacts_import_ids (n, contact_id, is_new)
SELECT staged.n, card.id, false
  FROM {table} staged JOIN contacts_contact card ON card.{key} = staged.{key} AND {cards}
 WHERE staged.n BETWEEN %(first)s AND %(last)s AND staged.reject IS NULL AND staged.first_n IS NULL AND {mine}
   AND staged.n NOT IN (SELECT n FROM contacts_import_ids)
"""

_COUNTS = """
SELECT count(*), count(*) FILTER (WHERE reject IS NOT NULL),
       count(*) FILTER (WHERE reject IS NULL AND first_n IS NOT NULL),
       count(*) FILTER (WHERE reject IS NULL AND first_n IS NULL),
       (SELECT count(*) FROM contacts_import_ids), (SELECT count(*) FROM contacts_import_ids WHERE is_new)
  FROM {table} WHERE n BETWEEN %(first)s AND %(last)s
"""

_LEDGER = """
INSERT INTO contacts_consent (id, contact_id, purpose, granted, at, source, wording, evidence, by_id)
SELECT ids.consent_id, ids.contact_id, 'marketing', staged.consent = 1, now(), left(%(source)s || ':' || staged.line, 200),
       %(wording)s, coalesce(staged.consent_value, ''), %(by)s
  FROM contacts_import_ids ids JOIN {table} staged USING (n)
 WHERE ids.consent_id IS NOT NULL AND staged.n BETWEEN %(first)s AND %(last)s
"""

_MEMBERS = """
INSERT INTO contacts_listmember AS member (list_id, contact_id, variables)
SELECT %(list)s, ids.contact_id, coalesce(staged.variables, '{{}}')
  FROM contacts_import_ids ids JOIN {table} staged USING (n)
 WHERE staged.n BETWEEN %(first)s AND %(last)s
ON CONFLICT (list_id, contact_id) DO UPDATE SET variables = member.variables || excluded.variables
 WHERE NOT member.variables @> excluded.variables
"""

_TAG_NAMES = """
INSERT INTO contacts_tag (name)
SELECT DISTINCT jsonb_array_elements_text(tags) FROM {table}
 WHERE n BETWEEN %(first)s AND %(last)s AND tags IS NOT NULL AND reject IS NULL AND first_n IS NULL
ON CONFLICT (name) DO NOTHING
"""

_TAGS = """
INSERT INTO contacts_contact_tags (contact_id, tag_id)
SELECT ids.contact_id, tag.id
  FROM contacts_import_ids ids JOIN {table} staged USING (n), LATERAL jsonb_array_elements_text(staged.tags) AS said
  JOIN contacts_tag tag ON tag.name = said
 WHERE staged.n BETWEEN %(first)s AND %(last)s AND staged.tags IS NOT NULL
ON CONFLICT DO NOTHING
"""

_TAGS_FOR_ALL = """
INSERT INTO contacts_contact_tags (contact_id, tag_id)
SELECT contact_id, tag_id FROM contacts_import_ids CROSS JOIN unnest(%(tags)s::bigint[]) AS tag_id
ON CONFLICT DO NOTHING
"""

_REJECTS = """
INSERT INTO contacts_importreject (job_id, line, "column", reason, value)
SELECT %(job)s, line, coalesce(reject_column, ''), reject, coalesce(reject_value, '')
  FROM {table} WHERE n BETWEEN %(first)s AND %(last)s AND reject IS NOT NULL ORDER BY n
"""
