"""From lines of a file to lines of COPY: the inner loop of the import.

A million rows pass through `Reader.blocks`, so it does per row only what that row needs: a plain cell costs one
`isprintable`, a plain phone one `translate`; objects and lists are made for what is unusual. The comments name the
price where the plainer way was measured.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quote
from pathlib import Path
from typing import IO
from unicodedata import is_normalized

from contacts.formulas import unescape
from contacts.imports.errors import FileTroubleError, Trouble
from contacts.imports.headers import SINGLE, Column, Field
from contacts.imports.sniffing import read_cells
from contacts.imports.values import (
    ERROR_CELLS,
    MAX_BRANCH,
    MAX_FULL_NAME,
    MAX_NAME,
    MAX_VALUE,
    birthday_of,
    clean,
    consent_of,
    email_of,
    given_name,
    tags_of,
    zone_of,
)
from contacts.phones import Rejected, fast_mobile, normalise
from contacts.reasons import Reason

#: Longer cells are rejected; without a limit of its own the csv module stops at 131,072 with an error for the file.
MAX_CELL = 100_000
MAX_ROWS = 5_000_000
MAX_COLUMNS = 300
#: One COPY block: large enough that a transaction per block costs nothing, small enough for memory and heartbeats.
BLOCK = 25_000
#: A value that goes on over this many lines is a forgotten quotation mark.
MAX_LINES_IN_CELL = 1000

#: Stands after the last line: when it does not come back as a row of its own, a quote was still open.
_END = "\x1eend\x1e"

#: Columns of the staging table in the order COPY gets them; empty text is NULL.
COPY_COLUMNS = (
    "n", "line", "phone", "email", "name", "full_name", "birthday", "branch", "timezone", "tags", "consent",
    "consent_value", "suppressed", "attributes", "variables", "reject", "reject_column", "reject_value", "notes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """How the file is to be read: all the owner could correct."""

    path: Path
    encoding: str
    delimiter: str
    quoted: bool
    #: 1 = first row; 0 = none.
    header_row: int
    #: Lines before the first row (`sep=`).
    skip_lines: int = 0
    #: Cells begin with the row's own number (workbook_child).
    numbered: bool = False


@contextmanager
def opened(source: Source) -> Iterator[IO[str]]:
    """Open the file as text. Undecodable bytes become U+FFFD: the owner sees them in the samples."""
    with source.path.open("r", encoding=source.encoding, errors="replace", newline="", buffering=2**20) as file:
        for _ in range(source.skip_lines):
            file.readline()
        yield file


def cells_of(source: Source, file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number in the file, cells) for every row that has a cell.

    Raises FileTroubleError for a quote that is never closed and for an endless cell.
    """
    csv.field_size_limit(2 * 2**20)

    def lines() -> Iterator[str]:
        for line in file:
            # csv refuses NUL altogether; \x01 is taken out with a warning like any other control character.
            yield line.replace("\0", "\x01") if "\0" in line else line
        # A line of its own also behind one without a line break: each item is a line to csv.
        yield _END

    reader = read_cells(lines(), source.delimiter, source.quoted)  # type: ignore[arg-type]
    shift = source.skip_lines
    before = 0
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if row:
                if row[0] == _END:
                    return
                if before - line > MAX_LINES_IN_CELL or _END in row[-1]:
                    raise FileTroubleError(Trouble.OPEN_QUOTE, line=line + shift)
                if source.numbered:
                    yield int(row[0]), row[1:]
                else:
                    yield line + shift, row
    except csv.Error:
        raise FileTroubleError(Trouble.LONG_CELL, line=before + 1 + shift, limit=2**21) from None


def first_rows(source: Source, limit: int) -> list[tuple[int, list[str]]]:
    """Return the first rows with their line numbers, headers included, for guessing and for samples."""
    found: list[tuple[int, list[str]]] = []
    with opened(source) as file:
        for number, row in enumerate(cells_of(source, file)):
            if number >= limit:
                break
            found.append(row)
    return found


@dataclass(slots=True)
class Totals:
    """What was read so far."""

    rows: int = 0
    rejected: int = 0
    warned: int = 0


@dataclass(slots=True)
class Reader:
    """Turns data rows into COPY text.

    `consent_for_all`: everybody in the file has agreed. `keep_variables`: False puts what is no field onto the card,
    because without a list there is no other place. `scopes`: the stop-list, asked with a block's hashes.
    """

    source: Source
    columns: Sequence[Column]
    consent_for_all: bool = False
    use_consent_column: bool = False
    keep_variables: bool = True
    totals: Totals = field(default_factory=Totals)

    def blocks(self, stopped: Callable[[list[str], list[str]], dict[str, int]] | None = None) -> Iterator[str]:
        """Yield COPY text in blocks of at most BLOCK rows.

        `stopped(phones, e-mails)` returns the stop-list's scope by address for one block; None = the list is empty.
        Raises FileTroubleError.
        """
        with opened(self.source) as file:
            rows = cells_of(self.source, file)
            for _ in range(self.source.header_row and 1):
                self._skip_to_data(rows)
            pending: list[list[str]] = []
            convert = self._converter()
            for line, row in rows:
                converted = convert(line, row)
                if converted is None:
                    continue
                pending.append(converted)
                if len(pending) >= BLOCK:
                    yield self._text(pending, stopped)
                    pending = []
            if pending:
                yield self._text(pending, stopped)

    def _skip_to_data(self, rows: Iterator[tuple[int, list[str]]]) -> None:
        """Leave out everything up to and including the header."""
        for line, _ in rows:
            if line >= self.source.header_row:
                return

    @staticmethod
    def _text(pending: list[list[str]], stopped: Callable[[list[str], list[str]], dict[str, int]] | None) -> str:
        if stopped is not None:
            scopes = stopped([row[2] for row in pending if row[2]], [row[3] for row in pending if row[3]])
            if scopes:
                for row in pending:
                    scope = max(scopes.get(row[2], 0), scopes.get(row[3], 0))
                    if scope:
                        row[12] = str(scope)
        text = "\n".join(map("\t".join, pending)) + "\n"
        # Values hold neither tabs nor line ends (clean() sees to it), so a backslash is all COPY could misread.
        return text.replace("\\", "\\\\") if "\\" in text else text

    def _converter(self) -> Callable[[int, list[str]], list[str] | None]:
        """Return the function that turns one row into the cells of COPY_COLUMNS; None for a blank row.

        The fast half below handles rows in which nothing has to be said about any cell; it must give what
        `_Careful` gives (a property test compares them) and hands over everything else. Nine of ten rows: 6 us
        instead of 22.
        """
        careful = _Careful(self)
        width = len(self.columns)
        at = careful.at
        phone_at, email_at = at.get(Field.PHONE, -1), at.get(Field.EMAIL, -1)
        name_at, full_at = at.get(Field.NAME, -1), at.get(Field.FULL_NAME, -1)
        birth_at, branch_at = at.get(Field.BIRTHDAY, -1), at.get(Field.BRANCH, -1)
        consent_at = at.get(Field.CONSENT, -1) if self.use_consent_column else -1
        rarely = Field.TIMEZONE in at or Field.TAGS in at
        # JSON is put together by hand: the encoder object of a dict costs 4 us a row, this half of one.
        attributes = [(number, f"{quote(key)}:") for number, key in careful.attributes]
        variables = [(number, f"{quote(key)}:") for number, key in careful.variables]
        consent_for_all = "1" if self.consent_for_all else ""
        totals = self.totals

        def convert(line: int, row: list[str]) -> list[str] | None:
            joined = "".join(row)
            if (
                len(row) != width
                or not joined
                # Shorter than the shortest limit, so no cell needs to be measured.
                or len(joined) > MAX_NAME
                or "#" in joined
                or "'" in joined
                or rarely
                or not joined.isprintable()
                or not is_normalized("NFC", joined)
            ):
                return careful.convert(line, row)
            phone: str | None = ""
            email: str | None = ""
            name = full_name = birthday = branch = consent_value = ""
            consent = consent_for_all
            if phone_at >= 0 and row[phone_at]:
                phone = fast_mobile(row[phone_at])
            if email_at >= 0 and row[email_at]:
                email = email_of(row[email_at])
            if not phone or email is None:
                return careful.convert(line, row)
            if name_at >= 0:
                name = row[name_at].strip()
            if full_at >= 0:
                full_name = row[full_at].strip()
                if full_name and not name:
                    name = given_name(full_name)
            if birth_at >= 0 and (text := row[birth_at].strip()):
                born = birthday_of(text)
                if born is None:
                    return careful.convert(line, row)
                birthday = born.isoformat()
            if branch_at >= 0:
                branch = row[branch_at].strip()
            if consent_at >= 0 and (consent_value := row[consent_at].strip()):
                said = consent_of(consent_value)
                if said is None:
                    return careful.convert(line, row)
                consent = "1" if said else "0"
            kept = [prefix + quote(value) for number, prefix in attributes if (value := row[number].strip())]
            given = [prefix + quote(value) for number, prefix in variables if (value := row[number].strip())]
            totals.rows += 1
            careful.check_number_of_rows()
            return [
                str(totals.rows), str(line), phone, email, name, full_name, birthday, branch, "", "", consent,
                consent_value, "", "{" + ",".join(kept) + "}" if kept else "",
                "{" + ",".join(given) + "}" if given else "", "", "", "", "",
            ]  # fmt: skip

        return convert


class _Careful:
    """Converts any row, saying what was changed in it and why it was refused."""

    def __init__(self, reader: Reader) -> None:
        columns = reader.columns
        self.reader = reader
        self.totals = reader.totals
        self.width = len(columns)
        self.at = {column.field: number for number, column in enumerate(columns) if column.field in SINGLE}
        self.headers = [column.header or str(number) for number, column in enumerate(columns, start=1)]
        self.variables: list[tuple[int, str]] = []
        self.attributes: list[tuple[int, str]] = []
        for number, column in enumerate(columns):
            if column.field is Field.ATTRIBUTE or (column.field is Field.VARIABLE and not reader.keep_variables):
                self.attributes.append((number, column.key))
            elif column.field is Field.VARIABLE:
                self.variables.append((number, column.key))
        self._row: list[str] = []
        self._notes: list[list[str]] = []

    def check_number_of_rows(self) -> None:
        """Raise FileTroubleError past the last row we take."""
        if self.totals.rows > MAX_ROWS:
            raise FileTroubleError(Trouble.TOO_MANY_ROWS, limit=MAX_ROWS)

    def convert(self, line: int, row: list[str]) -> list[str] | None:
        """Return the cells of COPY_COLUMNS, None for a row without a single value."""
        if not any(cell and not cell.isspace() for cell in row):
            return None
        self.totals.rows += 1
        self.check_number_of_rows()
        self._notes = []
        for number, cell in enumerate(row):
            if len(cell) > MAX_CELL:
                header = self.headers[number] if number < self.width else ""
                return self._refuse(line, Reason.CELL_TOO_LONG, header, str(len(cell)))
        if len(row) > self.width and any(cell and not cell.isspace() for cell in row[self.width :]):
            return self._refuse(line, Reason.ROW_LONGER, "", str(len(row)))
        if len(row) < self.width:
            self._note(-1, Reason.ROW_SHORTER)
        self._row = (row + [""] * self.width)[: self.width]
        return self._fields(line)

    def _fields(self, line: int) -> list[str]:
        phone, refusal = self._phone()
        if refusal is not None:
            return self._refuse(line, refusal, self.headers[self.at[Field.PHONE]], self._row[self.at[Field.PHONE]])
        email = ""
        if text := self._text(Field.EMAIL, MAX_VALUE):
            email = email_of(text) or ""
            if not email and not phone:
                return self._refuse(line, Reason.EMAIL_INVALID, self.headers[self.at[Field.EMAIL]], text)
            if not email:
                self._note(self.at[Field.EMAIL], Reason.EMAIL_INVALID, text)
        if not phone and not email:
            return self._refuse(line, Reason.NO_ADDRESS, "", "")
        name, full_name = self._text(Field.NAME, MAX_NAME), self._text(Field.FULL_NAME, MAX_FULL_NAME)
        if full_name and not name:
            name = given_name(full_name)
        birthday = zone = consent_value = ""
        if text := self._text(Field.BIRTHDAY, MAX_VALUE):
            born = birthday_of(text)
            if born is None:
                self._note(self.at[Field.BIRTHDAY], Reason.BIRTHDAY_UNREADABLE, text)
            else:
                birthday = born.isoformat()
        branch = self._text(Field.BRANCH, MAX_BRANCH)
        if text := self._text(Field.TIMEZONE, MAX_VALUE):
            zone = zone_of(text) or ""
            if not zone:
                self._note(self.at[Field.TIMEZONE], Reason.ZONE_UNKNOWN, text)
        tags = tags_of(self._text(Field.TAGS, MAX_VALUE))
        consent = "1" if self.reader.consent_for_all else ""
        if self.reader.use_consent_column and (text := self._text(Field.CONSENT, MAX_VALUE)):
            said = consent_of(text)
            if said is None:
                self._note(self.at[Field.CONSENT], Reason.CONSENT_UNREADABLE, text)
            else:
                consent, consent_value = ("1" if said else "0"), text
        kept, given = self._values(self.attributes), self._values(self.variables)
        if self._notes:
            self.totals.warned += 1
        return [
            str(self.totals.rows), str(line), phone, email, name, full_name, birthday, branch, zone,
            _json(tags), consent, consent_value, "", _json(kept), _json(given), "", "", "", _json(self._notes),
        ]  # fmt: skip

    def _phone(self) -> tuple[str, Reason | None]:
        """Return the phone (empty when there is none) or why the row is refused for it."""
        number = self.at.get(Field.PHONE, -1)
        if number < 0 or not self._row[number]:
            return "", None
        raw = self._row[number]
        quick = fast_mobile(raw)
        if quick is not None:
            return quick, None
        text, removed = clean(raw)
        if text in ERROR_CELLS:
            self._note(number, Reason.ERROR_CELL, text)
            return "", None
        if removed:
            self._note(number, Reason.CONTROL_CHARACTERS)
        # A line end may separate two numbers; clean() would make a space of it.
        read = normalise(raw if "\n" in raw or "\r" in raw else text)
        if isinstance(read, Rejected):
            return "", None if read.reason is Reason.PHONE_EMPTY else read.reason
        for warning in read.warnings:
            self._note(number, warning, text)
        return read.e164, None

    def _text(self, field_: Field, limit: int) -> str:
        number = self.at.get(field_, -1)
        return self._cell(number, limit) if number >= 0 and self._row[number] else ""

    def _values(self, wanted: list[tuple[int, str]]) -> dict[str, str]:
        return {key: value for number, key in wanted if self._row[number] and (value := self._cell(number, MAX_VALUE))}

    def _cell(self, number: int, limit: int) -> str:
        """Return one cell cleaned and within its limit, each change noted."""
        value, removed = clean(unescape(self._row[number]))
        if value in ERROR_CELLS:
            self._note(number, Reason.ERROR_CELL, value)
            return ""
        if removed:
            self._note(number, Reason.CONTROL_CHARACTERS)
        if len(value) > limit:
            self._note(number, Reason.CUT, str(len(value)))
            return value[:limit].rstrip()
        return value

    def _note(self, number: int, reason: Reason, value: str = "") -> None:
        self._notes.append([self.headers[number] if number >= 0 else "", reason.value, value[:MAX_VALUE]])

    def _refuse(self, line: int, reason: Reason, column: str, value: str) -> list[str]:
        self.totals.rejected += 1
        out = [""] * len(COPY_COLUMNS)
        out[0], out[1] = str(self.totals.rows), str(line)
        out[15], out[16], out[17] = reason.value, clean(column)[0][:200], clean(value[:MAX_VALUE])[0]
        return out


def _json(value: object) -> str:
    """Return JSON for COPY, empty (NULL) for an empty container."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else ""
