"""The inbox and the polls: whatever the providers say, how often, in which order and about whom (R5, R6, I10, I11)."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from urllib.parse import urlencode

import pytest
from django.utils.timezone import now

from cascade.vocabulary import FailureClass
from channels.models import Channel
from channels.providers.base import CallbackRequest, Failed, StatusReport
from channels.services.accounts import create_channel
from contacts.models import Contact
from deliveries import tasks
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, Receipt
from deliveries.services import advance, launch, polling, receipts, reports
from tests.deliveries.conftest import Shop
from tests.deliveries.hands import answer, call_out
from tests.deliveries.live import finished, journal, receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes

LONG = timedelta(minutes=10)


def status(attempt: Attempt, word: str, ident: str = "", at: int | None = None) -> CallbackRequest:
    """A GREEN-API status callback about this attempt (or about another id)."""
    body = {
        "typeWebhook": "outgoingMessageStatus",
        "chatId": f"{attempt.address.lstrip('+')}@c.us",
        "idMessage": ident or attempt.provider_message_id,
        "status": word,
        "timestamp": at or int(now().timestamp()),
    }
    return CallbackRequest("POST", {}, {}, json.dumps(body).encode())


@pytest.fixture
def sent(shop: Shop, db: None) -> Attempt:
    """One message, accepted by the messenger, waiting ten minutes to be read."""
    messenger = shop.messenger(charged_on="delivered")
    shop.campaign(shop.chain(messenger, shop.sms(), wait=LONG, expect="read"), shop.people(1))
    return send_one(messenger)


def send_one(channel: Channel) -> Attempt:
    launch.launch_due()
    advance.advance_due()
    answer(call_out(channel))
    return Attempt.objects.get(channel=channel)


@pytest.mark.parametrize("deadline", [None, timedelta(seconds=-1)], ids=["exhausted", "expired"])
def test_I10_what_arrives_after_the_walk_gave_up_is_reached_all_the_same(
    shop: Shop, db: None, deadline: timedelta | None
) -> None:
    """Told in time it would have been `reached`; the order in which we hear of things must not matter."""
    messenger = shop.messenger(charged_on="delivered", price=Decimal("2.60"))
    # With a deadline one more step is owed, and its time is over.
    chain = shop.chain(messenger, wait=LONG) if deadline is None else shop.chain(messenger, shop.sms(), wait=LONG)
    campaign = shop.campaign(chain, shop.people(1))
    attempt = send_one(messenger)
    if deadline is not None:
        Delivery.objects.update(not_after=now() + deadline)
    receipts.store(messenger.pk, status(attempt, "failed"))
    receipts.process()
    advance.advance_due()
    gave_up = Delivery.objects.get().outcome
    assert gave_up == ("exhausted" if deadline is None else "expired")
    receipts.store(messenger.pk, status(attempt, "delivered"))
    receipts.process()
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_milestone, delivery.outcome_reason) == (
        "reached",
        "delivered",
        "late_receipt",
    )
    assert Attempt.objects.get().cost == Decimal("2.60")
    assert campaign.pk


def test_R5_every_order_of_three_reports_gives_one_state(sent: Attempt) -> None:
    """delivered, read and a failure in all orders, each twice, one callback at a time."""
    before = {
        field: getattr(sent, field) for field in ("state", "failure", "failed_at", "reason", "cost", "delivered_at")
    }
    empty = {"sent_at": None, "read_at": None, **before}
    ends = set()
    at = int(now().timestamp())
    for number, order in enumerate(permutations(("delivered", "read", "failed"))):
        Attempt.objects.filter(pk=sent.pk).update(**empty)
        Delivery.objects.update(
            state="waiting", due_at=now(), outcome="", outcome_step=None, outcome_reason="", outcome_milestone=""
        )
        Receipt.objects.all().delete()
        for word in [*order, *order]:
            receipts.store(sent.channel_id, status(sent, word, at=at + number))
            receipts.process()
        advance.advance_due()
        sent.refresh_from_db()
        delivery = Delivery.objects.get()
        ends.add((sent.state, bool(sent.read_at), sent.cost, delivery.outcome, delivery.outcome_milestone))
    assert ends == {("accepted", True, Decimal("2.6000"), "reached", "read")}


@pytest.mark.django_db(transaction=True)
def test_R5_the_same_report_five_times_at_once_is_one(shop: Shop) -> None:
    messenger = shop.messenger(charged_on="delivered")
    shop.campaign(shop.chain(messenger, wait=LONG), shop.people(1))
    attempt = send_one(messenger)
    request = status(attempt, "delivered")

    def post(_: int) -> bool:
        from django.db import connection

        try:
            stored = receipts.store(messenger.pk, request)
            receipts.process()
            return stored
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        stored = list(pool.map(post, range(5)))
    receipts.process()
    assert sorted(stored) == [False, False, False, False, True]
    assert Receipt.objects.get().state == Receipt.State.APPLIED
    attempt.refresh_from_db()
    assert attempt.cost == Decimal("2.60")
    advance.advance_due()
    assert Delivery.objects.get().outcome == "reached"


@pytest.mark.django_db
def test_I11_a_report_that_overtakes_the_answer_is_parked_and_then_counts(shop: Shop) -> None:
    """Its message has no provider id yet: the answer that brings it is still on the way."""
    messenger = shop.messenger()
    shop.campaign(shop.chain(messenger, wait=LONG), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    calls = call_out(messenger)
    attempt = Attempt.objects.get()
    receipts.store(messenger.pk, status(attempt, "delivered", ident=f"id-{attempt.client_ref}"))
    assert receipts.process() == 1
    parked = Receipt.objects.get()
    assert (parked.state, parked.due_at is not None) == ("parked", True)
    answer(calls)
    Receipt.objects.update(due_at=now() - LONG)
    receipts.process()
    attempt.refresh_from_db()
    assert attempt.delivered_at is not None and Receipt.objects.get().state == "applied"
    advance.advance_due()
    assert Delivery.objects.get().outcome == "reached"


def test_a_report_about_nobodys_message_is_kept_a_week_and_then_laid_aside(sent: Attempt) -> None:
    receipts.store(sent.channel_id, status(sent, "delivered", ident="NOBODYS"))
    receipts.process()
    waits = []
    for age in (timedelta(0), timedelta(minutes=5), timedelta(hours=3), receipts.PARKED_FOR + timedelta(hours=1)):
        Receipt.objects.update(received_at=now() - age, due_at=now() - LONG)
        receipts.process()
        parked = Receipt.objects.get()
        waits.append((parked.state, parked.due_at and (parked.due_at - now()) > timedelta(minutes=30)))
    assert waits == [("parked", False), ("parked", False), ("parked", True), ("ignored", None)]
    sent.refresh_from_db()
    assert sent.delivered_at is None


def test_another_accounts_report_says_nothing_about_our_message(sent: Attempt, shop: Shop) -> None:
    """T9: whoever holds the secret of one channel cannot speak about the messages of another."""
    other = shop.messenger("Другой номер")
    receipts.store(other.pk, status(sent, "read"))
    receipts.process()
    sent.refresh_from_db()
    assert (sent.read_at, Receipt.objects.get().state) == (None, "parked")


@pytest.mark.parametrize("names", ["ref", "ident"])
def test_an_account_with_one_address_speaks_of_all_its_channels(names: str, shop: Shop, db: None) -> None:
    """SMSC has one address per account: what comes in at that of text messages may be about a robot call, whose statuses
    mean other things. Another account's address still says nothing about it."""
    texts = shop.sms()
    calls = create_channel("smsc_voice", "Робот", {"apikey": "smsc-key", "checksum": False})
    stranger = create_channel("smsc", "Чужой", {"apikey": "another", "checksum": False})
    shop.campaign(shop.chain(calls, texts, wait=LONG), shop.people(1))
    attempt = send_one(calls)
    word = attempt.client_ref if names == "ref" else attempt.provider_message_id
    body = urlencode({"id": word, "phone": attempt.address.lstrip("+"), "status": "1", "cnt": "12"}).encode()
    receipts.store(stranger.pk, CallbackRequest("POST", {}, {}, body))
    receipts.process()
    attempt.refresh_from_db()
    assert attempt.delivered_at is None
    receipts.store(texts.pk, CallbackRequest("POST", {}, {}, body))
    receipts.process()
    attempt.refresh_from_db()
    assert attempt.delivered_at is not None
    assert Receipt.objects.get(channel=texts).state == "applied"


def test_what_breaks_its_adapter_is_set_apart_and_does_not_stop_the_rest(sent: Attempt) -> None:
    receipts.store(sent.channel_id, CallbackRequest("POST", {}, {}, b"\xff\x00 not json"))
    receipts.store(sent.channel_id, CallbackRequest("POST", {}, {}, b"[" * 2000))
    receipts.store(sent.channel_id, status(sent, "read"))
    assert receipts.process() == 3
    assert Counter(Receipt.objects.values_list("state", flat=True)) == {"quarantined": 2, "applied": 1}
    sent.refresh_from_db()
    assert sent.read_at is not None
    bad = Receipt.objects.filter(state="quarantined")
    assert all(bad.values_list("note", flat=True))
    assert receipts.process_again([one.pk for one in bad]) == 2
    receipts.process()
    assert bad.count() == 2


def test_R6_a_report_that_lies_in_the_inbox_is_read_before_a_step_is_given_up(sent: Attempt) -> None:
    """The tick of the inbox is late, the one that decides is not: nobody gets it twice because of that."""
    receipts.store(sent.channel_id, status(sent, "read"))
    Attempt.objects.update(called_at=now() - 2 * LONG, accepted_at=now() - 2 * LONG)
    Delivery.objects.update(due_at=now() - LONG)
    tasks.advance_due()
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_step, delivery.trail) == ("reached", 0, "")


def test_a_word_nobody_knows_is_noted_and_changes_nothing(sent: Attempt) -> None:
    receipts.store(sent.channel_id, status(sent, "teleported"))
    receipts.process()
    receipt = Receipt.objects.get()
    assert "teleported" in receipt.note
    sent.refresh_from_db()
    assert (sent.state, sent.delivered_at) == ("accepted", None)


@pytest.mark.django_db
def test_R8_news_that_says_nothing_settles_no_doubt(shop: Shop) -> None:
    """Whatever an adapter hands over: without a milestone nobody has said that the message was taken."""
    sms = shop.sms()
    shop.campaign(shop.chain(sms, wait=LONG), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    answer(call_out(sms), Failed("", FailureClass.OUTCOME_UNKNOWN))
    attempt = Attempt.objects.get()
    news = reports.News()
    news.add(StatusReport("", "teleported", cost=Decimal("4.80")), now())
    reports.apply({attempt.pk: news})
    attempt.refresh_from_db()
    assert (attempt.state, attempt.failure, attempt.cost) == ("unknown", "outcome_unknown", Decimal("4.80"))
    assert Delivery.objects.get().has_unknown


def test_a_providers_clock_that_runs_ahead_is_set_back_to_ours(sent: Attempt) -> None:
    """A milestone of tomorrow would stop the clock of the step until then."""
    receipts.store(sent.channel_id, status(sent, "delivered", at=int((now() + timedelta(days=1)).timestamp())))
    receipts.process()
    sent.refresh_from_db()
    assert sent.delivered_at is not None and sent.delivered_at <= now()


def test_R5_reversed_and_doubled_by_a_real_provider(processes: Processes, live_shop: Shop) -> None:
    """read, delivered, sent, each posted twice."""
    messenger = live_shop.messenger()
    receive_callbacks(live_shop, processes.web().url, messenger)
    campaign = live_shop.campaign(
        live_shop.chain(messenger, live_shop.sms(), wait=LONG, expect="read"), live_shop.people(3, ending=14)
    )
    run_until(processes, finished(campaign.pk))
    assert set(Delivery.objects.values_list("outcome", "outcome_milestone")) == {("reached", "read")}
    assert set(Attempt.objects.values_list("cost", flat=True)) == {Decimal("2.60")}

    def posted() -> list[dict[str, object]]:
        return [one for one in journal(live_shop.emulator) if one["kind"] == "callback"]

    run_until(processes, lambda: len(posted()) == 18)  # the campaign is over before the last repetition has come
    assert {one["code"] for one in posted()} == {200}
    assert Receipt.objects.count() <= 9


# ---------------------------------------------------------------- polling


def status_questions(shop: Shop) -> list[dict[str, object]]:
    return [one for one in journal(shop.emulator) if one["kind"] == "other" and one["op"] in ("status", "getMessage")]


def ask_now() -> int:
    Attempt.objects.filter(next_poll_at__isnull=False).update(next_poll_at=now())
    return polling.poll_due()


def test_polls_ask_a_hundred_at_a_time_and_less_and_less_often(processes: Processes, live_shop: Shop) -> None:
    """No callbacks at all: the statuses are fetched."""
    sms = live_shop.sms()
    live_shop.campaign(live_shop.chain(sms, wait=LONG), live_shop.people(230, ending=1))
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == 230)
    before = len(status_questions(live_shop))
    assert ask_now() == 230
    assert len(status_questions(live_shop)) - before == 3
    first = Attempt.objects.latest("pk")
    assert ask_now() == 230
    second = Attempt.objects.latest("pk")
    assert second.polls == first.polls + 1
    assert first.next_poll_at is not None and second.next_poll_at is not None
    assert second.next_poll_at - first.next_poll_at > timedelta(seconds=8), "the distance does not grow"
    for phone in Contact.objects.order_by("pk").values_list("phone", flat=True)[:5]:
        tell(live_shop.emulator, "status", provider="smsc", recipient=phone, status="delivered")
    ask_now()
    assert Attempt.objects.filter(delivered_at__isnull=False, next_poll_at=None).count() == 5
    assert ask_now() == 225
    Attempt.objects.update(called_at=now() - timedelta(days=4))
    ask_now()
    assert not Attempt.objects.filter(next_poll_at__isnull=False).exists(), "after three days nobody asks"


def test_a_poll_that_knows_less_than_a_callback_changes_nothing(processes: Processes, live_shop: Shop) -> None:
    """The provider's database lags behind its own callbacks; a young message is not found there at all."""
    messenger = live_shop.messenger()
    tell(live_shop.emulator, "accounts", provider="green", account="*", poll_lag=3600)
    live_shop.campaign(
        live_shop.chain(messenger, live_shop.sms(), wait=LONG, expect="read"), live_shop.people(1, ending=1)
    )
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").exists())
    attempt = Attempt.objects.get()
    assert ask_now() == 1
    attempt.refresh_from_db()
    assert (attempt.state, attempt.failure, attempt.sent_at) == ("accepted", "", None)

    receipts.store(messenger.pk, status(attempt, "delivered"))
    receipts.process()
    tell(live_shop.emulator, "accounts", provider="green", account="*", poll_lag=0)
    tell(live_shop.emulator, "status", provider="green", recipient=attempt.address, status="sent")
    assert ask_now() == 1
    run_once()
    attempt.refresh_from_db()
    assert attempt.delivered_at is not None and attempt.state == "accepted"
    assert Delivery.objects.get().state == "waiting"


def test_R8_an_unknown_outcome_is_looked_up_by_our_own_reference(processes: Processes, live_shop: Shop) -> None:
    """SMSC takes the message and cuts the connection; asked by our id it says what became of it: one request, reached."""
    sms, messenger = live_shop.sms(), live_shop.messenger()
    campaign = live_shop.campaign(
        live_shop.chain(sms, messenger, wait=timedelta(seconds=30)), live_shop.people(2, ending=5)
    )
    run_until(
        processes,
        lambda: Attempt.objects.filter(state="unknown").count() == 2 or Delivery.objects.filter(state="final").exists(),
    )
    Attempt.objects.filter(next_poll_at__isnull=False).update(next_poll_at=now())
    run_until(processes, finished(campaign.pk))
    assert set(Delivery.objects.values_list("outcome", "outcome_step", "has_unknown")) == {("reached", 0, False)}
    assert len(requests_of(live_shop)) == 2


def test_R8_a_lookup_that_finds_nothing_yet_leaves_it_unknown(processes: Processes, live_shop: Shop) -> None:
    """“No such message” from a provider whose database lags is no licence to send again."""
    sms, messenger = live_shop.sms(), live_shop.messenger()
    tell(live_shop.emulator, "accounts", provider="smsc", account="*", poll_lag=3600)
    campaign = live_shop.campaign(
        live_shop.chain(sms, messenger, wait=timedelta(seconds=3)), live_shop.people(1, ending=5)
    )
    phone = Contact.objects.get().phone
    tell(live_shop.emulator, "rules", provider="green", recipients=[phone], behaviour="delivered")
    run_until(processes, finished(campaign.pk))
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_step, delivery.trail) == ("reached", 1, "unknown_unresolved")
    assert delivery.has_unknown
    assert len(requests_of(live_shop, provider="smsc")) == 1


def test_a_call_without_an_id_is_found_by_number_and_time(shop: Shop, db: None) -> None:
    """Two campaigns call one person within minutes; a third channel's call to the same number is not ours to match."""
    messenger, other = shop.messenger(), shop.messenger("Другой")
    people = shop.people(1)
    for channel in (messenger, messenger, other):
        shop.campaign(shop.chain(channel, wait=LONG), people)
        launch.launch_due()
        advance.advance_due()
        answer(call_out(channel))
    first, second, stranger = Attempt.objects.order_by("pk")
    began = now() - timedelta(hours=1)
    for attempt, minutes in ((first, 0), (second, 3), (stranger, 0)):
        Attempt.objects.filter(pk=attempt.pk).update(called_at=began + timedelta(minutes=minutes))

    def found(minutes: float, address: str = first.address) -> int | None:
        at = began + timedelta(minutes=minutes)
        report = StatusReport("key", "answered", address=address, began=at)
        return reports.match(messenger.pk, [report]).get(0)

    assert [found(0), found(1), found(2), found(3), found(4)] == [first.pk, first.pk, second.pk, second.pk, second.pk]
    assert (found(-3), found(14), found(0, "+79990000000")) == (None, None, None)
