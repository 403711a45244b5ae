"""Why a whole file cannot be imported, and what the owner can do about it.

A code and parameters are stored with the job; the sentence is made when shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class Trouble(StrEnum):
    """What is wrong with the file as a whole."""

    EMPTY = "empty"
    HEADER_ONLY = "header_only"
    TOO_BIG = "too_big"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_MANY_COLUMNS = "too_many_columns"
    OLD_EXCEL = "old_excel"
    PASSWORD = "password"  # noqa: S105  the name of a problem
    MACROS = "macros"
    OPEN_DOCUMENT = "open_document"
    HTML = "html"
    PDF = "pdf"
    ARCHIVE = "archive"
    NOT_A_TABLE = "not_a_table"
    BOMB = "bomb"
    BROKEN_WORKBOOK = "broken_workbook"
    UNSAFE_WORKBOOK = "unsafe_workbook"
    WORKBOOK_TOO_HEAVY = "workbook_too_heavy"
    NO_SHEETS = "no_sheets"
    HIDDEN_ONLY = "hidden_only"
    OPEN_QUOTE = "open_quote"
    LONG_CELL = "long_cell"
    ENCODING_UNKNOWN = "encoding_unknown"
    NO_ADDRESS_COLUMN = "no_address_column"
    TWO_COLUMNS = "two_columns"
    CONSENT_COLUMN_MISSING = "consent_column_missing"
    EVIDENCE_MISSING = "evidence_missing"
    LIST_NAME_TAKEN = "list_name_taken"
    FILE_GONE = "file_gone"
    STOP_LIST_KEY = "stop_list_key"
    UNEXPECTED = "unexpected"


TEXTS: dict[Trouble, StrPromise] = {
    Trouble.EMPTY: _("The file is empty. Check that you chose the right file and that it was saved."),
    Trouble.HEADER_ONLY: _("There are headers in the file but not a single row of data below them."),
    Trouble.TOO_BIG: _("The file is %(size)s MB; at most %(limit)s MB can be read. Split it into parts."),
    Trouble.TOO_MANY_ROWS: _("There are more than %(limit)s rows in the file. Split it into parts."),
    Trouble.TOO_MANY_COLUMNS: _(
        "The file has %(count)s columns; at most %(limit)s can be read. Delete the extra ones."
    ),
    Trouble.OLD_EXCEL: _(
        "This is a file of an old Excel (.xls). Open it and choose “Save as” → “Excel workbook (.xlsx)”."
    ),
    Trouble.PASSWORD: _("The workbook is protected by a password. Take the protection off and save it again."),
    Trouble.MACROS: _("There are macros in the workbook. Save it as an ordinary workbook (.xlsx) or as CSV."),
    Trouble.OPEN_DOCUMENT: _("This is an OpenDocument table (.ods). Save it as .xlsx or CSV."),
    Trouble.HTML: _(
        "This is a web page with the name of a table: some systems export so. "
        "Open it in Excel and choose “Save as” → “Excel workbook (.xlsx)”."
    ),
    Trouble.PDF: _("This is a PDF document. Export the list as CSV or XLSX from the system it came from."),
    Trouble.ARCHIVE: _("This is an archive. Unpack it and upload the table that is inside."),
    Trouble.NOT_A_TABLE: _("This file is neither CSV nor XLSX. Export the list as CSV or XLSX."),
    Trouble.BOMB: _("The workbook unpacks to something enormous and was not opened. Save it again as CSV."),
    Trouble.BROKEN_WORKBOOK: _("The workbook is damaged. Open it in Excel and save it under another name."),
    Trouble.UNSAFE_WORKBOOK: _("There is something in the workbook that Excel does not write. Save it as CSV."),
    Trouble.WORKBOOK_TOO_HEAVY: _("The workbook needs too much memory or time. Save the sheet as CSV."),
    Trouble.NO_SHEETS: _("There is no sheet with a table in the workbook."),
    Trouble.HIDDEN_ONLY: _("All filled sheets of the workbook are hidden. Choose one yourself if you need it."),
    Trouble.OPEN_QUOTE: _(
        "A quotation mark opened in line %(line)s is never closed. Correct that line, "
        "or switch off “Quotes wrap values” if quotes are ordinary characters in this file."
    ),
    Trouble.LONG_CELL: _("A cell in line %(line)s is longer than %(limit)s characters: is a quotation mark missing?"),
    Trouble.ENCODING_UNKNOWN: _(
        "The encoding could not be recognised. Choose the one in which the names are readable."
    ),
    Trouble.NO_ADDRESS_COLUMN: _("No column is marked as phone or e-mail. Mark at least one of them."),
    Trouble.TWO_COLUMNS: _("Two columns are marked as “%(field)s”. Leave one of them."),
    Trouble.CONSENT_COLUMN_MISSING: _("Consent is to be taken from a column, but no column is marked as consent."),
    Trouble.EVIDENCE_MISSING: _("Say where and how the people have agreed: without it the consent proves nothing."),
    Trouble.LIST_NAME_TAKEN: _("There is a list “%(name)s” already. Choose it, or give the new one another name."),
    Trouble.FILE_GONE: _("The uploaded file is no longer on the server. Upload it again."),
    Trouble.STOP_LIST_KEY: _(
        "The stop-list cannot be read: the server's SUPPRESSION_KEY was changed. "
        "Ask your administrator to put the old key back; nothing was imported."
    ),
    Trouble.UNEXPECTED: _(
        "Something unforeseen happened, and the import stopped after %(done)s rows. What was done is kept; "
        "start the import again to go on. If it stops again, send the number of this import to your administrator."
    ),
}


class FileTroubleError(Exception):
    """The file (or what was chosen for it) cannot be imported. `code` and `params` say why, str() says it in words."""

    def __init__(self, code: Trouble, **params: Any) -> None:
        super().__init__(code.value)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return describe(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return what is stored with the job."""
        return {"code": self.code.value, "params": self.params}


def describe(stored: Mapping[str, Any]) -> str:
    """Return the sentence for what `as_json` stored; empty for an empty mapping."""
    if not stored:
        return ""
    try:
        return str(TEXTS[Trouble(stored["code"])]) % stored.get("params", {})
    except (ValueError, KeyError):
        return str(stored.get("code", ""))
