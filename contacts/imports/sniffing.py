"""What kind of file is it really? By content; the name is for people.

Everything here looks at bytes and returns a judgement or raises FileTroubleError with advice.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contacts.imports.errors import FileTroubleError, Trouble

if TYPE_CHECKING:
    from _csv import Reader as CsvReader  # the standard library names this type nowhere else

#: How much of a file the guesses about separators and headers are based on.
SAMPLE = 256 * 1024
MAX_CSV_BYTES = 300 * 1024 * 1024
MAX_XLSX_BYTES = 100 * 1024 * 1024

DELIMITERS = (";", ",", "\t", "|")
#: Offered to the owner when we cannot tell; also what detection chooses from.
ENCODINGS = ("utf-8", "utf-8-sig", "cp1251", "koi8-r", "cp866", "utf-16-le", "utf-16-be")

_SEP_LINE = re.compile(r'\A"?sep=(.)"?\r?\n?\Z', re.IGNORECASE)

_SIGNATURES: tuple[tuple[bytes, Trouble], ...] = (
    (b"%PDF", Trouble.PDF),
    (b"Rar!", Trouble.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", Trouble.ARCHIVE),
    (b"\x1f\x8b", Trouble.ARCHIVE),
    (b"MZ", Trouble.NOT_A_TABLE),
    (b"\x7fELF", Trouble.NOT_A_TABLE),
    (b"\x89PNG", Trouble.NOT_A_TABLE),
    (b"\xff\xd8\xff", Trouble.NOT_A_TABLE),
    (b"GIF8", Trouble.NOT_A_TABLE),
    (b"{\\rtf", Trouble.NOT_A_TABLE),
)
_MARKUP = re.compile(rb"\A\s*<(?:!doctype|html|head|body|table|meta|\?xml|style|div)", re.IGNORECASE)
#: "EncryptedPackage" as it stands in the directory of an OLE file: a workbook behind a password.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def kind_of(path: Path) -> str:
    """Return "csv" or "xlsx". Raises FileTroubleError with advice for everything else."""
    size = path.stat().st_size
    if size == 0:
        raise FileTroubleError(Trouble.EMPTY)
    with path.open("rb") as file:
        head = file.read(8192)
    if head.startswith(b"PK\x05\x06"):
        raise FileTroubleError(Trouble.ARCHIVE)
    if head.startswith(b"PK\x03\x04"):
        # Whether it is a workbook, and a safe one, is judged by the child process that opens it.
        _refuse_bigger(size, MAX_XLSX_BYTES)
        return "xlsx"
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise FileTroubleError(Trouble.PASSWORD if _contains(path, _ENCRYPTED) else Trouble.OLD_EXCEL)
    for signature, trouble in _SIGNATURES:
        if head.startswith(signature) and not (signature == b"MZ" and _reads_as_text(head)):
            raise FileTroubleError(trouble)
    if _MARKUP.match(head.lstrip(codecs.BOM_UTF8)):
        raise FileTroubleError(Trouble.HTML)
    _refuse_bigger(size, MAX_CSV_BYTES)
    return "csv"


def _refuse_bigger(size: int, limit: int) -> None:
    if size > limit:
        raise FileTroubleError(Trouble.TOO_BIG, size=math.ceil(size / 2**20), limit=limit // 2**20)


def _contains(path: Path, needle: bytes, limit: int = 32 * 2**20) -> bool:
    """Say whether the first `limit` bytes contain the needle, reading in blocks."""
    tail, seen = b"", 0
    with path.open("rb") as file:
        while seen < limit and (block := file.read(2**20)):
            if needle in tail + block:
                return True
            tail, seen = block[-len(needle) :], seen + len(block)
    return False


def _reads_as_text(head: bytes) -> bool:
    """A CSV may begin with the letters MZ; a program has NULs within its first bytes."""
    return b"\0" not in head[:512]


# --- encoding ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Encoding:
    """The guess and whether to trust it; an untrusted one is shown to the owner with the question."""

    name: str
    certain: bool


#: Share of each letter in Russian text, per mille; names and headers follow it closely enough.
_FREQUENCY = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
        (
            110,
            85,
            80,
            74,
            67,
            63,
            55,
            47,
            45,
            44,
            35,
            32,
            30,
            28,
            26,
            20,
            19,
            17,
            17,
            16,
            16,
            14,
            12,
            10,
            9,
            7,
            6,
            5,
            4,
            3,
            3,
            1,
            1,
        ),
        strict=True,
    )
)
_LIKELIHOOD = {letter: math.log(share / 1000) for letter, share in _FREQUENCY.items()}
_STRANGE = math.log(1e-4)
#: A decoder is believed when its text is this much likelier, per letter, than the next one's ...
_MARGIN = 0.15
#: ... and all letters together make it e^10 times likelier: three letters say nothing, whatever their margin.
_EVIDENCE = 10.0
#: What is known before the first letter is read: nearly every old file of today is Windows'.
_PRIOR = {"cp1251": 5.0}
_LEGACY = ("cp1251", "koi8-r", "cp866")


def encoding_of(path: Path) -> Encoding:
    """Guess the encoding of a text file from its bytes; reads the whole file once, in blocks.

    A byte order mark decides; then NULs in every second place (UTF-16); then whether all of it is valid UTF-8; then
    which of the old Russian encodings makes the likeliest Russian out of it.
    """
    with path.open("rb") as file:
        sample = file.read(SAMPLE)
    if sample.startswith(codecs.BOM_UTF8):
        return Encoding("utf-8-sig", certain=True)
    if sample.startswith(codecs.BOM_UTF16_LE):
        return Encoding("utf-16", certain=True)
    if sample.startswith(codecs.BOM_UTF16_BE):
        return Encoding("utf-16", certain=True)
    wide = _wide(sample)
    if wide:
        return Encoding(wide, certain=True)
    broken, letters = _utf8_damage(path)
    if broken == 0:
        return Encoding("utf-8", certain=True)
    if letters > 20 * broken:
        # Mostly good UTF-8 with some damaged places: no old encoding explains it better.
        return Encoding("utf-8", certain=False)
    return _legacy(sample)


def _wide(sample: bytes) -> str | None:
    """Recognise UTF-16 without a mark: separators and digits leave a NUL in every second byte."""
    if len(sample) < 8:
        return None
    even, odd = sample[0::2].count(0) / (len(sample) / 2), sample[1::2].count(0) / (len(sample) / 2)
    if odd > 0.15 and even < 0.02:
        return "utf-16-le"
    if even > 0.15 and odd < 0.02:
        return "utf-16-be"
    return None


def _utf8_damage(path: Path) -> tuple[int, int]:
    """Return how many replacement characters reading as UTF-8 costs, and how many good non-ASCII letters there are."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = letters = 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            if block.isascii() and not decoder.getstate()[0]:
                continue
            text = decoder.decode(block)
            bad = text.count("\ufffd")
            broken += bad
            if bad:
                letters += sum(not char.isascii() for char in text) - bad
    broken += decoder.decode(b"", final=True).count("\ufffd")
    return broken, letters


def _legacy(sample: bytes) -> Encoding:
    """Choose among the old Russian encodings by the likelihood of the letters and the order of their cases.

    cp1251 and koi8-r hold the same letters in one another's places and cases: read wrongly, names become
    "хБЮМНБЮ", a small letter followed by capitals, which Russian does not do.
    """
    letters = sum(byte > 127 for byte in sample)
    likelihoods = {name: _likelihood(sample.decode(name, "replace")) for name in _LEGACY}
    odds = sorted(((mean * letters + _PRIOR.get(name, 0.0), name) for name, mean in likelihoods.items()), reverse=True)
    (best, name), (second, next_name) = odds[0], odds[1]
    mean = likelihoods[name]
    certain = best - second > _EVIDENCE and mean - likelihoods[next_name] > _MARGIN and mean > _STRANGE / 2
    return Encoding(name, certain)


def _likelihood(text: str) -> float:
    """Return the mean log-likelihood of the non-ASCII characters as Russian."""
    counts = Counter(text)
    foreign = {char: number for char, number in counts.items() if ord(char) > 127 and char not in "№«»—–…\u00a0“”„"}
    total = sum(foreign.values())
    if not total:
        return 0.0
    score = sum(_LIKELIHOOD.get(char.lower(), _STRANGE) * number for char, number in foreign.items())
    flips = len(re.findall(r"[а-яё][А-ЯЁ]", text))
    return (score + 6 * _STRANGE / 2 * flips / 2) / total


# --- separators and lines ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """How lines are cut into cells; `skip` = 1 when the first line is Excel's `sep=`."""

    delimiter: str
    skip: int


def sample_text(path: Path, encoding: str) -> str:
    """Return the beginning of the file as text, without a torn last line."""
    with path.open("rb") as file:
        data = file.read(SAMPLE)
        whole = not file.read(1)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(data, final=whole)
    if whole:
        return text
    cut = max(text.rfind("\n"), text.rfind("\r"))
    return text[: cut + 1] if cut > 0 else text


def layout_of(text: str, quoted: bool = True) -> Layout:
    """Guess the separator from a sample: the one that cuts most lines into the same number (above one) of cells."""
    lines = io.StringIO(text, newline="").readlines()
    declared = _SEP_LINE.match(lines[0]) if lines else None
    if declared:
        return Layout(declared[1], skip=1)
    best, best_score = ";", 0.0
    for delimiter in DELIMITERS:
        if delimiter not in text:
            continue
        widths: Counter[int] = Counter()
        try:
            for number, row in enumerate(read_cells(lines, delimiter, quoted)):
                if row:
                    widths[len(row)] += 1
                if number > 200:
                    break
        except csv.Error:
            continue
        if not widths:
            continue
        width, agreeing = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]))
        if width == 1:
            continue
        # Agreement first; among equals more columns win a little, or a decimal comma would beat a semicolon.
        score = agreeing / sum(widths.values()) + min(width, 20) / 100
        if score > best_score:
            best, best_score = delimiter, score
    return Layout(best, skip=0)


def read_cells(lines: list[str] | io.TextIOBase, delimiter: str, quoted: bool) -> CsvReader:
    """Return a csv reader over lines; the one place that says how our CSV is read."""
    return csv.reader(
        lines,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        doublequote=True,
        strict=False,
    )
