"""The report in words: what the page and the XLSX file say, made in one place so that they never differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from analytics.selectors import Hold, Report, StepReport
from campaigns.models import CampaignStatus
from campaigns.money import say_money
from cascade.vocabulary import Outcome
from channels.models import ChargedOnChoices
from deliveries.models import DeliveryState, OutcomeChoices
from deliveries.words import reason_label

#: Colours of badges and bars (campaigns/pages.css).
OUTCOME_COLOURS: dict[str, str] = {
    Outcome.REACHED: "success",
    Outcome.EXHAUSTED: "danger",
    Outcome.STOPPED: "warning",
    Outcome.SUPPRESSED: "warning",
    Outcome.EXPIRED: "warning",
}
STATUS_COLOURS: dict[str, str] = {
    CampaignStatus.DRAFT: "default",
    CampaignStatus.SCHEDULED: "info",
    CampaignStatus.LAUNCHING: "info",
    CampaignStatus.RUNNING: "success",
    CampaignStatus.PAUSED: "warning",
    CampaignStatus.CANCELLED: "danger",
    CampaignStatus.FINISHED: "default",
}
_STARTING = (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.LAUNCHING)
_HOLDS = {
    "": gettext_noop("due now"),
    DeliveryState.READY.value: gettext_noop("about to be sent"),
    DeliveryState.LEASED.value: gettext_noop("being sent"),
}


@dataclass(frozen=True, slots=True)
class Share:
    """A number of people with its reason and its share of the whole."""

    code: str
    label: str
    people: int
    percent: Decimal


@dataclass(frozen=True, slots=True)
class OutcomeView:
    code: str
    label: str
    colour: str
    people: int
    percent: Decimal
    reasons: list[Share]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar: colour and width in percent, as CSS reads it (with a point in every language)."""

    colour: str
    width: str
    title: str


@dataclass(frozen=True, slots=True)
class StepView:
    step: StepReport
    name: str
    price: str
    cost: str
    average: str
    segments: list[Segment]
    failed: list[Share]
    skipped: list[Share]
    #: “SMSC: 120 people, 540,00 RUB”, one line per account of a step with reserves.
    accounts: list[str]


@dataclass(frozen=True, slots=True)
class HoldView:
    label: str
    step: int
    people: int
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReportView:
    report: Report
    status: str
    status_colour: str
    done_percent: Decimal
    reached_percent: Decimal
    segments: list[Segment]
    outcomes: list[OutcomeView]
    steps: list[StepView]
    holds: list[HoldView]
    cost: str
    alone: str
    #: “1 867,80 ₽” without a sign; `dearer` says which way.
    saved: str
    saved_percent: str
    dearer: bool
    #: Whether the comparison with the last channel alone can be made now.
    comparable: bool
    #: Whether the sum can be compared with the plan; not while recipients are being written down.
    countable: bool
    #: “2 103 = 2 100 + 3”.
    sum_words: str
    doubles_cost: str
    doubles_waste: str
    #: Codes and words of every reason met, for the filter.
    reasons: list[tuple[str, str]] = field(default_factory=list)


def present(report: Report) -> ReportView:
    """Everything a page of this report says, in the language of the moment."""
    percent = report.saved_percent
    return ReportView(
        report=report,
        status=str(CampaignStatus(report.status).label),
        status_colour=STATUS_COLOURS[report.status],
        done_percent=_percent(report.done, report.planned),
        reached_percent=_percent(report.reached, report.planned),
        segments=_outcome_segments(report),
        outcomes=_outcomes(report),
        steps=[_step(report, step) for step in report.steps],
        holds=[_hold(hold) for hold in report.holds],
        cost=say_money(report.cost, report.currency),
        alone=say_money(report.alone_cost, report.currency),
        saved=say_money(abs(report.saved), report.currency),
        saved_percent="" if percent is None else f"{number_format(abs(percent), 1)}\N{NO-BREAK SPACE}%",
        dearer=report.saved < 0,
        comparable=report.over and percent is not None and len(report.steps) > 1,
        countable=report.status not in _STARTING,
        sum_words=_sum_words(report),
        doubles_cost=say_money(report.doubles_cost, report.currency),
        doubles_waste=say_money(report.doubles_waste, report.currency),
        reasons=_reasons(report),
    )


def outcome_label(outcome: str, state: str = "") -> str:
    """Words for an outcome; for none, for the state."""
    if outcome in OutcomeChoices.values:
        return str(OutcomeChoices(outcome).label)
    return str(DeliveryState(state).label) if state in DeliveryState.values else state


def say_seconds(seconds: float | None) -> str:
    """“4 s”, “12 min”, “3.5 h”; "" for None."""
    if seconds is None:
        return ""
    if seconds < 90:
        return _("%(number)s s") % {"number": number_format(round(seconds))}
    if seconds < 90 * 60:
        return _("%(number)s min") % {"number": number_format(round(seconds / 60))}
    return _("%(number)s h") % {"number": number_format(round(seconds / 3600, 1), 1)}


def _percent(part: int, whole: int) -> Decimal:
    """With one decimal; 0 of nothing."""
    return (Decimal(part) * 100 / whole).quantize(Decimal("0.1")) if whole else Decimal(0)


def _segment(colour: str, part: int, whole: int, title: str) -> Segment:
    return Segment(colour, f"{Decimal(part) * 100 / whole:.3f}" if whole else "0", title)


def _outcome_segments(report: Report) -> list[Segment]:
    whole = max(report.planned, report.total)
    bars = {"success": "good", "danger": "bad", "warning": "grey"}
    return [
        _segment(bars[OUTCOME_COLOURS[code]], people, whole, f"{outcome_label(code)}: {people}")
        for code, people in report.outcomes.items()
    ]


def _outcomes(report: Report) -> list[OutcomeView]:
    return [
        OutcomeView(
            code,
            outcome_label(code),
            OUTCOME_COLOURS[code],
            people,
            _percent(people, report.planned),
            _shares(report.reasons.get(code, {}), report.planned),
        )
        for code, people in report.outcomes.items()
    ]


def _shares(reasons: dict[str, int], whole: int) -> list[Share]:
    return [Share(code, reason_label(code), people, _percent(people, whole)) for code, people in reasons.items()]


def _step(report: Report, step: StepReport) -> StepView:
    """Of all planned: reached here, delivered but not reached, still open, left after a call."""
    lost = max(step.entered - step.reached - step.waiting, 0)
    segments = [
        _segment("good", step.reached, report.planned, _("reached: %(people)s") % {"people": step.reached}),
        _segment("open", step.waiting, report.planned, _("in work: %(people)s") % {"people": step.waiting}),
        _segment("grey", lost, report.planned, _("left: %(people)s") % {"people": lost}),
    ]
    charged = ChargedOnChoices(step.charged_on).label
    return StepView(
        step=step,
        name=step.channel,
        price=_("%(price)s, charged when %(charged)s")
        % {"price": say_money(Decimal(step.price), report.currency), "charged": charged},
        cost=say_money(step.cost, report.currency),
        average=say_seconds(step.average_seconds),
        segments=segments,
        failed=_shares(step.failed, report.planned),
        skipped=_shares(step.skipped, report.planned),
        accounts=[
            _("%(channel)s: called for %(people)s, delivered to %(delivered)s, %(cost)s")
            % {
                "channel": one.channel,
                "people": one.entered,
                "delivered": one.delivered,
                "cost": say_money(one.cost, report.currency),
            }
            for one in step.accounts
        ],
    )


def _hold(hold: Hold) -> HoldView:
    label = _(_HOLDS[hold.reason]) if hold.reason in _HOLDS else reason_label(hold.reason)
    return HoldView(label, hold.step, hold.people, hold.next_at)


def _sum_words(report: Report) -> str:
    parts = [
        f"{number_format(people, force_grouping=True)} ({outcome_label(code)})"
        for code, people in report.outcomes.items()
    ]
    if report.open:
        parts.append(f"{number_format(report.open, force_grouping=True)} ({_('in work')})")
    return " + ".join(parts) or "0"


def _reasons(report: Report) -> list[tuple[str, str]]:
    codes: dict[str, None] = {}
    for reasons in report.reasons.values():
        codes.update(dict.fromkeys(reasons))
    for step in report.steps:
        codes.update(dict.fromkeys((*step.failed, *step.skipped)))
    codes.update(dict.fromkeys(hold.reason for hold in report.holds if hold.reason not in _HOLDS))
    return sorted(((code, reason_label(code)) for code in codes if code), key=lambda one: one[1])
