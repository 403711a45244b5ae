"""The read rows of one job, in an UNLOGGED table of its own.

One table per reading, not one for all: dropping it is instant where deleting a million rows is not, and a process that
woke up from the dead writes into a table nobody looks at. UNLOGGED because the file is still there: a crash of
PostgreSQL empties the table, the job notices and reads the file again.

The table is the preview as well: what the owner is shown is what will be merged.
"""

# ruff: noqa: S608  the only thing put into SQL is a table name, made by table_of and checked by quoted
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from contacts.imports.rows import COPY_COLUMNS
from contacts.reasons import Reason, text

_NAME = re.compile(r"contacts_import_[0-9]+_[0-9a-f]{8}")

VERDICTS = ("imported", "updated", "duplicate", "rejected")


def table_of(job_id: int, token: str) -> str:
    """Return the name of the table one reading of one job uses."""
    return f"contacts_import_{job_id}_{token[:8]}"


def quoted(table: str) -> str:
    """Return the name for SQL. Raises ValueError for anything that `table_of` does not make."""
    if not _NAME.fullmatch(table):
        raise ValueError(f"not a staging table: {table!r}")
    return f'"{table}"'


def create(table: str) -> None:
    """Make the table, empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            DROP TABLE IF EXISTS {quoted(table)};
            CREATE UNLOGGED TABLE {quoted(table)} (
                n integer NOT NULL,
                line integer NOT NULL,
                phone text, email text, name text, full_name text, birthday date, branch text, timezone text,
                tags jsonb, consent smallint, consent_value text, suppressed smallint,
                attributes jsonb, variables jsonb,
                reject text, reject_column text, reject_value text, notes jsonb,
                first_n integer
            ) WITH (autovacuum_enabled = false)
            """
        )


def copy(table: str, block: str) -> None:
    """Append a block of COPY text."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {quoted(table)} ({', '.join(COPY_COLUMNS)}) FROM STDIN WITH (NULL '')") as stream,
    ):
        stream.write(block)


def drop(table: str) -> None:
    """Drop the table; nothing happens when it is gone."""
    if table:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {quoted(table)}")


def orphans(in_use: Iterable[str]) -> list[str]:
    """Return the staging tables no job points to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'contacts\\_import\\_%'")
        return sorted({row[0] for row in cursor.fetchall() if _NAME.fullmatch(row[0])} - set(in_use))


def is_complete(table: str, rows: int) -> bool:
    """Say whether the table is there with all its rows (a crash of PostgreSQL empties it)."""
    if not table:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [quoted(table)])
        if cursor.fetchone()[0] is None:
            return False
        cursor.execute(f"SELECT count(*) FROM {quoted(table)}")
        return bool(cursor.fetchone()[0] == rows)


def settle(table: str) -> int:
    """Find the rows that are one person and fold them into the first of them. Out: how many rows are duplicates.

    Rows are one person when the phone is the same; a row with an e-mail only belongs to the one phone that goes with
    this e-mail, in the file or in the base (to none when it goes with several: a family's mailbox). Folding: the
    first value of each field counts, empty ones are filled by later rows, consent is the strictest (no before yes),
    so is the stop-list.
    """
    name = quoted(table)
    with transaction.atomic(), connection.cursor() as cursor:
        # The index serves the pages of the preview and the chunks of the merge; rows came sorted, so it costs little.
        cursor.execute(f"CREATE UNIQUE INDEX ON {name} (n); ANALYZE {name}")
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {name} WHERE phone IS NULL AND email IS NOT NULL)")
        if cursor.fetchone()[0]:
            cursor.execute(
                f"""
                WITH lonely AS (SELECT DISTINCT email FROM {name} WHERE phone IS NULL AND email IS NOT NULL),
                owned AS (
                    SELECT lonely.email, file.phone FROM lonely JOIN {name} file USING (email)
                     WHERE file.phone IS NOT NULL
                    UNION
                    SELECT lonely.email, card.phone FROM lonely JOIN contacts_contact card USING (email)
                     WHERE card.phone IS NOT NULL),
                one AS (SELECT email, min(phone) AS phone FROM owned GROUP BY email HAVING count(*) = 1)
                UPDATE {name} staged SET phone = one.phone FROM one WHERE staged.phone IS NULL AND staged.email = one.email
                """
            )
        # A key without the other kind's prefix: a phone begins with +, an e-mail never does.
        cursor.execute(
            f"""
            WITH repeated AS (
                SELECT coalesce(phone, email) AS key, min(n) AS first_n FROM {name}
                 WHERE reject IS NULL GROUP BY 1 HAVING count(*) > 1)
            UPDATE {name} staged SET first_n = repeated.first_n FROM repeated
             WHERE coalesce(staged.phone, staged.email) = repeated.key AND staged.reject IS NULL AND staged.n > repeated.first_n
            """
        )
        duplicates = int(cursor.rowcount)
        if duplicates:
            cursor.execute(f"ANALYZE {name}")
            cursor.execute(_FOLD.format(table=name))
            cursor.execute(f"ANALYZE {name}")
    return duplicates


# Joined and not asked as "n IN (all first_n)": that list has a row per row of the file, outgrows the memory of a hash
# somewhere between 200,000 and a million, and is then read again for every row (measured: minutes without an end).
#: First value wins; of JSON objects, later rows only add keys; consent and stop-list by strictness.
_FOLD = """
WITH person AS (
    SELECT first_n AS person_n, later.* FROM {table} later WHERE first_n IS NOT NULL
    UNION ALL
    SELECT earlier.n, earlier.*
      FROM {table} earlier JOIN (SELECT DISTINCT first_n FROM {table} WHERE first_n IS NOT NULL) folded_into
        ON folded_into.first_n = earlier.n),
folded AS (
    SELECT person_n,
           (array_agg(email ORDER BY n) FILTER (WHERE email IS NOT NULL))[1] AS email,
           (array_agg(name ORDER BY n) FILTER (WHERE name IS NOT NULL))[1] AS name,
           (array_agg(full_name ORDER BY n) FILTER (WHERE full_name IS NOT NULL))[1] AS full_name,
           (array_agg(birthday ORDER BY n) FILTER (WHERE birthday IS NOT NULL))[1] AS birthday,
           (array_agg(branch ORDER BY n) FILTER (WHERE branch IS NOT NULL))[1] AS branch,
           (array_agg(timezone ORDER BY n) FILTER (WHERE timezone IS NOT NULL))[1] AS timezone,
           min(consent) AS consent,
           (array_agg(consent_value ORDER BY consent, n) FILTER (WHERE consent IS NOT NULL))[1] AS consent_value,
           max(suppressed) AS suppressed
      FROM person GROUP BY person_n),
tagged AS (
    SELECT person_n, jsonb_agg(DISTINCT tag) AS tags
      FROM person, LATERAL jsonb_array_elements_text(tags) AS tag GROUP BY person_n),
kept AS (
    SELECT person_n, jsonb_object_agg(key, value ORDER BY n DESC) AS attributes
      FROM person, LATERAL jsonb_each(attributes) GROUP BY person_n),
given AS (
    SELECT person_n, jsonb_object_agg(key, value ORDER BY n DESC) AS variables
      FROM person, LATERAL jsonb_each(variables) GROUP BY person_n)
UPDATE {table} staged
   SET email = folded.email, name = folded.name, full_name = folded.full_name, birthday = folded.birthday,
       branch = folded.branch, timezone = folded.timezone, consent = folded.consent,
       consent_value = folded.consent_value, suppressed = folded.suppressed,
       tags = tagged.tags, attributes = kept.attributes, variables = given.variables
  FROM folded LEFT JOIN tagged USING (person_n) LEFT JOIN kept USING (person_n) LEFT JOIN given USING (person_n)
 WHERE staged.n = folded.person_n
"""

#: What the run will do with a row, said from the rows as they are and the base as it is now.
_VERDICT = """
CASE WHEN staged.reject IS NOT NULL THEN 'rejected'
     WHEN staged.first_n IS NOT NULL THEN 'duplicate'
     WHEN card.id IS NOT NULL THEN 'updated'
     ELSE 'imported' END
"""
#: Two lookups by unique indexes; one join on "either" would read the whole base for each row.
_CARD = """
LEFT JOIN LATERAL (
    SELECT id, marketing_consent, suppressed FROM contacts_contact WHERE phone = staged.phone
    UNION ALL
    SELECT id, marketing_consent, suppressed FROM contacts_contact
     WHERE staged.phone IS NULL AND phone IS NULL AND email = staged.email
    LIMIT 1) card ON true
"""


def totals(table: str) -> dict[str, int]:
    """Return how many rows of each verdict the run would give, now. Reads the table once."""
    name = quoted(table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*),
                   count(*) FILTER (WHERE staged.reject IS NOT NULL),
                   count(*) FILTER (WHERE staged.reject IS NULL AND staged.first_n IS NOT NULL),
                   count(*) FILTER (WHERE staged.reject IS NULL AND staged.first_n IS NULL AND known.phone IS NOT NULL)
              FROM {name} staged LEFT JOIN contacts_contact known ON known.phone = staged.phone
            """
        )
        rows, rejected, duplicate, updated = cursor.fetchone()
        cursor.execute(
            f"""
            SELECT count(*) FROM {name} staged JOIN contacts_contact card ON card.phone IS NULL AND card.email = staged.email
             WHERE staged.phone IS NULL AND staged.reject IS NULL AND staged.first_n IS NULL
            """
        )
        updated += cursor.fetchone()[0]
    return {
        "imported": rows - rejected - duplicate - updated,
        "updated": updated,
        "duplicate": duplicate,
        "rejected": rejected,
    }


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One row of the file as the owner sees it before the import."""

    line: int
    verdict: str
    phone: str
    email: str
    name: str
    #: Sentences: why it was refused, what was changed, what will happen to it.
    remarks: tuple[str, ...]


def page(table: str, *, after: int, size: int, verdict: str = "") -> list[tuple[int, PreviewRow]]:
    """Return up to `size` rows behind row number `after` with their numbers; of one verdict when given.

    By key and not by offset: page 20,000 costs what page 1 costs.
    """
    if verdict and verdict not in (*VERDICTS, "warned"):
        verdict = ""
    condition = "true"
    if verdict == "warned":
        condition = "staged.notes IS NOT NULL"
    elif verdict:
        condition = f"{_VERDICT} = %(verdict)s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT staged.n, staged.line, {_VERDICT}, staged.phone, staged.email, coalesce(staged.full_name, staged.name), staged.reject,
                   staged.reject_column, staged.reject_value, staged.notes, first.line,
                   greatest(staged.suppressed, card.suppressed) > 0,
                   staged.consent = 1 AND card.marketing_consent = 'withdrawn'
              FROM {quoted(table)} staged {_CARD}
              LEFT JOIN {quoted(table)} first ON first.n = staged.first_n
             WHERE staged.n > %(after)s AND {condition} ORDER BY staged.n LIMIT %(size)s
            """,
            {"after": after, "size": size, "verdict": verdict},
        )
        return [(row[0], _preview(row)) for row in cursor.fetchall()]


def _preview(row: Sequence[Any]) -> PreviewRow:
    line, verdict, phone, email, name, reject, column, value, notes, first_line, stopped, withdrawn = row[1:]
    remarks = []
    if reject:
        remarks.append(_remark(column or "", reject, value or ""))
    if first_line is not None:
        remarks.append(f"{text(Reason.MERGED)} {_('See line %(line)s.') % {'line': first_line}}")
    parsed = json.loads(notes) if isinstance(notes, str) else notes or []
    remarks.extend(_remark(*note) for note in parsed)
    if stopped:
        remarks.append(text(Reason.STOP_LIST))
    if withdrawn:
        remarks.append(text(Reason.CONSENT_KEPT_WITHDRAWN))
    return PreviewRow(line, verdict, phone or "", email or "", name or "", tuple(remarks))


def _remark(column: str, code: str, value: str) -> str:
    """Return one sentence with where and what it is about: «Телефон “12”: This is not a phone number.»"""
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    quotation = _("“%(value)s”") % {"value": shown} if shown else ""
    where = " ".join(part for part in (column, quotation) if part)
    return f"{where}: {text(code)}" if where else text(code)


def addresses(table: str, first: int, last: int) -> list[tuple[int, str | None, str | None]]:
    """Return (n, phone, e-mail) of the rows first <= n <= last that will become cards."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT n, phone, email FROM {quoted(table)}
             WHERE n BETWEEN %s AND %s AND reject IS NULL AND first_n IS NULL
            """,
            [first, last],
        )
        return [(int(n), phone, email) for n, phone, email in cursor.fetchall()]


def set_scopes(table: str, first: int, last: int, scopes: Mapping[int, int]) -> None:
    """Replace what the stop-list says about the rows first <= n <= last; those missing in `scopes` are free."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {quoted(table)} staged SET suppressed = said.scope
              FROM (SELECT file.n, new.scope FROM {quoted(table)} file
                      LEFT JOIN unnest(%s::int[], %s::int[]) AS new(n, scope) USING (n)
                     WHERE file.n BETWEEN %s AND %s AND file.first_n IS NULL) said
             WHERE staged.n = said.n AND staged.suppressed IS DISTINCT FROM said.scope
            """,
            [list(scopes), list(scopes.values()), first, last],
        )
