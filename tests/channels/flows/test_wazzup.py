"""Wazzup24 on the running engine: two messengers of one account, one address for the receipts of both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import adapter_for, create_channel
from contacts.models import ContactAddress, Reachability
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, InboundMessage, Receipt
from emulator.journal import Journal
from emulator.providers.wazzup import APART, CHANNELS
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, UNKNOWN, Cast, await_story, ops, sends, settled
from tests.deliveries.live import requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("read", ("accepted", "", "", "read")),
    ("read_only", ("accepted", "", "", "read")),
    ("reversed", ("accepted", "", "", "read")),
    ("early", ("accepted", "", "", "delivered")),
    ("reply", ("accepted", "", "", "replied")),
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("failed_then_delivered", ("accepted", GONE, "recipient_refused", "delivered")),
    ("delivered_then_failed", ("accepted", GONE, "recipient_refused", "delivered")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", GONE, "recipient_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("error_json", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("reset", (*UNKNOWN, "", "")),
    # Taken, but nobody knows: a receipt names neither the person nor our reference. Never sent again here.
    ("accept_reset", (*UNKNOWN, "", "")),
]
FAILED = 4


def channel_of(street: Street, transport: str, **config: Any) -> Channel:
    config = {"api_key": "wazzup-key", "channel_id": CHANNELS[transport][0], **config}
    if transport != "whatsapp":
        config = {"tells_delivered": True, **config}
    return create_channel(f"wazzup_{transport}", transport, config, base_url=f"{street.emulator}/wazzup", rate=1000.0)


def connect(street: Street, web: str, channel: Channel) -> str:
    """Put the address as our own setup writes it, with this test's web process for the public host."""
    call = adapter_for(channel).build_callback_setup(f"{web}/hooks/{channel.pk}/{channel.callback_secret}/")
    tell(street.emulator, "callback_target", provider="wazzup", account="*", url=call.json["webhooksUri"], secret="")
    return str(call.json["webhooksUri"])


def test_every_way_through_two_messengers_of_one_account(
    processes: Processes, street: Street, emulator: Running
) -> None:
    whatsapp, telegram, sms = channel_of(street, "whatsapp"), channel_of(street, "telegram"), street.sms()
    connect(street, processes.web().url, whatsapp)
    for first in (whatsapp, telegram):
        people = street.cast(first, [behaviour for behaviour, _ in CAST])
        chain = street.last_resort(first, sms, expect="delivered", wait=timedelta(minutes=10))
        street.campaign(chain, people)
    run_until(processes, lambda: settled(whatsapp, len(CAST)) or Attempt.objects.count() >= 2 * len(CAST))
    for first in (whatsapp, telegram):
        await_story(processes, first, CAST)
    assert sorted(sends(street, "wazzup").values())[-3:] == [1, 2, 2], "only who was told to come again came again"
    # Who failed first and was delivered then may have been given up in between.
    run_until(processes, lambda: Attempt.objects.filter(channel=sms).count() >= 2 * FAILED)
    # A phone's own id in Telegram is kept with the phone, and an answer from it is known by it.
    kept = ContactAddress.objects.filter(channel_id=telegram.pk)
    assert kept.count() == sum(want[0] == "accepted" or want[3] == "accepted" for _, want in CAST)
    assert all(int(one.value) + APART == int(one.found_for) for one in kept)
    assert not ContactAddress.objects.filter(channel_id=whatsapp.pk).exists()
    answers = InboundMessage.objects.values_list("channel_id", "contact_id").order_by("channel_id")
    assert [channel_id for channel_id, contact_id in answers if contact_id] == [whatsapp.pk, telegram.pk]
    learned = Reachability.objects.filter(state="not_registered").values_list("channel_id", flat=True)
    assert sorted(learned) == sorted([whatsapp.pk, telegram.pk] * 2)
    assert not Receipt.objects.filter(state="quarantined").exists()
    assert Journal.read(emulator.journal).holes() == []
    # The second time the id is written to.
    street.campaign(chain, people)
    before = Attempt.objects.filter(channel=telegram, state="accepted", address__startswith="+").count()
    run_until(processes, lambda: Attempt.objects.filter(channel=telegram).count() > len(CAST) + 3)
    assert Attempt.objects.filter(channel=telegram, state="accepted", address__startswith="+").count() == before


def test_a_wrong_key_in_the_address_is_refused(processes: Processes, street: Street) -> None:
    whatsapp = channel_of(street, "whatsapp")
    url = connect(street, processes.web().url, whatsapp)
    for wrong in (url[:-1] + ("0" if url[-1] != "0" else "1"), url.partition("?")[0]):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(wrong, b'{"test":true}', {"Content-Type": "application/json"}), timeout=10)
        assert refused.value.code == 403
    assert not Receipt.objects.exists()
    with urlopen(Request(url, b'{"test":true}', {"Content-Type": "application/json"}), timeout=10) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(("state", "trouble"), [("qr", "auth"), ("notEnoughMoney", "balance")])
def test_nothing_is_sent_while_the_channel_is_in_trouble(
    processes: Processes, street: Street, state: str, trouble: str
) -> None:
    whatsapp, sms = channel_of(street, "whatsapp"), street.sms()
    assert checks.self_test(whatsapp).ok
    tell(street.emulator, "accounts", provider="wazzup", account="*", state=state)
    street.campaign(street.chain(whatsapp, sms, wait=timedelta(minutes=5)), street.people(5))
    for _ in range(3):
        run_once()
    found = ChannelState.objects.get(channel=whatsapp)
    assert (found.breaker, found.trouble) == ("open", trouble)
    assert not requests_of(street)
    tell(street.emulator, "accounts", provider="wazzup", account="*", state="ok")
    ChannelState.objects.update(probe_at=now())
    run_until(processes, lambda: Attempt.objects.filter(channel=whatsapp, state="accepted").count() == 5)
    assert not requests_of(street, provider="smsc")


def test_our_own_mistake_is_the_account_s_trouble_and_nobody_s_fault(processes: Processes, street: Street) -> None:
    """A20: a number of another channel is refused for everybody."""
    whatsapp, sms = channel_of(street, "whatsapp", channel_id=CHANNELS["viber"][0]), street.sms()
    assert checks.self_test(whatsapp).failure == "auth"
    ChannelState.objects.update(watched_at=now())
    street.campaign(street.chain(whatsapp, sms, wait=timedelta(minutes=5)), street.people(8))
    run_until(processes, lambda: ChannelState.objects.get(channel=whatsapp).breaker == "open")
    assert not Reachability.objects.exists()
    assert not Delivery.objects.filter(state="final").exists()
    assert "message refused: INVALID_MESSAGE_DATA" in ops(street, "wazzup")


def test_the_address_for_receipts_and_a_recall(processes: Processes, street: Street, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://shop.example"
    whatsapp, sms = channel_of(street, "whatsapp", recall_by_delete=True), street.sms()
    verdict = checks.connect_receipts(whatsapp)
    assert verdict.ok, verdict
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:9"
    tell(street.emulator, "callback_target", provider="wazzup", account="*", url="", secret="")
    people = street.cast(whatsapp, ["silent"])
    street.campaign(street.last_resort(whatsapp, sms, expect="delivered", wait=timedelta(seconds=2)), people)
    run_until(processes, lambda: Attempt.objects.filter(channel=sms, state="accepted").exists())
    assert Attempt.objects.get(channel=whatsapp).recalled_at is not None
