"""Codes of the engine as short words for tables and filters. Sentences of the timeline are cascade.explain's."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cascade.vocabulary import Reason
from deliveries.models import MilestoneChoices

#: Reason -> a few words, as they stand in a column or behind a number.
REASON_LABELS: dict[str, str] = {
    Reason.NO_ADDRESS: gettext_noop("no address here"),
    Reason.NOT_REGISTERED: gettext_noop("not registered here"),
    Reason.BLOCKED: gettext_noop("has blocked us"),
    Reason.RECIPIENT_REFUSED: gettext_noop("the provider refuses this recipient"),
    Reason.NO_ANSWER: gettext_noop("did not answer the call"),
    Reason.MESSAGE_REFUSED: gettext_noop("the provider refuses the text"),
    Reason.ACCOUNT_TROUBLE: gettext_noop("trouble of our account"),
    Reason.EVERYBODY_REFUSED: gettext_noop("the account is suddenly refused by everybody"),
    Reason.CHANNEL_DISABLED: gettext_noop("the channel is switched off"),
    Reason.CONDITION: gettext_noop("the step is not for this person"),
    Reason.EMPTY_VARIABLE: gettext_noop("no value for the text"),
    Reason.NOT_ACCEPTED_IN_TIME: gettext_noop("not accepted in time"),
    Reason.NOT_SENT_IN_TIME: gettext_noop("not sent in time"),
    Reason.NOT_DELIVERED_IN_TIME: gettext_noop("not delivered in time"),
    Reason.NOT_READ_IN_TIME: gettext_noop("not read in time"),
    Reason.NOT_CLICKED_IN_TIME: gettext_noop("link not followed in time"),
    Reason.NOT_REPLIED_IN_TIME: gettext_noop("no reply in time"),
    Reason.GOAL_NOT_REACHED_IN_TIME: gettext_noop("target action not done in time"),
    Reason.TIME_PASSED: gettext_noop("the time has passed"),
    Reason.RETRIES_USED_UP: gettext_noop("the tries are used up"),
    Reason.UNKNOWN_UNRESOLVED: gettext_noop("outcome stayed unknown"),
    Reason.NO_TIME_LEFT: gettext_noop("no time left"),
    Reason.WAITING_FOR_MILESTONE: gettext_noop("waiting for a receipt"),
    Reason.QUIET_HOURS: gettext_noop("outside the sending hours"),
    Reason.PAUSED: gettext_noop("paused"),
    Reason.PERSON_ASKED: gettext_noop("a doubtful answer to be read"),
    Reason.RETRY_LATER: gettext_noop("will be tried again"),
    Reason.CHANNEL_ON_HOLD: gettext_noop("the channel is in trouble"),
    Reason.IN_FLIGHT: gettext_noop("being sent"),
    Reason.SPEED_LIMIT: gettext_noop("waiting for its turn (speed limit)"),
    Reason.FIRST_STEP: gettext_noop("first step"),
    Reason.PREVIOUS_STEP_LEFT: gettext_noop("the step before did not work"),
    Reason.OTHER_ACCOUNT: gettext_noop("a reserve account stands in"),
    Reason.RETRY: gettext_noop("another try"),
    Reason.MILESTONE_MET: gettext_noop("as expected"),
    Reason.LATE_RECEIPT: gettext_noop("a late receipt"),
    Reason.ALL_STEPS_TRIED: gettext_noop("all steps tried"),
    Reason.DEADLINE_PASSED: gettext_noop("the deadline has passed"),
    Reason.REPLIED: gettext_noop("replied"),
    Reason.CLICKED: gettext_noop("followed the link"),
    Reason.GOAL: gettext_noop("target action"),
    Reason.OPTED_OUT: gettext_noop("unsubscribed"),
    Reason.CANCELLED: gettext_noop("the campaign was cancelled"),
    Reason.OBJECT_CHANGED: gettext_noop("the visit was moved or cancelled"),
    Reason.NO_CONSENT: gettext_noop("no consent"),
    Reason.STOP_LIST: gettext_noop("on the stop-list"),
    Reason.FREQUENCY_CAP: gettext_noop("enough messages for now"),
    Reason.BUDGET: gettext_noop("the budget is used up"),
    Reason.CONTACT_DELETED: gettext_noop("the contact was deleted"),
    Reason.HOLD_OUT: gettext_noop("control group: not written to"),
}


def reason_label(code: str) -> str:
    """Words for a stored reason; a code of a newer version is shown as it is."""
    return _(REASON_LABELS[code]) if code in REASON_LABELS else code


def milestone_label(code: str) -> str:
    """Words for a stored milestone, "" for none."""
    return str(MilestoneChoices(code).label) if code in MilestoneChoices.values else code


def masked(address: str) -> str:
    """Enough to recognise one's own address, too little to write to a stranger's: “+7916•••4567”, “an•••@mail.ru”."""
    name, at, host = address.partition("@")
    if at:
        return f"{name[:2]}•••@{host}"
    if len(address) < 7:
        return "•" * len(address)
    return f"{address[:5]}•••{address[-4:]}"


_PHONES = re.compile(r"(?<![\w.])\+?\d[\d ()-]{8,18}\d(?!\w)")
_EMAILS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


def masked_text(text: str) -> str:
    """A provider's raw report as it may be shown: phones, long numbers and e-mails masked. Numbers may be ids or
    moments as well; hiding one of those costs less than showing a phone."""
    return _EMAILS.sub(lambda found: masked(found[0]), _PHONES.sub(lambda found: masked(found[0]), text))


#: Notes of services.receipts -> the owner's words. The rest is for support and shown as it is.
_NOTES: dict[str, str] = {
    "the channel's settings cannot be read": gettext_noop("the channel's settings cannot be read"),
    "no such message of ours": gettext_noop("no such message of ours"),
    "its message is not known yet": gettext_noop("its message is not known yet"),
}


def receipt_note(note: str) -> str:
    """Words for what was noted about a receipt."""
    for prefix, words in (
        ("unreadable: ", gettext_noop("cannot be read: %(detail)s")),
        ("unknown status: ", gettext_noop("a status nobody knows: %(detail)s")),
    ):
        if note.startswith(prefix):
            return _(words) % {"detail": note.removeprefix(prefix)}
    return _(_NOTES[note]) if note in _NOTES else note
