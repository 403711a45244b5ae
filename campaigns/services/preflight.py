"""Look before launching: whom it will reach, what it will say, and what it may cost.

People are counted by one GROUP BY over the audience, whatever its size. What depends on each person's own values
(SMS parts, empty variables) is computed on real people: all of them up to EXACT_UP_TO, above that an even sample by id
whose figures are scaled and marked as approximate. Measured: 20,000 people x 2 kinds take about a second.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Case, Count, F, Func, IntegerField, QuerySet, Sum, Value, When
from django.db.models.functions import Mod
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from campaigns.models import Campaign
from campaigns.money import rounded, say_money
from campaigns.selectors import audience, audience_variables, can_take, refusal, windows_for
from campaigns.services.readiness import Finding, Mend, blockers, steps_of, template_findings, texts_of
from cascade.vocabulary import RANK, ChannelKind, Milestone, Purpose, Reason
from channels import legal
from channels.models import ChainStep
from channels.providers.registry import provider_class
from channels.services import approved, invites
from channels.services.chains import (
    Level,
    Risk,
    Rung,
    accounts_of,
    double_risk,
    doubles_seen,
    say_accounts,
    say_doubles,
    say_step,
    validate_chain,
)
from channels.services.health import closed_channels
from contacts.models import Contact, ImportJob
from contacts.selectors import template_variables
from templates_app.models import KindChoices
from templates_app.rendering import SPECIAL_VARIABLES, TemplateError, overlay
from templates_app.segments import count as count_segments
from templates_app.services import Prepared, Rendered, prepare

#: Up to here everybody is computed; above, a sample of about this many.
EXACT_UP_TO = 20_000
#: Where nothing depends on the person, a few are enough to show what the text looks like.
PREVIEW_SAMPLE = 500
_BATCH = 2000
#: Local hours in which an advertisement may start without a warning.
_MORNING, _EVENING = 9, 21
_STOP_WORD = re.compile(r"\b(стоп|stop|отпис\w+|unsubscribe)\b", re.IGNORECASE)
#: As long as the real ones (22 random characters), so that SMS parts come out right.
_REF = "AbCdEfGhIjKlMnOpQrStUv"

#: Groups people are counted in, in the order they are shown; each person is in exactly one.
SENT, NO_ADDRESS, EMPTY = "sent", Reason.NO_ADDRESS.value, Reason.EMPTY_VARIABLE.value
TOO_LONG = Reason.MESSAGE_REFUSED.value
_LABELS: dict[str, str] = {
    SENT: gettext_noop("will be written to"),
    Reason.NO_CONSENT.value: gettext_noop("no consent to marketing"),
    Reason.STOP_LIST.value: gettext_noop("on the stop-list"),
    Reason.FREQUENCY_CAP.value: gettext_noop("have had enough messages for now"),
    NO_ADDRESS: gettext_noop("no address for any step"),
    EMPTY: gettext_noop("the text needs a value they do not have"),
    TOO_LONG: gettext_noop("their text is too long for every channel"),
}


@dataclass(frozen=True, slots=True)
class Group:
    """People of one fate."""

    code: str
    people: int

    @property
    def label(self) -> str:
        return _(_LABELS[self.code])


@dataclass(frozen=True, slots=True)
class EmptyValue:
    """A variable some people have no value for. `people` of those who would otherwise be written to."""

    name: str
    people: int
    examples: tuple[str, ...]

    @property
    def braced(self) -> str:
        """As it stands in the text."""
        return f"{{{self.name}}}"


@dataclass(frozen=True, slots=True)
class TooLong:
    """People whose text a channel cannot take, with a few names."""

    people: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """The message of one real contact."""

    contact_id: int
    contact: str
    rendered: Rendered
    length: int
    parts: int


@dataclass(frozen=True, slots=True)
class TextPreview:
    """What one channel kind will say: to a contact in the middle, and to the one with the longest text."""

    kind: ChannelKind
    typical: Example
    longest: Example
    counts_parts: bool
    has_subject: bool
    has_button: bool

    @property
    def label(self) -> str:
        return str(KindChoices(self.kind.value).label)

    @property
    def examples(self) -> list[Example]:
        """One where both are the same."""
        same = self.typical.rendered == self.longest.rendered
        return [self.typical] if same else [self.typical, self.longest]


@dataclass(frozen=True, slots=True)
class StepPreview:
    """One step in figures. `people`: who can take it. `cost`: if all of them were charged."""

    number: int
    channel: str
    channel_id: int
    sentence: str
    price: Decimal
    charged_on: str
    people: int
    parts: Decimal  #: average per person, 1 where parts do not count
    cost: Decimal
    doubles: bool
    doubles_why: str


@dataclass(slots=True)
class Preflight:
    """All that is known before the launch. `exact` False: money and empty values are scaled from a sample."""

    audience: int = 0
    groups: list[Group] = field(default_factory=list)
    merged: int = 0
    empty: list[EmptyValue] = field(default_factory=list)
    steps: list[StepPreview] = field(default_factory=list)
    texts: list[TextPreview] = field(default_factory=list)
    #: Everybody is reached by their first step.
    cost_from: Decimal = Decimal(0)
    #: Everybody walks the whole chain and each message is charged, late ones too: it cannot cost more.
    cost_to: Decimal = Decimal(0)
    #: The same if nobody gets two messages: a message charged on delivery and never delivered is free.
    cost_without_doubles: Decimal = Decimal(0)
    #: Everybody through the last step only: what it would cost without a cascade.
    cost_last_only: Decimal = Decimal(0)
    currency: str = "RUB"
    exact: bool = True
    #: People whose SMS has more than one paid part.
    several_parts: int = 0
    #: Index of a step -> people whose text its channel cannot take: it is left out for them.
    too_long: dict[int, TooLong] = field(default_factory=dict)
    #: The least time the first step takes, by pace alone.
    at_least: timedelta = timedelta(0)
    #: What the law says about these kinds and this purpose: what is serious, and the rest.
    grave: list[legal.Note] = field(default_factory=list)
    law: list[legal.Note] = field(default_factory=list)
    blockers: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    @property
    def people(self) -> int:
        """How many will be written to."""
        return next((group.people for group in self.groups if group.code == SENT), 0)

    @property
    def ready(self) -> bool:
        return not self.blockers

    def say_cost(self) -> str:
        """“from 5 467,80 to 15 562,20 RUB”."""
        low, high = say_money(self.cost_from, self.currency), say_money(self.cost_to, self.currency)
        cost = low if low == high else _("from %(low)s to %(high)s") % {"low": low, "high": high}
        return cost if self.exact else _("about %(cost)s") % {"cost": cost}


@dataclass(frozen=True, slots=True)
class _Terms:
    """A step's money rules."""

    bit: int
    kind: ChannelKind
    #: The cheapest and the dearest of its accounts: which of them carries a message is not known before.
    price: Decimal
    top_price: Decimal
    counts_parts: bool
    max_text: int
    charged_if_met: bool  #: charged when the step did what was expected of it
    charged_if_missed: bool  #: charged although the chain had to go on


@dataclass(slots=True)
class _Sums:
    """What walking over real people adds up."""

    walked: int = 0
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    single: Decimal = Decimal(0)
    last: Decimal = Decimal(0)
    nothing_left: int = 0
    unsayable: int = 0  #: nothing left because every text is too long
    too_long: Counter[int] = field(default_factory=Counter)  #: step's bit -> people whose text it cannot take
    too_long_who: dict[int, list[str]] = field(default_factory=dict)
    step_people: Counter[int] = field(default_factory=Counter)
    step_parts: Counter[int] = field(default_factory=Counter)
    several_parts: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    missing_who: dict[str, list[str]] = field(default_factory=dict)
    lengths: dict[ChannelKind, list[tuple[int, int, dict[str, Any]]]] = field(default_factory=dict)


_NO_HOURS = gettext_noop("No sending hours are set for %(kind)s: people may be written to at night.")
_NIGHT = gettext_noop("It would start at %(time)s, when people sleep. Set sending hours or another start.")
_ROBOT_HOURS = gettext_noop(
    "No sending hours are set for robot calls: a phone may ring at night. Add hours for “Voice call”, for example from "
    "10:00 to 20:00."
)
_ROBOT_ADVERTISING = gettext_noop(
    "Advertising by a robot that dials by itself is forbidden (law on advertising, article 18.2); consent is no sure "
    "defence. Leave the robot to service messages, or take this step out of the chain."
)
_NO_UNSUBSCRIBE = gettext_noop(
    "The text for %(kind)s does not say how to unsubscribe. Add {unsubscribe} or words like “СТОП to unsubscribe”."
)
_CONSENT_OFF = gettext_noop("Consent is not checked: advertising without consent is fined. Switch the check on.")
_CHAIN_WARNING = gettext_noop("The chain, step %(step)s: %(problem)s")
_TROUBLE = gettext_noop("The channel “%(channel)s” is in trouble right now: its messages will wait.")
_PARTS = gettext_noop("SMS: %(people)s people get a text of several parts, each part is paid. Shorten the text.")
_TOO_LONG = gettext_noop(
    "“%(channel)s” takes %(limit)s characters at most. For %(people)s people the text is longer and this step is left "
    "out (%(who)s). Shorten the text."
)
_BUDGET = gettext_noop("The budget of %(budget)s may not be enough: the campaign pauses when it is used up.")
_CURRENCIES = gettext_noop("The channels of this chain have prices in different currencies: sums mean nothing.")
_LAW = gettext_noop("%(kind)s: %(note)s")
_EMPTY_VALUES = gettext_noop(
    "%(people)s people have no value for {%(name)s}. Give it a fallback, like {%(name)s|friend}."
)


def run(campaign: Campaign) -> Preflight:
    """Everything about this campaign before it starts. No side effects. Works on a campaign that cannot start, too:
    the blockers say why."""
    steps = steps_of(campaign)
    result = Preflight(blockers=blockers(campaign))
    texts = _prepared(campaign, steps)
    terms = [_terms(index, step) for index, step in enumerate(steps)]
    result.currency = steps[0].channel.currency if steps else "RUB"
    by_mask = _count(campaign, steps, result)
    sums = _Sums()
    sendable = sum(count for mask, count in by_mask.items() if mask)
    if texts is not None and sendable:
        personal = any(_is_personal(text) for text in texts.values())
        sums = _walk(campaign, steps, sendable, EXACT_UP_TO if personal else PREVIEW_SAMPLE, terms, texts)
        result.texts = [_preview(kind, texts[kind], sums, steps) for kind in texts if sums.lengths.get(kind)]
        if not personal:
            sums = _same_for_all(by_mask, terms, texts)
        _add_up(result, sums, sendable)
    result.steps = _steps(steps, terms, by_mask, sums, texts)
    result.merged = ImportJob.objects.filter(target__campaigns=campaign).aggregate(n=Sum("duplicates"))["n"] or 0
    result.at_least = _duration(campaign, steps, result.people)
    law = legal.notes_for([ChannelKind(step.channel.kind) for step in steps], [Purpose(campaign.purpose)])
    result.grave = [note for note in law if note.serious]
    result.law = [note for note in law if not note.serious]
    result.warnings = list(_warnings(campaign, steps, texts, result))
    return result


def example_for(campaign: Campaign, kind: str) -> Rendered | None:
    """The text of this kind for some real recipient, else with fallbacks only; None when it cannot be made."""
    steps = steps_of(campaign)
    text = (_prepared(campaign, steps) or {}).get(ChannelKind(kind))
    if text is None:
        return None
    people = audience(campaign).annotate(file_values=audience_variables(campaign)).values_list("pk", "file_values")
    candidates: list[dict[str, Any]] = []
    for pk, file_values in people.order_by("pk")[:20]:
        candidates.append(overlay(template_variables([pk]).get(pk, {}), file_values))
    for values in [*candidates, {}]:
        if not text.missing(values):
            return _render(text, values)
    return None


# ---------------------------------------------------------------- people


def _masks(steps: Sequence[ChainStep]) -> Any:
    """Which steps a person can take, as an integer: bit i for step i."""
    bits = [
        Case(When(can_take(step), then=Value(1 << index)), default=Value(0), output_field=IntegerField())
        for index, step in enumerate(steps)
    ]
    return sum(bits[1:], bits[0]) if bits else Value(0, output_field=IntegerField())


def _count(campaign: Campaign, steps: Sequence[ChainStep], result: Preflight) -> Counter[int]:
    """Fill audience and groups in; return the sendable people by which steps they can take. One query."""
    rows = (
        audience(campaign)
        .annotate(refused=refusal(campaign), mask=_masks(steps))
        .values_list("refused", "mask")
        .annotate(people=Count("pk"))
        .order_by()
    )
    groups: Counter[str] = Counter()
    by_mask: Counter[int] = Counter()
    for refused, mask, people in rows:
        result.audience += people
        if refused:
            groups[refused] += people
        else:
            by_mask[mask] += people
            groups[SENT if mask else NO_ADDRESS] += people
    result.groups = [Group(code, groups[code]) for code in _LABELS if groups[code]]
    return by_mask


def _sendable(campaign: Campaign, steps: Sequence[ChainStep]) -> QuerySet[Contact]:
    return (
        audience(campaign)
        .annotate(refused=refusal(campaign), mask=_masks(steps))
        .filter(refused="", mask__gt=0)
        .annotate(file_values=audience_variables(campaign))
    )


def _walk(
    campaign: Campaign,
    steps: Sequence[ChainStep],
    total: int,
    limit: int,
    terms: Sequence[_Terms],
    texts: Mapping[ChannelKind, Prepared],
) -> _Sums:
    """Render for all real people if they are at most `limit`, else for about so many, evenly spread."""
    sums = _Sums()
    people: QuerySet[Any] = _sendable(campaign, steps)
    every = -(-total // limit)
    if every > 1:
        # Not id % every: ids of one import may all be even.
        people = people.alias(turn=Mod(Func(F("pk"), function="hashint8"), Value(every))).filter(turn=0)
    rows = people.order_by("pk").values_list("pk", "mask", "file_values")
    for batch in _batches(rows.iterator(chunk_size=_BATCH)):
        cards = template_variables([row[0] for row in batch])
        for pk, mask, file_values in batch:
            _one(pk, mask, overlay(cards.get(pk, {}), file_values), terms, texts, sums)
    return sums


def _same_for_all(by_mask: Counter[int], terms: Sequence[_Terms], texts: Mapping[ChannelKind, Prepared]) -> _Sums:
    """The sums where no text depends on the person: from the counted groups, exactly, however many people there are."""
    sums = _Sums()
    said = {kind: _render(text, {}).text for kind, text in texts.items()}
    parts = {kind: count_segments(text).parts for kind, text in said.items()}
    for mask, people in by_mask.items():
        if not mask:
            continue
        sums.walked += people
        able = [one for one in terms if mask & one.bit and len(said[one.kind]) <= one.max_text]
        for one in terms:
            if mask & one.bit and one not in able:
                sums.too_long[one.bit] += people
        if able:
            _charge(able, parts, people, sums)
        else:
            sums.unsayable += people
    return sums


def _one(
    pk: int,
    mask: int,
    values: dict[str, Any],
    terms: Sequence[_Terms],
    texts: Mapping[ChannelKind, Prepared],
    sums: _Sums,
) -> None:
    """Add one person: which steps really work for them, how many parts, what that costs."""
    sums.walked += 1
    parts: dict[ChannelKind, int] = {}
    lengths: dict[ChannelKind, int] = {}
    unable: set[str] = set()
    for kind, text in texts.items():
        lacking = text.missing(values)
        if lacking:
            unable.update(lacking)
            continue
        rendered = _render(text, values)
        parts[kind] = count_segments(rendered.text).parts
        lengths[kind] = len(rendered.text)
        sums.lengths.setdefault(kind, []).append((len(rendered.text), pk, values))
    for name in unable:
        sums.missing[name] += 1
        _name(sums.missing_who.setdefault(name, []), pk, values)
    written = [one for one in terms if mask & one.bit and one.kind in parts]
    able = [one for one in written if lengths[one.kind] <= one.max_text]
    for one in written:
        if one not in able:
            sums.too_long[one.bit] += 1
            _name(sums.too_long_who.setdefault(one.bit, []), pk, values)
    if not able:
        sums.unsayable += bool(written)
        sums.nothing_left += not written
        return
    _charge(able, parts, 1, sums)


def _name(examples: list[str], pk: int, values: Mapping[str, Any]) -> None:
    """Add this person to the few that are named."""
    if len(examples) < 5:
        examples.append(str(values.get("name") or values.get("full_name") or values.get("phone") or f"#{pk}"))


def _charge(able: Sequence[_Terms], parts: Mapping[ChannelKind, int], people: int, sums: _Sums) -> None:
    """Add what so many people cost who can take these steps with these texts."""
    counted = [parts[one.kind] if one.counts_parts else 1 for one in able]
    for one, number in zip(able, counted, strict=True):
        sums.step_people[one.bit] += people
        sums.step_parts[one.bit] += people * number
        if number > 1:
            sums.several_parts += people
    lowest = [one.price * number for one, number in zip(able, counted, strict=True)]
    low, high, single, last = _bill(able, lowest, [one.top_price * n for one, n in zip(able, counted, strict=True)])
    sums.low += low * people
    sums.high += high * people
    sums.single += single * people
    sums.last += last * people


def _bill(
    able: Sequence[_Terms], lowest: Sequence[Decimal], prices: Sequence[Decimal]
) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """(cheapest, dearest, dearest without doubles, last step only) for one person who can take these steps."""
    low = lowest[0] if able[0].charged_if_met else Decimal(0)
    single = Decimal(0)
    on_the_way = Decimal(0)
    for one, price in zip(able, prices, strict=True):
        single = max(single, on_the_way + price)
        if one.charged_if_missed:
            on_the_way += price
    return low, sum(prices, Decimal(0)), single, lowest[-1]


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


# ---------------------------------------------------------------- words and money


def _prepared(campaign: Campaign, steps: list[ChainStep]) -> dict[ChannelKind, Prepared] | None:
    """The texts, compiled; None when one cannot be (the blockers say which)."""
    try:
        return {kind: prepare(text) for kind, text in texts_of(campaign, steps).items()}
    except TemplateError:
        return None


def _render(text: Prepared, values: Mapping[str, Any]) -> Rendered:
    invited = text.invited(invites.samples()) if text.invites else {}
    return text.render(
        {**values, **invited},
        link=f"{settings.PUBLIC_BASE_URL}/l/{_REF}",
        unsubscribe=f"{settings.PUBLIC_BASE_URL}/u/{_REF}",
    )


def _terms(index: int, step: ChainStep) -> _Terms:
    accounts = accounts_of(step)
    facts = [provider_class(one.provider).capabilities for one in accounts]
    expected = step.then_expect or step.expect
    first = Milestone(step.expect) if step.expect else None
    last = Milestone(expected) if expected else None
    charged = [Milestone(one.charged_on) for one in accounts]
    return _Terms(
        bit=1 << index,
        kind=ChannelKind(step.channel.kind),
        price=min(one.price for one in accounts),
        top_price=max(one.price for one in accounts),
        counts_parts=any(one.counts_sms_parts for one in facts),
        max_text=min(one.max_text for one in facts),
        charged_if_met=last is None or all(RANK[one] <= RANK[last] for one in charged),
        charged_if_missed=any(_is_charged_if_missed(one, first, last) for one in charged),
    )


def _is_charged_if_missed(charged: Milestone, first: Milestone | None, last: Milestone | None) -> bool:
    """Missed means at worst: everything below the last expectation came, the expectation itself did not."""
    if charged is Milestone.ACCEPTED or last is None or RANK[charged] < RANK[last]:
        return True
    return first is not None and first is not last and RANK[charged] <= RANK[first]


def _is_personal(text: Prepared) -> bool:
    """Whether the text differs from person to person in more than the secret part of its links."""
    names = {*text.text.variables, *text.subject.variables, *text.button.variables}
    return bool(names - SPECIAL_VARIABLES)


def _add_up(result: Preflight, sums: _Sums, sendable: int) -> None:
    """Put the sums into the result, scaled to everybody where only some were walked over."""
    if not sums.walked:
        return
    scale = Decimal(1) if sums.walked == sendable else Decimal(sendable) / sums.walked
    result.exact = scale == 1
    result.cost_from, result.cost_to = rounded(sums.low * scale), rounded(sums.high * scale)
    result.cost_without_doubles, result.cost_last_only = rounded(sums.single * scale), rounded(sums.last * scale)
    lost = {EMPTY: round(sums.nothing_left * scale), TOO_LONG: round(sums.unsayable * scale)}
    if any(lost.values()):
        counts = {group.code: group.people for group in result.groups} | lost
        counts[SENT] = counts.get(SENT, 0) - sum(lost.values())
        result.groups = [Group(code, counts[code]) for code in _LABELS if counts.get(code)]
    result.several_parts = round(sums.several_parts * scale)
    result.too_long = {
        bit.bit_length() - 1: TooLong(round(people * scale), tuple(sums.too_long_who.get(bit, ())))
        for bit, people in sorted(sums.too_long.items())
    }
    result.empty = [
        EmptyValue(name, round(people * scale), tuple(sums.missing_who[name]))
        for name, people in sums.missing.most_common()
    ]


def _preview(kind: ChannelKind, text: Prepared, sums: _Sums, steps: Sequence[ChainStep]) -> TextPreview:
    ordered = sorted(sums.lengths[kind], key=lambda one: one[:2])
    facts = [
        provider_class(one.provider).capabilities
        for step in steps
        for one in accounts_of(step)
        if step.channel.kind == kind
    ]
    return TextPreview(
        kind,
        _example(text, ordered[len(ordered) // 2]),
        _example(text, ordered[-1]),
        counts_parts=any(one.counts_sms_parts for one in facts),
        has_subject=any(one.has_subject for one in facts),
        # A letter's button is a link (templates_app.html): without a link there is none.
        has_button=any(one.buttons or (one.has_subject and text.source.link) for one in facts),
    )


def _example(text: Prepared, one: tuple[int, int, dict[str, Any]]) -> Example:
    length, pk, values = one
    rendered = _render(text, values)
    who = str(values.get("name") or values.get("full_name") or f"#{pk}")
    return Example(pk, who, rendered, length, count_segments(rendered.text).parts)


def _rung(step: ChainStep, texts: Mapping[ChannelKind, Prepared] | None) -> Rung:
    """The step as the rules see it, with the life of the text it will send where an approved one has its own."""
    rung = Rung.of(step)
    text = (texts or {}).get(rung.kind)
    lives = [approved.life_of(one.pk, text.source) for one in accounts_of(step)] if text is not None else []
    known = [life for life in lives if life is not None]
    # An account in reserve that keeps its messages for nobody knows how long spoils the promise of the others.
    return replace(rung, life=max(known)) if known and len(known) == len(lives) else rung


def _steps(
    steps: Sequence[ChainStep],
    terms: Sequence[_Terms],
    by_mask: Counter[int],
    sums: _Sums,
    texts: Mapping[ChannelKind, Prepared] | None,
) -> list[StepPreview]:
    found = []
    sendable = sum(count for mask, count in by_mask.items() if mask)
    scale = Decimal(sendable) / sums.walked if sums.walked else Decimal(1)
    rungs = [_rung(step, texts) for step in steps]
    seen = doubles_seen(rungs)
    for index, (step, one) in enumerate(zip(steps, terms, strict=True)):
        walked = sums.step_people[one.bit]
        parts = Decimal(sums.step_parts[one.bit]) / walked if walked else Decimal(1)
        # With texts that were tried on people: those whose text can be made. Else all with an address.
        able = sum(count for mask, count in by_mask.items() if mask & one.bit)
        people = round(walked * scale) if sums.walked else able
        last = index == len(steps) - 1 and not step.chain.dialogue_days
        rung = rungs[index]
        risk, _why = double_risk(rung)
        found.append(
            StepPreview(
                number=index + 1,
                channel=say_accounts(accounts_of(step)),
                channel_id=step.channel_id,
                sentence=say_step(rung, last=last),
                price=step.channel.price,
                charged_on=str(step.channel.get_charged_on_display()),
                people=people,
                parts=parts,
                cost=rounded(step.channel.price * parts * people),
                doubles=not last and risk is Risk.POSSIBLE,
                doubles_why="" if last else say_doubles(rung, seen),
            )
        )
    return found


def _duration(campaign: Campaign, steps: Sequence[ChainStep], people: int) -> timedelta:
    """The least time the first step takes at the pace of campaign and channel; hours and waits come on top."""
    paces = [steps[0].channel.rate] if steps else []
    if campaign.per_minute:
        paces.append(campaign.per_minute / 60)
    return timedelta(seconds=round(people / min(paces))) if paces else timedelta(0)


# ---------------------------------------------------------------- warnings


def _warnings(
    campaign: Campaign, steps: list[ChainStep], texts: Mapping[ChannelKind, Prepared] | None, result: Preflight
) -> Iterator[Finding]:
    for note in result.grave:
        kinds = {ChannelKind(step.channel.kind) for step in steps} & note.kinds
        labels = ", ".join(str(KindChoices(kind.value).label) for kind in ChannelKind if kind in kinds)
        yield Finding(_LAW, Mend.CHAIN, campaign.chain_id, {"kind": labels, "note": _(note.text)})
    if campaign.purpose == Purpose.MARKETING:
        yield from _marketing_warnings(campaign, steps, texts or {})
    if any(step.channel.kind == ChannelKind.VOICE for step in steps):
        if ChannelKind.VOICE not in windows_for(campaign):
            yield Finding(_ROBOT_HOURS, Mend.HOURS)
        if campaign.purpose == Purpose.MARKETING:
            yield Finding(_ROBOT_ADVERTISING, Mend.CHAIN, campaign.chain_id)
    rungs = [_rung(step, texts) for step in steps]
    for problem in validate_chain(rungs, any_first=bool(campaign.chain.dialogue_days)):
        if problem.level is Level.WARNING and problem.step is not None:
            params = {"step": problem.step + 1, "problem": problem.text()}
            yield Finding(_CHAIN_WARNING, Mend.CHAIN, campaign.chain_id, params)
    yield from template_findings(campaign, steps, Level.WARNING)
    troubled = closed_channels()
    accounts = {one.pk: one for step in steps for one in accounts_of(step)}.values()
    for channel in accounts:
        if channel.enabled and channel.pk in troubled:
            yield Finding(_TROUBLE, Mend.CHANNEL, channel.pk, {"channel": channel.name})
    if len({one.currency for one in accounts}) > 1:
        yield Finding(_CURRENCIES, Mend.CHAIN, campaign.chain_id)
    if result.several_parts:
        yield Finding(_PARTS, Mend.TEMPLATE, campaign.template_id, {"people": result.several_parts})
    for index, long in result.too_long.items():
        channel = steps[index].channel
        params = {
            "people": long.people,
            "channel": channel.name,
            "limit": min(provider_class(one.provider).capabilities.max_text for one in accounts_of(steps[index])),
            "who": ", ".join(long.examples) or "…",
        }
        yield Finding(_TOO_LONG, Mend.TEMPLATE, campaign.template_id, params)
    for empty in result.empty:
        params = {"people": empty.people, "name": empty.name}
        yield Finding(_EMPTY_VALUES, Mend.TEMPLATE, campaign.template_id, params)
    if campaign.budget is not None and campaign.budget < result.cost_to:
        params = {"budget": say_money(campaign.budget, result.currency)}
        yield Finding(_BUDGET, Mend.CAMPAIGN, campaign.pk, params)


def _marketing_warnings(
    campaign: Campaign, steps: list[ChainStep], texts: Mapping[ChannelKind, Prepared]
) -> Iterator[Finding]:
    if not campaign.check_consent:
        yield Finding(_CONSENT_OFF, Mend.CAMPAIGN, campaign.pk)
    windows = windows_for(campaign)
    kinds = list(dict.fromkeys(ChannelKind(step.channel.kind) for step in steps))
    open_all_night = [kind for kind in kinds if kind not in windows and kind is not ChannelKind.VOICE]
    if open_all_night:
        labels = ", ".join(str(KindChoices(kind.value).label) for kind in open_all_night)
        yield Finding(_NO_HOURS, Mend.HOURS, None, {"kind": labels})
        starts = (campaign.scheduled_at or now()).astimezone(ZoneInfo(settings.TIME_ZONE))
        if not _MORNING <= starts.hour < _EVENING:
            yield Finding(_NIGHT, Mend.CAMPAIGN, campaign.pk, {"time": f"{starts:%H:%M}"})
    for kind, text in texts.items():
        # A letter carries a button of its own for that (RFC 8058); to an operator the person says it.
        if (
            kind not in {ChannelKind.EMAIL, ChannelKind.OPERATOR}
            and not text.uses_unsubscribe
            and not _STOP_WORD.search(text.source.text)
        ):
            params = {"kind": KindChoices(kind.value).label}
            yield Finding(_NO_UNSUBSCRIBE, Mend.TEMPLATE, campaign.template_id, params)
