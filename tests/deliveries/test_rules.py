"""The rules of cascade.md, one by one, on the running engine; the pure ones are in tests/cascade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest
from django.utils.timezone import now

from campaigns.models import Campaign, CampaignSpend, CampaignStatus, FrequencyCap
from campaigns.services import lifecycle
from cascade.vocabulary import Purpose, Reason
from channels.models import ChannelState
from contacts.models import Contact, SuppressionScope
from contacts.services import consents, suppressions
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, DeliveryPlan, Receipt
from deliveries.services import advance, launch, receipts, recover
from deliveries.services.plans import freeze
from deliveries.services.send.pump import send_ready
from templates_app.models import MessageTemplate
from tests.deliveries.hands import answer, call_out
from tests.deliveries.live import finished, journal, receive_callbacks, requests_of, run_until, tell
from tests.deliveries.shop import Shop
from tests.plugins.processes import Processes

LONG = timedelta(minutes=10)
SHORT = timedelta(seconds=2)


def outcomes() -> Counter[tuple[str, str]]:
    return Counter(Delivery.objects.values_list("outcome", "outcome_reason"))


def test_R3_who_is_not_there_gets_the_next_step_at_once(processes: Processes, live_shop: Shop) -> None:
    """No waiting: the first step would wait ten minutes."""
    messenger, sms = live_shop.messenger(), live_shop.sms()
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=LONG), live_shop.people(5, ending=3))
    run_until(processes, lambda: Attempt.objects.filter(channel=sms).count() == 5)
    assert set(Delivery.objects.values_list("step", flat=True)) == {1}
    assert campaign.pk


def test_R8_unknown_outcome_is_never_repeated(processes: Processes, live_shop: Shop) -> None:
    """The provider takes the message and cuts the connection: one request, a flag, and on to the next step."""
    messenger, sms = live_shop.messenger(), live_shop.sms()
    people = live_shop.people(4, ending=5)
    phones = list(Contact.objects.values_list("phone", flat=True))
    tell(live_shop.emulator, "rules", provider="smsc", recipients=phones, behaviour="delivered")
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=SHORT), people)
    run_until(processes, finished(campaign.pk))
    assert Counter(r["recipient"] for r in requests_of(live_shop, provider="green")).most_common(1)[0][1] == 1
    assert len(requests_of(live_shop, provider="smsc")) == 4
    assert Delivery.objects.filter(has_unknown=True).count() == 4
    assert set(Delivery.objects.values_list("trail", flat=True)) == {Reason.UNKNOWN_UNRESOLVED}


def test_R10_stop_in_one_channel_ends_the_cascade_and_all_marketing(processes: Processes, live_shop: Shop) -> None:
    """Worked example 8: СТОП while an SMS step waits."""
    web = processes.web().url
    messenger, sms = live_shop.messenger(), live_shop.sms()
    receive_callbacks(live_shop, web, messenger)
    chain = live_shop.chain(messenger, sms, wait=timedelta(seconds=6), expect="read")
    people = live_shop.people(1, ending=18)  # answers СТОП
    first = live_shop.campaign(chain, people)
    run_until(processes, finished(first.pk))
    assert outcomes() == {("stopped", "opted_out"): 1}
    assert not requests_of(live_shop, provider="smsc")
    contact = Contact.objects.get()
    assert contact.marketing_consent == "withdrawn"
    assert contact.suppressed == SuppressionScope.MARKETING
    second = live_shop.campaign(chain, people)
    run_until(processes, finished(second.pk))
    assert Delivery.objects.get(campaign=second).outcome == "suppressed"
    assert len(requests_of(live_shop)) == 1


def test_R10_a_reply_ends_the_cascade_as_reached(processes: Processes, live_shop: Shop) -> None:
    web = processes.web().url
    messenger, sms = live_shop.messenger(), live_shop.sms()
    receive_callbacks(live_shop, web, messenger)
    campaign = live_shop.campaign(
        live_shop.chain(messenger, sms, wait=timedelta(seconds=6), expect="read"), live_shop.people(1, ending=17)
    )
    run_until(processes, finished(campaign.pk))
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_step, delivery.outcome_milestone) == ("reached", 0, "replied")
    assert not requests_of(live_shop, provider="smsc")


@pytest.mark.django_db
def test_R10_a_stop_during_the_call_ends_it_with_the_answer(shop: Shop) -> None:
    """Not when the step's wait is over: the owner who cancels sees the books closed within seconds."""
    messenger = shop.messenger()
    campaign = shop.campaign(shop.chain(messenger, shop.sms(), wait=LONG), shop.people(2))
    launch.launch_due()
    advance.advance_due()
    calls = call_out(messenger)
    lifecycle.cancel(campaign.pk)
    assert recover.end_cancelled() == 2
    assert answer(calls) == 2, "nobody is told that a decision is due"
    advance.advance_due()
    assert outcomes() == {("stopped", "cancelled"): 2}
    recover.end_cancelled()
    campaign.refresh_from_db()
    assert campaign.finished_at is not None


def test_R11_consent_withdrawn_after_launch_stops_the_fallback(processes: Processes, live_shop: Shop) -> None:
    messenger, sms = live_shop.messenger(), live_shop.sms()
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=SHORT), live_shop.people(2, ending=1))
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == 2)
    gone = Contact.objects.order_by("pk").first()
    assert gone is not None
    consents.record(gone.pk, granted=False, source="разговор")
    run_until(processes, lambda: Delivery.objects.filter(contact=gone, state="final").exists())
    delivery = Delivery.objects.get(contact=gone)
    assert (delivery.outcome, delivery.outcome_reason) == ("stopped", "no_consent")
    run_until(processes, lambda: bool(requests_of(live_shop, provider="smsc")))
    assert {r["recipient"] for r in requests_of(live_shop, provider="smsc")} == {
        Contact.objects.exclude(pk=gone.pk).get().phone.lstrip("+")
    }
    assert campaign.pk


def test_R11_no_consent_and_stop_list_are_suppressed_before_the_first_call(
    processes: Processes, live_shop: Shop
) -> None:
    campaign = live_shop.campaign(live_shop.chain(live_shop.messenger()), live_shop.people(3))
    first, second, _ = Contact.objects.order_by("pk")
    Contact.objects.filter(pk=first.pk).update(marketing_consent="unknown")
    suppressions.suppress(second.phone or "", SuppressionScope.MARKETING, "просил", "телефон")
    run_until(processes, lambda: Delivery.objects.filter(state="final").count() >= 2)
    assert Delivery.objects.get(contact=first).outcome_reason == "no_consent"
    assert Delivery.objects.get(contact=second).outcome_reason == "stop_list"
    assert len(requests_of(live_shop)) == 1
    assert campaign.pk


def test_R12_nothing_leaves_in_quiet_hours(processes: Processes, live_shop: Shop) -> None:
    """The campaign may speak in an hour that is not now: the send is moved to its beginning."""
    local = now().astimezone(UTC)
    start = (local + timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    Contact.objects.update(timezone="UTC")
    people = live_shop.people(2)
    Contact.objects.update(timezone="UTC")
    campaign = live_shop.campaign(
        live_shop.chain(live_shop.messenger()),
        people,
        window_start=start.time(),
        window_end=(start + timedelta(hours=1)).time(),
    )
    run_until(processes, lambda: Delivery.objects.filter(wait_reason="quiet_hours").count() == 2)
    assert set(Delivery.objects.values_list("due_at", flat=True)) == {start}
    assert not requests_of(live_shop)
    assert campaign.pk


def test_R14_the_same_event_is_one_delivery(processes: Processes, live_shop: Shop) -> None:
    live_shop.people(1)
    chain = live_shop.chain(live_shop.messenger())
    template = MessageTemplate.objects.create(name="Запись", text="Ждём вас, {name}")
    plan = DeliveryPlan.objects.create(purpose="service", definition=freeze(chain, template, Purpose.SERVICE))
    contact = Contact.objects.get()
    made = [launch.create_delivery(contact.pk, plan, dedup_key="visit-7:reminder") for _ in range(5)]
    assert [new for _, new in made] == [True, False, False, False, False]
    assert len({pk for pk, _ in made}) == 1
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").exists())
    assert len(requests_of(live_shop)) == 1


def test_R18_frequency_cap_holds_across_campaigns(processes: Processes, live_shop: Shop) -> None:
    FrequencyCap.objects.update_or_create(days=7, defaults={"messages": 2, "enabled": True})
    chain, people = live_shop.chain(live_shop.messenger()), live_shop.people(3)
    campaigns = [live_shop.campaign(chain, people) for _ in range(4)]
    run_until(processes, lambda: Delivery.objects.filter(outcome_reason="frequency_cap").count() == 6)
    assert set(Counter(r["recipient"] for r in requests_of(live_shop)).values()) == {2}
    assert len(campaigns) == 4


def test_I9_budget_of_100_at_3_buys_33_messages_and_pauses(processes: Processes, live_shop: Shop) -> None:
    messenger = live_shop.messenger(price=Decimal("3.00"), charged_on="accepted")
    campaign = live_shop.campaign(live_shop.chain(messenger), live_shop.people(50), budget=Decimal("100.00"))
    CampaignSpend.objects.create(campaign=campaign)
    run_until(processes, lambda: Campaign.objects.get(pk=campaign.pk).status == CampaignStatus.PAUSED)
    for _ in range(3):
        run_once()
    assert len(requests_of(live_shop)) == 33
    spend = CampaignSpend.objects.get()
    assert (spend.spent, spend.reserved) == (Decimal("99.00"), Decimal(0))
    campaign.refresh_from_db()
    assert campaign.status_reason == "budget"


def test_I27_an_account_in_trouble_is_not_charged_to_people(processes: Processes, live_shop: Shop) -> None:
    """Token refused: a few calls, nobody falls through to the dearer SMS, and all go on once it works again."""
    messenger, sms = live_shop.messenger(), live_shop.sms()
    people = live_shop.people(60)
    tell(live_shop.emulator, "accounts", provider="green", account="*", state="unauthorized")
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=LONG), people)
    run_until(processes, lambda: ChannelState.objects.get(channel=messenger).breaker == "open")
    for _ in range(5):
        run_once()
    assert not requests_of(live_shop, provider="smsc")
    assert Delivery.objects.filter(wait_reason="channel_on_hold").count() == 60
    tell(live_shop.emulator, "accounts", provider="green", account="*", state="ok")
    ChannelState.objects.update(probe_at=now())
    Delivery.objects.filter(state="waiting").update(due_at=now())
    run_until(processes, lambda: Attempt.objects.filter(state="accepted", channel=messenger).count() == 60)
    assert not requests_of(live_shop, provider="smsc")
    assert campaign.pk


def test_R20_pause_holds_resume_goes_on_cancel_ends(processes: Processes, live_shop: Shop) -> None:
    messenger = live_shop.messenger(rate=2.0)
    campaign = live_shop.campaign(live_shop.chain(messenger, wait=LONG), live_shop.people(40, ending=1))
    run_until(processes, lambda: len(requests_of(live_shop)) >= 3)
    assert lifecycle.pause(campaign.pk)
    paused_at = Attempt.objects.count()
    for _ in range(5):
        run_once()
    assert Attempt.objects.count() == paused_at
    assert lifecycle.resume(campaign.pk)
    run_until(processes, lambda: Attempt.objects.count() > paused_at)
    assert lifecycle.cancel(campaign.pk)
    run_until(processes, lambda: not Delivery.objects.exclude(state="final").exists())
    cancelled = Attempt.objects.count()
    assert outcomes() == {("stopped", "cancelled"): 40}
    assert len(requests_of(live_shop)) == cancelled < 40


def test_R6_late_receipt_after_the_fallback_is_a_double_and_both_are_paid(
    processes: Processes, live_shop: Shop
) -> None:
    """The first channel cannot take a message back; its report comes when the second has gone out."""
    web = processes.web().url
    messenger, sms = live_shop.messenger(), live_shop.sms()
    receive_callbacks(live_shop, web, sms)
    people = live_shop.people(1, ending=1)
    phone = Contact.objects.get().phone
    tell(live_shop.emulator, "accounts", provider="smsc", account="*", price="4.80")
    campaign = live_shop.campaign(live_shop.chain(sms, messenger, wait=timedelta(seconds=3)), people)
    run_until(processes, lambda: Attempt.objects.filter(channel=messenger, state="accepted").exists())
    tell(live_shop.emulator, "status", provider="smsc", recipient=phone, status="delivered")
    run_until(processes, finished(campaign.pk))
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_step, delivery.outcome_reason) == ("reached", 0, "late_receipt")
    assert delivery.is_double
    assert [line.kind for line in delivery.timeline.all()] == ["left", "late", "finished"]
    assert Attempt.objects.get(channel=sms).cost == Decimal("4.80")


def test_R7_an_undelivered_message_is_taken_back_before_the_next_step(processes: Processes, live_shop: Shop) -> None:
    messenger, sms = live_shop.messenger(), live_shop.sms()
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=SHORT), live_shop.people(1, ending=1))
    run_until(processes, lambda: Attempt.objects.filter(channel=sms, state="accepted").exists())
    assert Attempt.objects.get(channel=messenger).recalled_at is not None
    order = [
        r["kind"] + str(r.get("op", "")) for r in journal(live_shop.emulator) if r.get("provider") in ("green", "smsc")
    ]
    recall = next(index for index, what in enumerate(order) if "deleteMessage" in what or what.startswith("recall"))
    assert "request" in "".join(order[recall + 1 :])
    assert campaign.pk


def test_I11_a_receipt_before_the_answer_is_not_lost(processes: Processes, live_shop: Shop) -> None:
    web = processes.web().url
    messenger, sms = live_shop.messenger(), live_shop.sms()
    receive_callbacks(live_shop, web, messenger)
    campaign = live_shop.campaign(
        live_shop.chain(messenger, sms, wait=timedelta(seconds=8)), live_shop.people(1, ending=13)
    )
    run_until(processes, finished(campaign.pk))
    assert outcomes() == {("reached", "milestone_met"): 1}
    assert not requests_of(live_shop, provider="smsc")


def test_I11_an_early_receipt_is_not_taken_for_an_older_message_in_doubt(processes: Processes, live_shop: Shop) -> None:
    """The answer to a first message was lost; the receipt of a second comes while that one is still being sent."""
    messenger = live_shop.messenger()
    receive_callbacks(live_shop, processes.web().url, messenger)
    people = live_shop.people(1)
    phone = Contact.objects.get().phone
    tell(live_shop.emulator, "rules", provider="green", recipient=phone, behaviour="accept_reset", steps=[], times=1)
    slow = {"steps": [{"after": 0.1, "status": "delivered"}], "delay": 2.0}
    tell(live_shop.emulator, "rules", provider="green", recipient=phone, **slow)
    first = live_shop.campaign(live_shop.chain(messenger, wait=LONG), people)
    run_until(processes, lambda: Attempt.objects.filter(state="unknown").exists())
    second = live_shop.campaign(live_shop.chain(messenger, wait=LONG), people)
    launch.launch_due()
    advance.advance_due()
    sender = Thread(target=send_ready, args=(1.0,))
    sender.start()
    processes.until(Receipt.objects.exists, what="the early receipt")
    receipts.process()
    assert Receipt.objects.get().state == "parked"
    sender.join()
    run_until(processes, finished(second.pk))
    assert Delivery.objects.get(campaign=second).outcome == "reached"
    assert Attempt.objects.get(delivery__campaign=first).state == "unknown"


def test_I5_callbacks_are_verified_stored_once_and_never_break_the_inbox(processes: Processes, live_shop: Shop) -> None:
    web = processes.web().url
    messenger = live_shop.messenger()
    good = f"{web}/hooks/{messenger.pk}/{messenger.callback_secret}/"

    def post(url: str, body: bytes | Iterator[bytes], secret: str = messenger.callback_secret) -> int:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {secret}"}
        try:
            with urlopen(Request(url, body, headers), timeout=10) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    body = (
        b'{"typeWebhook":"outgoingMessageStatus","chatId":"79@c.us","idMessage":"X","status":"delivered","timestamp":1}'
    )
    assert post(good, body) == 200
    assert post(good, body) == 200
    assert post(good, b"\x00 not json") == 200
    assert post(good, body, secret="wrong") == 403
    assert post(f"{web}/hooks/{messenger.pk}/wrong/", body) == 404
    assert post(good, b"x" * 300_000) == 413
    assert post(good, _in_chunks(body.replace(b'"X"', b'"Y"'))) == 200
    assert post(good, _in_chunks(b"x" * 300_000)) == 413
    assert Receipt.objects.count() == 3
    assert b'"Y"' in bytes(Receipt.objects.latest("pk").body)
    run_once()
    assert set(Receipt.objects.values_list("state", flat=True)) == {"parked", "quarantined"}


def _in_chunks(body: bytes) -> Iterator[bytes]:
    """urllib sends what has no length with Transfer-Encoding: chunked, and so do some providers."""
    for start in range(0, len(body), 20_000):
        yield body[start : start + 20_000]


class Stay(HTTPRedirectHandler):
    """Does not follow a redirect: where it leads is the answer."""

    def redirect_request(self, *_: object) -> None:
        return None


@pytest.mark.parametrize("agent", ["TelegramBot (like TwitterBot)", "Mozilla/5.0 (iPhone) Safari"])
def test_tracked_link_and_unsubscribe(processes: Processes, live_shop: Shop, agent: str) -> None:
    """Robots follow links too and must end nothing (T15); GET never unsubscribes."""
    web = processes.web().url
    people = live_shop.people(1, ending=1)
    MessageTemplate.objects.create(name="Привет", text="{name}, вот: {link}", link="https://shop.example/sale")
    live_shop.campaign(live_shop.chain(live_shop.messenger(), wait=LONG, expect="clicked"), people)
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").exists())
    attempt = Attempt.objects.get()
    assert f"/l/{attempt.client_ref}" in requests_of(live_shop)[0]["text"]

    opener = build_opener(Stay)
    with pytest.raises(HTTPError) as seen:
        opener.open(Request(f"{web}/l/{attempt.client_ref}", headers={"User-Agent": agent}), timeout=10)
    assert (seen.value.code, seen.value.headers["Location"]) == (302, "https://shop.example/sale")
    attempt.refresh_from_db()
    assert (attempt.clicked_at is None) == ("Bot" in agent)
    with urlopen(f"{web}/u/{attempt.client_ref}", timeout=10) as page:
        assert "Отписаться" in page.read().decode()
    assert Contact.objects.get().marketing_consent == "granted"
    with urlopen(Request(f"{web}/u/{attempt.client_ref}", b"List-Unsubscribe=One-Click"), timeout=10) as page:
        assert page.status == 200
    assert Contact.objects.get().marketing_consent == "withdrawn"


def test_R13_nothing_is_sent_after_the_deadline(processes: Processes, live_shop: Shop) -> None:
    campaign = live_shop.campaign(
        live_shop.chain(live_shop.messenger()), live_shop.people(2), not_after=datetime(2026, 1, 1, tzinfo=UTC)
    )
    run_until(processes, finished(campaign.pk))
    assert outcomes() == {("expired", "deadline_passed"): 2}
    assert not requests_of(live_shop)


def test_R19_a_campaign_keeps_its_own_pace(processes: Processes, live_shop: Shop) -> None:
    """Two a minute: two turns within the horizon of a minute and a bit, the others wait without a turn."""
    campaign = live_shop.campaign(
        live_shop.chain(live_shop.messenger(), wait=LONG), live_shop.people(20), per_minute=2.0
    )
    for _ in range(5):
        run_once()
    assert len(requests_of(live_shop)) == 1
    assert Delivery.objects.filter(wait_reason="speed_limit").count() >= 16
    assert campaign.pk


def test_a_text_refused_again_and_again_pauses_its_campaign(processes: Processes, live_shop: Shop) -> None:
    sms = live_shop.sms(rate=10.0)
    people = live_shop.people(60)
    phones = list(Contact.objects.values_list("phone", flat=True))
    tell(live_shop.emulator, "rules", provider="smsc", recipients=phones, answer="bad_parameters")
    campaign = live_shop.campaign(live_shop.chain(sms, wait=LONG), people)
    run_until(processes, lambda: Campaign.objects.get(pk=campaign.pk).status == CampaignStatus.PAUSED)
    campaign.refresh_from_db()
    assert campaign.status_reason == "message_refused"
    assert Attempt.objects.filter(failure="message_permanent").count() < 60
