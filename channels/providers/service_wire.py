"""What letters through a mail service have in common, whichever it is.

Sources: fact sheet of 2026-11-22, section 7.2 (django-anymail 15.2, read in its source), corrections A13.

The wire itself is written and read by a library in the seam (ServiceCall, ServiceEvent); here is what it means: which answer
is an acceptance, which event a failure, and of what. "Delivered" is the receiving mail server's word: the letter may lie in the
spam folder. Openings and clicks that a service reports are not believed: its pixel is loaded by machines, and our own link
tells people from them.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Purpose, Reason
from channels import mailcodes
from channels.mailcodes import Meaning
from channels.providers import wire
from channels.providers.base import (
    N_,
    Accepted,
    AccountReport,
    Answer,
    Call,
    CallbackItem,
    CallbackRejected,
    CallbackRequest,
    Capabilities,
    How,
    HttpCall,
    OptOut,
    OutgoingMessage,
    Provider,
    SendResult,
    ServiceCall,
    ServiceEvent,
    StatusReport,
)

CAPABILITIES: Final = Capabilities(
    address=AddressKind.EMAIL,
    reports={
        Milestone.ACCEPTED: How.ANSWER,
        Milestone.DELIVERED: How.CALLBACK,
        Milestone.READ: How.LINK,
        Milestone.CLICKED: How.LINK,
    },
    now_and_then=frozenset({Milestone.SENT}),
    poll_batch=0,
    max_text=100_000,
    has_subject=True,
    default_rate=10.0,
    charged_on=ChargedOn.ACCEPTED,
)

#: Word of the library -> milestone. Its "sent" is the service's own "we have handed it over".
MILESTONES: Final[dict[str, Milestone]] = {"sent": Milestone.SENT, "delivered": Milestone.DELIVERED}

#: Said in the answer to a send about the one recipient.
REFUSALS: Final[dict[str, Meaning]] = {
    "invalid": mailcodes.GONE,
    "rejected": mailcodes.RECIPIENT,
    "failed": mailcodes.MESSAGE,
}

#: Events that say nothing we would act on: the letter is still on its way, or something that machines do as well.
QUIET: Final = frozenset(
    {"queued", "deferred", "opened", "clicked", "autoresponded", "subscribed", "inbound", "inbound_failed"}
)

#: Reason of a bounce or a refusal -> what it means, where the last server's words do not say it better.
REASONS: Final[dict[str, Meaning]] = {
    "invalid": mailcodes.GONE,
    "timed_out": mailcodes.LATE,
    "spam": mailcodes.MESSAGE,
    "unsubscribed": (FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED),
}

#: HTTP status -> what it means when the library understood nothing.
ERRORS: Final[dict[int, Meaning]] = {
    400: mailcodes.MESSAGE,
    401: mailcodes.AUTH,
    402: (FailureClass.BALANCE, None),
    403: mailcodes.AUTH,
    404: mailcodes.AUTH,  # another address of the API, or a domain the account does not have
    413: mailcodes.MESSAGE,
    422: mailcodes.MESSAGE,
    429: (FailureClass.RATE_LIMITED, None),
}
_NO_MONEY = re.compile(r"(?i)quota|insufficient (?:funds|credit|balance)|not enough (?:money|credit)|out of credits")
_SPECIAL = re.compile(r'["\\\\]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class MailService(Provider):
    """A mail service; a subclass names it and its settings."""

    kind: ClassVar[ChannelKind] = ChannelKind.EMAIL
    capabilities = CAPABILITIES
    config: Any

    def __init__(self, config: Any, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        self._secrets: tuple[str, ...] = (config.api_key, callback_secret)

    @property
    @abstractmethod
    def service(self) -> str:
        """The library's name for it."""

    def settings(self) -> Mapping[str, str]:
        """What the library calls the account's settings."""
        return {"api_key": self.config.api_key}

    def more(self, message: OutgoingMessage) -> Mapping[str, Any]:
        """Fields of the service's own."""
        return {}

    # --- sending

    def build_send(self, messages: Sequence[OutgoingMessage]) -> list[Call]:
        return [self._letter(message) for message in messages]

    def _letter(self, message: OutgoingMessage) -> ServiceCall:
        config = self.config
        headers = {}
        if message.purpose is Purpose.MARKETING and message.unsubscribe_url:
            headers["List-Unsubscribe"] = f"<{_line(message.unsubscribe_url)}>"
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        sender, name = _line(config.sender), _line(config.sender_name)
        return ServiceCall(
            service=self.service,
            settings=self.settings(),
            base_url=self.base,
            # Not encoded: services that take the name as a field of its own would show the code to people.
            sender=_named(name, sender) if name else sender,
            recipient=_line(message.address),
            subject=_line(message.subject) or _line(message.text.strip().partition("\n")[0])[:78],
            text=message.text,
            html=message.html,
            reply_to=_line(config.reply_to),
            headers=headers,
            more=self.more(message),
            refs=(message.ref,),
        )

    def read_send(self, call: Call, answer: Answer) -> list[SendResult]:
        lost = wire.not_answered(call, answer)
        if lost is not None:
            return lost
        status, ident = answer.headers.get("service-status", ""), wire.ident(answer.headers.get("service-id", ""))
        if status in {"sent", "queued"} and ident and not answer.truncated:
            return [Accepted(ref, ident) for ref in call.refs]
        failure, reason = self._refusal(status, answer)
        wait = wire.retry_after(answer.headers) if failure is FailureClass.RATE_LIMITED else None
        detail = wire.scrub(f"HTTP {answer.status}: {wire.words(answer.body, self._secrets)}", self._secrets)
        return wire.failures(call, failure, detail, reason=reason, wait=wait)

    def _refusal(self, status: str, answer: Answer) -> Meaning:
        if answer.headers.get("service-stage") == "compose":
            return mailcodes.GONE if answer.status == 553 else mailcodes.MESSAGE
        if status in REFUSALS:
            return self.refused(answer) or REFUSALS[status]
        text = answer.body[:2000].decode("utf-8", "replace")
        if answer.status in {400, 401, 403, 422} and _NO_MONEY.search(text):
            return FailureClass.BALANCE, None
        return ERRORS.get(answer.status) or (wire.by_http_status(answer), None)

    def refused(self, answer: Answer) -> Meaning | None:
        """What the service's own words say about a recipient it refused in its answer; None: the library's word will do."""
        return None

    # --- what it tells later

    def verify_callback(self, request: CallbackRequest) -> None:
        """The secret in the address is checked at the door; most services sign nothing. Where there is none, nobody enters."""
        if not self.callback_secret:
            raise CallbackRejected

    def read_callback(self, request: CallbackRequest) -> list[CallbackItem]:
        if request.method != "POST" or not request.body:
            return []  # a service that looks whether somebody lives here
        if self.read_events is None:
            raise ValueError("nobody reads webhooks here")
        items: list[CallbackItem] = []
        for event in self.read_events(self.service, request):
            items += self._items(event)
        return items

    def _items(self, event: ServiceEvent) -> list[CallbackItem]:
        kind = event.kind
        ref = event.ref if wire.OUR_REF.fullmatch(event.ref) else ""
        message_id, address = wire.ident(event.message_id), wire.ident(event.recipient).lower()
        if kind in QUIET or not (ref or message_id or address):
            return []
        word = wire.scrub(f"{kind} {event.reason} {event.word}", self._secrets)
        at = event.at if event.at is not None and event.at.tzinfo is not None else None
        key = wire.ident(event.ident) or f"{message_id or ref or address}:{kind}:{at.isoformat() if at else ''}"
        gone = [OptOut(f"{key}:out", word, ref, message_id, address, at=at)]
        if kind in {"complained", "unsubscribed"}:
            return [*gone]
        if not (ref or message_id):
            return []
        failure, reason = self._failure(event)
        report = StatusReport(
            event_key=key,
            raw=word,
            ref=ref,
            provider_message_id=message_id,
            address=address,
            milestone=MILESTONES.get(kind),
            failure=failure,
            reason=reason,
            detail=wire.scrub(f"{word} {event.words}", self._secrets) if failure else "",
            at=at,
        )
        # Refused because the person had unsubscribed or complained there: that is an answer, and not to this letter alone.
        asked = kind == "rejected" and event.reason in {"unsubscribed", "spam"}
        return [report, *gone] if asked else [report]

    def _failure(self, event: ServiceEvent) -> tuple[FailureClass | None, Reason | None]:
        if event.kind == "failed":
            return mailcodes.MESSAGE
        if event.kind not in {"bounced", "rejected"}:
            return None, None
        told = self.bounced(event)
        if told is not None:
            return told
        if event.reason == "spam" and event.kind == "rejected":
            return FailureClass.RECIPIENT_PERMANENT, Reason.BLOCKED
        if event.reason in REASONS:
            return REASONS[event.reason]
        return mailcodes.given_up("", event.words)

    def bounced(self, event: ServiceEvent) -> Meaning | None:
        """What the service's own word for a bounce means, where it is more exact than the library's."""
        return None

    # --- the account

    def question(self) -> HttpCall | None:
        """A question that proves the key and sends nothing; None where we know of none."""
        return None

    def build_self_test(self) -> list[Call]:
        asked = self.question()
        return [asked] if asked is not None else []

    def read_self_test(self, call: Call, answer: Answer) -> AccountReport:
        if answer.no_answer is not None:
            return wire.unreachable(answer)
        if wire.is_whole(answer) and wire.json_object(answer.body) is not None:
            return AccountReport(ok=True, message=N_("The account works."))
        failure = ERRORS[answer.status][0] if answer.status in {401, 403, 404} else wire.by_http_status(answer)
        return wire.trouble_report(answer, failure, self._secrets)


def _named(name: str, address: str) -> str:
    """`"Name" <address>`, with what would end the quotation escaped."""
    return '"' + _SPECIAL.sub(r"\\\g<0>", name) + f'" <{address}>'


def _line(text: str) -> str:
    """Without control characters: nothing a person typed can start another header."""
    return _CONTROL.sub(" ", text).strip()
