"""A gateway nobody knows, on the running engine, spoken to as its owner has described it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from deliveries.models import Attempt, Receipt
from emulator.journal import Journal
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, TEXT, UNKNOWN, Cast, await_story, ops, post, sends
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

BODY = {"to": "{digits}", "message": "{text}", "custom": {"number": "{ref}", "once": "{once}"}, "hook": "{callback}"}

CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("read", ("accepted", "", "", "read")),
    ("reversed", ("accepted", "", "", "read")),
    ("early", ("accepted", "", "", "delivered")),
    ("expired", ("failed", GONE, "not_delivered_in_time", "accepted")),
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),
    ("refused", ("failed", GONE, "recipient_refused", "")),
    ("error_json", ("failed", TEXT, "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("redirect", (*UNKNOWN, "", "")),
    ("reset", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # the receipt comes to the message's own address
    ("truncated", ("accepted", "", "", "delivered")),
]


def gateway(street: Street, name: str = "Свой шлюз", **changes: Any) -> Channel:
    at = f"{street.emulator}/own_http"
    config = {
        "url": f"{at}/send",
        "body": json.dumps(BODY),
        "key": "own-gateway-key",
        "key_header": "X-Api-Key",
        "id_path": "messages.0.number",
        "result_path": "result",
        "answers": "ok = accepted\nno_such_number = person\nbad_text = text\nno_money = money\nbad_key = account\n429 = slow",
        "status_path": "message.state",
        "status_id_path": "message.number",
        "status_list_path": "events",
        "statuses": "ENROUTE = sent\nDELIVRD = delivered\nSEEN = read\nUNDELIV = failed\nEXPIRED = expired",
        "status_url": f"{at}/status/{{id}}",
        "check_url": f"{at}/me",
    }
    return create_channel("own_http", name, config | changes, rate=1000.0)


def test_every_way(processes: Processes, street: Street, settings: Any, emulator: Running) -> None:
    settings.PUBLIC_BASE_URL = "https://shop.example"  # what messages name; the emulator posts to our web process
    first, last = gateway(street), street.messenger()
    receive_callbacks(street, processes.web().url, first)
    people = street.cast(first, [behaviour for behaviour, _ in CAST])
    street.campaign(street.last_resort(first, last, expect="delivered", wait=timedelta(minutes=10)), people)
    await_story(processes, first, CAST)
    assert sorted(sends(street, "own_http").values())[-2:] == [1, 2], "only the one told to come again came again"
    assert not Receipt.objects.filter(state__in=["quarantined", "parked"]).exists()
    assert Journal.read(emulator.journal).holes() == []


def test_without_receipts_it_is_asked(processes: Processes, street: Street) -> None:
    first = gateway(street)
    people = street.cast(first, ["delivered", "expired", "silent"])
    street.campaign(street.last_resort(first, street.messenger(), expect="delivered", wait=timedelta(hours=1)), people)

    def told() -> bool:
        Attempt.objects.filter(channel=first, next_poll_at__isnull=False).update(next_poll_at=now())
        known = Attempt.objects.filter(channel=first)
        return known.filter(delivered_at__isnull=False).count() == known.filter(state="failed").count() == 1

    run_until(processes, told)


def test_its_account_s_trouble_is_nobody_s_fault(processes: Processes, street: Street) -> None:
    first, last = gateway(street), street.messenger()
    assert checks.self_test(first).ok
    assert checks.send_test(first, "+79130000000", 'Проба "}').ok
    tell(street.emulator, "accounts", provider="own_http", account="*", state="no_balance")
    street.campaign(street.chain(first, last, wait=timedelta(minutes=10)), street.people(8))
    run_until(processes, lambda: ChannelState.objects.get(channel=first).breaker == "open")
    assert ChannelState.objects.get(channel=first).trouble == "balance"
    tell(street.emulator, "accounts", provider="own_http", account="*", state="unauthorized")
    assert checks.self_test(first).failure == "auth"
    assert not requests_of(street, provider="green")


def test_a_receipt_needs_the_key_of_its_message(processes: Processes, street: Street) -> None:
    first = gateway(street)
    url = f"{processes.web().url}/hooks/{first.pk}/{first.callback_secret}/"
    body = b'{"events":[{"message":{"number":"1","state":"DELIVRD"}}]}'
    assert post(url, body) == 403
    assert post(f"{url}?ref={'A' * 22}&key={'0' * 32}", body) == 403


def test_T12_an_address_inside_is_not_called_however_it_is_written(street: Street, settings: Any) -> None:
    settings.OUTGOING_ALLOWED_PRIVATE = []
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
        at = street.emulator.replace("127.0.0.1", host)
        inside = gateway(street, name=host, url=f"{at}/own_http/send", check_url=f"{at}/own_http/me")
        assert not checks.self_test(inside).ok
        assert not checks.send_test(inside, "+79130000000", "Проба").ok
    assert ops(street, "own_http") == []
