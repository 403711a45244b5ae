"""Robots that call, each over its own wire, on the running engine: picked up, hung up, rung out, pressed a key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.request import urlopen

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from deliveries.models import Attempt, Delivery, Receipt
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, TEXT, UNKNOWN, Cast, await_story, ops, post, sends
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes

NO_ANSWER = ("failed", GONE, "no_answer", "sent")

SMSC_CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("key", ("accepted", "", "", "read")),
    ("short", NO_ANSWER),  # picked up and hung up: an answering machine does so too
    ("no_answer", NO_ANSWER),
    ("busy", NO_ANSWER),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("reversed", ("accepted", "", "", "delivered")),
    ("early", ("accepted", "", "", "delivered")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # the receipt names our own reference
    ("truncated", ("accepted", "", "", "delivered")),
]


def robot(street: Street, **config: Any) -> Channel:
    config = {"apikey": "smsc-key", "key_field": "word-key", **config}
    return create_channel("smsc_voice", "Робот", config, base_url=f"{street.emulator}/smsc_voice", rate=1000.0)


def test_smsc_every_way(processes: Processes, street: Street) -> None:
    first, sms = robot(street), street.sms()
    receive_callbacks(street, processes.web().url, first)
    people = street.cast(first, [behaviour for behaviour, _ in SMSC_CAST])
    street.campaign(street.last_resort(first, sms, expect="delivered", wait=timedelta(minutes=10)), people)
    await_story(processes, first, SMSC_CAST)
    assert sorted(sends(street, "smsc_voice").values())[-2:] == [1, 2], "nobody is rung twice but who was told to wait"
    asked = [op for op in ops(street, "smsc_voice") if op.startswith("tries")]
    assert set(asked) == {"tries 1"}, "the provider was told not to redial"
    failed = sum(1 for _, want in SMSC_CAST if want[0] == "failed")
    run_until(processes, lambda: Attempt.objects.filter(channel=sms).count() == failed)
    assert Attempt.objects.filter(channel=first, goal_at__isnull=False).count() == 1
    assert not Receipt.objects.filter(state="quarantined").exists()


def test_a_pressed_key_ends_the_cascade_and_money_is_an_account_s_trouble(processes: Processes, street: Street) -> None:
    """No callbacks at all: an account has one address for them, and it may be another channel's."""
    first, sms = robot(street), street.sms()
    people = street.cast(first, ["key", "no_answer"])
    street.campaign(street.last_resort(first, sms, expect="goal", wait=timedelta(minutes=10)), people)

    def ended() -> bool:
        Attempt.objects.filter(channel=first, next_poll_at__isnull=False).update(next_poll_at="2020-01-01T00:00:00Z")
        return Delivery.objects.filter(outcome="reached").exists() and Attempt.objects.filter(channel=sms).exists()

    run_until(processes, ended)
    reached = Delivery.objects.get(outcome="reached", outcome_step=0)
    assert reached.outcome_milestone == "goal"
    assert len(requests_of(street, provider="smsc")) == 1
    tell(street.emulator, "accounts", provider="smsc_voice", account="*", state="no_balance")
    street.campaign(street.chain(first, sms, wait=timedelta(minutes=10)), street.people(8))
    run_until(processes, lambda: ChannelState.objects.get(channel=first).breaker == "open")
    assert ChannelState.objects.get(channel=first).trouble == "balance"
    tell(street.emulator, "accounts", provider="smsc_voice", account="*", state="unauthorized")
    assert checks.self_test(first).failure == "auth"


# ---------------------------------------------------------------- Zadarma

ZADARMA_CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("short", NO_ANSWER),
    ("no_answer", NO_ANSWER),
    ("busy", NO_ANSWER),
    ("failed", ("failed", GONE, "no_answer", "accepted")),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("reversed", ("accepted", "", "", "delivered")),
    ("early", ("accepted", "", "", "delivered")),  # the webhook overtakes the answer
    ("refused", ("failed", TEXT, "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # number and time say that it was made
]


def test_zadarma_every_way(processes: Processes, street: Street) -> None:
    config = {"user_key": "key-1", "api_secret": "secret-of-key-1", "scenario": "0-1"}
    first = create_channel("zadarma", "Zadarma", config, base_url=f"{street.emulator}/zadarma", rate=1000.0)
    sms, web = street.sms(), processes.web().url
    assert checks.self_test(first).ok
    receive_callbacks(street, web, first)
    tell(street.emulator, "accounts", provider="zadarma", account="*", callback_style="multipart")
    people = street.cast(first, [behaviour for behaviour, _ in ZADARMA_CAST])
    street.campaign(street.last_resort(first, sms, expect="delivered", wait=timedelta(minutes=10)), people)
    await_story(processes, first, ZADARMA_CAST)
    assert sorted(sends(street, "zadarma").values())[-2:] == [1, 2], "nobody is rung twice but who was told to wait"
    assert not Receipt.objects.exclude(state="applied").exists(), "every call without an id has found its message"
    door = f"{web}/hooks/{first.pk}/{first.callback_secret}/"
    with urlopen(f"{door}?zd_echo=7777", timeout=10) as page:
        assert page.read() == b"7777"
    forged = f"event=NOTIFY_OUT_END&destination={Attempt.objects.earliest('pk').address[1:]}&disposition=answered"
    assert post(door, forged.encode(), Signature="wrong") == 403
    tell(street.emulator, "accounts", provider="zadarma", account="*", state="unauthorized")
    assert checks.self_test(first).failure == "auth"
