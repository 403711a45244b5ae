"""How many SMS a text costs: GSM 03.38 with its extension table, else UCS-2.

The price of one character: a single letter, quote or no-break space outside the GSM alphabet turns the whole
message into UCS-2, where a part holds 70 instead of 160. `culprit` names the first such character, so that an
owner who pasted a no-break space from Word learns why the price doubled. No Django here; the counter beside the
text field asks this same function.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: GSM 03.38 basic table; ESC is not a character.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Sent as ESC and one more: two units each, and never torn apart between parts.
GSM_EXTENSION = frozenset("^{}\\[~]|€\f")


class Encoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


#: Units in a lone message, and in each part of a joined one (the header takes the rest).
SINGLE = {Encoding.GSM7: 160, Encoding.UCS2: 70}
JOINED = {Encoding.GSM7: 153, Encoding.UCS2: 67}


@dataclass(frozen=True, slots=True)
class Segments:
    """`units`: septets or UTF-16 units used; `left`: units that still fit without another part."""

    parts: int
    encoding: Encoding
    units: int
    left: int
    culprit: str  #: the first character outside GSM 03.38, "" when there is none


def count(text: str) -> Segments:
    """Parts of this text as a phone network sends it. The empty text has no part."""
    culprit = next((sign for sign in text if sign not in GSM_BASIC and sign not in GSM_EXTENSION), "")
    if culprit:
        encoding = Encoding.UCS2
        wide = sum(1 for sign in text if ord(sign) > 0xFFFF)
    else:
        encoding = Encoding.GSM7
        wide = sum(1 for sign in text if sign in GSM_EXTENSION)
    units = len(text) + wide
    if units == 0:
        return Segments(0, encoding, 0, SINGLE[encoding], "")
    if units <= SINGLE[encoding]:
        return Segments(1, encoding, units, SINGLE[encoding] - units, culprit)
    size = JOINED[encoding]
    parts, used = _joined(text, encoding, size) if wide else (-(-units // size), units % size or size)
    return Segments(parts, encoding, units, size - used, culprit)


def _joined(text: str, encoding: Encoding, size: int) -> tuple[int, int]:
    """(parts, units in the last one), where a two-unit character that does not fit starts the next part."""
    parts, used = 1, 0
    for sign in text:
        width = 2 if (ord(sign) > 0xFFFF if encoding is Encoding.UCS2 else sign in GSM_EXTENSION) else 1
        if used + width > size:
            parts, used = parts + 1, 0
        used += width
    return parts, used
