"""VK on the running engine: lost answers are repeated and nobody gets anything twice."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from django.conf import LazySettings
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from contacts.models import Reachability
from deliveries.models import Attempt, Delivery, InboundMessage, Receipt
from emulator.journal import Journal
from templates_app.models import MessageTemplate
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, Cast, await_story, ops, post, sends, settled
from tests.deliveries.live import requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

SECRET = "vk-secret-of-the-test"

CAST: Cast = [
    ("silent", ("accepted", "", "", "accepted")),
    ("read", ("accepted", "", "", "read")),
    ("reversed", ("accepted", "", "", "read")),  # told twice
    ("button", ("accepted", "", "", "replied")),
    ("reply", ("accepted", "", "", "replied")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", GONE, "blocked", "")),
    ("not_there", ("failed", GONE, "blocked", "")),  # known before anything is sent
    ("error_json", ("failed", "message_permanent", "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "accepted")),
    # The answer is lost, the message is there: the repeat is known by its random_id.
    ({"behaviour": "accept_reset", "times": 1}, ("accepted", "", "", "accepted")),
    ({"behaviour": "truncated", "times": 1}, ("accepted", "", "", "accepted")),
    # The request was lost: the repeat is the first that arrives.
    ({"behaviour": "reset", "times": 1}, ("accepted", "", "", "accepted")),
    ({"behaviour": "error_500", "times": 1}, ("accepted", "", "", "accepted")),
    ({"behaviour": "html", "times": 1}, ("accepted", "", "", "accepted")),
]


def community(street: Street, **fields: object) -> Channel:
    config = {"token": "vk-token", "group_id": "7", "secret_key": SECRET, "confirmation": "c0ffee"}
    return create_channel("vk", "VK", config, base_url=f"{street.emulator}/vk", **{"rate": 1000.0, **fields})


def callbacks(street: Street, web: str, channel: Channel) -> None:
    url = f"{web}/hooks/{channel.pk}/{channel.callback_secret}/"
    tell(street.emulator, "callback_target", provider="vk", account="*", url=url, secret=SECRET)


def test_vk_every_way(processes: Processes, street: Street, settings: LazySettings, emulator: Running) -> None:
    web = processes.web().url
    settings.PUBLIC_BASE_URL = web
    vk, sms = community(street, check_registration=True), street.sms()
    callbacks(street, web, vk)
    people = street.cast(vk, [behaviour for behaviour, _ in CAST])
    MessageTemplate.objects.create(name="Привет", text="{name}, ждём", button="Приду")
    street.campaign(street.last_resort(vk, sms, expect="read", wait=timedelta(seconds=15)), people)

    def over() -> bool:
        Attempt.objects.filter(channel=vk, retry_at__isnull=False).update(retry_at=now())
        return settled(vk, len(CAST))

    run_until(processes, over)
    await_story(processes, vk, CAST)
    taken = Counter(r["recipient"] for r in requests_of(street, provider="vk") if r["accepted"])
    assert set(taken.values()) == {1}, "nobody has it twice"
    assert sum(sends(street, "vk").values()) - len(sends(street, "vk")) == 4, "tried again: told so, or nothing arrived"
    assert ops(street, "vk").count("repeat") == 2, "answered from memory, not sent"
    assert ops(street, "vk").count("messages.isMessagesFromGroupAllowed") >= len(CAST)
    assert "messages.sendMessageEventAnswer" in ops(street, "vk"), "the pressed button stopped spinning"
    assert "messages.delete" in ops(street, "vk"), "taken back from those who gave no sign of life"
    assert InboundMessage.objects.exclude(payload="").get().attempt is not None
    assert not Receipt.objects.filter(state__in=["quarantined", "parked"]).exists()
    assert Counter(Delivery.objects.filter(state="final").values_list("outcome", "outcome_milestone")) == {
        ("reached", "read"): 2,
        ("reached", "replied"): 2,
    }
    assert Journal.read(emulator.journal).holes() == []


def test_vk_asks_who_has_read_where_nothing_is_told(processes: Processes, street: Street) -> None:
    vk = community(street)
    people = street.cast(vk, ["read", "read", "silent"])
    street.campaign(street.last_resort(vk, street.sms(), expect="read", wait=timedelta(minutes=5)), people)

    def read() -> bool:
        Attempt.objects.filter(channel=vk, next_poll_at__isnull=False).update(next_poll_at=now())
        return Attempt.objects.filter(channel=vk, read_at__isnull=False).count() == 2

    run_until(processes, read)
    assert Delivery.objects.filter(outcome="reached").count() == 2


def test_vk_is_asked_for_what_people_do_where_it_cannot_call(processes: Processes, street: Street) -> None:
    vk = community(street, incoming="pull")
    assert checks.connect_receipts(vk).ok
    people = street.cast(vk, ["reply", "button", "block", "read"])
    chain = street.last_resort(vk, street.sms(), expect="read", wait=timedelta(minutes=5))
    MessageTemplate.objects.create(name="Привет", text="{name}, ждём", button="Приду")
    street.campaign(chain, people)
    run_until(processes, lambda: Delivery.objects.filter(outcome="reached").count() == 3)
    run_until(processes, lambda: Reachability.objects.filter(state="blocked", source="callback").exists())
    assert InboundMessage.objects.filter(text="Спасибо, приду!").exists()
    assert "messages.sendMessageEventAnswer" in ops(street, "vk")
    assert not Receipt.objects.filter(state__in=["quarantined", "parked"]).exists()


def test_vk_believes_nobody_without_the_secret_and_answers_its_confirmation(
    processes: Processes, street: Street
) -> None:
    vk = community(street)
    url = f"{processes.web().url}/hooks/{vk.pk}/{vk.callback_secret}/"
    denied = '{"type":"message_deny","group_id":7,"event_id":"e1","object":{"user_id":5}%s}'
    assert post(url, (denied % "").encode()) == 403
    assert post(url, (denied % ',"secret":"wrong"').encode()) == 403
    assert post(url, b'{"type":"confirmation","group_id":7}') == 200
    people = street.cast(vk, ["block"])
    callbacks(street, processes.web().url, vk)
    chain = street.last_resort(vk, street.sms(), expect="read", wait=timedelta(minutes=5))
    street.campaign(chain, people)
    run_until(processes, lambda: Reachability.objects.filter(state="blocked", source="callback").exists())
    street.campaign(chain, people)
    run_until(processes, lambda: Delivery.objects.filter(step=1).exists())
    assert len(requests_of(street, provider="vk")) == 1, "known to have forbidden messages: left without a call"


def test_vk_is_connected_and_a_refused_key_is_nobody_s_fault(processes: Processes, street: Street) -> None:
    vk, sms = community(street), street.sms()
    assert checks.self_test(vk).params == {"name": "Emulated"}
    assert checks.send_test(vk, "700001", "Проба").ok
    tell(street.emulator, "accounts", provider="vk", account="*", state="unauthorized")
    assert checks.self_test(vk).failure == "auth"
    people = street.cast(vk, ["read"] * 8)
    street.campaign(street.last_resort(vk, sms, expect="read", wait=timedelta(minutes=5)), people)
    run_until(processes, lambda: ChannelState.objects.get(channel=vk).breaker == "open")
    assert not Reachability.objects.exists()
    assert not requests_of(street, provider="smsc")
