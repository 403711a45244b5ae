"""TX-result: what the answers mean, written down once.

Evidence goes onto its own attempt, guarded by its state; the delivery moves only under its fence. So a worker
that slept past its lease still adds what it knows, and steers nothing that somebody else has taken over (I1).
The whole transaction may be repeated after a lost commit: the second time it finds nothing left to do (C9).
"""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from django.db import IntegrityError, connection, transaction
from django.db.models import F

from campaigns.models import Campaign
from campaigns.services.lifecycle import pause
from cascade.actions import Wait
from cascade.backoff import poll_delay, retry_delay
from cascade.machine import settle
from cascade.streaks import USUAL, Told
from cascade.vocabulary import ACCOUNT_TROUBLE, ChargedOn, FailureClass, Milestone, Reason
from channels.models import RefusalStreak
from channels.providers.base import Accepted, SendResult
from channels.services.health import note_results
from contacts.models import Contact
from contacts.services.addresses import attach
from contacts.services.reachability import Learned, learn
from deliveries.models import TimelineEvent
from deliveries.services.codes import adopt
from deliveries.services.decisions import Line, database_now, load_attempts, write_lines
from deliveries.services.reports import REMEMBERED, resolve_unknown
from deliveries.services.send.calling import Outgoing
from deliveries.services.streaks import sift
from deliveries.snapshots import AttemptFacts, Surroundings, build_state, frozen_plan

#: Outcomes of an attempt that are certain not to have cost anything.
_FREE = frozenset(FailureClass) - {FailureClass.OUTCOME_UNKNOWN}
#: Refusals of one text in a row, without one acceptance, that pause its campaign.
REFUSALS_TO_PAUSE = 20


@dataclass(frozen=True, slots=True)
class Done:
    """One attempt whose call is over. `recalled`: the earlier message was really taken back on the way."""

    item: Outgoing
    result: SendResult
    recalled: bool = False
    #: The registration check said yes on the way: worth remembering.
    registered: bool = False


#: A receipt that overtook the answer has already said: it will not arrive.
_REFUSED = "a.failure NOT IN ('', 'outcome_unknown')"
#: A receipt that overtook the lost answer has already said: it was taken. Nobody need doubt it (R8).
_PROVED = "v.state = 'unknown' AND a.accepted_at IS NOT NULL"

_RECORD = f"""
UPDATE deliveries_attempt a SET
    state = CASE WHEN v.state = 'accepted' AND {_REFUSED} AND a.delivered_at IS NULL THEN 'failed'
                 WHEN {_PROVED} THEN 'accepted' ELSE v.state END,
    provider_message_id = v.provider_message_id, address = v.address,
    accepted_at = CASE WHEN v.state = 'accepted' THEN coalesce(a.accepted_at, now()) ELSE a.accepted_at END,
    sent_at = CASE WHEN v.sent THEN coalesce(a.sent_at, now()) ELSE a.sent_at END,
    failed_at = CASE WHEN {_REFUSED} OR v.state = 'accepted' THEN a.failed_at ELSE now() END,
    failure = CASE WHEN {_REFUSED} THEN a.failure WHEN {_PROVED} THEN '' ELSE v.failure END,
    reason = CASE WHEN {_REFUSED} THEN a.reason ELSE v.reason END,
    detail = v.detail,
    retry_at = v.retry_at,
    price = coalesce(v.cost, a.price),
    cost = CASE WHEN a.cost IS NULL AND v.state = 'accepted' AND a.charged_on = 'accepted'
                THEN coalesce(v.cost, a.price) ELSE a.cost END,
    next_poll_at = v.next_poll_at
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bool[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
            %s::numeric[], %s::timestamptz[], %s::text[])
    AS v(id, state, provider_message_id, sent, failure, reason, detail, retry_at, cost, next_poll_at, address)
WHERE a.id = v.id AND a.state IN ('calling', 'unknown')
RETURNING {", ".join("a." + name for name in AttemptFacts._fields)}
"""  # noqa: S608 - constant columns

#: `lease_until IS NOT NULL` is how delivery_never_forgotten spells "leased" without offering the planner the index of
#: leases, where every batch of this campaign has left its dead rows (measured: 2,300 looked at to find 64).
#: A stop that was stored during the call was not seen by the question: it is folded in at once (R10).
_RELEASE = """
UPDATE deliveries_delivery d SET
    state = 'waiting', lease_until = NULL, channel_id = NULL,
    due_at = CASE WHEN d.stop_reason = '' THEN v.due_at ELSE now() END,
    wait_reason = CASE WHEN d.stop_reason = '' THEN v.wait_reason ELSE '' END,
    has_unknown = d.has_unknown OR v.unknown
FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[], %s::text[], %s::bool[])
    AS v(id, fence, due_at, wait_reason, unknown)
WHERE d.id = v.id AND d.fence = v.fence AND d.lease_until IS NOT NULL
RETURNING d.id, d.due_at <= now()
"""


def record(done: Sequence[Done]) -> int:
    """Write these results in one transaction, then tell the channels' health and pace.

    Returns how many deliveries are due again at once (so that the caller can wake advance). Raises what the
    database raises; calling it again with the same results is always right.
    """
    if not done:
        return 0
    _keep_codes(done)
    done = _not_everybody(done)
    ids = _provider_ids(done)
    try:
        with transaction.atomic():
            due_now = _record(done, ids)
    except IntegrityError:
        # The provider gave one id to two messages (P15): both keep their evidence, matched by our own reference.
        with transaction.atomic():
            due_now = _record(done, _without_repeated(done, ids))
    _keep_addresses(done)
    _tell_channels(done)
    _tell_campaigns(done)
    return due_now


def _keep_codes(done: Sequence[Done]) -> None:
    """Remember the digits that providers have chosen. Before anything else and in transactions of their own: the person
    may type them now, and who enters a code locks it before the attempts."""
    for one in done:
        if isinstance(one.result, Accepted) and one.result.code:
            adopt(one.item.row.id, one.result.code)


def _not_everybody(done: Sequence[Done]) -> Sequence[Done]:
    """The same results, where a refusal that suddenly everybody gives is the account's and not the person's (R4)."""
    if not any(_refuses(one) for one in done):
        return done
    by_channel: dict[int, list[Told]] = defaultdict(list)
    details: dict[int, str] = {}
    for one in done:
        if isinstance(one.result, Accepted) or _refuses(one):
            reason = None if isinstance(one.result, Accepted) else one.result.reason
            person = one.item.row.contact_id or 0
            by_channel[one.item.terms.channel_id].append(Told(one.item.attempt_id, person, reason))
            details[one.item.attempt_id] = "" if isinstance(one.result, Accepted) else one.result.detail
    of_account: set[int] = set()
    for channel_id, told in sorted(by_channel.items()):
        of_account |= sift(channel_id, RefusalStreak.Source.ANSWER, told, details)
    if not of_account:
        return done
    return [_held_against_account(one) if one.item.attempt_id in of_account else one for one in done]


def _refuses(one: Done) -> bool:
    result = one.result
    return (
        not isinstance(result, Accepted)
        and result.failure is FailureClass.RECIPIENT_PERMANENT
        and result.reason in USUAL
        and one.item.row.contact_id is not None
    )


def _held_against_account(one: Done) -> Done:
    assert not isinstance(one.result, Accepted)  # noqa: S101 - only refusals are in a streak
    refused = replace(one.result, failure=FailureClass.AUTH, reason=Reason.EVERYBODY_REFUSED, retry_after=None)
    return replace(one, result=refused)


def _keep_addresses(done: Sequence[Done]) -> None:
    """Remember the ids that were found for phones. In transactions of their own (the stop-list's lock comes first in
    each): losing one costs one question more."""
    for one in done:
        contact_id = one.item.row.contact_id
        if one.item.found_for and contact_id is not None:
            with contextlib.suppress(Contact.DoesNotExist):
                attach(contact_id, one.item.terms.channel_id, one.item.message.address, found_for=one.item.found_for)


def _record(done: Sequence[Done], provider_ids: Sequence[str]) -> int:
    now = database_now()
    facts = _update_attempts(done, provider_ids, now)
    due_now = _release(done, facts, now)
    _put_on_desk([one for one in done if one.item.terms.by_person and one.item.attempt_id in facts])
    _book_budgets([one for one in done if one.item.attempt_id in facts])
    _remember(done, now)
    return due_now


_DESK = """
INSERT INTO deliveries_operatortask (delivery_id, step, channel_id, contact_id, client_ref, address, text, state, due_at,
    created_at, postponed, outcome, note, withdrawn_because)
SELECT d.id, v.step, v.channel_id, d.contact_id, v.ref, v.address, v.text, 'open', now() + v.due, now(), 0, '', '', ''
FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::interval[])
    AS v(delivery_id, step, channel_id, ref, address, text, due)
JOIN deliveries_delivery d ON d.id = v.delivery_id
WHERE d.state <> 'final' AND d.step = v.step ORDER BY d.id FOR UPDATE OF d
ON CONFLICT (delivery_id, step) DO NOTHING
"""


def _put_on_desk(done: Sequence[Done]) -> None:
    """Write the operators' tasks together with the results that say they were taken: one fact, one transaction.

    A delivery has one task for a step, whatever is tried again or recorded twice (I1); who comes after the delivery has
    moved on puts nothing there any more.
    """
    taken = [one for one in done if isinstance(one.result, Accepted)]
    if not taken:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _DESK,
            [
                [one.item.row.id for one in taken],
                [one.item.row.step for one in taken],
                [one.item.terms.channel_id for one in taken],
                [one.item.message.ref for one in taken],
                [one.item.message.address for one in taken],
                [one.item.message.text for one in taken],
                [one.item.terms.due or timedelta(hours=1) for one in taken],
            ],
        )


def _provider_ids(done: Sequence[Done]) -> list[str]:
    return [one.result.provider_message_id[:200] if isinstance(one.result, Accepted) else "" for one in done]


def _without_repeated(done: Sequence[Done], ids: Sequence[str]) -> list[str]:
    keys = [(one.item.terms.channel_id, ident, one.item.message.address) for one, ident in zip(done, ids, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.channel_id, a.provider_message_id, a.address FROM deliveries_attempt a"
            " JOIN unnest(%s::bigint[], %s::text[], %s::text[]) AS v(channel_id, ident, address)"
            " ON a.channel_id = v.channel_id AND a.provider_message_id = v.ident AND a.address = v.address",
            [[key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys]],
        )
        seen = set(cursor.fetchall())
    kept = []
    for key in keys:
        kept.append("" if key in seen else key[1])
        seen.add(key)
    return kept


def _update_attempts(done: Sequence[Done], ids: Sequence[str], now: datetime) -> dict[int, AttemptFacts]:
    states, sent, failures, reasons, details, retries, costs, polls = [], [], [], [], [], [], [], []
    for one in done:
        result = one.result
        retry_at = poll_at = None
        cost: Decimal | None = None
        if isinstance(result, Accepted):
            states.append("accepted")
            sent.append(result.milestone is not Milestone.ACCEPTED)
            failures.append("")
            reasons.append("")
            details.append("")
            cost = result.cost
            if one.item.terms.can_poll:
                poll_at = now + _first_poll(one.item)
        else:
            unknown = result.failure is FailureClass.OUTCOME_UNKNOWN
            states.append("unknown" if unknown else "failed")
            sent.append(False)
            failures.append(str(result.failure))
            reasons.append(str(result.reason or ""))
            details.append(result.detail[:500])
            if unknown and one.item.terms.can_poll and one.item.terms.lookup_by_ref:
                poll_at = now + _first_poll(one.item)
            retry_at = now + retry_delay(one.item.try_no, random.random(), result.retry_after)
        retries.append(retry_at)
        costs.append(cost)
        polls.append(poll_at)
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            [
                [one.item.attempt_id for one in done],
                states,
                list(ids),
                sent,
                failures,
                reasons,
                details,
                retries,
                costs,
                polls,
                [one.item.message.address for one in done],
            ],
        )
        return {row[0]: AttemptFacts._make(row) for row in cursor.fetchall()}


def _first_poll(item: Outgoing) -> timedelta:
    """A third of the step's wait, so that a short step is asked about before it runs out."""
    step = frozen_plan(*item.row.walk).plan.steps[item.row.step]
    wait = step.expectations[0].within if step.expectations else step.wait
    return min(wait / 3, poll_delay(0, random.random()))


def _release(done: Sequence[Done], facts: dict[int, AttemptFacts], now: datetime) -> int:
    """Put the deliveries back to waiting: until the core has something to say, which it is asked here.

    Only its Wait is taken: a decision (the next step, the end) is made by advance, which reads everything a
    decision needs. Here surroundings are left out; an answer that is too early only asks once more.
    """
    older = [one.item.row.id for one in done if one.item.row.step > 0 or one.item.try_no > 1]
    before = load_attempts(older) if older else {}
    ids, fences, due, waits, unknown = [], [], [], [], []
    for one in done:
        row = one.item.row
        fact = facts.get(one.item.attempt_id)
        moment, reason = now, ""
        if fact is not None:
            frozen = frozen_plan(*row.walk)
            around = Surroundings({}, frozenset(), one.item.zone, ())
            state = build_state(frozen, row, before.get(row.id) or [fact], around)
            _, actions = settle(frozen.plan, state, now)
            if isinstance(actions[0], Wait):
                moment, reason = actions[0].until, str(actions[0].because)
        ids.append(row.id)
        fences.append(row.fence)
        due.append(moment)
        waits.append(reason)
        unknown.append(fact is not None and fact.state == "unknown")
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, [ids, fences, due, waits, unknown])
        moved = dict(cursor.fetchall())
        zombies = [one.item.row.id for one in done if one.item.row.id not in moved]
        if zombies:
            # Somebody else has the delivery now; new evidence is a reason to look at it again, no more.
            cursor.execute(
                "UPDATE deliveries_delivery SET due_at = now() WHERE id = ANY(%s::bigint[]) AND state = 'waiting'",
                [zombies],
            )
            resolve_unknown(zombies)
    return sum(moved.values()) + len(zombies)


def _book_budgets(done: Sequence[Done]) -> None:
    """Turn reservations into money spent, or give them back where certainly nothing left (I9)."""
    moves: dict[int, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for one in done:
        row = one.item.row
        if row.campaign_id is None or not frozen_plan(*row.walk).has_budget:
            continue
        if isinstance(one.result, Accepted):
            if one.item.terms.charged_on is ChargedOn.ACCEPTED:
                moves[row.campaign_id][0] += one.item.price
                moves[row.campaign_id][1] += one.result.cost if one.result.cost is not None else one.item.price
        elif one.result.failure in _FREE:
            moves[row.campaign_id][0] += one.item.price
    with connection.cursor() as cursor:
        for campaign_id, (freed, spent) in sorted(moves.items()):
            cursor.execute(
                "UPDATE campaigns_campaignspend SET reserved = reserved - %s, spent = spent + %s WHERE campaign_id = %s",
                [freed, spent, campaign_id],
            )


def _remember(done: Sequence[Done], now: datetime) -> None:
    """What the answers taught about addresses, and what was taken back."""
    learned, recalled, lines = [], [], []
    for one in done:
        contact_id, channel_id = one.item.row.contact_id, one.item.terms.channel_id
        address, result = one.item.message.address, one.result
        if contact_id is not None:
            if not isinstance(result, Accepted) and result.failure is FailureClass.RECIPIENT_PERMANENT:
                state = REMEMBERED.get(result.reason) if result.reason else None
                if state is not None:
                    learned.append(Learned(contact_id, channel_id, address, state, "send"))
            elif one.registered:
                learned.append(Learned(contact_id, channel_id, address, "reachable", "check"))
        if one.recalled and one.item.recall is not None:
            recalled.append(one.item.recall[1].ref)
            lines.append(Line(one.item.row.id, TimelineEvent.Kind.RECALLED, None, Reason.PREVIOUS_STEP_LEFT))
    if learned:
        learn(learned)
    if recalled:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE deliveries_attempt SET recalled_at = now(), next_poll_at = NULL WHERE client_ref = ANY(%s)",
                [recalled],
            )
        write_lines(lines)


def _tell_channels(done: Sequence[Done]) -> None:
    """Health of each channel, after the commit: losing this costs one batch of statistics."""
    by_channel = sorted(done, key=lambda one: one.item.terms.channel_id)
    for channel_id, group in groupby(by_channel, key=lambda one: one.item.terms.channel_id):
        # What everybody refuses has been told already (deliveries.services.streaks).
        batch = [one for one in group if not _is_suspected(one)]
        if not batch:
            continue
        failed = [one.result for one in batch if not isinstance(one.result, Accepted)]
        trouble = [result for result in failed if result.failure in ACCOUNT_TROUBLE]
        unknown = [result for result in failed if result.failure is FailureClass.OUTCOME_UNKNOWN]
        limited = [result for result in failed if result.failure is FailureClass.RATE_LIMITED]
        stumbled = [result for result in failed if result.failure is FailureClass.TRANSIENT]
        works = len(batch) - len(trouble) - len(unknown) - len(limited) - len(stumbled)
        worst = next((group[-1] for group in (trouble, unknown, stumbled) if group), None)
        note_results(
            channel_id,
            works,
            worst.failure if worst else None,
            worst.detail if worst else "",
            len(unknown),
            errors=max(1, len(trouble)),
            stumbled=len(stumbled),
            taken=len(batch) - len(failed),
        )


def _is_suspected(one: Done) -> bool:
    return not isinstance(one.result, Accepted) and one.result.reason is Reason.EVERYBODY_REFUSED


def _tell_campaigns(done: Sequence[Done]) -> None:
    """A text that a provider refuses again and again pauses its campaign before it burns the whole list."""
    refused: dict[int, int] = defaultdict(int)
    accepted: set[int] = set()
    for one in done:
        campaign_id = one.item.row.campaign_id
        if campaign_id is None:
            continue
        if isinstance(one.result, Accepted):
            accepted.add(campaign_id)
        elif one.result.failure is FailureClass.MESSAGE_PERMANENT:
            refused[campaign_id] += 1
    if accepted:
        Campaign.objects.filter(pk__in=accepted, message_refusals__gt=0).update(message_refusals=0)
    for campaign_id, count in refused.items():
        if campaign_id in accepted:
            continue
        Campaign.objects.filter(pk=campaign_id).update(message_refusals=F("message_refusals") + count)
        if Campaign.objects.filter(pk=campaign_id, message_refusals__gte=REFUSALS_TO_PAUSE).exists():
            pause(campaign_id, reason="message_refused")
