"""The report of a campaign: who was reached by what, what it cost, and what is still open. Read only.

One pass over the campaign's deliveries and one over its attempts, both GROUP BY, whatever the page shows. While a
campaign runs its figures are cached for five seconds, or for as long as keeps this pass below a twentieth of one core;
of a finished one they are stored (CampaignReport). Nothing here is a counter that could drift: figures are recounted
from the rows (I26), and the sum of all outcomes is compared with what was planned (peers.md, idea 11).

Money
-----
`cost` is what the engine booked (Attempt.cost): on acceptance, delivery or reading, as the channel is charged
(cascade.md 4a). `alone_cost` is the same campaign without a cascade: each planned person who was not suppressed gets
one message through the *last step that has a price*, at that step's frozen price times the person's SMS parts. Parts
are those really sent; for people who never got that far, the average of those who did; if nobody did, the average of
the frozen text rendered for up to SAMPLE recipients. Sums are exact and rounded once, to the kopeck.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils.dateparse import parse_datetime
from django.utils.timezone import now

from analytics.models import CampaignReport
from campaigns.models import Campaign, CampaignStatus
from campaigns.money import rounded
from cascade.vocabulary import Outcome
from channels.models import Channel
from channels.services import invites
from contacts.selectors import template_variables
from deliveries.models import Delivery, DeliveryPlan, DeliveryState
from deliveries.snapshots import plan_step
from templates_app.rendering import EmptyVariable, overlay
from templates_app.segments import count as count_segments
from templates_app.services import Text, prepare

#: How old the figures of a live campaign may be.
FRESH = 5.0
#: A report may take this share of one core at most: a pass of 1 s is then repeated every 20 s.
_SHARE = 0.05
#: Receipts come late (a phone switched on after the weekend) and change figures of a finished campaign; after this
#: its stored report is the last word.
SETTLES = timedelta(days=3)
_SETTLING = timedelta(seconds=30)
SAMPLE = 200


@dataclass(slots=True)
class AccountShare:
    """What one account of a step with reserves has carried. A person may have been tried through several."""

    channel: str
    price: str
    entered: int = 0
    delivered: int = 0
    cost: Decimal = Decimal(0)


@dataclass(slots=True)
class StepReport:
    """One step of the frozen plan. People, not calls: a retried step counts once."""

    number: int  #: from 1, as people count
    channel_id: int
    channel: str
    kind: str
    price: str
    charged_on: str
    entered: int = 0  #: a call was made
    accepted: int = 0
    sent: int = 0
    delivered: int = 0
    read: int = 0
    clicked: int = 0
    replied: int = 0
    goal: int = 0
    unknown: int = 0  #: nobody knows whether it left, and no receipt came
    reached: int = 0  #: deliveries that ended here
    waiting: int = 0  #: deliveries that stand here now
    cost: Decimal = Decimal(0)
    #: Left after a call, by Reason.
    failed: dict[str, int] = field(default_factory=dict)
    #: Left without one, by Reason.
    skipped: dict[str, int] = field(default_factory=dict)
    #: From the call to the delivery; None where nothing was delivered.
    average_seconds: float | None = None
    #: Which account carried how much, in the order they are tried; empty where the step has one.
    accounts: list[AccountShare] = field(default_factory=list)


@dataclass(slots=True)
class Hold:
    """Open deliveries that stand still for one reason."""

    reason: str  #: Reason, "ready", "leased" or "" (due now)
    step: int  #: from 1
    people: int
    next_at: datetime | None


@dataclass(slots=True)
class Report:
    """All figures of one campaign at one moment."""

    campaign_id: int
    name: str
    status: str
    planned: int
    made_at: datetime
    outcomes: dict[str, int] = field(default_factory=dict)
    #: Why, within each outcome.
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    open: int = 0
    holds: list[Hold] = field(default_factory=list)
    steps: list[StepReport] = field(default_factory=list)
    currency: str = "RUB"
    cost: Decimal = Decimal(0)
    alone_channel: str = ""
    alone_cost: Decimal = Decimal(0)
    doubles: int = 0
    #: What the people reached twice cost, both messages; and the part of it that was for nothing.
    doubles_cost: Decimal = Decimal(0)
    doubles_waste: Decimal = Decimal(0)
    unknown: int = 0

    @property
    def total(self) -> int:
        """Deliveries found. Anything but `planned` is a bug, shown in red (I26)."""
        return sum(self.outcomes.values()) + self.open

    @property
    def balanced(self) -> bool:
        """While recipients are still being written down, their number grows with the rows."""
        if self.status == CampaignStatus.FINISHED:
            return sum(self.outcomes.values()) == self.planned
        return self.total == self.planned

    @property
    def reached(self) -> int:
        return self.outcomes.get(Outcome.REACHED.value, 0)

    @property
    def done(self) -> int:
        return sum(self.outcomes.values())

    @property
    def over(self) -> bool:
        """Every person has an outcome, so sums can be compared."""
        return self.planned > 0 and self.open == 0 and self.status not in _STARTING

    @property
    def saved(self) -> Decimal:
        """Against the last channel alone; negative: the cascade was dearer."""
        return self.alone_cost - self.cost

    @property
    def saved_percent(self) -> Decimal | None:
        """With one decimal, as the owner reads it; None where there is nothing to compare with."""
        if not self.alone_cost:
            return None
        return (self.saved * 100 / self.alone_cost).quantize(Decimal("0.1"))

    def as_json(self) -> dict[str, Any]:
        """Plain values with the derived figures; amounts as text, so that no kopeck becomes a float."""
        plain = _plain(asdict(self))
        percent = self.saved_percent
        plain |= {
            "reached": self.reached,
            "balanced": self.balanced,
            "over": self.over,
            "saved": _plain(rounded(self.saved)),
            "saved_percent": None if percent is None else str(percent),
        }
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of as_json(); derived figures are derived again."""
        fields = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        for money in ("cost", "alone_cost", "doubles_cost", "doubles_waste"):
            fields[money] = Decimal(fields[money])
        fields["made_at"] = _moment(fields["made_at"])
        fields["holds"] = [Hold(**{**one, "next_at": _moment(one["next_at"])}) for one in fields["holds"]]
        fields["steps"] = [
            StepReport(
                **{
                    **one,
                    "cost": Decimal(one["cost"]),
                    "accounts": [AccountShare(**{**a, "cost": Decimal(a["cost"])}) for a in one.get("accounts", [])],
                }
            )
            for one in fields["steps"]
        ]
        return cls(**fields)


_STARTING = (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.LAUNCHING)
_ENDED = (CampaignStatus.FINISHED, CampaignStatus.CANCELLED)


def campaign_report(campaign_id: int) -> Report:
    """The report for pages: stored, cached or computed, in this order. Raises Campaign.DoesNotExist.

    Reads only; storing is analytics.services.store_report()'s, called by whoever found the report not stored.
    """
    campaign = Campaign.objects.get(pk=campaign_id)
    stored = CampaignReport.objects.filter(pk=campaign_id).first() if campaign.status in _ENDED else None
    if stored is not None and not _unsettled(campaign, stored):
        report = Report.from_json(stored.data)
        report.name, report.status = campaign.name, campaign.status
        return report
    key = f"analytics.report.{campaign_id}.{campaign.status}"
    cached: Report | None = cache.get(key)
    if cached is not None:
        return cached
    started = time.monotonic()
    report = compute_report(campaign)
    took = time.monotonic() - started
    cache.set(key, report, max(FRESH, took / _SHARE))
    return report


def is_stored(report: Report) -> bool:
    """Whether these very figures are the stored ones."""
    made_at = CampaignReport.objects.filter(pk=report.campaign_id).values_list("made_at", flat=True).first()
    return made_at == report.made_at


def _unsettled(campaign: Campaign, stored: CampaignReport) -> bool:
    """Whether late receipts may have changed the stored figures."""
    ended = campaign.finished_at
    if ended is None:
        return True
    return stored.made_at < ended + SETTLES and now() - stored.made_at > _SETTLING


_DELIVERIES = """
SELECT state, outcome, outcome_step, outcome_reason, trail, step, lead, wait_reason, has_unknown, is_double,
       count(*), min(due_at)
FROM deliveries_delivery WHERE campaign_id = %s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""

#: The earliest moment of each milestone over a step's tries; cost over all of them.
_ATTEMPTS = """
WITH tried AS (
    SELECT a.delivery_id, a.step AS position, d.lead, d.trail, d.is_double, d.outcome_step,
        min(a.called_at) AS called_at,
        min(a.accepted_at) AS accepted_at, min(a.sent_at) AS sent_at, min(a.delivered_at) AS delivered_at,
        min(a.read_at) AS read_at, min(a.clicked_at) AS clicked_at, min(a.replied_at) AS replied_at,
        min(a.goal_at) AS goal_at,
        bool_or(a.state = 'unknown') AS unknown,
        sum(a.cost) AS cost, max(a.parts) AS parts
    FROM deliveries_attempt a JOIN deliveries_delivery d ON d.id = a.delivery_id
    WHERE d.campaign_id = %s
    GROUP BY a.delivery_id, a.step, d.lead, d.trail, d.is_double, d.outcome_step
)
SELECT CASE WHEN lead IS NULL OR position > lead THEN position WHEN position = 0 THEN lead ELSE position - 1 END AS step,
    split_part(trail, ',', position + 1) AS left_because,
    count(*), count(accepted_at), count(sent_at), count(delivered_at), count(read_at), count(clicked_at),
    count(replied_at), count(goal_at),
    count(*) FILTER (WHERE unknown AND coalesce(accepted_at, sent_at, delivered_at, read_at) IS NULL),
    coalesce(sum(cost), 0),
    coalesce(sum(cost) FILTER (WHERE is_double), 0),
    coalesce(sum(cost) FILTER (WHERE is_double AND position IS DISTINCT FROM outcome_step), 0),
    coalesce(sum(parts), 0),
    sum(extract(epoch FROM delivered_at - called_at)) FILTER (WHERE delivered_at >= called_at)
FROM tried GROUP BY 1, 2
"""


def compute_report(campaign: Campaign) -> Report:
    """The figures as they are now, from the rows."""
    report = Report(campaign.pk, campaign.name, campaign.status, campaign.planned, now())
    plan = DeliveryPlan.objects.filter(campaign=campaign).first()
    frozen: list[dict[str, Any]] = plan.definition["steps"] if plan is not None else []
    accounts = [one for step in frozen for one in (step, *step["reserves"])]
    names = dict(Channel.objects.filter(pk__in={one["channel_id"] for one in accounts}).values_list("pk", "name"))
    report.steps = [
        StepReport(
            number=index + 1,
            channel_id=one["channel_id"],
            channel=names.get(one["channel_id"], "?"),
            kind=one["kind"],
            price=one["price"],
            charged_on=one["charged_on"],
        )
        for index, one in enumerate(frozen)
    ]
    report.currency = frozen[0].get("currency", "RUB") if frozen else "RUB"
    left = _count_deliveries(report)
    parts = _count_attempts(report, left)
    if len(accounts) > len(frozen):
        _count_accounts(report, frozen, names)
    _alone(report, frozen, parts)
    return report


def _count_deliveries(report: Report) -> dict[int, Counter[str]]:
    """Outcomes, what is open and why; returns how many left each step (from 0) for which reason."""
    left: dict[int, Counter[str]] = defaultdict(Counter)
    outcomes: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    holds: dict[tuple[str, int], Hold] = {}
    with connection.cursor() as cursor:
        cursor.execute(_DELIVERIES, [report.campaign_id])
        rows = cursor.fetchall()
    for state, outcome, by, because, trail, position, lead, waits, unknown, double, people, due in rows:
        step = plan_step(position, lead)
        for index, reason in enumerate(trail.split(",") if trail else ()):
            left[plan_step(index, lead)][reason] += people
        report.unknown += people if unknown else 0
        report.doubles += people if double else 0
        if state == DeliveryState.FINAL:
            outcomes[outcome] += people
            reasons[outcome][because] += people
            if outcome == Outcome.REACHED and by is not None and by < len(report.steps):
                report.steps[plan_step(by, lead)].reached += people
            continue
        report.open += people
        if step < len(report.steps):
            report.steps[step].waiting += people
        key = (waits if state == DeliveryState.WAITING else state, step)
        hold = holds.setdefault(key, Hold(key[0], step + 1, 0, due))
        hold.people += people
        if due is not None and (hold.next_at is None or due < hold.next_at):
            hold.next_at = due
    report.outcomes = {outcome.value: outcomes[outcome.value] for outcome in Outcome if outcomes[outcome.value]}
    report.reasons = {outcome: dict(found.most_common()) for outcome, found in reasons.items()}
    report.holds = sorted(holds.values(), key=lambda hold: (-hold.people, hold.step))
    return left


def _count_attempts(report: Report, left: Mapping[int, Counter[str]]) -> dict[int, tuple[int, int]]:
    """Calls, milestones and money by step; returns (people, SMS parts) called at each step (from 0)."""
    with connection.cursor() as cursor:
        cursor.execute(_ATTEMPTS, [report.campaign_id])
        rows = cursor.fetchall()
    called: dict[int, Counter[str]] = defaultdict(Counter)
    parts: dict[int, tuple[int, int]] = {}
    seconds: dict[int, float] = defaultdict(float)
    for index, because, people, *rest in rows:
        if index >= len(report.steps):
            continue
        step = report.steps[index]
        counts, (cost, double_cost, waste, part_sum, time_sum) = rest[:8], rest[8:]
        step.entered += people
        for name, value in zip(
            ("accepted", "sent", "delivered", "read", "clicked", "replied", "goal", "unknown"), counts, strict=True
        ):
            setattr(step, name, getattr(step, name) + value)
        step.cost += cost
        report.doubles_cost += double_cost
        report.doubles_waste += waste
        seconds[index] += float(time_sum or 0)
        before = parts.get(index, (0, 0))
        parts[index] = (before[0] + people, before[1] + part_sum)
        if because:
            called[index][because] += people
    for index, step in enumerate(report.steps):
        step.failed = dict(called[index].most_common())
        step.skipped = dict((left.get(index, Counter()) - called[index]).most_common())
        if step.delivered:
            step.average_seconds = round(seconds[index] / step.delivered, 1)
    report.cost = sum((step.cost for step in report.steps), Decimal(0))
    return parts


_ACCOUNTS = """
SELECT CASE WHEN d.lead IS NULL OR a.step > d.lead THEN a.step WHEN a.step = 0 THEN d.lead ELSE a.step - 1 END,
    a.channel_id, count(DISTINCT a.delivery_id),
    count(DISTINCT a.delivery_id) FILTER (WHERE a.delivered_at IS NOT NULL), coalesce(sum(a.cost), 0)
FROM deliveries_attempt a JOIN deliveries_delivery d ON d.id = a.delivery_id
WHERE d.campaign_id = %s GROUP BY 1, 2
"""


def _count_accounts(report: Report, frozen: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> None:
    """What each account of the steps with reserves has carried."""
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNTS, [report.campaign_id])
        found = {(step, channel_id): figures for step, channel_id, *figures in cursor.fetchall()}
    for index, step in enumerate(frozen):
        if step["reserves"]:
            report.steps[index].accounts = [
                AccountShare(
                    names.get(one["channel_id"], "?"),
                    one["price"],
                    *found.get((index, one["channel_id"]), (0, 0, Decimal(0))),
                )
                for one in (step, *step["reserves"])
            ]


def _alone(report: Report, frozen: list[dict[str, Any]], parts: Mapping[int, tuple[int, int]]) -> None:
    """What the last step with a price would cost for everybody; see the module's docstring."""
    priced = [index for index, one in enumerate(frozen) if Decimal(one["price"]) > 0]
    if not priced:
        return
    index = priced[-1]
    step = frozen[index]
    people = report.planned - report.outcomes.get(Outcome.SUPPRESSED.value, 0)
    called, known = parts.get(index, (0, 0))
    if not step["counts_sms_parts"]:
        total = Decimal(people)
    elif called:
        total = known + Decimal(known) / called * max(people - called, 0)
    else:
        total = people * _average_parts(report.campaign_id, step["says"])
    report.alone_channel = report.steps[index].channel
    report.alone_cost = rounded(Decimal(step["price"]) * total)


def _average_parts(campaign_id: int, says: Mapping[str, str]) -> Decimal:
    """SMS parts of the frozen text for some real recipients; 1 when it can be made for none of them."""
    text = prepare(Text(**says))
    rows = list(Delivery.objects.filter(campaign_id=campaign_id).values_list("contact_id", "variables")[:SAMPLE])
    cards = template_variables([contact_id for contact_id, _ in rows if contact_id is not None])
    parts = []
    reference = f"{settings.PUBLIC_BASE_URL}/l/{'x' * 22}"
    invited = text.invited(invites.samples()) if text.invites else {}
    for contact_id, variables in rows:
        try:
            rendered = text.render(
                {**overlay(cards.get(contact_id or 0, {}), variables), **invited}, link=reference, unsubscribe=reference
            )
        except EmptyVariable:
            continue
        parts.append(count_segments(rendered.text).parts)
    return Decimal(sum(parts)) / len(parts) if parts else Decimal(1)


def _plain(value: Any) -> Any:
    """JSON values only; Decimal and datetime as text."""
    if isinstance(value, Decimal):
        return str(rounded(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _moment(value: Any) -> Any:
    return parse_datetime(value) if isinstance(value, str) else value
