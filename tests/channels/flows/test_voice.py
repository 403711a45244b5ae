"""Robots that call, each over its own wire, on the running engine: picked up, hung up, rung out, pressed a key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.request import urlopen

from cascade_project import roles
from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from deliveries.models import Attempt, Delivery, Heartbeat, Receipt
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, TEXT, UNKNOWN, Cast, await_story, ops, post, sends
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

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


# ---------------------------------------------------------------- Asterisk

ASTERISK_CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("key", ("accepted", "", "", "read")),
    ("short", NO_ANSWER),
    ("no_answer", NO_ANSWER),
    ("busy", NO_ANSWER),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("early", ("accepted", "", "", "delivered")),  # picked up before the answer to the request was out
    ("refused", ("failed", TEXT, "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # its events carry our own reference
    ("truncated", ("accepted", "", "", "delivered")),
]


def exchange(street: Street, **config: Any) -> Channel:
    config = {"username": "cascade", "password": "ari", "media": "sound:salon/hello", "key_seconds": 0, **config}
    config |= {"min_seconds": 0}  # the emulator's recordings are short
    return create_channel("asterisk_ari", "АТС", config, base_url=f"{street.emulator}/asterisk", rate=1000.0)


def start_listener(processes: Processes, street: Street, channel: Channel) -> Running:
    began = ops(street, "asterisk").count("listening")
    found = processes.start("listener", roles.listener(), {"PROCESS_ROLE": "listener"})
    processes.until(lambda: ops(street, "asterisk").count("listening") > began, what="the listener's connection")
    processes.until(lambda: checks.self_test(channel).ok, what="an application at Asterisk")
    return found


def test_asterisk_every_way(processes: Processes, street: Street) -> None:
    first, sms = exchange(street), street.sms()
    assert checks.self_test(first).failure == "transient", "nobody listens yet, and the owner is told so"
    start_listener(processes, street, first)
    people = street.cast(first, [behaviour for behaviour, _ in ASTERISK_CAST])
    street.campaign(street.last_resort(first, sms, expect="delivered", wait=timedelta(minutes=10)), people)
    await_story(processes, first, ASTERISK_CAST)
    assert sorted(sends(street, "asterisk").values())[-2:] == [1, 2], "nobody is rung twice but who was told to wait"
    assert Attempt.objects.filter(channel=first, goal_at__isnull=False).count() == 1
    assert not Receipt.objects.filter(state="quarantined").exists()
    assert Heartbeat.objects.filter(name="listen").exists()


def test_R8_a_call_that_ended_while_nobody_listened_is_unknown_and_rings_nobody_twice(
    processes: Processes, street: Street
) -> None:
    first, sms = exchange(street), street.sms()
    listener = start_listener(processes, street, first)
    people = street.cast(first, ["sent"])  # rings and rings
    street.campaign(street.last_resort(first, sms, expect="delivered", wait=timedelta(minutes=10)), people)
    run_until(processes, lambda: Attempt.objects.filter(channel=first, sent_at__isnull=False).exists())
    attempt = Attempt.objects.get()
    listener.kill()
    tell(street.emulator, "status", provider="asterisk", recipient=attempt.address[1:], status="no_answer")
    start_listener(processes, street, first)
    run_until(processes, lambda: Attempt.objects.filter(state="unknown").exists())
    attempt.refresh_from_db()
    assert attempt.detail == "the call ended while nobody listened"
    assert Delivery.objects.get().has_unknown
    assert len(requests_of(street, provider="asterisk")) == 1
    assert not requests_of(street, provider="smsc"), "its step waits its time"
