"""DIALOGUES: who is talking to us, and what is said back to somebody who has just come in.

A person becomes known by the link that was made for them, by handing over their own phone, or by a colleague who
recognises them. Whoever stays unknown is kept, with all they wrote, until then.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from cascade.intents import Intent
from cascade.vocabulary import AddressKind, Purpose, Reason
from channels.models import Channel
from channels.providers.base import Inbound, OutgoingMessage, Provider
from channels.services import pace
from channels.services.accounts import AccountError, adapter_for, proxy_for
from contacts import phones
from contacts.models import Contact, SuppressionScope
from contacts.services import addresses, invitations, suppressions
from contacts.services.invitations import Redeemed
from deliveries.models import InboundMessage, SenderNote
from deliveries.services import pausing
from deliveries.services.acks import send_all
from deliveries.services.consent import forget_marketing
from deliveries.services.stops import stop_of_contact

logger = logging.getLogger(__name__)

_START: Final = re.compile(r"/start(?:@\w+)?(?:\s+(?P<token>[A-Za-z0-9_-]{1,128}))?\s*\Z")
_NOTES: Final = {
    Redeemed.BOUND: SenderNote.INVITED,
    Redeemed.EXPIRED: SenderNote.EXPIRED,
    Redeemed.FOREIGN: SenderNote.FOREIGN,
    Redeemed.UNKNOWN: SenderNote.UNKNOWN,
}


def opens(item: Inbound) -> bool:
    """Whether this only opens the dialogue or introduces the person: no answer to anything we wrote (R10)."""
    return not item.payload and (bool(_START.match(item.text)) or bool(item.phone) or item.card_of_another)


def recognise(channel_id: int, item: Inbound, contact: Contact | None) -> tuple[Contact | None, str]:
    """Who this is, now that they came with an invitation or handed over their phone. Returns contact and SenderNote."""
    start = _START.match(item.text)
    if start and start["token"]:
        answer = invitations.redeem(start["token"], channel_id, item.address)
        return answer.contact or contact, _NOTES[answer.outcome]
    if item.card_of_another:
        return contact, SenderNote.ALIEN_CARD
    if item.phone:
        phone = phones.normalise(item.phone if item.phone.startswith("+") else f"+{item.phone}")
        if isinstance(phone, phones.Phone):
            return _by_phone(channel_id, item.address, phone.e164, contact), SenderNote.OWN_CARD
    return contact, ""


def _by_phone(channel_id: int, address: str, phone: str, known: Contact | None) -> Contact:
    """The card of this phone gets the chat; without one the chat's card gets the phone, or a card is made."""
    suppressions.hold_for_writing_contacts()
    found = Contact.objects.filter(phone=phone).first()
    if found is None and known is not None and not known.phone:
        known.phone = phone
        known.save(update_fields=["phone", "suppressed", "updated_at"])
        return known
    if found is None:
        found, _made = Contact.objects.get_or_create(phone=phone)
    addresses.attach(found.pk, channel_id, address)
    return found


@transaction.atomic
def assign(message_id: int, contact_id: int) -> int:
    """A colleague has recognised an unknown sender: the address and all they wrote belong to this contact from now on.

    A refusal among it counts, as it would have done had we known. Returns how many messages were theirs. Raises
    DoesNotExist.
    """
    message = InboundMessage.objects.select_related("channel").get(pk=message_id)
    contact = Contact.objects.get(pk=contact_id)
    theirs = InboundMessage.objects.filter(
        channel_id=message.channel_id, address=message.address, contact__isnull=True
    ).order_by("received_at")
    said = list(theirs)
    refusal = next((one for one in said if one.intent == Intent.OPT_OUT), None)
    if refusal is not None:
        stop_of_contact(contact.pk, Reason.OPTED_OUT, Purpose.MARKETING)
        # The address first, by itself: it takes the stop-list whole, which attach() afterwards only shares.
        chat = suppressions.Address.chat(message.channel_id, message.address)
        suppressions.suppress(chat, SuppressionScope.MARKETING, refusal.text[:200], f"channel {message.channel_id}")
    addresses.attach(contact.pk, message.channel_id, message.address)
    InboundMessage.objects.filter(pk__in=[one.pk for one in said]).update(contact=contact, note=SenderNote.ASSIGNED)
    if refusal is not None:
        forget_marketing(contact, source=f"channel {message.channel_id}", evidence=refusal.text)
    elif said and said[-1].intent == Intent.DOUBTFUL:
        pausing.pause(contact.pk, said[-1])
    return len(said)


def phone_of(message: InboundMessage) -> str:
    """The sender's phone as E.164, where this channel calls people by phone; else ""."""
    try:
        facts = adapter_for(message.channel).capabilities
    except AccountError:
        return ""
    if facts.address is not AddressKind.PHONE or facts.resolves:
        return ""
    read = phones.normalise(message.address)
    return read.e164 if isinstance(read, phones.Phone) else ""


# ---------------------------------------------------------------- what is said back


@dataclass(frozen=True, slots=True)
class Welcome:
    """Somebody has just opened a dialogue. `stranger`: nobody knows who it is."""

    address: str
    stranger: bool


def welcome(channel_id: int, people: Sequence[Welcome]) -> int:
    """Say the channel's greeting to these people, once each, after the commit. Returns how many. Never raises.

    Best effort, as an acknowledgement is: a process killed here greets nobody, and nobody is greeted twice. Greetings
    take turns of the channel's pace away from campaigns, but wait for none: the person looks at the screen.
    """
    channel = Channel.objects.filter(pk=channel_id, enabled=True).exclude(greeting="").first()
    if channel is None or not people:
        return 0
    try:
        adapter, proxy = adapter_for(channel), proxy_for(channel)
        calls = adapter.build_send([_greeting(channel, adapter, one) for one in people])
        pace.reserve_slots(channel.pk, len(people))
    except AccountError as error:
        logger.warning("nobody is greeted in channel %s: %s", channel_id, error)
        return 0
    except Exception:
        # A stranger's address may be anything: a courtesy must not stop the inbox behind it.
        logger.exception("adapter of channel %s cannot greet", channel_id)
        return 0
    send_all(calls, proxy)
    return len(people)


def _greeting(channel: Channel, adapter: Provider, one: Welcome) -> OutgoingMessage:
    ask = channel.ask_phone and one.stranger and adapter.capabilities.invites
    return OutgoingMessage(
        ref=secrets.token_urlsafe(16),
        address=one.address,
        text=channel.greeting[: adapter.capabilities.max_text],
        contact_button=_("Share my phone number") if ask else "",
    )
