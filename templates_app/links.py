"""Which addresses may stand in a message (M4). No Django here."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

from templates_app.rendering import gettext_noop

#: An address inside a text: up to a space, quote or angle bracket; trailing punctuation is the sentence's.
URL_IN_TEXT = re.compile(r"https?://[^\s<>\"«»{}|\\^`]+", re.IGNORECASE)
TRAILING = ".,;:!?)]'…"

_SCHEME = gettext_noop("The link must begin with https:// or http://.")
_HOST = gettext_noop("The link has no site name after https://.")
_LOGIN = gettext_noop("The link hides another site behind an @ sign: “%(url)s”. Remove what stands before the @.")
_CHARACTERS = gettext_noop("The link contains a space, a control character or a backslash.")
_MIXED = gettext_noop(
    "The site name “%(host)s” mixes letters of different alphabets, as look-alike sites do. Type it again by hand."
)


class LinkError(ValueError):
    """This address may not be sent. `message` is an English msgid, `params` fill its %(name)s."""

    def __init__(self, message: str, **params: str) -> None:
        super().__init__(message, params)
        self.message = message
        self.params = params

    def __str__(self) -> str:
        return self.message % self.params


def check_link(url: str) -> None:
    """Raises LinkError for javascript:, data:, a missing scheme, a hidden login, or a look-alike name.

    A look-alike is a label that mixes alphabets ("sаlon" with a Cyrillic а). A name written wholly in another
    alphabet that happens to look Latin is let through: it cannot be told from honest names without a list.
    """
    if any(sign.isspace() or unicodedata.category(sign) in {"Cc", "Cf"} or sign == "\\" for sign in url):
        raise LinkError(_CHARACTERS)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise LinkError(_HOST) from None
    if parts.scheme not in {"http", "https"}:
        raise LinkError(_SCHEME)
    if "@" in parts.netloc:
        raise LinkError(_LOGIN, url=url)
    if not host.strip("."):
        raise LinkError(_HOST)
    for label in host.split("."):
        if len(_alphabets(_readable(label))) > 1:
            raise LinkError(_MIXED, host=host)


def links_in(text: str) -> list[str]:
    """Addresses in a text, in order, without the punctuation of the sentence around them."""
    return [found.group().rstrip(TRAILING) for found in URL_IN_TEXT.finditer(text)]


def _readable(label: str) -> str:
    """A punycode label as people see it; one that does not decode stays as it is."""
    if label.startswith("xn--"):
        try:
            return label.removeprefix("xn--").encode("ascii").decode("punycode")
        except (UnicodeError, ValueError):
            return label
    return label


def _alphabets(label: str) -> set[str]:
    """First words of the Unicode names of the letters: LATIN, CYRILLIC, GREEK ..."""
    return {unicodedata.name(sign, "UNKNOWN").split(" ")[0] for sign in label if sign.isalpha()}
