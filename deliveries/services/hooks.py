"""HOOKS: tell other programs what the outbox holds, at least once, in a way they can check.

A tick claims due rows by moving `due_at` on, calls with no transaction open, and records. Signed as
standardwebhooks.com says: `webhook-id` is the same at every try, so the receiver can drop repeats.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import Sum

from channels.providers.base import Answer, HttpCall
from channels.services.accounts import unseal_text
from deliveries.models import Delivery, HookEndpoint, HookEvent, HookKind, InboundMessage
from deliveries.services.decisions import database_now
from deliveries.services.send.pump import runtime

logger = logging.getLogger(__name__)

BATCH = 100
IN_FLIGHT = 16
#: Longer than a call can take: a row whose teller died is told again after it.
LEASE = timedelta(minutes=2)
#: Waits between tries, as standardwebhooks.com recommends; after the last an event is given up, and can be sent again.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
#: An endpoint that has heard nothing for so long is switched off; the owner sees it and why.
PATIENCE = timedelta(days=5)

_CLAIM = """
UPDATE deliveries_hookevent h SET due_at = now() + make_interval(secs => %s), tries = h.tries + 1
WHERE h.id IN (SELECT v.id FROM deliveries_hookevent v JOIN deliveries_hookendpoint e ON e.id = v.endpoint_id
               WHERE v.due_at <= now() AND e.enabled ORDER BY v.due_at LIMIT %s FOR UPDATE OF v SKIP LOCKED)
RETURNING h.id
"""


def tell_due(limit: int = BATCH) -> int:
    """Tell up to `limit` due events, concurrently. Returns how many were tried."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [LEASE.total_seconds(), limit])
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return 0
    events = list(HookEvent.objects.filter(pk__in=ids).select_related("endpoint").order_by("pk"))
    _compose([one for one in events if one.payload is None])
    now = database_now()
    tries = [_Try(one, _call(one, now)) for one in events]
    runtime().loop.run_until_complete(_run([one for one in tries if one.call is not None]))
    _record(tries, now)
    return len(events)


@dataclass(slots=True)
class _Try:
    event: HookEvent
    call: HttpCall | None
    answer: Answer | None = None


async def _run(tries: Sequence[_Try]) -> None:
    places, seam = asyncio.Semaphore(IN_FLIGHT), runtime().seam

    async def one(item: _Try) -> None:
        async with places:
            if item.call is not None:
                item.answer = await seam.call(item.call)

    await asyncio.gather(*(one(item) for item in tries))


def _call(event: HookEvent, now: datetime) -> HttpCall | None:
    """The signed request; None when no key opens the secret."""
    try:
        secret = unseal_text(event.endpoint.secret_sealed)
    except InvalidToken:
        return None
    # Sorted: the database gives the keys back in an order of its own, and a later try must be the same letter by letter.
    body = json.dumps(event.payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return HttpCall(
        "POST",
        event.endpoint.url,
        headers={"Content-Type": "application/json", **sign(secret, event.uid, now, body)},
        body=body,
    )


def sign(secret: str, uid: UUID, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of standardwebhooks.com."""
    ident, moment = f"msg_{uid.hex}", str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, b".".join((ident.encode(), moment.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": ident,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


@transaction.atomic
def _record(tries: Sequence[_Try], now: datetime) -> None:
    for item in tries:
        event, answer = item.event, item.answer
        status = answer.status if answer is not None else 0
        if 200 <= status < 300:
            HookEvent.objects.filter(pk=event.pk).update(due_at=None, told_at=now, status=status, error="")
            HookEndpoint.objects.filter(pk=event.endpoint_id).update(failing_since=None, last_error="")
            continue
        error = _error(answer)
        wait = WAITS[event.tries - 1] if event.tries <= len(WAITS) else None
        HookEvent.objects.filter(pk=event.pk).update(
            due_at=now + wait if wait is not None else None, status=status or None, error=error
        )
        endpoint = HookEndpoint.objects.select_for_update().get(pk=event.endpoint_id)
        endpoint.failing_since = endpoint.failing_since or now
        endpoint.last_error = error
        # 410: “gone”, said by the receiver itself.
        if status == 410 or now - endpoint.failing_since > PATIENCE:
            endpoint.enabled = False
            logger.warning("webhook %s is switched off: %s", endpoint.pk, error)
        endpoint.save(update_fields=["failing_since", "last_error", "enabled"])


def _error(answer: Answer | None) -> str:
    if answer is None:
        return "its secret cannot be read with the keys of this installation"
    return (answer.detail or f"HTTP {answer.status}")[:300]


# ---------------------------------------------------------------- what is told


def _compose(events: Sequence[HookEvent]) -> None:
    """Write the payloads: facts as they are at the first try, the same at every later one."""
    data: dict[tuple[str, int], dict[str, Any]] = {}
    wanted = {kind: [one.subject_id for one in events if one.kind == kind] for kind in HookKind}
    for delivery in (
        Delivery.objects.filter(pk__in=wanted[HookKind.FINISHED])
        .select_related("plan")
        .annotate(paid=Sum("attempts__cost"))
    ):
        data[HookKind.FINISHED, delivery.pk] = _about_delivery(delivery)
    for said in InboundMessage.objects.filter(pk__in=wanted[HookKind.RECEIVED]).select_related("attempt"):
        data[HookKind.RECEIVED, said.pk] = {
            "id": said.pk,
            "contact": said.contact_id,
            "message": said.attempt.delivery_id if said.attempt is not None else None,
            "channel": said.channel_id,
            "text": said.text,
            "button": said.payload,
            "received_at": said.received_at,
        }
    for one in events:
        about = data.get((one.kind, one.subject_id), {"contact": one.subject_id})
        body = {"type": one.kind, "timestamp": one.created_at, "data": about}
        # Through the encoder once: what is stored is what is sent, letter by letter.
        one.payload = json.loads(json.dumps(body, cls=DjangoJSONEncoder))
    HookEvent.objects.bulk_update(events, ["payload"])


def _about_delivery(delivery: Any) -> dict[str, Any]:
    steps = delivery.plan.definition.get("steps", [])
    by = delivery.outcome_step
    return {
        "id": delivery.pk,
        "contact": delivery.contact_id,
        "campaign": delivery.campaign_id,
        "outcome": delivery.outcome,
        "reason": delivery.outcome_reason,
        "milestone": delivery.outcome_milestone,
        "step": by + 1 if by is not None else None,
        "channel": steps[by]["channel_id"] if by is not None and by < len(steps) else None,
        "cost": f"{delivery.paid or 0:.4f}",
        "currency": steps[0].get("currency", "RUB") if steps else "RUB",
        "double": delivery.is_double,
        "unknown": delivery.has_unknown,
        "finished_at": delivery.finished_at,
    }
