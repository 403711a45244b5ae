"""Files that leave the house: safe to open in a spreadsheet, and the same values when they come back.

The apostrophe of contacts.formulas stands in the text of a CSV cell. XLSX has a mark for it that nobody sees (the
cell's "quote prefix"), so there a phone reads +79123456789; only a text's own apostrophe is doubled there too. Phones
are text in XLSX: as numbers they would lose the plus, and in a narrow column half of their digits.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, ClassVar

import xlsxwriter
from django.utils.translation import gettext_lazy
from import_export import fields, resources, widgets
from import_export.formats import base_formats

from contacts.formulas import DANGEROUS, escape, unescape
from contacts.models import ConsentState, Contact, ContactList, ImportJob, ListMember
from contacts.reasons import text as reason_text
from contacts.selectors import as_text, attribute_keys
from contacts.services import imports


def cell(value: Any) -> str:
    """Return any value as an escaped cell."""
    if isinstance(value, (datetime, date)):
        return value.strftime("%d.%m.%Y")
    return escape(as_text(value))


class SafeText(widgets.Widget):
    """Any value as an escaped cell."""

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return cell(value)


def _column(header: str, attribute: str) -> fields.Field:
    return fields.Field(attribute=attribute, column_name=header, widget=SafeText(), readonly=True)


class ContactResource(resources.ModelResource):
    """Contacts for export, one column per attribute. What comes back comes through contacts.services.imports.

    The headers are words the import recognises: the file can be uploaded again as it is.
    """

    phone = _column("Телефон", "phone")
    email = _column("E-mail", "email")
    name = _column("Имя", "name")
    full_name = _column("ФИО", "full_name")
    birthday = _column("Дата рождения", "birthday")
    branch = _column("Филиал", "branch__name")
    timezone = _column("Часовой пояс", "timezone")
    tags = fields.Field(column_name="Метки", readonly=True)
    consent = fields.Field(column_name="Согласие", readonly=True)
    attributes = fields.Field(column_name=gettext_lazy("attributes"), readonly=True)

    class Meta:
        model = Contact
        fields: ClassVar[tuple[str, ...]] = (
            "phone", "email", "name", "full_name", "birthday", "branch", "timezone", "tags", "consent", "attributes",
        )  # fmt: skip
        export_order = fields
        chunk_size = 2000

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("branch").prefetch_related("tags")

    def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Find out which columns the attributes need."""
        self._keys = sorted(attribute_keys())

    def get_export_headers(self, selected_fields: Any = None) -> list[str]:
        chosen = self.get_export_fields(selected_fields)
        headers = [one.column_name for one in chosen if one is not self.fields["attributes"]]
        return headers + (list(map(escape, self._keys)) if self.fields["attributes"] in chosen else [])

    def export_resource(self, instance: Contact, selected_fields: Any = None, **kwargs: Any) -> list[str]:
        chosen = self.get_export_fields(selected_fields)
        row = [self.export_field(one, instance, **kwargs) for one in chosen if one is not self.fields["attributes"]]
        if self.fields["attributes"] in chosen:
            row += [cell(instance.attributes.get(key)) for key in self._keys]
        return row

    def dehydrate_tags(self, contact: Contact) -> str:
        return escape(";".join(tag.name for tag in contact.tags.all()))

    def dehydrate_consent(self, contact: Contact) -> str:
        """Return words the import reads; empty where nobody has asked."""
        words: dict[str, str] = {ConsentState.GRANTED: "да", ConsentState.WITHDRAWN: "нет"}
        return words.get(contact.marketing_consent, "")


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
    """Write an XLSX in constant memory, every cell as text, to a binary file object. In: escaped cells."""
    book = xlsxwriter.Workbook(
        target, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    sheet = book.add_worksheet()
    is_text = book.add_format({"quote_prefix": True})
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            original = unescape(value)
            if original.startswith(DANGEROUS):
                sheet.write_string(number, column, original, is_text)
            else:
                sheet.write_string(number, column, value)
    book.close()


class ExcelCsv(base_formats.CSV):
    """The CSV of django-import-export as Russian Excel opens it by a double click."""

    def export_data(self, dataset: Any, **kwargs: Any) -> str:
        return "".join(csv_lines([dataset.headers, *dataset]))


class TextXlsx(base_formats.XLSX):
    """The XLSX of django-import-export with every cell as text."""

    def export_data(self, dataset: Any, **kwargs: Any) -> bytes:
        target = io.BytesIO()
        write_xlsx([dataset.headers, *dataset], target)
        return target.getvalue()
