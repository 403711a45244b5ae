"""What a person waits for after a callback: the button they pressed stops spinning. Best effort, after the commit.

Nothing is read from the answers and nothing is repeated: it is a courtesy, and the callback itself is long stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from channels.models import Channel
from channels.providers.base import Call, CallbackRequest
from channels.services.accounts import AccountError, adapter_for, proxy_for
from deliveries.services.send.pump import runtime

logger = logging.getLogger(__name__)

#: A provider that hangs must not hold up the inbox behind it.
PATIENCE = 5.0
IN_FLIGHT = 16


def acknowledge(channel_id: int, requests: Sequence[CallbackRequest]) -> int:
    """Send this channel's acknowledgements of these callbacks; returns how many there were. Never raises."""
    channel = Channel.objects.filter(pk=channel_id).first()
    if channel is None:
        return 0
    try:
        adapter, proxy = adapter_for(channel), proxy_for(channel)
        calls = [call for request in requests for call in adapter.build_ack(request)]
    except AccountError as error:
        logger.warning("callbacks of channel %s are not acknowledged: %s", channel_id, error)
        return 0
    except Exception:
        # Whatever an adapter trips over in a stranger's callback: a courtesy must not stop the inbox behind it.
        logger.exception("adapter of channel %s cannot acknowledge", channel_id)
        return 0
    send_all(calls, proxy)
    return len(calls)


def send_all(calls: Sequence[Call], proxy: str) -> None:
    """Send calls whose answers nobody reads, for as long as PATIENCE lasts. Not inside a transaction."""
    if calls:
        runtime().loop.run_until_complete(_send(calls, proxy))


async def _send(calls: Sequence[Call], proxy: str) -> None:
    places = asyncio.Semaphore(IN_FLIGHT)
    seam = runtime().seam

    async def one(call: Call) -> None:
        async with places:
            await seam.call(call, proxy=proxy)

    tasks = [asyncio.create_task(one(call)) for call in calls]
    _, late = await asyncio.wait(tasks, timeout=PATIENCE)
    for task in late:
        task.cancel()
