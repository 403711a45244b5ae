"""One way to write a phone: any of the owners' spellings -> E.164, or a reason why not.

The rule that decides every doubtful case: **a wrong number is worse than a missing one.** A number that lost a
digit is never completed, letters are never read as digits, twelve digits are never cut: somebody else would get
the message, and the owner would never learn of it.

Two roads lead to the same answer. Nine of ten numbers in our owners' files are plain Russian mobiles; they are
recognised by deleting separators and looking at two digits (measured: 470,000/s). Everything else goes through
rules of ours and then phonenumbers (19,000/s). A property test holds the two together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import phonenumbers
from phonenumbers import PhoneNumberType

from contacts.reasons import Reason


@dataclass(frozen=True, slots=True)
class Phone:
    """An accepted number: `e164` with plus, whether texts can be received there, what to mention."""

    e164: str
    is_mobile: bool
    warnings: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A number we refuse to guess."""

    reason: Reason


#: What people put between digits; deleting it loses nothing. No comma, slash or semicolon: they separate numbers.
_SEPARATORS = dict.fromkeys(map(ord, " ()-.\u00a0\u2007\u202f\u2009\u2010\u2011\u2012\u2013\u2014\u2212"))
#: Excel's "this is text" mark and quotes that survive some exports.
_WRAPPERS = (
    "'\"`\u2019\u00ab\u00bb \t\r\n\u00a0\ufeff\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_LONGEST = 100  #: longer than any phone with any decoration; bounds the work of the patterns below

_SCIENTIFIC = re.compile(r"\+?(\d(?:[.,]\d+)?)[eEеЕ]\+?(\d{1,2})")
_FLOAT_TAIL = re.compile(r"(\d{7,15})[.,]0{1,2}")
_SCHEME = re.compile(r"(?:tel|sms|callto|whatsapp):/{0,2}", re.IGNORECASE)
_LABEL = re.compile(r"(?:тел|моб|сот|т|м|tel|phone|mob|телефон|мобильный|сотовый)[.:]{0,2}\s*(?=[+(\d])", re.IGNORECASE)
_EXTENSION = re.compile(r"(?:доб(?:авочный)?|вн(?:утр)?|ext|extension|#|,,)\W{0,3}\d", re.IGNORECASE)
#: What stands between two numbers in one cell. A single space does not: it also stands inside numbers.
_BETWEEN = re.compile(r"\s*(?:[;,/|\\\n\r\t]|\bи\b|\bили\b|\bor\b|\band\b)\s*")
_LETTER = re.compile(r"[^\W\d_]")
_TEXTABLE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


def fast_mobile(raw: str) -> str | None:
    """Return E.164 of a plain Russian mobile, None for anything that needs thought.

    Only what phonenumbers certainly calls a valid Russian mobile: 9, then not 3 (the 93x block has holes).
    """
    digits = raw.translate(_SEPARATORS)
    if digits[:1] == "+":
        digits = digits[1:]
        if len(digits) != 11 or digits[0] != "7":
            return None
    size = len(digits)
    if size == 11:
        # 8 is the trunk prefix, 7 the country; either may be written without a plus.
        if digits[0] not in "78" or digits[1] != "9" or digits[2] == "3":
            return None
        national = digits[1:]
    elif size == 10:
        if digits[0] != "9" or digits[1] == "3":
            return None
        national = digits
    else:
        return None
    # isascii: str.isdigit accepts digits of every script, the database's E.164 check does not.
    return "+7" + national if national.isascii() and national.isdigit() else None


def normalise(raw: str, region: str = "RU") -> Phone | Rejected:
    """Read one cell.

    In: any text; `region` whose national spellings are understood. Out: Phone, or Rejected with a reason.
    Never raises. Warnings: a landline (no text will arrive), a second number in the cell that was left out.
    """
    if region == "RU":
        quick = fast_mobile(raw)
        if quick is not None:
            return Phone(quick, is_mobile=True)
    text = raw.strip(_WRAPPERS)
    if not text:
        return Rejected(Reason.PHONE_EMPTY)
    if len(text) > _LONGEST:
        return Rejected(Reason.PHONE_NOT_A_NUMBER)
    scientific = _SCIENTIFIC.fullmatch(text)
    if scientific:
        return _from_scientific(text, scientific, region)
    text = _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text
    text = _LABEL.sub("", text, count=1) if _LABEL.match(text) else text
    tail = _FLOAT_TAIL.fullmatch(text)
    if tail:
        text = tail[1]
    if _EXTENSION.search(text):
        return Rejected(Reason.PHONE_EXTENSION)
    parts = [part for part in _BETWEEN.split(text) if part]
    if len(parts) > 1:
        return _first_of(parts, region)
    return _single(text, region)


def _from_scientific(text: str, match: re.Match[str], region: str) -> Phone | Rejected:
    """Take 7.9123456789E+10, refuse 7,9123E+10: Excel has thrown the other digits away for good."""
    mantissa, exponent = match[1].replace(",", "."), int(match[2])
    try:
        number = Decimal(f"{mantissa}E{exponent}")
    except InvalidOperation:  # pragma: no cover  the pattern admits only numbers
        return Rejected(Reason.PHONE_NOT_A_NUMBER)
    significant = len(mantissa.replace(".", ""))
    if significant != exponent + 1:
        return Rejected(Reason.PHONE_LOSSY)
    return _single(str(int(number)), region)


def _first_of(parts: list[str], region: str) -> Phone | Rejected:
    """Return the first valid number of a cell that holds several; the refusal of the first when none is."""
    first_refusal: Rejected | None = None
    for part in parts:
        answer = normalise(part, region)
        if isinstance(answer, Phone):
            return Phone(answer.e164, answer.is_mobile, (*answer.warnings, Reason.PHONE_SECOND))
        first_refusal = first_refusal or answer
    return first_refusal or Rejected(Reason.PHONE_NOT_A_NUMBER)


def _single(text: str, region: str) -> Phone | Rejected:
    """Judge one number without decoration around it."""
    if _LETTER.search(text):
        # О for 0, З for 3: we could guess, and sometimes write to a stranger.
        return Rejected(Reason.PHONE_LETTERS)
    digits = "".join(char for char in text if char.isdigit())
    if not digits.isascii() or not digits:
        return Rejected(Reason.PHONE_NOT_A_NUMBER)
    international = text.lstrip(" (").startswith(("+", "00"))
    if region == "RU" and not international:
        refusal = _russian_length(digits)
        if refusal is not None:
            return Rejected(refusal)
        # phonenumbers also tries the country code; after the length rule only these two readings are left.
        text = "+7" + digits[-10:]
    elif text.lstrip(" (").startswith("00"):
        text = "+" + digits[2:]
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return Rejected(Reason.PHONE_NOT_A_NUMBER)
    if number.extension:
        return Rejected(Reason.PHONE_EXTENSION)
    if not phonenumbers.is_valid_number(number):
        return Rejected(Reason.PHONE_INVALID)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if phonenumbers.number_type(number) in _TEXTABLE:
        return Phone(e164, is_mobile=True)
    return Phone(e164, is_mobile=False, warnings=(Reason.PHONE_LANDLINE,))


def _russian_length(digits: str) -> Reason | None:
    """Refuse national spellings with a digit too many or too few; None when the length is right.

    Ten digits are a number without its 8 only when they cannot be eleven digits that lost one: those begin with
    7 or 8, and 8912345678 must not become a landline in Chelyabinsk.
    """
    if len(digits) == 11 and digits[0] in "78":
        return None
    if len(digits) == 10 and digits[0] not in "78":
        return None
    if len(digits) < 7:
        return Reason.PHONE_NOT_A_NUMBER
    return Reason.PHONE_LENGTH
