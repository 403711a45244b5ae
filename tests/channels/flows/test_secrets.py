"""T10, T11, I24: keys change under load, and no secret is anywhere but where it must be."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.db import connection

from channels.models import Channel, ChannelState
from channels.services import accounts
from deliveries.models import Attempt
from deliveries.schedule import ensure_ticks
from tests.channels.flows.conftest import Street
from tests.deliveries.live import receive_callbacks, requests_of, tell
from tests.plugins.processes import Processes

pytestmark = [pytest.mark.processes, pytest.mark.slow]

LONG = timedelta(minutes=30)


def test_T10_keys_change_while_messages_leave(processes: Processes, street: Street, settings: LazySettings) -> None:
    """The documented order: the new key in front, rotate, drop the old one. No send fails at any moment."""
    old, new = os.environ["CHANNEL_SECRET_KEYS"], Fernet.generate_key().decode()
    both = {"CHANNEL_SECRET_KEYS": f"{new},{old}"}
    sms = street.sms(rate=40.0)
    ensure_ticks()
    first = [processes.worker("send", concurrency=2, environment=both), processes.worker("default", environment=both)]
    processes.beat(both)
    street.campaign(street.chain(sms, wait=LONG), street.people(160, ending=1))
    settings.CHANNEL_SECRET_KEYS = [new, old]
    tokens = set()
    for part in (20, 40, 60):
        processes.until(
            lambda part=part: Attempt.objects.filter(state="accepted").count() >= part, what="the campaign runs"
        )
        assert accounts.rotate_keys() == 1
        tokens.add(Channel.objects.get().config_encrypted)
    assert Attempt.objects.filter(state="accepted").count() < 160, "it was still sending"
    processes.until(lambda: Attempt.objects.filter(state="accepted").count() == 160, what="all messages")
    assert len(tokens) == 3
    assert not Attempt.objects.exclude(state="accepted").exists()
    assert {r["account"] for r in requests_of(street)} == {"smsc-key"}
    assert ChannelState.objects.get().breaker == "closed"

    for worker in first:
        worker.stop()
    processes.worker("send", environment={"CHANNEL_SECRET_KEYS": new})
    processes.worker("default", environment={"CHANNEL_SECRET_KEYS": new})
    street.campaign(street.chain(sms, wait=LONG), street.people(10, ending=1, start=500))
    processes.until(lambda: Attempt.objects.filter(state="accepted").count() == 170, what="sending without the old key")


def test_a_worker_without_the_key_stops_the_channel_and_a_good_one_takes_it_up_again(
    processes: Processes, street: Street
) -> None:
    """One worker was forgotten at the restart: trouble with words, never “switched off”, and a probe ends it."""
    sms = street.sms()
    street.campaign(street.chain(sms, wait=LONG), street.people(5, ending=1))
    ensure_ticks()
    forgotten = {"CHANNEL_SECRET_KEYS": Fernet.generate_key().decode()}
    bad = processes.worker("send", concurrency=1, environment=forgotten)
    processes.worker("default", concurrency=1)
    processes.beat()
    processes.until(lambda: ChannelState.objects.get().breaker == "open", what="trouble")
    assert "decrypted" in ChannelState.objects.get().last_error
    assert Channel.objects.get().enabled
    bad.stop()
    processes.worker("send", concurrency=1)
    ChannelState.objects.update(probe_at=None)
    processes.until(lambda: Attempt.objects.filter(state="accepted").count() == 5, what="the good worker")


def test_I24_secrets_are_in_no_log_no_table_and_no_journal(processes: Processes, street: Street) -> None:
    """Errors that repeat our token, refused logins, wrong callbacks: then everything written anywhere is searched."""
    web = processes.web()
    messenger, bot, mail = street.messenger(), street.bot(), street.mailbox()
    accounts.set_config(messenger, {"api_token": "canary4green4token4d75b3a66"})
    messenger.save()
    accounts.set_config(bot, {"token": "123456789:AAcanary-bot-token-0123456789abcdef"})
    bot.save()
    receive_callbacks(street, web.url, messenger)
    ensure_ticks()
    processes.worker("send", concurrency=1, environment={"LOG_LEVEL": "DEBUG"})
    processes.worker("default", concurrency=1, environment={"LOG_LEVEL": "DEBUG"})
    processes.beat()
    bad = ["error_500", "refused", "unauthorized", "html", "accept_reset", "no_balance", "delivered"]
    for channel, expect in ((messenger, "delivered"), (bot, "replied"), (mail, "clicked")):
        street.campaign(street.chain(channel, wait=LONG, expect=expect), street.cast(channel, bad))
    tell(
        street.emulator,
        "callback_target",
        provider="green",
        account="*",
        url=f"{web.url}/hooks/{messenger.pk}/{messenger.callback_secret}/",
        secret="wrong",
    )
    processes.until(lambda: Attempt.objects.exclude(state="calling").values("channel").distinct().count() == 3)
    processes.until(lambda: Attempt.objects.exclude(detail="").count() >= 6, what="refusals")
    processes.until(lambda: "wrong signature" in web.log.read_text(errors="replace"), what="a refused callback")

    canaries = ("canary4green4token", "AAcanary-bot-token", "mail-canary-password")
    for started in processes.running:
        text = started.log.read_text(errors="replace")
        for secret in (*canaries, messenger.callback_secret, bot.callback_secret):
            assert secret not in text, f"{secret} is in the log of {started.name}"
    for name, rows in everything_stored():
        for secret in canaries:
            assert secret not in rows, f"{secret} is in {name}"


def everything_stored() -> list[tuple[str, str]]:
    """Each table of the database as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [row[0] for row in cursor.fetchall()]
        found = []
        for name in names:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{name}\" t")
            found.append((name, cursor.fetchone()[0]))
    return found
