"""B11-B13: workbooks are read in a child with limits, and hostile ones are refused before they cost anything."""

import csv
import io
import json
import subprocess
import sys
import zipfile
import zlib
from datetime import date, datetime, time

import pytest

from contacts.imports import workbook_child
from contacts.imports.errors import FileTroubleError, Trouble
from contacts.imports.workbook import Sheet, to_csv
from tests.contacts.conftest import workbook

HEADER = ["Телефон", "Имя"]
ANNA = ["89123456789", "Анна"]


def read(content, stored, sheet=""):
    path = stored(content)
    output = path.with_suffix(".out")
    found = to_csv(path, output, sheet)
    with output.open(encoding="utf-8", newline="") as file:
        return found, list(csv.reader(file))


def rows_of(content, stored, sheet=""):
    return [cells[1:] for cells in read(content, stored, sheet)[1]]


def test_B11_cells_are_what_a_person_sees(stored):
    def fill(book, sheet):
        sheet.write(1, 0, 79123456789)  # a phone stored as a number
        sheet.write_string(2, 0, "1E5")
        sheet.write_datetime(3, 0, datetime(1990, 12, 31), book.add_format({"num_format": "dd.mm.yyyy"}))
        sheet.write_datetime(4, 0, datetime(1990, 12, 31, 10, 30), book.add_format({"num_format": "dd.mm.yyyy hh:mm"}))
        sheet.write(5, 0, 1.5)
        sheet.write_boolean(6, 0, True)
        sheet.write_formula(7, 0, "=1+1", None, 2)
        sheet.write_rich_string(8, 0, "Ан", book.add_format({"bold": True}), "на")
        sheet.write_string(9, 0, "+79123456789")
        sheet.write_datetime(10, 0, time(10, 30), book.add_format({"num_format": "hh:mm"}))
        sheet.write_formula(11, 0, "=NA()", None, "#N/A")
        sheet.write_formula(12, 0, "=A2", None, "")

    assert [cells[0] for cells in rows_of(workbook(["Значение"], fill=fill), stored)] == [
        "Значение", "79123456789", "1E5", "31.12.1990", "31.12.1990 10:30", "1.5", "да", "2", "Анна", "+79123456789",
        "10:30",
    ]  # fmt: skip


@pytest.mark.parametrize("epoch_1904", [False, True])
def test_B11_dates_are_the_same_whatever_they_are_counted_from(epoch_1904, stored):
    def fill(book, sheet):
        sheet.write_datetime(0, 0, date(1990, 12, 31), book.add_format({"num_format": "dd.mm.yyyy"}))

    content = workbook(fill=fill, date_1904=epoch_1904)
    assert rows_of(content, stored) == [["31.12.1990"]]


def test_B11_a_merged_cell_speaks_once_and_hidden_rows_are_rows(stored):
    def fill(_, sheet):
        sheet.merge_range(1, 0, 2, 0, "89123456789")
        sheet.write(1, 1, "Анна")
        sheet.write(2, 1, "Пётр")
        sheet.set_row(2, None, None, {"hidden": True})

    assert rows_of(workbook(HEADER, fill=fill), stored) == [HEADER, ANNA, ["", "Пётр"]]


def test_B11_a_hidden_sheet_is_taken_only_when_it_is_asked_for(stored):
    def fill(book, sheet):
        other = book.add_worksheet("Бывшие")
        other.write_row(0, 0, HEADER)
        other.write_row(1, 0, ["89031112233", "Пётр"])
        other.hide()

    content = workbook(HEADER, ANNA, fill=fill)
    found, _ = read(content, stored)
    assert found.sheets == (Sheet("Клиенты", hidden=False), Sheet("Бывшие", hidden=True))
    assert (found.sheet, found.rows) == ("Клиенты", 2)
    assert rows_of(content, stored, "Бывшие") == [HEADER, ["89031112233", "Пётр"]]


def test_B11_an_empty_first_sheet_is_passed_by(stored):
    def fill(book, _):
        book.add_worksheet("Дальше").write_row(0, 0, HEADER)

    found, rows = read(workbook(fill=fill), stored)
    assert (found.sheet, rows) == ("Дальше", [["1", *HEADER]])


def test_line_numbers_are_the_sheets(stored):
    _, rows = read(workbook([None], ["Отчёт"], [None], HEADER, ANNA), stored)
    assert [cells[0] for cells in rows] == ["2", "4", "5"]


def refusal(content, stored, sheet=""):
    with pytest.raises(FileTroubleError) as refused:
        read(content, stored, sheet)
    return refused.value.code


def packed(entries, base=None, compression=zipfile.ZIP_DEFLATED):
    """Return a ZIP with these entries over those of a good workbook."""
    target = io.BytesIO()
    content = workbook(HEADER, ANNA) if base is None else base
    with zipfile.ZipFile(target, "w", compression) as out, zipfile.ZipFile(io.BytesIO(content)) as good:
        for entry in good.infolist():
            if entry.filename not in entries:
                out.writestr(entry.filename, good.read(entry))
        for name, data in entries.items():
            out.writestr(name, data)
    return target.getvalue()


def sheet_xml(body, head=""):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}'
        f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{body}</worksheet>'
    ).encode()


SHEET = "xl/worksheets/sheet1.xml"
LAUGHS = (
    "<!DOCTYPE x ["
    '<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)) + "]>"
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY leak SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("entries", "trouble"),
    [
        ({SHEET: sheet_xml("<sheetData><row><c t='str'><v>&j;</v></c></row></sheetData>", LAUGHS)}, Trouble.UNSAFE_WORKBOOK),
        ({SHEET: sheet_xml("<sheetData><row><c t='str'><v>&leak;</v></c></row></sheetData>", OUTSIDE)}, Trouble.UNSAFE_WORKBOOK),
        ({"xl/sharedStrings.xml": ("<?xml version='1.0'?>" + LAUGHS + "<sst/>").encode("utf-16")}, Trouble.UNSAFE_WORKBOOK),
        ({"../../evil.xml": b"x"}, Trouble.UNSAFE_WORKBOOK),
        ({"/etc/evil.xml": b"x"}, Trouble.UNSAFE_WORKBOOK),
        ({"C:\\evil.xml": b"x"}, Trouble.UNSAFE_WORKBOOK),
        ({"xl/embeddings/inner.zip": b"PK\x03\x04"}, Trouble.UNSAFE_WORKBOOK),
        ({"xl/vbaProject.bin": b"\0"}, Trouble.MACROS),
        ({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}, Trouble.OPEN_DOCUMENT),
        ({"xl/media/zeros.bin": b"\0" * (30 * 2**20)}, Trouble.BOMB),
        ({f"xl/media/{n}": b"" for n in range(2001)}, Trouble.BOMB),
        ({SHEET: b"<worksheet"}, Trouble.BROKEN_WORKBOOK),
    ],
    ids=["laughs", "xxe", "utf16-dtd", "slip", "absolute", "drive", "nested", "macros", "ods", "ratio", "entries", "torn"],
)  # fmt: skip
def test_B12_B13_what_excel_does_not_write_is_refused(entries, trouble, stored):
    assert refusal(packed(entries), stored) is trouble


def test_B13_other_zips_say_what_they_are(stored):
    letter = packed({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<x/>"}, base=_zip({"a": b""}))
    assert refusal(letter, stored) is Trouble.NOT_A_TABLE
    assert refusal(_zip({"list.csv": b"phone\n89123456789\n"}), stored) is Trouble.ARCHIVE
    assert refusal(workbook(HEADER, ANNA)[:-200], stored) is Trouble.BROKEN_WORKBOOK
    macros = b'<Types ContentType="application/vnd.ms-excel.sheet.macroEnabled.main+xml"/>'
    assert refusal(packed({"[Content_Types].xml": macros}), stored) is Trouble.MACROS


def _zip(entries):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as out:
        for name, data in entries.items():
            out.writestr(name, data)
    return target.getvalue()


def test_nothing_but_hidden_sheets_is_said(stored):
    def fill(book, sheet):
        book.add_worksheet("Пусто")
        sheet.hide()

    def all_hidden(content):
        hidden = b'<sheet name="\xd0\x9f\xd1\x83\xd1\x81\xd1\x82\xd0\xbe" '
        with zipfile.ZipFile(io.BytesIO(content)) as good:
            book = good.read("xl/workbook.xml").replace(hidden, hidden + b'state="hidden" ')
        return packed({"xl/workbook.xml": book}, base=content)

    def first_hidden(book, sheet):
        book.add_worksheet("Пусто").activate()
        sheet.hide()

    content = workbook(HEADER, ANNA, fill=first_hidden)
    assert refusal(all_hidden(content), stored) is Trouble.HIDDEN_ONLY
    assert refusal(workbook(), stored) is Trouble.EMPTY
    assert refusal(workbook(HEADER), stored, "Нет такого") is Trouble.HIDDEN_ONLY


# --- what it costs ----------------------------------------------------------------------------------------------


#: Between us and the child: a process's peak counts what it was forked from, and this suite is large.
LAUNCHER = """
import json, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
said = child.stdout.read().decode()
_, status, usage = os.wait4(child.pid, 0)
child.returncode = status
print(json.dumps([said, os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]), flush=True)
"""


def cost(content, stored):
    """Run the child alone; return its answer (None: it died), exit code, CPU seconds and peak megabytes."""
    path = stored(content)
    command = [sys.executable, "-I", "-c", LAUNCHER, workbook_child.__file__, str(path), str(path.with_suffix(".out"))]
    said, code, seconds, megabytes = json.loads(subprocess.check_output(command))
    return (json.loads(said) if said else None), code, seconds, megabytes


def endless_zeros(size):
    """Return the deflate stream of `size` zeros without unpacking it ever: whole blocks may be repeated."""
    step = 64 * 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b"\0" * step) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size // step) + packer.flush(zlib.Z_FINISH)


def bomb(declared, real):
    """Return a workbook with an entry that unpacks to `real` bytes and says `declared`."""
    stream = endless_zeros(real)
    content = packed({"xl/media/zeros.bin": b""}, compression=zipfile.ZIP_STORED)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        with zipfile.ZipFile(io.BytesIO(content)) as good:
            for entry in good.infolist():
                if entry.filename != "xl/media/zeros.bin":
                    out.writestr(entry.filename, good.read(entry))
        info = zipfile.ZipInfo("xl/media/zeros.bin")
        info.compress_type = zipfile.ZIP_STORED
        out.writestr(info, stream)
        written = out.getinfo("xl/media/zeros.bin")
        written.compress_type = zipfile.ZIP_DEFLATED
        written.file_size = declared
    data = bytearray(target.getvalue())
    # The local header repeats method and size; only the directory was changed above.
    at = data.rindex(b"PK\x03\x04", 0, data.rindex(stream[:64]))
    data[at + 8 : at + 10] = (8).to_bytes(2, "little")
    data[at + 22 : at + 26] = min(declared, 2**32 - 1).to_bytes(4, "little")
    return bytes(data)


def far_cell():
    return packed(
        {
            SHEET: sheet_xml(
                '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c></row>'
                '<row r="2"><c r="A2"><v>3</v></c></row></sheetData>'
            )
        }
    )


def far_apart():
    return packed(
        {
            SHEET: sheet_xml(
                '<sheetData><row r="1"><c r="A1"><v>1</v></c></row>'
                '<row r="1048576"><c r="XFD1048576"><v>2</v></c></row></sheetData>'
            )
        }
    )


def many_entries():
    return _zip({f"xl/{number}": b"" for number in range(100_000)})


def quadratic():
    return packed({SHEET: sheet_xml("<sheetData><row><c t='str'><v>&a;</v></c></row></sheetData>",
                                    f'<!DOCTYPE x [<!ENTITY a "{"x" * 100_000}">]>')})  # fmt: skip


@pytest.mark.parametrize(
    ("make", "trouble"),
    [
        (lambda: bomb(10 * 2**30, 10 * 2**30), "bomb"),
        (lambda: bomb(2**20, 10 * 2**30), "broken_workbook"),
        (many_entries, "bomb"),
        (quadratic, "unsafe_workbook"),
        (far_apart, None),
        (far_cell, None),
    ],
    ids=["10 GB", "10 GB that says 1 MB", "100,000 entries", "quadratic", "two cells far apart", "huge dimension"],
)
def test_B12_a_hostile_workbook_costs_seconds_and_little_memory(make, trouble, stored):
    answer, code, seconds, megabytes = cost(make(), stored)
    assert seconds < 5
    assert megabytes < 300
    if trouble:
        assert (answer, code) == ({"trouble": trouble, "params": {}}, 0)


def test_B12_two_cells_far_apart_are_too_heavy_and_a_false_dimension_is_ignored(stored):
    assert refusal(far_apart(), stored) in {Trouble.WORKBOOK_TOO_HEAVY, Trouble.TOO_MANY_COLUMNS}
    assert rows_of(far_cell(), stored) == [["1", "2"], ["3", ""]]


def test_500_columns_are_refused_with_their_number(stored):
    with pytest.raises(FileTroubleError) as refused:
        read(workbook([f"c{number}" for number in range(500)]), stored)
    assert refused.value.as_json() == {"code": "too_many_columns", "params": {"count": 500, "limit": 300}}


def test_an_ordinary_workbook_is_read_within_the_same_bounds(stored):
    answer, code, seconds, megabytes = cost(workbook(HEADER, *[ANNA] * 5000), stored)
    assert (answer["rows"], code) == (5001, 0)
    assert seconds < 5
    assert megabytes < 300
