"""A channel that refuses everybody: nobody is written off for it, and what was is taken back (R4, I27).

The rule is cascade.streaks. Here a channel's streak is kept in a row under its lock, so that any number of workers read
the same one, and an alarm is carried out: the breaker opens, marks are taken off people, and their messages wait as far
as no later step of theirs has been called. Whoever has moved on has moved on; what was finished stays finished.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from django.db import connection, transaction

from cascade.streaks import ACQUAINTED, SHORTEST, Streak, Told, fold, is_systemic
from cascade.vocabulary import FailureClass, Reason
from channels.models import RefusalStreak
from channels.services.health import end_streak, is_vouched, suspect
from contacts.models import Reachability
from deliveries.models import TimelineEvent
from deliveries.services.decisions import Line, write_lines

logger = logging.getLogger(__name__)

#: What is usual in a channel is counted on as many attempts before the streak began.
HISTORY = 20_000


@transaction.atomic
def sift(channel_id: int, source: str, told: Sequence[Told], details: Mapping[int, str]) -> set[int]:
    """Fold results of one channel into its streak of refusals; return the keys of those that are the account's trouble.

    `told`: in the order they came, keyed by attempt; `details`: the provider's words by attempt. Call it before they
    are written: what it returns must be written as trouble of the account, and marks nobody. Side effects of an alarm:
    see the module. Repeating it with the same results changes nothing.
    """
    tail = _tail(told)
    if len(tail) < len(told):
        end_streak(channel_id, source)
    tail = _acquainted(channel_id, tail)
    if not tail or is_vouched(channel_id):
        return set()
    row, _ = RefusalStreak.objects.select_for_update().get_or_create(channel_id=channel_id, source=source)
    if row.systemic:
        return {one.key for one in tail if one.reason == row.reason}
    known = Streak(Reason(row.reason) if row.reason else None, tuple((key, who) for key, who in row.refused))
    streak = fold(known, tail)
    if streak.reason is None:
        return set()
    row.reason, row.refused = str(streak.reason), [list(pair) for pair in streak.refused]
    row.systemic = len(streak.refused) >= SHORTEST and is_systemic(streak, *_usual(channel_id, streak))
    row.save()
    if not row.systemic:
        return set()
    _raise_alarm(row, streak, Counter(filter(None, details.values())).most_common(1))
    return {one.key for one in tail if one.reason == streak.reason}


def _tail(told: Sequence[Told]) -> Sequence[Told]:
    """What came after the last success."""
    last = max((index for index, one in enumerate(told) if one.reason is None), default=-1)
    return told[last + 1 :]


def _acquainted(channel_id: int, told: Sequence[Told]) -> Sequence[Told]:
    """Without refusals that say nothing from a stranger, where one gave them (cascade.streaks.ACQUAINTED)."""
    asked = [one.person for one in told if one.reason in ACQUAINTED]
    if not asked:
        return told
    with connection.cursor() as cursor:
        cursor.execute(_MET, {"people": asked, "channel": channel_id})
        met = {row[0] for row in cursor.fetchall()}
    return [one for one in told if one.reason not in ACQUAINTED or one.person in met]


#: Whom the channel has reached before (where nobody tells: whose message was taken and not refused within a day), or who
#: has a chat with it that nobody looked up by phone.
_MET = """
SELECT d.contact_id FROM deliveries_delivery d JOIN deliveries_attempt a ON a.delivery_id = d.id
WHERE d.contact_id = ANY(%(people)s::bigint[]) AND a.channel_id = %(channel)s AND a.state = 'accepted'
    AND (a.delivered_at IS NOT NULL OR a.called_at < now() - interval '1 day')
UNION
SELECT contact_id FROM contacts_contactaddress
WHERE contact_id = ANY(%(people)s::bigint[]) AND channel_id = %(channel)s AND found_for = ''
"""


def _usual(channel_id: int, streak: Streak) -> tuple[int, int]:
    """How often the channel's messages before this streak came to its reason: (refusals, answers). Of acquainted people
    nobody has counted it: the guess stands."""
    if streak.reason in ACQUAINTED:
        return 0, 0
    first = min(key for key, _ in streak.refused)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE reason = %s), count(*) FROM deliveries_attempt"
            " WHERE id BETWEEN %s AND %s AND channel_id = %s AND state IN ('accepted', 'failed')",
            [str(streak.reason), first - HISTORY, first - 1, channel_id],
        )
        refusals, answers = cursor.fetchone()
    return refusals, answers


def _raise_alarm(row: RefusalStreak, streak: Streak, words: Sequence[tuple[str, int]]) -> None:
    detail = f"{len(streak.refused)} × {row.reason}" + (f": {words[0][0]}" if words else "")
    suspect(row.channel_id, detail)
    logger.warning("channel %s refuses everybody, taken for trouble of the account: %s", row.channel_id, detail)
    waiting = _take_back([key for key, _ in streak.refused])
    people = [person for _, person in streak.refused]
    # A mark from before the streak would have kept them from being called at all.
    Reachability.objects.filter(contact_id__in=people, channel_id=row.channel_id, state=row.reason).delete()
    logger.warning("%d people unmarked, %d messages wait", len(people), waiting)


#: A later step that is being called, or has been, is past taking back. Locks: attempts, then deliveries.
_ATTEMPTS = """
SELECT id, delivery_id, step FROM deliveries_attempt
WHERE id = ANY(%s::bigint[]) AND state = 'failed' AND failure = 'recipient_permanent' ORDER BY id FOR UPDATE
"""
_STILL_THERE = """
SELECT d.id FROM deliveries_delivery d JOIN unnest(%s::bigint[], %s::int[]) AS v(id, step) ON v.id = d.id
WHERE d.state IN ('waiting', 'ready') AND NOT EXISTS (
    SELECT 1 FROM deliveries_attempt a WHERE a.delivery_id = d.id AND a.step > v.step)
ORDER BY d.id FOR UPDATE OF d
"""
_BACK = """
UPDATE deliveries_delivery d SET state = 'waiting', step = v.step, channel_id = NULL, due_at = now(), wait_reason = '',
    trail = array_to_string((string_to_array(d.trail, ','))[:v.step], ',')
FROM unnest(%s::bigint[], %s::int[]) AS v(id, step) WHERE d.id = v.id
"""
_HELD_AGAINST_ACCOUNT = """
UPDATE deliveries_attempt SET failure = %s, reason = %s, retry_at = now() WHERE id = ANY(%s::bigint[])
"""


def _take_back(attempt_ids: Sequence[int]) -> int:
    """Return to their step the deliveries whose refusal is not believed any more. Out: how many."""
    with connection.cursor() as cursor:
        cursor.execute(_ATTEMPTS, [list(attempt_ids)])
        refused = {delivery_id: (attempt_id, step) for attempt_id, delivery_id, step in cursor.fetchall()}
        cursor.execute(_STILL_THERE, [list(refused), [step for _, step in refused.values()]])
        back = [row[0] for row in cursor.fetchall()]
        cursor.execute(_BACK, [back, [refused[one][1] for one in back]])
        account = [str(FailureClass.AUTH), str(Reason.EVERYBODY_REFUSED)]
        cursor.execute(_HELD_AGAINST_ACCOUNT, [*account, [refused[one][0] for one in back]])
    write_lines(Line(one, TimelineEvent.Kind.NOTE, refused[one][1], Reason.EVERYBODY_REFUSED) for one in back)
    return len(back)
