"""Which column is what: header words of Russian and English exports, and a look at the cells themselves."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _

from contacts.phones import Phone, normalise
from contacts.selectors import RESERVED

#: Rows among which the header is looked for.
HEADER_AMONG = 15


class Field(StrEnum):
    """What a column can be."""

    PHONE = "phone"
    EMAIL = "email"
    NAME = "name"
    FULL_NAME = "full_name"
    BIRTHDAY = "birthday"
    BRANCH = "branch"
    TIMEZONE = "timezone"
    TAGS = "tags"
    CONSENT = "consent"
    VARIABLE = "variable"  #: a value of this list only, for texts: {order}
    ATTRIBUTE = "attribute"  #: kept on the contact's card
    SKIP = "skip"


#: A file has at most one column of each of these.
SINGLE = frozenset(Field) - {Field.VARIABLE, Field.ATTRIBUTE, Field.SKIP}

LABELS = {
    Field.PHONE: _("phone"),
    Field.EMAIL: _("e-mail"),
    Field.NAME: _("name (how we address the person)"),
    Field.FULL_NAME: _("full name"),
    Field.BIRTHDAY: _("birthday"),
    Field.BRANCH: _("branch"),
    Field.TIMEZONE: _("time zone"),
    Field.TAGS: _("tags"),
    Field.CONSENT: _("consent to advertising"),
    Field.VARIABLE: _("value for texts of this list"),
    Field.ATTRIBUTE: _("keep on the contact's card"),
    Field.SKIP: _("do not import"),
}

#: Words as `_fold` leaves them: lower case, ё as е, one space, no punctuation.
_WORDS: dict[Field, tuple[str, ...]] = {
    Field.PHONE: (
        "телефон", "тел", "моб", "мобильный", "мобильный телефон", "номер", "номер телефона", "сотовый", "сотовый телефон",
        "контактный телефон", "телефон клиента", "phone", "phone number", "mobile", "mobile phone", "cell", "tel",
        "telephone", "whatsapp", "msisdn", "контакт", "рабочий телефон", "моб телефон", "тел моб", "мобильный номер",
        "номер мобильного", "основной телефон", "контактный номер", "контактная информация", "телефон покупателя",
    ),
    Field.EMAIL: ("e mail", "email", "mail", "почта", "эл почта", "электронная почта", "имейл", "емейл", "емайл", "e mail клиента"),
    Field.FULL_NAME: (
        "фио", "ф и о", "клиент", "полное имя", "фамилия имя отчество", "фамилия имя", "имя клиента", "фио клиента",
        "full name", "fullname", "client", "customer", "client name", "покупатель", "заказчик", "контактное лицо",
        "гость", "пациент", "наименование",
    ),
    Field.NAME: ("имя", "name", "first name", "firstname", "обращение"),
    Field.BIRTHDAY: ("дата рождения", "день рождения", "др", "д р", "рождение", "birthday", "birth date", "date of birth", "birthdate", "dob"),
    Field.BRANCH: ("филиал", "салон", "точка", "магазин", "подразделение", "branch", "salon", "location", "shop"),
    Field.TIMEZONE: ("часовой пояс", "таймзона", "timezone", "time zone", "tz", "часовая зона"),
    Field.TAGS: ("теги", "тег", "метки", "метка", "категории", "tags", "tag", "labels", "категория"),
    Field.CONSENT: (
        "согласие", "согласие на рассылку", "согласие на рекламу", "согласен", "рассылка", "подписка", "реклама",
        "consent", "marketing consent", "opt in", "optin", "subscribed", "согласие на получение рассылки",
        "разрешена рассылка", "согласие на смс",
    ),
}  # fmt: skip
_KNOWN = {word: field for field, words in _WORDS.items() for word in words}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file and what it means. `key`: the name texts call a variable or attribute by."""

    header: str
    field: Field
    key: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what ImportJob.mapping keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Column:
        """Read what `as_json` wrote; an unknown field (from a newer version) is skipped rather than misread."""
        try:
            field = Field(stored.get("field", ""))
        except ValueError:
            field = Field.SKIP
        return cls(str(stored.get("header", "")), field, str(stored.get("key", "")))


def fold(header: str) -> str:
    """Return a header without what people vary: case, ё, NBSP, punctuation, numbers at the end."""
    text = unicodedata.normalize("NFKC", header).lower().replace("ё", "е")
    text = re.sub(r"[^\w]+|_", " ", text)
    return re.sub(r"\s*\d+$", "", text.strip()).strip()


def field_of(header: str) -> Field | None:
    """Recognise a header; None when it is a word of the owner's own."""
    return _KNOWN.get(fold(header))


def key_of(header: str, number: int, taken: set[str]) -> str:
    """Return the name texts will use for a column: «Номер заказа» -> номер_заказа. Unique within the file, never
    one of the card's own names. `number` is the column's, for headers without a single letter."""
    text = unicodedata.normalize("NFKC", header).lower()
    key = re.sub(r"[^\w]+", "_", text).strip("_")[:60]
    if not key or key[0].isdigit():
        key = f"column_{number}" if not key else f"n_{key}"
    candidate, suffix = key, 2
    while candidate in taken or candidate in RESERVED:
        candidate, suffix = f"{key}_{suffix}", suffix + 1
    return candidate


def header_row_of(rows: Sequence[Sequence[str]]) -> int:
    """Return the number (from 1) of the row with the headers, 0 when there is none.

    The header is the first row with a word we know and without anything that reads as a phone or an e-mail: titles
    and empty lines may stand above it.
    """
    for number, row in enumerate(rows[:HEADER_AMONG], start=1):
        words = sum(field_of(cell) is not None for cell in row)
        if words and not any(_looks_like_data(cell) for cell in row):
            return number
    first = next((row for row in rows if any(cell.strip() for cell in row)), [])
    if first and not any(_looks_like_data(cell) for cell in first) and len(rows) > 1:
        # No word we know, but no data either: the owner's own headers.
        later = rows[rows.index(first) + 1 :]
        if any(_looks_like_data(cell) for row in later for cell in row):
            return rows.index(first) + 1
    return 0


def propose(
    headers: Sequence[str],
    samples: Sequence[Sequence[str]],
    *,
    has_header: bool,
    attributes: Collection[str] = (),
) -> list[Column]:
    """Propose what each column is.

    In: header texts (column numbers' stand-ins when the file has none), some rows, the attribute keys cards have
    already. A second column of a single field becomes a variable: the owner decides which of two phones is the one.
    Without headers the cells decide. A column named as an attribute of the cards is that attribute.
    """
    columns: list[Column] = []
    used: set[Field] = set()
    keys: set[str] = set()
    guesses = _guess_by_cells(len(headers), samples)
    known = [field_of(header) if has_header else None for header in headers]
    # Cells speak only for what no header claims.
    claimed = {field for field in known if field}
    if Field.FULL_NAME not in claimed and Field.NAME in claimed and _mostly_several_words(headers, known, samples):
        known = [Field.FULL_NAME if field is Field.NAME else field for field in known]
    for number, header in enumerate(headers):
        field = known[number]
        if field is None and guesses[number] is not None and guesses[number] not in claimed:
            field = guesses[number]
        if field is None or field in used:
            key = key_of(header, number + 1, keys)
            keys.add(key)
            columns.append(Column(header, Field.ATTRIBUTE if key in attributes else Field.VARIABLE, key))
            continue
        used.add(field)
        columns.append(Column(header, field))
    return columns


def _mostly_several_words(
    headers: Sequence[str], known: Sequence[Field | None], samples: Sequence[Sequence[str]]
) -> bool:
    """Say whether the column called «Имя» really holds surnames too: then it is the full name."""
    number = known.index(Field.NAME)
    cells = [row[number].split() for row in samples if number < len(row) and row[number].strip()]
    return bool(cells) and sum(len(words) >= 2 for words in cells) * 2 > len(cells)


def _guess_by_cells(width: int, samples: Sequence[Sequence[str]]) -> list[Field | None]:
    """Recognise phones and e-mails by their looks; each field at most once."""
    guesses: list[Field | None] = [None] * width
    for wanted in (Field.PHONE, Field.EMAIL):
        best, best_share = -1, 0.5
        for number in range(width):
            cells = [row[number] for row in samples if number < len(row) and row[number].strip()]
            if not cells:
                continue
            hits = sum(
                isinstance(normalise(cell), Phone) if wanted is Field.PHONE else bool(_EMAIL.fullmatch(cell.strip()))
                for cell in cells
            )
            if hits / len(cells) > best_share:
                best, best_share = number, hits / len(cells)
        if best >= 0:
            guesses[best] = wanted
    return guesses


_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def _looks_like_data(cell: str) -> bool:
    """A header never is a phone or an e-mail."""
    text = cell.strip()
    if not text:
        return False
    return bool(_EMAIL.fullmatch(text)) or (sum(char.isdigit() for char in text) >= 7)
