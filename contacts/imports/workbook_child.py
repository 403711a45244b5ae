"""Runs as a process of its own: one sheet of an XLSX becomes a CSV file. Standard library and calamine only.

    python -I workbook_child.py INPUT OUTPUT [SHEET]

A workbook is a foreigner's program for our parser, so it is parsed where it can hurt nobody: in a child with limits of
memory and processor time, which the parent outlives (contacts.imports.workbook). Everything that can be judged without
unpacking is judged first.

Out: OUTPUT as UTF-8 CSV, each line beginning with the row's number in the sheet, rows without any value left out; and
one JSON line on stdout: {"sheets": [{"name", "hidden"}], "sheet", "rows"} or {"trouble": code, "params": {...}} with a
code of contacts.imports.errors.Trouble.

Rules for cells: a date becomes 31.12.1990 (with the time when there is one), a whole number loses its ".0" (phones!),
other numbers keep what the file says, TRUE/FALSE become да/нет, a formula gives its saved value, an error (#Н/Д) or a
formula without a saved value is empty, formatted text is its text, a merged cell has its value in its first cell.
"""

import csv
import datetime
import json
import re
import resource
import struct
import sys
import zipfile
from typing import Any, NoReturn

#: Address space; a sheet that needs more ends the child, not the machine. 500,000 rows x 5 columns need about 400 MB.
MEMORY = 1200 * 2**20
CPU_SECONDS = 120

MAX_ENTRIES = 2000
MAX_UNPACKED = 300 * 2**20
MAX_RATIO = 100
#: Below this a good ratio is no bomb: an empty styles.xml shrinks a lot.
RATIO_FROM = 2**20
MAX_ROWS = 1_048_576
MAX_COLUMNS = 300
MAX_CELL = 100_000

_DOCTYPE = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)


def main(source: str, output: str, wanted: str | None) -> None:
    """Convert or say why not; the exit code is 0 either way, anything else means that the limits struck."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    check_container(source)
    answer(convert(source, output, wanted))


def answer(message: dict[str, Any]) -> None:
    """Tell the parent."""
    json.dump(message, sys.stdout)
    sys.stdout.flush()


def refuse(code: str, **params: Any) -> NoReturn:
    """Tell the parent why not, and end."""
    answer({"trouble": code, "params": params})
    sys.exit(0)


def check_container(source: str) -> None:
    """Judge the ZIP by its directory, then by unpacking into nothing; refuses what Excel would not write."""
    if entry_count(source) > MAX_ENTRIES:
        refuse("bomb")
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        refuse("broken_workbook")
    with archive:
        entries = archive.infolist()
        names = {entry.filename for entry in entries}
        if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            refuse("bomb")
        for entry in entries:
            if entry.file_size > RATIO_FROM and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
                refuse("bomb")
            if entry.flag_bits & 1:
                refuse("password")
            parts = entry.filename.replace("\\", "/").split("/")
            if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in parts[0]:
                refuse("unsafe_workbook")
        if "mimetype" in names:
            refuse("open_document")
        if "[Content_Types].xml" not in names:
            refuse("archive")
        if any(name.lower().endswith(("vbaproject.bin", ".exe", ".dll", ".vbs", ".js")) for name in names):
            refuse("macros")
        if any(name.lower().endswith((".zip", ".xlsx", ".xlsm", ".7z", ".rar", ".gz")) for name in names):
            refuse("unsafe_workbook")
        if not any(name.startswith("xl/workbook") for name in names):
            refuse("not_a_table")
        for entry in entries:
            unpack_into_nothing(archive, entry)


def entry_count(source: str) -> int:
    """Read the number of entries from the end record: zipfile would first read the directory of all of them."""
    with open(source, "rb") as file:  # noqa: PTH123  a child that imports as little as possible
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(0, size - 70_000))
        tail = file.read()
    wide = tail.rfind(b"PK\x06\x06")
    if wide >= 0 and len(tail) >= wide + 40:
        return int(struct.unpack_from("<Q", tail, wide + 32)[0])
    plain = tail.rfind(b"PK\x05\x06")
    if plain < 0 or len(tail) < plain + 12:
        refuse("broken_workbook")
    return int(struct.unpack_from("<H", tail, plain + 10)[0])


def unpack_into_nothing(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Find lies in the directory: zipfile stops at the declared size and compares the checksum.

    Also refuses document types: no spreadsheet program writes them, and every XML attack needs one.
    """
    try:
        with archive.open(entry) as stream:
            first = stream.read(8192)
            if entry.filename.endswith((".xml", ".rels")) and _DOCTYPE.search(first.replace(b"\0", b"")):
                refuse("unsafe_workbook")
            if entry.filename == "[Content_Types].xml" and b"macroEnabled" in first:
                refuse("macros")
            while stream.read(2**20):
                pass
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError):
        refuse("broken_workbook")
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        refuse("broken_workbook")


def convert(source: str, output: str, wanted: str | None) -> dict[str, Any]:
    """Write the wanted sheet, else the first visible one that has a value."""
    import python_calamine  # noqa: PLC0415  after the limits are set and the container is judged

    try:
        workbook = python_calamine.load_workbook(source)
    except python_calamine.PasswordError:
        refuse("password")
    except (python_calamine.CalamineError, OSError, ValueError):
        refuse("broken_workbook")
    sheets = [
        {"name": sheet.name, "hidden": sheet.visible != python_calamine.SheetVisibleEnum.Visible}
        for sheet in workbook.sheets_metadata
        if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
    ]
    if not sheets:
        refuse("no_sheets")
    candidates = [sheet["name"] for sheet in sheets if not sheet["hidden"]]
    if wanted is not None:
        candidates = [sheet["name"] for sheet in sheets if sheet["name"] == wanted]
    if not candidates:
        refuse("hidden_only")
    rows = 0
    chosen = candidates[0]
    for name in candidates:
        try:
            sheet = workbook.get_sheet_by_name(name)
        except (python_calamine.CalamineError, ValueError):
            refuse("broken_workbook")
        if sheet.end is None:
            continue
        if sheet.width > MAX_COLUMNS:
            refuse("too_many_columns", count=sheet.width, limit=MAX_COLUMNS)
        rows = write_sheet(sheet, output)
        chosen = name
        if rows:
            break
    if not rows:
        refuse("empty")
    return {"sheets": sheets, "sheet": chosen, "rows": rows}


def write_sheet(sheet: Any, output: str) -> int:
    """Write one sheet; return the number of rows with a value."""
    written = 0
    with open(output, "w", encoding="utf-8", errors="replace", newline="") as file:  # noqa: PTH123
        writer = csv.writer(file, lineterminator="\n")
        # iter_rows begins with the sheet's first row, empty or not, and with the table's first column.
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            texts = [text_of(cell) for cell in cells]
            if any(texts):
                writer.writerow([number, *texts])
                written += 1
    return written


def text_of(cell: Any) -> str:
    """Return a cell as a person sees it (see the rules at the top)."""
    if isinstance(cell, str):
        return cell if len(cell) <= MAX_CELL else cell[: MAX_CELL + 1]
    if isinstance(cell, bool):
        return "да" if cell else "нет"
    if isinstance(cell, float):
        # Whole numbers first: Excel has no other, and a phone must not become 7.9e10.
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime.datetime):
        return cell.strftime("%d.%m.%Y" if cell.time() == datetime.time() else "%d.%m.%Y %H:%M")
    if isinstance(cell, datetime.date):
        return cell.strftime("%d.%m.%Y")
    if isinstance(cell, datetime.time):
        return cell.strftime("%H:%M")
    return str(cell)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
