"""Choosing a provider among thirty: grouped by kind in the usual order of a cascade, with what helps to choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cascade.vocabulary import AddressKind, ChannelKind, Milestone
from channels.admin.words import ICONS, charged_words, provider_card
from channels.providers.base import Provider
from channels.providers.registry import provider_class, slugs
from channels.services import chains
from templates_app.models import KindChoices


@dataclass(frozen=True, slots=True)
class _About:
    """What to know about a kind (English msgids). `names`: other spellings people search by."""

    hint: str
    names: str


#: In the order in which cascades are usually built: free and quick first, people last.
KINDS: dict[ChannelKind, _About] = {
    ChannelKind.MAX: _About(
        gettext_noop("Works in Russia without restrictions: a good first step."), gettext_noop("MAX messenger")
    ),
    ChannelKind.TELEGRAM: _About(
        gettext_noop("Slowed down in Russia since February 2026 (press): a message may come hours later."),
        gettext_noop("Telegram messenger"),
    ),
    ChannelKind.WHATSAPP: _About(
        gettext_noop("In Russia only over a VPN since February 2026 (press): wait shortly and have a next step."),
        gettext_noop("WhatsApp messenger"),
    ),
    ChannelKind.VK: _About(
        gettext_noop("To people who allowed your community to write to them."), gettext_noop("VK, social network")
    ),
    ChannelKind.VIBER: _About(gettext_noop("By phone number, paid per message."), gettext_noop("Viber messenger")),
    ChannelKind.AVITO: _About(
        gettext_noop("Only to people who have already written to you about an advertisement."),
        gettext_noop("Avito, advertisements"),
    ),
    ChannelKind.SMS: _About(
        gettext_noop("Nearly everybody has it: the usual last step. The sender's name is registered by documents."),
        gettext_noop("SMS, text message, phone"),
    ),
    ChannelKind.EMAIL: _About(
        gettext_noop("Long letters for little money. That it was read is known only by a click."),
        gettext_noop("E-mail, mail, letter"),
    ),
    ChannelKind.VOICE: _About(
        gettext_noop("A robot rings: for what is urgent. Not for advertising, see the law on the channel's page."),
        gettext_noop("Call, robot, voice, phone"),
    ),
    ChannelKind.PUSH: _About(
        gettext_noop("To people with your app, or who allowed notifications on your site."),
        gettext_noop("Push, notification, app, site"),
    ),
    ChannelKind.OPERATOR: _About(
        gettext_noop("A colleague calls or writes by hand: the last step for those who matter."),
        gettext_noop("Operator, person, call task"),
    ),
}

_REACHES = {
    AddressKind.PHONE: gettext_noop("by phone number"),
    AddressKind.CHAT_ID: gettext_noop("only to who began a dialogue"),
    AddressKind.EMAIL: gettext_noop("by e-mail address"),
    AddressKind.DEVICE: gettext_noop("only to who allowed it"),
    AddressKind.PERSON: gettext_noop("by a colleague"),
}

#: What can be asked for besides words: key -> label.
FILTERS = {
    "phone": gettext_noop("By phone number"),
    "proof": gettext_noop("Reports delivery or reading"),
    "official": gettext_noop("Official only"),
}


@dataclass(slots=True)
class Group:
    """One kind with its providers."""

    anchor: str
    title: str
    icon: str
    hint: str
    cards: list[dict[str, Any]] = field(default_factory=list)


def context(asked: QueryDict) -> dict[str, Any]:
    """What channels/admin/provider_cards.html shows: groups that fit the question, and the question itself.

    `asked`: `q` (words, all must be found) and `only` (a key of FILTERS); anything else is ignored.
    """
    q, only = asked.get("q", "").strip(), asked.get("only", "")
    if only not in FILTERS:
        only = ""
    words = q.casefold().split()
    groups = _groups([one for one in _cards() if _fits(one, words, only)])
    return {
        "groups": groups,
        "kinds": groups if len(groups) > 1 else [],
        "q": q,
        "only": only,
        "filters": [
            {"label": _(label), "on": key == only, "query": urlencode({"q": q, "only": "" if key == only else key})}
            for key, label in FILTERS.items()
        ],
        "choose_url": reverse("admin:channels_channel_add"),
    }


def _fits(card: dict[str, Any], words: list[str], only: str) -> bool:
    return all(word in card["words"] for word in words) and (not only or only in card["traits"])


def _groups(cards: Iterable[dict[str, Any]]) -> list[Group]:
    found: dict[ChannelKind, Group] = {}
    for card in cards:
        kind = card["channel_kind"]
        if kind not in found:
            label = KindChoices(kind.value).label
            found[kind] = Group(f"kind-{kind.value}", str(label), ICONS[kind], _(KINDS[kind].hint))
        found[kind].cards.append(card)
    order = list(KINDS)
    return [found[kind] for kind in sorted(found, key=order.index)]


def _cards() -> list[dict[str, Any]]:
    url = reverse("admin:channels_channel_add")
    return [{**card_of(slug), "url": f"{url}?provider={slug}"} for slug in slugs()]


def card_of(slug: str) -> dict[str, Any]:
    """What is known of a provider before there is an account: the facts of its class."""
    found = provider_class(slug)
    card = provider_card(slug, found.capabilities)
    reach = _(_REACHES[found.capabilities.address])
    price = _(found.price_habit) if found.price_habit else _usual_price(found)
    searched = (card["title"], slug, str(card["kind"]), reach, _(KINDS[found.kind].names), found.kind.value)
    return {
        **card,
        "channel_kind": found.kind,
        "reach": reach,
        "unofficial": found.unofficial,
        "codes_only": found.capabilities.codes_only,
        "price": price,
        "traits": _traits(found),
        "words": " ".join(searched).casefold(),
    }


def _usual_price(found: type[Provider]) -> str:
    return _("Usually %(charged)s") % {"charged": charged_words(found.capabilities.charged_on.value)}


def _traits(found: type[Provider]) -> set[str]:
    proof = {Milestone.DELIVERED, Milestone.READ} & set(chains.reportable(found.capabilities))
    has = {
        "phone": found.capabilities.address is AddressKind.PHONE,
        "proof": bool(proof),
        "official": not found.unofficial,
    }
    return {name for name, true in has.items() if true}
