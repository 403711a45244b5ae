"""How what people do and receipts get here: the provider calls us, or we ask it (ChannelPull)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from channels.models import Channel, ChannelPull, IncomingChoices
from channels.providers.base import Capabilities
from channels.providers.registry import provider_class, slugs
from channels.services.accounts import AccountError, capabilities_of

#: Longer than any question takes; a process that dies leaves its channels unasked for so long.
LEASE: Final = timedelta(seconds=60)
#: A provider may begin to count anew when nothing has happened for a week (Telegram does): a cursor that old would make
#: it silent for ever. Without one it tells again what it still keeps, and the inbox knows what it has.
CURSOR_KEPT: Final = timedelta(days=6)

_CLAIM = """
UPDATE channels_channelpull p SET lease_until = now() + %s, fence = p.fence + 1, asked_at = now()
FROM (SELECT channel_id FROM channels_channelpull
      WHERE channel_id = ANY(%s::bigint[]) AND next_at <= now() AND (lease_until IS NULL OR lease_until < now())
      FOR UPDATE SKIP LOCKED) due
WHERE p.channel_id = due.channel_id
RETURNING p.channel_id, p.fence,
    CASE WHEN p.moved_at > now() - %s OR p.channel_id = ANY(%s::bigint[]) THEN p.cursor ELSE '' END
"""
_GIVE_BACK = """
UPDATE channels_channelpull p SET lease_until = NULL
FROM unnest(%s::bigint[], %s::int[]) AS mine(channel_id, fence)
WHERE p.channel_id = mine.channel_id AND p.fence = mine.fence
"""
_TROUBLE = """
UPDATE channels_channelpull SET
    errors_in_row = errors_in_row + 1, trouble = %s, trouble_params = %s::jsonb,
    next_at = now() + make_interval(secs => least(300, power(2, least(errors_in_row + 1, 9))))
WHERE channel_id = %s AND fence = %s
"""


def has_public_address() -> bool:
    """Whether providers can call this server at all."""
    return settings.PUBLIC_BASE_URL.startswith("https://")


def is_pulled(channel: Channel, capabilities: Capabilities | None = None) -> bool:
    """Whether this server asks for the channel's updates: the owner's choice, else because nobody can call us."""
    try:
        facts = capabilities or capabilities_of(channel)
    except AccountError:
        return False
    if facts.pull_always:
        return facts.pull
    if not facts.pull or channel.incoming == IncomingChoices.CALLBACK:
        return False
    return channel.incoming == IncomingChoices.PULL or not has_public_address()


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to ask for one channel's updates, until its lease ends."""

    channel: Channel
    fence: int
    cursor: str


def take_turns() -> list[Turn]:
    """Lease the channels whose updates are asked for and are due. What is done with a turn ends in give_back()."""
    facts = {slug: provider_class(slug).capabilities for slug in slugs()}
    always = [slug for slug, one in facts.items() if one.pull_always]
    chosen = Q(enabled=True, provider__in=[slug for slug, one in facts.items() if one.pull and not one.pull_always])
    found = Channel.objects.filter(chosen | Q(provider__in=always)).exclude(incoming=IncomingChoices.CALLBACK)
    channels = {channel.pk: channel for channel in found if is_pulled(channel)}
    if not channels:
        return []
    ChannelPull.objects.bulk_create([ChannelPull(channel_id=pk) for pk in channels], ignore_conflicts=True)
    lasting = [pk for pk, channel in channels.items() if channel.provider in always]
    parameters: list[Any] = [LEASE, list(channels), CURSOR_KEPT, lasting]
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, parameters)
        return [Turn(channels[pk], fence, place) for pk, fence, place in cursor.fetchall()]


def move_cursor(turn: Turn, cursor: str) -> bool:
    """The next question starts here; in the transaction that stores what the last one brought. False: somebody else has
    the channel by now, and nothing may be stored."""
    moved = ChannelPull.objects.filter(channel_id=turn.channel.pk, fence=turn.fence)
    return bool(moved.update(cursor=cursor[:500], moved_at=Now()))


def note_answer(turn: Turn) -> None:
    """The provider answers: what was wrong is over."""
    mine = ChannelPull.objects.filter(channel_id=turn.channel.pk, fence=turn.fence, errors_in_row__gt=0)
    mine.update(errors_in_row=0, trouble="", trouble_params={})


def rest(turn: Turn, every: timedelta) -> None:
    """All there was has come: the next question in so long."""
    mine = ChannelPull.objects.filter(channel_id=turn.channel.pk, fence=turn.fence)
    mine.update(next_at=Now() + every)


def note_trouble(turn: Turn, message: str, params: Mapping[str, Any]) -> None:
    """Nothing can be fetched: say why, and ask less and less often, every five minutes at the least."""
    with connection.cursor() as cursor:
        cursor.execute(_TROUBLE, [message[:500], json.dumps(dict(params)), turn.channel.pk, turn.fence])


def give_back(turns: Sequence[Turn]) -> None:
    """End the leases that are still ours."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [[turn.channel.pk for turn in turns], [turn.fence for turn in turns]])
