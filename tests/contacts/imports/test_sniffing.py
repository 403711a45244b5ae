"""B1, B2, B13: what a file is, by its bytes."""

import struct
from itertools import product

import pytest
from django.utils import translation

from contacts.imports import rows, sniffing
from contacts.imports.errors import FileTroubleError, Trouble
from tests.contacts.conftest import upload

TABLE = [
    ["Телефон", "ФИО", "Заметка"],
    ["+7 912 345-67-89", "Ковалёва Алёна Сергеевна", "№ 5 — «постоянная»"],
    ["8 (903) 111-22-33", "Соловьёв Пётр", 'просила "утром"; или, днём\tлибо | вечером'],
    ["89160000001", "Ёлкина Юлия", "первая строка\nвторая"],
    ["89160000002", "Щербаков Эдуард Фёдорович", ""],
    ["89160000003", "Жукова Ирина", "10% скидка"],
]
#: KOI8-R has neither № nor long dashes nor these quotes.
PLAIN = [
    [cell.replace("№", "N").replace("—", "-").strip("«»").replace("«", "").replace("»", "") for cell in row]
    for row in TABLE
]
LINE_ENDS = {"crlf": ["\r\n"], "lf": ["\n"], "cr": ["\r"], "mixed": ["\r\n", "\n", "\r"]}


def written(table, delimiter, ends):
    """Write it by hand: the csv module must not be both author and reader."""
    text = ""
    for number, row in enumerate(table):
        cells = []
        for cell in row:
            special = any(char in cell for char in (delimiter, '"', "\n", "\r"))
            cells.append('"' + cell.replace('"', '""') + '"' if special else cell)
        text += delimiter.join(cells) + ends[number % len(ends)]
    return text


def read_back(path, encoding):
    layout = sniffing.layout_of(sniffing.sample_text(path, encoding))
    source = rows.Source(path, encoding, layout.delimiter, quoted=True, header_row=1, skip_lines=layout.skip)
    return [cells for _, cells in rows.first_rows(source, 100)]


@pytest.mark.parametrize(
    ("encoding", "mark", "table"),
    [
        ("utf-8", b"", TABLE),
        ("utf-8", b"\xef\xbb\xbf", TABLE),
        ("cp1251", b"", TABLE),
        ("utf-16-le", b"\xff\xfe", TABLE),
        ("utf-16-be", b"\xfe\xff", TABLE),
        ("utf-16-le", b"", TABLE),
        ("utf-16-be", b"", TABLE),
        ("koi8-r", b"", PLAIN),
        ("cp866", b"", PLAIN),
    ],
)
def test_B1_B2_every_encoding_separator_and_line_end_gives_the_same_table(encoding, mark, table, stored):
    for delimiter, (name, ends) in product(";,\t|", LINE_ENDS.items()):
        path = stored(mark + written(table, delimiter, ends).encode(encoding))
        guess = sniffing.encoding_of(path)
        assert read_back(path, guess.name) == table, (delimiter, name, guess)
        assert guess.certain, (delimiter, name, guess)
        assert sniffing.kind_of(path) == "csv"


@pytest.mark.parametrize("last", [["89160000003", "Жукова", "10%"], ["89160000003", "Жукова", "первая\nвторая"]])
def test_B2_the_last_line_needs_no_line_break(last, stored):
    table = [["Телефон", "ФИО", "Заметка"], last]
    assert read_back(stored(written(table, ";", ["\r\n", ""]).encode()), "utf-8") == table


@pytest.mark.parametrize("end", ["", "\r\n"])
def test_B2_a_quote_that_is_still_open_at_the_end_is_told(end, stored):
    path = stored(f'Телефон;ФИО\r\n89160000003;"Жукова{end}'.encode())
    with pytest.raises(FileTroubleError) as caught:
        read_back(path, "utf-8")
    assert caught.value.code is Trouble.OPEN_QUOTE


@pytest.mark.parametrize("first", ["sep=;", '"sep=|"', "SEP=,", "sep=^"])
def test_B2_excels_sep_line_is_obeyed_and_is_no_data(first, stored):
    delimiter = first.strip('"')[-1]
    path = stored((first + "\r\n" + written(PLAIN, delimiter, ["\r\n"])).encode("cp1251"))
    assert read_back(path, "cp1251") == PLAIN


@pytest.mark.parametrize("letters", ["Ъ", "Ы Щ", "цех", "Ёё"])
@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp866"])
@pytest.mark.django_db
def test_B1_what_cannot_be_told_is_asked_and_not_guessed_silently(letters, encoding, stored):
    path = stored(f"phone;note\r\n89123456789;{letters}\r\n".encode(encoding))
    assert not sniffing.encoding_of(path).certain
    job = upload(path.read_bytes())
    assert [remark["code"] for remark in job.remarks] == [Trouble.ENCODING_UNKNOWN]


def test_B1_a_damaged_byte_does_not_turn_a_utf8_file_into_another(stored):
    content = "Телефон;Имя\n".encode() + "89123456789;Алёна\n".encode() * 50 + b"89123456780;\xd0\n"
    guess = sniffing.encoding_of(stored(content))
    assert (guess.name, guess.certain) == ("utf-8", False)


def test_a_decimal_comma_does_not_beat_the_semicolon():
    assert sniffing.layout_of("Телефон;Сумма\n89123456789;1,5\n89123456780;2,5\n").delimiter == ";"


def test_one_column_has_no_separator_to_find():
    assert sniffing.layout_of("Телефон\n89123456789\n89123456780\n").delimiter in sniffing.DELIMITERS


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", Trouble.EMPTY),
        (OLE, Trouble.OLD_EXCEL),
        (OLE + b"\0" * 2**20 + "EncryptedPackage".encode("utf-16-le"), Trouble.PASSWORD),
        (b"<html><body><table><tr><td>89123456789</td></tr></table>", Trouble.HTML),
        (b"\xef\xbb\xbf\r\n  <!DOCTYPE html><table>", Trouble.HTML),
        (b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>', Trouble.HTML),
        (b"%PDF-1.7 ...", Trouble.PDF),
        (b"Rar!\x1a\x07\x01\x00", Trouble.ARCHIVE),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", Trouble.ARCHIVE),
        (b"\x1f\x8b\x08\x00", Trouble.ARCHIVE),
        (b"PK\x05\x06" + b"\0" * 18, Trouble.ARCHIVE),
        (b"MZ\x90\x00\x03" + struct.pack("<60x"), Trouble.NOT_A_TABLE),
        (b"\x7fELF\x02\x01", Trouble.NOT_A_TABLE),
        (b"\x89PNG\r\n\x1a\n", Trouble.NOT_A_TABLE),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", Trouble.NOT_A_TABLE),
        (b"{\\rtf1\\ansi", Trouble.NOT_A_TABLE),
    ],
)
@pytest.mark.parametrize("name", ["клиенты.csv", "клиенты.xlsx", "клиенты"])
def test_B13_the_content_decides_and_the_name_does_not(content, trouble, name, stored):
    with pytest.raises(FileTroubleError) as refused:
        sniffing.kind_of(stored(content))
    assert refused.value.code is trouble
    with pytest.raises(FileTroubleError) as refused:
        upload(content, name)
    assert refused.value.code is trouble


def test_B13_every_refusal_is_advice_in_russian():
    with translation.override("ru"):
        for trouble in Trouble:
            said = str(
                FileTroubleError(trouble, size=400, limit=300, count=900, line=7, name="Май", field="phone", done=0)
            )
            assert "%(" not in said
            assert any("а" <= char <= "я" for char in said), said


def test_a_csv_may_begin_with_the_letters_of_a_program(stored):
    assert sniffing.kind_of(stored(b"MZ;phone\n1;89123456789\n")) == "csv"


def test_a_file_above_the_limit_says_its_size(stored, tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.write(b"phone\n")
        file.truncate(sniffing.MAX_CSV_BYTES + 1)
    with pytest.raises(FileTroubleError) as refused:
        sniffing.kind_of(path)
    assert refused.value.as_json() == {"code": "too_big", "params": {"size": 301, "limit": 300}}
