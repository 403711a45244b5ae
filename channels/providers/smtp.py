"""E-mail over SMTP: the owner's own mail server or a relay that speaks plain SMTP.

Sources: RFC 5321, 3461, 3463, 3464, 5965, 8058 as summed up in our fact sheet of 2026-11-22 (section 7).

250 after the letter means that the first server took it over. What became of it later comes as a letter, if anything
does: with a mailbox to read (Config.bounce_*) those are read, and so are complaints and people's answers. "Read" is a
click on our link: image loads prove nothing. E-mail has no time-to-live and no recall.

A report names its letter by the mark in the envelope sender (bounce+<ref>@..., where an address for it is given), by
the envelope id (where the server takes one, RFC 3461), or by the Message-ID of what was returned; in this order.

The seam tells the stage a reply belongs to in the header `smtp-stage` (connect, hello, tls, auth, mail, rcpt, data,
noop; compose: the letter could not even be made): the same 550 means a dead mailbox after RCPT and a refused text
after DATA.

Unverified: 5.7.x at RCPT is read as policy against the letter, except where the words say "relay"; a bare 550
without an enhanced code is not held against the address. Servers differ; the class is the careful one. Which mail
services take an address with a mark (plus addressing) as envelope sender is for each of them to say: the connection
check names one to the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import formataddr, parseaddr
from hashlib import sha256
from typing import ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Purpose, Reason
from channels import mailcodes
from channels.letters import Fate, Letter, read_letter
from channels.providers import wire
from channels.providers.base import (
    EMAIL,
    HOST,
    LETTER,
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    CallbackItem,
    CallbackRequest,
    Capabilities,
    How,
    Inbound,
    MailboxCall,
    MailCall,
    NoAnswer,
    OptOut,
    OutgoingMessage,
    Provider,
    Pulled,
    SendResult,
    StatusReport,
    option,
    secret,
)


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    host: str = option(N_("Server"), N_("For example smtp.example.ru"), shape=HOST)
    sender: str = option(N_("Sender's e-mail"), N_("People see it and answer to it."), shape=EMAIL)
    sender_name: str = option(N_("Sender's name"), default="")
    port: int = option(N_("Port"), N_("587 with STARTTLS, 465 with TLS."), default=587)
    username: str = option(N_("Login"), default="")
    password: str = secret(
        N_("Password"), N_("Big mail services want a separate password for applications."), default=""
    )
    use_tls: bool = option(N_("STARTTLS (port 587)"), default=True)
    use_ssl: bool = option(N_("TLS from the first byte (port 465)"), default=False)
    reply_to: str = option(N_("Answers go to"), N_("Empty: to the sender."), default="", rare=True, shape=EMAIL)
    unsubscribe_mailto: str = option(
        N_("Address for unsubscribing by e-mail"),
        N_("Somebody must read it. May be empty."),
        default="",
        rare=True,
        shape=EMAIL,
    )
    bounce_host: str = option(
        N_("Mailbox to read: IMAP server"),
        N_(
            "Letters that did not arrive, complaints and people's answers come to a mailbox. Name its server, for example "
            "imap.example.ru, and they are read every half a minute; the mailbox stays as it is. Empty: nothing is read."
        ),
        default="",
        rare=True,
        shape=HOST,
    )
    bounce_port: int = option(N_("Mailbox to read: port"), N_("993 with TLS; 143 without."), default=993, rare=True)
    bounce_ssl: bool = option(N_("Mailbox to read: TLS"), default=True, rare=True)
    bounce_login: str = option(
        N_("Mailbox to read: login"), N_("Empty: the same login and password as for sending."), default="", rare=True
    )
    bounce_password: str = secret(N_("Mailbox to read: password"), default="", rare=True)
    bounce_folder: str = option(N_("Mailbox to read: folder"), default="INBOX", rare=True)
    bounce_address: str = option(
        N_("Address for returned letters"),
        N_(
            "Its letters must come into the mailbox above, also with a mark: bounce+mark@example.ru. So a returned letter "
            "says surely which one it was. Empty: they come to the sender's address."
        ),
        default="",
        rare=True,
        shape=EMAIL,
    )


CAPABILITIES: Final = Capabilities(
    address=AddressKind.EMAIL,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.READ: How.LINK,
        Milestone.CLICKED: How.LINK,
    },
    now_and_then=frozenset({Milestone.DELIVERED}),
    poll_batch=0,
    max_text=100_000,
    has_subject=True,
    default_rate=5.0,
    charged_on=ChargedOn.ACCEPTED,
    pull=True,
    pull_always=True,
    pull_every=timedelta(seconds=30),
)

#: Reply code -> milestone.
MILESTONES: Final[dict[int, Milestone]] = {250: Milestone.ACCEPTED, 251: Milestone.ACCEPTED}

_RECIPIENT, _GONE, _MESSAGE = mailcodes.RECIPIENT, mailcodes.GONE, mailcodes.MESSAGE
_AUTH: Final = mailcodes.AUTH

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
#: Action of a delivery report -> milestone. "relayed" and "expanded" say that the letter went where nobody reports from.
ACTIONS: Final[dict[str, Milestone]] = {"delivered": Milestone.DELIVERED}

#: Refusals of the login, at any stage.
LOGIN_CODES: Final = frozenset({530, 534, 535, 538})

_CODE = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Smtp(Provider):
    slug: ClassVar[str] = "smtp"
    kind: ClassVar[ChannelKind] = ChannelKind.EMAIL
    title: ClassVar[str] = N_("E-mail (SMTP)")
    price_habit: ClassVar[str] = N_("What your mail service asks")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmtpConfig

    config: SmtpConfig

    def __init__(self, config: SmtpConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets = (config.password, config.bounce_password, callback_secret)
        self._domain = config.sender.rpartition("@")[2].strip(" <>") or "localhost"
        self._bounce = _line(config.bounce_address).lower()
        self._ours = {
            self._bounce,
            parseaddr(_line(config.sender))[1].lower(),
            parseaddr(_line(config.reply_to))[1].lower(),
        }
        if config.bounce_host:
            reports = {**CAPABILITIES.reports, Milestone.REPLIED: How.MAILBOX}
            self.capabilities = replace(CAPABILITIES, reports=reports)
        else:
            self.capabilities = replace(CAPABILITIES, pull=False)

    def problem(self) -> str:
        config = self.config
        if config.bounce_host and not (config.bounce_login or config.username):
            return N_("A mailbox to read needs a login: enter one, or the login for sending.")
        if config.bounce_address and not config.bounce_host:
            return N_(
                "Returned letters would come to an address nobody reads: name the mailbox's server, or no address."
            )
        if config.bounce_address and not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", config.bounce_address.strip()):
            return N_("The address for returned letters is not an e-mail address.")
        return ""

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
            envelope_sender=self._returns_to(message.ref),
            envelope_id=message.ref if config.bounce_host else "",
        )

    def _returns_to(self, mark: str) -> str:
        """bounce+<mark>@example.ru, where letters that do not arrive come back to; "": to the sender."""
        name, at, domain = self._bounce.rpartition("@")
        return f"{name}+{mark}@{domain}" if at else ""

    def _call(
        self,
        *,
        recipient: str = "",
        subject: str = "",
        text: str = "",
        html: str = "",
        headers: dict[str, str] | None = None,
        refs: tuple[str, ...] = (),
        envelope_sender: str = "",
        envelope_id: str = "",
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
            envelope_sender=envelope_sender,
            envelope_id=envelope_id,
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
        if stage in {"rcpt", "data"} and (found_there := mailcodes.meaning(enhanced)):
            return found_there
        return ERRORS.get((stage, code)) or ERRORS.get((stage, 0)) or (FailureClass.OUTCOME_UNKNOWN, None)

    # --- what comes back: reports, complaints, answers

    def build_pull(self, cursor: str) -> Call | None:
        config = self.config
        if not config.bounce_host:
            return None
        return MailboxCall(
            host=config.bounce_host,
            port=config.bounce_port,
            username=config.bounce_login or config.username,
            password=config.bounce_password if config.bounce_login else config.password,
            use_ssl=config.bounce_ssl,
            folder=config.bounce_folder or "INBOX",
            after=cursor,
        )

    def read_pull(self, call: Call, answer: Answer) -> Pulled:
        if answer.no_answer is not None or answer.status != 200 or not isinstance(call, MailboxCall):
            return Pulled(trouble=self._mailbox_trouble(answer))
        return Pulled(
            requests=tuple(CallbackRequest(LETTER, {}, {}, letter) for letter in answer.parts),
            cursor=answer.headers.get("mailbox-cursor") or None,
            more=len(answer.parts) >= call.limit,
        )

    def _mailbox_trouble(self, answer: Answer) -> AccountReport:
        failure = FailureClass.TRANSIENT
        if answer.untrusted:
            message = N_(
                "This server does not trust the certificate of the mailbox's server. Check its name: it must be the one "
                "the mail service gives."
            )
        elif answer.no_answer is NoAnswer.NOT_SENT:
            message = N_("The mailbox's server cannot be reached: %(detail)s. Check its name, its port and TLS.")
        elif answer.no_answer is not None:
            message = N_("The mailbox's server breaks off the talk: %(detail)s. It is tried again.")
        elif answer.status == 535:
            failure = FailureClass.AUTH
            message = N_(
                "The mailbox does not let us in: %(detail)s. Check its login and password; big mail services want a "
                "separate password for applications, and IMAP switched on in the mailbox's settings."
            )
        elif answer.status == 404:
            message = N_(
                "The mailbox opens, but has no such folder: %(detail)s. Its name must be as the server spells it."
            )
        else:
            message = N_("The mailbox's server answers: %(detail)s. It is tried again.")
        params = {"detail": wire.scrub(answer.detail, self._secrets) or "-"}
        return AccountReport(ok=False, message=message, params=params, failure=failure)

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        if request.method != LETTER:
            raise ValueError("mail has no callbacks")
        letter = read_letter(request.body)
        key = wire.ident(letter.message_id) or sha256(request.body).hexdigest()
        marked = self._mark(letter) or (letter.envelope_id if wire.OUR_REF.fullmatch(letter.envelope_id) else "")
        if letter.complaint:
            return self._complaint(letter, key, marked)
        if letter.fates:
            reports = (self._report(letter, fate, f"{key}:{at}", marked) for at, fate in enumerate(letter.fates))
            return [report for report in reports if report is not None]
        if marked and letter.sender.startswith(("mailer-daemon@", "postmaster@")):
            return self._old_report(letter, key, marked)
        if letter.automatic or not letter.sender or letter.sender in self._ours:
            return []
        answered = next((one for one in letter.answers if self._is_ours(one)), "")
        # A mail program's "unsubscribe" is a letter with that subject and nothing else.
        words, sender = wire.prose(letter.words or letter.subject), wire.ident(letter.sender)
        return [Inbound(key, sender, words, in_reply_to=wire.ident(answered), at=letter.at)] if sender else []

    def _mark(self, letter: Letter) -> str:
        """Our reference out of the address a letter came back to; "" where it bears none."""
        name, at, domain = self._bounce.rpartition("@")
        for address in letter.recipients if at else ():
            local, _, host = address.rpartition("@")
            word = local[len(name) + 1 :]
            if local.lower().startswith(f"{name}+") and host.lower() == domain and wire.OUR_REF.fullmatch(word):
                return word
        return ""

    def _is_ours(self, message_id: str) -> bool:
        ref, _, domain = message_id.strip("<>").rpartition("@")
        return domain.lower() == self._domain.lower() and wire.OUR_REF.fullmatch(ref) is not None

    def _report(self, letter: Letter, fate: Fate, key: str, marked: str) -> StatusReport | None:
        """What happened to a letter; None for "still trying" (no failure, and nothing to do) and for letters not ours."""
        about = wire.ident(letter.about) if self._is_ours(letter.about) else ""
        if not marked and not about:
            return None
        said = wire.scrub(f"{fate.action} {fate.status} {fate.diagnostic}", self._secrets)
        failure, reason, milestone = None, None, ACTIONS.get(fate.action)
        if fate.action == "failed":
            failure, reason = mailcodes.given_up(fate.status, fate.diagnostic)
        elif milestone is None:
            return None
        return StatusReport(
            event_key=key,
            raw=said,
            ref=marked,
            provider_message_id=about,
            address=wire.ident(fate.recipient),
            milestone=milestone,
            failure=failure,
            reason=reason,
            detail=said if failure else "",
        )

    def _old_report(self, letter: Letter, key: str, marked: str) -> list[CallbackItem]:
        """A returned letter in a server's own words (qmail and others never learned RFC 3464): its code, if it has one."""
        code = _CODE.search(letter.words)
        if code is None or not code[1].startswith("5."):
            return []
        report = self._report(letter, Fate("", "failed", code[1], letter.words), key, marked)
        return [report] if report is not None else []

    def _complaint(self, letter: Letter, key: str, marked: str) -> list[CallbackItem]:
        """A person pressed "spam": the end of advertising. "not-spam" takes a complaint back and gives nothing."""
        about = wire.ident(letter.about) if self._is_ours(letter.about) else ""
        if letter.complaint == "not-spam" or not (about or marked):
            return []
        return [OptOut(key, wire.scrub(letter.complaint), marked, about, wire.ident(letter.complainant))]

    # --- the account

    def build_self_test(self) -> list[Call]:
        return [self._call(probe_only=True, envelope_sender=self._returns_to("check"))]

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
        if stage == "mail" and self._bounce:
            message = N_(
                "The mail server does not let letters come back to the address with a mark: %(detail)s. Ask the mail "
                "service for such addresses, or leave the address for returned letters empty."
            )
        elif failure is FailureClass.AUTH:
            message = N_(
                "The mail server refuses the login: %(detail)s. Big mail services want a separate password for "
                "applications; make one in the mailbox settings."
            )
        return AccountReport(ok=False, message=message, params={"detail": detail}, failure=failure)


def _line(text: str) -> str:
    """Without control characters: nothing a person typed can start another header."""
    return _CONTROL.sub(" ", text).strip()
