"""MAX and Telegram by phone through GREEN-API, on the running engine: who is there is found out first, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from contacts.models import Contact, ContactAddress, Reachability
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, InboundMessage, Receipt
from emulator.journal import Journal
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, TEXT, UNKNOWN, Cast, await_story, ops, sends, settled
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

each = pytest.mark.parametrize("slug", ["green_api_max", "green_api_telegram"])

CAST: Cast = [
    ("delivered", ("accepted", "", "", "sent")),  # the gateway's own conclusion, not believed
    ("read", ("accepted", "", "", "read")),
    ("read_only", ("accepted", "", "", "read")),
    ("reversed", ("accepted", "", "", "read")),
    ("early", ("accepted", "", "", "sent")),
    ("reply", ("accepted", "", "", "replied")),
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("not_there", ("failed", GONE, "not_registered", "")),  # known before anything is sent
    ("refused", ("failed", GONE, "recipient_refused", "")),
    ("blocked", ("failed", TEXT, "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "sent")),
    ("error_500", (*UNKNOWN, "", "")),
    ("error_json", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "sent")),  # the receipt names the only one in doubt
]


def channel_of(street: Street, slug: str, **config: Any) -> Channel:
    config = {"id_instance": "3100000001", "api_token": "green-token", **config}
    return create_channel(slug, slug, config, base_url=f"{street.emulator}/{slug}", rate=1000.0, incoming="callback")


@each
def test_every_way(processes: Processes, street: Street, emulator: Running, slug: str) -> None:
    first, sms = channel_of(street, slug), street.sms()
    receive_callbacks(street, processes.web().url, first)
    people = street.cast(first, [behaviour for behaviour, _ in CAST])
    street.campaign(street.last_resort(first, sms, expect="read", wait=timedelta(seconds=8)), people)
    run_until(processes, lambda: settled(first, len(CAST)))
    await_story(processes, first, CAST)
    assert sorted(sends(street, slug).values())[-2:] == [1, 2], "only the one that was told to come again came again"
    assert ops(street, slug).count("checkAccount") == len(CAST), "each was asked about once, also who came twice"
    # Who is not there has no id; everybody else's is kept with the phone it is good for.
    kept = dict(ContactAddress.objects.filter(channel_id=first.pk).values_list("found_for", "value"))
    assert len(kept) == len(CAST) - 1
    assert all(phone == f"+{int(value) + 70_000_000_000}" for phone, value in kept.items())
    assert not Attempt.objects.filter(channel=first, address__startswith="+").exclude(reason="not_registered").exists()
    assert Reachability.objects.filter(channel_id=first.pk, state="not_registered").count() == 2
    assert InboundMessage.objects.get().contact is not None, "an answer is known by the id that was found"
    assert not Receipt.objects.filter(state__in=["quarantined", "parked"]).exists()
    assert Journal.read(emulator.journal).holes() == []


@each
def test_who_was_found_is_not_asked_again_unless_the_phone_has_changed(
    processes: Processes, street: Street, slug: str
) -> None:
    """An id found for one phone is somebody else's when another phone stands on the card."""
    first = channel_of(street, slug)
    people = street.cast(first, ["read", "read", "not_there"])
    chain = street.last_resort(first, street.sms(), expect="read", wait=timedelta(minutes=5))
    for sent in (2, 4):
        street.campaign(chain, people)
        run_until(processes, lambda sent=sent: Attempt.objects.filter(channel=first, state="accepted").count() == sent)
    run_until(processes, lambda: Delivery.objects.filter(step=1).count() == 2)
    assert ops(street, slug).count("checkAccount") == 3, "two were found, one was not: both answers are remembered"
    Contact.objects.filter(pk=Contact.objects.earliest("pk").pk).update(phone="+79139999901")
    ContactAddress.objects.filter(contact=Contact.objects.latest("pk")).update(seen_at=now() - timedelta(days=31))
    street.campaign(chain, people)
    run_until(processes, lambda: Attempt.objects.filter(channel=first, state="accepted").count() == 6)
    assert ops(street, slug).count("checkAccount") == 4
    assert [record["recipient"] for record in requests_of(street, provider=slug)].count("79139999901") == 1


@each
def test_nothing_is_asked_or_sent_while_the_account_is_logged_out(
    processes: Processes, street: Street, slug: str
) -> None:
    first, sms = channel_of(street, slug), street.sms()
    tell(street.emulator, "accounts", provider=slug, account="*", state="notAuthorized")
    street.campaign(street.chain(first, sms, wait=timedelta(minutes=5), expect=("read", "delivered")), street.people(5))
    for _ in range(3):
        run_once()
    state = ChannelState.objects.get(channel=first)
    assert (state.breaker, state.trouble) == ("open", "auth")
    assert "scan the QR code" in state.last_error
    assert "checkAccount" not in ops(street, slug)
    assert not requests_of(street)
    tell(street.emulator, "accounts", provider=slug, account="*", state="authorized")
    ChannelState.objects.update(probe_at=now())
    run_until(processes, lambda: Attempt.objects.filter(channel=first, state="accepted").count() == 5)
    assert not requests_of(street, provider="smsc")


def test_a_logout_between_two_looks_is_the_account_s_trouble_and_nobody_is_written_off(
    processes: Processes, street: Street
) -> None:
    """A2: checkAccount answers with HTTP 200 and no word about the number."""
    first, sms = channel_of(street, "green_api_max"), street.sms()
    run_once()  # found connected; the next look is a minute away
    tell(street.emulator, "accounts", provider="green_api_max", account="*", state="notAuthorized")
    street.campaign(street.chain(first, sms, wait=timedelta(minutes=5), expect=("read", "delivered")), street.people(8))
    run_until(processes, lambda: ChannelState.objects.get(channel=first).breaker == "open")
    assert not requests_of(street)
    assert not Reachability.objects.exists()
    assert not Delivery.objects.filter(state="final").exists()


def test_a_limit_of_checks_pauses_the_channel_for_as_long_as_the_owner_says(
    processes: Processes, street: Street
) -> None:
    first, sms = channel_of(street, "green_api_max", check_pause_minutes=30), street.sms()
    tell(street.emulator, "accounts", provider="green_api_max", account="*", state="checks_limited")
    street.campaign(street.chain(first, sms, wait=timedelta(hours=5), expect=("read", "delivered")), street.people(1))
    run_until(processes, lambda: Attempt.objects.filter(failure="rate_limited").exists())
    held = ChannelState.objects.get(channel=first).held_until
    assert held is not None
    assert timedelta(minutes=29) < held - now() <= timedelta(minutes=30)
    assert not requests_of(street)
    assert not Reachability.objects.exists()


def test_numbers_max_does_not_take_go_on_at_once_without_a_question(processes: Processes, street: Street) -> None:
    first, sms = channel_of(street, "green_api_max"), street.sms()
    people = street.people(1)
    Contact.objects.update(phone="+4915112345600")
    street.campaign(street.chain(first, sms, wait=timedelta(minutes=5), expect=("read", "delivered")), people)
    run_until(processes, lambda: Attempt.objects.filter(channel=sms).exists())
    assert Attempt.objects.get(channel=first).detail == "this channel takes no such number"
    assert not Reachability.objects.filter(channel_id=first.pk).exists()
    assert "checkAccount" not in ops(street, "green_api_max")


@each
def test_a_test_message_finds_its_person_first(street: Street, slug: str) -> None:
    channel = channel_of(street, slug)
    assert checks.self_test(channel).ok
    assert checks.send_test(channel, "8 913 000-00-00", "Проба").ok
    tell(street.emulator, "rules", provider=slug, recipient="79130000000", behaviour="not_there")
    assert not checks.send_test(channel, "+79130000000", "Проба").ok
    tell(street.emulator, "accounts", provider=slug, account="*", state="checks_limited")
    assert checks.send_test(channel, "+79130000002", "Проба").failure == "rate_limited"
    tell(street.emulator, "accounts", provider=slug, account="*", state="notAuthorized")
    assert checks.send_test(channel, "+79130000002", "Проба").failure == "auth"
    assert len(requests_of(street, provider=slug)) == 1
