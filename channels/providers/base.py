"""The one adapter contract.

An adapter translates between our words (cascade.vocabulary) and one provider's wire. It is a pure
function of its input: it builds `Call`s and reads `Answer`s; channels.transport sends them. So an adapter
is trivially tested, fuzzed, and checked against recorded answers, and cannot retry, sleep or log secrets.

What leaves an adapter is only what this file names. Whatever an adapter does not understand becomes
OUTCOME_UNKNOWN (after a send) or a report with `milestone=None` and the raw word (after a receipt):
unknown is a value, not a crash and not a silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Final

from cascade.vocabulary import (
    AddressKind,
    ChannelKind,
    ChargedOn,
    FailureClass,
    Milestone,
    Purpose,
    Reason,
)


def N_(message: str) -> str:
    """Mark an English msgid for extraction and return it as it is: the admin translates when it shows it."""
    return message


# ---------------------------------------------------------------- what goes in


@dataclass(frozen=True, slots=True)
class Button:
    """One button under a message. `url` opens a page; without it, `payload` comes back as a reply (<= 64 bytes)."""

    label: str
    payload: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class TemplateRef:
    """A text the messenger has approved, and what goes into its {{1}}, {{2}} ...: the words themselves are at the
    messenger. `category` as in ApprovedTemplate."""

    name: str
    language: str
    parameters: tuple[str, ...] = ()
    category: str = ""
    #: It has a button that copies the code: the first parameter goes there as well.
    code_button: bool = False


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to one person through one channel, fully rendered.

    `ref` is our reference: 22 characters [A-Za-z0-9_-], random, unique for ever, written down before the
    call. `ttl` is the step's wait already clamped to Capabilities.ttl (None: the channel has none).
    """

    ref: str
    address: str
    text: str
    purpose: Purpose = Purpose.SERVICE
    subject: str = ""
    html: str = ""
    buttons: tuple[Button, ...] = ()
    ttl: timedelta | None = None
    #: RFC 8058 one-click address; only set for marketing e-mail.
    unsubscribe_url: str = ""
    #: When it was written down, on the database's clock: for wires that want an absolute moment.
    at: datetime | None = None
    #: Label of a button by which the person hands over their own phone; only where capabilities.invites.
    contact_button: str = ""
    #: The ref of the first try of this step, where this message repeats one whose outcome is unknown.
    repeats: str = ""
    #: The approved text that `text` is, where the channel takes no other (Capabilities.templates).
    template: TemplateRef | None = None
    #: The digits of a one-time code, which `text` says as well; "" in every other message.
    code: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """The same for every try of one step: what a provider with Capabilities.idempotent_send is given, so that it
        knows a repeat."""
        return self.repeats or self.ref


@dataclass(frozen=True, slots=True)
class SentMessage:
    """What is needed to ask about or take back a message already accepted."""

    ref: str
    address: str
    provider_message_id: str
    accepted_at: datetime | None = None


# ---------------------------------------------------------------- what the seam runs


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One HTTP request. Exactly one of `json`, `form`, `body` may be set.

    `url` may carry a token (Telegram, GREEN-API force it): it is never logged unredacted. `refs` are the
    references of the messages inside, in the order read_send() must answer for.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    body: bytes | None = None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailCall:
    """One e-mail over SMTP; the seam runs it in a thread through Django's mail backend."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    use_tls: bool  #: STARTTLS
    use_ssl: bool  #: TLS from the first byte
    sender: str
    recipient: str
    subject: str
    text: str
    html: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    refs: tuple[str, ...] = ()
    #: Whom a server that cannot deliver the letter writes to; "": the sender. Nobody sees it in the letter.
    envelope_sender: str = ""
    #: Comes back with a report about the letter (RFC 3461 ENVID), where the server knows such reports.
    envelope_id: str = ""
    #: NOOP instead of a message: connect, log in, name the envelope sender where it is a special one, quit (self-test).
    probe_only: bool = False


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One letter through a mail service's HTTP API. The seam writes the request and reads the answer with a library that
    knows the services (channels.mail_services), and sends it like every HttpCall.

    The answer is HTTP's, with headers of ours: `service-status` (sent, queued, invalid, rejected, failed, unknown) and
    `service-id`, where the service was understood; `service-stage: compose` where the letter could not even be written.
    """

    service: str
    #: What the library calls its settings (api_key, sender_domain ...), of this account alone.
    settings: Mapping[str, str] = field(repr=False)
    base_url: str  #: "": the service's own
    sender: str
    recipient: str
    subject: str
    text: str
    html: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Fields of the service's own, beside what the library knows.
    more: Mapping[str, Any] = field(default_factory=dict)
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """What a mail service's webhook tells, in the words all services share (django-anymail's)."""

    kind: str  #: delivered, bounced, deferred, complained, unsubscribed ...
    message_id: str = ""
    ref: str = ""  #: our reference, where the service gives metadata back
    recipient: str = ""
    reason: str = ""  #: bounced, blocked, spam, unsubscribed, timed_out, invalid, other
    word: str = ""  #: the service's own
    words: str = ""  #: the last mail server's
    ident: str = ""  #: of the event, where it has one
    at: datetime | None = None


#: Reads a stored webhook of a service; raises ValueError for what is none. See Provider.read_events.
ReadEvents = Callable[[str, "CallbackRequest"], Sequence[ServiceEvent]]


@dataclass(frozen=True, slots=True)
class DeskCall:
    """A message that no wire carries: a colleague does it (operator).

    Nothing leaves the house. The seam answers ON_THE_DESK at once; the task itself is written by the engine in the very
    transaction that records this answer, and withdrawn in the one that decides it is not wanted any more
    (docs/adr, "A task is written with its result").
    """

    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailboxCall:
    """The letters that came into a mailbox since the last look, over IMAP; the seam changes nothing there.

    The answer's `parts` are the letters, oldest first, at most `limit`, each cut at `letter_bytes`; its header
    `mailbox-cursor` is the next call's `after`. With `after=""` no letter is read: the first look only finds out where
    "new" begins. Its header `mailbox-stage` (connect, login, folder, read) says how far it came.
    """

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    use_ssl: bool = True  #: TLS from the first byte; without it nothing is encrypted
    folder: str = "INBOX"
    after: str = ""
    limit: int = 20
    letter_bytes: int = 200_000
    refs: tuple[str, ...] = ()


Call = HttpCall | MailCall | MailboxCall | ServiceCall | DeskCall


class NoAnswer(StrEnum):
    """Why there is no answer. The difference decides between a retry and R8."""

    NOT_SENT = "not_sent"  #: the request certainly did not leave whole: DNS, refused, TLS, reset before the body
    MAYBE_SENT = "maybe_sent"  #: the request left, the answer was lost: timeout, reset, cut off


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: an HTTP answer (or SMTP reply code as `status`), or the reason there is none.

    `body` is at most 1 MB: the seam cuts, `truncated` says so. `detail` is a redacted one-liner for people.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)  #: names lower-cased
    body: bytes = b""
    truncated: bool = False
    no_answer: NoAnswer | None = None
    detail: str = ""
    #: NOT_SENT, because nobody this server trusts has signed the host's certificate: no retry mends that.
    untrusted: bool = False
    #: Letters of a MailboxCall.
    parts: tuple[bytes, ...] = ()


# ---------------------------------------------------------------- what comes out


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took this message. `milestone` is ACCEPTED, or SENT where the answer proves more.

    `cost` is the provider's own figure for this message, where it sends one (else the price list is used).
    `provider_message_id` is "" only where the provider says that it has this message already and not by which id.
    `resolved`: the channel's own id for the phone written to (Capabilities.learns_id).
    """

    ref: str
    provider_message_id: str
    milestone: Milestone = Milestone.ACCEPTED
    cost: Decimal | None = None
    #: The digits the provider has chosen itself, where it takes no code of ours (a flash call of SMS.RU).
    code: str = field(default="", repr=False)
    resolved: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """This message was refused, or its outcome is unknown. `detail`: provider's code and text, scrubbed."""

    ref: str
    failure: FailureClass
    reason: Reason | None = None
    detail: str = ""
    retry_after: timedelta | None = None


SendResult = Accepted | Failed


@dataclass(frozen=True, slots=True)
class Token:
    """A short-lived access token and how long it is good for, counted from the moment it was asked for."""

    value: str = field(repr=False)
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A receipt for one message, from a callback or a poll.

    Matched by `ref` first, then by `provider_message_id` (with `address` where ids are shared by several
    phones). Exactly one of `milestone` and `failure` is set, or neither when the word is unknown
    (`raw` keeps it). `event_key` identifies the event for de-duplication inside its channel.

    A failure here ends this step for this message. Only reason NOT_REGISTERED or BLOCKED says something lasting
    about the *address*; RECIPIENT_REFUSED and NOT_DELIVERED_IN_TIME (phone off, mailbox full) say nothing about
    tomorrow and must not be remembered against the person.

    `began`: where the wire has no id at all, the moment at which it says that it began on this message: with `address`
    it finds the one that was sent there just before.

    A report that names neither message nor address is about the account itself (logged out, tariff used up).
    `account`: its name at the provider, where one callback address serves several (Provider.callback_group).
    """

    event_key: str
    raw: str
    ref: str = ""
    provider_message_id: str = ""
    address: str = ""
    milestone: Milestone | None = None
    failure: FailureClass | None = None
    reason: Reason | None = None
    detail: str = ""
    at: datetime | None = None
    cost: Decimal | None = None
    account: str = ""
    began: datetime | None = None

    @property
    def of_account(self) -> bool:
        """Nothing in it names a message or a person."""
        return not (self.ref or self.provider_message_id or self.address)


class Refusal(StrEnum):
    """What a person will not have any more, where the wire says so itself (a key, a colleague's word).

    Words are judged by cascade.intents, whatever stands here.
    """

    NOTHING = ""
    MARKETING = "marketing"
    ALL = "all"  #: service messages too


@dataclass(frozen=True, slots=True)
class Inbound:
    """A person wrote, pressed a button, or opened a dialogue. `payload` is the pressed button's.

    `account`: whom they wrote to, by its name at the provider, where one callback address serves several accounts.
    """

    event_key: str
    address: str
    text: str = ""
    payload: str = ""
    in_reply_to: str = ""  #: provider_message_id of our message, where the wire tells
    refuses: Refusal = Refusal.NOTHING
    at: datetime | None = None
    account: str = ""
    #: The person handed over a phone: their own by the messenger's word, else `card_of_another` and no phone.
    phone: str = ""
    card_of_another: bool = False


class AddressState(StrEnum):
    REACHABLE = "reachable"
    NOT_REGISTERED = "not_registered"
    BLOCKED = "blocked"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class AddressChange:
    """The channel told us something about an address: registered or not, blocked, unblocked.

    `resolved` is the channel's own id for it, where a check returns one.
    """

    address: str
    state: AddressState
    event_key: str = ""
    resolved: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OptOut:
    """The person wants no more advertising and told so by a button of their own: a complaint about spam, the mail
    service's or the messenger's "unsubscribe". Matched like a StatusReport, else by address; `word` is the wire's."""

    event_key: str
    word: str
    ref: str = ""
    provider_message_id: str = ""
    address: str = ""
    account: str = ""  #: as in StatusReport
    at: datetime | None = None


CallbackItem = StatusReport | Inbound | AddressChange | OptOut

#: What the seam answers to a DeskCall.
ON_THE_DESK = Answer(status=201, body=b'{"desk": true}')


@dataclass(frozen=True, slots=True)
class AccountReport:
    """Result of a balance question or a self-test, in words an owner can act on.

    `message` is an English gettext msgid (the admin translates); `params` fill its %(name)s.
    """

    ok: bool
    message: str
    params: Mapping[str, str] = field(default_factory=dict)
    balance: Decimal | None = None
    currency: str = "RUB"
    failure: FailureClass | None = None
    #: What links to this account are made with: a bot's @name, a community's address.
    handle: str = ""


class TemplateState(StrEnum):
    """Whether an approved text may be sent now."""

    APPROVED = "approved"
    PENDING = "pending"
    REJECTED = "rejected"
    PAUSED = "paused"  #: for a while, because people complained
    DISABLED = "disabled"  #: for good
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ApprovedTemplate:
    """A text as the messenger keeps it, approved or not. `body` has {{1}}, {{2}} ... where values go."""

    name: str
    language: str
    body: str
    state: TemplateState
    #: "marketing", "utility", "authentication" or the messenger's own word.
    category: str = ""
    #: How long an undelivered message of it is kept, with the messenger's default where none is set.
    ttl: timedelta | None = None
    quality: str = ""  #: the messenger's word
    #: Why nothing can be sent by it from here, as English msgid; "" when it can.
    unusable: str = ""
    detail: str = ""  #: why it was rejected, or the word of a state nobody knows
    code_button: bool = False
    components: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """A page of the account's templates; `after` asks for the next one, "" when this was the last."""

    templates: tuple[ApprovedTemplate, ...]
    after: str = ""


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A callback as it came in, before anything is believed. Header names lower-cased; body <= 256 KB."""

    method: str  #: LETTER for a letter out of the account's mailbox, which is the body
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    #: The address it came from; "" when read again from the inbox.
    source: str = ""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a question for news brought, where we ask and the provider does not call (Provider.build_pull).

    `requests` are what would have come to the callback address. They are stored in one transaction with `cursor` (where
    the next question starts; None: as before), and only then `acks` leave: killed at any instant nothing is lost, and
    what comes twice is known. `more`: ask again at once. `trouble`: why nothing can be fetched, in words for the owner.
    """

    requests: tuple[CallbackRequest, ...] = ()
    cursor: str | None = None
    acks: tuple[Call, ...] = ()
    more: bool = False
    trouble: AccountReport | None = None


#: CallbackRequest.method of a letter; no HTTP request can have it.
LETTER: Final = "LETTER"


class CallbackRejected(Exception):  # noqa: N818 - a verdict
    """The callback is not from the provider: wrong or missing secret or signature. Never says which."""


# ---------------------------------------------------------------- facts about a provider


class How(StrEnum):
    """How a milestone becomes known."""

    ANSWER = "answer"  #: in the answer to the send
    CALLBACK = "callback"
    POLL = "poll"
    BOTH = "both"  #: callback, with polling as the net below
    MAILBOX = "mailbox"  #: by a letter in the account's mailbox, which we read
    LINK = "link"  #: by our own tracked link
    BUTTON = "button"  #: by a button under the message
    PERSON = "person"  #: a colleague says so on a page of ours
    LISTEN = "listen"  #: over a connection that our listener holds open


@dataclass(frozen=True, slots=True)
class TtlRange:
    """Seconds a message may live at the provider; `step` is the unit it is rounded to (down, never below min)."""

    minimum: timedelta
    maximum: timedelta
    step: timedelta = timedelta(seconds=1)

    def snap(self, wait: timedelta) -> timedelta:
        """The allowed TTL nearest to `wait` from below; the minimum where wait is shorter."""
        whole = (wait // self.step) * self.step
        return min(max(whole, self.minimum), self.maximum)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this wire can do. The chain editor, preflight, engine and docs all read this and nothing else."""

    address: AddressKind
    #: Milestones this channel can ever report, and how. What is missing here is refused in the chain editor.
    reports: Mapping[Milestone, How]
    #: Milestones that are told now and then and by some only: worth keeping, and nobody may wait for them.
    now_and_then: frozenset[Milestone] = frozenset()
    #: A repeat with the same OutgoingMessage.key is not sent twice: an unknown outcome may be repeated.
    idempotent_send: bool = False
    #: The status of a message can be asked by our own ref (resolves unknown outcomes).
    lookup_by_ref: bool = False
    poll_batch: int = 1  #: ids per status question; 0: cannot be polled
    send_batch: int = 1  #: messages per send call
    ttl: TtlRange | None = None
    #: Who has not written in the last day gets only texts that the messenger has approved (Provider.build_templates).
    templates: bool = False
    #: The life of a message sits on its approved text and not on the message: what each category may have. Which one a
    #: text has is known once it is synced (channels.models.ApprovedText.ttl).
    template_ttl: Mapping[str, TtlRange] = field(default_factory=dict)
    recall: bool = False
    check: bool = False  #: registration check
    balance: bool = False
    max_text: int = 4096  #: characters after substitution
    counts_sms_parts: bool = False  #: priced per SMS segment
    has_subject: bool = False
    buttons: int = 0  #: how many buttons a message may carry
    default_rate: float = 10.0  #: messages a second for one account, where the owner sets none
    charged_on: ChargedOn = ChargedOn.ACCEPTED  #: default, the owner may correct it
    #: The provider takes messages while it cannot send them on, and sends them hours later: whether it can is asked
    #: once a minute, and nothing is sent while it cannot.
    takes_while_offline: bool = False
    #: The address is a phone, and messages go to an id of the channel's own that build_check() finds for it: it is
    #: asked before the first message to a person, remembered for a month, and what build_send() gets as address.
    resolves: bool = False
    #: The address is a phone, and the answer to a send names the channel's own id for it (Accepted.resolved), from which
    #: the person writes back: it is kept with the phone, and what build_send() gets as address from then on.
    learns_id: bool = False
    #: What happens is told over a connection that the `listener` process holds open (Provider.build_listen).
    listens: bool = False
    #: A colleague should have done it so long after it was put on the desk (AddressKind.PERSON only).
    due: timedelta | None = None
    #: Receipts come to one address per account, set by hand in the provider's cabinet; False: see
    #: Provider.build_callback_setup.
    callback_set_by_hand: bool = True
    #: It is set by API, and only after one has been pasted in the cabinet by hand.
    callback_pasted_first: bool = False
    #: Every message names the address itself (Provider.callback_url): there is nothing to set anywhere.
    callback_per_message: bool = False
    #: Carries nothing but the digits of a one-time code (OutgoingMessage.code): of no use in a campaign.
    codes_only: bool = False
    #: Calls carry a short-lived token that is asked for first (Provider.build_token).
    token: bool = False
    #: What would be called back can be asked for instead, by a server nobody can reach (Provider.build_pull).
    pull: bool = False
    #: With nothing to tell, the provider keeps such a question open for seconds: it is let go of early.
    pull_holds: bool = False
    #: Nobody could call us with it (a mailbox): it is asked for in any case, also while the channel is switched off, and
    #: the cursor stays good for ever.
    pull_always: bool = False
    #: How long after an answer that brought all there was the next question may come.
    pull_every: timedelta = timedelta(0)
    #: People open a dialogue by a link with a word of ours, which comes back with it (Provider.invite_link).
    invites: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """How a field's value looks, where that is known for certain: `pattern` (a regular expression) must match the whole of
    it. `words`: English msgid for who typed something else; it never repeats the value, which may be a secret."""

    pattern: str
    words: str


DIGITS = Shape(r"\d+", N_("Digits only, without spaces and letters."))
EMAIL = Shape(r"[^@\s]+@[^@\s]+\.[^@\s]+", N_("This is not an e-mail address: it looks like name@example.ru."))
HOST = Shape(r"[\w.-]+", N_("The name of a server, like mail.example.ru, without https:// and slashes."))
WEB_ADDRESS = Shape(r"https?://\S+", N_("A whole address, like https://gateway.example/api."))


def secret(label: str, help_text: str = "", *, rare: bool = False, shape: Shape | None = None, **kwargs: Any) -> Any:
    """A Config field that is encrypted at rest and never shown again. label/help_text: English msgids.

    `rare`: most owners need not see it; the form folds it away. `shape`: what the form refuses before the provider does.
    """
    facts = {"label": label, "help_text": help_text, "secret": True, "rare": rare, "shape": shape}
    return field(repr=False, metadata=facts, **kwargs)


def option(
    label: str,
    help_text: str = "",
    *,
    rare: bool = False,
    lines: int = 1,
    shape: Shape | None = None,
    **kwargs: Any,
) -> Any:
    """A plain Config field; the admin form is made from these. `rare` and `shape` as in secret(); `lines`: how high its
    box is, where it holds several lines."""
    facts = {"label": label, "help_text": help_text, "secret": False, "rare": rare, "lines": lines, "shape": shape}
    return field(metadata=facts, **kwargs)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What an Ear does about what it has heard. `reports` go into the inbox as if they were callbacks, before `calls`
    leave: killed at any instant nothing is lost."""

    reports: tuple[CallbackRequest, ...] = ()
    calls: tuple[Call, ...] = ()


class Ear(ABC):
    """Follows one account over a connection that is held open, and does what has to be done while it happens.

    Sans-I/O like its adapter, but with a memory; lives as long as the listener holds the account, over any number of
    connections. `now` is an aware moment; nothing here raises on anything that is heard.
    """

    @abstractmethod
    def connected(self, open_refs: Sequence[str], now: datetime) -> Reaction:
        """The connection stands (again). `open_refs`: our messages that were taken and have not ended, as far as the
        database knows: what is not going on any more has ended while nobody listened."""

    @abstractmethod
    def hear(self, text: str, now: datetime) -> Reaction:
        """One event as it came."""

    @abstractmethod
    def answered(self, call: Call, answer: Answer, now: datetime) -> Reaction:
        """The answer to one of its calls."""

    @abstractmethod
    def wake(self, now: datetime) -> Reaction:
        """Time has passed; asked about once a second."""


class Provider(ABC):
    """One instance per channel account. Stateless apart from its config; safe to share between threads."""

    slug: ClassVar[str]
    kind: ClassVar[ChannelKind]
    title: ClassVar[str]  #: English msgid
    #: A gateway over an ordinary account: the messenger's terms forbid it, and the account may be blocked.
    unofficial: ClassVar[bool] = False
    #: English msgid: what such an account usually costs, where `charged_on` alone would mislead.
    price_habit: ClassVar[str] = ""
    base_url: ClassVar[str] = ""  #: default; an account may override it (proxy, regional host, emulator)
    #: Facts of the wire, readable on the class; an instance may carry its own where an option of its account
    #: changes them (SMSC with batches, with a rented number for replies ...): prefer the instance's.
    capabilities: Capabilities
    Config: ClassVar[type]

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        """`config`: an instance of self.Config. `callback_secret`: the random part of this account's callback URL,
        also used where the provider echoes a static secret."""
        self.config = config
        self.base = (base_url or self.base_url).rstrip("/")
        self.callback_secret = callback_secret
        #: Where this account's receipts come in, for wires that are told it with every message; "" while this
        #: installation has no public https address. Set once by channels.services.accounts.
        self.callback_url = ""
        #: Where the owner's app or site registers devices and reports receipts (AddressKind.DEVICE); ends with a slash.
        #: Set once by channels.services.accounts.
        self.app_url = ""
        #: The access token that calls carry where capabilities.token; put here by channels.services.tokens before
        #: anything is built.
        self.token = ""
        #: Reads webhooks of mail services, which a library knows better than an adapter could (channels.mail_services). Put
        #: here by channels.services.accounts: the library needs a framework that adapters do not have.
        self.read_events: ReadEvents | None = None
        #: Accounts with the same word share one callback address at their provider: what comes in for one may be about
        #: any of them, and all read a callback into the same items in the same order. "": this one shares with nobody.
        self.callback_group = ""
        #: What such a callback calls this account (StatusReport.account, Inbound.account).
        self.account_name = ""

    @classmethod
    def completed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Config values with what we make for the owner where it is missing (a pair of keys). Asked when they save."""
        return dict(values)

    def problem(self) -> str:
        """English msgid: why an account with this config cannot work, whatever the provider says; "" when nothing
        is wrong. Asked when an owner saves, so that the first campaign is not where it comes out."""
        return ""

    # --- the access token, only where capabilities.token

    def build_token(self, now: datetime) -> Call | None:
        """Ask for a new access token. `now`: the database's clock, for wires that want a signed moment."""
        return None

    def read_token(self, call: Call, answer: Answer) -> Token | Failed:
        """The token, or why there is none (`ref` is empty). Never OUTCOME_UNKNOWN and never the recipient's fault: no
        message was sent. Never raises."""
        raise NotImplementedError(f"{self.slug} has no access token")

    # --- sending

    @abstractmethod
    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        """Requests that send these messages; each call's `refs` name the messages inside it."""

    @abstractmethod
    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        """Exactly one result per ref of the call, whatever the answer is. Never raises."""

    def build_follow_up(self, call: Call, answer: Answer) -> Call | None:
        """The request that this answer to a send's first one asks for, if any; then read_send() reads its answer and not
        this one. Where a wire sends in two requests (Telegram Gateway: may it be sent? then the message)."""
        return None

    # --- receipts

    def build_poll(self, messages: Sequence[SentMessage]) -> list[Call]:
        """Status questions for these messages, at most `capabilities.poll_batch` each."""
        return []

    def read_poll(self, call: Call, answer: Answer) -> list[StatusReport]:
        """Reports found in the answer; an answer that tells nothing gives none. Never raises."""
        return []

    def verify_callback(self, request: CallbackRequest) -> None:
        """Constant-time check of secret or signature. Raises CallbackRejected."""
        raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        """What the callback says. Called on stored requests only; raises ValueError if the body is not readable
        (the inbox then keeps it in quarantine)."""
        return []

    def build_listen(self) -> HttpCall | None:
        """The WebSocket to hold open, as the request that opens it; None where the provider calls us or is asked."""
        return None

    def open_ear(self) -> Ear:
        """Who follows what is told over that connection."""
        raise NotImplementedError(f"{self.slug} is not listened to")

    def callback_reply(self, request: CallbackRequest) -> tuple[int, str]:
        """Status and body this provider wants to hear after we stored its callback."""
        return 200, "ok"

    def build_ack(self, request: CallbackRequest) -> list[Call]:
        """Calls the person is waiting for after this callback (Telegram: the pressed button stops spinning).

        Best effort, after the callback was stored; the answer does not matter and is not read.
        """
        return []

    def build_callback_setup(self, url: str) -> Call | None:
        """Tell the provider where receipts go; None where the owner pastes the address in a cabinet."""
        return None

    def read_callback_setup(self, call: Call, answer: Answer) -> AccountReport:
        """Whether the provider took the callback address, in words for the owner."""
        raise NotImplementedError(f"{self.slug} sets its callback address by hand")

    def invite_link(self, handle: str, token: str) -> str:
        """Where a person opens a dialogue with this account (AccountReport.handle), so that an Inbound with the text
        "/start <token>" follows. `token`: up to 64 of A-Z, a-z, 0-9, "_", "-"; "" for a link without one."""
        raise NotImplementedError(f"{self.slug} invites nobody")

    def build_pull(self, cursor: str) -> Call | None:
        """Ask for what would have been called back, from `cursor` on ("": from the oldest that is kept there). Only where
        capabilities.pull; asked every few seconds by one process at a time."""
        return None

    def read_pull(self, call: Call, answer: Answer) -> Pulled:
        """What came; an answer that cannot be read is trouble and moves no cursor. Never raises."""
        return Pulled()

    def build_pull_setup(self, url: str) -> Call | None:
        """Tell the provider to call nobody and keep everything for us. `url`: the callback address it may have."""
        return None

    def read_pull_setup(self, call: Call, answer: Answer) -> AccountReport:
        """Whether the provider keeps the updates for us now, in words for the owner."""
        raise NotImplementedError(f"{self.slug} cannot be asked for updates")

    # --- approved texts

    def build_templates(self, after: str = "") -> Call | None:
        """Ask for a page of the account's approved texts, the first or the one after; only where capabilities.templates."""
        return None

    def read_templates(self, call: Call, answer: Answer) -> TemplatePage | AccountReport:
        """The page, or why there is none, in words for the owner."""
        raise NotImplementedError(f"{self.slug} knows no approved texts")

    # --- the account and its addresses

    def device_address(self, told: Mapping[str, Any]) -> str:
        """The address of a device that an app or a browser registers (AddressKind.DEVICE). Raises ValueError for one
        that nothing could be sent to."""
        raise ValueError(f"{self.slug} has no devices")

    def build_check(self, addresses: Sequence[str]) -> list[Call]:
        """Registration questions; only where capabilities.check."""
        return []

    def read_check(self, call: Call, answer: Answer) -> list[AddressChange]:
        """What is known now; trouble of the account gives nothing (nobody is written off by it)."""
        return []

    def read_unresolved(self, call: Call, answer: Answer) -> Failed:
        """Why a check has found no id and said no "no" either, where nothing can be sent without (capabilities.resolves).
        Never OUTCOME_UNKNOWN: nothing was sent."""
        raise NotImplementedError(f"{self.slug} sends without a check")

    def build_recall(self, message: SentMessage) -> Call | None:
        """Take an undelivered message back; None where the wire cannot."""
        return None

    def read_recall(self, call: Call, answer: Answer) -> bool:
        """True when the provider confirmed that the message will not arrive."""
        return False

    def build_balance(self) -> Call | None:
        return None

    def read_balance(self, call: Call, answer: Answer) -> AccountReport:
        raise NotImplementedError(f"{self.slug} has no balance question")

    @abstractmethod
    def build_self_test(self) -> list[Call]:
        """Questions that prove the credentials without sending anything to anybody."""

    @abstractmethod
    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        """What the answer means for the owner, with what to do next."""
