"""What would happen: people walk through a plan on a virtual clock, with the very code that really decides.

Used by tests, docs and the owner's what-if. There is no second model of the rules here: settle() and apply()
are called as the engine calls them, so a preview cannot disagree with what is really sent. What is modelled
is the world: who has an address, what a provider answers and when, what people do.

People do not influence each other (no rate limits, no breakers), so each walks alone through their own few
events; 100,000 people take seconds, and the same seed always gives the same report.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from math import log, sqrt

from cascade.actions import Finish, Send, Skip
from cascade.events import Accepted, Called, Event, Failed, Reported, Unknown
from cascade.machine import apply, give_up_at, settle
from cascade.plan import Plan
from cascade.state import Phase, State, StepState
from cascade.vocabulary import ChargedOn, FailureClass, Milestone, Outcome, Reason

_ZERO = timedelta(0)
#: A person whose walk needs more steps than this is a bug in the rules, not a patient person.
_MOST_EVENTS = 10_000

_CHARGED_AT: Mapping[ChargedOn, Milestone] = {
    ChargedOn.ACCEPTED: Milestone.ACCEPTED,
    ChargedOn.DELIVERED: Milestone.DELIVERED,
    ChargedOn.READ: Milestone.READ,
}


@dataclass(frozen=True, slots=True)
class ChannelModel:
    """How one channel, and people in it, behave. Shares are probabilities in [0, 1], each of those before."""

    price: Decimal = Decimal(0)  #: per message, in the currency of the report
    charged_on: ChargedOn = ChargedOn.ACCEPTED
    addressed: float = 1.0  #: of people: have an address this channel could use
    registered: float = 1.0  #: of those called: the provider knows the recipient
    delivered: float = 1.0  #: of accepted
    read: float = 0.0  #: of delivered
    clicked: float = 0.0  #: of read
    replied: float = 0.0  #: of read
    transient: float = 0.0  #: of calls: refused, not sent, may be tried again
    unknown: float = 0.0  #: of calls: the answer is lost; the message left all the same
    answer_time: timedelta = timedelta(milliseconds=300)
    #: Mean times of exponential delays: acceptance to delivery, delivery to reading, reading to acting.
    delivery_time: timedelta = timedelta(seconds=10)
    reading_time: timedelta = timedelta(minutes=30)
    acting_time: timedelta = timedelta(minutes=5)
    #: Messages not delivered by the end of the step's wait are dropped by the provider (R7).
    honours_ttl: bool = True
    #: What the provider can tell us; what it cannot happens all the same, unseen.
    reports: frozenset[Milestone] = frozenset(Milestone)


@dataclass(frozen=True, slots=True)
class Person:
    """One recipient. `delivered` overrides chance per channel id, for replaying a campaign whose figures are
    known; `unreachable` is by step, as in State."""

    delivered: Mapping[int, bool] = field(default_factory=dict)
    unreachable: Mapping[int, Reason] = field(default_factory=dict)
    zone: str = "Europe/Moscow"
    deadline: datetime | None = None


@dataclass(slots=True)
class StepReport:
    """What one step did for everybody."""

    channel_id: int
    calls: int = 0
    accepted: int = 0
    delivered: int = 0
    read: int = 0
    reached: int = 0  #: deliveries that ended as reached by this step
    charged: int = 0  #: messages that are paid for
    cost: Decimal = Decimal(0)
    left: Counter[Reason] = field(default_factory=Counter)


@dataclass(slots=True)
class Report:
    """A simulated campaign. The outcomes sum to `people`, always."""

    people: int
    outcomes: Counter[Outcome]
    steps: list[StepReport]
    #: People to whom more than one message was delivered: duplicate exposures (R6).
    doubles: int
    #: From start to end of each delivery, sorted.
    durations: list[timedelta]

    @property
    def reached(self) -> int:
        """How many people were reached."""
        return self.outcomes[Outcome.REACHED]

    @property
    def cost(self) -> Decimal:
        """What all of it costs, in the currency of the prices."""
        return sum((step.cost for step in self.steps), Decimal(0))

    def share(self, count: int | None = None) -> float:
        """`count`, by default the reached, as a share of the people; 0.0 for nobody."""
        return (self.reached if count is None else count) / self.people if self.people else 0.0

    def interval(self, count: int | None = None, z: float = 1.96) -> tuple[float, float]:
        """Wilson's interval of that share (`z` 1.96: 95 of 100 such intervals hold the truth)."""
        return wilson(self.reached if count is None else count, self.people, z)

    def duration(self, share: float = 0.5) -> timedelta:
        """By when this share of the deliveries had ended, counted from the start of each."""
        if not self.durations:
            return _ZERO
        return self.durations[min(int(share * len(self.durations)), len(self.durations) - 1)]


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval for `count` of `total` (E. B. Wilson, JASA 22, 1927). (0, 1) for total 0."""
    if total == 0:
        return 0.0, 1.0
    share = count / total
    middle = share + z * z / (2 * total)
    spread = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (middle - spread) / scale, (middle + spread) / scale


def run(
    plan: Plan,
    channels: Mapping[int, ChannelModel],
    population: int | Iterable[Person],
    seed: int = 0,
    start: datetime = datetime(2026, 6, 1, 9, 0, tzinfo=UTC),
) -> Report:
    """Send everybody through `plan`, each starting at `start` (aware UTC), and count.

    `channels` has a model for every channel id of the plan (else KeyError). `population` is a head count,
    or the people themselves. Same arguments, same report. About 0.1 ms a person and step.
    """
    people: Iterable[Person]
    people = [Person()] * population if isinstance(population, int) else population
    models = [channels[step.channel_id] for step in plan.steps]
    report = Report(0, Counter(), [StepReport(step.channel_id) for step in plan.steps], 0, [])
    untouched = State.fresh(len(plan.steps)).steps
    chance = random.Random(seed)
    for person in people:
        _count(report, models, *_walk(plan, models, untouched, person, chance, start, report))
    report.durations.sort()
    for model, step in zip(models, report.steps, strict=True):
        step.cost = model.price * step.charged
    return report


def _walk(
    plan: Plan,
    models: Sequence[ChannelModel],
    untouched: tuple[StepState, ...],
    person: Person,
    chance: random.Random,
    start: datetime,
    report: Report,
) -> tuple[State, timedelta]:
    """One delivery from its start to the last thing that happens to it."""
    unreachable = dict(person.unreachable)
    for index, model in enumerate(models):
        if model.addressed < 1.0 and chance.random() >= model.addressed:
            unreachable.setdefault(index, Reason.NO_ADDRESS)
    state = State(
        untouched,
        unreachable=unreachable,
        zone=person.zone,
        deadline=person.deadline,
    )
    now = start
    coming: list[tuple[datetime, int, Event]] = []
    serial = 0
    for _ in range(_MOST_EVENTS):
        state, actions = settle(plan, state, now)
        for skip in actions[:-1]:
            if isinstance(skip, Skip):
                report.steps[skip.step].left[skip.because] += 1
        action = actions[-1]
        if isinstance(action, Finish):
            break
        if isinstance(action, Send):
            state = apply(plan, state, Called(action.step, now))
            report.steps[action.step].calls += 1
            for event in _answer(plan, models, state, person, chance, action.step, now):
                heappush(coming, (event.at, serial, event))
                serial += 1
            now, _, event = heappop(coming)
            state = apply(plan, state, event)
        elif not isinstance(action, Skip):
            if coming and coming[0][0] <= action.until:
                now, _, event = heappop(coming)
                state = apply(plan, state, event)
            else:
                now = action.until
    else:
        message = "a simulated delivery does not end: the plan and the rules contradict each other"
        raise RuntimeError(message)
    while coming:
        # What arrives after the end: it changes no outcome, but it may be a second message for the person.
        state = apply(plan, state, heappop(coming)[2])
    return state, now - start


def _answer(
    plan: Plan,
    models: Sequence[ChannelModel],
    state: State,
    person: Person,
    chance: random.Random,
    index: int,
    now: datetime,
) -> list[Event]:
    """What the call made at `now` brings: the provider's answer, and all that follows from it."""
    model = models[index]
    answered = now + model.answer_time
    if model.transient and chance.random() < model.transient:
        return [Failed(index, FailureClass.TRANSIENT, answered, jitter=chance.random())]
    if model.registered < 1.0 and chance.random() >= model.registered:
        return [Failed(index, FailureClass.RECIPIENT_PERMANENT, answered, Reason.NOT_REGISTERED)]
    events: list[Event]
    if model.unknown and chance.random() < model.unknown:
        events = [Unknown(index, answered, chance.random())]
    else:
        events = [Accepted(index, answered)]
    known = person.delivered.get(plan.steps[index].channel_id)
    arrives = chance.random() < model.delivered if known is None else known
    if not arrives:
        return events
    at = answered + _delay(model.delivery_time, chance)
    if model.honours_ttl:
        end = give_up_at(plan, state, index, answered)
        if end is not None and at >= end:
            return events
    happenings = [(Milestone.DELIVERED, at)]
    if model.read and chance.random() < model.read:
        at += _delay(model.reading_time, chance)
        happenings.append((Milestone.READ, at))
        for share, milestone in ((model.clicked, Milestone.CLICKED), (model.replied, Milestone.REPLIED)):
            if share and chance.random() < share:
                happenings.append((milestone, at + _delay(model.acting_time, chance)))
    events += [Reported(index, milestone, at) for milestone, at in happenings if milestone in model.reports]
    return events


def _delay(mean: timedelta, chance: random.Random) -> timedelta:
    return mean * -log(1.0 - chance.random()) if mean else _ZERO


def _count(report: Report, models: Sequence[ChannelModel], state: State, duration: timedelta) -> None:
    report.people += 1
    outcome = state.outcome
    if outcome is None:  # pragma: no cover: _walk() ends only with one
        return
    report.outcomes[outcome] += 1
    if outcome == Outcome.REACHED and state.outcome_step is not None:
        report.steps[state.outcome_step].reached += 1
    report.durations.append(duration)
    arrived = 0
    for model, step, known in zip(models, report.steps, state.steps, strict=True):
        if known.phase == Phase.PENDING or not known.milestones:
            continue
        milestones = known.milestones
        step.accepted += 1
        if Milestone.DELIVERED in milestones:
            step.delivered += 1
            arrived += 1
        step.read += Milestone.READ in milestones
        step.charged += _CHARGED_AT[model.charged_on] in milestones
    report.doubles += arrived > 1
