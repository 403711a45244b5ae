"""PULLING: ask for what people did and for receipts, where no provider can call this server. Flow box 8''.

What an answer brings is stored in the inbox together with the place the next question starts from, in one transaction,
and only then is it acknowledged to the provider. Killed before the commit: it is told again. Killed after: told again
too, and known (Receipt is unique). From there on it is a callback like any other (services.receipts).
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from django.db import transaction

from channels.providers.base import Answer, Call, NoAnswer, Provider
from channels.services.accounts import AccountError, adapter_for, proxy_for
from channels.services.incoming import Turn, give_back, move_cursor, note_answer, note_trouble, rest, take_turns
from deliveries.services import receipts
from deliveries.services.send.pump import runtime

logger = logging.getLogger(__name__)

#: How long a round goes on asking channels that have more to tell.
RUN_SECONDS = 5.0
#: A question nobody answers; and one that the provider keeps open while there is nothing to tell: a worker process is
#: held up by it, and the next tick asks again.
PATIENCE = 10.0
HELD_PATIENCE = 1.5


@dataclass(slots=True)
class _Line:
    """One channel being asked, in turns: acknowledge what was stored, ask, store."""

    turn: Turn
    adapter: Provider
    proxy: str
    cursor: str
    acks: tuple[Call, ...] = ()


def pull_due() -> int:
    """Ask every channel that is due, all at once, and on while they have more. Returns how many updates were new."""
    turns = take_turns()
    if not turns:
        return 0
    try:
        return _pull([line for turn in turns if (line := _line(turn)) is not None])
    finally:
        give_back(turns)


def _line(turn: Turn) -> _Line | None:
    try:
        return _Line(turn, adapter_for(turn.channel), proxy_for(turn.channel), turn.cursor)
    except AccountError as error:
        logger.warning("channel %s cannot be asked for updates: %s", turn.channel.pk, error)
        return None


def _pull(lines: list[_Line]) -> int:
    loop, stop_at, new = runtime().loop, time.monotonic() + RUN_SECONDS, 0
    asking = {loop.create_task(_ask(line)): line for line in lines}
    while asking:
        # The loop stands still while the database is spoken to: answers wait in their sockets meanwhile.
        done, _ = loop.run_until_complete(asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED))
        for task in done:
            line = asking.pop(task)
            kept, more = _keep(line, task.result())
            new += kept
            if more and time.monotonic() < stop_at:
                asking[loop.create_task(_ask(line))] = line
    # What was stored last is acknowledged as well, where the provider wants it: else it would be told once more.
    if last := [loop.create_task(_acknowledge(line)) for line in lines if line.acks]:
        loop.run_until_complete(asyncio.wait(last))
    return new


async def _ask(line: _Line) -> tuple[Call, Answer] | None:
    """The next question's answer; None where the provider had nothing to tell for as long as we wait."""
    await _acknowledge(line)
    call = line.adapter.build_pull(line.cursor)
    if call is None:
        return None
    holds = line.adapter.capabilities.pull_holds
    try:
        async with asyncio.timeout(HELD_PATIENCE if holds else PATIENCE):
            return call, await runtime().seam.call(call, proxy=line.proxy)
    except TimeoutError:
        return None if holds else (call, Answer(no_answer=NoAnswer.MAYBE_SENT, detail="no answer in time"))


async def _acknowledge(line: _Line) -> None:
    acks, line.acks = line.acks, ()
    for call in acks:
        await runtime().seam.call(call, proxy=line.proxy)


def _keep(line: _Line, answered: tuple[Call, Answer] | None) -> tuple[int, bool]:
    """Store what came and where to go on, in one transaction. Returns how many were new, and whether to ask on."""
    if answered is None:
        return 0, False
    pulled = line.adapter.read_pull(*answered)
    if pulled.trouble is not None:
        note_trouble(line.turn, pulled.trouble.message, pulled.trouble.params)
        return 0, False
    note_answer(line.turn)
    every = line.adapter.capabilities.pull_every
    if every and not pulled.more:
        rest(line.turn, every)
    if not pulled.requests and pulled.cursor is None:
        return 0, pulled.more
    with transaction.atomic():
        cursor = line.cursor if pulled.cursor is None else pulled.cursor
        if not move_cursor(line.turn, cursor):
            return 0, False
        new = receipts.store_all(line.turn.channel.pk, pulled.requests)
    line.cursor, line.acks = cursor, pulled.acks
    return new, pulled.more
