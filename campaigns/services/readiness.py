"""May this campaign start at all? The questions whose answer forbids a launch, each with where to mend it.

Cheap enough to be asked again at the moment of the launch; counting people and money is preflight.py's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from campaigns.models import Campaign
from campaigns.selectors import audience, can_take, is_never, refusal, windows_for
from cascade.vocabulary import ChannelKind, Purpose
from channels.models import ChainStep, Channel
from channels.providers.registry import provider_class
from channels.services import approved, chains, invites
from channels.services.accounts import AccountError, adapter_for
from channels.services.chains import CODES_ONLY, Level, Rung, accounts_of, validate_chain
from contacts.selectors import known_variables, list_variables
from templates_app.links import LinkError
from templates_app.models import KindChoices
from templates_app.rendering import TemplateError
from templates_app.services import Text, prepare, resolve, validate_text


class Mend(StrEnum):
    """The page on which a finding is mended."""

    CAMPAIGN = "campaigns_campaign"
    CHAIN = "channels_chain"
    CHANNEL = "channels_channel"
    TEMPLATE = "templates_app_messagetemplate"
    HOURS = "campaigns_quiethours"
    CONTACTS = "contacts_contact"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know before a launch. `message` is an English msgid; `pk` None means the list page of `mend`."""

    message: str
    mend: Mend
    pk: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The sentence in the language of the moment."""
        return _(self.message) % self.params if self.params else _(self.message)


_NOBODY = gettext_noop("Nobody is chosen. Choose lists, tags or dialogues, or all contacts.")
_EMPTY = gettext_noop("The chosen lists, tags and dialogues contain nobody, or the exclusions take everybody out.")
_ALL_REFUSED = gettext_noop(
    "Nobody of the chosen people may be written to: no consent, on the stop-list, or no address for any step."
)
_DISABLED = gettext_noop("The channel “%(channel)s” is switched off. Switch it on, or take it out of the chain.")
_ACCOUNT = gettext_noop("The channel “%(channel)s” cannot be used: %(why)s")
_CHAIN = gettext_noop("The chain “%(chain)s”, step %(step)s: %(problem)s")
_CHAIN_WHOLE = gettext_noop("The chain “%(chain)s”: %(problem)s")
_TEXT = gettext_noop("The text for %(kind)s: %(problem)s")
_INVITES = gettext_noop(
    "The text for %(kind)s shows {%(name)s}, and there is no account it could lead to. Connect one and check its connection."
)
_SUBJECT = gettext_noop("The letter has no subject.")
_TOO_LONG = gettext_noop("The text for %(kind)s is longer than “%(channel)s” can take: %(length)s of %(limit)s signs.")
_NEVER = gettext_noop("%(kind)s: the hours of this campaign and your sending hours have nothing in common.")
_OVER = gettext_noop("The moment after which nothing may be sent has already passed.")
_OVER_BEFORE = gettext_noop("The campaign starts after the moment from which nothing may be sent any more.")


def steps_of(campaign: Campaign) -> list[ChainStep]:
    """Steps of the campaign's chain with their channels, one query."""
    return chains.steps_of(campaign.chain)


def texts_of(campaign: Campaign, steps: list[ChainStep]) -> dict[ChannelKind, Text]:
    """What each kind of the chain would send, before substitution."""
    return {ChannelKind(step.channel.kind): resolve(campaign.template, step.channel.kind) for step in steps}


def blockers(campaign: Campaign) -> list[Finding]:
    """Everything that forbids a launch; empty: it may start."""
    steps = steps_of(campaign)
    found = [*_chain(campaign, steps), *_channels(steps), *_texts(campaign, steps), *_time(campaign)]
    found += template_findings(campaign, steps, Level.ERROR)
    found += _people(campaign, steps)
    return found


def _chain(campaign: Campaign, steps: list[ChainStep]) -> Iterator[Finding]:
    for problem in validate_chain([Rung.of(step) for step in steps], any_first=bool(campaign.chain.dialogue_days)):
        if problem.level is not Level.ERROR:
            continue
        params = {"chain": campaign.chain.name, "problem": problem.text()}
        if problem.step is None:
            yield Finding(_CHAIN_WHOLE, Mend.CHAIN, campaign.chain_id, params)
        else:
            yield Finding(_CHAIN, Mend.CHAIN, campaign.chain_id, {**params, "step": problem.step + 1})


def _channels(steps: list[ChainStep]) -> Iterator[Finding]:
    """Accounts that cannot be used, of steps that have no other."""
    found: dict[int, Finding] = {}
    for step in steps:
        hindered = [_hindrance(channel) for channel in accounts_of(step)]
        if all(hindered):
            found |= {one.pk or 0: one for one in hindered if one is not None}
    yield from found.values()


def _hindrance(channel: Channel) -> Finding | None:
    if not channel.enabled:
        return Finding(_DISABLED, Mend.CHANNEL, channel.pk, {"channel": channel.name})
    try:
        if adapter_for(channel).capabilities.codes_only:
            return Finding(CODES_ONLY, Mend.CHAIN, params={"channel": channel.name})
    except AccountError as error:
        why = _(error.message) % error.params
        return Finding(_ACCOUNT, Mend.CHANNEL, channel.pk, {"channel": channel.name, "why": why})
    return None


def _texts(campaign: Campaign, steps: list[ChainStep]) -> Iterator[Finding]:
    known: set[str] | None = None
    if _is_addressed(campaign):  # before anybody is chosen nobody can say which columns there are
        known = known_variables() | list_variables([one.pk for one in campaign.lists.all()])
    template = campaign.template_id
    able = {one.channel.kind for one in invites.inviters()}
    for kind, text in texts_of(campaign, steps).items():
        label = KindChoices(kind.value).label
        try:
            compiled = validate_text(text.text, known, has_link=bool(text.link))
            validate_text(text.subject, known, has_link=bool(text.link))
            validate_text(text.button, known, has_link=bool(text.link))
        except (TemplateError, LinkError) as error:
            yield Finding(_TEXT, Mend.TEMPLATE, template, {"kind": label, "problem": _(error.message) % error.params})
            continue
        for name, invited in prepare(text).invites.items():
            if invited not in able:
                yield Finding(_INVITES, Mend.CHANNEL, None, {"kind": label, "name": name})
        for step in steps:
            facts = provider_class(step.channel.provider).capabilities
            if step.channel.kind != kind:
                continue
            if facts.has_subject and not text.subject.strip():
                yield Finding(_SUBJECT, Mend.TEMPLATE, template)
            if not compiled.variables and len(text.text) > facts.max_text:
                params = {
                    "kind": label,
                    "channel": step.channel.name,
                    "length": len(text.text),
                    "limit": facts.max_text,
                }
                yield Finding(_TOO_LONG, Mend.TEMPLATE, template, params)


def template_findings(campaign: Campaign, steps: list[ChainStep], level: Level) -> Iterator[Finding]:
    """What is wrong with the approved texts of this campaign's channels, or worth knowing, each thing once."""
    texts = texts_of(campaign, steps)
    purpose = Purpose(campaign.purpose)
    seen: set[str] = set()
    for index, step in enumerate(steps):
        text = texts[ChannelKind(step.channel.kind)]
        # Where the last dialogue may put any step first, none is sure to be the last.
        last = index == len(steps) - 1 and not campaign.chain.dialogue_days
        for channel in accounts_of(step):
            for problem in approved.problems(channel, text, purpose, None if last else step.wait):
                if problem.level is level and problem.text() not in seen:
                    seen.add(problem.text())
                    yield Finding(problem.message, Mend.TEMPLATE, campaign.template_id, problem.params)


def _time(campaign: Campaign) -> Iterator[Finding]:
    if campaign.not_after is not None:
        if campaign.not_after <= now():
            yield Finding(_OVER, Mend.CAMPAIGN, campaign.pk)
        elif campaign.scheduled_at is not None and campaign.not_after <= campaign.scheduled_at:
            yield Finding(_OVER_BEFORE, Mend.CAMPAIGN, campaign.pk)
    windows = windows_for(campaign)
    for kind in dict.fromkeys(step.channel.kind for step in steps_of(campaign)):
        if is_never(windows.get(ChannelKind(kind))):
            yield Finding(_NEVER, Mend.CAMPAIGN, campaign.pk, {"kind": KindChoices(kind).label})


def _is_addressed(campaign: Campaign) -> bool:
    """Somebody has been chosen, whoever that turns out to be."""
    return campaign.everybody or campaign.lists.exists() or campaign.tags.exists() or campaign.dialogues.exists()


def _people(campaign: Campaign, steps: list[ChainStep]) -> Iterator[Finding]:
    if not _is_addressed(campaign):
        yield Finding(_NOBODY, Mend.CAMPAIGN, campaign.pk)
        return
    people = audience(campaign)
    if not people.exists():
        yield Finding(_EMPTY, Mend.CAMPAIGN, campaign.pk)
        return
    if not steps:
        return
    able = can_take(steps[0])
    for step in steps[1:]:
        able |= can_take(step)
    if not people.alias(refused=refusal(campaign)).filter(able, refused="").exists():
        marketing = campaign.purpose == Purpose.MARKETING
        yield Finding(_ALL_REFUSED, Mend.CONTACTS if marketing else Mend.CAMPAIGN, None if marketing else campaign.pk)
