"""Mail services on the running engine: UniSender Go, and one of those that share an adapter (Postmark)."""

from __future__ import annotations

from datetime import timedelta

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import create_channel
from contacts.models import Contact, Reachability
from deliveries.models import Attempt, Delivery, Receipt
from emulator.journal import Journal
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, TEXT, UNKNOWN, Cast, await_story, post, sends
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("reversed", ("accepted", "", "", "delivered")),  # opened, delivered, sent, each twice; opening is nobody's word
    ("early", ("accepted", "", "", "delivered")),
    ("delayed", ("accepted", "", "", "delivered")),  # soft bounce: wait; then it arrived
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("refused_as_spam", ("failed", TEXT, "message_refused", "accepted")),
    ("failed_then_delivered", ("accepted", GONE, "recipient_refused", "delivered")),
    ("complaint", ("accepted", "", "", "accepted")),
    ("error_json", ("failed", TEXT, "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # our reference comes back with the receipt
    ("truncated", ("accepted", "", "", "delivered")),
]


def unisender(street: Street) -> Channel:
    config = {"api_key": "unisender-key", "sender": "hello@shop.example", "sender_name": "Салон «Ёж»"}
    return create_channel("unisender_go", "Письма", config, base_url=f"{street.emulator}/unisender_go", rate=1000.0)


def postmark(street: Street) -> Channel:
    config = {"service": "postmark", "api_key": "postmark-token", "sender": "hello@shop.example"}
    return create_channel("mail_service", "Письма", config, base_url=f"{street.emulator}/postmark", rate=1000.0)


def every_way(processes: Processes, street: Street, mail: Channel, cast: Cast) -> None:
    """Everybody's story, and what follows from it."""
    web, sms = processes.web().url, street.sms()
    receive_callbacks(street, web, mail)
    if mail.provider == "unisender_go":
        tell(street.emulator, "accounts", provider="unisender_go", account="*", callback_secret="unisender-key")
    people = street.cast(mail, [behaviour for behaviour, _ in cast])
    street.campaign(street.last_resort(mail, sms, expect="delivered", wait=timedelta(minutes=1)), people)
    await_story(processes, mail, cast)
    run_until(processes, lambda: Delivery.objects.filter(outcome="stopped", outcome_reason="opted_out").count() == 1)
    run_until(processes, lambda: not Receipt.objects.filter(state="new").exists())
    assert not Receipt.objects.filter(state="quarantined").exists()
    complained = next(n for n, (behaviour, _) in enumerate(cast) if behaviour == "complaint")
    consents = list(Contact.objects.order_by("pk").values_list("marketing_consent", flat=True))
    assert [n for n, one in enumerate(consents) if one == "withdrawn"] == [complained]


def test_unisender_go_every_way(processes: Processes, street: Street, emulator: Running) -> None:
    mail = unisender(street)
    words: Cast = [
        ("refused", ("failed", GONE, "not_registered", "")),  # a 200 with permanent_unavailable
        ("blocked", ("failed", GONE, "blocked", "")),  # a 200 with unsubscribed
    ]
    every_way(processes, street, mail, CAST + words)
    remembered = Reachability.objects.filter(channel_id=mail.pk).exclude(state="reachable")
    learned = sorted(remembered.values_list("state", flat=True))
    assert learned == ["blocked", "not_registered", "not_registered"]
    kept = Journal.read(emulator.journal)
    assert kept.repeated_refs() == {}
    assert sorted(sends(street, "unisender_go").values())[-2:] == [1, 2], "only the one told to come again came again"


def test_postmark_every_way(processes: Processes, street: Street, emulator: Running) -> None:
    every_way(
        processes,
        street,
        postmark(street),
        [
            *CAST,
            ("refused", ("failed", GONE, "not_registered", "")),
            (
                "blocked",
                ("failed", GONE, "recipient_refused", ""),
            ),  # known there as dead or complaining: not said which
        ],
    )
    assert Journal.read(emulator.journal).repeated_refs() == {}


def test_unisender_go_believes_only_its_own_signature_and_says_what_is_wrong(
    processes: Processes, street: Street
) -> None:
    mail, sms = unisender(street), street.sms()
    url = f"{processes.web().url}/hooks/{mail.pk}/{mail.callback_secret}/"
    forged = b'{"auth":"0123456789abcdef0123456789abcdef","events_by_user":[]}'
    assert post(url, forged, **{"Content-Type": "application/json"}) == 403
    assert post(url.replace(mail.callback_secret, "x"), forged) == 404
    assert checks.self_test(mail).ok
    tell(street.emulator, "accounts", provider="unisender_go", account="*", state="unauthorized")
    assert checks.self_test(mail).failure == "auth"
    people = street.cast(mail, ["delivered"] * 8)
    street.campaign(street.last_resort(mail, sms, expect="delivered", wait=timedelta(minutes=5)), people)
    run_until(processes, lambda: ChannelState.objects.get(channel=mail).breaker == "open")
    assert not requests_of(street, provider="smsc"), "the account's trouble is nobody's fault"
    assert not Attempt.objects.filter(failure=GONE).exists()
