"""Other programs are told what happened: at least once, signed, and never what was rolled back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils.timezone import now

from contacts.models import Contact
from deliveries.models import Delivery, HookEndpoint, HookEvent, HookKind
from deliveries.services import advance, hooks, launch, outbox, receipts
from deliveries.services.send.pump import close_runtime
from tests.deliveries.hands import answer, call_out
from tests.deliveries.shop import Shop
from tests.deliveries.test_receipts import status

pytestmark = pytest.mark.django_db(transaction=True)


class Listener:
    """A program that is told; it answers as it is told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.answers.pop(0) if outer.answers else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/told"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()
    close_runtime()


def finish_one(shop: Shop) -> Delivery:
    """One message that is read, and so comes to its end."""
    messenger = shop.messenger()
    shop.campaign(shop.chain(messenger, expect="read", wait=timedelta(minutes=10)), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    answer(call_out(messenger))
    delivery = Delivery.objects.get()
    receipts.store(messenger.pk, status(delivery.attempts.get(), "read"))
    receipts.process()
    advance.advance_due()
    delivery.refresh_from_db()
    assert delivery.outcome == "reached"
    return delivery


def test_an_end_is_told_signed_and_once(shop: Shop, listener: Listener) -> None:
    _row, secret = outbox.make_endpoint("CRM", listener.url, [HookKind.FINISHED])
    delivery = finish_one(shop)
    assert hooks.tell_due() == 1
    assert hooks.tell_due() == 0
    ((headers, body),) = listener.heard
    told = json.loads(body)
    assert told["type"] == "message.finished"
    assert told["data"]["id"] == delivery.pk
    assert told["data"]["outcome"] == "reached"
    assert told["data"]["contact"] == delivery.contact_id
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mine = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mine}"
    assert HookEvent.objects.get().told_at is not None


def test_who_wants_something_else_is_not_told(shop: Shop, listener: Listener) -> None:
    outbox.make_endpoint("CRM", listener.url, [HookKind.OPTED_OUT])
    off, _secret = outbox.make_endpoint("Off", listener.url, [HookKind.FINISHED])
    HookEndpoint.objects.filter(pk=off.pk).update(enabled=False)
    finish_one(shop)
    assert not HookEvent.objects.exists()


def test_what_is_rolled_back_is_never_told(listener: Listener) -> None:
    outbox.make_endpoint("CRM", listener.url, [HookKind.OPTED_OUT])

    class Undone(Exception):  # noqa: N818
        pass

    with pytest.raises(Undone), transaction.atomic():
        receipts.forget_marketing(Contact.objects.create(phone="+79121234567"), source="test", evidence="стоп")
        raise Undone
    assert hooks.tell_due() == 0
    assert listener.heard == []


def test_a_refusal_and_an_answer_are_told(shop: Shop, listener: Listener) -> None:
    outbox.make_endpoint("CRM", listener.url, list(HookKind))
    contact = Contact.objects.create(phone="+79121234567")
    receipts.forget_marketing(contact, source="test", evidence="стоп")
    hooks.tell_due()
    told = [json.loads(body) for _headers, body in listener.heard]
    assert [(one["type"], one["data"]["contact"]) for one in told] == [("contact.opted_out", contact.pk)]


def test_a_deaf_program_is_told_again_with_the_same_id_and_words(shop: Shop, listener: Listener) -> None:
    outbox.make_endpoint("CRM", listener.url, [HookKind.FINISHED])
    finish_one(shop)
    listener.answers = [500, 200]
    hooks.tell_due()
    event = HookEvent.objects.get()
    assert event.told_at is None
    assert event.due_at is not None
    assert timedelta(0) < event.due_at - now() < timedelta(seconds=6)
    assert HookEndpoint.objects.get().failing_since is not None
    HookEvent.objects.update(due_at=now())
    hooks.tell_due()
    (first, same), (second, words) = listener.heard
    assert first["webhook-id"] == second["webhook-id"]
    assert same == words
    assert HookEndpoint.objects.get().failing_since is None


def test_a_teller_that_died_is_followed_by_another(shop: Shop, listener: Listener) -> None:
    outbox.make_endpoint("CRM", listener.url, [HookKind.FINISHED])
    finish_one(shop)
    # What a claim leaves behind when its process is killed before the call.
    HookEvent.objects.update(due_at=now() + hooks.LEASE, tries=1)
    assert hooks.tell_due() == 0
    HookEvent.objects.update(due_at=now())
    assert hooks.tell_due() == 1
    assert len(listener.heard) == 1


def test_after_the_last_try_it_is_given_up_and_can_be_asked_for(shop: Shop, listener: Listener) -> None:
    row, _secret = outbox.make_endpoint("CRM", listener.url, [HookKind.FINISHED])
    finish_one(shop)
    HookEvent.objects.update(tries=len(hooks.WAITS))
    listener.answers = [503]
    hooks.tell_due()
    assert HookEvent.objects.get().due_at is None
    assert outbox.give_another_try(row.pk) == 1
    hooks.tell_due()
    assert HookEvent.objects.get().told_at is not None
    assert outbox.send_again(row.pk, now() - timedelta(hours=1)) == 1
    hooks.tell_due()
    assert len(listener.heard) == 3


@pytest.mark.parametrize(("code", "since"), [(410, timedelta(0)), (500, hooks.PATIENCE + timedelta(hours=1))])
def test_who_is_gone_or_deaf_for_days_is_switched_off(
    code: int, since: timedelta, shop: Shop, listener: Listener
) -> None:
    outbox.make_endpoint("CRM", listener.url, [HookKind.FINISHED])
    finish_one(shop)
    HookEndpoint.objects.update(failing_since=now() - since if since else None)
    listener.answers = [code]
    hooks.tell_due()
    assert HookEndpoint.objects.get().enabled is False


@pytest.mark.parametrize("url", ["http://example.org/x", "https://user:pass@example.org/x", "ftp://example.org"])
def test_an_address_that_would_give_secrets_away_is_refused(url: str, settings: Any) -> None:
    settings.OUTGOING_ALLOWED_PRIVATE = ()
    assert outbox.address_problem(url)
    assert not outbox.address_problem("https://example.org/x")


def test_a_private_address_is_not_called(shop: Shop, listener: Listener, settings: Any) -> None:
    settings.OUTGOING_ALLOWED_PRIVATE = ()
    close_runtime()
    outbox.make_endpoint("CRM", listener.url, [HookKind.FINISHED])
    finish_one(shop)
    hooks.tell_due()
    assert listener.heard == []
    assert HookEvent.objects.get().error


def test_the_owner_makes_one_and_sees_its_secret_once(admin_client: Any) -> None:
    made = admin_client.post(
        reverse("admin:deliveries_hookendpoint_add"),
        {"name": "CRM", "url": "https://example.org/told", "events": ["message.finished"], "enabled": "on"},
        follow=True,
    )
    text = made.content.decode()
    assert "whsec_" in text
    shown = text[text.index("whsec_") :].split("<")[0]
    row = HookEndpoint.objects.get()
    assert shown not in row.secret_sealed
    for page in (
        reverse("admin:deliveries_hookendpoint_changelist"),
        reverse("admin:deliveries_hookendpoint_change", args=[row.pk]),
    ):
        assert "whsec_" not in admin_client.get(page).content.decode()
