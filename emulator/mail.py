"""Mail: a relay that speaks SMTP (aiosmtpd) and behaves by recipient like the HTTP providers do.

Answers, by behaviour: error_500 451 after RCPT; refused 550 5.1.1 after RCPT; rate_limited 450 4.7.1; unauthorized
530; no_balance 552 5.2.2 (mailbox full); blocked and error_json 554 5.7.1 after the letter; accept_reset takes the
letter and breaks off before 250; reset breaks off at RCPT; hang and drip after the letter; html, truncated, huge and
redirect: replies no mail server gives. The account is the login, "*" without one; state unauthorized refuses it.

What is told later comes as a letter (emulator.letters) into the mailbox of the envelope's sender, which emulator.imap
shows: not_registered, failed (mailbox full), expired, refused_as_spam, delayed, told_delivered, complaint, away; and what
people write comes into the visible sender's. The server takes the envelope ids of RFC 3461.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import logging
import re
import socket
import struct
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from emulator import letters
from emulator.behaviours import TAKEN
from emulator.providers.base import Hook, HttpProvider, Reply
from emulator.world import Account, Message, Sending, Wanted, plain

if TYPE_CHECKING:
    from emulator.http import Request
    from emulator.world import World

AT_RCPT = {
    "error_500": "451 4.3.0 Temporary failure, try again later",
    "refused": "550 5.1.1 No such user here",
    "rate_limited": "450 4.7.1 Too many letters, slow down",
    "unauthorized": "530 5.7.0 Authentication required",
    "no_balance": "552 5.2.2 Mailbox full",
    "redirect": "551 5.1.6 User not local; please try <somebody@elsewhere.example>",
}
#: Headers the journal keeps.
KEPT = ("from", "to", "reply-to", "subject", "message-id", "list-unsubscribe", "list-unsubscribe-post")
AT_DATA = {
    "blocked": "554 5.7.1 Message rejected as spam",
    "error_json": "554 5.7.1 Message rejected by policy",
    "html": "<html>502 Bad Gateway</html>",
    "truncated": "25",
    "huge": "250 " + "x" * 10_000_000,
}


class Mail(HttpProvider):
    """Mail as the world knows it: receipts and answers are letters, and nothing is posted."""

    name = "smtp"

    def reset(self) -> None:
        #: message id -> its letter
        self.letters: dict[str, _Letter] = {}

    def handle(self, request: Request, path: str) -> None:
        request.reply(404, b"mail is not HTTP", "text/plain")

    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        return Reply(b"")

    def refusal(self, sending: Sending, answer: str) -> Reply:
        return Reply(b"")

    def receipt(self, message: Message, status: str) -> Hook | None:
        letter = self.letters.get(message.id)
        if letter is None:
            return None
        boxes, headers = self.world.mailboxes, letter.headers
        if status in letters.REPORTS:
            told = letters.report(status, message.recipient, letter.returns_to, letter.envelope_id, headers)
            boxes.put(letter.returns_to, told)
        elif status == "scan":
            self.world.spawn(self.world.scan(message, letter.links))
        elif status == "complaint":
            boxes.put(letter.returns_to, letters.complaint(message.recipient, letter.returns_to, headers))
        elif status == "away":
            boxes.put(letter.returns_to, letters.away(message.recipient, letter.returns_to, headers))
        return None

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        letter = self.letters.get(message.id) if message is not None else None
        if letter is not None:
            sender = parseaddr(letter.headers.get("reply-to") or letter.headers.get("from", ""))[1]
            self.world.mailboxes.put(sender, letters.answer(recipient, sender, text, letter.headers))
        return None


class MailServer:
    """Listens for mail beside the HTTP server, in the same loop."""

    def __init__(self, world: World, host: str, port: int, tls: Any = None) -> None:
        # aiosmtpd warns about an attribute of its own at each login.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self._world = world
        self._host = host
        self.port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self.mail = Mail(world)
        self.mail.reset()
        world.providers["smtp"] = self.mail

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    def _session(self) -> SMTP:
        return _Relay(
            _Handler(self._world, self.mail),
            hostname="emulator.example",
            ident="emulator",
            enable_SMTPUTF8=True,
            authenticator=self._login,
            auth_require_tls=False,
            tls_context=self._tls,
            command_call_limit={"*": 1_000_000},
            loop=asyncio.get_running_loop(),
        )

    def _login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Any login with a password is good, until its account is set to `unauthorized`."""
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        account = self._world.account("smtp", data.login.decode("utf-8", "replace"))
        self._world.journal.write("other", provider="smtp", op="login")
        good = account.state != "unauthorized" and bool(data.password)
        # handled=False: aiosmtpd itself answers 235 or 535.
        return AuthResult(success=good, handled=False, auth_data=account)


class _Relay(SMTP):
    """aiosmtpd with the words of RFC 3461, which it does not know: taken out before it reads the command."""

    envelope_id = ""

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        found = re.search(r"\sENVID=(\S+)", arg or "")
        self.envelope_id = found[1] if found else ""
        await super().smtp_MAIL(re.sub(r"\s(RET|ENVID)=\S+", "", arg or ""))

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        await super().smtp_RCPT(re.sub(r"\s(NOTIFY|ORCPT)=\S+", "", arg or ""))


class _Handler:
    """aiosmtpd's hooks for one session."""

    def __init__(self, world: World, mail: Mail) -> None:
        self._world = world
        self._mail = mail

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return ["250-DSN", *responses] if len(responses) < 2 else [responses[0], "250-DSN", *responses[1:]]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self._answer(session, address)
        if answer == "reset":
            self._write(session, address, _Letter(), answer, accepted=False)
            await _break(server)
        if answer in AT_RCPT:
            self._write(session, address, _Letter(), answer, accepted=False)
            return AT_RCPT[answer]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        recipient = envelope.rcpt_tos[0]
        answer = self._answer(session, recipient)
        letter = _read(envelope.original_content or b"", envelope.mail_from or "", getattr(server, "envelope_id", ""))
        account = _account(self._world, session)
        behaviour, _ = self._world.peek("smtp", plain(recipient))
        number, message = self._write(session, recipient, letter, answer, accepted=answer in TAKEN)
        if message is not None:
            self._mail.letters[message.id] = letter
            self._world._charge(message, "accepted")  # noqa: SLF001 - the mail half of the world
            self._world._play(message)  # noqa: SLF001
        if account.latency or behaviour.delay:
            await asyncio.sleep(account.latency + behaviour.delay / self._world.speed)
        if answer == "accept_reset":
            await _break(server)
        if answer == "hang":
            await asyncio.sleep(60)
        if answer == "drip":
            await _drip(server, b"250 2.0.0 Ok: queued\r\n")
        if answer in AT_DATA:
            return AT_DATA[answer]
        return f"250 2.0.0 Ok: queued as {number}"

    def _answer(self, session: Session, recipient: str) -> str:
        account = _account(self._world, session)
        if account.state in {"unauthorized", "no_balance"}:
            return account.state
        behaviour, _ = self._world.peek("smtp", plain(recipient))
        return behaviour.answer

    def _write(
        self, session: Session, recipient: str, letter: _Letter, answer: str, *, accepted: bool
    ) -> tuple[int, Message | None]:
        world, name = self._world, plain(recipient)
        behaviour, rule = world.behaviour("smtp", name)
        message = None
        if accepted:
            wanted = Wanted(name, letter.text, letter.ref, one_click=letter.one_click)
            message = world.add_message("smtp", _account(world, session), wanted, behaviour, rule)
        number = world.journal.write(
            "request",
            provider="smtp",
            account="",
            recipient=name,
            ref=letter.ref,
            text=letter.text,
            id=message.id if message else "",
            behaviour=behaviour.name,
            answer=answer,
            accepted=accepted,
            # Refused before the letter: the request was never whole.
            whole=bool(letter.text or letter.ref),
            headers=letter.headers,
            envelope_sender=letter.returns_to,
            envelope_id=letter.envelope_id,
            html=letter.html,
            peer=session.peer[1] if session.peer else 0,
        )
        world.stats["smtp requests"] += 1
        world.stats["smtp accepted"] += int(accepted)
        return number, message


def _account(world: World, session: Session) -> Account:
    account = getattr(session, "auth_data", None)
    return account if isinstance(account, Account) else world.account("smtp", "*")


@dataclass(frozen=True, slots=True)
class _Letter:
    """What the journal keeps of a letter; empty for one refused before it came."""

    text: str = ""
    ref: str = ""  #: the local part of the Message-ID
    headers: dict[str, str] = field(default_factory=dict)
    html: bool = False
    returns_to: str = ""  #: the envelope's sender
    envelope_id: str = ""
    links: tuple[str, ...] = ()

    @property
    def one_click(self) -> str:
        """Where RFC 8058 tells the mail program to post: only with both headers, and only to a web address."""
        if self.headers.get("list-unsubscribe-post") != "List-Unsubscribe=One-Click":
            return ""
        found = re.search(r"<(https?://[^>]+)>", self.headers.get("list-unsubscribe", ""))
        return found[1] if found else ""


def _read(content: bytes, returns_to: str, envelope_id: str) -> _Letter:
    letter = email.message_from_bytes(content, policy=email.policy.default)
    body = letter.get_body(("plain", "html"))  # type: ignore[attr-defined]
    try:
        text = body.get_content() if body is not None else ""
    except (LookupError, ValueError):
        text = ""
    rich = letter.get_body(("html",))  # type: ignore[attr-defined]
    links = re.findall(r'href="(http://[^"]+)"', rich.get_content()) if rich is not None else []
    found = re.search(r"<([^@>]+)@", str(letter.get("Message-ID", "")))
    return _Letter(
        text.rstrip("\r\n"),
        found[1] if found else "",
        {name: str(letter[name]) for name in KEPT if name in letter},
        rich is not None,
        returns_to,
        envelope_id,
        tuple(dict.fromkeys(links)),
    )


async def _break(server: SMTP) -> None:
    """End the connection with RST and wait for aiosmtpd to cancel this session."""
    transport = server.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(3600)


async def _drip(server: SMTP, data: bytes) -> None:
    for position in range(len(data)):
        transport = server.transport
        if transport is None or transport.is_closing():
            break
        transport.write(data[position : position + 1])  # type: ignore[attr-defined]
        await asyncio.sleep(1)
    await _break(server)
