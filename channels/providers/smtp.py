"""E-mail over SMTP: the owner's own mail server or a relay that speaks plain SMTP.

Sources: RFC 5321, 3463, 8058 as summed up in our fact sheet of 2026-11-22 (section 7).

250 after the letter means that the first server took it over; whether it reached a mailbox is told by nobody
(bounces come as letters and are not read yet). "Read" is a click on our link: image loads prove nothing. E-mail
has no time-to-live and no recall.

The seam tells the stage a reply belongs to in the header `smtp-stage` (connect, hello, tls, auth, mail, rcpt, data,
noop; compose: the letter could not even be made): the same 550 means a dead mailbox after RCPT and a refused text
after DATA.

Unverified: 5.7.x at RCPT is read as policy against the letter, except where the words say "relay"; a bare 550
without an enhanced code is not held against the address. Servers differ; the class is the careful one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formataddr
from typing import ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Purpose, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    Capabilities,
    How,
    MailCall,
    NoAnswer,
    OutgoingMessage,
    Provider,
    SendResult,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    host: str = option(N_("Server"), N_("For example smtp.example.ru"))
    sender: str = option(N_("Sender's e-mail"), N_("People see it and answer to it."))
    sender_name: str = option(N_("Sender's name"), default="")
    port: int = option(N_("Port"), N_("587 with STARTTLS, 465 with TLS."), default=587)
    username: str = option(N_("Login"), default="")
    password: str = secret(
        N_("Password"), N_("Big mail services want a separate password for applications."), default=""
    )
    use_tls: bool = option(N_("STARTTLS (port 587)"), default=True)
    use_ssl: bool = option(N_("TLS from the first byte (port 465)"), default=False)
    reply_to: str = option(N_("Answers go to"), N_("Empty: to the sender."), default="", rare=True)
    unsubscribe_mailto: str = option(
        N_("Address for unsubscribing by e-mail"), N_("Somebody must read it. May be empty."), default="", rare=True
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.EMAIL,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.READ: How.LINK,
        Milestone.CLICKED: How.LINK,
    },
    poll_batch=0,
    max_text=100_000,
    has_subject=True,
    default_rate=5.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: Reply code -> milestone.
MILESTONES: Final[dict[int, Milestone]] = {250: Milestone.ACCEPTED, 251: Milestone.ACCEPTED}

_RECIPIENT: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED)
_GONE: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED)
_MESSAGE: Final = (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED)
_AUTH: Final = (FailureClass.AUTH, None)

#: Enhanced code (RFC 3463) of a permanent reply, longest match first -> what it means wherever it comes.
ENHANCED: Final[dict[str, tuple[FailureClass, Reason | None]]] = {
    "5.1.1": _GONE,
    "5.1.2": _GONE,
    "5.1.3": _GONE,
    "5.1.6": _GONE,
    "5.1.10": _GONE,
    "5.1.7": _AUTH,
    "5.1.8": _AUTH,
    "5.2.2": _RECIPIENT,  # mailbox full: tomorrow it may not be
    "5.2": _RECIPIENT,
    "5.3.4": _MESSAGE,  # too big
    "5.6": _MESSAGE,
    "5.7.8": _AUTH,
    "5.7.9": _AUTH,
    "5.7": _MESSAGE,  # policy, spam, SPF/DKIM/DMARC
}

#: (stage, reply code) -> what it means when there is no enhanced code; (stage, 0) is the stage's default for 5xx.
ERRORS: Final[dict[tuple[str, int], tuple[FailureClass, Reason | None]]] = {
    ("connect", 0): _AUTH,  # 554: this server's address is not welcome
    ("hello", 0): _AUTH,
    ("tls", 0): _AUTH,
    ("auth", 0): _AUTH,
    ("noop", 0): _AUTH,
    ("mail", 552): _MESSAGE,  # too big, told by SIZE
    ("mail", 0): _AUTH,  # this account may not write as this sender
    ("rcpt", 551): _GONE,
    ("rcpt", 553): _GONE,
    ("rcpt", 552): _RECIPIENT,
    ("rcpt", 0): _RECIPIENT,
    ("data", 0): _MESSAGE,
    ("compose", 553): _GONE,
    ("compose", 0): _MESSAGE,
}
#: Refusals of the login, at any stage.
LOGIN_CODES: Final = frozenset({530, 534, 535, 538})

_CODE = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Smtp(Provider):
    slug: ClassVar[str] = "smtp"
    kind: ClassVar[ChannelKind] = ChannelKind.EMAIL
    title: ClassVar[str] = N_("E-mail (SMTP)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmtpConfig

    config: SmtpConfig

    def __init__(self, config: SmtpConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.password, callback_secret)
        self._domain = config.sender.rpartition("@")[2].strip(" <>") or "localhost"

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._letter(message) for message in messages]

    def _letter(self, message: OutgoingMessage) -> MailCall:
        config = self.config
        headers = {"Message-ID": self._message_id(message.ref)}
        if config.reply_to:
            headers["Reply-To"] = _line(config.reply_to)
        if message.purpose is Purpose.MARKETING and message.unsubscribe_url:
            # RFC 8058: the mail service may unsubscribe the person by one POST to this address.
            ways = [f"<{_line(message.unsubscribe_url)}>"]
            if config.unsubscribe_mailto:
                ways.append(f"<mailto:{_line(config.unsubscribe_mailto)}>")
            headers["List-Unsubscribe"] = ", ".join(ways)
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return self._call(
            recipient=_line(message.address),
            subject=_line(message.subject) or _line(message.text.strip().partition("\n")[0])[:78],
            text=message.text,
            html=message.html,
            headers=headers,
            refs=(message.ref,),
        )

    def _call(
        self,
        *,
        recipient: str = "",
        subject: str = "",
        text: str = "",
        html: str = "",
        headers: dict[str, str] | None = None,
        refs: tuple[str, ...] = (),
        probe_only: bool = False,
    ) -> MailCall:
        config = self.config
        return MailCall(
            host=config.host,
            port=config.port,
            username=config.username,
            password=config.password,
            use_tls=config.use_tls and not config.use_ssl,
            use_ssl=config.use_ssl,
            sender=formataddr((_line(config.sender_name), _line(config.sender)))
            if config.sender_name
            else _line(config.sender),
            recipient=recipient,
            subject=subject,
            text=text,
            html=html,
            headers=headers or {},
            refs=refs,
            probe_only=probe_only,
        )

    def _message_id(self, ref: str) -> str:
        return f"<{ref}@{self._domain}>"

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        if answer.status in MILESTONES and answer.headers.get("smtp-stage", "data") == "data":
            return [Accepted(ref, self._message_id(ref), MILESTONES[answer.status]) for ref in call.refs]
        failure, reason = self._error(answer)
        stage = answer.headers.get("smtp-stage", "")
        detail = wire.scrub(f"{answer.status} {stage}: {wire.words(answer.body, self._secrets)}", self._secrets)
        return wire.failures(call, failure, detail, reason=reason)

    def _error(self, answer: Answer) -> tuple[FailureClass, Reason | None]:
        stage, code = answer.headers.get("smtp-stage", ""), answer.status
        text = answer.body[:2000].decode("utf-8", "replace")
        found = _CODE.search(text)
        enhanced = found[1] if found else ""
        if code in LOGIN_CODES:
            return _AUTH
        if 400 <= code < 500:
            # 4.7.x: Gmail, Mail.ru and Yandex say so when we are too fast.
            return (FailureClass.RATE_LIMITED if enhanced.startswith("4.7.") else FailureClass.TRANSIENT), None
        if not 500 <= code < 600:
            return FailureClass.OUTCOME_UNKNOWN, None
        if stage == "rcpt" and "relay" in text.lower():
            return _AUTH  # the server does not send for us: nobody's address is to blame
        if stage in {"rcpt", "data"}:
            for known in (enhanced, enhanced.rpartition(".")[0]):
                if known in ENHANCED:
                    return ENHANCED[known]
        return ERRORS.get((stage, code)) or ERRORS.get((stage, 0)) or (FailureClass.OUTCOME_UNKNOWN, None)

    # --- the account

    def build_self_test(self) -> list[Call]:
        return [self._call(probe_only=True)]

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        stage = answer.headers.get("smtp-stage", "")
        if answer.no_answer is not None:
            message = N_("The mail server cannot be reached: %(detail)s. Check server, port and TLS.")
            if answer.no_answer is NoAnswer.MAYBE_SENT or stage not in {"", "connect"}:
                message = N_("The mail server breaks off the talk: %(detail)s. Check the port and the kind of TLS.")
            return AccountReport(
                ok=False, message=message, params={"detail": answer.detail}, failure=FailureClass.TRANSIENT
            )
        if answer.status == 250:
            return AccountReport(ok=True, message=N_("The mail server takes the login."))
        failure, _ = self._error(answer)
        detail = wire.scrub(f"{answer.status} {wire.words(answer.body, self._secrets)}", self._secrets)
        message = N_("The mail server answers: %(detail)s. Try again later.")
        if failure is FailureClass.AUTH:
            message = N_(
                "The mail server refuses the login: %(detail)s. Big mail services want a separate password for "
                "applications; make one in the mailbox settings."
            )
        return AccountReport(ok=False, message=message, params={"detail": detail}, failure=failure)


def _line(text: str) -> str:
    """Without control characters: nothing a person typed can start another header."""
    return _CONTROL.sub(" ", text).strip()
