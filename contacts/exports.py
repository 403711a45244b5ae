"""Files that leave the house: safe to open in a spreadsheet, and the same values when they come back.

A cell that begins with a formula's sign gets an apostrophe in front, which spreadsheets take as "this is text"
(ASVS 1.2.10). So that a re-import gives the original, the apostrophe is taken off again, and a value that really
begins with an apostrophe gets a second one. Phones are text in XLSX: as numbers they would lose the plus, and in a
narrow column half of their digits.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, ClassVar

import xlsxwriter
from import_export import fields, resources, widgets

from contacts.models import Branch, Contact, ContactList, ImportJob, ListMember, Tag
from contacts.phones import Rejected, normalise
from contacts.reasons import text as reason_text
from contacts.selectors import as_text
from contacts.services import imports

#: What a spreadsheet may take for a formula, their full-width twins and characters that hide one included.
DANGEROUS = tuple("=+-@\t\r\n\0＝＋－＠")


def escape(value: str) -> str:
    """Return the text as it may stand in a cell of a CSV or XLSX file."""
    return f"'{value}" if value.startswith((*DANGEROUS, "'")) else value


def unescape(value: str) -> str:
    """Undo `escape`; any other text comes back as it is."""
    return value[1:] if value.startswith("'") and value[1:].startswith((*DANGEROUS, "'")) else value


def cell(value: Any) -> str:
    """Return any value as an escaped cell."""
    if isinstance(value, (datetime, date)):
        return value.strftime("%d.%m.%Y")
    return escape(as_text(value))


class SafeText(widgets.CharWidget):
    """Text that is escaped on the way out and unescaped on the way in."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        return unescape(str(value)) if value is not None else ""

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return escape(str(value)) if value is not None else ""


class OptionalText(SafeText):
    """The same where the column knows the difference between empty and none."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        return super().clean(value, row, **kwargs) or None


class PhoneText(OptionalText):
    """A phone: the file may spell it as it likes."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        raw = super().clean(value, row, **kwargs)
        if raw is None:
            return None
        read = normalise(raw)
        if isinstance(read, Rejected):
            raise ValueError(reason_text(read.reason))
        return read.e164


class SafeJson(widgets.Widget):
    """Attributes as JSON text; it always begins with a brace, so there is nothing to escape."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> dict[str, Any]:
        return json.loads(value) if value else {}

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return json.dumps(value, ensure_ascii=False) if value else ""


class ContactResource(resources.ModelResource):
    """Contacts for export and small edits; large files go through contacts.services.imports."""

    phone = fields.Field("phone", "phone", PhoneText())
    email = fields.Field("email", "email", OptionalText())
    name = fields.Field("name", "name", SafeText())
    full_name = fields.Field("full_name", "full_name", SafeText())
    birthday = fields.Field("birthday", "birthday", widgets.DateWidget("%d.%m.%Y"))
    branch = fields.Field("branch", "branch", widgets.ForeignKeyWidget(Branch, "name"))
    timezone = fields.Field("timezone", "timezone", SafeText())
    tags = fields.Field("tags", "tags", widgets.ManyToManyWidget(Tag, separator=";", field="name"))
    attributes = fields.Field("attributes", "attributes", SafeJson())

    class Meta:
        model = Contact
        import_id_fields: ClassVar[tuple[str, ...]] = ("phone",)
        fields: ClassVar[tuple[str, ...]] = (
            "phone", "email", "name", "full_name", "birthday", "branch", "timezone", "tags", "attributes",
        )  # fmt: skip
        export_order = fields
        skip_unchanged = True
        chunk_size = 2000

    def get_export_queryset(self) -> Any:
        return super().get_queryset().select_related("branch").prefetch_related("tags")


# --- lists and rejects ------------------------------------------------------------------------------------------


def list_rows(roll: ContactList) -> Iterator[list[str]]:
    """Yield the header and one row per member, the file's own columns included. Reads in pieces.

    The headers are words the import recognises: the file can be uploaded again as it is.
    """
    members = ListMember.objects.filter(list=roll)
    keys: dict[str, None] = {}
    for variables in members.exclude(variables={}).order_by("pk").values_list("variables", flat=True)[:5000]:
        keys.update(dict.fromkeys(variables))
    yield ["Телефон", "E-mail", "Имя", "ФИО", "Дата рождения", "Филиал", *map(escape, keys)]
    rows = members.order_by("pk").values_list(
        "contact__phone", "contact__email", "contact__name", "contact__full_name", "contact__birthday",
        "contact__branch__name", "variables",
    )  # fmt: skip
    for *card, variables in rows.iterator(chunk_size=5000):
        yield [*map(cell, card), *(cell(variables.get(key)) for key in keys)]


def reject_rows(job: ImportJob, headers: Sequence[str]) -> Iterator[list[str]]:
    """Yield the header and one row per rejected row: line, column, reason, original value."""
    yield list(headers)
    for reject in imports.rejects_of(job):
        yield [str(reject.line), escape(reject.column), reason_text(reject.reason), escape(reject.value)]


def csv_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield CSV text as Russian Excel opens it by a double click: UTF-8 with a mark, semicolons, CRLF."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    buffer.write("\ufeff")
    for row in rows:
        writer.writerow(row)
        if buffer.tell() > 64 * 1024:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def write_xlsx(rows: Iterable[Sequence[str]], target: Any) -> None:
    """Write an XLSX in constant memory, every cell as text, to a binary file object."""
    book = xlsxwriter.Workbook(
        target, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write_string(number, column, value)
    book.close()
