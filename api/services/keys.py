"""Keys: made, found, revoked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.timezone import now

from api.models import ApiKey, Scope

#: So that a key found in a log or a repository can be recognised as one of ours.
PREFIX = "csc_"
_USED_EVERY = timedelta(hours=1)


def issue(
    name: str, scopes: Collection[Scope | str], expires_at: datetime | None = None, by: AbstractBaseUser | None = None
) -> tuple[ApiKey, str]:
    """Make a key. Out: its row, and the key itself, which nobody can ever see again.

    `expires_at`: aware; None: until revoked. Raises ValueError for no scope or an unknown one.
    """
    wanted = sorted({Scope(scope).value for scope in scopes})
    if not wanted:
        raise ValueError("a key that may do nothing is no key")
    key = PREFIX + secrets.token_urlsafe(32)
    row = ApiKey.objects.create(
        name=name,
        prefix=key[:12],
        digest=_digest(key),
        scopes=wanted,
        expires_at=expires_at,
        created_by_id=by.pk if by is not None else None,
    )
    return row, key


def find(key: str) -> ApiKey | None:
    """The row of a key that is valid now; None for any other text. Side effect: notes the use, once an hour.

    The lookup is by the hash of 256 random bits: how long it takes tells nothing worth knowing.
    """
    if not key.startswith(PREFIX):
        return None
    moment = now()
    row = ApiKey.objects.filter(digest=_digest(key), revoked_at__isnull=True).first()
    if row is None or (row.expires_at is not None and row.expires_at <= moment):
        return None
    if row.last_used_at is None or moment - row.last_used_at > _USED_EVERY:
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=moment)
    return row


def revoke(key_id: int) -> bool:
    """From now on the key opens nothing. Out: whether it did until now."""
    return bool(ApiKey.objects.filter(pk=key_id, revoked_at__isnull=True).update(revoked_at=now()))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
