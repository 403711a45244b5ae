"""Fold status reports into attempts, in sets. Used by receipts (callbacks) and polling (answers) alike.

Milestones only rise (R5): each column takes the earliest moment it was told of, so order and repetition of
reports do not matter. Money is booked when the charging milestone comes, once (section 4a, I9).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from cascade.streaks import USUAL, Told
from cascade.vocabulary import ACCOUNT_TROUBLE, IMPLIES, RANK, FailureClass, Milestone, Outcome, Reason
from channels.models import RefusalStreak
from channels.providers.base import StatusReport
from channels.services.health import end_streak, note_results, open_breaker
from contacts.models import Reachability
from contacts.services.reachability import Learned, learn
from deliveries.models import Attempt, HookKind, TimelineEvent
from deliveries.services.decisions import Line, load_attempts, write_lines
from deliveries.services.outbox import announce
from deliveries.services.streaks import sift
from deliveries.snapshots import MILESTONE_COLUMNS, FrozenPlan, frozen_plan

#: Refusals that will be the same next time (R4). Other permanent ones are about this message to this person (a cap of
#: the messenger's own, a switched-off phone) and write nobody off.
REMEMBERED = {
    Reason.NOT_REGISTERED: Reachability.State.NOT_REGISTERED,
    Reason.BLOCKED: Reachability.State.BLOCKED,
}


@dataclass(slots=True)
class News:
    """All that a batch of reports says about one attempt."""

    moments: dict[Milestone, datetime] = field(default_factory=dict)
    failure: FailureClass | None = None
    reason: Reason | None = None
    detail: str = ""
    failed_at: datetime | None = None
    cost: Decimal | None = None
    #: Somebody who should know says that nobody does: words for people.
    lost: str = ""

    def add(self, report: StatusReport, received_at: datetime) -> None:
        """Fold one report in. A provider's clock that runs ahead of ours is clamped to the moment of receipt: a
        milestone of tomorrow would stop the step's clock until then."""
        at = min(report.at, received_at) if report.at is not None else received_at
        if report.cost is not None:
            self.cost = report.cost
        if report.milestone is not None:
            for milestone in (*IMPLIES[report.milestone], report.milestone):
                known = self.moments.get(milestone)
                self.moments[milestone] = at if known is None else min(known, at)
        elif report.failure is FailureClass.OUTCOME_UNKNOWN:
            self.lost = report.detail or report.raw
        elif report.failure is not None:
            self.failure, self.reason, self.detail, self.failed_at = report.failure, report.reason, report.detail, at


def tell_health(channel_id: int, told: Sequence[StatusReport]) -> None:
    """Receipts, too, tell of trouble with the account (logged out, suspended, test mode): never the people's fault (I27)."""
    trouble = [report for report in told if report.failure in ACCOUNT_TROUBLE]
    if not trouble:
        return
    newest = trouble[-1]
    if any(report.of_account for report in trouble):
        open_breaker(channel_id, FailureClass(newest.failure or ""), newest.detail)
    else:
        note_results(channel_id, 0, newest.failure, newest.detail, errors=len(trouble))


def believe(channel_id: int, news: dict[int, News]) -> None:
    """Turn refusals that suddenly everybody gives into the account's trouble, in place; before apply().

    `news`: what one channel's reports say, by attempt, in the order they came.
    """
    told, details = [], {}
    people: dict[int, int | None] = {}
    if any(_refuses(one) for one in news.values()):
        people = dict(Attempt.objects.filter(pk__in=news).values_list("pk", "delivery__contact_id"))
    arrived = False
    for attempt_id, one in news.items():
        if Milestone.DELIVERED in one.moments:
            arrived = True
            told.append(Told(attempt_id, 0, None))
        elif _refuses(one) and people.get(attempt_id) is not None:
            told.append(Told(attempt_id, people[attempt_id] or 0, one.reason))
            details[attempt_id] = one.detail
    if details:
        for attempt_id in sift(channel_id, RefusalStreak.Source.RECEIPT, told, details):
            news[attempt_id].failure, news[attempt_id].reason = FailureClass.AUTH, Reason.EVERYBODY_REFUSED
    elif arrived:
        end_streak(channel_id, RefusalStreak.Source.RECEIPT)


def _refuses(news: News) -> bool:
    permanent = news.failure is FailureClass.RECIPIENT_PERMANENT
    return permanent and news.reason in USUAL and Milestone.DELIVERED not in news.moments


def is_unknown_word(report: StatusReport) -> bool:
    """A status word no page of the provider names. Said to the owner's log: his adapter is older than the wire."""
    return report.milestone is None and report.failure is None and report.cost is None


def match(channel_id: int, reports: Sequence[StatusReport]) -> dict[int, int]:
    """Find the attempts of one channel's reports: index in `reports` -> attempt id.

    Our own reference first, then the provider's id (with the address, where ids are shared or chat-local). A report
    of another channel's message is not matched: an account can only speak of its own.
    """
    found: dict[int, int] = {}
    refs = [report.ref for report in reports if report.ref]
    idents = [report.provider_message_id for report in reports if report.provider_message_id]
    with connection.cursor() as cursor:
        by_ref: dict[str, int] = {}
        if refs:
            cursor.execute(
                "SELECT client_ref, id FROM deliveries_attempt WHERE client_ref = ANY(%s) AND channel_id = %s",
                [refs, channel_id],
            )
            by_ref = dict(cursor.fetchall())
        by_ident: dict[str, list[tuple[str, int]]] = defaultdict(list)
        if idents:
            cursor.execute(
                "SELECT provider_message_id, address, id FROM deliveries_attempt"
                " WHERE channel_id = %s AND provider_message_id = ANY(%s) AND provider_message_id <> ''",
                [channel_id, idents],
            )
            for ident, address, attempt_id in cursor.fetchall():
                by_ident[ident].append((address, attempt_id))
    for index, report in enumerate(reports):
        attempt_id = by_ref.get(report.ref) if report.ref else None
        if attempt_id is None and report.provider_message_id:
            attempt_id = _by_address(by_ident.get(report.provider_message_id, []), report.address)
        if attempt_id is not None:
            found[index] = attempt_id
    return found | _by_moment(channel_id, {i: one for i, one in enumerate(reports) if i not in found})


#: The provider's clock and ours, and the time a call waits for a free line.
_BY_MOMENT = """
SELECT DISTINCT ON (v.index) v.index, a.id
FROM unnest(%s::int[], %s::text[], %s::timestamptz[]) AS v(index, address, began)
JOIN deliveries_attempt a ON a.channel_id = %s AND a.address = v.address
    AND a.called_at BETWEEN v.began - interval '10 minutes' AND v.began + interval '2 minutes'
ORDER BY v.index, abs(extract(epoch FROM a.called_at - v.began)), a.id
"""


def _by_moment(channel_id: int, reports: Mapping[int, StatusReport]) -> dict[int, int]:
    """Find the attempts of reports that name only whom and when (StatusReport.began): the one called nearest to it."""
    told = {
        index: (one.address, one.began)
        for index, one in reports.items()
        if one.began is not None and one.address and not (one.ref or one.provider_message_id)
    }
    if not told:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _BY_MOMENT,
            [list(told), [address for address, _ in told.values()], [began for _, began in told.values()], channel_id],
        )
        return dict(cursor.fetchall())


_ADOPT = """
WITH told AS (
    SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::timestamptz[]) AS v(index, ident, address, at)
), candidates AS (
    SELECT t.index, t.ident, min(a.id) AS id FROM told t JOIN deliveries_attempt a
        ON a.channel_id = %s AND a.state = 'unknown' AND a.provider_message_id = '' AND a.address = t.address
        AND a.called_at BETWEEN t.at - interval '1 day' AND t.at
    WHERE NOT EXISTS (SELECT 1 FROM channels_channel c JOIN deliveries_attempt o
        ON o.channel_id = c.id AND o.provider_message_id = t.ident)
    AND NOT EXISTS (SELECT 1 FROM deliveries_attempt o
        WHERE o.state = 'calling' AND o.channel_id = a.channel_id AND o.address = t.address)
    GROUP BY t.index, t.ident HAVING count(*) = 1
), named AS (
    UPDATE deliveries_attempt a SET provider_message_id = c.ident
    FROM (SELECT DISTINCT ON (id) id, ident FROM candidates ORDER BY id, index) c
    WHERE a.id = c.id AND a.provider_message_id = '' RETURNING a.id, a.provider_message_id
)
SELECT c.index, c.id FROM candidates c JOIN named n ON n.id = c.id AND n.provider_message_id = c.ident
"""


def adopt(channel_id: int, reports: Mapping[int, StatusReport], received_at: Mapping[int, datetime]) -> dict[int, int]:
    """Receipts of messages we have no id of, because the answer that would have named it was lost (C5).

    A receipt whose id nobody knows (no other channel either: two may share an account), for an address to which
    exactly one message of this channel is in doubt since at most a day, and none is being sent (whose answer the
    receipt may have overtaken, I11), is about that message: it takes the id, and so its outcome is known and nothing
    is sent in its place. One that carries a reference of ours needs no guess. The price: a message of another system
    through the same account, to the same person, on such a day, is taken for ours. Arguments and result are keyed by
    the caller's index; returns index -> attempt id.
    """
    told = {index: one for index, one in reports.items() if one.provider_message_id and one.address and not one.ref}
    if not told:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _ADOPT,
            [
                list(told),
                [one.provider_message_id for one in told.values()],
                [one.address for one in told.values()],
                [received_at[index] for index in told],
                channel_id,
            ],
        )
        return dict(cursor.fetchall())


def _by_address(candidates: Sequence[tuple[str, int]], address: str) -> int | None:
    if len(candidates) == 1:
        return candidates[0][1]
    digits = _digits(address)
    same = [attempt_id for known, attempt_id in candidates if digits and _digits(known) == digits]
    return same[0] if len(same) == 1 else None


def _digits(address: str) -> str:
    return "".join(c for c in address if c.isdigit()) or address


_LOCK = """
SELECT a.id, a.delivery_id, a.step, a.channel_id, a.address, a.cost, a.delivered_at, a.read_at, d.plan_id, d.lead, d.campaign_id, d.contact_id,
       d.step AS delivery_step, d.state, d.outcome, a.state = 'unknown' AS was_unknown
FROM deliveries_attempt a JOIN deliveries_delivery d ON d.id = a.delivery_id
WHERE a.id = ANY(%s::bigint[]) ORDER BY a.id FOR UPDATE OF a
"""

_POSITIVE = ", ".join(f"v.{column}" for column in MILESTONE_COLUMNS.values())
#: Some milestone is in the news. “No such message yet” is none: it settles no doubt (R8).
_TOLD = f"coalesce({_POSITIVE}) IS NOT NULL"
_APPLY = f"""
UPDATE deliveries_attempt a SET
    {", ".join(f"{column} = least(a.{column}, v.{column})" for column in MILESTONE_COLUMNS.values())},
    state = CASE
        WHEN a.state = 'calling' THEN 'calling'
        WHEN v.failure <> '' AND least(a.delivered_at, v.delivered_at) IS NULL THEN 'failed'
        WHEN v.failure = '' AND (a.state = 'unknown' AND {_TOLD} OR v.delivered_at IS NOT NULL) THEN 'accepted'
        ELSE a.state END,
    failed_at = CASE WHEN v.failure <> '' AND a.failure IN ('', 'outcome_unknown') THEN v.failed_at ELSE a.failed_at END,
    retry_at = CASE WHEN v.failure <> '' AND a.failure IN ('', 'outcome_unknown') THEN NULL ELSE a.retry_at END,
    reason = CASE WHEN v.failure <> '' AND a.failure IN ('', 'outcome_unknown') THEN v.reason ELSE a.reason END,
    detail = CASE WHEN v.detail <> '' AND a.failure IN ('', 'outcome_unknown') THEN v.detail ELSE a.detail END,
    failure = CASE
        WHEN v.failure <> '' AND a.failure IN ('', 'outcome_unknown') THEN v.failure
        WHEN v.failure = '' AND a.failure = 'outcome_unknown' AND {_TOLD} THEN ''
        ELSE a.failure END,
    cost = CASE
        WHEN v.cost IS NOT NULL THEN v.cost
        WHEN a.cost IS NULL AND (a.charged_on = 'accepted' AND {_TOLD}
            OR a.charged_on = 'delivered' AND v.delivered_at IS NOT NULL
            OR a.charged_on = 'read' AND v.read_at IS NOT NULL) THEN a.price
        ELSE a.cost END,
    next_poll_at = CASE WHEN v.enough THEN NULL ELSE a.next_poll_at END
FROM unnest(%s::bigint[], {"%s::timestamptz[], " * len(MILESTONE_COLUMNS)}
            %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::numeric[], %s::bool[])
    AS v(id, {", ".join(MILESTONE_COLUMNS.values())}, failure, reason, detail, failed_at, cost, enough)
WHERE a.id = v.id
RETURNING a.id, a.cost, a.price
"""  # noqa: S608 - constant columns

_WAKE = """
UPDATE deliveries_delivery SET state = 'waiting', due_at = now(), channel_id = NULL
WHERE id = ANY(%s::bigint[]) AND state IN ('waiting', 'ready')
"""
#: The outcome nobody knew is known now: the delivery is not among the doubtful ones any more.
_RESOLVE = """
UPDATE deliveries_delivery d SET has_unknown = false
WHERE d.id = ANY(%s::bigint[]) AND d.has_unknown AND NOT EXISTS (
    SELECT 1 FROM deliveries_attempt a WHERE a.delivery_id = d.id AND a.state = 'unknown')
"""
#: Ends without a success: that a message arrived after all makes them one (4a), as it would have done had it been told
#: in time (I10).
_GIVEN_UP = frozenset({Outcome.EXHAUSTED.value, Outcome.EXPIRED.value})
_UPGRADE = """
UPDATE deliveries_delivery SET outcome = 'reached', outcome_step = %s, outcome_milestone = %s,
    outcome_reason = 'late_receipt'
WHERE id = %s AND state = 'final' AND outcome IN ('exhausted', 'expired')
"""


@dataclass(frozen=True, slots=True)
class _Known:
    """An attempt as it was before the news, with what its delivery adds."""

    id: int
    delivery_id: int
    step: int
    channel_id: int
    address: str
    cost: Decimal | None
    delivered_at: datetime | None
    read_at: datetime | None
    plan_id: int
    lead: int | None
    campaign_id: int | None
    contact_id: int | None
    delivery_step: int
    delivery_state: str
    outcome: str
    was_unknown: bool


def apply(news: dict[int, News]) -> int:
    """Write what is new about these attempts and wake their deliveries, inside the caller's transaction.

    `news`: attempt id -> News. Returns how many deliveries were touched. Side effects: milestones, failure, money,
    reachability, timeline of late receipts, due now. Repeating it changes nothing.
    """
    if not news:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [list(news)])
        known = {row[0]: _Known(*row) for row in cursor.fetchall()}
        if not known:
            return 0
        cursor.execute(_APPLY, _parameters(news, known))
        booked = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
        deliveries = sorted({one.delivery_id for one in known.values()})
        cursor.execute(_WAKE, [deliveries])
    resolved = sorted({one.delivery_id for one in known.values() if one.was_unknown})
    resolve_unknown(resolved)
    _doubt({attempt_id: one.lost for attempt_id, one in news.items() if one.lost})
    _book_budgets(known.values(), booked)
    _note_late(news, known)
    _learn(news, known.values())
    return len(deliveries)


#: Taken, and then lost from sight: as much in doubt as one whose answer was lost. What is known already stays known.
_LOST = """
WITH lost AS (
    UPDATE deliveries_attempt a SET state = 'unknown', failure = 'outcome_unknown', failed_at = now(), detail = v.detail
    FROM unnest(%s::bigint[], %s::text[]) AS v(id, detail)
    WHERE a.id = v.id AND a.state = 'accepted' AND a.failure = '' AND a.delivered_at IS NULL RETURNING a.delivery_id
)
UPDATE deliveries_delivery SET has_unknown = true WHERE id IN (SELECT delivery_id FROM lost)
"""


def _doubt(lost: Mapping[int, str]) -> None:
    """What became of these nobody will tell any more (R8): their steps wait their time, and the deliveries are listed."""
    if lost:
        with connection.cursor() as cursor:
            cursor.execute(_LOST, [list(lost), [detail[:500] for detail in lost.values()]])


def resolve_unknown(delivery_ids: Sequence[int]) -> None:
    """Take these off the list of doubtful deliveries where no attempt is unknown any more."""
    if delivery_ids:
        with connection.cursor() as cursor:
            cursor.execute(_RESOLVE, [list(delivery_ids)])


def _parameters(news: dict[int, News], known: dict[int, _Known]) -> list[Any]:
    ids = list(known)
    columns: list[Any] = [ids]
    columns += [[news[i].moments.get(milestone) for i in ids] for milestone in MILESTONE_COLUMNS]
    columns.append([str(news[i].failure or "") for i in ids])
    columns.append([str(news[i].reason or "") for i in ids])
    columns.append([news[i].detail[:500] for i in ids])
    columns.append([news[i].failed_at for i in ids])
    columns.append([news[i].cost for i in ids])
    columns.append([_enough(news[i], known[i]) for i in ids])
    return columns


def _enough(news: News, known: _Known) -> bool:
    """Nothing more needs to be asked about this attempt: it failed, or has what its step waits for."""
    if news.failure is not None:
        return True
    last = _last_milestone(frozen_plan(known.plan_id, known.lead), known.step)
    return any(RANK[milestone] >= RANK[last] for milestone in news.moments)


def _last_milestone(frozen: FrozenPlan, step: int) -> Milestone:
    expectations = frozen.plan.steps[step].expectations
    return expectations[-1].milestone if expectations else Milestone.DELIVERED


def _book_budgets(known: Iterable[_Known], booked: dict[int, tuple[Decimal | None, Decimal]]) -> None:
    """Move newly booked money from reserved to spent, and corrections onto spent (P19)."""
    moves: dict[int, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for one in known:
        cost, price = booked[one.id]
        if (
            cost is None
            or cost == one.cost
            or one.campaign_id is None
            or not frozen_plan(one.plan_id, one.lead).has_budget
        ):
            continue
        if one.cost is None and one.delivery_state != "final":
            moves[one.campaign_id][0] += price
        moves[one.campaign_id][1] += cost - (one.cost or Decimal(0))
    with connection.cursor() as cursor:
        for campaign_id, (freed, spent) in sorted(moves.items()):
            cursor.execute(
                "UPDATE campaigns_campaignspend SET reserved = reserved - %s, spent = spent + %s WHERE campaign_id = %s",
                [freed, spent, campaign_id],
            )


def _note_late(news: dict[int, News], known: dict[int, _Known]) -> None:
    """R6, P10: a message that turned out delivered after the walk went past it.

    The timeline says so; a delivery that had given up is `reached` after all (4a); and if a later step has gone
    out meanwhile, the person got it twice: counted, with both costs.
    """
    late = [
        one
        for one in known.values()
        if Milestone.DELIVERED in news[one.id].moments
        and one.delivered_at is None
        and (one.step < one.delivery_step or one.delivery_state == "final")
    ]
    lines = []
    with connection.cursor() as cursor:
        for one in late:
            best = max(news[one.id].moments, key=RANK.__getitem__)
            if one.step < one.delivery_step or one.outcome in _GIVEN_UP:
                lines.append(
                    Line(one.delivery_id, TimelineEvent.Kind.LATE, one.step, Reason.LATE_RECEIPT, {"milestone": best})
                )
            if one.outcome in _GIVEN_UP:
                cursor.execute(_UPGRADE, [one.step, str(best), one.delivery_id])
                announce(HookKind.FINISHED, [one.delivery_id])
    write_lines(lines)
    _flag_doubles([one for one in known.values() if one.step < one.delivery_step])


def _flag_doubles(earlier: Sequence[_Known]) -> None:
    if not earlier:
        return
    attempts = load_attempts(sorted({one.delivery_id for one in earlier}))
    doubles = []
    for one in earlier:
        frozen = frozen_plan(one.plan_id, one.lead)
        mine = attempts[one.delivery_id]
        met = any(a.step == one.step and _moment(a, _last_milestone(frozen, a.step)) is not None for a in mine)
        gone = any(a.step > one.step and a.state in ("calling", "accepted", "unknown") for a in mine)
        if met and gone:
            doubles.append(one.delivery_id)
    if doubles:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE deliveries_delivery SET is_double = true WHERE id = ANY(%s::bigint[])", [doubles])


def _moment(attempt: object, milestone: Milestone) -> datetime | None:
    moment: datetime | None = getattr(attempt, MILESTONE_COLUMNS[milestone])
    return moment


def _learn(news: dict[int, News], known: Iterable[_Known]) -> None:
    """A receipt that says “nobody by this address” is worth remembering (R4); a delivered one too."""
    learned = []
    for one in known:
        if one.contact_id is None:
            continue
        told = news[one.id]
        if told.failure is FailureClass.RECIPIENT_PERMANENT and Milestone.DELIVERED not in told.moments:
            state = REMEMBERED.get(told.reason) if told.reason else None
            if state is not None:
                learned.append(Learned(one.contact_id, one.channel_id, one.address, state, "callback"))
    if learned:
        learn(learned)


def raise_milestone(attempt_id: int, milestone: Milestone, at: datetime) -> None:
    """One milestone we saw ourselves (a click, a reply), as if a provider had reported it."""
    news = News()
    news.add(StatusReport(event_key="", raw=milestone, milestone=milestone, at=at), at)
    apply({attempt_id: news})
