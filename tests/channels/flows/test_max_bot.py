"""MAX bots on the running engine: every answer and every deed of a person."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from django.conf import LazySettings

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from contacts.models import Reachability
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, InboundMessage
from emulator.journal import Journal
from templates_app.models import MessageTemplate
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, UNKNOWN, Cast, await_story, ops, post, sends, settled
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

CAST: Cast = [
    ("silent", ("accepted", "", "", "sent")),
    ("button", ("accepted", "", "", "replied")),
    ("reply", ("accepted", "", "", "replied")),
    ("click", ("accepted", "", "", "clicked")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", GONE, "recipient_refused", "")),
    ("error_json", ("failed", "message_permanent", "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "sent")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", (*UNKNOWN, "", "")),
    ("truncated", (*UNKNOWN, "", "")),
]


def bot_of(street: Street) -> Channel:
    token = {"token": "f9LHtest"}
    return create_channel(
        "max_bot", "MAX", token, base_url=f"{street.emulator}/max_bot", rate=1000.0, incoming="callback"
    )


def test_max_every_way(processes: Processes, street: Street, settings: LazySettings, emulator: Running) -> None:
    web = processes.web().url
    settings.PUBLIC_BASE_URL = web
    bot = bot_of(street)
    receive_callbacks(street, web, bot)
    people = street.cast(bot, [behaviour for behaviour, _ in CAST])
    MessageTemplate.objects.create(
        name="Привет", text="{name}, ждём: {link}", button="Приду", link="https://shop.example/sale"
    )
    street.campaign(street.last_resort(bot, street.sms(), expect="clicked", wait=timedelta(seconds=12)), people)
    run_until(processes, lambda: settled(bot, len(CAST)))
    await_story(processes, bot, CAST)
    assert sorted(sends(street, "max_bot").values())[-2:] == [1, 2], "only the one told to come again came again"
    assert "POST /answers" in ops(street, "max_bot"), "the pressed button stopped spinning"
    assert ops(street, "max_bot").count("DELETE /messages") == 2, "taken back from those who gave no sign of life"
    assert InboundMessage.objects.exclude(payload="").get().attempt is not None
    assert Counter(Reachability.objects.filter(channel_id=bot.pk).values_list("state", "source")) == {
        ("not_registered", "send"): 1,
        ("reachable", "inbound"): 2,
    }
    outcomes = Counter(Delivery.objects.filter(state="final").values_list("outcome", "outcome_milestone"))
    assert outcomes == {("reached", "replied"): 2, ("reached", "clicked"): 1}
    assert Journal.read(emulator.journal).repeated_refs() == {}


def test_max_stopped_means_blocked_until_started_again(processes: Processes, street: Street) -> None:
    bot = bot_of(street)
    receive_callbacks(street, processes.web().url, bot)
    people, chain = street.cast(bot, ["block"]), street.chain(bot, wait=timedelta(minutes=5), expect="replied")
    street.campaign(chain, people)
    run_until(processes, lambda: Reachability.objects.filter(state="blocked", source="callback").exists())
    street.campaign(chain, people)
    run_until(processes, lambda: Delivery.objects.filter(outcome="exhausted").exists())
    assert len(requests_of(street, provider="max_bot")) == 1, "known to have stopped the bot: left without a call"
    tell(street.emulator, "block", provider="max_bot", recipient=Attempt.objects.get().address, blocked=False)
    run_until(processes, lambda: Reachability.objects.filter(state="reachable", source="inbound").exists())
    assert InboundMessage.objects.get().text == "/start"


def test_max_believes_nobody_without_the_secret(processes: Processes, street: Street) -> None:
    web, bot = processes.web().url, bot_of(street)
    url = f"{web}/hooks/{bot.pk}/{bot.callback_secret}/"
    started = b'{"update_type":"bot_started","timestamp":1775025604499,"user":{"user_id":5},"payload":"abc"}'
    assert post(url, started) == 403
    assert post(url, started, **{"X-Max-Bot-Api-Secret": "wrong"}) == 403
    run_once()
    assert not InboundMessage.objects.exists()
    assert post(url, started, **{"X-Max-Bot-Api-Secret": bot.callback_secret}) == 200
    run_until(processes, lambda: InboundMessage.objects.filter(text="/start abc", address="5").exists())


def test_max_is_connected_and_a_token_taken_back_is_nobody_s_fault(
    processes: Processes, street: Street, settings: LazySettings
) -> None:
    settings.PUBLIC_BASE_URL = "https://shop.example"
    bot, sms = bot_of(street), street.sms()
    assert checks.self_test(bot).params == {"name": "Emulated"}
    assert checks.connect_receipts(bot).ok
    assert checks.send_test(bot, "700001", "Проба").ok
    tell(street.emulator, "accounts", provider="max_bot", account="*", state="unauthorized")
    assert checks.self_test(bot).failure == "auth"
    people = street.cast(bot, ["delivered"] * 8)
    street.campaign(street.last_resort(bot, sms, expect="clicked", wait=timedelta(minutes=5)), people)
    run_until(processes, lambda: ChannelState.objects.get(channel=bot).breaker == "open")
    assert ChannelState.objects.get(channel=bot).trouble == "auth"
    assert not requests_of(street, provider="smsc")
