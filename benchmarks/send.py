"""`send`: messages a second from "due" to "accepted by the provider", through the real worker processes.

Ours: a campaign appears (committed at once), a worker pair on the default queue decides, a worker pair on the send queue
claims, re-checks every gate, writes attempts, calls and records; beat ticks. Limit: bare_loop.py. Peer: naive.py.
Each in turn, alone on the machine, against the same stub provider (one call per message, GREEN-API's wire).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from django.db import connection, transaction

from benchmarks import naive, shop
from benchmarks.rig import Rig, ratios
from cascade_project import roles
from cascade_project.children import free_port
from deliveries.models import Attempt
from deliveries.services.launch import launch_chunk
from deliveries.tasks import advance_due

#: What the limit has in flight; ours has what the setting says, in each of two processes.
IN_FLIGHT = 64

_FILL_LIMIT = """
INSERT INTO bench_limit (plan_id, contact_id, channel_id, variables, state, step, trail, priority, due_at, fence,
    wait_reason, stop_reason, outcome, outcome_milestone, outcome_reason, has_unknown, is_double)
SELECT 1, id, 1, jsonb_build_object('name', name, 'phone', substr(phone, 2)), 'ready', 0, '', 10, now(), 0,
    '', '', '', '', '', false, false
FROM contacts_contact ORDER BY id LIMIT %s
"""


def run(rig: Rig) -> dict[str, Any]:
    """The comparison at a provider that answers at once, and the same against the limit at 50 ms."""
    messages, tasks = rig.count(20_000, 100), rig.count(2_000, 20)
    shop.people(messages)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_limit (LIKE deliveries_delivery INCLUDING ALL)")
        cursor.execute(naive.TABLE)
    at_once = _provider(rig, 0)
    says = shop.text()
    found = rig.rounds(
        {
            "limit": _limit(rig, at_once, messages),
            "ours": _ours(rig, shop.chain(shop.messenger(at_once)), says, messages),
            "peer": _peer(rig, at_once, tasks),
        }
    )
    slow = _provider(rig, 50)
    at_50_ms = rig.rounds(
        {
            "limit": _limit(rig, slow, messages),
            "ours": _ours(rig, shop.chain(shop.messenger(slow)), says, messages),
        }
    )
    distant = ratios(at_50_ms)
    return {
        **ratios(found),
        "messages": messages,
        "in_flight": {"ours": [settings.SEND_IN_FLIGHT] * 2, "limit": IN_FLIGHT},
        "at_50_ms": {key: distant[key] for key in ("ratio_to_limit", "spread", "per_second")},
    }


def _provider(rig: Rig, delay_ms: int) -> str:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.stub", str(port), str(delay_ms)]
    rig.processes.start(f"stub-{delay_ms}", command, ready=lambda _: rig.listens(port))
    return f"http://127.0.0.1:{port}"


def _limit(rig: Rig, provider: str, messages: int) -> Callable[[], float]:
    def bare() -> float:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE bench_limit")
            cursor.execute(_FILL_LIMIT, [messages])
            cursor.execute("VACUUM ANALYZE bench_limit")
        command = [
            *(sys.executable, "-m", "benchmarks.bare_loop"),
            *(rig.environment["DATABASE_URL"], "bench_limit", f"{provider}/send", str(IN_FLIGHT)),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return messages / float(done.stdout)

    return bare


def _ours(rig: Rig, chain: Any, says: Any, messages: int) -> Callable[[], float]:
    def pipeline() -> float:
        _flush(rig)
        before = Attempt.objects.filter(state="accepted").count()
        workers = [
            rig.processes.worker(*roles.SEND_QUEUES),
            rig.processes.worker(*roles.DEFAULT_QUEUES),
            rig.processes.beat(),
        ]
        campaign = shop.campaign(chain, says)
        with transaction.atomic():
            while launch_chunk(campaign.pk, messages):
                pass
        start = time.perf_counter()
        advance_due.apply_async()
        rig.processes.until(_nothing_owed, timeout_s=60 + messages / 20, what="sending")
        seconds = time.perf_counter() - start
        rig.stop(workers)
        sent = Attempt.objects.filter(state="accepted").count() - before
        assert sent == messages, f"{sent} of {messages} were sent"
        return messages / seconds

    return pipeline


def _nothing_owed() -> bool:
    """Each of the three looks is into a partial index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM deliveries_delivery WHERE state = 'waiting' AND priority = 10"
            " AND due_at <= now()) AND NOT EXISTS (SELECT 1 FROM deliveries_delivery WHERE state = 'ready')"
            " AND NOT EXISTS (SELECT 1 FROM deliveries_delivery WHERE state = 'leased')"
        )
        return bool(cursor.fetchone()[0])


def _peer(rig: Rig, provider: str, tasks: int) -> Callable[[], float]:
    def task_per_message() -> float:
        _flush(rig)
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE bench_naive")
            cursor.execute(
                "INSERT INTO bench_naive (phone, name, status, provider_id) SELECT substr(phone, 2), name, 'new', ''"
                " FROM contacts_contact ORDER BY id LIMIT %s RETURNING id",
                [tasks],
            )
            ids = [row[0] for row in cursor.fetchall()]
        command = [
            word.replace(f"--app={roles.APP}", "--app=benchmarks.naive") for word in roles.worker(["naive"], 2, "naive")
        ]
        worker = rig.processes.start(
            "naive", command, {"NAIVE_PROVIDER": provider}, ready=lambda started: " ready." in started.tail()
        )
        start = time.perf_counter()
        for message_id in ids:
            naive.send.apply_async([message_id])
        rig.processes.until(lambda: not naive.NaiveMessage.objects.filter(status="new").exists(), timeout_s=600)
        seconds = time.perf_counter() - start
        rig.stop([worker])
        return tasks / seconds

    return task_per_message


def _flush(rig: Rig) -> None:
    """No hint of an earlier case is left in the broker."""
    with redis.Redis.from_url(rig.environment["REDIS_URL"]) as broker:
        broker.flushdb()
