"""What a letter in a mailbox of ours is: a mail server's report, a complaint, an automatic answer, a person's words.

Pure, and untrusting: any bytes may lie in a mailbox, also half a letter (the seam cuts long ones). Nothing here raises.
Sources: RFC 3464 (delivery reports), 6533 (the same with other letters), 5965 (complaints, "ARF"), 3834 and 5230
(automatic answers), 3461 (Original-Envelope-Id). How mail programs introduce what they quote is nobody's standard: the
patterns are those of the big ones as we know them, in Russian and English.
"""

from __future__ import annotations

import email
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final

#: Longer than anything a person answers by hand.
MAX_WORDS: Final = 20_000
#: What the standard library's parsers trip over in headers that are none.
_BAD: Final = (ValueError, LookupError, TypeError)


@dataclass(frozen=True, slots=True)
class Fate:
    """What one report says about one recipient. Words lower-cased, `diagnostic` as it came."""

    recipient: str
    action: str  #: failed, delayed, delivered, relayed, expanded; or a word nobody knows
    status: str  #: x.y.z (RFC 3463), "" when there is none
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as far as it could be read; what is missing is empty."""

    sender: str = ""  #: bare address, lower-cased
    #: Every address it was for, as it came: the envelope's (as the last server wrote it down) and the visible ones.
    recipients: tuple[str, ...] = ()
    subject: str = ""
    message_id: str = ""  #: with its angle brackets
    #: Ids of the letters it answers, with brackets, the nearest first.
    answers: tuple[str, ...] = ()
    #: Nobody has written it by hand: vacation, "we have received your letter", a mailing, a mail server.
    automatic: bool = False
    words: str = ""  #: what the person wrote, without what was quoted
    at: datetime | None = None
    #: Of a report or a complaint: Message-ID of the letter it is about, and the reference its envelope had (ENVID).
    about: str = ""
    envelope_id: str = ""
    fates: tuple[Fate, ...] = ()
    #: Feedback-Type of a complaint (abuse, fraud, not-spam ...), lower-cased; "" for what is none.
    complaint: str = ""
    #: Whom the complaint's letter was for, where the mail service tells.
    complainant: str = ""


def read_letter(body: bytes) -> Letter:
    """The letter in these bytes. Never raises: what cannot be read is left out."""
    try:
        return _read(email.message_from_bytes(body))
    except RecursionError:  # parts within parts within parts: nobody's letter
        return Letter(automatic=True)


def _read(message: Message) -> Letter:
    report = _report_type(message)
    found = Letter(
        sender=next(iter(_addresses(message, "from")), ""),
        recipients=tuple(_recipients(message)),
        subject=_text(message.get("subject"))[:300],
        message_id=next(iter(_ids(_raw(message, "message-id"))), ""),
        answers=(*_ids(_raw(message, "in-reply-to")), *reversed(_ids(_raw(message, "references")))),
        automatic=_is_automatic(message),
        at=_moment(_raw(message, "date")),
    )
    if report == "delivery-status":
        return _with_report(found, message)
    if report == "feedback-report":
        return _with_complaint(found, message)
    return replace(found, words=_words(message))


# ---------------------------------------------------------------- reports of servers, complaints of people


def _report_type(message: Message) -> str:
    """delivery-status, feedback-report or "": by what is inside, because a cut or careless letter loses its label."""
    for part in _walk(message):
        kind = part.get_content_type()
        if kind in {"message/delivery-status", "message/global-delivery-status"}:
            return "delivery-status"
        if kind == "message/feedback-report":
            return "feedback-report"
    return ""


def _with_report(found: Letter, message: Message) -> Letter:
    envelope, fates = "", []
    for part in _walk(message):
        if part.get_content_type() not in {"message/delivery-status", "message/global-delivery-status"}:
            continue
        for block in _blocks(part):
            envelope = envelope or _raw(block, "original-envelope-id").strip()
            recipient = _typed(_raw(block, "original-recipient")) or _typed(_raw(block, "final-recipient"))
            action = _raw(block, "action").split(";")[0].strip().lower()
            if action:
                status = re.search(r"[245]\.\d{1,3}\.\d{1,3}", _raw(block, "status"))
                fate = Fate(recipient, action[:20], status[0] if status else "", _typed(_raw(block, "diagnostic-code")))
                fates.append(fate)
    return replace(
        found, automatic=True, fates=tuple(fates[:50]), envelope_id=envelope[:200], about=_returned_id(message)
    )


def _with_complaint(found: Letter, message: Message) -> Letter:
    kind = recipient = ""
    for part in _walk(message):
        if part.get_content_type() == "message/feedback-report":
            for block in _blocks(part):
                kind = kind or _raw(block, "feedback-type").strip().lower()
                named = _raw(block, "original-rcpt-to") or _raw(block, "removal-recipient")
                recipient = recipient or named.strip().strip("<>").lower()
    return replace(
        found,
        automatic=True,
        complaint=kind[:30] or "abuse",
        complainant=recipient[:200],
        about=_returned_id(message),
    )


def _returned_id(message: Message) -> str:
    """Message-ID of our letter, which a report brings back whole or as its headers."""
    for part in _walk(message):
        kind = part.get_content_type()
        inner = None
        if kind in {"message/rfc822", "message/global"}:
            payload = part.get_payload()
            inner = payload[0] if isinstance(payload, list) and payload else None
        elif kind in {"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"}:
            payload = part.get_payload()
            inner = (
                payload[0]
                if isinstance(payload, list) and payload
                else email.message_from_string(_decoded(part) + "\n")
            )
        if isinstance(inner, Message):
            ids = _ids(_raw(inner, "message-id"))
            if ids:
                return ids[0]
    return ""


def _blocks(part: Message) -> Iterator[Message]:
    """The groups of fields in a report: the parser splits those it knows and leaves the others as a text."""
    payload = part.get_payload()
    for block in payload if isinstance(payload, list) else [part]:
        if not isinstance(block, Message):
            continue
        if block is not part:
            yield block
        rest = block.get_payload()
        if isinstance(rest, str):
            for group in re.split(r"\r?\n\r?\n", rest)[:50]:
                if group.strip():
                    yield email.message_from_string(group.lstrip() + "\n\n")


def _typed(value: str) -> str:
    """The address or words of a field like `rfc822; ann@example.org`."""
    _, semicolon, rest = value.partition(";")
    return re.sub(r"\s+", " ", rest if semicolon else value).strip().strip("<>")[:300]


# ---------------------------------------------------------------- who wrote, and did they


_ROBOTS = re.compile(
    r"^(mailer-daemon|postmaster|no-?reply|do-?not-?reply|noreply|bounces?)([+_.-].*)?@", re.IGNORECASE
)
_AUTOMATIC_SUBJECT = re.compile(
    r"^\s*(re:\s*)?(auto(matic)?[\s-]*(reply|response)|out of (the )?office|автоответ|автоматический ответ|вне офиса"
    r"|нет на месте|undeliver|delivery status notification|mail delivery|returned mail|недоставленное)",
    re.IGNORECASE,
)


def _is_automatic(message: Message) -> bool:
    if _raw(message, "auto-submitted").strip().lower().split(";")[0].strip() not in {"", "no"}:
        return True
    if _raw(message, "precedence").strip().lower() in {"bulk", "junk", "list", "auto_reply"}:
        return True
    told = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "list-id", "list-unsubscribe", "x-loop")
    if any(_raw(message, name).strip() for name in told):
        return True
    if _raw(message, "return-path").strip() == "<>":
        return True
    senders = _addresses(message, "from")
    return bool(senders and _ROBOTS.match(senders[0])) or bool(_AUTOMATIC_SUBJECT.match(_text(message.get("subject"))))


def _recipients(message: Message) -> Iterator[str]:
    for name in ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to", "to", "cc"):
        yield from _addresses(message, name, lower=False)


def _addresses(message: Message, name: str, *, lower: bool = True) -> list[str]:
    try:
        pairs = getaddresses([str(value) for value in message.get_all(name, [])][:20])
    except (*_BAD, AttributeError):
        return []
    found = [address.strip() for _, address in pairs if "@" in address and len(address) <= 320]
    return [address.lower() for address in found] if lower else found


# ---------------------------------------------------------------- a person's words

#: Where a mail program begins to repeat the letter it answers; what stands above is the answer.
_QUOTE = re.compile(
    r"^\s*("
    r">.*"
    r"|-{2,}\s*(original message|исходное сообщение|пересылаемое сообщение|пересланное сообщение|forwarded message).*"
    r"|_{10,}\s*"
    r"|.*\b(wrote|writes)\s*:"
    r"|.*\b(написала?|написал\(а\)|пишет)\s*:"
    r"|.*\S+@\S+>\s*:"
    r"|(from|sent|to|от|от кого|отправлено|кому|дата|date)\s*:\s.*\S+@\S+.*"
    r"|(sent|отправлено)\s*:\s.*\d{4}.*"
    r")\s*$",
    re.IGNORECASE,
)
#: A signature is not what the person wants to say. Its mark is two hyphens and nothing else.
_SIGNATURE = re.compile(r"^--\s*$")


def _words(message: Message) -> str:
    """What the person wrote: the plain part, else the text of the HTML one, up to the quotation."""
    plain = rich = ""
    for part in _walk(message):
        if part.get_content_disposition() == "attachment":
            continue
        if part.get_content_type() == "text/plain" and not plain:
            plain = _decoded(part)
        elif part.get_content_type() == "text/html" and not rich:
            rich = _plain_of(_decoded(part))
    return own_words(plain if plain.strip() else rich)[:MAX_WORDS]


def own_words(text: str) -> str:
    """`text` without the letter it answers and without a signature; answers below the quotation are found as well."""
    lines = text.replace("\r\n", "\n").replace("\xa0", " ").split("\n")
    above: list[str] = []
    for line in lines:
        if _QUOTE.match(line[:400]) or _SIGNATURE.match(line):
            break
        above.append(line)
    own = "\n".join(above).strip()
    if own:
        # Gmail breaks its introduction in two: "24 ноя 2026 г. в 10:00, Салон <" and "hello@salon.example>:".
        return re.sub(r"\n[^\n]*\d{4}[^\n]*<$", "", own).strip()
    return "\n".join(line for line in lines if not _QUOTE.match(line[:400])).strip()


def _plain_of(markup: str) -> str:
    """HTML as text: enough to read an answer, with what was quoted left out."""
    markup = re.sub(r"(?is)<(style|script|head|blockquote)\b.*?(</\1\s*>|\Z)", " ", markup[:200_000])
    markup = re.sub(r"(?is)<div[^>]*class=[\"'][^\"']*(gmail_quote|moz-cite|yahoo_quoted)[^\"']*[\"'].*", " ", markup)
    markup = re.sub(r"(?i)<(br|/p|/div|/tr|/li)\b[^>]*>", "\n", markup)
    return re.sub(r"[ \t]+", " ", html.unescape(re.sub(r"<[^>]{0,2000}>", " ", markup)))


# ---------------------------------------------------------------- bytes


def _walk(message: Message) -> Iterator[Message]:
    """The letter's parts without those of letters inside it: what a returned letter says is not what this one says."""
    stack = [message]
    seen = 0
    while stack and seen < 200:
        part = stack.pop()
        seen += 1
        yield part
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            stack.extend(reversed([inner for inner in payload if isinstance(inner, Message)]))


def _decoded(part: Message) -> str:
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError):
        return ""
    if not isinstance(data, bytes):
        return ""
    charset = part.get_content_charset("utf-8") or "utf-8"
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


def _raw(message: Message, name: str) -> str:
    """A header as text, "" when it is missing; bytes that are none of ASCII's come as replacement characters."""
    try:
        return str(message.get(name, ""))
    except (*_BAD, MessageError):
        return ""


def _text(value: object) -> str:
    """A header with encoded words as people see it."""
    try:
        return str(make_header(decode_header(str(value or ""))))
    except (*_BAD, MessageError):
        return str(value or "")


def _ids(value: str) -> list[str]:
    return re.findall(r"<[^<>\s]{3,190}>", value)[:50]


def _moment(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value.strip())
    except (*_BAD, OverflowError):
        return None
    try:
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
