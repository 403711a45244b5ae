"""The ticks. Thin: each calls one service, notes its heartbeat, and asks for itself again if there is work left.

A Celery message here is a hint. Beat repeats each every few seconds (deliveries.schedule), so losing all messages
costs seconds; every service is safe to run twice, so doubling them costs nothing. Hints expire quickly: a queue of
stale ones would only delay the fresh.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from celery import Task, shared_task
from django.conf import settings
from django.db import transaction

from deliveries.services import (
    advance,
    clicks,
    codes,
    doubles,
    hooks,
    launch,
    outbox,
    polling,
    pulling,
    receipts,
    recover,
)
from deliveries.services.send.pump import send_ready

logger = logging.getLogger(__name__)

#: A hint older than this is worthless: beat has sent a newer one.
HINT_LIFE = 5
#: How long one run of a tick may go on before it lets other tasks in.
RUN_SECONDS = 5.0


def hint(task: Task, times: int = 1) -> None:
    """Ask workers to look now."""
    for _ in range(times):
        task.apply_async(expires=HINT_LIFE)


def hint_after_commit(delivery_ids: Sequence[int]) -> None:
    """A service message was created in this transaction: let it leave in well under a second after the commit."""
    ids = list(delivery_ids)
    transaction.on_commit(lambda: advance_these.apply_async((ids,), expires=HINT_LIFE))


def _until_done(work: Callable[[], int], full: int) -> bool:
    """Repeat `work` while it finds full batches and there is time; True if there is more."""
    stop_at = time.monotonic() + RUN_SECONDS
    while work() >= full:
        if time.monotonic() > stop_at:
            return True
    return False


@shared_task(name="deliveries.advance")
def advance_due() -> None:
    """Decide what is due; wake the senders as soon as something is ready."""
    ready = 0

    def batch() -> int:
        nonlocal ready
        # What lies in the inbox may say that a step has worked whose time is over: read first, then give up (R6).
        # On a busy machine the inbox's own tick can be late.
        _until_done(receipts.process, receipts.BATCH)
        asked, now_ready = advance.advance_due()
        if now_ready and not ready:
            hint(send, settings.SEND_PARALLEL)
        ready += now_ready
        return asked

    more = _until_done(batch, advance.BATCH)
    recover.beat("advance")
    if more:
        hint(advance_due)
    if ready:
        hint(send, settings.SEND_PARALLEL)


@shared_task(name="deliveries.advance_these")
def advance_these(delivery_ids: list[int]) -> None:
    """Decide named deliveries at once (service messages)."""
    _, ready = advance.advance_these(delivery_ids)
    if ready:
        hint(send)


@shared_task(name="deliveries.send")
def send() -> None:
    """Send what is ready."""
    done = send_ready(RUN_SECONDS)
    recover.beat("send")
    if done.due:
        hint(advance_due)
    if done.more:
        hint(send)


@shared_task(name="deliveries.receipts")
def process_receipts() -> None:
    """Work off the inbox; wake the decision as soon as something is known."""
    worked = 0

    def batch() -> int:
        nonlocal worked
        count = receipts.process()
        worked += count
        return count

    more = _until_done(batch, receipts.BATCH)
    worked += clicks.judge()
    recover.beat("receipts")
    if worked:
        hint(advance_due)
    if more:
        hint(process_receipts)


@shared_task(name="deliveries.poll")
def poll() -> None:
    """Ask for the statuses that did not come by themselves."""
    if polling.poll_due():
        hint(advance_due)
    recover.beat("poll")


@shared_task(name="deliveries.pull")
def pull() -> None:
    """Ask for what people did and for receipts, where nobody can call this server."""
    if pulling.pull_due():
        hint(process_receipts)
    recover.beat("pull")


@shared_task(name="deliveries.launch")
def launch_campaigns() -> None:
    """Start scheduled campaigns, write deliveries of launching ones, follow pauses and cancellations."""
    more = launch.launch_due()
    if recover.wake_resumed() or recover.end_cancelled() or more:
        hint(advance_due)
    recover.beat("launch")
    if more:
        hint(launch_campaigns)


@shared_task(name="deliveries.recover")
def recover_all() -> None:
    """Lapsed leases, accounts in trouble, finished campaigns."""
    if recover.reap_leases() or recover.probe_channels() or codes.end_expired():
        hint(advance_due)
    recover.watch_accounts()
    recover.finish_campaigns()
    recover.beat("recover")


@shared_task(name="deliveries.hooks")
def tell_hooks() -> None:
    """Tell other programs what happened."""
    more = _until_done(hooks.tell_due, hooks.BATCH)
    recover.beat("hooks")
    if more:
        hint(tell_hooks)


@shared_task(name="deliveries.doubles")
def note_doubles() -> None:
    """Count how often fallbacks made doubles, for the chain's page and preflight."""
    doubles.count_doubles()


@shared_task(name="deliveries.forget")
def forget() -> None:
    """Delete what has outlived its purpose."""
    logger.info("%d old receipts deleted", recover.forget_old_receipts())
    logger.info("%d old codes deleted", codes.forget_old())
    logger.info("%d old webhook calls deleted", outbox.forget_old())
