"""What a cell says: names, dates, yes and no, time zones, e-mails. Pure; each function is asked millions of times."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache
from zoneinfo import available_timezones

MAX_NAME = 200
MAX_FULL_NAME = 300
MAX_EMAIL = 254
MAX_BRANCH = 200
MAX_TAG = 100
MAX_TAGS = 20
#: Values of variables: a text longer than this is no value for a message.
MAX_VALUE = 1000

#: What a spreadsheet shows instead of a value.
ERROR_CELLS = frozenset(
    [
        "#Н/Д",
        "#N/A",
        "#ЗНАЧ!",
        "#VALUE!",
        "#ССЫЛКА!",
        "#REF!",
        "#ДЕЛ/0!",
        "#DIV/0!",
        "#ИМЯ?",
        "#NAME?",
        "#ЧИСЛО!",
        "#NUM!",
        "#ПУСТО!",
        "#NULL!",
    ]
)

_YES = frozenset(
    [
        "да",
        "д",
        "yes",
        "y",
        "1",
        "true",
        "истина",
        "+",
        "v",
        "x",
        "✓",
        "✔",
        "on",
        "вкл",
        "согласен",
        "согласна",
        "согласие",
        "есть",
        "подписан",
        "подписана",
        "разрешено",
        "дал",
        "дала",
        "granted",
        "subscribed",
        "opt-in",
        "optin",
    ]
)
_NO = frozenset(
    [
        "нет",
        "н",
        "no",
        "n",
        "0",
        "false",
        "ложь",
        "-",
        "−",
        "–",
        "off",
        "выкл",
        "отказ",
        "отказался",
        "отказалась",
        "отозвано",
        "отозван",
        "отписан",
        "отписана",
        "отписка",
        "против",
        "запрещено",
        "withdrawn",
        "unsubscribed",
        "opt-out",
        "optout",
    ]
)

#: Formatting and direction marks, NULs, other controls. Zero-width joiners stay where emoji and scripts need them.
_KEEP_FORMAT = "\u200d\u200c"


def clean(value: str) -> tuple[str, bool]:
    """Return the text as it may be stored (NFC, without control, direction and surrogate characters, on one line,
    without spaces around) and whether something invisible was taken out."""
    if value.isprintable() and unicodedata.is_normalized("NFC", value):
        return value.strip(), False
    removed = False
    kept = []
    for char in value:
        if char in "\n\r\t\v\f\x85\u2028\u2029" or unicodedata.category(char) == "Zs":
            kept.append(" ")
            continue
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} and char not in _KEEP_FORMAT:
            # Soft hyphens and byte order marks are no attack, but they break search as well.
            removed = True
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept)).strip(), removed


@lru_cache(maxsize=50_000)
def given_name(full_name: str) -> str:
    """Return how to address the owner of a full name: «Иванова Анна Петровна» -> «Анна».

    Russian exports write the surname first; a patronymic or a surname's ending shows which order it is. When
    nothing shows, two words are taken as "surname name" and one word as it is.
    """
    words = full_name.split()
    if len(words) < 2:
        return full_name[:MAX_NAME]
    for number, word in enumerate(words):
        if number and _PATRONYMIC.search(word.lower()):
            return words[number - 1][:MAX_NAME]
    if _SURNAME.search(words[1].lower()) and not _SURNAME.search(words[0].lower()):
        return words[0][:MAX_NAME]
    return words[1][:MAX_NAME]


_PATRONYMIC = re.compile(r"(?:ович|евич|ич|овна|евна|ична|инична|оглы|кызы|улы)$")
_SURNAME = re.compile(
    r"(?:ов|ев|ёв|ин|ын|ский|цкий|ова|ева|ёва|ина|ына|ская|цкая|енко|ук|юк|чук|ко|ян|дзе|швили|ich|ov|ova|ev|eva)$"
)


@lru_cache(maxsize=100_000)
def birthday_of(text: str) -> date | None:
    """Read a date of birth; None when it cannot be one. Day before month, as everywhere in Russia."""
    match = _DAY_FIRST.fullmatch(text) or _YEAR_FIRST.fullmatch(text)
    if match is None:
        return None
    year, month, day = int(match["y"]), int(match["m"]), int(match["d"])
    today = date.today()  # noqa: DTZ011  a year's difference is what is asked
    if year < 100:
        year += 2000 if year <= today.year % 100 else 1900
    try:
        born = date(year, month, day)
    except ValueError:
        return None
    return born if date(1900, 1, 1) < born <= today else None


_DAY_FIRST = re.compile(r"(?P<d>\d{1,2})[./\- ](?P<m>\d{1,2})[./\- ](?P<y>\d{4}|\d{2})(?:[ T]\d.*|\s?г\.?)?")
_YEAR_FIRST = re.compile(r"(?P<y>\d{4})[./\-](?P<m>\d{1,2})[./\-](?P<d>\d{1,2})(?:[ T]\d.*)?")


@lru_cache(maxsize=10_000)
def consent_of(text: str) -> bool | None:
    """Return True for yes, False for no, None when the cell says neither."""
    word = text.strip().strip(".!").lower()
    if word in _YES:
        return True
    if word in _NO or word.startswith("не "):
        return False
    return None


#: The zone people mean by an offset in Russia; fixed offsets elsewhere, as nothing better is known.
_BY_OFFSET = {
    2: "Europe/Kaliningrad", 3: "Europe/Moscow", 4: "Europe/Samara", 5: "Asia/Yekaterinburg", 6: "Asia/Omsk",
    7: "Asia/Krasnoyarsk", 8: "Asia/Irkutsk", 9: "Asia/Yakutsk", 10: "Asia/Vladivostok", 11: "Asia/Magadan",
    12: "Asia/Kamchatka",
}  # fmt: skip
_OFFSET = re.compile(r"(?P<base>utc|gmt|мск|msk)?\s*(?P<sign>[+\-−])?\s*(?P<hours>\d{1,2})(?::?00)?", re.IGNORECASE)


@lru_cache(maxsize=10_000)
def zone_of(text: str) -> str | None:
    """Return the IANA name of a zone written as such, as an offset (+5, UTC+5) or from Moscow (МСК+2)."""
    word = text.strip()
    if word in _zones():
        return word
    folded = word.casefold()
    if folded in {"мск", "msk", "москва"}:
        return "Europe/Moscow"
    match = _OFFSET.fullmatch(word)
    if match and (match["sign"] or match["base"]):
        hours = int(match["hours"]) * (-1 if match["sign"] in ("-", "−") else 1)
        if (match["base"] or "").casefold() in {"мск", "msk"}:
            hours += 3
        if hours in _BY_OFFSET:
            return _BY_OFFSET[hours]
        fixed = f"Etc/GMT{-hours:+d}" if hours else "Etc/UTC"
        return fixed if fixed in _zones() else None
    return _zones_by_folded_name().get(folded)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1)
def _zones_by_folded_name() -> dict[str, str]:
    return {name.casefold(): name for name in _zones()}


_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~а-яё.-]+@(?:[a-z0-9а-яё](?:[a-z0-9а-яё-]{0,61}[a-z0-9а-яё])?\.)+[a-zа-яё0-9-]{2,63}"
)


def email_of(text: str) -> str | None:
    """Return an e-mail in lower case, None when it is not one. `mailto:` and angle brackets are taken off."""
    value = text.strip().lower().removeprefix("mailto:").strip("<>;, ")
    if len(value) > MAX_EMAIL or not _EMAIL.fullmatch(value):
        return None
    name = value.partition("@")[0]
    return None if name.startswith(".") or name.endswith(".") or ".." in name else value


def tags_of(text: str) -> list[str]:
    """Return the tags of a cell: separated by comma, semicolon, bar; each once, at most MAX_TAGS."""
    found = dict.fromkeys(part.strip()[:MAX_TAG] for part in re.split(r"[;,|]", text))
    return [tag for tag in found if tag][:MAX_TAGS]
