"""SMSC.ru, robot calls: the text is read aloud by phone (`call=1` of the same wire as its text messages).

Sources: smscentre.com/api/http/send/voice (voicemenu) and two client libraries, as read in our fact sheet of
2026-11-22, sections 1.6, 8.1; channels.providers.smsc_wire, with what is unverified of the wire as a whole.

SMSC redials by itself, five times unless told otherwise: the robot would ring after the fallback has gone out. So
`param=w,i,1` is always sent (one try; its own interval `i` is then idle) and the engine alone decides about another.

"Status 1" means picked up and played, also by an answering machine or for a second. What counts as delivered is our
decision (section 8.1): at least `min_seconds` of conversation where the receipt tells them, or a pressed key.

Unverified, and how we live with it:
* how the pressed key is told, if at all: the owner names the receipt's field (`key_field`) as support names it; while
  it is empty a chain cannot wait for a target action here.
* the field with the seconds of conversation in a receipt: `cnt` holds seconds for a call in the answer to a send, and
  probably here (`seconds_field`); without such a field status 1 alone counts as listened to.
* the length of the recording is not told, so "80 % of it was heard" cannot be asked for here.
* whether the life of a message (`valid`) holds for a call: sent, like everything the request may carry; one try of
  at most 35 seconds keeps the call short even where it does not.
* busy, rung out, switched off: which status and `err` mean which. All are "no answer": the next step at once, and
  nothing is remembered about the person.
* `voice`: the list of names is third-party; any word may be entered.
* what an unanswered call costs: charged on "delivered" unless the owner says otherwise; SMSC's own figure wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from cascade.vocabulary import AddressKind, ChannelKind, ChargedOn, FailureClass, Milestone, Reason
from channels.providers import wire
from channels.providers.base import (
    N_,
    CallbackItem,
    Capabilities,
    How,
    Inbound,
    OutgoingMessage,
    Refusal,
    option,
)
from channels.providers.smsc_wire import TTL, SmscAccount, SmscAccountConfig

#: Between tries the provider itself would make; with one try it means nothing, but the field has to be filled.
IDLE_INTERVAL: Final = 10
#: Seconds a phone may ring, as the page allows.
RINGS: Final = (10, 35)


@dataclass(frozen=True, slots=True)
class SmscVoiceConfig(SmscAccountConfig):
    voice: str = option(
        N_("Voice"), N_("As the cabinet names it: w, w2, m3 and so on. Empty: the account's default."), default=""
    )
    ring_seconds: int = option(
        N_("Let the phone ring, seconds"),
        N_("From 10 to 35. Longer than 25 usually reaches an answering machine."),
        default=25,
    )
    min_seconds: int = option(
        N_("Heard when listened to, seconds"),
        N_("A shorter conversation without a pressed key counts as no answer: an answering machine also picks up."),
        default=5,
    )
    menu: str = option(
        N_("Menu after the text"),
        N_("In SMSC's own words, for example {menu: ... 1: Thank you}. It is added to every text as it is."),
        default="",
        rare=True,
    )
    key_field: str = option(
        N_("Receipt field with the pressed key"),
        N_("Ask SMSC's support for its name. While it is empty, keys are not seen."),
        default="",
        rare=True,
    )
    confirm_key: str = option(
        N_("Key that confirms"), N_("Pressing it is the target action of the call."), default="1", rare=True
    )
    refuse_key: str = option(
        N_("Key that refuses further calls"),
        N_("Pressing it works like the word STOP. Empty: there is none."),
        default="",
        rare=True,
    )
    seconds_field: str = option(
        N_("Receipt field with the seconds of conversation"),
        N_("Empty: SMSC's word that the text was played is enough."),
        default="cnt",
        rare=True,
    )


_BAD_RING: Final = N_("SMSC lets a phone ring from 10 to 35 seconds.")
_SAME_KEYS: Final = N_("The key that confirms and the key that refuses must differ.")

CAPABILITIES: Final = Capabilities(
    address=AddressKind.PHONE,
    reports={Milestone.ACCEPTED: How.ANSWER, Milestone.SENT: How.BOTH, Milestone.DELIVERED: How.BOTH},
    lookup_by_ref=True,
    poll_batch=100,
    ttl=TTL,
    balance=True,
    max_text=1000,
    default_rate=2.0,
    charged_on=ChargedOn.DELIVERED,
)

_NO_ANSWER: Final = (FailureClass.RECIPIENT_PERMANENT, Reason.NO_ANSWER)

#: status -> milestone. 1 is "picked up and played"; what it is worth is decided in judge().
MILESTONES: Final[dict[int, Milestone]] = {
    -1: Milestone.ACCEPTED,
    0: Milestone.SENT,
    1: Milestone.DELIVERED,
    2: Milestone.DELIVERED,
}
#: status that ends a call badly -> what it means.
FAILED_STATUSES: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    -2: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),  # somebody stopped it in the cabinet
    3: _NO_ANSWER,
    20: _NO_ANSWER,
    22: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),
    23: (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED),
    24: (FailureClass.BALANCE, None),
    25: _NO_ANSWER,
}
#: `err` beside such a status: says more than the status. Made for text messages; 6, 11 and 12 keep a phone from ringing.
STATUS_ERRORS: Final[dict[int, tuple[FailureClass, Reason | None]]] = {
    1: (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED),  # subscriber does not exist
    13: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # subscriber is blocked
    21: (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED),  # service not supported
    220: (FailureClass.TRANSIENT, None),  # operator's queue is full
}


class SmscVoice(SmscAccount):
    slug: ClassVar[str] = "smsc_voice"
    kind: ClassVar[ChannelKind] = ChannelKind.VOICE
    title: ClassVar[str] = N_("SMSC.ru (robot call)")
    capabilities = CAPABILITIES
    Config: ClassVar[type] = SmscVoiceConfig
    milestones = MILESTONES
    failed_statuses = FAILED_STATUSES
    status_errors = STATUS_ERRORS

    config: SmscVoiceConfig

    def __init__(self, config: SmscVoiceConfig, *, base_url: str = "", callback_secret: str = "") -> None:
        super().__init__(config, base_url=base_url, callback_secret=callback_secret)
        reports = dict(CAPABILITIES.reports)
        if config.key_field:
            reports |= {Milestone.REPLIED: How.CALLBACK, Milestone.GOAL: How.BOTH}
        self.capabilities = replace(CAPABILITIES, reports=reports, lookup_by_ref=config.own_id)

    def problem(self) -> str:
        if not RINGS[0] <= self.config.ring_seconds <= RINGS[1]:
            return _BAD_RING
        if self.config.refuse_key and self.config.refuse_key == self.config.confirm_key:
            return _SAME_KEYS
        return super().problem()

    def what(self, message: OutgoingMessage) -> dict[str, str]:
        # A brace begins a command of SMSC's own: what stands in a text is to be said and not to be done.
        text = message.text.replace("{", "(").replace("}", ")")
        said = {"call": "1", "mes": f"{text} {self.config.menu}".strip()}
        said["param"] = f"{self.config.ring_seconds},{IDLE_INTERVAL},1"
        if self.config.voice:
            said["voice"] = self.config.voice
        return said

    # --- receipts

    def judge(
        self, status: int | None, err: int, row: Mapping[str, Any]
    ) -> tuple[Milestone | None, FailureClass | None, Reason | None]:
        milestone, failure, reason = super().judge(status, err, row)
        if milestone is not Milestone.DELIVERED:
            return milestone, failure, reason
        key = self._key(row)
        if key and key == self.config.confirm_key:
            return Milestone.GOAL, None, None
        seconds = wire.number(row.get(self.config.seconds_field)) if self.config.seconds_field else None
        if not key and seconds is not None and seconds < self.config.min_seconds:
            return None, *_NO_ANSWER
        return milestone, None, None

    def _key(self, row: Mapping[str, Any]) -> str:
        return wire.ident(row.get(self.config.key_field)) if self.config.key_field else ""

    def event(self, row: Mapping[str, Any]) -> str:
        return f":{self._key(row)}" if self._key(row) else ""

    def read_status(self, fields: dict[str, str], message_id: str, phone: str) -> list[CallbackItem]:
        items = super().read_status(fields, message_id, phone)
        key = self._key(fields)
        if phone and key and key != self.config.confirm_key:
            # Another key is an answer in its own words, as a written one would be.
            refuses = Refusal.MARKETING if key == self.config.refuse_key else Refusal.NOTHING
            known = f"key:{message_id}:{phone}:{key}"
            items.append(Inbound(known, phone, text=key, in_reply_to=message_id, refuses=refuses))
        return items
