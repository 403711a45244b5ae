"""Deliveries as pages: who, why, what it cost; what came in; and nothing that can be edited."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.timezone import now

from channels.models import Channel
from contacts.models import Contact
from deliveries.models import Attempt, Delivery, InboundMessage, Receipt, TimelineEvent
from deliveries.selectors import Wanted, recipients_page
from deliveries.services import receipts
from tests.analytics.garden import garden

pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return BeautifulSoup(answer.content, "html.parser").get_text(" ", strip=True)


def listed(client: Client, model: str = "delivery", **query: str) -> list[Any]:
    answer = client.get(reverse(f"admin:deliveries_{model}_changelist"), query)
    assert answer.status_code == 200, answer
    return list(answer.context["cl"].result_list)


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("anna", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("model", ["delivery", "attempt", "receipt", "inboundmessage"])
def test_nothing_can_be_added_changed_or_deleted(admin_client: Client, model: str) -> None:
    garden(people=1, by_messenger=1)
    pk = Delivery.objects.get().pk
    assert admin_client.get(reverse(f"admin:deliveries_{model}_add")).status_code == 403
    assert admin_client.post(reverse(f"admin:deliveries_{model}_delete", args=[pk]), {"post": "yes"}).status_code != 200
    assert Delivery.objects.filter(pk=pk).exists()
    assert Attempt.objects.count() == 1


def test_R16_the_page_of_a_delivery_tells_its_story(admin_client: Client) -> None:
    garden(people=3, by_messenger=1)
    delivery = Delivery.objects.filter(outcome_step=1).order_by("pk")[0]
    Attempt.objects.filter(delivery=delivery, step=0).update(state="failed", failure="transient", failed_at=now())
    TimelineEvent.objects.create(
        delivery=delivery, at=now(), kind="left", step=0, reason="not_delivered_in_time"
    )  # fmt: skip
    told = text_of(admin_client.get(reverse("admin:deliveries_delivery_change", args=[delivery.pk])))
    assert delivery.contact is not None
    for words in ("Мессенджер", "SMS", "4,80 ₽", str(delivery.contact.phone), "Садовые магазины"):
        assert words in told
    attempt = Attempt.objects.filter(delivery=delivery).first()
    assert attempt is not None
    answer = admin_client.get(reverse("admin:deliveries_attempt_change", args=[attempt.pk]))
    assert answer.url.endswith(f"/deliveries/delivery/{delivery.pk}/change/#attempt-{attempt.pk}")


@pytest.mark.parametrize("model", ["delivery", "attempt", "receipt", "inboundmessage"])
@pytest.mark.parametrize("pk", ["999999", "x", "9" * 30, "_5F"])
def test_what_is_gone_leads_back_with_words(admin_client: Client, model: str, pk: str) -> None:
    answer = admin_client.get(reverse(f"admin:deliveries_{model}_change", args=[pk]), follow=True)
    assert answer.status_code == 200
    assert list(answer.context["messages"])


def test_the_list_finds_people_and_what_to_look_at(admin_client: Client) -> None:
    campaign = garden(people=4, by_messenger=2)
    first, second, third, _fourth = Delivery.objects.order_by("pk")
    Delivery.objects.filter(pk=second.pk).update(is_double=True)
    Delivery.objects.filter(pk=third.pk).update(
        has_unknown=True, outcome="exhausted", outcome_reason="all_steps_tried", outcome_step=None
    )
    assert listed(admin_client, q="8 916 000-00-00") == [first]
    assert listed(admin_client, q="Имя3") == [_fourth]
    assert listed(admin_client, look="double") == [second]
    assert listed(admin_client, look="unknown") == [third]
    assert listed(admin_client, look="any_unknown") == [third]
    assert listed(admin_client, outcome__exact="exhausted") == [third]
    assert listed(admin_client, reason="all_steps_tried") == [third]
    sms = Channel.objects.get(kind="sms")
    assert len(listed(admin_client, tried=str(sms.pk))) == 2
    assert len(listed(admin_client, campaign__id__exact=str(campaign.pk))) == 4
    assert len(listed(admin_client, look="nonsense", reason="'", tried="x")) == 4
    assert len(listed(admin_client, "attempt", q="1-" + str(third.pk))) == 1
    assert len(listed(admin_client, "attempt", q="+79160000003")) == 2


@pytest.mark.parametrize("model", ["delivery", "attempt"])
def test_three_rows_cost_as_many_queries_as_one(admin_client: Client, model: str) -> None:
    garden(people=3, by_messenger=1)
    url = reverse(f"admin:deliveries_{model}_changelist")
    admin_client.get(url)
    with CaptureQueriesContext(connection) as three:
        admin_client.get(url)
    Attempt.objects.exclude(delivery=Delivery.objects.order_by("pk")[0]).delete()
    Delivery.objects.exclude(pk=Delivery.objects.order_by("pk")[0].pk).delete()
    with CaptureQueriesContext(connection) as one:
        admin_client.get(url)
    assert len(three) == len(one) <= 10


def test_the_contacts_page_shows_all_that_was_sent(admin_client: Client) -> None:
    garden(people=2, by_messenger=1)
    contact = Contact.objects.order_by("pk")[1]
    page = admin_client.get(reverse("admin:contacts_contact_change", args=[contact.pk])).content.decode()
    url = reverse("deliveries:contact_history", args=[contact.pk])
    assert f'data-history="{url}"' in page
    told = text_of(admin_client.get(url))
    assert "Садовые магазины" in told
    assert "SMS" in told
    assert "4,80 ₽" in told
    nobody = admin_client.get(reverse("deliveries:contact_history", args=[10**9]))
    assert "<table" not in nobody.content.decode()
    assert admin_client.post(url).status_code == 405


def test_the_history_is_shown_to_those_who_may_see_it_and_never_as_a_login_page() -> None:
    garden(people=1, by_messenger=1)
    url = reverse("deliveries:contact_history", args=[Contact.objects.get().pk])
    for client in (Client(), staff("view_contact")):
        answer = client.get(url)
        assert answer.status_code == 403
        assert "Садовые" not in answer.content.decode()
    User.objects.all().delete()
    assert staff("view_contact", "view_delivery").get(url).status_code == 200


def make_receipt(state: str, body: bytes = b'{"phone":"79161234567","mail":"anna@mail.ru"}', **fields: Any) -> Receipt:
    channel = Channel.objects.get(kind="sms")
    key = bytes([Receipt.objects.count() + 1]) * 32
    return Receipt.objects.create(channel=channel, dedup_key=key, method="POST", body=body, state=state, **fields)


def test_receipts_are_masked_and_can_be_processed_again(admin_client: Client) -> None:
    garden(people=1, by_messenger=1)
    bad = make_receipt("quarantined", note="unreadable: no JSON")
    make_receipt("applied", b"\xff\x00\xfe")
    shown = text_of(admin_client.get(reverse("admin:deliveries_receipt_changelist")))
    page = text_of(admin_client.get(reverse("admin:deliveries_receipt_change", args=[bad.pk])))
    for told in (shown, page):
        assert "no JSON" in told
        assert "79161234567" not in told
        assert "anna@mail.ru" not in told
    assert listed(admin_client, "receipt", state__exact="quarantined") == [bad]
    answer = admin_client.post(
        reverse("admin:deliveries_receipt_changelist"),
        {"action": "work_again", "_selected_action": [bad.pk]},
        follow=True,
    )
    assert answer.status_code == 200
    bad.refresh_from_db()
    assert (bad.state, bad.note) == ("new", "")


def test_who_may_only_look_cannot_process_again() -> None:
    garden(people=1, by_messenger=1)
    bad = make_receipt("quarantined")
    client = staff("view_receipt")
    client.post(reverse("admin:deliveries_receipt_changelist"), {"action": "work_again", "_selected_action": [bad.pk]})
    bad.refresh_from_db()
    assert bad.state == "quarantined"


def test_messages_nobody_could_match_are_seen(admin_client: Client) -> None:
    garden(people=1, by_messenger=1)
    channel = Channel.objects.get(kind="whatsapp")
    attempt = Attempt.objects.get()
    contact = Contact.objects.get()
    known = InboundMessage.objects.create(
        channel=channel, event_key="1", address="79160000000", contact=contact, attempt=attempt, text="Да",
        received_at=now(),
    )  # fmt: skip
    stranger = InboundMessage.objects.create(
        channel=channel, event_key="2", address="79990001122", text="<b>кто это?</b>", received_at=now()
    )
    assert listed(admin_client, "inboundmessage", sender="unknown") == [stranger]
    assert listed(admin_client, "inboundmessage", sender="known") == [known]
    assert listed(admin_client, "inboundmessage", q="79990001122") == [stranger]
    answer = admin_client.get(reverse("admin:deliveries_inboundmessage_changelist"))
    assert "<b>кто" not in answer.content.decode()
    assert "Садовые магазины" in text_of(answer)
    assert admin_client.get(reverse("admin:deliveries_inboundmessage_change", args=[known.pk])).status_code == 200


def test_a_message_read_again_ends_nothing_that_began_after_it() -> None:
    garden(people=1, by_messenger=1)
    whatsapp = Channel.objects.get(kind="whatsapp")
    phone = str(Contact.objects.get().phone).removeprefix("+")
    body = (
        f'{{"typeWebhook":"incomingMessageReceived","idMessage":"IN1","timestamp":1700000000,'
        f'"senderData":{{"chatId":"{phone}@c.us","sender":"{phone}@c.us"}},'
        f'"messageData":{{"typeMessage":"textMessage","textMessageData":{{"textMessage":"Приду"}}}}}}'
    )
    receipt = Receipt.objects.create(
        channel=whatsapp, dedup_key=b"1" * 32, method="POST", body=body.encode(), state="new"
    )
    assert receipts.process() == 1
    assert InboundMessage.objects.count() == 1
    first = Attempt.objects.get()
    later = Delivery.objects.create(
        plan=first.delivery.plan, contact=first.delivery.contact, state="waiting", due_at=now(), dedup_key="later"
    )
    second = Attempt.objects.create(
        delivery=later, step=0, try_no=1, channel=whatsapp, address=phone, state="accepted", client_ref="later",
        called_at=now(), accepted_at=now(), charged_on="delivered",
    )  # fmt: skip
    receipts.process_again([receipt.pk])
    assert receipts.process() == 1
    later.refresh_from_db()
    second.refresh_from_db()
    assert (later.stop_reason, second.replied_at) == ("", None)
    assert InboundMessage.objects.count() == 1


def test_pages_of_recipients_are_whole_whatever_is_asked() -> None:
    campaign = garden(people=9, by_messenger=4)
    gone = list(Contact.objects.order_by("pk")[2:4])
    for contact in gone:
        contact.delete()
    seen: list[int] = []
    key = ""
    while True:
        page, key = recipients_page(campaign.pk, after=key, size=2)
        seen += [one.delivery_id for one in page]
        if not key:
            break
    assert sorted(seen) == sorted(Delivery.objects.values_list("pk", flat=True))
    for key in ("x", "c", "c-1", "d" + "9" * 40, "'", "c١"):
        assert len(recipients_page(campaign.pk, after=key)[0]) == 9
    Delivery.objects.filter(pk=seen[0]).update(has_unknown=True)
    assert len(recipients_page(campaign.pk, Wanted(outcome="unknown"))[0]) == 1
    assert len(recipients_page(campaign.pk, Wanted(step=1))[0]) == 4
    assert len(recipients_page(campaign.pk, Wanted(step=2, reason="milestone_met"))[0]) == 5
    assert len(recipients_page(campaign.pk, Wanted(step=1, reason="not_delivered_in_time"))[0]) == 5
    assert len(recipients_page(campaign.pk, Wanted(reason="not_delivered_in_time"))[0]) == 5
    assert len(recipients_page(campaign.pk, Wanted(reason="(", outcome="open"))[0]) == 0
    assert len(recipients_page(campaign.pk, Wanted(who="89160000008"))[0]) == 1


def test_a_receipt_from_before_its_call_stands_below_it(admin_client: Client) -> None:
    garden(people=1, by_messenger=1)
    attempt = Attempt.objects.get()
    early = attempt.called_at - timedelta(milliseconds=700)
    Attempt.objects.update(accepted_at=early, sent_at=early, delivered_at=early)
    told = text_of(admin_client.get(reverse("admin:deliveries_delivery_change", args=[attempt.delivery_id])))
    assert told.index("+79160000000", told.index("Мессенджер")) < told.index("доставлено.")
