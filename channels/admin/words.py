"""Facts about providers and prices in the owner's words, for pages and for docs/channels.md."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cascade.vocabulary import ChannelKind, ChargedOn, Milestone
from channels.models import Channel
from channels.providers.base import Capabilities
from channels.providers.registry import provider_class
from channels.services import chains
from templates_app.models import KindChoices

_CHARGED = {
    ChargedOn.ACCEPTED.value: gettext_noop("charged for each attempt"),
    ChargedOn.DELIVERED.value: gettext_noop("charged when delivered"),
    ChargedOn.READ.value: gettext_noop("charged when read"),
}

#: Material Symbols that Unfold brings along.
ICONS: dict[ChannelKind, str] = {
    ChannelKind.MAX: "forum",
    ChannelKind.TELEGRAM: "send",
    ChannelKind.WHATSAPP: "chat",
    ChannelKind.VIBER: "phone_in_talk",
    ChannelKind.VK: "groups",
    ChannelKind.AVITO: "storefront",
    ChannelKind.SMS: "sms",
    ChannelKind.EMAIL: "mail",
    ChannelKind.VOICE: "call",
    ChannelKind.PUSH: "notifications",
    ChannelKind.OPERATOR: "support_agent",
}
_SIGNS = {"RUB": "₽", "EUR": "€", "USD": "$", "KZT": "₸"}


def charged_words(value: str) -> str:
    """“charged when delivered”."""
    return _(_CHARGED[value])


def price_words(channel: Channel) -> str:
    """“4.80 ₽”; more decimals only where the price has them."""
    return money(channel.price, channel.currency)


def money(amount: Decimal, currency: str) -> str:
    """An amount with its sign, at least two decimals."""
    return f"{number_format(plain_price(amount))} {_SIGNS.get(currency, currency)}"


def plain_price(amount: Decimal) -> Decimal:
    """4.8000 -> 4.80, 0.0150 -> 0.015: two decimals at least, none that say nothing."""
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    return amount.quantize(Decimal(1).scaleb(-places))


def provider_card(slug: str, capabilities: Capabilities) -> dict[str, Any]:
    """Title, icon and what this wire can do, one short line each."""
    found = provider_class(slug)
    lines = []
    possible = chains.reportable(capabilities)
    if possible:
        labels = ", ".join(chains.milestone_label(one) for one in possible)
        lines.append(_("We learn: %(milestones)s") % {"milestones": labels})
    if capabilities.ttl is not None:
        lines.append(
            _("An undelivered message dies after %(minimum)s to %(maximum)s, as you choose")
            % {
                "minimum": chains.say_duration(capabilities.ttl.minimum),
                "maximum": chains.say_duration(capabilities.ttl.maximum),
            }
        )
    elif capabilities.recall and Milestone.DELIVERED in possible:
        lines.append(_("An undelivered message can be taken back"))
    else:
        lines.append(_("A late message cannot be stopped"))
    if capabilities.check:
        lines.append(_("Knows beforehand who is registered"))
    return {
        "slug": slug,
        "title": _(found.title),
        "kind": KindChoices(found.kind.value).label,
        "icon": ICONS[found.kind],
        "lines": lines,
    }


def is_known(slug: str) -> bool:
    """Whether this installation has an adapter for a provider."""
    try:
        provider_class(slug)
    except KeyError:
        return False
    return True
