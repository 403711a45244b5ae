"""Short-lived access tokens (Capabilities.token): asked for once by whoever needs it first, kept for all workers.

The row is the truth: the token, encrypted, and a lease on asking for the next one. No lock is held during the question:
who finds the token old takes the lease in a short transaction, asks, and writes the answer in another; who comes
meanwhile goes on with the old token while it is good, and waits for the new one when it is not. A worker killed while
asking costs the rest of its lease.

A process keeps what it has read beside its adapter, so that a message costs a dictionary lookup. A token that the
provider refuses before its time is thrown away and asked for again, once a minute at most for the whole account: what a
new token does not mend is trouble of the account.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import connection, transaction

from cascade.vocabulary import FailureClass
from channels.models import ChannelToken
from channels.providers.base import Answer, Call, Failed, Provider, Token
from channels.services.accounts import seal_text, unseal_text

T = TypeVar("T")

#: A new token is asked for so long before the old one ends, or in the last fifth of a shorter life.
RENEW_AHEAD = timedelta(minutes=5)
#: A token this close to its end may be dead when the request arrives.
LAST_GASP = timedelta(seconds=20)
#: A refused token is thrown away once in so long. The probe of an account in trouble comes as often.
DROP_EVERY = timedelta(minutes=1)
#: No provider's figure is believed beyond this.
LONGEST = timedelta(days=7)
#: How long one "no" answers for all messages of this process that waited for the same question.
REFUSED_FOR = 1.0
#: How soon a token that another worker is asking for is looked for again.
LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Held:
    """What this process knows: the adapter has a token (`failed` is None), or why it has none. Until `until`, on the
    monotonic clock."""

    provider: Provider
    until: float
    failed: Failed | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """This caller holds the lease and must ask. `usable`: the adapter has an old token that still works."""

    now: datetime
    usable: float = 0.0  #: seconds


_held: dict[int, Held] = {}


def known(channel_id: int, provider: Provider) -> Held | None:
    """What need not be asked: no I/O. None: call renew() or ready_now()."""
    held = _held.get(channel_id)
    return held if held is not None and held.provider is provider and time.monotonic() < held.until else None


async def renew(
    channel_id: int,
    provider: Provider,
    ask: Callable[[Call], Awaitable[Answer]],
    database: Callable[..., Awaitable[Any]],
    pause: Callable[[float], Awaitable[None]],
) -> Held:
    """Give the adapter a token. `ask` sends a call, `database` runs a function where queries may be made.

    Raises what the database raises.
    """
    while True:
        step = await database(take, channel_id, provider)
        if isinstance(step, Held):
            return step
        if step is None:
            await pause(LOOK_SECONDS)
            continue
        call = provider.build_token(step.now)
        found = provider.read_token(call, await ask(call)) if call is not None else _NOTHING_TO_ASK
        held: Held = await database(settle, channel_id, provider, step, found)
        return held


def ready_now(channel_id: int, provider: Provider, ask: Callable[[Call], Answer]) -> Failed | None:
    """renew() for code that waits for its answers. Why there is no token; None where there is one or none is needed.

    Who asks here wants to know how it is now (a check, a probe), so a "no" of a moment ago is asked again.
    """
    if not provider.capabilities.token:
        return None
    held: Held | Turn | None = known(channel_id, provider)
    if isinstance(held, Held) and held.failed is not None:
        held = None
    while not isinstance(held, Held):
        held = take(channel_id, provider)
        if held is None:
            time.sleep(LOOK_SECONDS)
        elif isinstance(held, Turn):
            call = provider.build_token(held.now)
            found = provider.read_token(call, ask(call)) if call is not None else _NOTHING_TO_ASK
            held = settle(channel_id, provider, held, found)
    return held.failed


def take(channel_id: int, provider: Provider) -> Held | Turn | None:
    """The kept token, put into the adapter; or the lease to ask for one; or None: somebody else is asking."""
    ChannelToken.objects.get_or_create(channel_id=channel_id)
    with transaction.atomic():
        row, now = _lock(channel_id)
        value = _open(row.token_encrypted, provider)
        left = row.expires_at - now - LAST_GASP if value and row.expires_at else timedelta(0)
        if left > timedelta(0):
            provider.token = value
            asking = row.asked_until is not None and row.asked_until > now
            if asking or (row.renew_at is not None and row.renew_at > now):
                until = row.asked_until if asking else row.renew_at
                return _remember(channel_id, provider, min(left, (until or now) - now))
        elif row.asked_until is not None and row.asked_until > now:
            return None
        ChannelToken.objects.filter(pk=channel_id).update(
            asked_until=now + timedelta(seconds=settings.SEND_DEADLINE + 5)
        )
        return Turn(now, max(0.0, left.total_seconds()))


def settle(channel_id: int, provider: Provider, turn: Turn, found: Token | Failed) -> Held:
    """Keep a new token for everybody, or say why there is none.

    While the old one is good a refusal changes nothing: the lease stands, and is when it is asked for again.
    """
    if isinstance(found, Failed):
        if turn.usable:
            return _remember(channel_id, provider, timedelta(seconds=min(turn.usable, settings.SEND_DEADLINE)))
        ChannelToken.objects.filter(pk=channel_id).update(asked_until=None)
        held = Held(provider, time.monotonic() + REFUSED_FOR, found)
        _held[channel_id] = held
        return held
    lifetime = min(found.lifetime, LONGEST)
    ahead = min(RENEW_AHEAD, lifetime / 5)
    ChannelToken.objects.filter(pk=channel_id).update(
        token_encrypted=seal_text(json.dumps({"value": found.value, "of": _fingerprint(provider)})),
        renew_at=turn.now + lifetime - ahead,
        expires_at=turn.now + lifetime,
        asked_until=None,
    )
    provider.token = found.value
    return _remember(channel_id, provider, lifetime - ahead)


def drop(channel_id: int, provider: Provider, value: str) -> bool:
    """The provider refused `value`: throw it away. True: there is another one to be had, by known() and renew().

    False within DROP_EVERY of the last time: a token that is refused as soon as it is new, or that nobody could get, is
    trouble of the account.
    """
    with transaction.atomic():
        ChannelToken.objects.get_or_create(channel_id=channel_id)
        row, now = _lock(channel_id)
        kept = _open(row.token_encrypted, provider)
        if kept in {"", value}:
            somebody_asks = not kept and row.asked_until is not None and row.asked_until > now
            if row.dropped_at is not None and row.dropped_at > now - DROP_EVERY and not somebody_asks:
                return False
            ChannelToken.objects.filter(pk=channel_id).update(token_encrypted="", dropped_at=now)
    _held.pop(channel_id, None)
    return True


_NOTHING_TO_ASK = Failed("", FailureClass.AUTH, detail="the adapter asks for no token")


def _lock(channel_id: int) -> tuple[ChannelToken, datetime]:
    row = ChannelToken.objects.select_for_update().get(pk=channel_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return row, cursor.fetchone()[0]


def _remember(channel_id: int, provider: Provider, life: timedelta) -> Held:
    held = Held(provider, time.monotonic() + life.total_seconds())
    _held[channel_id] = held
    return held


def _open(token: str, provider: Provider) -> str:
    """The kept value; "" where there is none, no key opens it, or it was got with other credentials."""
    try:
        kept = json.loads(unseal_text(token)) if token else {}
    except (InvalidToken, ValueError):
        return ""
    return str(kept.get("value", "")) if kept.get("of") == _fingerprint(provider) else ""


def _fingerprint(provider: Provider) -> str:
    """Of what a token is asked with: the owner's change of it makes the kept one somebody else's."""
    made_of = [provider.slug, provider.base, dataclasses.asdict(provider.config)]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
