"""POLLING: ask for the statuses nobody told us. Flow box 10'.

The next question's time is a column, moved on before the question is asked (so a killed worker only loses one round),
with the distance doubling: most messages are delivered in seconds, the rest in hours.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import connection, transaction

from channels.models import Channel
from channels.providers.base import Answer, Call, Provider, SentMessage, StatusReport
from channels.services import tokens
from channels.services.accounts import AccountError, adapter_for, proxy_for
from channels.services.health import closed_channels
from deliveries.services import reports
from deliveries.services.decisions import database_now
from deliveries.services.send.pump import runtime

logger = logging.getLogger(__name__)

#: Questions of one channel in one round; at most so many requests in flight.
ROUND = 1000
IN_FLIGHT = 16

#: After three days nobody's phone comes back on because we ask.
_CLAIM = """
UPDATE deliveries_attempt SET
    polls = polls + 1,
    next_poll_at = CASE WHEN called_at < now() - interval '3 days' THEN NULL
                        ELSE now() + make_interval(secs => least(1800, 10 * power(2, least(polls, 10)))) END
WHERE id IN (SELECT id FROM deliveries_attempt WHERE channel_id = %s AND next_poll_at <= now()
             ORDER BY next_poll_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, client_ref, address, provider_message_id, accepted_at
"""


def poll_due() -> int:
    """One round of status questions for every channel that can be asked. Returns how many messages were asked about."""
    unusable = closed_channels()
    asked = 0
    for channel_id in _channels_with_questions():
        if channel_id not in unusable:
            asked += _poll_channel(channel_id)
    return asked


def _channels_with_questions() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id FROM channels_channel c, LATERAL (SELECT 1 FROM deliveries_attempt a"
            " WHERE a.channel_id = c.id AND a.next_poll_at <= now() LIMIT 1) questions"
        )
        return [row[0] for row in cursor.fetchall()]


def _poll_channel(channel_id: int) -> int:
    channel = Channel.objects.get(pk=channel_id)
    try:
        adapter, proxy = adapter_for(channel), proxy_for(channel)
    except AccountError as error:
        logger.warning("channel %s cannot be polled: %s", channel_id, error)
        return 0
    if tokens.ready_now(channel_id, adapter, partial(_ask_at_once, proxy)) is not None:
        return 0  # sending finds the same trouble and says so
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [channel_id, ROUND])
        messages = [SentMessage(ref, address, ident, at) for _, ref, address, ident, at in cursor.fetchall()]
    if not messages:
        return 0
    used = adapter.token
    found, refused = runtime().loop.run_until_complete(_ask(adapter, proxy, messages))
    if refused and used:
        tokens.drop(channel_id, adapter, used)
    if found:
        _apply(channel_id, found)
    return len(messages)


def _ask_at_once(proxy: str, call: Call) -> Answer:
    return runtime().loop.run_until_complete(runtime().seam.call(call, proxy=proxy))


async def _ask(adapter: Provider, proxy: str, messages: Sequence[SentMessage]) -> tuple[list[StatusReport], bool]:
    """What the answers say, and whether one of them refused who asks (401)."""
    places = asyncio.Semaphore(IN_FLIGHT)
    seam = runtime().seam
    refused = False

    async def one(chunk: Sequence[SentMessage]) -> list[StatusReport]:
        nonlocal refused
        found: list[StatusReport] = []
        async with places:
            for call in adapter.build_poll(chunk):
                answer = await seam.call(call, proxy=proxy)
                refused = refused or answer.status == 401
                found += adapter.read_poll(call, answer)
        return found

    size = max(1, adapter.capabilities.poll_batch)
    chunks = [messages[start : start + size] for start in range(0, len(messages), size)]
    return [report for answers in await asyncio.gather(*map(one, chunks)) for report in answers], refused


def _apply(channel_id: int, found: Sequence[StatusReport]) -> None:
    with transaction.atomic():
        now: datetime = database_now()
        news: dict[int, reports.News] = defaultdict(reports.News)
        for index, attempt_id in reports.match(channel_id, found).items():
            news[attempt_id].add(found[index], now)
            if reports.is_unknown_word(found[index]):
                logger.warning("channel %s reports a status nobody knows: %s", channel_id, found[index].raw)
        reports.believe(channel_id, news)
        reports.apply(dict(news))
        reports.tell_health(channel_id, found)
