"""Texts that a messenger has approved: a synced copy of them, and whether one of ours may go out by one.

Where a channel takes no other texts (Capabilities.templates) the owner chooses the approved one in the variant of their
text. Everything about it is decided here, in words: which there are, whether it may be sent now, whether the words agree,
whether its life ends before the next step. The engine reads nothing of this: what it needs is frozen into the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cascade.vocabulary import Purpose
from channels.models import ApprovedText, Channel, ChannelState
from channels.providers.base import AccountReport, ApprovedTemplate, TemplateRef, TemplateState
from channels.services import accounts
from channels.services.accounts import AccountError
from channels.services.chains import Level, Problem, say_duration
from channels.services.checks import Verdict, ask, verdict_of
from templates_app.approved import Differs, places
from templates_app.rendering import Compiled, TemplateError
from templates_app.services import Text, prepare

logger = logging.getLogger(__name__)

#: An account with more pages than this has a cursor that goes round in circles.
MOST_PAGES = 200

_SYNCED = gettext_noop("Templates refreshed: %(count)s in the account, %(approved)s of them approved.")
_NO_TEMPLATES = gettext_noop("This provider knows no approved templates.")


# ---------------------------------------------------------------- the copy


def sync(channel: Channel) -> Verdict:
    """Read all approved texts of an account and make our copy agree with them; what is no longer there is marked so.

    Side effects: rows of ApprovedText and ChannelState.templates_at, together and only when every page was read. HTTP
    through the seam, with no transaction open.
    """
    try:
        adapter, proxy = accounts.adapter_for(channel), accounts.proxy_for(channel)
    except AccountError as error:
        return Verdict(False, error.message, dict(error.params))
    found: dict[tuple[str, str], ApprovedTemplate] = {}
    after = ""
    for _page in range(MOST_PAGES):
        call = adapter.build_templates(after)
        if call is None:
            return Verdict(False, _NO_TEMPLATES)
        (answer,) = ask([call], proxy)
        page = adapter.read_templates(call, answer)
        if isinstance(page, AccountReport):
            return verdict_of(page, answer, adapter)
        found |= {(one.name, one.language): one for one in page.templates}
        after = page.after
        if not after:
            break
    _keep(channel, found)
    approved = sum(one.state is TemplateState.APPROVED for one in found.values())
    return Verdict(True, _SYNCED, {"count": len(found), "approved": approved})


@transaction.atomic
def _keep(channel: Channel, found: Mapping[tuple[str, str], ApprovedTemplate]) -> None:
    moment = now()
    ApprovedText.objects.bulk_create(
        [
            ApprovedText(
                channel=channel,
                name=one.name,
                language=one.language,
                category=one.category,
                state=one.state.value,
                quality=one.quality,
                body=one.body,
                ttl=one.ttl,
                unusable=one.unusable,
                detail=one.detail,
                code_button=one.code_button,
                components=[dict(part) for part in one.components],
                synced_at=moment,
            )
            for one in found.values()
        ],
        update_conflicts=True,
        unique_fields=["channel", "name", "language"],
        update_fields=[
            "category",
            "state",
            "quality",
            "body",
            "ttl",
            "unusable",
            "detail",
            "code_button",
            "components",
            "synced_at",
        ],
    )
    ApprovedText.objects.filter(channel=channel, synced_at__lt=moment).update(state=TemplateState.GONE.value)
    ChannelState.objects.update_or_create(channel=channel, defaults={"templates_at": moment})


def sync_all() -> int:
    """Refresh the texts of every enabled account that has such; return how many answered."""
    answered = 0
    for channel in Channel.objects.filter(enabled=True).exclude(config_encrypted=""):
        if not takes_templates(channel):
            continue
        verdict = sync(channel)
        answered += verdict.ok
        if not verdict.ok:
            logger.warning("channel %s: templates not refreshed: %s", channel.pk, verdict.message)
    return answered


def takes_templates(channel: Channel) -> bool:
    """This account sends approved texts (and free ones only to who has just written)."""
    try:
        return accounts.capabilities_of(channel).templates
    except AccountError:
        return False


# ---------------------------------------------------------------- choosing one


@dataclass(frozen=True, slots=True)
class Choice:
    """An approved text as it is offered in a variant. `key` is what the form stores."""

    name: str
    language: str
    body: str
    label: str

    @property
    def key(self) -> str:
        return f"{self.language}:{self.name}"


def choices(kind: str) -> list[Choice]:
    """Texts that can be sent now through an enabled channel of this kind, each once."""
    rows = ApprovedText.objects.filter(
        channel__kind=kind, channel__enabled=True, state=TemplateState.APPROVED.value, unusable=""
    )
    found = {(row.name, row.language): row for row in rows}
    return [
        Choice(row.name, row.language, row.body, f"{row.name} ({row.language}), {category_label(row.category)}")
        for row in found.values()
    ]


def split_key(key: str) -> tuple[str, str]:
    """(name, language) of a Choice.key; empty for an empty one."""
    language, _colon, name = key.partition(":")
    return name, language


def offers(kind: str) -> bool:
    """The owner has a channel of this kind that takes approved texts only."""
    return any(takes_templates(channel) for channel in Channel.objects.filter(kind=kind))


_CATEGORIES = {
    "marketing": gettext_noop("marketing template"),
    "utility": gettext_noop("utility template"),
    "authentication": gettext_noop("template of one-time codes"),
}


def category_label(category: str) -> str:
    """A category as the owner reads it; an unknown one as the messenger calls it."""
    return _(_CATEGORIES[category]) if category in _CATEGORIES else category


# ---------------------------------------------------------------- may it go out?

_NONE_CHOSEN = gettext_noop(
    "“%(channel)s” writes first only by templates that WhatsApp has approved. Choose one in the variant of the text for "
    "%(kind)s."
)
_NOT_THERE = gettext_noop(
    "“%(channel)s” has no approved template “%(template)s”. Press “Refresh templates” on its page, or choose another one."
)
_STATES = {
    TemplateState.PENDING: gettext_noop("The template “%(template)s” is still being checked by WhatsApp."),
    TemplateState.REJECTED: gettext_noop("WhatsApp has rejected the template “%(template)s”: %(detail)s"),
    TemplateState.PAUSED: gettext_noop(
        "WhatsApp has paused the template “%(template)s” because people complained about it. Wait, or choose another one."
    ),
    TemplateState.DISABLED: gettext_noop(
        "WhatsApp has disabled the template “%(template)s” for good because people complained about it. Choose another one."
    ),
    TemplateState.GONE: gettext_noop("The template “%(template)s” has been deleted in WhatsApp. Choose another one."),
    TemplateState.UNKNOWN: gettext_noop("The template “%(template)s” is in a state we do not know: %(detail)s"),
}
_UNUSABLE = gettext_noop("The template “%(template)s” cannot be sent from here. %(why)s")
_DIFFERS = gettext_noop("The template “%(template)s”: %(why)s")
_SERVICE_AS_MARKETING = gettext_noop(
    "The template “%(template)s” is a marketing one: it costs more, and WhatsApp holds it back from people who had enough "
    "advertising. For service messages make one of the category Utility."
)
_MARKETING_AS_SERVICE = gettext_noop(
    "Advertising by “%(template)s” (%(category)s) breaks WhatsApp's rules: it is moved to Marketing or disabled. Choose a "
    "marketing template."
)
_LIVES_LONGER = gettext_noop(
    "“%(channel)s” keeps an undelivered message of the template “%(template)s” for %(life)s, and the next step goes out "
    "after %(wait)s: a person may get both. Give the template a shorter validity period in WhatsApp Manager."
)
_LIVES_LONGER_MARKETING = gettext_noop(
    "“%(channel)s” keeps an undelivered message of the template “%(template)s” for %(life)s, and the next step goes out "
    "after %(wait)s: a person may get both. Marketing templates cannot live less than 12 hours: put a longer wait here, "
    "or WhatsApp last."
)
_LOW_QUALITY = gettext_noop("WhatsApp rates the quality of the template “%(template)s” as low and may pause it.")


def find(channel_id: int, text: Text) -> ApprovedText | None:
    """Our copy of the approved text that `text` must be."""
    if not text.approved:
        return None
    return ApprovedText.objects.filter(channel_id=channel_id, name=text.approved, language=text.language).first()


def problems(channel: Channel, text: Text, purpose: Purpose, wait: timedelta | None) -> Iterator[Problem]:
    """What forbids this text through this account (errors), and what the owner should know about it. `wait`: until the next
    step goes out, None where there is none. Nothing for an account that takes any text."""
    if not takes_templates(channel):
        return
    named: dict[str, Any] = {"channel": channel.name, "template": text.approved}
    if not text.approved:
        yield Problem(Level.ERROR, _NONE_CHOSEN, {**named, "kind": channel.get_kind_display()})
        return
    row = find(channel.pk, text)
    if row is None:
        yield Problem(Level.ERROR, _NOT_THERE, named)
        return
    if row.state != TemplateState.APPROVED.value:
        yield Problem(Level.ERROR, _STATES[TemplateState(row.state)], {**named, "detail": row.detail or "—"})
        return
    if row.unusable:
        yield Problem(Level.ERROR, _UNUSABLE, {**named, "why": _(row.unusable)})
        return
    differs = difference(row.body, text.text)
    if differs:
        yield Problem(Level.ERROR, _DIFFERS, {**named, "why": differs})
        return
    if purpose is Purpose.SERVICE and row.category == "marketing":
        yield Problem(Level.WARNING, _SERVICE_AS_MARKETING, named)
    if purpose is Purpose.MARKETING and row.category != "marketing":
        yield Problem(Level.WARNING, _MARKETING_AS_SERVICE, {**named, "category": category_label(row.category)})
    if wait is not None and row.ttl is not None and row.ttl > wait:
        params = {**named, "life": say_duration(row.ttl), "wait": say_duration(wait)}
        yield Problem(Level.WARNING, _LIVES_LONGER_MARKETING if row.category == "marketing" else _LIVES_LONGER, params)
    if row.quality.upper() == "RED":
        yield Problem(Level.WARNING, _LOW_QUALITY, named)


def difference(body: str, text: str | Compiled) -> str:
    """Where `text` is not the approved `body`, in words; "" where it is."""
    try:
        places(body, prepare(Text(text)).text if isinstance(text, str) else text)
    except Differs as error:
        return _(error.message) % error.params
    except TemplateError as error:
        return _(error.message) % error.params
    return ""


def life_of(channel_id: int, text: Text) -> timedelta | None:
    """How long this channel keeps an undelivered message of this text, where its approved text says so."""
    row = find(channel_id, text)
    return row.ttl if row is not None else None


# ---------------------------------------------------------------- into the plan


def freeze(channel: Channel, text: Text) -> dict[str, Any] | None:
    """What the engine needs to send this text by its approved one, as JSON; None where the channel takes any text, or the
    two do not agree (readiness has refused that: what is frozen after all goes out as free text and is refused by the
    messenger, never with wrong words)."""
    row = find(channel.pk, text) if takes_templates(channel) else None
    if row is None:
        return None
    try:
        order = places(row.body, prepare(text).text)
    except Differs as error:
        logger.error("channel %s: template %s does not fit its text: %s", channel.pk, row, error.message)
        return None
    return {
        "name": row.name,
        "language": row.language,
        "category": row.category,
        "order": list(order),
        "code_button": row.code_button,
    }


@dataclass(frozen=True, slots=True)
class FrozenTemplate:
    """freeze(), read back."""

    name: str
    language: str
    category: str
    order: tuple[int, ...]
    code_button: bool

    def fill(self, values: list[str]) -> TemplateRef:
        """The approved text with one person's values, given in the order of our text (Prepared.values_of)."""
        parameters = tuple(values[index] for index in self.order)
        return TemplateRef(self.name, self.language, parameters, self.category, self.code_button)


def thaw(frozen: Mapping[str, Any] | None) -> FrozenTemplate | None:
    """The inverse of freeze(); plans of before there were templates have none."""
    return None if frozen is None else FrozenTemplate(**{**frozen, "order": tuple(frozen["order"])})
