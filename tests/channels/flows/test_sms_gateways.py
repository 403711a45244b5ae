"""The SMS gateways, each over its own wire, on the running engine: every way an answer or a receipt can go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from deliveries.models import Attempt, Receipt
from tests.channels.flows.conftest import Street, told
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell, wire_name
from tests.plugins.processes import ProcessError, Processes

GONE = "recipient_permanent"
TEXT = "message_permanent"
UNKNOWN = ("unknown", "outcome_unknown", "", "")
REACHED = ("accepted", "", "", "delivered")

Cast = dict[str, tuple[str, str, str, str]]

#: Alike on every wire.
COMMON: Cast = {
    "delivered": REACHED,
    "early": REACHED,  # the receipt overtakes the answer
    "rate_limited": REACHED,  # once, then taken
    "error_500": UNKNOWN,
    "html": UNKNOWN,
    "redirect": UNKNOWN,
    "reset": UNKNOWN,
}
#: Seen where receipts come: a question sees only the last.
RECEIPTS: Cast = {"reversed": REACHED, "delivered_then_failed": ("accepted", GONE, "recipient_refused", "delivered")}
#: The answer was lost, the receipt names our own reference.
SETTLED: Cast = {"accept_reset": REACHED, "truncated": REACHED}
LOST: Cast = {"accept_reset": UNKNOWN, "truncated": UNKNOWN}


@dataclass(frozen=True)
class Gateway:
    slug: str
    config: dict[str, Any]
    cast: Cast
    receipts: bool = True


GATEWAYS = (
    Gateway(
        "sms_ru",
        {"api_id": "api-id-of-the-test"},
        COMMON
        | RECEIPTS
        | LOST
        | {
            "expired": ("failed", GONE, "not_delivered_in_time", "accepted"),
            "failed": ("failed", GONE, "recipient_refused", "accepted"),
            "not_registered": ("failed", GONE, "recipient_refused", "accepted"),
            "refused": ("failed", GONE, "not_registered", ""),
            "blocked": ("failed", GONE, "recipient_refused", ""),
        },
    ),
    Gateway(
        "sms_aero",
        {"email": "a@b.example", "api_key": "key"},
        COMMON
        | RECEIPTS
        | SETTLED
        | {
            "failed": ("failed", GONE, "recipient_refused", "accepted"),
            "refused": ("failed", GONE, "not_registered", ""),
            "error_json": ("failed", TEXT, "message_refused", ""),
        },
    ),
    Gateway(
        "stream_telecom",
        {"login": "7911", "password": "pass", "sender": "SALON", "callbacks": True, "ask_balance": True},
        COMMON
        | RECEIPTS
        | SETTLED
        | {
            "expired": ("failed", GONE, "not_delivered_in_time", "accepted"),
            "failed": ("failed", GONE, "recipient_refused", "accepted"),
            "refused": ("failed", TEXT, "message_refused", ""),
            "error_json": UNKNOWN,
        },
    ),
    Gateway(
        "exolve",
        {
            "api_key": "key",
            "sender": "SALON",
            "delivered_words": "word-delivered",
            "failed_words": "word-failed",
            "ask_balance": True,
        },
        COMMON
        | LOST
        | {
            "failed": ("failed", GONE, "recipient_refused", "accepted"),
            "refused": ("failed", GONE, "recipient_refused", ""),
        },
        receipts=False,
    ),
    Gateway(
        "sms_aero_viber",
        {
            "email": "a@b.example",
            "api_key": "key",
            "sign": "SALON",
            "delivered_words": "word-arrived",
            "failed_words": "word-lost",
        },
        COMMON
        | LOST
        | {
            "read_only": ("accepted", "", "", "read"),
            "failed": ("failed", GONE, "recipient_refused", "accepted"),
            "refused": ("failed", GONE, "not_registered", ""),
            "error_json": ("failed", TEXT, "message_refused", ""),
        },
        receipts=False,
    ),
)
each = pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.slug)


def channel_of(street: Street, gateway: Gateway) -> Channel:
    base_url = f"{street.emulator}/{wire_name(gateway.slug)}"
    return create_channel(gateway.slug, gateway.slug, gateway.config, base_url=base_url, rate=1000.0)


@each
def test_every_way(processes: Processes, street: Street, settings: Any, gateway: Gateway) -> None:
    """Nobody is sent a message twice, and everybody not reached goes on to the next channel."""
    settings.PUBLIC_BASE_URL = "https://shop.example"  # what messages name; the emulator posts to our web process
    first, last = channel_of(street, gateway), street.messenger()
    if gateway.receipts:
        receive_callbacks(street, processes.web().url, first)
    rules = [{"behaviour": name, "times": 1} if name == "rate_limited" else name for name in gateway.cast]
    people = street.cast(first, rules)
    street.campaign(street.last_resort(first, last, expect="delivered", wait=timedelta(minutes=10)), people)
    wanted = list(gateway.cast.items())

    def story() -> list[tuple[str, tuple[str, str, str, str]]]:
        return list(zip(gateway.cast, told(first), strict=False))

    def as_wanted() -> bool:
        if not gateway.receipts:
            Attempt.objects.filter(channel=first, next_poll_at__isnull=False).update(next_poll_at=now())
        return story() == wanted

    try:
        run_until(processes, as_wanted)
    except ProcessError:
        assert story() == wanted
        raise
    sent = [request["recipient"] for request in requests_of(street, provider=wire_name(gateway.slug))]
    assert len(sent) == len(set(sent)) + 1 == len(wanted) + 1, "only the one that was told to come again came again"
    failed = sum(want[0] == "failed" for _, want in wanted)
    run_until(processes, lambda: Attempt.objects.filter(channel=last).count() == failed)
    assert not Receipt.objects.filter(state="quarantined").exists()
    assert not Attempt.objects.filter(detail__contains="unmapped").exists()


@each
def test_a_wrong_key_and_an_empty_account(processes: Processes, street: Street, gateway: Gateway) -> None:
    """The account's trouble, nobody's fault: people wait, and the page says what to do."""
    first, last = channel_of(street, gateway), street.messenger()
    wire = wire_name(gateway.slug)
    assert checks.self_test(first).ok
    tell(street.emulator, "accounts", provider=wire, account="*", balance="123.45")
    assert checks.ask_balance(first).ok
    assert str(ChannelState.objects.get(channel=first).balance) == "123.45"
    tell(street.emulator, "accounts", provider=wire, account="*", state="no_balance")
    street.campaign(street.chain(first, last, wait=timedelta(minutes=10)), street.people(8))
    run_until(processes, lambda: ChannelState.objects.get(channel=first).breaker == "open")
    assert ChannelState.objects.get(channel=first).trouble == "balance"
    tell(street.emulator, "accounts", provider=wire, account="*", state="unauthorized")
    assert checks.self_test(first).failure == "auth"
    assert not requests_of(street, provider="green")


def test_sms_ru_is_told_where_its_receipts_go(street: Street, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://shop.example"
    channel = channel_of(street, GATEWAYS[0])
    verdict = checks.connect_receipts(channel)
    assert verdict.ok, verdict
