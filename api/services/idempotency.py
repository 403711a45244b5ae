"""The same request twice is one request.

As Stripe does it (docs.stripe.com/api/idempotent_requests): the first request under a key is remembered with its
answer; the same request again gets that answer; another request under the key is refused (422); while the first is
at work, a second is told to wait (409). Unlike there, an answer that says “nothing was done” (4xx) is not kept: the
caller mends the request and may use the key again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from api.models import Answer, ApiKey

#: A request takes seconds; one that has said nothing for so long died with its process, and may be done again.
#: That is safe: what it does is written down under a key of its own (deliveries are unique by it).
ABANDONED_AFTER = timedelta(minutes=2)
KEPT_FOR = timedelta(days=1)


class AnotherRequestError(Exception):
    """The key was used for another request."""


class AtWorkError(Exception):
    """The first request under this key has not been answered yet."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A place to write the answer into; with `status`, the answer that was given before."""

    answer_id: int
    status: int | None = None
    body: Any = None


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """What makes two requests the same."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).digest()


def begin(key: ApiKey, idempotency_key: str, mark: bytes) -> Turn:
    """Take the turn under this key, or read what was answered. Raises AnotherRequestError, AtWorkError.

    Committed when it returns: a second request, in any process, sees the first one.
    """
    with transaction.atomic():
        row, new = Answer.objects.select_for_update().get_or_create(
            key=key, idempotency_key=idempotency_key, defaults={"fingerprint": mark}
        )
        if new:
            return Turn(row.pk)
        if bytes(row.fingerprint) != mark:
            raise AnotherRequestError
        if row.status is not None:
            return Turn(row.pk, row.status, row.body)
        stale = Answer.objects.filter(pk=row.pk, created_at__lt=Now() - ABANDONED_AFTER)
        if not stale.update(created_at=Now()):
            raise AtWorkError
        return Turn(row.pk)


def keep(turn: Turn, status: int, body: Any) -> None:
    """Write the answer down. Call it in the transaction that did the work: both or neither."""
    Answer.objects.filter(pk=turn.answer_id).update(status=status, body=body)


def forget(turn: Turn) -> None:
    """Nothing was done: the key is free again."""
    Answer.objects.filter(pk=turn.answer_id, status__isnull=True).delete()


def forget_old() -> int:
    """Drop answers older than a day. Out: how many. For the daily tick."""
    deleted, _ = Answer.objects.filter(created_at__lt=Now() - KEPT_FOR).delete()
    return deleted
