"""Push on the running engine: devices, answers, receipts of the app, over each of the three wires."""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.request import urlopen

import pytest
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.providers.wire import app_signing_key
from channels.services import checks
from channels.services.accounts import adapter_for, app_url, create_channel
from contacts.models import Contact, ContactAddress, Reachability
from deliveries.models import Attempt, Receipt
from emulator.journal import Journal
from tests.channels.flows.conftest import Street, told
from tests.channels.flows.test_adapters import GONE, TEXT, UNKNOWN, Cast, ops, post, sends, settled
from tests.channels.providers.test_fcm import ACCOUNT
from tests.deliveries.live import requests_of, run_until, tell
from tests.plugins.processes import ProcessError, Processes, Running

#: Alike on every wire.
COMMON: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("read", ("accepted", "", "", "read")),
    ("reversed", ("accepted", "", "", "read")),
    ("early", ("accepted", "", "", "delivered")),
    ("silent", ("accepted", "", "", "accepted")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("reset", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # the app's receipt names the message
]


@dataclass(frozen=True)
class Service:
    slug: str
    config: dict[str, Any]
    cast: Cast = field(default_factory=list)


SERVICES = (
    Service(
        "fcm",
        {"service_account": json.dumps(ACCOUNT), "title": "Салон", "app_receipts": True},
        [
            *COMMON,
            ("blocked", ("failed", GONE, "recipient_refused", "")),
            ("error_json", ("failed", TEXT, "message_refused", "")),
            ("html", (*UNKNOWN, "", "")),
        ],
    ),
    Service(
        "rustore",
        {"project_id": "proj-42", "service_token": "rustore-token", "title": "Салон", "app_receipts": True},
        [
            *COMMON,
            ("blocked", ("failed", GONE, "recipient_refused", "")),
            ("error_json", ("failed", TEXT, "message_refused", "")),
            ("html", (*UNKNOWN, "", "")),
        ],
    ),
    Service(
        "web_push",
        {"title": "Салон", "subject": "mailto:a@salon.example", "hosts": "push.emulated.example"},
        [
            *COMMON,
            ("blocked", ("failed", GONE, "not_registered", "")),
            ("error_json", ("failed", TEXT, "message_refused", "")),
        ],
    ),
)
each = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.slug)


def channel_of(street: Street, service: Service, **fields: Any) -> Channel:
    fields = {"base_url": f"{street.emulator}/{service.slug}", "rate": 1000.0, **fields}
    return create_channel(service.slug, service.slug, service.config, **fields)


def device(street: Street, channel: Channel, person: str) -> dict[str, Any]:
    """What this person's app or browser registers."""
    if channel.provider != "web_push":
        return {"token": f"device-of-{person}"}
    with urlopen(f"{street.emulator}/web_push/subscription/{person}", timeout=10) as answer:
        return {"subscription": json.loads(answer.read())}


def signed(channel: Channel, phone: str, lives: int = 600) -> dict[str, Any]:
    """The owner's server knows who is logged in."""
    expires = int(time.time()) + lives
    key = app_signing_key(channel.callback_secret).encode()
    return {
        "phone": phone,
        "expires": expires,
        "signature": hmac.new(key, f"{phone}|{expires}".encode(), "sha256").hexdigest(),
    }


@each
def test_every_way(processes: Processes, street: Street, settings: Any, emulator: Running, service: Service) -> None:
    settings.PUBLIC_BASE_URL = processes.web().url
    first, sms = channel_of(street, service), street.sms()
    url = app_url(first)
    if service.slug == "web_push":  # its worker knows the address; a message does not carry it
        tell(street.emulator, "callback_target", provider="web_push", account="*", url=f"{url}receipt")
    people = street.cast(first, [behaviour for behaviour, _ in service.cast])
    for contact in Contact.objects.all():
        body = {**device(street, first, (contact.phone or "").lstrip("+")), **signed(first, contact.phone or "")}
        assert post(f"{url}device", json.dumps(body).encode()) == 204
    wait = timedelta(seconds=8)
    street.campaign(street.last_resort(first, sms, expect="delivered", wait=wait), people)
    run_until(processes, lambda: settled(first, len(service.cast)))
    wanted = [want for _, want in service.cast]
    try:
        run_until(processes, lambda: told(first) == wanted)
    except ProcessError:
        assert told(first) == wanted
        raise
    assert sorted(sends(street, service.slug).values())[-2:] == [1, 2], "only the one told to come again came again"
    assert {record["ttl"] for record in requests_of(street, provider=service.slug)} == {8.0}, "life = the wait"
    gone = Reachability.objects.filter(channel_id=first.pk, state="not_registered").count()
    assert gone == sum(want[2] == "not_registered" for want in wanted)
    assert not Receipt.objects.filter(state__in=["quarantined", "parked"]).exists()
    kept = Journal.read(emulator.journal)
    assert kept.repeated_refs() == {}
    assert {record["text"] for record in requests_of(street, provider=service.slug)} <= {
        f"Здравствуйте, Имя{number}!" for number in range(len(wanted))
    }, "the journal holds what the person reads"


@each
def test_a_refused_account_is_nobody_s_fault(processes: Processes, street: Street, service: Service) -> None:
    first, sms = channel_of(street, service), street.sms()
    assert checks.self_test(first).ok
    people = street.cast(first, ["delivered"] * 8)
    for contact in Contact.objects.all():
        told_device = device(street, first, (contact.phone or "").lstrip("+"))
        address = adapter_for(first).device_address(told_device.get("subscription", told_device))
        ContactAddress.objects.create(contact=contact, channel_id=first.pk, value=address)
    assert checks.send_test(first, Contact.objects.earliest("pk").phone or "", "Проба").ok, "to the device on that card"
    assert not checks.send_test(first, "+79990000000", "Проба").ok
    tell(street.emulator, "accounts", provider=service.slug, account="*", state="unauthorized")
    chain = street.chain(first, sms, wait=timedelta(minutes=5))
    street.campaign(chain, people)
    run_until(processes, lambda: ChannelState.objects.get(channel=first).breaker == "open")
    assert ChannelState.objects.get(channel=first).trouble == "auth"
    assert not requests_of(street, provider="smsc")
    tell(street.emulator, "accounts", provider=service.slug, account="*", state="ok")
    ChannelState.objects.update(probe_at=now())
    run_until(processes, lambda: Attempt.objects.filter(channel=first, state="accepted").count() == 8)
    if service.slug == "fcm":
        assert ops(street, "fcm").count("token") <= 4, "not one question for each message"


def test_what_the_door_for_apps_believes(processes: Processes, street: Street, settings: Any) -> None:
    """Who names a phone gets nobody's messages; who guesses gets nothing at all."""
    settings.PUBLIC_BASE_URL = processes.web().url
    channel = channel_of(street, SERVICES[1])
    url = app_url(channel)
    person = Contact.objects.create(phone="+79120000001", name="Аня")

    def register(where: str = url, **body: Any) -> int:
        return post(f"{where}device", json.dumps({"token": "device-1", **body}).encode())

    good = signed(channel, "+79120000001")
    late, early = signed(channel, "+79120000001", -5), signed(channel, "+79120000001", 90_000)
    other = {**good, "phone": "+79120000002"}
    for wrong in ({}, {"phone": "+79120000001"}, {**good, "signature": "0" * 64}, late, early, other, {"message": "x"}):
        assert register(**wrong) == 403, wrong
    assert register(url[:-2] + ("0/" if url[-2] != "0" else "1/"), **good) == 404
    assert register(f"{settings.PUBLIC_BASE_URL}/app/{channel.pk}/{channel.callback_secret}/", **good) == 404
    assert register(f"{settings.PUBLIC_BASE_URL}/app/{street.sms().pk}/{url.split('/')[-2]}/", **good) == 404
    assert post(f"{url}device", b"[]") == 400
    assert post(f"{url}device", b"{" + b" " * 20_000 + b"}") == 413
    assert register(token="a b", **good) == 400
    assert not ContactAddress.objects.exists()
    assert register(**good) == 204
    assert register(**good) == 204, "repeated"
    assert ContactAddress.objects.get().contact == person
    for number in range(6, 13):
        assert register(token=f"device-{number}", **good) == 204
    assert ContactAddress.objects.filter(contact=person).count() == 5
    ContactAddress.objects.exclude(value="device-12").delete()
    assert register(**good) == 204
    ContactAddress.objects.exclude(value="device-1").delete()
    # A message of ours that the person got is a proof for three days, through whatever channel it came.
    street.campaign(street.chain(street.sms("СМС-2"), wait=timedelta(hours=1)), street.people(1))
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").exists())
    attempt = Attempt.objects.get()
    assert register(token="device-2", message=attempt.client_ref) == 204
    assert ContactAddress.objects.get(value="device-2").contact_id == attempt.delivery.contact_id
    Attempt.objects.update(called_at=now() - timedelta(days=4))
    assert register(token="device-3", message=attempt.client_ref) == 403
    # A new token takes the place of the old one, which proves whose it is.
    assert register(token="device-4", old={"token": "device-2"}) == 204
    assert register(token="device-5", old={"token": "device-2"}) == 403
    assert set(ContactAddress.objects.values_list("value", flat=True)) == {"device-1", "device-4"}
    assert register(token="device-4", gone=True) == 204
    assert set(ContactAddress.objects.values_list("value", flat=True)) == {"device-1"}
    # Receipts: only of a message of this channel, once for each event.
    assert post(f"{url}receipt", b'{"ref":"AbCdEfGhIjKlMnOpQrSt_1","event":"opened"}') == 404
    assert post(f"{url}receipt", json.dumps({"ref": attempt.client_ref, "event": "opened"}).encode()) == 404
    Attempt.objects.update(channel=channel)
    for spelling in ('{{"ref":"{0}","event":"opened"}}', ' {{"event" : "opened", "x":1, "ref":"{0}"}}'):
        assert post(f"{url}receipt", spelling.format(attempt.client_ref).encode()) == 204
    assert Receipt.objects.count() == 1
    assert post(f"{url}receipt", b"{}") == 400
