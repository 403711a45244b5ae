"""B4, B5, B8-B10: what becomes of each row, and that the fast road gives what the careful one gives."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contacts.imports import rows
from contacts.imports.errors import FileTroubleError, Trouble
from contacts.imports.headers import Column, Field
from contacts.reasons import Reason

COLUMNS = [
    Column("Телефон", Field.PHONE),
    Column("ФИО", Field.FULL_NAME),
    Column("E-mail", Field.EMAIL),
    Column("Дата рождения", Field.BIRTHDAY),
    Column("Филиал", Field.BRANCH),
    Column("Согласие", Field.CONSENT),
    Column("Заказ", Field.VARIABLE, "заказ"),
    Column("Город", Field.ATTRIBUTE, "город"),
    Column("Не нужно", Field.SKIP),
]
ANNA = ["8 912 345-67-89", "Иванова Анна", "Anna@example.ru", "31.12.1990", "Центр", "да", "17", "Пермь", "x"]


def reader_of(path, columns=COLUMNS, **options):
    source = rows.Source(path, "utf-8", ";", quoted=True, header_row=1)
    return rows.Reader(source, columns, use_consent_column=True, **options)


def parsed(block):
    """Return the COPY text as dictionaries of the cells that are not empty."""
    found = []
    for line in block.splitlines() if "\r" not in block else block.split("\n"):
        if line:
            cells = [cell.replace("\\\\", "\\") for cell in line.split("\t")]
            assert len(cells) == len(rows.COPY_COLUMNS)
            found.append({name: cell for name, cell in zip(rows.COPY_COLUMNS, cells, strict=True) if cell})
    return found


def read(stored, *lines, columns=COLUMNS, end="\n", **options):
    header = ";".join(column.header for column in columns)
    path = stored((header + end + end.join(lines) + end).encode())
    reader = reader_of(path, columns, **options)
    return [row for block in reader.blocks() for row in parsed(block)], reader.totals


def reason_of(stored, *lines, **options):
    (row,), _ = read(stored, *lines, **options)
    return row.get("reject"), row.get("reject_column"), row.get("reject_value")


def notes_of(stored, line, **options):
    (row,), _ = read(stored, line, **options)
    assert "reject" not in row
    return [tuple(note) for note in json.loads(row.get("notes", "[]"))]


def test_a_plain_row(stored):
    (row,), totals = read(stored, ";".join(ANNA))
    assert row == {
        "n": "1", "line": "2", "phone": "+79123456789", "full_name": "Иванова Анна", "name": "Анна",
        "email": "anna@example.ru", "birthday": "1990-12-31", "branch": "Центр", "consent": "1", "consent_value": "да",
        "variables": '{"заказ":"17"}', "attributes": '{"город":"Пермь"}',
    }  # fmt: skip
    assert (totals.rows, totals.rejected, totals.warned) == (1, 0, 0)


@pytest.mark.parametrize(
    ("line", "reason", "column", "value"),
    [
        ("7,9123E+10;Анна", Reason.PHONE_LOSSY, "Телефон", "7,9123E+10"),
        ("8912345678;Анна", Reason.PHONE_LENGTH, "Телефон", "8912345678"),
        ("891234567890;Анна", Reason.PHONE_LENGTH, "Телефон", "891234567890"),
        ("+7 000;Анна", Reason.PHONE_INVALID, "Телефон", "+7 000"),
        ("891234567О9;Анна", Reason.PHONE_LETTERS, "Телефон", "891234567О9"),
        ("+7 912 345-67-89 доб. 12;Анна", Reason.PHONE_EXTENSION, "Телефон", "+7 912 345-67-89 доб. 12"),
        (";Анна;", Reason.NO_ADDRESS, None, None),
        (";Анна;почта", Reason.EMAIL_INVALID, "E-mail", "почта"),
        ("#Н/Д;Анна", Reason.NO_ADDRESS, None, None),
        ("89123456789;А;;;;;;;;лишнее", Reason.ROW_LONGER, None, "10"),
        ("89123456789;" + "я" * 100_001, Reason.CELL_TOO_LONG, "ФИО", "100001"),
    ],
)
def test_B5_B8_B10_a_row_is_refused_with_line_column_reason_and_value(line, reason, column, value, stored):
    assert reason_of(stored, line) == (reason, column, value)


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("8 (495) 123-45-67", ("Телефон", Reason.PHONE_LANDLINE, "8 (495) 123-45-67")),
        ("89123456789, 89031112233", ("Телефон", Reason.PHONE_SECOND, "89123456789, 89031112233")),
        ("89123456789;Анна", ("", Reason.ROW_SHORTER, "")),
        ("89123456789;Анна;почта", ("E-mail", Reason.EMAIL_INVALID, "почта")),
        ("89123456789;Ан\0на", ("ФИО", Reason.CONTROL_CHARACTERS, "")),
        ("89123456789;\u202eанна", ("ФИО", Reason.CONTROL_CHARACTERS, "")),
        ("89123456789;" + "я" * 10_000, ("ФИО", Reason.CUT, "10000")),
        ("89123456789;#Н/Д", ("ФИО", Reason.ERROR_CELL, "#Н/Д")),
        ("89123456789;;;33 мая", ("Дата рождения", Reason.BIRTHDAY_UNREADABLE, "33 мая")),
        ("89123456789;;;;;может", ("Согласие", Reason.CONSENT_UNREADABLE, "может")),
    ],
)
def test_B8_B10_what_is_changed_is_said(line, note, stored):
    padded = line if note[1] is Reason.ROW_SHORTER else line + ";" * (8 - line.count(";"))
    assert note in notes_of(stored, padded)


def test_B9_everything_else_is_kept_exactly(stored):
    name = "Zoë 👩\u200d👩\u200d👧 Ёлка — № 5 \\ «кавычки»"
    (row,), _ = read(stored, f"89123456789;{name};;;;;a\\b\\N;\\.;")
    assert row["full_name"] == name
    assert json.loads(row["variables"]) == {"заказ": "a\\b\\N"}
    assert json.loads(row["attributes"]) == {"город": "\\."}


def test_B8_blank_rows_are_no_rows_and_lines_are_counted_as_the_owner_counts(stored):
    read_rows, totals = read(
        stored, "", ";;;;;;;;", " ; ;\u00a0;;;;;;", '89123456789;"две', 'строки";;;;;;;', "89031112233;;;;;;;;"
    )
    assert [(row["n"], row["line"]) for row in read_rows] == [("1", "5"), ("2", "7")]
    assert totals.rows == 2


@pytest.mark.parametrize("last", ["89031112233;Пётр", '89031112233;"Пётр"', '"89031112233";"Пётр\nи"', "89031112233;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_the_last_line_counts_with_and_without_its_end(last, end, stored):
    path = stored(f"Телефон;ФИО{end or chr(10)}89123456789;Анна{end or chr(10)}{last}{end}".encode())
    reader = rows.Reader(rows.Source(path, "utf-8", ";", quoted=True, header_row=1), COLUMNS[:2])
    assert [row["phone"] for block in reader.blocks() for row in parsed(block)] == ["+79123456789", "+79031112233"]


def test_an_unclosed_quote_is_named_and_can_be_read_as_a_character(stored):
    body = 'Телефон;ФИО\n89123456789;"Ромашка\n89031112233;Пётр\n'.encode()
    path = stored(body)
    with pytest.raises(FileTroubleError) as refused:
        list(rows.Reader(rows.Source(path, "utf-8", ";", quoted=True, header_row=1), COLUMNS[:2]).blocks())
    assert refused.value.as_json() == {"code": Trouble.OPEN_QUOTE, "params": {"line": 2}}
    plain = rows.Reader(rows.Source(path, "utf-8", ";", quoted=False, header_row=1), COLUMNS[:2])
    assert [row["full_name"] for block in plain.blocks() for row in parsed(block)] == ['"Ромашка', "Пётр"]


def test_B10_a_cell_beyond_every_limit_names_its_line(stored):
    with pytest.raises(FileTroubleError) as refused:
        read(stored, "89031112233;Пётр", "89123456789;" + "я" * (2**21 + 1))
    assert refused.value.code is Trouble.LONG_CELL
    assert refused.value.params["line"] == 3


cells = st.one_of(
    st.sampled_from(
        ["", " ", "да", "нет", "31.12.1990", "#Н/Д", "'=1", "O'Neil", "\u00a0", "a@b.ru", "\\", "\\N", "е\u0308"]
    ),
    st.text(
        st.characters(blacklist_categories=["Cs"], blacklist_characters=';"\n\r\x1c\x1d\x1e\x85\u2028\u2029'),
        max_size=8,
    ),
)
phones = st.one_of(
    st.sampled_from(["8 912 345-67-89", "+79031112233", "9160000000", "8 495 123-45-67", "7,9E+10", "нет", ""]), cells
)


@settings(max_examples=300, deadline=None)
@given(row=st.tuples(phones, *[cells] * 8).map(list), consent_for_all=st.booleans(), keep=st.booleans())
@example(row=["89123456789", "x" * 201, *[""] * 7], consent_for_all=False, keep=True)
def test_the_fast_road_gives_what_the_careful_road_gives(row, consent_for_all, keep, tmp_path_factory):
    def reader():
        return reader_of(tmp_path_factory.getbasetemp(), consent_for_all=consent_for_all, keep_variables=keep)

    fast, careful = reader(), reader()
    quick = fast._converter()(7, list(row))
    slow = rows._Careful(careful).convert(7, list(row))
    assert quick == slow
    assert fast.totals == careful.totals
    if quick is not None:
        # COPY would read a tab as a column and a line end as a row.
        assert not any("\t" in cell or "\n" in cell or "\r" in cell or "\0" in cell for cell in quick)
