"""Redaction: logs travel (to us, to hosters, into tickets), people's phones must not."""

import logging
import re

#: Order matters: tokens first, because the phone rule would break them up and leave a half.
_TOKENS = (
    # Telegram bot tokens, alone or inside the API's URL path.
    (re.compile(r"(?<!\d)(\d{5,12}):[A-Za-z0-9_-]{30,}"), r"\1:***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    # Logins inside addresses: scheme://user:password@host
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), r"\1:***@"),
    # GREEN-API puts the token into the path: /waInstance1101/sendMessage/<token>
    (re.compile(r"(/waInstance\d+/\w+/)[A-Za-z0-9]{16,}"), r"\1***"),
    # The secret half of a callback's address, and the references that unsubscribe a person or name a message.
    (re.compile(r"(/hooks/\d+/)[^/\s?\"']+"), r"\1***"),
    (re.compile(r"(/[ul]/)[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"), r"\1***"),
    # name=value, "name": "value", name: value
    (
        re.compile(
            r"(?i)((?:[a-z_-]*(?:token|secret|passw(?:or)?d|api_?-?key|authorization|session|psw))"
            r"[\"']?\s*[=:]\s*[\"']?)(?!bearer\b|basic\b)[^\s\"'&,;}]+"
        ),
        r"\1***",
    ),
    # e-mail addresses: the domain stays, it is what one debugs by.
    (re.compile(r"(?i)\b([a-z0-9])[a-z0-9._%+-]*@([a-z0-9.-]+\.[a-z]{2,})"), r"\1***@\2"),
)
#: Ten to fifteen digits in a row (also a chat id of that length: masked as well, on purpose),
#: or the written forms "+7 (900) 123-45-67" and "8 900 123-45-67". Dates and clock times do
#: not match: they have no run of ten digits and do not begin with + or 8 and three digits.
_PHONES = re.compile(
    r"(?<![\w.-])\+?\d{10,15}(?![\w-])"
    r"|\+\d[\d ()\u00a0-]{8,18}\d"
    r"|(?<![\d.:-])8[ -]?\(?\d{3}\)?[ -]?\d{3}[ -]?\d{2}[ -]?\d{2}(?!\d)"
)


def redact(text: str) -> str:
    """Return the text with tokens cut out and phones reduced to their last two digits.

    The two digits keep lines of one incident apart without telling whose they are.
    """
    for pattern, replacement in _TOKENS:
        text = pattern.sub(replacement, text)
    return _PHONES.sub(lambda match: f"***{match[0][-2:]}", text)


class RedactPersonalData(logging.Filter):
    """Redacts message, arguments and traceback of every record that passes a handler.

    A filter and not a formatter, so that a second handler (a file, an error collector) given
    the same filter cannot forget it.
    """

    _plain = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True always; the record is changed in place."""
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info:
            # Formatted here, once: the formatter prints exc_text and never looks again.
            record.exc_text = redact(self._plain.formatException(record.exc_info))
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
