"""LISTENING: hold the connections over which some accounts tell what happens while it happens (Asterisk).

One process holds one WebSocket for each such account. What is heard is the adapter's to understand (channels.providers
.base.Ear); here it is only carried: reports into the inbox first, as if they were callbacks, then the calls that follow.
So killed at any instant nothing is told twice and nothing is forgotten: what ended while nobody listened is found missing
when the connection stands again, and becomes unknown (R8).

An account is held by one process: an advisory lock of the listener's database session says whose it is, and ends with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils.timezone import now

from cascade.vocabulary import FailureClass
from channels.models import Channel
from channels.providers.base import Ear, HttpCall, Provider, Reaction
from channels.providers.registry import provider_class, slugs
from channels.services.accounts import AccountError, adapter_for, proxy_for
from channels.services.health import note_results
from channels.transport import Seam, SocketClosed
from deliveries.models import Heartbeat
from deliveries.services import receipts
from deliveries.services.recover import beat

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: How often accounts are looked for and the heartbeat is written.
LOOK_SECONDS = 5.0
#: How long a quiet connection is waited on before the ear is asked whether something is due.
PATIENCE = 0.5
#: Pauses between tries of an account that cannot be held, doubling.
PAUSES = (1.0, 30.0)
HEARTBEAT = "listen"
#: First key of the advisory locks: “lstn”; the second is the channel.
LOCK = 0x6C73746E

#: Our messages that were taken and have not ended, as far as we know. Calls last minutes.
_OPEN = """
SELECT client_ref FROM deliveries_attempt
WHERE channel_id = %s AND state = 'accepted' AND failure = '' AND delivered_at IS NULL
    AND called_at > now() - interval '2 hours'
"""


class Listener:
    """`await Listener(seam).run(stop)` until `stop` is set."""

    def __init__(self, seam: Seam) -> None:
        self.seam = seam
        #: One thread, one session: the locks live in it.
        self._database = ThreadPoolExecutor(1, thread_name_prefix="listen-db")
        self._held: dict[int, tuple[str, asyncio.Task[None]]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Hold every account that wants it, follow what the owner changes, end when told."""
        try:
            while not stop.is_set():
                try:
                    await self._look()
                except (OperationalError, InterfaceError) as error:
                    logger.warning("database away while looking for accounts: %s", error)
                    await self._db(connection.close)
                try:
                    await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
                except TimeoutError:
                    continue
        finally:
            for _, task in self._held.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._held.values()), return_exceptions=True)
            await self._db(connection.close)
            self._database.shutdown()

    async def _look(self) -> None:
        wanted = await self._db(_accounts)
        for channel_id, (version, task) in list(self._held.items()):
            if wanted.get(channel_id) != version or task.done() or not await self._db(_lock, channel_id):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                del self._held[channel_id]
                await self._db(_unlock, channel_id)
        for channel_id, version in wanted.items():
            if channel_id not in self._held and await self._db(_lock, channel_id):
                self._held[channel_id] = version, asyncio.create_task(self._hold(channel_id))
        await self._db(_note_heartbeat, bool(wanted))

    async def _db(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._database, lambda: work(*args))

    # --- one account

    async def _hold(self, channel_id: int) -> None:
        """Connect, listen, connect again, until cancelled. The ear outlives its connections."""
        adapter, proxy = await self._db(_wire, channel_id)
        ear = adapter.open_ear()
        pause = PAUSES[0]
        while True:
            request = adapter.build_listen()
            if request is None:
                return
            began = asyncio.get_running_loop().time()
            try:
                await self._listen(channel_id, ear, request, proxy)
            except SocketClosed as error:
                refused = error.status in {401, 403, 404}
                logger.warning("the connection of channel %s is over: %s", channel_id, error)
                trouble = FailureClass.AUTH if refused else FailureClass.TRANSIENT
                await self._patiently(note_results, channel_id, 0, trouble, str(error)[:200])
            if asyncio.get_running_loop().time() - began > PAUSES[1]:
                pause = PAUSES[0]
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSES[1])

    async def _listen(self, channel_id: int, ear: Ear, request: HttpCall, proxy: str) -> None:
        async with self.seam.socket(request, proxy=proxy) as socket:
            logger.info("listening to channel %s", channel_id)
            await self._act(channel_id, ear, ear.connected(await self._patiently(_open_refs, channel_id), now()), proxy)
            while True:
                text = await socket.receive(PATIENCE)
                if text is not None:
                    await self._act(channel_id, ear, ear.hear(text, now()), proxy)
                await self._act(channel_id, ear, ear.wake(now()), proxy)

    async def _act(self, channel_id: int, ear: Ear, reaction: Reaction, proxy: str) -> None:
        for report in reaction.reports:
            await self._patiently(receipts.store, channel_id, report)
        for call in reaction.calls:
            answer = await self.seam.call(call, proxy=proxy)
            await self._act(channel_id, ear, ear.answered(call, answer, now()), proxy)

    async def _patiently(self, work: Callable[..., T], *args: object) -> T:
        """What was heard is told once: while the database is away it is held here, and so is everything behind it."""
        while True:
            try:
                return await self._db(work, *args)
            except (OperationalError, InterfaceError) as error:
                logger.warning("database away, holding what was heard: %s", error)
                await self._db(connection.close)
                await asyncio.sleep(1.0)


# ---------------------------------------------------------------- questions, from the listener's thread


def _accounts() -> dict[int, str]:
    """Accounts that want to be listened to: channel id -> what it is made of, so that a change opens it anew."""
    wanted = [slug for slug in slugs() if provider_class(slug).capabilities.listens]
    found = Channel.objects.filter(enabled=True, provider__in=wanted).exclude(config_encrypted="")
    return {channel.pk: f"{channel.config_encrypted}|{channel.base_url}" for channel in found}


def _wire(channel_id: int) -> tuple[Provider, str]:
    channel = Channel.objects.get(pk=channel_id)
    try:
        return adapter_for(channel), proxy_for(channel)
    except AccountError as error:
        logger.error("channel %s cannot be listened to: %s", channel_id, error)
        raise


def _open_refs(channel_id: int) -> Sequence[str]:
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [channel_id])
        return [row[0] for row in cursor.fetchall()]


def _lock(channel_id: int) -> bool:
    """Whether the account is ours, taking it if it is free: the session that held it may have been lost meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            " AND classid = %s AND objid = %s) THEN true ELSE pg_try_advisory_lock(%s, %s) END",
            [LOCK, channel_id, LOCK, channel_id],
        )
        return bool(cursor.fetchone()[0])


def _unlock(channel_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, channel_id])


def _note_heartbeat(wanted: bool) -> None:
    """A listener that is silent is an alarm only while there is something to listen to."""
    if wanted:
        beat(HEARTBEAT)
    else:
        Heartbeat.objects.filter(name=HEARTBEAT).delete()


async def listen(stop: asyncio.Event) -> None:
    """The whole process: a seam of its own, and the listener in it."""
    async with Seam(allowed_private=settings.OUTGOING_ALLOWED_PRIVATE, ca_bundles=settings.OUTGOING_CA_BUNDLES) as seam:
        await Listener(seam).run(stop)
