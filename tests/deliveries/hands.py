"""The engine by hand, one transaction at a time: for what must happen between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from channels.models import Channel
from channels.providers.base import Accepted, SendResult
from channels.services.accounts import adapter_for
from deliveries.services.send.calling import Calling, Outgoing, call
from deliveries.services.send.claim import claim
from deliveries.services.send.results import Done, record


def call_out(channel: Channel, limit: int = 100) -> list[Outgoing]:
    """TX-claim and TX-calling of what is ready on this channel: the calls are in flight when this returns."""
    calling = Calling()
    claims = claim(channel.pk, limit)
    if claims:
        call(channel.pk, adapter_for(channel).capabilities, claims, calling, ask_first=False)
    return calling.outgoing


def answer(items: Sequence[Outgoing], result: SendResult | None = None) -> int:
    """TX-result: accepted, or what is given (its ref is replaced by each item's)."""
    done = []
    for item in items:
        ref = item.message.ref
        done.append(Done(item, replace(result, ref=ref) if result else Accepted(ref, f"id-{ref}")))
    return record(done)
