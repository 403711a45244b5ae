"""Chains against what the wires can really do: validation, risk of doubles, plain words, presets, freezing.

Everything is read from Capabilities, so a new provider brings its own limits here without a line being changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from cascade.plan import Expectation, SendWindow, Step
from cascade.vocabulary import ChannelKind, Milestone, Purpose
from channels.models import Chain, ChainStep, Channel, ExpectChoices
from channels.providers.base import Capabilities, How, TtlRange
from channels.services.accounts import capabilities_of

# ---------------------------------------------------------------- what is wrong with a chain


class Level(StrEnum):
    ERROR = "error"  #: cannot be saved
    WARNING = "warning"  #: can be saved, the owner should know


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to know about a chain. `step` counts from 0, None is the chain as a whole; `field` is the form's."""

    level: Level
    message: str  #: English msgid
    params: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None
    field: str = ""

    def text(self) -> str:
        """The sentence in the language of the moment. Values that are milestones are translated too."""
        shown = {key: str(value) for key, value in self.params.items()}
        return _(self.message) % shown


@dataclass(frozen=True, slots=True)
class Rung:
    """A step as the rules see it: no database behind it, so forms can ask before anything is saved."""

    channel_name: str
    kind: ChannelKind
    capabilities: Capabilities
    expect: str
    wait: timedelta
    then_expect: str = ""
    then_wait: timedelta | None = None
    min_wait: timedelta = timedelta(minutes=1)
    channel_id: int = 0
    price: Any = 0

    @classmethod
    def of(cls, step: ChainStep) -> Rung:
        """From a model row, saved or not."""
        return cls(
            channel_name=step.channel.name,
            kind=ChannelKind(step.channel.kind),
            capabilities=capabilities_of(step.channel),
            expect=step.expect,
            wait=step.wait,
            then_expect=step.then_expect,
            then_wait=step.then_wait,
            min_wait=step.min_wait,
            channel_id=step.channel_id,
            price=step.channel.price,
        )


_EMPTY = gettext_noop("A chain needs at least one step.")
_NEVER = gettext_noop("“%(channel)s” can never report “%(milestone)s”, so this step would always run out of time.")
_NEVER_INSTEAD = gettext_noop(
    "“%(channel)s” can never report “%(milestone)s”, so this step would always run out of time. "
    "It can report: %(instead)s."
)
_BELOW_TTL = gettext_noop(
    "“%(channel)s” keeps an undelivered message for at least %(minimum)s. With a shorter wait the person may get this "
    "message after the next one. Wait at least %(minimum)s."
)
_ABOVE_TTL = gettext_noop(
    "“%(channel)s” gives up an undelivered message after %(maximum)s; the rest of the wait can no longer help."
)
_BY_TIME = gettext_noop(
    "This step moves on by time alone: also people who have read it get the next message. That annoys people and "
    "leads into spam filters; wait for a sign of life where the channel can give one."
)
_DOUBLE = gettext_noop(
    "“%(channel)s” can neither limit a message's life nor take it back: after %(wait)s the next message goes out, and "
    "a person who comes online later gets both."
)
_DOUBLE_BLIND = gettext_noop(
    "“%(channel)s” does not tell whether a message arrived: who read it without an answer gets the next one as well."
)
_ORDER = gettext_noop("The second wait must be for more than the first: “%(then)s” comes before “%(first)s”.")
_TWICE = gettext_noop("The channel “%(channel)s” stands in the chain more than once.")
_DEARER_FIRST = gettext_noop(
    "“%(channel)s” costs more than “%(next)s” after it. From cheap to dear is what saves money."
)

#: What may be offered in place of a milestone that is never reported, nearest first.
_OFFER = (Milestone.DELIVERED, Milestone.READ, Milestone.CLICKED, Milestone.REPLIED, Milestone.GOAL)


def reportable(capabilities: Capabilities) -> list[Milestone]:
    """Milestones a step of this channel may wait for, in the order of the ladder.

    A wire that reports `read` but not `delivered` still tells about delivery. Not where reading itself is only seen
    through our link, nor from replies and clicks: those come only from people who act, and waiting for `delivered`
    by them would send the fallback to everybody who just read.
    """
    reports = capabilities.reports
    possible = set(reports)
    if reports.get(Milestone.READ) in {How.CALLBACK, How.POLL, How.BOTH, How.ANSWER}:
        possible.add(Milestone.DELIVERED)
    return [milestone for milestone in _OFFER if milestone in possible]


def validate_chain(rungs: Sequence[Rung]) -> list[Problem]:
    """Everything wrong or risky, in the order of the steps."""
    if not rungs:
        return [Problem(Level.ERROR, _EMPTY)]
    problems: list[Problem] = []
    for index, rung in enumerate(rungs):
        following = rungs[index + 1] if index + 1 < len(rungs) else None
        problems += _validate_step(index, rung, following)
    seen: set[int] = set()
    for index, rung in enumerate(rungs):
        if rung.channel_id and rung.channel_id in seen:
            problems.append(Problem(Level.WARNING, _TWICE, {"channel": rung.channel_name}, index, "channel"))
        seen.add(rung.channel_id)
    return sorted(problems, key=lambda one: (one.step is None, one.step or 0))


def _validate_step(index: int, rung: Rung, following: Rung | None) -> Iterable[Problem]:
    possible = reportable(rung.capabilities)
    for value, where in ((rung.expect, "expect"), (rung.then_expect, "then_expect")):
        if value and Milestone(value) not in possible:
            params = {"channel": rung.channel_name, "milestone": milestone_label(value)}
            if possible:
                params["instead"] = ", ".join(_("“%(word)s”") % {"word": milestone_label(one)} for one in possible)
            yield Problem(Level.ERROR, _NEVER_INSTEAD if possible else _NEVER, params, index, where)
    if (
        rung.expect
        and rung.then_expect
        and _OFFER.index(Milestone(rung.then_expect)) < _OFFER.index(Milestone(rung.expect))
    ):
        params = {"then": milestone_label(rung.then_expect), "first": milestone_label(rung.expect)}
        yield Problem(Level.ERROR, _ORDER, params, index, "then_expect")
    if following is None:
        return
    if not rung.expect and not rung.capabilities.codes_only:
        yield Problem(Level.WARNING, _BY_TIME, {}, index, "expect")
    ttl = rung.capabilities.ttl
    if ttl is not None and rung.wait < ttl.minimum:
        params = {"channel": rung.channel_name, "minimum": say_duration(ttl.minimum)}
        yield Problem(Level.ERROR, _BELOW_TTL, params, index, "wait")
    if ttl is not None and rung.wait > ttl.maximum and rung.expect == Milestone.DELIVERED:
        params = {"channel": rung.channel_name, "maximum": say_duration(ttl.maximum)}
        yield Problem(Level.WARNING, _ABOVE_TTL, params, index, "wait")
    risk, _reason = double_risk(rung)
    if risk is Risk.POSSIBLE and rung.expect:
        params = {"channel": rung.channel_name, "wait": say_duration(rung.wait)}
        message = _DOUBLE_BLIND if rung.capabilities.recall else _DOUBLE
        yield Problem(Level.WARNING, message, params, index, "wait")
    if rung.price > following.price:
        params = {"channel": rung.channel_name, "next": following.channel_name}
        yield Problem(Level.WARNING, _DEARER_FIRST, params, index, "channel")


class Risk(StrEnum):
    EXCLUDED = "excluded"
    POSSIBLE = "possible"


_DIES = gettext_noop("An undelivered message dies at the provider when the wait ends, before the next one goes out.")
_RECALLED = gettext_noop("An undelivered message is taken back before the next one goes out.")
_RECALLED_BLIND = gettext_noop(
    "The message is taken back before the next one goes out, but nobody can tell whether it had been read by then."
)
_STAYS = gettext_noop("An undelivered message stays at the provider and may still arrive after the next one.")
_TTL_LONGER = gettext_noop("The provider keeps the message longer than the wait.")


def double_risk(step: Rung | ChainStep) -> tuple[Risk, str]:
    """Can a person get this message *after* the fallback has gone out? (risk, reason as English msgid) (R7)"""
    rung = step if isinstance(step, Rung) else Rung.of(step)
    ttl = rung.capabilities.ttl
    if ttl is not None and ttl.minimum <= rung.wait:
        return Risk.EXCLUDED, _DIES
    if rung.capabilities.recall:
        if Milestone.DELIVERED in reportable(rung.capabilities):
            return Risk.EXCLUDED, _RECALLED
        return Risk.POSSIBLE, _RECALLED_BLIND
    return Risk.POSSIBLE, _STAYS if ttl is None else _TTL_LONGER


# ---------------------------------------------------------------- in words


def milestone_label(value: str) -> str:
    """A milestone as the owner reads it."""
    return str(ExpectChoices(value).label)


def say_duration(duration: timedelta) -> str:
    """“15 minutes”, “1 day 2 hours”; seconds only where the demo needs them."""
    seconds = int(duration.total_seconds())
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    words = []
    if days:
        words.append(ngettext("%(count)s day", "%(count)s days", days) % {"count": days})
    if hours:
        words.append(ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": hours})
    if minutes:
        words.append(ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes})
    if seconds or not words:
        words.append(ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds})
    return " ".join(words)


def say_step(rung: Rung, *, last: bool = False) -> str:
    """“MAX, wait 15 minutes for “delivered””."""
    params = {
        "channel": rung.channel_name,
        "wait": say_duration(rung.wait),
        "milestone": milestone_label(rung.expect) if rung.expect else "",
    }
    if not rung.expect:
        return rung.channel_name if last else _("%(channel)s, then go on after %(wait)s") % params
    if rung.then_expect and rung.then_wait:
        params |= {"then": milestone_label(rung.then_expect), "then_wait": say_duration(rung.then_wait)}
        return _("%(channel)s, wait %(wait)s for “%(milestone)s”, from then %(then_wait)s more for “%(then)s”") % params
    return _("%(channel)s, wait %(wait)s for “%(milestone)s”") % params


def say_chain(rungs: Sequence[Rung]) -> str:
    """The whole chain in one line."""
    return " → ".join(say_step(rung, last=index == len(rungs) - 1) for index, rung in enumerate(rungs))


def rungs_of(chain: Chain) -> list[Rung]:
    """Steps of a saved chain, one query."""
    return [Rung.of(step) for step in chain.steps.select_related("channel")]


# ---------------------------------------------------------------- presets

#: Waits that are published and work (features.md 26), by channel kind.
DEFAULT_WAITS: dict[ChannelKind, timedelta] = {
    ChannelKind.EMAIL: timedelta(hours=24),
    ChannelKind.MAX: timedelta(minutes=15),
    ChannelKind.WHATSAPP: timedelta(minutes=15),
    ChannelKind.TELEGRAM: timedelta(hours=1),
    ChannelKind.VIBER: timedelta(minutes=15),
    ChannelKind.VK: timedelta(hours=1),
    ChannelKind.AVITO: timedelta(hours=6),
    ChannelKind.SMS: timedelta(hours=2),
    ChannelKind.VOICE: timedelta(minutes=30),
    ChannelKind.PUSH: timedelta(minutes=15),
    ChannelKind.OPERATOR: timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class PresetStep:
    """`kinds`: the first kind the owner has a channel for is taken; none: the step is left out."""

    kinds: tuple[ChannelKind, ...]
    expect: Milestone
    wait: timedelta
    then_expect: Milestone | None = None
    then_wait: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    slug: str
    title: str  #: English msgid
    about: str  #: English msgid
    steps: tuple[PresetStep, ...]


PRESETS: tuple[Preset, ...] = (
    Preset(
        "messenger-sms",
        gettext_noop("Messenger, then SMS"),
        gettext_noop("The cheap pair for reminders: who got the messenger message gets no SMS."),
        (
            PresetStep(
                (ChannelKind.VIBER, ChannelKind.MAX, ChannelKind.WHATSAPP, ChannelKind.TELEGRAM),
                Milestone.DELIVERED,
                timedelta(minutes=15),
            ),
            PresetStep((ChannelKind.SMS,), Milestone.DELIVERED, timedelta(hours=2)),
        ),
    ),
    Preset(
        "telegram-whatsapp-sms",
        gettext_noop("Telegram, then WhatsApp, then SMS"),
        gettext_noop("Through the first messenger that works, SMS as the last reserve."),
        (
            PresetStep((ChannelKind.TELEGRAM,), Milestone.DELIVERED, timedelta(hours=1)),
            PresetStep((ChannelKind.WHATSAPP,), Milestone.DELIVERED, timedelta(minutes=15)),
            PresetStep((ChannelKind.SMS,), Milestone.DELIVERED, timedelta(hours=2)),
        ),
    ),
    Preset(
        "email-ladder",
        gettext_noop("E-mail ladder"),
        gettext_noop("For offers that can wait: first the free letter, SMS only for those who did not open it."),
        (
            PresetStep(
                (ChannelKind.EMAIL,), Milestone.READ, timedelta(hours=24), Milestone.CLICKED, timedelta(hours=4)
            ),
            PresetStep(
                (ChannelKind.TELEGRAM, ChannelKind.MAX, ChannelKind.WHATSAPP), Milestone.READ, timedelta(hours=6)
            ),
            PresetStep((ChannelKind.SMS,), Milestone.CLICKED, timedelta(hours=2)),
        ),
    ),
)


def plan_preset(preset: Preset, channels: Iterable[Channel]) -> list[ChainStep]:
    """Unsaved steps of a preset made from the owner's own channels, each fitted to what its channel can report.

    Two steps or more make a chain; with fewer the caller says which channels are missing.
    """
    by_kind: dict[str, Channel] = {}
    for channel in channels:
        by_kind.setdefault(channel.kind, channel)
    steps: list[ChainStep] = []
    for wanted in preset.steps:
        kind = next((kind for kind in wanted.kinds if kind in by_kind), None)
        if kind is None:
            continue
        channel = by_kind[kind]
        capabilities = capabilities_of(channel)
        possible = reportable(capabilities)
        expect = _nearest(wanted.expect, possible)
        then = wanted.then_expect if wanted.then_expect in possible and expect is not None else None
        if then is not None and expect is not None and _OFFER.index(then) <= _OFFER.index(expect):
            then = None
        wait = wanted.wait
        if capabilities.ttl is not None:
            wait = max(wait, capabilities.ttl.minimum)
        steps.append(
            ChainStep(
                order=len(steps),
                channel=channel,
                expect=expect or "",
                wait=wait,
                then_expect=then or "",
                then_wait=wanted.then_wait if then else None,
            )
        )
    return steps


def _nearest(wanted: Milestone, possible: Sequence[Milestone]) -> Milestone | None:
    """The wanted milestone, else the nearest other one: reading proves delivery; a reply needs no link in the text
    and so comes before a click; the weaker ones come last."""
    order = (wanted, Milestone.READ, Milestone.REPLIED, Milestone.CLICKED, Milestone.DELIVERED, Milestone.GOAL)
    return next((one for one in order if one in possible), None)


# ---------------------------------------------------------------- freezing

Windows = Mapping[ChannelKind, SendWindow] | SendWindow | None


def freeze_steps(
    chain: Chain, purpose: Purpose | str = Purpose.SERVICE, windows: Windows = None
) -> list[dict[str, Any]]:
    """The chain as JSON, for a delivery's immutable plan. One query. Raises AccountError for a provider nobody wrote.

    `windows`: one sending window for all steps, or one per channel kind; kinds without one may send at any hour.
    Besides what cascade.plan.Step needs (see to_plan_step) each step carries what the shell around the core needs.
    """
    frozen = []
    steps = list(chain.steps.select_related("channel"))
    for index, step in enumerate(steps):
        channel = step.channel
        capabilities = capabilities_of(channel)
        kind = ChannelKind(channel.kind)
        window = windows.get(kind) if isinstance(windows, Mapping) else windows
        ttl = capabilities.ttl
        last = index == len(steps) - 1
        min_wait = step.min_wait if ttl is None or last else max(step.min_wait, ttl.minimum)
        frozen.append(
            {
                "channel_id": channel.pk,
                "kind": kind.value,
                "provider": channel.provider,
                "purpose": str(purpose),
                "expectations": _freeze_expectations(step),
                "wait": step.wait.total_seconds(),
                # R13 must not shrink a wait below what the provider keeps the message: that would make doubles.
                "min_wait": min_wait.total_seconds(),
                "window": _freeze_window(window),
                "idempotent": capabilities.idempotent_send,
                "lookup_by_ref": capabilities.lookup_by_ref,
                "address": capabilities.address.value,
                "ttl": None if ttl is None else ttl.snap(step.wait).total_seconds(),
                "ttl_range": None
                if ttl is None
                else [ttl.minimum.total_seconds(), ttl.maximum.total_seconds(), ttl.step.total_seconds()],
                "recall": capabilities.recall,
                "can_poll": capabilities.poll_batch > 0,
                "price": str(channel.price),
                "currency": channel.currency,
                "charged_on": channel.charged_on,
                "counts_sms_parts": capabilities.counts_sms_parts,
                "max_text": capabilities.max_text,
                "has_subject": capabilities.has_subject,
                "buttons": capabilities.buttons,
                "only_tag": step.only_tag_id,
                "check_registration": channel.check_registration and capabilities.check,
                "due": None if capabilities.due is None else capabilities.due.total_seconds(),
            }
        )
    return frozen


def to_plan_step(frozen: Mapping[str, Any]) -> Step:
    """One frozen step as the pure core wants it."""
    window = frozen["window"]
    return Step(
        channel_id=frozen["channel_id"],
        kind=ChannelKind(frozen["kind"]),
        expectations=tuple(
            Expectation(Milestone(one["milestone"]), timedelta(seconds=one["within"]), Milestone(one["anchor"]))
            for one in frozen["expectations"]
        ),
        wait=timedelta(seconds=frozen["wait"]),
        min_wait=timedelta(seconds=frozen["min_wait"]),
        window=None
        if window is None
        else SendWindow(
            time.fromisoformat(window["start"]), time.fromisoformat(window["end"]), frozenset(window["weekdays"])
        ),
        idempotent=frozen["idempotent"],
    )


def ttl_for(frozen: Mapping[str, Any], wait: timedelta) -> timedelta | None:
    """The life of one message whose wait a deadline has shrunk to `wait` (R7, R13); None: the channel has none."""
    if frozen["ttl_range"] is None:
        return None
    minimum, maximum, step = (timedelta(seconds=one) for one in frozen["ttl_range"])
    return TtlRange(minimum, maximum, step).snap(wait)


def _freeze_expectations(step: ChainStep) -> list[dict[str, Any]]:
    """The second expectation counts from the moment the first was met: “read, then clicked within 4 h”."""
    if not step.expect:
        return []
    listed = [_expectation(step.expect, step.wait, Milestone.ACCEPTED)]
    if step.then_expect and step.then_wait:
        listed.append(_expectation(step.then_expect, step.then_wait, Milestone(step.expect)))
    return listed


def _expectation(milestone: str, within: timedelta, anchor: Milestone) -> dict[str, Any]:
    return {"milestone": str(milestone), "within": within.total_seconds(), "anchor": anchor.value}


def _freeze_window(window: SendWindow | None) -> dict[str, Any] | None:
    if window is None:
        return None
    return {
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "weekdays": sorted(window.weekdays),
    }
