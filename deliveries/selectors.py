"""Questions about deliveries: why did this happen, what was ever sent to this person, who got what. No side effects."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Exists,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Now
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from campaigns.money import say_money
from cascade.explain import OUTCOME_TEXT, REASON_TEXT
from cascade.vocabulary import AddressKind, Milestone, Outcome, Reason
from channels.models import Channel
from contacts.models import Contact
from contacts.selectors import found_by
from deliveries.models import (
    Attempt,
    AttemptState,
    Delivery,
    DeliveryPlan,
    DeliveryState,
    FailureChoices,
    Heartbeat,
    InboundMessage,
    LinkVisit,
    MarketingTouch,
    OperatorTask,
    OutcomeChoices,
    TimelineEvent,
)
from deliveries.snapshots import plan_step, walked
from deliveries.words import REASON_LABELS, masked, milestone_label, reason_label
from templates_app.models import KindChoices

# ---------------------------------------------------------------- why did this happen


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a delivery's story. `tone` is good, bad, plain or money-less grey: how the page colours it."""

    at: datetime
    text: str
    icon: str = "circle"
    tone: str = "plain"
    step: int | None = None  #: from 1
    cost: str = ""
    detail: str = ""


_FACTS: tuple[tuple[str, Milestone, str, str], ...] = (
    ("accepted_at", Milestone.ACCEPTED, gettext_noop("%(channel)s: accepted by the provider."), "check"),
    ("sent_at", Milestone.SENT, gettext_noop("%(channel)s: sent to the person."), "check"),
    ("delivered_at", Milestone.DELIVERED, gettext_noop("%(channel)s: delivered."), "done_all"),
    ("read_at", Milestone.READ, gettext_noop("%(channel)s: read."), "visibility"),
    ("clicked_at", Milestone.CLICKED, gettext_noop("%(channel)s: the link was followed."), "ads_click"),
    ("replied_at", Milestone.REPLIED, gettext_noop("%(channel)s: the person replied."), "reply"),
    ("goal_at", Milestone.GOAL, gettext_noop("%(channel)s: the target action is done."), "flag"),
)
_CALLED = gettext_noop("Step %(step)s: the message leaves through %(channel)s to %(address)s.")
_CALLED_AGAIN = gettext_noop("Step %(step)s: try %(try)s through %(channel)s to %(address)s.")
_FAILED = gettext_noop("%(channel)s: %(failure)s.")
_FAILED_WHY = gettext_noop("%(channel)s: %(failure)s (%(why)s).")
_UNKNOWN = gettext_noop("%(channel)s: no answer came, nobody knows whether it left. It is not repeated blindly.")
#: To a colleague nothing is sent, and no provider takes it.
_DESK_CALLED = gettext_noop("Step %(step)s: a task for %(channel)s: call %(address)s.")
_DESK_WORDS = {
    "accepted_at": gettext_noop("%(channel)s: the task stands on the desk."),
    "delivered_at": gettext_noop("%(channel)s: spoke to the person."),
}
_TASK_SAID = gettext_noop("%(who)s reports: “%(outcome)s”.")
_TASK_SAID_WITH_NOTE = gettext_noop("%(who)s reports: “%(outcome)s”. Note: %(note)s")
_TASK_WITHDRAWN = gettext_noop("The operator's task was withdrawn: the call is not needed any more.")
_RECALLED = gettext_noop("An earlier message that had not arrived was taken back.")
_LATE = gettext_noop("%(channel)s: a late receipt came: %(milestone)s.")
_BY_ROBOT = gettext_noop("%(channel)s: opened by a robot that checks mail, not by the person. It does not count.")
_PLANNED = gettext_noop("Planned.")
_LEADS = gettext_noop("%(channel)s goes first: the person's last dialogue with us was there.")
_ICONS = {
    TimelineEvent.Kind.LEFT: ("arrow_downward", "plain"),
    TimelineEvent.Kind.WAITING: ("schedule", "grey"),
    TimelineEvent.Kind.FINISHED: ("flag", "plain"),
    TimelineEvent.Kind.LATE: ("history", "plain"),
    TimelineEvent.Kind.RECALLED: ("undo", "grey"),
    TimelineEvent.Kind.NOTE: ("notes", "grey"),
}
#: Lines of one moment come in the order things happen in.
_BEFORE_FACTS, _AFTER_FACTS = 0, 100


def timeline(delivery_id: int, *, mask: bool = False) -> list[Line]:
    """Everything that happened to one delivery, in plain words and in time order, with money (R16).

    Facts stand on the attempts, decisions in TimelineEvent; here they are one story. Raises Delivery.DoesNotExist.
    """
    delivery = Delivery.objects.select_related("plan").get(pk=delivery_id)
    steps: list[dict[str, Any]] = walked(delivery.plan.definition["steps"], delivery.lead)
    attempts = list(Attempt.objects.filter(delivery=delivery).select_related("channel").order_by("called_at", "id"))
    events = list(TimelineEvent.objects.filter(delivery=delivery).order_by("at", "id"))
    names = _channel_names(steps)
    through = {index: names.get(one["channel_id"], "?") for index, one in enumerate(steps)}
    through |= {attempt.step: attempt.channel.name for attempt in attempts}
    lines: list[tuple[datetime, int, Line]] = [
        (delivery.created_at, -1, Line(delivery.created_at, _(_PLANNED), "event", "grey"))
    ]
    if delivery.lead is not None:
        words = _(_LEADS) % {"channel": f"«{names.get(steps[0]['channel_id'], '?')}»"}
        lines.append((delivery.created_at, -1, Line(delivery.created_at, words, "forum", "grey", 1)))
    for attempt in attempts:
        lines += _attempt_lines(attempt, steps, mask=mask)
    for event in events:
        order = _BEFORE_FACTS if event.kind == TimelineEvent.Kind.RECALLED else _AFTER_FACTS + len(lines)
        lines.append((event.at, order, _event_line(event, steps, through, delivery)))
    for task in OperatorTask.objects.filter(delivery=delivery).exclude(state="open").select_related("closed_by"):
        lines.append((task.closed_at or task.created_at, 1, _task_line(task)))
    lines.sort(key=lambda one: (one[0], one[1]))
    return [line for _at, _order, line in lines]


def _channel_names(steps: Sequence[dict[str, Any]]) -> dict[int, str]:
    accounts = {one["channel_id"] for step in steps for one in (step, *step["reserves"])}
    return dict(Channel.objects.filter(pk__in=accounts).values_list("pk", "name"))


def _carried(delivery_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """(delivery, step) -> the account its newest call went through."""
    rows = Attempt.objects.filter(delivery_id__in=delivery_ids).order_by("delivery_id", "step", "try_no")
    return {(one, step): channel_id for one, step, channel_id in rows.values_list("delivery_id", "step", "channel_id")}


def _attempt_lines(
    attempt: Attempt, steps: Sequence[dict[str, Any]], *, mask: bool
) -> Iterator[tuple[datetime, int, Line]]:
    currency = steps[attempt.step].get("currency", "RUB") if attempt.step < len(steps) else "RUB"
    params: dict[str, Any] = {
        "step": attempt.step + 1,
        "try": attempt.try_no,
        "channel": f"«{attempt.channel.name}»",
        "address": masked(attempt.address) if mask else attempt.address,
    }
    number = attempt.step + 1
    by_desk = attempt.step < len(steps) and steps[attempt.step].get("address") == AddressKind.PERSON
    called = _CALLED if attempt.try_no == 1 else _CALLED_AGAIN
    text = _(_DESK_CALLED if by_desk else called) % params
    yield attempt.called_at, 1, Line(attempt.called_at, text, "send", "plain", number)
    moments = [
        (getattr(attempt, name), milestone, _DESK_WORDS.get(name, words) if by_desk else words, icon)
        for name, milestone, words, icon in _FACTS
    ]
    known = [one for one in moments if one[0] is not None]
    charged = next((one for one in known if one[1] == attempt.charged_on), None)
    for position, (at, milestone, words, icon) in enumerate(known):
        followed = position + 1 < len(known) and known[position + 1][0] == at
        paid = attempt.cost is not None and charged is not None and charged[1] is milestone
        if followed and not paid:
            continue  # “accepted, sent and delivered at 14:05:03” is one line: delivered
        cost = say_money(attempt.cost, currency) if paid and attempt.cost else ""
        tone = "good" if milestone not in (Milestone.ACCEPTED, Milestone.SENT) else "plain"
        # Providers round to the second: a receipt “before” its own call still stands below it.
        yield max(at, attempt.called_at), 10 + position, Line(at, _(words) % params, icon, tone, number, cost)
    if attempt.state == AttemptState.UNKNOWN:
        at = attempt.failed_at or attempt.called_at
        yield at, 5, Line(at, _(_UNKNOWN) % params, "help", "bad", number, detail=attempt.detail)
    elif attempt.failure and attempt.failed_at is not None:
        params |= {"failure": FailureChoices(attempt.failure).label, "why": reason_label(attempt.reason)}
        text = _(_FAILED_WHY if attempt.reason else _FAILED) % params
        yield attempt.failed_at, 5, Line(attempt.failed_at, text, "error", "bad", number, detail=attempt.detail)
    robot = attempt.visits.filter(verdict=LinkVisit.Verdict.ROBOT).order_by("at").first()
    if robot is not None:
        yield robot.at, 9, Line(robot.at, _(_BY_ROBOT) % params, "smart_toy", "grey", number)
    if attempt.cost is not None and charged is None:
        # Booked although its milestone has no moment of its own: say it where it can be seen.
        at = attempt.accepted_at or attempt.called_at
        yield (
            at,
            20,
            Line(
                at, _("%(channel)s: charged.") % params, "payments", "grey", number, say_money(attempt.cost, currency)
            ),
        )


def _task_line(task: OperatorTask) -> Line:
    """What a colleague reported, in his or her own words, or why the call was not needed."""
    at = task.closed_at or task.created_at
    if task.state == OperatorTask.State.WITHDRAWN:
        return Line(at, _(_TASK_WITHDRAWN), "undo", "grey", task.step + 1, detail=reason_label(task.withdrawn_because))
    who = task.closed_by.get_username() if task.closed_by else "…"
    params = {"who": who, "outcome": task.get_outcome_display(), "note": task.note}
    text = _(_TASK_SAID_WITH_NOTE if task.note else _TASK_SAID) % params
    return Line(at, text, "support_agent", "plain", task.step + 1)


def _event_line(
    event: TimelineEvent, steps: Sequence[dict[str, Any]], through: dict[int, str], delivery: Delivery
) -> Line:
    icon, tone = _ICONS.get(TimelineEvent.Kind(event.kind), ("notes", "grey"))
    number = None if event.step is None else event.step + 1
    here = steps[event.step] if event.step is not None and event.step < len(steps) else None
    channel = f"«{through[event.step]}»" if event.step in through else ""
    if event.kind == TimelineEvent.Kind.RECALLED:
        return Line(event.at, _(_RECALLED), icon, tone, number)
    if event.kind == TimelineEvent.Kind.LATE:
        milestone = milestone_label(event.params.get("milestone", ""))
        return Line(event.at, _(_LATE) % {"channel": channel, "milestone": milestone}, icon, tone, number)
    text = reason_sentence(event.reason, event.params, step=number, kind=here["kind"] if here else "")
    if event.kind == TimelineEvent.Kind.FINISHED:
        outcome = event.params.get("outcome") or delivery.outcome
        if outcome in OutcomeChoices.values:
            text = f"{_(OUTCOME_TEXT[Outcome(outcome)])} {text}"
        tone = "good" if outcome == Outcome.REACHED else "bad"
    return Line(event.at, text, icon, tone, number)


def reason_sentence(reason: str, params: dict[str, Any], *, step: int | None = None, kind: str = "") -> str:
    """The sentence of cascade.explain in the language and time zone of the moment."""
    if reason not in REASON_LABELS:
        return reason
    values = {
        **params,
        "step": step if step is not None else "",
        "kind": KindChoices(kind).label if kind in KindChoices.values else kind,
        "until": _say_moment(params.get("until")),
    }
    return _(REASON_TEXT[Reason(reason)]) % values


def _say_moment(stored: object) -> str:
    at = parse_datetime(stored) if isinstance(stored, str) else None
    return "" if at is None else date_format(localtime(at), "j E, H:i")


# ---------------------------------------------------------------- everything that was sent to one person


@dataclass(frozen=True, slots=True)
class Touch:
    """One delivery as it stands on the contact's page."""

    delivery_id: int
    at: datetime
    what: str
    campaign_id: int | None
    outcome: str  #: Outcome or "" while it is open
    outcome_label: str
    reached_by: str  #: name of the channel, "" when nothing worked
    milestone: str
    reason: str
    cost: Decimal
    currency: str
    is_double: bool
    has_unknown: bool


@dataclass(frozen=True, slots=True)
class ChannelScore:
    """How a channel has worked for one person so far."""

    channel: str
    tried: int
    delivered: int
    answered: int  #: clicked, replied or did what was asked


@dataclass(frozen=True, slots=True)
class History:
    touches: list[Touch]
    more: bool
    scores: list[ChannelScore]


def contact_history(contact_id: int, limit: int = 50) -> History:
    """All that was ever sent to this person, newest first, and which channel reacted (features.md 96)."""
    found = list(
        Delivery.objects.filter(contact_id=contact_id)
        .select_related("campaign", "plan")
        .annotate(paid=Sum("attempts__cost"))
        .order_by("-pk")[: limit + 1]
    )
    plans = {one.plan_id: one.plan.definition.get("steps", []) for one in found}
    names = _channel_names([step for steps in plans.values() for step in steps])
    carried = _carried([one.pk for one in found])
    touches = []
    for one in found[:limit]:
        steps = plans[one.plan_id]
        by = one.outcome_step
        touches.append(
            Touch(
                delivery_id=one.pk,
                at=one.created_at,
                what=str(one.campaign) if one.campaign_id else _("Message"),
                campaign_id=one.campaign_id,
                outcome=one.outcome,
                outcome_label=one.get_outcome_display() if one.outcome else one.get_state_display(),
                reached_by=names.get(carried.get((one.pk, by), 0), "") if by is not None else "",
                milestone=milestone_label(one.outcome_milestone),
                reason=reason_label(one.outcome_reason or one.wait_reason),
                cost=one.paid or Decimal(0),
                currency=steps[0].get("currency", "RUB") if steps else "RUB",
                is_double=one.is_double,
                has_unknown=one.has_unknown,
            )
        )
    return History(touches, len(found) > limit, _scores(contact_id))


def _scores(contact_id: int) -> list[ChannelScore]:
    scores: dict[str, list[int]] = {}
    rows = Attempt.objects.filter(delivery__contact_id=contact_id).values_list(
        "channel__name", "delivered_at", "clicked_at", "replied_at", "goal_at"
    )
    for name, delivered, clicked, replied, goal in rows:
        score = scores.setdefault(name, [0, 0, 0])
        score[0] += 1
        score[1] += delivered is not None
        score[2] += bool(clicked or replied or goal)
    ordered = sorted(scores.items(), key=lambda one: (-one[1][2], -one[1][1], one[1][0]))
    return [ChannelScore(name, *score) for name, score in ordered]


# ---------------------------------------------------------------- who got what


@dataclass(frozen=True, slots=True)
class Recipient:
    """One row of the per-recipient table, as scripts and files get it."""

    delivery_id: int
    recipient: str
    name: str
    outcome: str
    state: str
    step: int | None  #: from 1: by which it was reached, else where it stands
    channel: str
    milestone: str
    reason: str
    cost: Decimal
    parts: int
    created_at: datetime
    finished_at: datetime | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which recipients of a campaign. Empty fields ask for nothing."""

    #: Outcome, or "open", "double", "unknown".
    outcome: str = ""
    #: From 1: reached by this step, or standing there; with `reason` also those who left it for that reason.
    step: int = 0
    #: Reason of the outcome, of the waiting, or of leaving a step.
    reason: str = ""
    #: What an owner types to find a person (contacts.selectors.found_by).
    who: str = ""


#: People looked at for one search: a name half the town has is no search.
_FOUND_AT_MOST = 1000


def recipients_page(
    campaign_id: int, wanted: Wanted | None = None, after: str = "", size: int = 50, *, mask: bool = False
) -> tuple[list[Recipient], str]:
    """One page of a campaign's recipients and the key of the next one ("" after the last).

    Keyset in the order of contacts, which the unique index (campaign, contact) gives without a sort: page one and page
    twenty thousand cost the same, wherever the campaign lies among millions of other deliveries. Those whose contact has
    been deleted come last, by their own id. `after`: a key returned before; one that nobody returned is page one.
    """
    rows = _wanted_rows(campaign_id, wanted or Wanted())
    deleted, last = _read_key(after)
    page: list[Delivery] = []
    if not deleted:
        page = list(rows.filter(contact_id__gt=last).select_related("contact").order_by("contact_id")[: size + 1])
        last = 0
    if len(page) <= size:
        page += rows.filter(contact_id__isnull=True, pk__gt=last).order_by("pk")[: size + 1 - len(page)]
    more = len(page) > size
    page = page[:size]
    key = ""
    if more:
        key = f"c{page[-1].contact_id}" if page[-1].contact_id is not None else f"d{page[-1].pk}"
    return _as_recipients(campaign_id, page, mask=mask), key


def recipients(campaign_id: int, *, mask: bool = False, batch: int = 2000) -> Iterator[Recipient]:
    """Every recipient of a campaign, in constant memory. A contact deleted while this runs may be met twice: on the
    card and among those without one."""
    key = ""
    while True:
        page, key = recipients_page(campaign_id, after=key, size=batch, mask=mask)
        yield from page
        if not key:
            return


def _read_key(key: str) -> tuple[bool, int]:
    """(among those without a contact, id to go on after)."""
    number = key[1:]
    # Longer than any bigint is not ours, and PostgreSQL would refuse it with an error.
    if key[:1] not in ("c", "d") or not (number.isascii() and number.isdigit()) or len(number) > 18:
        return False, 0
    return key[0] == "d", int(number)


def _wanted_rows(campaign_id: int, wanted: Wanted) -> QuerySet[Delivery]:
    rows = Delivery.objects.filter(campaign_id=campaign_id)
    if wanted.outcome == "open":
        rows = rows.exclude(state=DeliveryState.FINAL)
    elif wanted.outcome in ("double", "unknown"):
        rows = rows.filter(**{"is_double" if wanted.outcome == "double" else "has_unknown": True})
    elif wanted.outcome:
        rows = rows.filter(state=DeliveryState.FINAL, outcome=wanted.outcome)
    if wanted.who.strip():
        people = Contact.objects.filter(found_by(wanted.who)).order_by("pk").values("pk")[:_FOUND_AT_MOST]
        rows = rows.filter(contact_id__in=people)
    rows = rows.alias(stood=Coalesce(_plan_step("outcome_step"), _plan_step("step")))
    stands = Q(stood=wanted.step - 1)
    if wanted.reason:
        final = Q(state=DeliveryState.FINAL)
        own = (final & Q(outcome_reason=wanted.reason)) | (~final & Q(wait_reason=wanted.reason))
        if wanted.step:
            position = _walk_position(wanted.step - 1) + 1
            trail = Func(F("trail"), Value(","), position, function="split_part", output_field=CharField())
            rows = rows.annotate(left_because=trail).filter((own & stands) | Q(left_because=wanted.reason))
        else:
            rows = rows.filter(own | Q(trail__regex=f"(^|,){re.escape(wanted.reason)}(,|$)"))
    elif wanted.step:
        rows = rows.filter(stands)
    return rows


def _plan_step(name: str) -> Case:
    """snapshots.plan_step() of a column."""
    position = F(name)
    return Case(
        When(**{f"{name}__isnull": True}, then=None),
        When(Q(lead__isnull=True) | Q(**{f"{name}__gt": F("lead")}), then=position),
        When(**{name: 0}, then=F("lead")),
        default=position - 1,
        output_field=IntegerField(),
    )


def _walk_position(step: int) -> Case:
    """Where each delivery's walk has this step of the plan."""
    return Case(
        When(lead=step, then=Value(0)),
        When(lead__gt=step, then=Value(step + 1)),
        default=Value(step),
        output_field=IntegerField(),
    )


def _as_recipients(campaign_id: int, page: Sequence[Delivery], *, mask: bool) -> list[Recipient]:
    """The rows with names, money and the address last written to; five queries whatever their number."""
    if not page:
        return []
    plan = DeliveryPlan.objects.filter(campaign_id=campaign_id).first()
    steps: list[dict[str, Any]] = plan.definition.get("steps", []) if plan is not None else []
    names = _channel_names(steps)
    attempts = Attempt.objects.filter(delivery__in=[one.pk for one in page])
    costs = {
        delivery_id: (cost or Decimal(0), parts)
        for delivery_id, cost, parts in attempts.values("delivery_id")
        .annotate(cost=Sum("cost"), parts=Sum("parts"))
        .values_list("delivery_id", "cost", "parts")
    }
    addresses = dict(attempts.order_by("pk").values_list("delivery_id", "address"))
    carried = _carried([one.pk for one in page])
    found = []
    for one in page:
        contact = one.contact
        address = addresses.get(one.pk) or (contact and (contact.phone or contact.email)) or ""
        position = one.outcome_step if one.outcome_step is not None else one.step
        step = plan_step(position, one.lead)
        cost, parts = costs.get(one.pk, (Decimal(0), 0))
        found.append(
            Recipient(
                delivery_id=one.pk,
                recipient=masked(address) if mask else address,
                name=(contact.name or contact.full_name) if contact else "",
                outcome=one.outcome,
                state=one.state,
                step=step + 1,
                channel=names.get(carried.get((one.pk, position), steps[step]["channel_id"]), "") if steps else "",
                milestone=one.outcome_milestone,
                reason=one.outcome_reason or one.wait_reason,
                cost=cost,
                parts=parts,
                created_at=one.created_at,
                finished_at=one.finished_at,
                flags=tuple(
                    flag for flag, raised in (("double", one.is_double), ("unknown", one.has_unknown)) if raised
                ),
            )
        )
    return found


# ---------------------------------------------------------------- the engine itself

#: A tick that has not ended for so long is silence. Ticks run every second to five seconds.
SILENCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether the engine lives. `last`: None when it has never run."""

    last: datetime | None
    silent_minutes: int
    silent: tuple[str, ...]

    @property
    def alive(self) -> bool:
        return self.last is not None and not self.silent


def pulse() -> Pulse:
    """When the engine's ticks last ran to their end, by the database's clock."""
    rows = list(Heartbeat.objects.annotate(now=Now()).values_list("name", "at", "now"))
    if not rows:
        return Pulse(None, 0, ())
    silent = tuple(name for name, at, present in rows if present - at > SILENCE)
    oldest = min((at for name, at, _present in rows if name in silent), default=max(at for _name, at, _present in rows))
    return Pulse(oldest, int((rows[0][2] - oldest).total_seconds() // 60), silent)


# ---------------------------------------------------------------- the operators' desk

#: Parts of the desk in the order of its tabs, English msgids.
TASK_VIEWS: dict[str, str] = {
    "open": gettext_noop("To do"),
    "mine": gettext_noop("Mine"),
    "overdue": gettext_noop("Overdue"),
    "closed": gettext_noop("Closed"),
}
#: Counting further says nothing more.
_TASKS_COUNTED = 1000


def tasks_of_view(tasks: QuerySet[OperatorTask], view: str, user_id: int | None) -> QuerySet[OperatorTask]:
    """The tasks of one part of the desk (TASK_VIEWS) for one colleague."""
    if view == "closed":
        return tasks.exclude(state=OperatorTask.State.OPEN)
    tasks = tasks.filter(state=OperatorTask.State.OPEN)
    if view == "mine":
        return tasks.filter(taken_by_id=user_id)
    return tasks.filter(due_at__lte=Now()) if view == "overdue" else tasks


def count_tasks(user_id: int | None) -> dict[str, int]:
    """How many tasks stand in each open part of the desk, up to a thousand."""
    return {
        view: tasks_of_view(OperatorTask.objects.all(), view, user_id)[:_TASKS_COUNTED].count()
        for view in TASK_VIEWS
        if view != "closed"
    }


def unknown_outcomes() -> QuerySet[Delivery]:
    """Deliveries with a step nobody knows the outcome of, and that nothing else has reached: for a person to look at."""
    return Delivery.objects.filter(has_unknown=True, state=DeliveryState.FINAL).exclude(outcome=Outcome.REACHED)


def has_written(channel_id: int) -> Exists:
    """Condition on Contact: has ever written through this channel (see campaigns.selectors.in_dialogue)."""
    return Exists(InboundMessage.objects.filter(contact_id=OuterRef("pk"), channel_id=channel_id))


def has_had(messages: int, period: timedelta) -> Exists:
    """Condition on Contact: had `messages` marketing messages within `period` (see campaigns.selectors.over_cap)."""
    recent = MarketingTouch.objects.filter(contact_id=OuterRef("pk"), at__gt=Now() - period).order_by("-at")
    return Exists(recent[messages - 1 : messages])
