"""Is this account in trouble? (R4, I27) Trouble of the account is never charged to recipients.

Five account-level errors in a row, an empty balance, or twenty calls in a row that the provider did not answer or
answered with “not now” (an outage) open the breaker: deliveries of this channel wait or go on as their chain says, and
once a minute the account is asked by its self-test. The first success closes it. All of it is guarded UPDATEs on one
row, so any number of workers may report at once.

A sender that suddenly hears the same refusal from everybody (cascade.streaks) is in trouble too, but its self-test may
well pass: such a breaker is closed by a success, by the owner who has looked, or every quarter of an hour for a trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from cascade.vocabulary import ACCOUNT_TROUBLE, FailureClass, Reason
from channels.models import ChannelState, RefusalStreak

#: ChannelState.trouble of an account that refuses everybody.
EVERYBODY_REFUSED = Reason.EVERYBODY_REFUSED.value
ERRORS_TO_OPEN = 5
UNKNOWN_TO_OPEN = 20
PROBE_EVERY = timedelta(minutes=1)
WATCH_EVERY = timedelta(minutes=1)
#: How often an account that refused everybody is tried again. What is tried are people's messages, and a suspended
#: account that keeps writing is banned: not every minute.
TRIAL_EVERY = timedelta(minutes=15)
#: How long rows of refusals are believed after the owner has looked.
VOUCHED_FOR = timedelta(days=1)

#: One statement for all cases. A success anywhere in the batch ends the row of errors before it; errors reported
#: with it are taken as the newer ones. `opens` is decided from the new counters.
_NOTE = """
WITH fresh AS (
    SELECT channel_id, breaker AS was, %(ok)s > 0 AND trouble <> %(everybody)s AS works,
        CASE WHEN %(ok)s > 0 THEN 0 ELSE errors_in_row END + %(errors)s AS errors,
        CASE WHEN %(ok)s > 0 THEN 0 ELSE unknown_in_row END + %(unknown)s AS unknown
    FROM channels_channelstate WHERE channel_id = %(channel)s FOR UPDATE
), judged AS (
    SELECT *, (%(at_once)s OR errors >= %(max_errors)s OR unknown >= %(max_unknown)s) AS opens FROM fresh
)
UPDATE channels_channelstate s SET
    errors_in_row = j.errors,
    unknown_in_row = j.unknown,
    breaker = CASE WHEN j.opens THEN 'open' WHEN j.works THEN 'closed' ELSE s.breaker END,
    opened_at = CASE
        WHEN j.opens THEN coalesce(s.opened_at, clock_timestamp())
        WHEN j.works THEN NULL
        ELSE s.opened_at
    END,
    probe_at = CASE
        WHEN j.opens AND s.breaker = 'closed' THEN clock_timestamp() + %(probe)s
        WHEN j.works AND NOT j.opens THEN NULL
        ELSE s.probe_at
    END,
    trouble = CASE
        WHEN %(trouble)s <> '' THEN %(trouble)s
        WHEN j.unknown >= %(max_unknown)s THEN %(outage)s
        WHEN j.works THEN ''
        ELSE s.trouble
    END,
    last_error = CASE
        WHEN %(detail)s <> '' THEN %(detail)s
        WHEN j.works AND NOT j.opens THEN ''
        ELSE s.last_error
    END
FROM judged j
WHERE s.channel_id = j.channel_id
RETURNING j.was, s.breaker
"""


_SPOTLESS = """
SELECT 1 FROM channels_channelstate WHERE channel_id = %s AND breaker = 'closed' AND errors_in_row = 0
    AND unknown_in_row = 0 AND trouble = '' AND last_error = '' AND opened_at IS NULL AND probe_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM channels_refusalstreak r WHERE r.channel_id = %s AND r.source = 'answer')
"""


def note_results(
    channel_id: int,
    ok: int,
    trouble: FailureClass | None = None,
    detail: str = "",
    unknown: int = 0,
    errors: int = 1,
    stumbled: int = 0,
    taken: int = 0,
) -> bool:
    """Fold a batch of results into the channel's health; True when this batch opened the breaker (alert once).

    `ok`: calls the provider took, or refused for the recipient's or the message's sake: the account works. `taken`: how
    many of them it took, which ends a row of refusals.
    `trouble`: the account-level class met in the batch, `errors` how many of them; other classes are not the
    account's and are ignored here. `unknown`: calls without an answer; `stumbled`: calls that certainly did not work
    but may work later (5xx, connection refused). `detail`: the provider's words, already scrubbed of secrets.
    """
    account = trouble if trouble in ACCOUNT_TROUBLE else None
    unanswered = unknown + stumbled
    if not (ok or account or unanswered):
        return False
    parameters: dict[str, Any] = {
        "channel": channel_id,
        "ok": ok,
        "errors": errors if account else 0,
        "unknown": unanswered,
        "outage": (FailureClass.OUTCOME_UNKNOWN if unknown else FailureClass.TRANSIENT).value,
        "at_once": account is FailureClass.BALANCE,
        "trouble": account.value if account else "",
        "detail": detail[:500] if account or unanswered else "",
        "max_errors": ERRORS_TO_OPEN,
        "max_unknown": UNKNOWN_TO_OPEN,
        "probe": PROBE_EVERY,
        "everybody": EVERYBODY_REFUSED,
    }
    with connection.cursor() as cursor:
        if not (account or unanswered):
            # The ordinary batch, and nothing to forget: no write, no lock for the other workers to wait at.
            cursor.execute(_SPOTLESS, [channel_id, channel_id])
            if cursor.fetchone() is not None:
                return False
        if taken:
            end_streak(channel_id, RefusalStreak.Source.ANSWER)
        for _ in range(2):
            cursor.execute(_NOTE, parameters)
            row = cursor.fetchone()
            if row is not None:
                return bool(row[0] == "closed" and row[1] == "open")
            ChannelState.objects.get_or_create(channel_id=channel_id)
    raise AssertionError("a state row was made and is not there")


def closed_channels() -> dict[int, Reason]:
    """Channels nothing may be sent through now: ACCOUNT_TROUBLE (for cascade.State.closed_channels) or
    CHANNEL_DISABLED (unreachable, whatever the policy). One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, c.enabled FROM channels_channel c LEFT JOIN channels_channelstate s ON s.channel_id = c.id"
            " WHERE NOT c.enabled OR s.breaker = 'open'"
        )
        return {
            channel_id: Reason.ACCOUNT_TROUBLE if enabled else Reason.CHANNEL_DISABLED
            for channel_id, enabled in cursor.fetchall()
        }


def due_probe(channel_id: int) -> bool:
    """Half-open: True for exactly one caller a minute while the breaker is open. That caller may ask the account."""
    parameters: list[Any] = [PROBE_EVERY, channel_id]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE channels_channelstate s SET probe_at = clock_timestamp() + %s FROM channels_channel c"
            " WHERE s.channel_id = %s AND c.id = s.channel_id AND c.enabled AND s.breaker = 'open'"
            " AND (s.probe_at IS NULL OR s.probe_at <= clock_timestamp())",
            parameters,
        )
        return bool(cursor.rowcount)


def due_watch(channel_id: int) -> bool:
    """True for exactly one caller a minute while the breaker is closed: that caller asks whether the account is
    connected (Capabilities.takes_while_offline)."""
    parameters: list[Any] = [channel_id, WATCH_EVERY]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE channels_channelstate SET watched_at = clock_timestamp()"
            " WHERE channel_id = %s AND breaker = 'closed'"
            " AND (watched_at IS NULL OR watched_at <= clock_timestamp() - %s)",
            parameters,
        )
        return bool(cursor.rowcount)


def open_breaker(channel_id: int, trouble: FailureClass, detail: str) -> bool:
    """One word about the account itself is enough (logged out, tariff used up): no message has to prove it.

    True when the breaker was closed until now. `trouble` must be an account-level class.
    """
    return note_results(channel_id, 0, trouble, detail, errors=ERRORS_TO_OPEN)


def suspect(channel_id: int, detail: str) -> bool:
    """Everybody is refused here for one and the same reason: open the breaker. True when it was closed until now."""
    parameters: list[Any] = [EVERYBODY_REFUSED, detail[:500], TRIAL_EVERY, channel_id]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE channels_channelstate SET breaker = 'open', trouble = %s, last_error = %s,"
            " opened_at = coalesce(opened_at, clock_timestamp()), probe_at = clock_timestamp() + %s"
            " WHERE channel_id = %s AND breaker = 'closed'",
            parameters,
        )
        return bool(cursor.rowcount)


def end_streak(channel_id: int, source: str) -> None:
    """Something worked: the row of refusals is over, and so is the trouble that was made of it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM channels_refusalstreak WHERE channel_id = %s AND source = %s RETURNING systemic",
            [channel_id, str(source)],
        )
        ended = cursor.fetchone()
    if ended and ended[0] and ChannelState.objects.filter(pk=channel_id, trouble=EVERYBODY_REFUSED).exists():
        note_recovered(channel_id)


def is_vouched(channel_id: int) -> bool:
    """Whether the owner has said lately that this account is well."""
    return ChannelState.objects.filter(pk=channel_id, vouched_until__gt=Now()).exists()


def vouch(channel_id: int) -> None:
    """The owner has looked at the account: sending goes on, and what people answer is believed for a day."""
    RefusalStreak.objects.filter(channel_id=channel_id).delete()
    ChannelState.objects.filter(pk=channel_id).update(vouched_until=Now() + VOUCHED_FOR)
    note_recovered(channel_id)


def give_a_trial(channel_id: int) -> None:
    """Nobody has looked: let messages go, and believe the first of them. One more refusal of the same sort opens the
    breaker again."""
    RefusalStreak.objects.filter(channel_id=channel_id).update(systemic=False)
    note_recovered(channel_id)


def note_recovered(channel_id: int) -> None:
    """A check proved the account works: sending resumes at once instead of at the next probe."""
    ChannelState.objects.filter(channel_id=channel_id).update(
        breaker=ChannelState.Breaker.CLOSED,
        errors_in_row=0,
        unknown_in_row=0,
        trouble="",
        last_error="",
        opened_at=None,
        probe_at=None,
    )


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong and what to do, as English msgids."""

    what: str
    todo: str


#: FailureClass value -> words for the owner.
ADVICE: dict[str, Advice] = {
    FailureClass.AUTH.value: Advice(
        gettext_noop("The provider refuses this account."),
        gettext_noop("Check the token or the password, save, and press “Check the connection”."),
    ),
    FailureClass.BALANCE.value: Advice(
        gettext_noop("There is no money left on the account."),
        gettext_noop("Top it up at the provider. Sending resumes by itself within a minute after that."),
    ),
    EVERYBODY_REFUSED: Advice(
        gettext_noop("Suddenly everybody is refused here: that is the trouble of this account and not of the people."),
        gettext_noop(
            "Nobody was written off; messages wait or go on as their chains say. Look in the messenger and in the cabinet "
            "whether the account is blocked or restricted. If all is well there and these people really cannot be "
            "reached, press “Check the connection”: sending goes on, and refusals are believed for a day."
        ),
    ),
    FailureClass.OUTCOME_UNKNOWN.value: Advice(
        gettext_noop("The provider does not answer: nobody knows whether the last messages left."),
        gettext_noop("Usually this passes: the account is asked once a minute. If it goes on, ask the provider."),
    ),
    FailureClass.TRANSIENT.value: Advice(
        gettext_noop("The provider takes no messages now: its server is down or refuses everything."),
        gettext_noop("Usually this passes: the account is asked once a minute. If it goes on, ask the provider."),
    ),
}


def advice(state: ChannelState) -> Advice | None:
    """Words for an account in trouble; None for a healthy one."""
    if state.breaker != ChannelState.Breaker.OPEN:
        return None
    return ADVICE.get(state.trouble, ADVICE[FailureClass.OUTCOME_UNKNOWN.value])
