"""Send the campaign's texts to the owner before they go to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from campaigns.models import Campaign
from campaigns.services.preflight import example_for
from campaigns.services.readiness import steps_of
from cascade.vocabulary import AddressKind
from channels.models import Channel
from channels.providers.registry import provider_class
from channels.services import checks

_NO_TEXT = gettext_noop("The text for this channel cannot be made yet: see what the check says.")


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one test message, in the language of the moment."""

    channel: str
    ok: bool
    message: str


def channels_of(campaign: Campaign) -> list[Channel]:
    """The channels of the campaign's chain, once each, in the order of the steps."""
    return list({step.channel_id: step.channel for step in steps_of(campaign)}.values())


def address_label(channel: Channel) -> str:
    """What to ask the owner for."""
    kind = provider_class(channel.provider).capabilities.address
    if kind is AddressKind.EMAIL:
        return _("Your e-mail")
    if kind is AddressKind.PHONE:
        return _("Your phone")
    return _("Your chat number with this bot")


def send_tests(campaign: Campaign, addresses: Mapping[int, str]) -> list[Tried]:
    """One real message per channel id with an address, with the values of a typical recipient.

    Each goes at the channel's own rate and costs what a message costs. Side effects: real messages; no attempt rows,
    so tests are in no report. Never raises for what a provider does.
    """
    tried = []
    for channel in channels_of(campaign):
        address = addresses.get(channel.pk, "").strip()
        if not address:
            continue
        rendered = example_for(campaign, channel.kind)
        if rendered is None:
            tried.append(Tried(channel.name, False, _(_NO_TEXT)))
            continue
        verdict = checks.send_test(channel, address, rendered.text, subject=rendered.subject, button=rendered.button)
        tried.append(Tried(channel.name, verdict.ok, verdict.text()))
    return tried
