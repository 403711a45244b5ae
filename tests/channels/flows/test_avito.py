"""Avito on the running engine: every answer, reading by asking, and a token that dies before its time."""

from __future__ import annotations

from datetime import timedelta

from django.conf import LazySettings
from django.utils.timezone import now

from channels.models import Channel, ChannelState, ChannelToken
from channels.services import checks
from channels.services.accounts import create_channel
from contacts.models import Contact, ContactAddress, Reachability
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, InboundMessage, Receipt
from emulator.journal import Journal
from tests.channels.flows.conftest import Street, told
from tests.channels.flows.test_adapters import GONE, UNKNOWN, Cast, ops, post, sends, settled
from tests.deliveries.live import journal, requests_of, run_until, tell
from tests.plugins.processes import ProcessError, Processes, Running

CAST: Cast = [
    ("silent", ("accepted", "", "", "accepted")),
    ("read", ("accepted", "", "", "read")),
    ("reversed", ("accepted", "", "", "read")),
    ("reply", ("accepted", "", "", "replied")),
    ("refused", ("failed", GONE, "recipient_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "accepted")),
    ("error_json", (*UNKNOWN, "", "")),
    ("error_500", (*UNKNOWN, "", "")),
    ("accept_reset", (*UNKNOWN, "", "")),
    ("reset", (*UNKNOWN, "", "")),
]
KEYS = {"client_id": "shop", "client_secret": "avito-secret", "user_id": "94235311"}


def avito_of(street: Street) -> Channel:
    return create_channel("avito", "Авито", KEYS, base_url=f"{street.emulator}/avito", rate=1000.0)


def hook_of(channel: Channel, web: str) -> str:
    from channels.services.accounts import adapter_for

    call = adapter_for(channel).build_callback_setup(f"{web}/hooks/{channel.pk}/{channel.callback_secret}/")
    return str(call.json["url"])


def test_every_way(processes: Processes, street: Street, emulator: Running) -> None:
    first, sms = avito_of(street), street.sms()
    url = hook_of(first, processes.web().url)
    tell(street.emulator, "callback_target", provider="avito", account="*", url=url)
    people = street.cast(first, [behaviour for behaviour, _ in CAST])
    street.campaign(street.last_resort(first, sms, expect="read", wait=timedelta(seconds=8)), people)

    def asked() -> bool:
        Attempt.objects.filter(channel=first, next_poll_at__isnull=False).update(next_poll_at=now())
        return settled(first, len(CAST))

    run_until(processes, asked)
    wanted = [want for _, want in CAST]
    try:
        run_until(processes, lambda: told(first) == wanted)
    except ProcessError:
        assert told(first) == wanted
        raise
    assert sorted(sends(street, "avito").values())[-2:] == [1, 2], "only the one told to come again came again"
    assert ops(street, "avito").count("token") == 1
    answered = InboundMessage.objects.get()
    assert answered.contact is not None, "our own messages came back as well, and are nobody's answer"
    said = Reachability.objects.filter(channel_id=first.pk)
    assert {(one.contact_id, one.state) for one in said} == {(answered.contact_id, "reachable")}, (
        "nobody is written off"
    )
    assert not Receipt.objects.filter(state__in=["quarantined", "parked"]).exists()
    assert Journal.read(emulator.journal).repeated_refs() == {}
    assert "avito-secret" not in str(journal(street.emulator))


def test_a_token_that_died_before_its_time_costs_nobody_their_message(processes: Processes, street: Street) -> None:
    first, sms = avito_of(street), street.sms()
    chain = street.chain(first, sms, wait=timedelta(minutes=5), expect=("read", "delivered"))
    street.campaign(chain, street.cast(first, ["silent"]))
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == 1)
    tell(street.emulator, "accounts", provider="avito", account="*", state="token_expired")
    street.campaign(chain, street.cast(first, ["silent"] * 12))
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == 13)
    assert ops(street, "avito").count("token") == 2
    assert not Attempt.objects.exclude(state="accepted").exists()
    assert ChannelState.objects.get(channel=first).breaker == "closed"


def test_keys_taken_back_are_the_account_s_trouble_until_new_ones_are_entered(
    processes: Processes, street: Street
) -> None:
    first, sms = avito_of(street), street.sms()
    assert checks.self_test(first).ok
    assert checks.send_test(first, "u2i-7", "Проба").ok
    tell(street.emulator, "accounts", provider="avito", account="*", state="unauthorized")
    assert checks.self_test(first).failure == "auth"
    ChannelToken.objects.all().delete()
    chain = street.chain(first, sms, wait=timedelta(minutes=5), expect=("read", "delivered"))
    street.campaign(chain, street.cast(first, ["silent"] * 8))
    run_until(processes, lambda: ChannelState.objects.get(channel=first).breaker == "open")
    assert ChannelState.objects.get(channel=first).trouble == "auth"
    for _ in range(2):
        run_once()
    assert not requests_of(street, provider="smsc"), "nobody is skipped"
    tell(street.emulator, "accounts", provider="avito", account="*", state="ok")
    ChannelState.objects.update(probe_at=now())
    run_until(processes, lambda: Attempt.objects.filter(channel=first, state="accepted").count() == 8)


def test_who_does_not_know_the_address_is_not_believed(
    processes: Processes, street: Street, settings: LazySettings
) -> None:
    channel, web = avito_of(street), processes.web().url
    ContactAddress.objects.create(contact=Contact.objects.create(name="Аня"), channel_id=channel.pk, value="u2i-1")
    wrote = b'{"payload":{"type":"message","value":{"id":"m","chat_id":"u2i-1","author_id":5,"type":"text"}}}'
    url = hook_of(channel, web)
    for wrong in (url.partition("?")[0], url[:-1] + ("0" if url[-1] != "0" else "1")):
        assert post(wrong, wrote) == 403
    assert post(url, wrote) == 200
    assert post(url, wrote) == 200, "repeated"
    run_once()
    assert InboundMessage.objects.get().contact is not None
    settings.PUBLIC_BASE_URL = "https://shop.example"
    assert checks.connect_receipts(channel).ok
