"""Letters about letters, as mail servers, mail services and people write them.

Shapes: RFC 3464 (delivery reports), 5965 (complaints), 3834 (automatic answers); the introduction of the quotation is that
of Mail.ru.
"""

from __future__ import annotations

import itertools
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

#: Status of a message -> (action, enhanced code, the last server's words).
REPORTS: Final = {
    "not_registered": ("failed", "5.1.1", "smtp; 550 5.1.1 <{0}>: Recipient address rejected: User unknown"),
    "failed": ("failed", "5.2.2", "smtp; 552 5.2.2 Mailbox full"),
    "refused_as_spam": ("failed", "5.0.0", "smtp; 550 5.7.1 Message rejected under suspicion of SPAM"),
    "expired": ("failed", "4.4.7", "smtp; 451 4.4.1 delivery time expired"),
    "delayed": ("delayed", "4.4.1", "smtp; 451 4.4.1 connection timed out"),
    "told_delivered": ("delivered", "2.0.0", "smtp; 250 2.0.0 Ok"),
}
_numbers = itertools.count(1)


def report(status: str, recipient: str, returns_to: str, envelope_id: str, headers: dict[str, str]) -> bytes:
    """A delivery report about one letter, to the sender of its envelope."""
    action, code, words = REPORTS[status]
    words = words.format(recipient)
    named = f"Original-Envelope-Id: {envelope_id}\n" if envelope_id else ""
    parts = [
        ("text/plain; charset=us-ascii", f"I'm sorry to have to inform you about {recipient}:\n{words}\n"),
        (
            "message/delivery-status",
            (
                f"Reporting-MTA: dns; mx.example\n{named}\nFinal-Recipient: rfc822; {recipient}\nAction: {action}\n"
                f"Status: {code}\nDiagnostic-Code: {words}\n"
            ),
        ),
        ("text/rfc822-headers", _returned(headers)),
    ]
    head = _head("Mail Delivery System <MAILER-DAEMON@mx.example>", returns_to, "Undelivered Mail Returned to Sender")
    return _report("delivery-status", f"{head}Auto-Submitted: auto-replied\n", parts)


def complaint(recipient: str, returns_to: str, headers: dict[str, str]) -> bytes:
    """A person pressed "spam"."""
    parts = [
        ("text/plain; charset=us-ascii", "This is an email abuse report.\n"),
        (
            "message/feedback-report",
            f"Feedback-Type: abuse\nUser-Agent: Emulator/1\nVersion: 1\nOriginal-Rcpt-To: <{recipient}>\n",
        ),
        ("message/rfc822", f"{_returned(headers)}\n...\n"),
    ]
    return _report("feedback-report", _head("Feedback <fbl@mx.example>", returns_to, "FW: complaint"), parts)


def away(recipient: str, returns_to: str, headers: dict[str, str]) -> bytes:
    """A mailbox answers by itself, to the sender of the envelope (RFC 3834)."""
    letter = _letter(recipient, returns_to, f"Автоответ: {_flat(headers.get('subject', ''))}")
    letter["Auto-Submitted"] = "auto-replied"
    letter["In-Reply-To"] = headers.get("message-id", "<x@y>")
    letter.set_content("Я в отпуске до понедельника.")
    return letter.as_bytes()


def answer(recipient: str, writes_to: str, text: str, headers: dict[str, str]) -> bytes:
    """A person answers, above what they answer."""
    letter = _letter(f"Человек <{recipient}>", writes_to, f"Re: {_flat(headers.get('subject', ''))}")
    if "message-id" in headers:
        letter["In-Reply-To"] = letter["References"] = headers["message-id"]
    letter.set_content(
        f"{text}\n\n-- \nС уважением, человек\n\nВторник, 24 ноября 2026, 10:00 +03:00 от Салон <{writes_to}>:\n"
        "> Ждём вас!\n> Отписаться от рассылки можно по ссылке\n"
    )
    return letter.as_bytes()


def _letter(sender: str, to: str, subject: str) -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"], letter["Date"] = sender, to, subject, formatdate()
    letter["Message-ID"] = _id()
    return letter


def _report(kind: str, head: str, parts: list[tuple[str, str]]) -> bytes:
    """Written out and not built: the standard library refuses to write reports it would read."""
    lines = [f'{head}MIME-Version: 1.0\nContent-Type: multipart/report; report-type={kind}; boundary="=emulator="\n']
    lines += [f"--=emulator=\nContent-Type: {content}\n\n{text}" for content, text in parts]
    return "\n".join([*lines, "--=emulator=--\n"]).replace("\n", "\r\n").encode()


def _head(sender: str, to: str, subject: str) -> str:
    return f"From: {sender}\nTo: {to}\nSubject: {subject}\nDate: {formatdate()}\nMessage-ID: {_id()}\n"


def _returned(headers: dict[str, str]) -> str:
    return "".join(f"{name.title()}: {_flat(value)}\n" for name, value in headers.items())


def _id() -> str:
    return f"<letter-{next(_numbers)}@mx.example>"


def _flat(value: str) -> str:
    return " ".join(value.split())
