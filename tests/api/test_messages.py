"""One cascade to one person over the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now

from api.models import Answer
from contacts.models import Contact
from deliveries.models import Attempt, Delivery, DeliveryPlan
from deliveries.services.advance import advance_due
from templates_app.models import MessageTemplate
from tests.deliveries.hands import answer as give_answer
from tests.deliveries.hands import call_out


@pytest.fixture
def order(shop):
    """A request that sends “your order is ready” by SMS."""
    chain = shop.chain(shop.sms(), wait=timedelta(minutes=15))
    template = MessageTemplate.objects.create(name="Заказ", text="Заказ {order} готов.")
    return {
        "phone": "8 912 345-67-89",
        "name": "Ольга",
        "chain": chain.pk,
        "template": template.pk,
        "variables": {"order": "1208"},
    }


def test_a_message_is_begun_once_however_often_it_is_asked_for(api, order):
    first = api("POST", "messages/", order, idempotency_key="order-1208")
    assert first.status_code == 201, first.content
    assert first.json()["state"] == "waiting"
    second = api("POST", "messages/", order, idempotency_key="order-1208")
    assert second.status_code == 201
    assert second.json() == first.json()
    assert second["Idempotent-Replayed"] == "true"
    other = api("POST", "messages/", {**order, "variables": {"order": "1209"}}, idempotency_key="order-1208")
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"
    assert Delivery.objects.count() == 1


def test_R14_the_engine_refuses_a_twin_even_when_the_answer_is_forgotten(api, order):
    first = api("POST", "messages/", order, idempotency_key="order-1208").json()
    Answer.objects.all().delete()
    again = api("POST", "messages/", order, idempotency_key="order-1208")
    assert again.status_code == 200
    assert again.json()["id"] == first["id"]


def test_without_an_idempotency_key_nothing_is_sent(api, order):
    answer = api("POST", "messages/", order)
    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_missing"
    assert not Delivery.objects.exists()


def test_a_key_is_free_again_after_a_refusal(api, order):
    wrong = api("POST", "messages/", {**order, "phone": "12"}, idempotency_key="one")
    assert wrong.status_code == 400
    assert not Answer.objects.exists()
    assert api("POST", "messages/", order, idempotency_key="one").status_code == 201


def test_a_request_at_work_makes_the_second_wait_and_a_dead_one_does_not(api, order):
    api("POST", "messages/", order, idempotency_key="one")
    Answer.objects.update(status=None)
    assert api("POST", "messages/", order, idempotency_key="one").status_code == 409
    Answer.objects.update(created_at=now() - timedelta(minutes=3))
    assert api("POST", "messages/", order, idempotency_key="one").status_code == 200
    assert Delivery.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_requests_at_once_are_one_message(caller, shop, order):
    program = caller()

    def ask(_: int) -> int:
        try:
            return program("POST", "messages/", order, idempotency_key="one").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        codes = set(pool.map(ask, range(20)))
    assert codes <= {201, 409}
    assert 201 in codes
    assert Delivery.objects.count() == 1


def test_messages_of_one_kind_share_one_plan(api, order):
    for number in range(3):
        api("POST", "messages/", {**order, "phone": f"8912345670{number}"}, idempotency_key=f"o{number}")
    assert Delivery.objects.count() == 3
    assert DeliveryPlan.objects.count() == 1
    MessageTemplate.objects.update(text="Заказ {order} ждёт вас.")
    api("POST", "messages/", order, idempotency_key="later")
    assert DeliveryPlan.objects.count() == 2


def test_a_chain_that_cannot_send_says_why(api, shop, order):
    from channels.models import Channel

    Channel.objects.update(enabled=False)
    answer = api("POST", "messages/", order, idempotency_key="one")
    assert answer.status_code == 409
    assert answer.json()["problems"]
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_marketing_without_consent_is_not_sent_and_the_story_says_so(api, order):
    made = api("POST", "messages/", {**order, "purpose": "marketing"}, idempotency_key="one").json()
    advance_due()
    assert call_out(Delivery.objects.get().channel) == []
    shown = api("GET", f"messages/{made['id']}/").json()
    assert shown["outcome"] == "suppressed"
    assert shown["outcome_reason"] == "no_consent"
    assert api("GET", f"messages/{made['id']}/timeline/").json()[-1]["text"]


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_message_sends_nothing(api, order):
    made = api("POST", "messages/", order, idempotency_key="one").json()["id"]
    assert api("POST", f"messages/{made}/cancel/").status_code == 200
    advance_due()
    assert api("GET", f"messages/{made}/").json()["outcome_reason"] == "cancelled"
    assert api("POST", f"messages/{made}/cancel/").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_a_goal_ends_the_cascade_before_and_after_the_first_message(api, order):
    early = api("POST", "messages/", order, idempotency_key="one").json()["id"]
    assert api("POST", f"messages/{early}/goal/", {}).status_code == 200
    advance_due()
    assert api("GET", f"messages/{early}/").json()["outcome_reason"] == "goal"

    late = api("POST", "messages/", order, idempotency_key="two").json()["id"]
    advance_due()
    attempt_channel = Delivery.objects.get(pk=late).channel
    give_answer(call_out(attempt_channel))
    assert Attempt.objects.count() == 1
    for _ in range(2):
        assert api("POST", f"messages/{late}/goal/", {}).status_code == 200
    advance_due()
    shown = api("GET", f"messages/{late}/").json()
    assert shown["attempts"][0]["goal_at"]
    assert shown["state"] == "final"
    assert api("POST", f"messages/{late}/goal/", {"at": "2999-01-01T00:00:00Z"}).status_code == 400


def test_a_message_needs_exactly_one_recipient(api, order):
    contact = Contact.objects.create(phone="+79120000000")
    answer = api("POST", "messages/", {**order, "contact": contact.pk}, idempotency_key="one")
    assert answer.status_code == 400
    assert not Delivery.objects.exists()


def test_a_webhook_is_made_with_a_secret_and_its_calls_are_seen(api):
    made = api("POST", "webhooks/", {"name": "site", "url": "https://example.org/told", "events": ["message.finished"]})
    assert made.status_code == 201, made.content
    assert made.json()["secret"].startswith("whsec_")
    one = f"webhooks/{made.json()['id']}/"
    assert "secret" not in api("GET", one).json()
    assert api("GET", f"{one}calls/").json()["results"] == []
    assert api("POST", f"{one}replay/", {"since": "2026-01-01T00:00:00Z"}).json() == {"calls": 0}
    assert api("PATCH", one, {"enabled": False}).json()["enabled"] is False
    assert (
        api("POST", "webhooks/", {"name": "x", "url": "ftp://x.org", "events": ["message.finished"]}).status_code == 400
    )
    assert api("DELETE", one).status_code == 204
