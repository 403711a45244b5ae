"""The limit of `send`: the shortest honest program with the same durable work, in one process.

    claim 500 rows (UPDATE ... SKIP LOCKED ... RETURNING, committed) -> render -> POST, 64 in flight ->
    one UPDATE ... FROM unnest for the 500 results, which also writes when to look again

No attempts, no gates, no timeline, no pace, no second step: a killed run sends twice, and a stop is not seen.
`python -m benchmarks.bare_loop DATABASE_URL TABLE PROVIDER_URL IN_FLIGHT` prints the seconds it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
import psycopg
import uvloop

BATCH = 500

_CLAIM = """
UPDATE {table} SET state = 'leased', lease_until = now() + interval '45 s', due_at = NULL, fence = fence + 1
WHERE id IN (SELECT id FROM {table} WHERE state = 'ready' AND channel_id = 1 AND due_at <= now()
             ORDER BY priority, due_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, variables
"""
_RESULT = """
UPDATE {table} d SET state = 'waiting', due_at = now() + interval '1 h', lease_until = NULL, dedup_key = v.provider_id
FROM unnest(%s::bigint[], %s::text[]) AS v(id, provider_id) WHERE d.id = v.id
"""


async def drain(database: str, table: str, provider: str, in_flight: int) -> float:
    """Send every ready row of the table; returns the seconds."""
    start = time.perf_counter()
    connection = psycopg.connect(database, autocommit=True)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        while rows := connection.execute(_CLAIM.format(table=table), [BATCH]).fetchall():
            unsent = iter(rows)
            done: list[tuple[int, str]] = []
            await asyncio.gather(*(_sender(session, provider, unsent, done) for _ in range(in_flight)))
            connection.execute(_RESULT.format(table=table), [[i for i, _ in done], [p for _, p in done]])
    connection.close()
    return time.perf_counter() - start


async def _sender(session: aiohttp.ClientSession, provider: str, unsent: Any, done: list[tuple[int, str]]) -> None:
    for row_id, variables in unsent:
        text = f"Здравствуйте, {variables['name']}! Ждём вас завтра, ваша скидка 10 %."
        message = {"chatId": f"{variables['phone']}@c.us", "message": text}
        async with session.post(provider, json=message) as answer:
            done.append((row_id, json.loads(await answer.read())["idMessage"]))


if __name__ == "__main__":
    print(uvloop.run(drain(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
