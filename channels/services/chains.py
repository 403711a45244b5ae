"""Chains against what the wires can really do: validation, risk of doubles, plain words, presets, freezing.

Everything is read from Capabilities, so a new provider brings its own limits here without a line being changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from cascade.plan import Expectation, SendWindow, Step
from cascade.vocabulary import ChannelKind, Milestone, Purpose
from channels.models import Chain, ChainStep, Channel, ChannelState, ExpectChoices
from channels.providers.base import Capabilities, How, TtlRange
from channels.services.accounts import capabilities_of
from templates_app.models import KindChoices

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
    #: (channel id, kind) of the accounts that stand in for the first one. `capabilities` is what all of them can do.
    reserves: tuple[tuple[int, ChannelKind], ...] = ()
    #: How long the provider keeps an undelivered message of the text to be sent, where its approved text says so.
    life: timedelta | None = None

    @property
    def account_ids(self) -> list[int]:
        return [self.channel_id, *(channel_id for channel_id, _kind in self.reserves)]

    @classmethod
    def of(cls, step: ChainStep) -> Rung:
        """From a model row, saved or not."""
        return cls(
            channel_name=say_accounts(accounts_of(step)),
            kind=ChannelKind(step.channel.kind),
            capabilities=common(capabilities_of(channel) for channel in accounts_of(step)),
            expect=step.expect,
            wait=step.wait,
            then_expect=step.then_expect,
            then_wait=step.then_wait,
            min_wait=step.min_wait,
            channel_id=step.channel_id,
            price=step.channel.price,
            reserves=tuple((one.pk, ChannelKind(one.kind)) for one in accounts_of(step)[1:]),
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
_DOUBLE_BY_TEXT = gettext_noop(
    "“%(channel)s” keeps an undelivered message as long as its approved template says. With one that lives longer than "
    "%(wait)s a person who comes online later gets the next message as well."
)
_ORDER = gettext_noop("The second wait must be for more than the first: “%(then)s” comes before “%(first)s”.")
_TWICE = gettext_noop("The channel “%(channel)s” stands in the chain more than once.")
_OTHER_KIND = gettext_noop(
    "A reserve account must be of the same kind: this step writes to %(kind)s. For another kind make a step of its own."
)
_SAME_ACCOUNT = gettext_noop("This account stands in the step already.")
_DEARER_FIRST = gettext_noop(
    "“%(channel)s” costs more than “%(next)s” after it. From cheap to dear is what saves money."
)

#: Why a chain that is good for codes is good for nothing else.
CODES_ONLY = gettext_noop("The channel “%(channel)s” carries one-time codes only. Take it out of the chain.")

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


def validate_chain(rungs: Sequence[Rung], *, any_first: bool = False) -> list[Problem]:
    """Everything wrong or risky, in the order of the steps. `any_first`: a person's last dialogue may put any of them
    before all others (Chain.dialogue_days), so the last one has steps behind it, too."""
    if not rungs:
        return [Problem(Level.ERROR, _EMPTY)]
    problems: list[Problem] = []
    may_be_followed = any_first and len(rungs) > 1
    for index, rung in enumerate(rungs):
        following = rungs[index + 1] if index + 1 < len(rungs) else None
        problems += _validate_step(index, rung, following, followed=following is not None or may_be_followed)
    seen: set[int] = set()
    for index, rung in enumerate(rungs):
        if rung.channel_id and rung.channel_id in seen:
            problems.append(Problem(Level.WARNING, _TWICE, {"channel": rung.channel_name}, index, "channel"))
        seen.add(rung.channel_id)
    return sorted(problems, key=lambda one: (one.step is None, one.step or 0))


def _validate_accounts(index: int, rung: Rung) -> Iterable[Problem]:
    seen = {rung.channel_id}
    for position, (channel_id, kind) in enumerate(rung.reserves):
        where = ("reserve", "second_reserve")[position]
        if kind is not rung.kind:
            yield Problem(Level.ERROR, _OTHER_KIND, {"kind": KindChoices(rung.kind.value).label}, index, where)
        elif channel_id in seen:
            yield Problem(Level.ERROR, _SAME_ACCOUNT, {}, index, where)
        seen.add(channel_id)


def _validate_step(index: int, rung: Rung, following: Rung | None, *, followed: bool) -> Iterable[Problem]:
    yield from _validate_accounts(index, rung)
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
    if not followed:
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
    # A text whose life is known is spoken of by name before the launch (channels.services.approved).
    if risk is Risk.POSSIBLE and rung.expect and rung.life is None:
        params = {"channel": rung.channel_name, "wait": say_duration(rung.wait)}
        yield Problem(Level.WARNING, _double_warning(rung.capabilities), params, index, "wait")
    if following is not None and rung.price > following.price:
        params = {"channel": rung.channel_name, "next": following.channel_name}
        yield Problem(Level.WARNING, _DEARER_FIRST, params, index, "channel")


def _double_warning(capabilities: Capabilities) -> str:
    if capabilities.recall:
        return _DOUBLE_BLIND
    return _DOUBLE_BY_TEXT if capabilities.template_ttl else _DOUBLE


class Risk(StrEnum):
    EXCLUDED = "excluded"
    POSSIBLE = "possible"


_DIES = gettext_noop("An undelivered message dies at the provider when the wait ends, before the next one goes out.")
_RECALLED = gettext_noop("An undelivered message is taken back before the next one goes out.")
_RECALLED_BLIND = gettext_noop(
    "The message is taken back before the next one goes out, but nobody can tell whether it had been read by then."
)
_STAYS = gettext_noop("An undelivered message stays at the provider and may still arrive after the next one.")
_TEXT_LONGER = gettext_noop("Its approved text is kept at the provider longer than the wait.")
_BY_TEXT = gettext_noop(
    "How long an undelivered message is kept stands in its approved text, longest in advertising; the check before the "
    "launch knows it."
)
_TTL_LONGER = gettext_noop("The provider keeps the message longer than the wait.")


def double_risk(step: Rung | ChainStep) -> tuple[Risk, str]:
    """Can a person get this message *after* the fallback has gone out? (risk, reason as English msgid) (R7)"""
    rung = step if isinstance(step, Rung) else Rung.of(step)
    if rung.life is not None:
        return (Risk.EXCLUDED, _DIES) if rung.life <= rung.wait else (Risk.POSSIBLE, _TEXT_LONGER)
    ttl = rung.capabilities.ttl
    if ttl is not None and ttl.minimum <= rung.wait:
        return Risk.EXCLUDED, _DIES
    if rung.capabilities.recall:
        if Milestone.DELIVERED in reportable(rung.capabilities):
            return Risk.EXCLUDED, _RECALLED
        return Risk.POSSIBLE, _RECALLED_BLIND
    if rung.capabilities.template_ttl:
        return Risk.POSSIBLE, _BY_TEXT
    return Risk.POSSIBLE, _STAYS if ttl is None else _TTL_LONGER


def common(accounts: Iterable[Capabilities]) -> Capabilities:
    """What every one of these accounts can do: a step promises no more than its weakest account keeps.

    Where to and how a message goes (address, batches, pace) stays each account's own and is the first one's here.
    """
    first, *others = accounts
    if not others:
        return first
    every = [first, *others]
    return replace(
        first,
        reports={
            milestone: how
            for milestone, how in first.reports.items()
            if all(milestone in one.reports for one in others)
        },
        idempotent_send=all(one.idempotent_send for one in every),
        lookup_by_ref=all(one.lookup_by_ref for one in every),
        poll_batch=min(one.poll_batch for one in every),
        ttl=_common_ttl([one.ttl for one in every]),
        recall=all(one.recall for one in every),
        check=all(one.check for one in every),
        max_text=min(one.max_text for one in every),
        counts_sms_parts=any(one.counts_sms_parts for one in every),
        has_subject=all(one.has_subject for one in every),
        buttons=min(one.buttons for one in every),
    )


def _common_ttl(ranges: Sequence[TtlRange | None]) -> TtlRange | None:
    """Lives that every account can give; None where one cannot, or nothing is allowed by all."""
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return None
    minimum, maximum = max(one.minimum for one in known), min(one.maximum for one in known)
    return TtlRange(minimum, maximum, max(one.step for one in known)) if minimum <= maximum else None


# ---------------------------------------------------------------- doubles that were seen


@dataclass(frozen=True, slots=True)
class Seen:
    """Of messages that had not arrived when the next step went out (`fallbacks`), how many arrived all the same."""

    fallbacks: int
    doubles: int


#: Fewer say nothing.
ENOUGH_SEEN = 50


def keep_doubles_seen(seen: Mapping[int, Seen]) -> None:
    """Keep these figures, by channel; the others' begin anew."""
    ChannelState.objects.exclude(channel_id__in=seen).update(fallbacks=0, doubles=0)
    for channel_id, one in seen.items():
        ChannelState.objects.filter(channel_id=channel_id).update(fallbacks=one.fallbacks, doubles=one.doubles)


def doubles_seen(rungs: Iterable[Rung]) -> dict[int, Seen]:
    """What was seen of these steps' accounts, by channel. One query."""
    wanted = [channel_id for rung in rungs for channel_id in rung.account_ids]
    rows = ChannelState.objects.filter(channel_id__in=wanted, fallbacks__gt=0)
    return {one: Seen(fallbacks, doubles) for one, fallbacks, doubles in rows.values_list("pk", "fallbacks", "doubles")}


def say_doubles(rung: Rung, seen: Mapping[int, Seen]) -> str:
    """“Doubles: excluded.” or “Doubles: possible, about 3 %.”, with the reason: from what the wire can do and, as soon as
    enough was seen, from facts. A promise that facts contradict is said to be one."""
    risk, why = double_risk(rung)
    found = [seen[one] for one in rung.account_ids if one in seen]
    fallbacks, doubles = sum(one.fallbacks for one in found), sum(one.doubles for one in found)
    params = {"share": number_format(Decimal(doubles * 100) / fallbacks, 1) if fallbacks else "", "seen": fallbacks}
    if fallbacks < ENOUGH_SEEN:
        words = _(_EXCLUDED if risk is Risk.EXCLUDED else _POSSIBLE)
    elif risk is Risk.POSSIBLE:
        words = _(_POSSIBLE_ABOUT) % params
    else:
        words = _(_EXCLUDED_BUT if doubles else _EXCLUDED_SEEN) % params
    return f"{words} {_(why)}"


_EXCLUDED = gettext_noop("Doubles: excluded.")
_EXCLUDED_SEEN = gettext_noop("Doubles: excluded, none in %(seen)s cases.")
_EXCLUDED_BUT = gettext_noop(
    "Doubles: should be excluded, but the provider let %(share)s %% of %(seen)s late messages through."
)
_POSSIBLE = gettext_noop("Doubles: possible; how many is not known yet.")
_POSSIBLE_ABOUT = gettext_noop("Doubles: possible, about %(share)s %% (%(seen)s cases).")


# ---------------------------------------------------------------- in words


def say_accounts(accounts: Sequence[Channel]) -> str:
    """“SMSC”, or “SMSC, in reserve SMS Aero”."""
    if len(accounts) == 1:
        return accounts[0].name
    return _("%(first)s, in reserve %(others)s") % {
        "first": accounts[0].name,
        "others": ", ".join(one.name for one in accounts[1:]),
    }


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
    return [Rung.of(step) for step in steps_of(chain)]


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
        if not capabilities_of(channel).codes_only:
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
    steps = steps_of(chain)
    return [
        # Where the last dialogue may put any step first, none is sure to be the last.
        _freeze_step(step, str(purpose), windows, last=index == len(steps) - 1 and not chain.dialogue_days)
        for index, step in enumerate(steps)
    ]


def steps_of(chain: Chain) -> list[ChainStep]:
    """The chain's steps with their accounts, in one query."""
    return list(chain.steps.select_related("channel", "reserve", "second_reserve", "only_tag"))


def steps_through(channel: Channel) -> QuerySet[ChainStep]:
    """Steps that name this account, also in reserve."""
    return ChainStep.objects.filter(Q(channel=channel) | Q(reserve=channel) | Q(second_reserve=channel))


def accounts_of(step: ChainStep) -> list[Channel]:
    """The accounts of a step, in the order they are tried."""
    return [one for one in (step.channel, step.reserve, step.second_reserve) if one is not None]


def _freeze_step(step: ChainStep, purpose: str, windows: Windows, *, last: bool) -> dict[str, Any]:
    """The step's own terms, those of its first account beside them, those of its reserves in a list."""
    kind = ChannelKind(step.channel.kind)
    accounts = accounts_of(step)
    first, *reserves = (_freeze_account(step, channel) for channel in accounts)
    shared = common(capabilities_of(channel) for channel in accounts)
    ttls = [found.minimum for found in (capabilities_of(channel).ttl for channel in accounts) if found is not None]
    return {
        **first,
        "reserves": reserves,
        "kind": kind.value,
        "purpose": purpose,
        "expectations": _freeze_expectations(step),
        "wait": step.wait.total_seconds(),
        # R13 must not shrink a wait below what a provider keeps the message: that would make doubles.
        "min_wait": max([step.min_wait, *([] if last else ttls)]).total_seconds(),
        "window": _freeze_window(windows.get(kind) if isinstance(windows, Mapping) else windows),
        "idempotent": shared.idempotent_send,
        "only_tag": step.only_tag_id,
    }


def _freeze_account(step: ChainStep, channel: Channel) -> dict[str, Any]:
    capabilities = capabilities_of(channel)
    ttl = capabilities.ttl
    return {
        "channel_id": channel.pk,
        "provider": channel.provider,
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
        "check_registration": channel.check_registration and capabilities.check,
        "due": None if capabilities.due is None else capabilities.due.total_seconds(),
    }


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
        reserves=tuple(one["channel_id"] for one in frozen["reserves"]),
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
