"""PAUSING: an answer that may have meant “stop”. Nobody is struck off by a guess, and nobody is written to on one (P20).

Marketing to the person stands still until somebody has read the answer, or until the pause runs out: “not now” is not
“never”, and a delivery must not wait for ever because nobody looks (R15). Service messages go on: a refusal would not have
stopped them either (R18).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib.postgres.functions import TransactionNow as Now
from django.db import connection, transaction

from cascade.vocabulary import Purpose, Reason
from contacts.models import Contact
from deliveries.models import InboundMessage, PersonPause
from deliveries.services.consent import forget_marketing
from deliveries.services.stops import stop_of_contact

#: Long enough for a salon that is closed on Mondays, short enough for a campaign to come to an end.
PAUSED_FOR: Final = timedelta(days=7)

#: What waits because of the pause; what waits for a receipt finds out when it is due.
_WAKE = """
UPDATE deliveries_delivery SET due_at = now()
WHERE contact_id = %s AND state = 'waiting' AND wait_reason = 'person_asked' AND due_at > now()
"""


def pause(contact_id: int, message: InboundMessage) -> None:
    """Hold marketing to this person until `message` has been read. Inside the caller's transaction.

    Takes the lock that TX-calling takes: when this is committed, no marketing to them begins any more (I3).
    """
    if not Contact.objects.select_for_update(no_key=True, of=("self",)).filter(pk=contact_id).exists():
        return
    ends = Now() + PAUSED_FOR
    waiting = PersonPause.objects.filter(contact_id=contact_id, decided_at=None)
    if not waiting.update(message=message, ends_at=ends):
        PersonPause.objects.create(contact_id=contact_id, message=message, began_at=Now(), ends_at=ends)


@transaction.atomic
def decide(pause_id: int, decision: str, user_id: int | None) -> bool:
    """Somebody has read the answer: it was a refusal, or it was none. False where it had been decided already."""
    found = PersonPause.objects.select_related("message", "contact").filter(pk=pause_id).first()
    if found is None:
        return False
    refused = decision == PersonPause.Decision.OPT_OUT
    if refused:
        # Deliveries, then the stop-list, then the card: the order of everybody who stops somebody.
        stop_of_contact(found.contact_id, Reason.OPTED_OUT, Purpose.MARKETING)
        said = found.message.text if found.message else ""
        forget_marketing(found.contact, source=f"answer read by user {user_id or '-'}", evidence=said)
    decided = PersonPause.objects.filter(pk=pause_id, decided_at=None)
    done = bool(decided.update(decision=decision, decided_at=Now(), decided_by_id=user_id))
    if not refused:
        with connection.cursor() as cursor:
            cursor.execute(_WAKE, [found.contact_id])
    return done
