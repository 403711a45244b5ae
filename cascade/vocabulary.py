"""The words everybody speaks: engine, adapters, admin, API. One word for one thing.

Each value says what it means, because these words reach owners (through translations), provider
adapters (through mapping tables) and the database (as stored text): renaming one is a migration.
"""

from __future__ import annotations

from enum import StrEnum


class ChannelKind(StrEnum):
    """What sort of wire a channel is; texts have one variant per kind, addresses belong to a kind."""

    MAX = "max"
    TELEGRAM = "telegram"
    WHATSAPP = "whatsapp"
    VIBER = "viber"
    VK = "vk"
    AVITO = "avito"
    SMS = "sms"
    EMAIL = "email"
    VOICE = "voice"
    PUSH = "push"
    OPERATOR = "operator"


class AddressKind(StrEnum):
    """What an adapter needs to reach a person."""

    PHONE = "phone"  #: E.164 with plus, from the contact's card
    EMAIL = "email"  #: lower-cased address, from the contact's card
    CHAT_ID = "chat_id"  #: an id that belongs to one sending account (a bot's chat)
    DEVICE = "device"  #: a push token
    PERSON = "person"  #: nobody's wire: a colleague does it (operator)


class Purpose(StrEnum):
    """Why we write. The two obey different rules (R18)."""

    MARKETING = "marketing"  #: needs consent, obeys frequency caps, carries an unsubscribe
    SERVICE = "service"  #: the visit you booked: obeys the stop-list and quiet hours only


class Milestone(StrEnum):
    """How far a message got. Ordered; a higher one implies the lower ones listed in IMPLIES."""

    ACCEPTED = "accepted"  #: the provider took it and (usually) gave an id
    SENT = "sent"  #: it left the provider towards the person
    DELIVERED = "delivered"  #: it reached the person's device or mailbox
    READ = "read"  #: the person opened it
    CLICKED = "clicked"  #: the person followed our link
    REPLIED = "replied"  #: the person answered, in words or by a button
    GOAL = "goal"  #: the target action happened: key pressed, visit confirmed, paid, subscribed


#: Height of a milestone; reports only ever raise (R5). replied and goal are both above clicked but
#: do not imply it: one can answer without following a link.
RANK: dict[Milestone, int] = {m: i for i, m in enumerate(Milestone)}

_UP_TO_READ = (Milestone.ACCEPTED, Milestone.SENT, Milestone.DELIVERED, Milestone.READ)

#: What a milestone proves besides itself.
IMPLIES: dict[Milestone, tuple[Milestone, ...]] = {
    Milestone.ACCEPTED: (),
    Milestone.SENT: _UP_TO_READ[:1],
    Milestone.DELIVERED: _UP_TO_READ[:2],
    Milestone.READ: _UP_TO_READ[:3],
    Milestone.CLICKED: _UP_TO_READ,
    Milestone.REPLIED: _UP_TO_READ,
    Milestone.GOAL: _UP_TO_READ,
}


class FailureClass(StrEnum):
    """What an adapter may say went wrong. The class is the consequence (cascade.md section 4)."""

    RECIPIENT_PERMANENT = "recipient_permanent"  #: this person cannot be reached here: next step at once
    MESSAGE_PERMANENT = "message_permanent"  #: this text or template is refused: next step at once, warn the owner
    TRANSIENT = "transient"  #: certainly not sent, try again on this step
    RATE_LIMITED = "rate_limited"  #: certainly not sent, we were too fast
    AUTH = "auth"  #: the account is refused: token, blocked sender, address not allowed
    BALANCE = "balance"  #: no money on the account
    OUTCOME_UNKNOWN = "outcome_unknown"  #: the request left, nobody knows: never blindly repeated (R8)


#: Trouble of the sending account, never the recipient's fault (R4).
ACCOUNT_TROUBLE = frozenset({FailureClass.AUTH, FailureClass.BALANCE})
#: Certainly not sent: may be tried again on the same step (R9).
RETRYABLE = frozenset({FailureClass.TRANSIENT, FailureClass.RATE_LIMITED})


class Outcome(StrEnum):
    """The single end every delivery comes to."""

    REACHED = "reached"  #: a step met its last expectation
    EXHAUSTED = "exhausted"  #: every step was tried, nothing was confirmed
    STOPPED = "stopped"  #: opt-out, cancelled, answered elsewhere, visit moved
    SUPPRESSED = "suppressed"  #: no consent, stop-list, cap, hold-out: nothing was ever sent
    EXPIRED = "expired"  #: the deadline passed


class TroublePolicy(StrEnum):
    """What a chain does while a channel's *account* is in trouble (R4)."""

    HOLD = "hold"  #: wait for the channel, within the deadline (default for marketing)
    GO_ON = "go_on"  #: skip to the next step (default for service messages)


class ChargedOn(StrEnum):
    """When a channel's price becomes due. None else decides whether a cascade saves money."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    READ = "read"


class Reason(StrEnum):
    """Why a decision was taken: the code behind each line of the timeline (R16).

    The code is stored; the sentence is made when shown (cascade.explain), so wording can improve
    without touching history.
    """

    # a step was left
    NO_ADDRESS = "no_address"  #: the contact has no address this channel could use
    NOT_REGISTERED = "not_registered"  #: the channel said: nobody by this address
    BLOCKED = "blocked"  #: the person blocked this sender
    RECIPIENT_REFUSED = "recipient_refused"  #: another permanent refusal of this recipient
    NO_ANSWER = "no_answer"  #: a call rang out: next step at once, but nothing to remember about the person
    MESSAGE_REFUSED = "message_refused"  #: the provider refused this text or template
    ACCOUNT_TROUBLE = "account_trouble"  #: no money, bad token; the chain's policy is to go on
    EVERYBODY_REFUSED = "everybody_refused"  #: a refusal that suddenly everybody gives: the account's trouble (streaks)
    CHANNEL_DISABLED = "channel_disabled"  #: the owner switched the channel off
    CONDITION = "condition"  #: the step is only for some contacts, and this is not one of them
    EMPTY_VARIABLE = "empty_variable"  #: the text of this step needs a value this contact lacks
    NOT_ACCEPTED_IN_TIME = "not_accepted_in_time"
    NOT_SENT_IN_TIME = "not_sent_in_time"
    NOT_DELIVERED_IN_TIME = "not_delivered_in_time"
    NOT_READ_IN_TIME = "not_read_in_time"
    NOT_CLICKED_IN_TIME = "not_clicked_in_time"
    NOT_REPLIED_IN_TIME = "not_replied_in_time"
    GOAL_NOT_REACHED_IN_TIME = "goal_not_reached_in_time"
    TIME_PASSED = "time_passed"  #: the step moves on by time alone
    RETRIES_USED_UP = "retries_used_up"  #: transient failures ate the step's own wait
    UNKNOWN_UNRESOLVED = "unknown_unresolved"  #: outcome unknown and no receipt came in the step's time
    NO_TIME_LEFT = "no_time_left"  #: the channel's hours open only after the deadline (R12 against R13)

    # waiting
    WAITING_FOR_MILESTONE = "waiting_for_milestone"
    QUIET_HOURS = "quiet_hours"
    PAUSED = "paused"
    PERSON_ASKED = "person_asked"  #: an answer of theirs may have meant “stop”: a human is to read it first
    RETRY_LATER = "retry_later"
    CHANNEL_ON_HOLD = "channel_on_hold"
    IN_FLIGHT = "in_flight"
    SPEED_LIMIT = "speed_limit"  #: the campaign's own pace (messages a minute)

    # sending
    FIRST_STEP = "first_step"
    PREVIOUS_STEP_LEFT = "previous_step_left"
    RETRY = "retry"
    OTHER_ACCOUNT = "other_account"  #: a reserve account of the same step: those before it cannot send now

    # finished
    MILESTONE_MET = "milestone_met"
    LATE_RECEIPT = "late_receipt"  #: an earlier step turned out to have worked (R6)
    ALL_STEPS_TRIED = "all_steps_tried"
    DEADLINE_PASSED = "deadline_passed"
    REPLIED = "replied"
    CLICKED = "clicked"
    GOAL = "goal"
    OPTED_OUT = "opted_out"
    CANCELLED = "cancelled"
    OBJECT_CHANGED = "object_changed"  #: the visit was moved or cancelled in the CRM
    NO_CONSENT = "no_consent"
    STOP_LIST = "stop_list"
    FREQUENCY_CAP = "frequency_cap"
    BUDGET = "budget"
    CONTACT_DELETED = "contact_deleted"
    HOLD_OUT = "hold_out"
