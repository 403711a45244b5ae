"""Replies and receipts for an owner nobody can call: asked for, stored, and only then acknowledged."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.db.models.functions import Now

from channels.models import Channel, ChannelPull
from channels.services import checks, incoming
from channels.services.accounts import adapter_for, create_channel
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, InboundMessage, Receipt
from deliveries.services import pulling, receipts
from deliveries.services.send.pump import runtime
from tests.deliveries.conftest import Shop
from tests.deliveries.live import journal, run_until, tell
from tests.plugins.processes import Processes

LONG = timedelta(minutes=10)


def asked(shop: Shop, operation: str) -> int:
    return sum(1 for record in journal(shop.emulator) if record.get("op") == operation)


@pytest.mark.parametrize("slug", ["telegram_bot", "max_bot"])
def test_a_bot_hears_its_people_without_a_public_address(processes: Processes, live_shop: Shop, slug: str) -> None:
    """Chosen by itself: this installation has no https address."""
    wire = {"telegram_bot": "telegram"}.get(slug, slug)
    bot = create_channel(slug, "Бот", {"token": "123456789:AAtest"}, base_url=f"{live_shop.emulator}/{wire}")
    assert incoming.is_pulled(bot)
    checks.self_test(bot)
    for number in range(45):
        tell(live_shop.emulator, "inbound", provider=wire, recipient=f"{7000 + number}", text=f"Слово {number}")
    run_until(processes, lambda: InboundMessage.objects.count() == 45)
    place = ChannelPull.objects.get().cursor
    tell(live_shop.emulator, "block", provider=wire, recipient="7000")
    run_until(processes, lambda: Receipt.objects.count() == 46)
    assert ChannelPull.objects.get().cursor != place
    assert ChannelPull.objects.get().lease_until is None


def test_green_api_tells_receipts_and_replies_when_asked(processes: Processes, live_shop: Shop) -> None:
    messenger = live_shop.messenger(incoming="pull")
    live_shop.campaign(live_shop.chain(messenger, wait=LONG, expect="read"), live_shop.people(3))
    run_until(processes, lambda: Attempt.objects.filter(delivered_at__isnull=False).count() == 3)
    person = Attempt.objects.order_by("pk")[0].address.lstrip("+")
    tell(live_shop.emulator, "inbound", provider="green", recipient=person, text="Спасибо")
    run_until(processes, lambda: InboundMessage.objects.filter(text="Спасибо", attempt__isnull=False).exists())
    pulling.pull_due()
    assert asked(live_shop, "deleteNotification") >= Receipt.objects.count() > 3


def stored_and_killed(channel: Channel) -> int:
    """One question, its answer stored, and the process gone before a word of thanks. Returns how many came."""
    (turn,) = incoming.take_turns()
    adapter = adapter_for(channel)
    call = adapter.build_pull(turn.cursor)
    assert call is not None
    answer = runtime().loop.run_until_complete(runtime().seam.call(call))
    pulled = adapter.read_pull(call, answer)
    with transaction.atomic():
        assert incoming.move_cursor(turn, turn.cursor if pulled.cursor is None else pulled.cursor)
        return receipts.store_all(channel.pk, pulled.requests)


@pytest.mark.parametrize("provider", ["green", "telegram"])
def test_R15_killed_between_storing_and_acknowledging_nothing_is_lost_and_nothing_comes_twice(
    processes: Processes, live_shop: Shop, provider: str
) -> None:
    make = {"green": live_shop.messenger, "telegram": live_shop.bot}[provider]
    channel = make(incoming="pull")
    checks.self_test(channel)
    for number in range(3):
        tell(live_shop.emulator, "inbound", provider=provider, recipient=f"7912000000{number}", text=f"Раз {number}")
    stored = stored_and_killed(channel)
    assert stored >= 1
    pulling.pull_due()
    assert Receipt.objects.count() == stored, "its lease is still somebody's"
    ChannelPull.objects.update(lease_until=Now() - timedelta(seconds=1))
    run_until(processes, lambda: InboundMessage.objects.count() == 3)
    assert Receipt.objects.count() == 3


def test_who_slept_past_the_end_of_a_lease_stores_nothing(live_shop: Shop) -> None:
    live_shop.bot(incoming="pull")
    (sleeper,) = incoming.take_turns()
    assert incoming.take_turns() == []
    ChannelPull.objects.update(lease_until=Now() - timedelta(seconds=1))
    (other,) = incoming.take_turns()
    assert not incoming.move_cursor(sleeper, "5")
    assert incoming.move_cursor(other, "7")
    incoming.give_back([sleeper])
    assert incoming.take_turns() == [], "whoever lost it cannot give it away"
    ChannelPull.objects.update(lease_until=None, moved_at=Now() - timedelta(days=7))
    (later,) = incoming.take_turns()
    assert later.cursor == "", "Telegram may have begun to count anew"


def test_a_webhook_of_somebody_else_is_said_and_taken_over_by_a_button(processes: Processes, live_shop: Shop) -> None:
    bot = live_shop.bot(incoming="pull")
    tell(live_shop.emulator, "callback_target", provider="telegram", account="*", url="http://127.0.0.1:9/x")
    run_once()
    state = ChannelPull.objects.get()
    assert "Connect receipts" in state.trouble
    assert pulling.pull_due() == 0
    assert asked(live_shop, "getUpdates") == 1, "not asked in vain every second"
    assert checks.connect_receipts(bot).ok
    tell(live_shop.emulator, "inbound", provider="telegram", recipient="700", text="Ау")
    run_until(processes, InboundMessage.objects.exists)
    assert ChannelPull.objects.get().trouble == ""


def test_the_way_is_the_owners_choice_and_else_a_matter_of_the_address(
    db: None, shop: Shop, settings: LazySettings
) -> None:
    bot, sms = shop.bot(incoming=""), shop.sms()
    for address, pulled in (("http://127.0.0.1:8000", True), ("https://shop.example", False)):
        settings.PUBLIC_BASE_URL = address
        assert incoming.is_pulled(bot) is pulled
        assert not incoming.is_pulled(sms), "nobody can be asked there"
        for choice in ("pull", "callback"):
            bot.incoming = choice
            assert incoming.is_pulled(bot) is (choice == "pull")
        bot.incoming = ""
