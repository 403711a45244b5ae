"""Ask the pure core about a batch of deliveries, and write its answers down in sets.

Used by advance (for everything that is due) and by send (for what an answer means). Reads and writes are
one statement per batch; the decision itself is cascade.machine.settle() per row, a few microseconds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection

from campaigns.models import CampaignPause
from cascade.actions import Action, Finish, Send, Skip, Wait
from cascade.machine import account, settle
from cascade.state import State
from cascade.vocabulary import Purpose, Reason
from channels.services.health import closed_channels
from contacts.models import Contact, Reachability
from contacts.selectors import own_addresses
from deliveries.models import HookKind, PersonPause, TimelineEvent
from deliveries.services.outbox import announce
from deliveries.snapshots import (
    ATTEMPT_COLUMNS,
    AttemptFacts,
    DeliveryFacts,
    FrozenPlan,
    StepTerms,
    Surroundings,
    Walk,
    build_state,
)

_UNREACHABLE: dict[str, Reason] = {
    Reachability.State.NOT_REGISTERED: Reason.NOT_REGISTERED,
    Reachability.State.BLOCKED: Reason.BLOCKED,
    Reachability.State.INVALID: Reason.RECIPIENT_REFUSED,
}

#: Waits worth a line in the timeline; the others are the ordinary course (the attempt shows them).
_TOLD_WAITS = frozenset(
    {Reason.QUIET_HOURS, Reason.CHANNEL_ON_HOLD, Reason.RETRY_LATER, Reason.PAUSED, Reason.PERSON_ASKED}
)


@dataclass(slots=True)
class Line:
    """One timeline row to be written."""

    delivery_id: int
    kind: TimelineEvent.Kind
    step: int | None
    reason: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What becomes of one delivery: exactly one of send, wait, finish, with the lines that explain it."""

    row: DeliveryFacts
    frozen: FrozenPlan
    step: int
    trail: str
    action: Send | Wait | Finish
    #: The account a Send goes through.
    channel_id: int | None
    lines: list[Line]


def database_now() -> datetime:
    """PostgreSQL's clock decides everything that is due (I18); one per transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
    return now


def load_attempts(delivery_ids: Sequence[int]) -> dict[int, list[AttemptFacts]]:
    """All attempts of these deliveries, ordered as build_state() wants them."""
    found: dict[int, list[AttemptFacts]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {ATTEMPT_COLUMNS} FROM deliveries_attempt WHERE delivery_id = ANY(%s::bigint[])"  # noqa: S608 - constant columns
            " ORDER BY delivery_id, step, try_no",
            [list(delivery_ids)],
        )
        for row in cursor.fetchall():
            found[row[1]].append(AttemptFacts._make(row))
    return found


def load_pauses(campaign_ids: Collection[int]) -> dict[int, tuple[tuple[datetime, datetime | None], ...]]:
    """Pause intervals per campaign, in order."""
    found: dict[int, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    if campaign_ids:
        pauses = CampaignPause.objects.filter(campaign_id__in=campaign_ids).order_by("started_at")
        for campaign_id, start, end in pauses.values_list("campaign_id", "started_at", "ended_at"):
            found[campaign_id].append((start, end))
    return {campaign_id: tuple(intervals) for campaign_id, intervals in found.items()}


def load_person_pauses(contact_ids: Collection[int]) -> dict[int, list[tuple[datetime, datetime | None]]]:
    """When marketing to these people stood still, because an answer of theirs had to be read first."""
    found: dict[int, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    rows = PersonPause.objects.filter(contact_id__in=contact_ids).order_by("began_at")
    for contact_id, began, ends, decided in rows.values_list("contact_id", "began_at", "ends_at", "decided_at"):
        found[contact_id].append((began, min(ends, decided) if decided else ends))
    return found


def load_surroundings(
    rows: Sequence[DeliveryFacts], plans: Mapping[Walk, FrozenPlan], now: datetime
) -> dict[int, Surroundings]:
    """What is true around each delivery right now: addresses, reachability, conditions, channels, zone, pauses.

    Returns delivery id -> Surroundings. A fixed number of queries for any batch.
    """
    contact_ids = [row.contact_id for row in rows if row.contact_id is not None]
    terms = [terms for plan in plans.values() for route in plan.routes for terms in route.values()]
    cards = {
        card[0]: card
        for card in Contact.objects.filter(pk__in=contact_ids).values_list(
            "pk", "phone", "email", "timezone", "branch__timezone"
        )
    }
    own = own_addresses(contact_ids, {t.channel_id for t in terms if t.by_address})
    tags = {t.only_tag for t in terms if t.only_tag is not None}
    tagged: set[tuple[int, int]] = set()
    if tags:
        through = Contact.tags.through.objects.filter(contact_id__in=contact_ids, tag_id__in=tags)
        tagged = set(through.values_list("contact_id", "tag_id"))
    known_bad = {
        (contact_id, channel_id, address): state
        for contact_id, channel_id, address, state in Reachability.objects.filter(
            contact_id__in=contact_ids, until__gt=now
        )
        .exclude(state=Reachability.State.REACHABLE)
        .values_list("contact_id", "channel_id", "address", "state")
    }
    unusable = closed_channels()
    disabled = {pk for pk, reason in unusable.items() if reason is Reason.CHANNEL_DISABLED}
    closed = frozenset(unusable.keys() - disabled)
    pauses = load_pauses({row.campaign_id for row in rows if row.campaign_id is not None})
    marketing = any(plan.plan.purpose is Purpose.MARKETING for plan in plans.values())
    of_people = load_person_pauses(contact_ids) if marketing else {}

    def hindrance(row: DeliveryFacts, card: tuple[Any, ...] | None, step: StepTerms) -> Reason | None:
        """Why this account cannot be called for this person at all."""
        if card is None or row.contact_id is None:
            return Reason.CONTACT_DELETED
        if step.channel_id in disabled:
            return Reason.CHANNEL_DISABLED
        if step.only_tag is not None and (row.contact_id, step.only_tag) not in tagged:
            return Reason.CONDITION
        if step.by_person:
            return None  # the card itself is the address: a colleague reads it
        key = (row.contact_id, step.channel_id)
        if step.by_address:
            address, bad = own.get(key, ("", ""))
        else:
            address = (card[2] if step.by_email else card[1]) or ""
            bad = known_bad.get((*key, address), "")
        if not address:
            return Reason.NO_ADDRESS
        return _UNREACHABLE[bad] if bad else None

    around = {}
    for row in rows:
        frozen = plans[row.walk]
        card = cards.get(row.contact_id) if row.contact_id is not None else None
        unreachable: dict[int, Reason] = {}
        shut = closed
        for index, step in enumerate(frozen.terms):
            reason = hindrance(row, card, step)
            if len(frozen.routes[index]) > 1:
                found = {channel_id: hindrance(row, card, one) for channel_id, one in frozen.routes[index].items()}
                if not all(found.values()):
                    # Somebody of this step can: the others count as closed, and the core takes the first that is not.
                    reason, shut = None, shut | {channel_id for channel_id, why in found.items() if why}
            if reason is not None:
                unreachable[index] = reason
        zone = (card and (card[3] or card[4])) or frozen.zone
        campaign_pauses = pauses.get(row.campaign_id, ()) if row.campaign_id is not None else ()
        halted = of_people.get(row.contact_id or 0, []) if frozen.plan.purpose is Purpose.MARKETING else []
        asked = any(start <= now and (end is None or now < end) for start, end in halted)
        every = tuple(sorted([*campaign_pauses, *halted], key=lambda pause: pause[0])) if halted else campaign_pauses
        around[row.id] = Surroundings(unreachable, shut, zone, every, asked)
    return around


def judge(
    row: DeliveryFacts,
    frozen: FrozenPlan,
    attempts: Sequence[AttemptFacts],
    around: Surroundings,
    now: datetime,
) -> Verdict:
    """One delivery's next action, with a timeline line for every step left on the way."""
    state, actions = settle(frozen.plan, build_state(frozen, row, attempts, around), now)
    if around.person_asked:
        actions = [_because_asked(action) for action in actions]
    return verdict_of(row, frozen, state, actions)


def _because_asked(action: Action) -> Action:
    """To the core a pause is a pause; the owner wants to know whose."""
    if isinstance(action, Wait) and action.because is Reason.PAUSED:
        return replace(action, because=Reason.PERSON_ASKED)
    return action


def verdict_of(row: DeliveryFacts, frozen: FrozenPlan, state: State, actions: Sequence[Action]) -> Verdict:
    """Word the core's answers: lines for what was skipped, and the last action to carry out."""
    lines = [
        Line(row.id, TimelineEvent.Kind.LEFT, action.step, action.because)
        for action in actions
        if isinstance(action, Skip)
    ]
    last = actions[-1]
    assert not isinstance(last, Skip)  # noqa: S101 - settle() promises to end on Send, Wait or Finish
    if isinstance(last, Finish):
        lines.append(Line(row.id, TimelineEvent.Kind.FINISHED, last.step, last.because, {"outcome": last.outcome}))
    elif isinstance(last, Wait) and last.because in _TOLD_WAITS and last.because != row.wait_reason:
        until = last.until.isoformat()
        lines.append(Line(row.id, TimelineEvent.Kind.WAITING, last.step, last.because, {"until": until}))
    channel_id = None
    if isinstance(last, Send):
        step = frozen.plan.steps[last.step]
        channel_id = account(frozen.plan, state, last.step) if step.reserves else step.channel_id
        if channel_id != step.channel_id:
            lines.append(Line(row.id, TimelineEvent.Kind.NOTE, last.step, Reason.OTHER_ACCOUNT))
    trail = ",".join([*filter(None, [row.trail]), *(a.because for a in actions if isinstance(a, Skip))])
    return Verdict(row, frozen, state.current, trail, last, channel_id, lines)


@dataclass(slots=True)
class _Columns:
    """The arrays of the one UPDATE that carries a batch of verdicts."""

    ids: list[int] = field(default_factory=list)
    fences: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    trails: list[str] = field(default_factory=list)
    channels: list[int | None] = field(default_factory=list)
    due: list[datetime | None] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    outcome_steps: list[int | None] = field(default_factory=list)
    outcome_milestones: list[str] = field(default_factory=list)
    outcome_reasons: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict, due_at: datetime) -> None:
        action = verdict.action
        finish = action if isinstance(action, Finish) else None
        sending = isinstance(action, Send)
        last_step = len(verdict.frozen.terms) - 1
        self.ids.append(verdict.row.id)
        self.fences.append(verdict.row.fence)
        self.states.append("final" if finish else ("ready" if sending else "waiting"))
        self.steps.append(min(verdict.step, last_step))
        self.trails.append(verdict.trail)
        self.channels.append(verdict.channel_id if sending else None)
        self.due.append(None if finish else due_at)
        self.waits.append(str(action.because) if isinstance(action, Wait) else "")
        self.outcomes.append(str(finish.outcome) if finish else "")
        self.outcome_steps.append(finish.step if finish else None)
        self.outcome_milestones.append(str(finish.milestone) if finish and finish.milestone else "")
        self.outcome_reasons.append(str(finish.because) if finish else "")


_UPDATE = """
UPDATE deliveries_delivery d SET
    state = v.state, step = v.step, trail = v.trail, channel_id = v.channel_id, due_at = v.due_at, lease_until = NULL,
    wait_reason = v.wait_reason, outcome = v.outcome, outcome_step = v.outcome_step,
    outcome_milestone = v.outcome_milestone, outcome_reason = v.outcome_reason,
    finished_at = CASE WHEN v.state = 'final' THEN now() END
FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[], %s::bigint[], %s::timestamptz[], %s::text[],
            %s::text[], %s::int[], %s::text[], %s::text[])
    AS v(id, fence, state, step, trail, channel_id, due_at, wait_reason, outcome, outcome_step, outcome_milestone,
         outcome_reason)
WHERE d.id = v.id AND d.fence = v.fence AND d.state IN ('waiting', 'leased')
RETURNING d.id
"""

_INSERT_LINES = """
INSERT INTO deliveries_timelineevent (delivery_id, at, kind, step, reason, params)
SELECT delivery_id, now(), kind, step, reason, params::jsonb
FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::text[], %s::text[])
    AS v(delivery_id, kind, step, reason, params)
"""


def write_lines(lines: Iterable[Line]) -> None:
    """Append timeline rows in one statement, in the order given."""
    rows = list(lines)
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT_LINES,
            [
                [line.delivery_id for line in rows],
                [str(line.kind) for line in rows],
                [line.step for line in rows],
                [str(line.reason) for line in rows],
                [json.dumps(line.params) if line.params else "{}" for line in rows],
            ],
        )


def write(verdicts: Sequence[Verdict], due: dict[int, datetime], now: datetime) -> set[int]:
    """Carry verdicts out on rows this transaction holds (locked, or leased with the fence of `row`).

    `due`: delivery id -> when it may be sent, for paced sends; others are due at once. Returns the ids really
    moved: a row whose fence has changed belongs to somebody else and stays as it is (I1).
    """
    if not verdicts:
        return set()
    columns = _Columns()
    for verdict in verdicts:
        action = verdict.action
        columns.add(verdict, action.until if isinstance(action, Wait) else due.get(verdict.row.id, now))
    with connection.cursor() as cursor:
        cursor.execute(
            _UPDATE,
            [
                columns.ids,
                columns.fences,
                columns.states,
                columns.steps,
                columns.trails,
                columns.channels,
                columns.due,
                columns.waits,
                columns.outcomes,
                columns.outcome_steps,
                columns.outcome_milestones,
                columns.outcome_reasons,
            ],
        )
        moved = {row[0] for row in cursor.fetchall()}
    write_lines(line for verdict in verdicts if verdict.row.id in moved for line in verdict.lines)
    _clear_desk([v for v in verdicts if v.row.id in moved])
    finished = [v for v in verdicts if isinstance(v.action, Finish) and v.row.id in moved]
    if finished:
        _give_back(finished)
        announce(HookKind.FINISHED, [v.row.id for v in finished])
    return moved


_WITHDRAW = """
UPDATE deliveries_operatortask t SET state = 'withdrawn', closed_at = now(), withdrawn_because = v.because
FROM unnest(%s::bigint[], %s::int[], %s::text[]) AS v(delivery_id, before, because)
WHERE t.delivery_id = v.delivery_id AND t.step < v.before AND t.state = 'open'
"""


def _clear_desk(moved: Sequence[Verdict]) -> None:
    """Withdraw the tasks of operators that this decision makes pointless: the delivery is over, or its step is.

    In the decision's own transaction: what stands open on the desk is always wanted.
    """
    ids, before, because = [], [], []
    for verdict in moved:
        if not any(terms.by_person for terms in verdict.frozen.terms):
            continue
        over = isinstance(verdict.action, Finish)
        left = [line.reason for line in verdict.lines if line.kind is TimelineEvent.Kind.LEFT]
        ids.append(verdict.row.id)
        before.append(len(verdict.frozen.terms) if over else verdict.step)
        because.append(str(verdict.action.because if isinstance(verdict.action, Finish) else left[-1] if left else ""))
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(_WITHDRAW, [ids, before, because])


def _give_back(finished: Sequence[Verdict]) -> None:
    """Return what a finished delivery had reserved and can no longer use: money never charged, and the
    frequency slot of somebody who was never written to (I8, I9)."""
    capped = [v.row.id for v in finished if v.frozen.plan.purpose == "marketing"]
    budgeted = [v.row.id for v in finished if v.frozen.has_budget]
    with connection.cursor() as cursor:
        if capped:
            cursor.execute(
                "DELETE FROM deliveries_marketingtouch t WHERE t.delivery_id = ANY(%s::bigint[]) AND NOT EXISTS"
                " (SELECT 1 FROM deliveries_attempt a WHERE a.delivery_id = t.delivery_id AND a.state <> 'failed')",
                [capped],
            )
        if budgeted:
            cursor.execute(
                "UPDATE campaigns_campaignspend s SET reserved = s.reserved - x.promised FROM ("
                " SELECT d.campaign_id, sum(a.price) AS promised FROM deliveries_attempt a"
                " JOIN deliveries_delivery d ON d.id = a.delivery_id"
                " WHERE d.id = ANY(%s::bigint[]) AND a.cost IS NULL AND a.state <> 'failed' GROUP BY 1"
                ") x WHERE s.campaign_id = x.campaign_id",
                [budgeted],
            )
