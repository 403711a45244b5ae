"""The calls themselves: many in flight, none inside a transaction.

One pump per worker process, serving all channels: it claims, writes the attempts, calls, and records, round and
round, until there is nothing left or its time is up. The event loop only moves bytes; the database is spoken to
from one thread of its own, so that a commit never holds up an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from campaigns.services.lifecycle import pause
from cascade.vocabulary import FailureClass, Reason
from channels.models import Channel
from channels.providers.base import (
    Accepted,
    AddressChange,
    AddressState,
    Call,
    Failed,
    OutgoingMessage,
    Provider,
    SendResult,
)
from channels.services import tokens
from channels.services.accounts import AccountError, adapter_for, proxy_for
from channels.services.health import closed_channels, open_breaker
from channels.services.pace import pauses, slow_down
from channels.transport import Seam
from deliveries.services.send.calling import Calling, Outgoing, call, recover_lost_commit
from deliveries.services.send.claim import LATEST_START, Claim, channels_with_work, claim, send_back
from deliveries.services.send.results import Done, record

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: How long a channel that said "too fast" without a figure is left alone.
BREATH = timedelta(seconds=1)
#: How soon this process learns of a pause that a provider asked of another one.
PAUSE_SECONDS = 0.1
#: How long results wait for company, and an idle pump with calls still in flight for new work.
LOOK_SECONDS = 0.05
#: A lost connection is tried again for this long: results in memory are evidence that must not be dropped.
DATABASE_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class _Wire:
    """One channel as this pump run uses it."""

    channel_id: int
    provider: Provider
    proxy: str
    check_registration: bool


@dataclass(slots=True)
class Pumped:
    """What a run did. `more`: it stopped for lack of time, not of work. `due`: deliveries that want a decision now."""

    sent: int = 0
    due: int = 0
    more: bool = False


class Pump:
    """Use once: `await Pump(seam).run(seconds)`."""

    def __init__(self, seam: Seam, database: ThreadPoolExecutor, in_flight: int | None = None) -> None:
        self.seam = seam
        self.in_flight = in_flight or settings.SEND_IN_FLIGHT
        #: Attempts and results are written so many at a time: one half of the places is on the wire while the other is
        #: in the database.
        self._batch = max(1, self.in_flight // 2)
        #: Messages written down as being called; a call may carry several.
        self._flying = 0
        self._database = database
        self._wires: dict[int, _Wire] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[Done] = []
        #: Channel id -> the loop's time before which its provider wants to hear nothing.
        self._held: dict[int, float] = {}
        #: Who asks for a channel's access token; the others of this process wait for the same answer.
        self._asking: dict[int, asyncio.Lock] = {}
        self._news = asyncio.Event()
        self._result = Pumped()
        self._trouble: Exception | None = None

    async def run(self, seconds: float) -> Pumped:
        """Send what is ready for up to `seconds`, then finish what is in flight and return.

        Raises what claiming raised, after what was in flight has its results.
        """
        loop = asyncio.get_running_loop()
        stop_at = loop.time() + seconds
        await self._db(close_old_connections)
        watching = asyncio.create_task(self._watch_pauses())
        try:
            return await self._pump(stop_at)
        finally:
            watching.cancel()

    async def _pump(self, stop_at: float) -> Pumped:
        loop = asyncio.get_running_loop()
        drained = False
        while True:
            in_time = loop.time() < stop_at and self._trouble is None
            if in_time and not drained and self._room() >= self._batch:
                drained = await self._refill() == 0
            if self._done and (len(self._done) >= self._batch or not self._tasks):
                await self._flush()
                continue
            if not self._tasks:
                if self._trouble is not None:
                    raise self._trouble
                if drained or not in_time:
                    self._result.more = not drained
                    return self._result
                continue
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
            except TimeoutError:
                drained = False
                if self._done:
                    await self._flush()

    def _room(self) -> int:
        return self.in_flight - self._flying - len(self._done)

    # --- database, from its own thread

    async def _db(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._database, lambda: work(*args))

    async def _refill(self) -> int:
        """Claim and write attempts for the free places, channel by channel, and let them go. Returns how many."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        batches: list[tuple[_Wire, list[Outgoing]]] = []
        try:
            await self._db(self._take, self._room(), batches)
        except (OperationalError, InterfaceError):
            logger.warning("database away while claiming; leases will run out", exc_info=True)
            await self._db(_drop_connection)
        except Exception as error:
            # What is in flight through other channels must not lose its results for it.
            logger.exception("claiming failed in our own code")
            self._trouble = error
        # What was written down before the trouble is called all the same: else it would be in doubt for nothing.
        now = loop.time()
        started = 0
        for wire, items in batches:
            for chunk in self._chunks(wire, items):
                task = asyncio.create_task(self._send(wire, chunk, now, began))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                started += len(chunk)
        self._flying += started
        return started

    def _take(self, room: int, batches: list[tuple[_Wire, list[Outgoing]]]) -> None:
        """TX-claim and TX-calling for each channel with work, added to `batches`; a channel takes at most half the
        places while others have work too, so that a slow one never holds up the rest."""
        unusable = closed_channels()
        busy = channels_with_work()
        share = room if len(busy) < 2 else max(1, min(room, self.in_flight // 2))
        for channel_id in busy:
            if channel_id in unusable:
                send_back(channel_id)
                continue
            wire = self._wire(channel_id)
            if wire is None:
                send_back(channel_id)
                continue
            claims = claim(channel_id, min(share, room))
            if not claims:
                continue
            written = self._call(wire, claims)
            room -= len(written.outgoing)
            if written.outgoing:
                batches.append((wire, written.outgoing))
            for campaign_id in written.over_budget:
                pause(campaign_id, reason="budget")
            if room <= 0:
                break

    def _call(self, wire: _Wire, claims: Sequence[Claim]) -> Calling:
        calling = Calling()
        try:
            call(
                wire.channel_id,
                wire.provider.capabilities,
                claims,
                calling,
                ask_first=wire.check_registration,
            )
        except (OperationalError, InterfaceError):
            connection.close()
            mine = recover_lost_commit([item.message.ref for item in calling.outgoing])
            logger.warning("commit of %d attempts was lost, %d are there", len(calling.outgoing), len(mine))
            calling.outgoing = [item for item in calling.outgoing if item.message.ref in mine]
        return calling

    def _wire(self, channel_id: int) -> _Wire | None:
        known = self._wires.get(channel_id)
        if known is not None:
            return known
        channel = Channel.objects.get(pk=channel_id)
        try:
            wire = _Wire(
                channel_id,
                adapter_for(channel),
                proxy_for(channel),
                channel.check_registration,
            )
        except AccountError as error:
            # Trouble, not “switched off”: it may be this worker alone that was not restarted with the new key, and a
            # probe by any other one takes the channel out of it again.
            logger.error("channel %s cannot be used: %s", channel_id, error)
            open_breaker(channel_id, FailureClass.AUTH, error.message % error.params)
            return None
        self._wires[channel_id] = wire
        return wire

    async def _flush(self) -> None:
        done, self._done = self._done, []
        loop = asyncio.get_running_loop()
        give_up = loop.time() + DATABASE_PATIENCE
        while True:
            try:
                self._result.due += await self._db(record, done)
            except (OperationalError, InterfaceError) as error:
                if loop.time() > give_up:
                    raise
                logger.warning("database away while recording %d results: %s", len(done), error)
                await self._db(_drop_connection)
                await asyncio.sleep(0.5)
            else:
                self._result.sent += len(done)
                return

    # --- the wire

    def _chunks(self, wire: _Wire, items: Sequence[Outgoing]) -> list[list[Outgoing]]:
        """Messages that go out in one call: singly, unless this API takes several and nothing precedes them."""
        size = wire.provider.capabilities.send_batch
        if size <= 1:
            return [[item] for item in items]
        single = [[item] for item in items if item.recall or item.check]
        plain = [item for item in items if not (item.recall or item.check)]
        return single + [plain[start : start + size] for start in range(0, len(plain), size)]

    async def _send(self, wire: _Wire, items: list[Outgoing], claimed_at: float, leased_at: float) -> None:
        """One call from its turn to its results. Whatever happens, each item gets exactly one result.

        `claimed_at`: what the items' turns are counted from; `leased_at`: not after the lease began.
        """
        try:
            slot = claimed_at + max(item.wait for item in items)
            recalled = registered = False
            if wire.provider.capabilities.token and (refused := await self._token(wire)) is not None:
                await self._obey(wire.channel_id, [refused])
                self._finish(items, [replace(refused, ref=item.message.ref) for item in items])
                return
            if len(items) == 1:
                recalled = await self._recall(items[0])
                found = await self._ask(wire, items[0])
                if isinstance(found, Failed):
                    await self._obey(wire.channel_id, [found])
                    self._finish(items, [found], recalled=recalled)
                    return
                if found is not None and found.state is not AddressState.REACHABLE:
                    self._finish(items, [_not_there(items[0].message, found.state)], recalled=recalled)
                    return
                registered = found is not None
                if found is not None and wire.provider.capabilities.resolves:
                    items = [_addressed(items[0], found.resolved)]
            if asyncio.get_running_loop().time() - leased_at > LATEST_START.total_seconds():
                self._finish(items, [_too_late(item.message) for item in items], recalled=recalled)
                return
            results = await self._exchange(wire, [item.message for item in items], slot)
            self._finish(items, results, recalled=recalled, registered=registered)
        except Exception as error:
            logger.exception("sending through channel %s failed in our own code", wire.channel_id)
            detail = type(error).__name__
            self._finish(
                items, [Failed(item.message.ref, FailureClass.OUTCOME_UNKNOWN, detail=detail) for item in items]
            )

    async def _exchange(self, wire: _Wire, messages: list[OutgoingMessage], slot: float) -> list[SendResult]:
        """The messages' calls. What was refused with an access token that had died before its time is called once more
        with a new one: a refused message certainly did not leave."""
        used = wire.provider.token
        results = await self._call_out(wire, messages, slot)
        if not used:
            return results
        refused = {one.ref for one in results if isinstance(one, Failed) and one.failure is FailureClass.AUTH}
        if not refused or not await self._another_token(wire, used):
            return results
        again = [message for message in messages if message.ref in refused]
        return [one for one in results if one.ref not in refused] + await self._call_out(wire, again, slot)

    async def _call_out(self, wire: _Wire, messages: list[OutgoingMessage], slot: float) -> list[SendResult]:
        try:
            calls = wire.provider.build_send(messages)
        except Exception as error:
            logger.exception("adapter %s cannot build a message", wire.provider.slug)
            detail = f"{type(error).__name__}: adapter"
            return [Failed(m.ref, FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED, detail) for m in messages]
        results: list[SendResult] = []
        for request in calls:
            loop = asyncio.get_running_loop()
            if slot > loop.time():
                await asyncio.sleep(slot - loop.time())
            held = self._held.get(wire.channel_id, 0.0) - loop.time()
            if held > 0:
                # Its turn was taken before the provider asked for a pause. Nothing left: the turn is given back.
                results.extend(_held_back(ref, timedelta(seconds=held)) for ref in request.refs)
                continue
            last, answer = request, await self.seam.call(request, proxy=wire.proxy)
            follow_up = wire.provider.build_follow_up(request, answer)
            if follow_up is not None:
                last, answer = follow_up, await self.seam.call(follow_up, proxy=wire.proxy)
            found = wire.provider.read_send(last, answer)
            await self._obey(wire.channel_id, found)
            results.extend(found)
        return results

    async def _token(self, wire: _Wire) -> Failed | None:
        """See that the adapter has an access token; why it has none. Only for channels that need one."""
        found = tokens.known(wire.channel_id, wire.provider)
        if found is not None:
            return found.failed
        async with self._asking.setdefault(wire.channel_id, asyncio.Lock()):
            return await self._ask_for_token(wire)

    async def _another_token(self, wire: _Wire, used: str) -> bool:
        """Whether there is another one than `used`, which the provider has refused."""
        async with self._asking.setdefault(wire.channel_id, asyncio.Lock()):
            if wire.provider.token != used:
                return True  # whoever was refused a moment earlier has asked
            try:
                dropped = await self._db(tokens.drop, wire.channel_id, wire.provider, used)
            except (OperationalError, InterfaceError):
                await self._db(_drop_connection)
                return False
            return dropped and await self._ask_for_token(wire) is None and wire.provider.token != used

    async def _ask_for_token(self, wire: _Wire) -> Failed | None:
        found = tokens.known(wire.channel_id, wire.provider)
        if found is not None:
            return found.failed
        try:
            ask = partial(self.seam.call, proxy=wire.proxy)
            return (await tokens.renew(wire.channel_id, wire.provider, ask, self._db, asyncio.sleep)).failed
        except (OperationalError, InterfaceError):
            logger.warning("database away while channel %s wants an access token", wire.channel_id)
            await self._db(_drop_connection)
        except Exception:
            # Nothing was sent, so nothing is in doubt: the messages are tried again later.
            logger.exception("no access token for channel %s for a reason of our own", wire.channel_id)
        return Failed("", FailureClass.TRANSIENT, detail="no access token: trouble of our own")

    async def _obey(self, channel_id: int, results: Sequence[SendResult]) -> None:
        """Stop this channel for as long as its provider asks, here at once and in the other workers within
        PAUSE_SECONDS (I15)."""
        limited = [one for one in results if isinstance(one, Failed) and one.failure is FailureClass.RATE_LIMITED]
        if not limited:
            return
        wait = max(BREATH, *(one.retry_after or BREATH for one in limited))
        until = asyncio.get_running_loop().time() + wait.total_seconds()
        if until > self._held.get(channel_id, 0.0):
            self._held[channel_id] = until
            try:
                await self._db(slow_down, channel_id, wait)
            except (OperationalError, InterfaceError):
                logger.warning("database away: the other workers are not told of channel %s's pause", channel_id)
                await self._db(_drop_connection)

    async def _watch_pauses(self) -> None:
        """Hear what other workers were told, while turns taken earlier wait here to be used."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            if not self._tasks:
                continue
            try:
                found = await self._db(pauses)
            except (OperationalError, InterfaceError):
                continue  # whoever claims or records next says so and mends it
            now = asyncio.get_running_loop().time()
            for channel_id, left in found.items():
                self._held[channel_id] = max(self._held.get(channel_id, 0.0), now + left)

    async def _recall(self, item: Outgoing) -> bool:
        """Take back an earlier undelivered message first (R7). Not getting it back does not stop the next step."""
        if item.recall is None:
            return False
        channel_id, message = item.recall
        wire = self._wires.get(channel_id) or await self._db(self._wire, channel_id)
        if wire is not None and wire.provider.capabilities.token and await self._token(wire) is not None:
            return False
        request: Call | None = wire.provider.build_recall(message) if wire else None
        if wire is None or request is None:
            return False
        return wire.provider.read_recall(request, await self.seam.call(request, proxy=wire.proxy))

    async def _ask(self, wire: _Wire, item: Outgoing) -> AddressChange | Failed | None:
        """Whether the person is registered, where the owner wants to know first, and by which id of the channel's own.
        No answer: send anyway; where the id is needed, why there is none."""
        facts, message = wire.provider.capabilities, item.message
        if not item.check or not facts.check:
            return None
        failed = None
        for request in wire.provider.build_check([message.address]):
            answer = await self.seam.call(request, proxy=wire.proxy)
            for change in wire.provider.read_check(request, answer):
                return change
            if facts.resolves:
                failed = replace(wire.provider.read_unresolved(request, answer), ref=message.ref)
        if facts.resolves and failed is None:
            refused = Reason.RECIPIENT_REFUSED
            failed = Failed(message.ref, FailureClass.RECIPIENT_PERMANENT, refused, "this channel takes no such number")
        return failed

    def _finish(
        self,
        items: Sequence[Outgoing],
        results: Sequence[SendResult],
        *,
        recalled: bool = False,
        registered: bool = False,
    ) -> None:
        by_ref = {result.ref: result for result in results}
        for item in items:
            ref = item.message.ref
            result = by_ref.get(ref) or Failed(ref, FailureClass.OUTCOME_UNKNOWN, detail="no result from the adapter")
            self._done.append(Done(_learned(item, result), result, recalled, registered))
        self._flying -= len(items)
        if len(self._done) >= self._batch or len(self._tasks) <= 1:
            self._news.set()


def _not_there(message: OutgoingMessage, state: AddressState) -> Failed:
    reason = Reason.BLOCKED if state is AddressState.BLOCKED else Reason.NOT_REGISTERED
    return Failed(message.ref, FailureClass.RECIPIENT_PERMANENT, reason, "registration check")


def _addressed(item: Outgoing, address: str) -> Outgoing:
    """The same message to the channel's own id for the phone it was for."""
    return replace(item, message=replace(item.message, address=address), found_for=item.message.address)


def _learned(item: Outgoing, result: SendResult) -> Outgoing:
    """With the id that the answer to a message to a phone has named (Capabilities.learns_id)."""
    named = result.resolved if isinstance(result, Accepted) else ""
    return _addressed(item, named) if named and item.message.address.startswith("+") else item


def _held_back(ref: str, left: timedelta) -> Failed:
    return Failed(ref, FailureClass.RATE_LIMITED, detail="not sent: the provider asked for a pause", retry_after=left)


def _too_late(message: OutgoingMessage) -> Failed:
    return Failed(
        message.ref, FailureClass.TRANSIENT, detail="preliminary calls took too long", retry_after=timedelta(seconds=5)
    )


def _drop_connection() -> None:
    """Close this thread's database connection: `connection` is another object in each thread, so the name must be
    looked up by the thread it is about."""
    connection.close()


class Runtime:
    """The event loop, the seam and the database thread of one process, made at first use (after the fork)."""

    def __init__(self) -> None:
        try:
            import uvloop  # noqa: PLC0415 - not on Windows; the loop of the standard library serves there

            self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        except ImportError:
            self.loop = asyncio.new_event_loop()
        self.database = ThreadPoolExecutor(1, thread_name_prefix="send-db")
        self.seam = Seam(
            allowed_private=settings.OUTGOING_ALLOWED_PRIVATE,
            ca_bundles=settings.OUTGOING_CA_BUNDLES,
            connect_timeout=settings.SEND_DEADLINE / 3,
            read_timeout=settings.SEND_DEADLINE * 2 / 3,
            total_timeout=settings.SEND_DEADLINE,
        )
        self.loop.run_until_complete(self.seam.__aenter__())

    def pump(self, seconds: float) -> Pumped:
        """Run one pump to its end. Not reentrant: one at a time per process, as Celery's prefork runs tasks."""
        return self.loop.run_until_complete(Pump(self.seam, self.database).run(seconds))

    def close(self) -> None:
        """Close connections and the thread."""
        self.loop.run_until_complete(self.seam.__aexit__(None, None, None))
        self.database.submit(_drop_connection).result()
        self.database.shutdown()
        self.loop.close()


_runtime: Runtime | None = None


def runtime() -> Runtime:
    """This process's runtime."""
    global _runtime  # noqa: PLW0603 - one per process is the point
    if _runtime is None:
        _runtime = Runtime()
    return _runtime


def close_runtime() -> None:
    """End this process's runtime, if it has one; the next use makes a new one. For tests and commands."""
    global _runtime  # noqa: PLW0603
    if _runtime is not None:
        _runtime.close()
        _runtime = None


def send_ready(seconds: float = 5.0) -> Pumped:
    """Send everything that is ready, for up to `seconds`. The entry point of the task and of run_once."""
    return runtime().pump(seconds)
