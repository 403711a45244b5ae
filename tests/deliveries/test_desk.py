"""An operator's task: put on the desk with its result, once; withdrawn with the decision; reported like a receipt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils.timezone import localtime, now

from campaigns.models import Campaign
from campaigns.services import lifecycle
from cascade.vocabulary import FailureClass, Reason
from channels.models import Channel
from channels.providers.base import Accepted, Failed
from channels.providers.operator import Said
from channels.services.accounts import create_channel
from contacts.models import Contact, Reachability, SuppressionScope
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, InboundMessage, OperatorTask, Receipt
from deliveries.selectors import timeline
from deliveries.services import advance, desk, launch, receipts, recover, reports
from deliveries.services.desk import Late
from deliveries.services.send.calling import Outgoing
from deliveries.services.send.pump import close_runtime
from tests.deliveries.hands import answer, call_out
from tests.deliveries.shop import Shop

LONG = timedelta(hours=5)
GONE = Failed("", FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED)


@pytest.fixture
def operator(db: None) -> Channel:
    return create_channel("operator", "Оператор", {"due_minutes": 30}, rate=1000.0)


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna", password="x", is_staff=True)


@pytest.fixture(autouse=True)
def _no_loop() -> Any:
    yield
    close_runtime()


def on_desk(shop: Shop, operator: Channel, *others: Channel, people: int = 1, **fields: Any) -> Campaign:
    """A campaign whose first step is the operator, its tasks on the desk."""
    chain = shop.chain(operator, *others, wait=LONG, expect=["goal", *["delivered"] * len(others)])
    campaign = shop.campaign(chain, shop.people(people), **fields)
    launch.launch_due()
    advance.advance_due()
    put(call_out(operator))
    return campaign


def put(items: Sequence[Outgoing]) -> None:
    """TX-result as the pump does it: the task's id is our own reference."""
    for item in items:
        answer([item], Accepted("", item.message.ref))


def work() -> None:
    """What the ticks do with what is known, without sending."""
    receipts.process()
    advance.advance_due()


@pytest.mark.django_db(transaction=True)
def test_a_task_comes_after_what_failed_and_its_report_ends_the_cascade(
    shop: Shop, operator: Channel, anna: User
) -> None:
    """Through the real pump: nothing is listening anywhere, and nothing needs to."""
    sms = shop.sms()
    shop.campaign(shop.chain(sms, operator, wait=LONG, expect=["delivered", "goal"]), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    answer(call_out(sms), GONE)
    for _ in range(3):
        run_once()
    task = OperatorTask.objects.get()
    attempt = Attempt.objects.get(channel=operator)
    assert (attempt.state, attempt.client_ref, task.step) == ("accepted", task.client_ref, 1)
    assert task.text == "Здравствуйте, Имя0!"
    assert task.address == attempt.address == Contact.objects.get().phone
    assert timedelta(minutes=29) < task.due_at - now() <= timedelta(minutes=30)
    assert desk.close(task.pk, anna, Said.CONFIRMED, "придёт с мужем") is None
    run_once()
    done = Delivery.objects.get()
    assert (done.outcome, done.outcome_step, done.outcome_milestone) == ("reached", 1, "goal")
    story = " ".join(line.text for line in timeline(done.pk))
    assert "придёт с мужем" in story
    assert "anna" in story
    assert not Receipt.objects.exclude(state="applied").exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("said", "outcome", "state", "next_step"),
    [
        (Said.CONFIRMED, ("reached", "goal"), ("accepted", ""), False),
        (Said.NOT_INTERESTED, ("reached", "replied"), ("accepted", ""), False),
        (Said.NO_ANSWER, ("", ""), ("failed", "no_answer"), True),
        (Said.WRONG_NUMBER, ("", ""), ("failed", "not_registered"), True),
        (Said.REFUSED, ("stopped", "opted_out"), ("accepted", ""), False),
    ],
)
def test_what_each_button_does(
    shop: Shop, operator: Channel, anna: User, said: Said, outcome: tuple[str, str], state: tuple[str, str], next_step: bool
) -> None:  # fmt: skip
    on_desk(shop, operator, shop.sms())
    assert desk.close(OperatorTask.objects.get().pk, anna, said) is None
    work()
    one, attempt = Delivery.objects.get(), Attempt.objects.get()
    assert (one.outcome, one.outcome_reason if one.outcome == "stopped" else one.outcome_milestone) == outcome
    assert (attempt.state, attempt.reason) == state
    assert (one.step == 1 and one.state == "ready") is next_step
    assert Reachability.objects.filter(state="not_registered").exists() is (said is Said.WRONG_NUMBER)
    assert (Contact.objects.get().suppressed == SuppressionScope.ALL) is (said is Said.REFUSED)
    assert InboundMessage.objects.count() == (said in {Said.NOT_INTERESTED, Said.REFUSED})


@pytest.mark.django_db
def test_R10_who_wants_nothing_any_more_gets_no_service_messages_either(
    shop: Shop, operator: Channel, anna: User
) -> None:
    on_desk(shop, operator, purpose="service")
    Contact.objects.update(marketing_consent="granted")
    desk.close(OperatorTask.objects.get().pk, anna, Said.REFUSED, "попросила удалить")
    work()
    assert Delivery.objects.get().outcome_reason == "opted_out"
    person = Contact.objects.get()
    assert (person.suppressed, person.marketing_consent) == (SuppressionScope.ALL, "withdrawn")
    assert "попросила удалить" in InboundMessage.objects.get().text


@pytest.mark.django_db
def test_I1_a_task_is_there_once_whatever_is_recorded_twice(shop: Shop, operator: Channel) -> None:
    """The answer to the commit was lost; then a worker is thought dead, the step is tried again, and it wakes up."""
    shop.campaign(shop.chain(operator, wait=LONG, expect="goal"), shop.people(2))
    launch.launch_due()
    advance.advance_due()
    first = call_out(operator)
    answer(first[:1])
    answer(first[:1])
    assert OperatorTask.objects.count() == 1
    Delivery.objects.filter(state="leased").update(lease_until=now() - timedelta(seconds=1))
    recover.reap_leases()
    assert OperatorTask.objects.count() == 1, "a call in doubt put nothing on the desk"
    Attempt.objects.filter(state="unknown").update(retry_at=now() - timedelta(minutes=1))
    advance.advance_due()
    again = call_out(operator)
    assert [item.try_no for item in again] == [2]
    answer(again)
    answer(first[1:])
    assert OperatorTask.objects.count() == 2
    assert OperatorTask.objects.values("delivery").distinct().count() == 2
    task = OperatorTask.objects.latest("pk")
    with pytest.raises(IntegrityError, match="task_once_per_step"), transaction.atomic():
        OperatorTask.objects.create(
            delivery=task.delivery, step=task.step, channel=operator, client_ref="x", address="x", text="x", due_at=now()
        )  # fmt: skip


@pytest.mark.django_db
def test_who_wakes_up_after_the_step_was_left_puts_nothing_on_the_desk(shop: Shop, operator: Channel) -> None:
    campaign = shop.campaign(shop.chain(operator, wait=LONG, expect="goal"), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    sleeping = call_out(operator)
    Delivery.objects.update(lease_until=now() - timedelta(seconds=1))
    recover.reap_leases()
    lifecycle.cancel(campaign.pk)
    recover.end_cancelled()
    advance.advance_due()
    assert Delivery.objects.get().outcome == "stopped"
    answer(sleeping)
    assert not OperatorTask.objects.exists()


@pytest.mark.django_db
def test_R20_a_cancelled_campaign_takes_its_tasks_off_the_desk(shop: Shop, operator: Channel, anna: User) -> None:
    campaign = on_desk(shop, operator, people=3)
    desk.close(OperatorTask.objects.earliest("pk").pk, anna, Said.CONFIRMED)
    work()
    lifecycle.cancel(campaign.pk)
    recover.end_cancelled()
    advance.advance_due()
    states = list(OperatorTask.objects.order_by("pk").values_list("state", "withdrawn_because"))
    assert states == [("done", ""), ("withdrawn", "cancelled"), ("withdrawn", "cancelled")]


@pytest.mark.django_db
def test_R6_a_late_receipt_withdraws_the_task_and_a_call_already_made_still_counts(
    shop: Shop, operator: Channel, anna: User
) -> None:
    sms = shop.sms()
    shop.campaign(shop.chain(sms, operator, wait=LONG, expect=["delivered", "goal"]), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    answer(call_out(sms))
    Attempt.objects.update(accepted_at=now() - 2 * LONG, called_at=now() - 2 * LONG)
    Delivery.objects.update(due_at=now() - timedelta(minutes=1))
    advance.advance_due()
    answer(call_out(operator))
    task = OperatorTask.objects.get()
    with transaction.atomic():
        reports.raise_milestone(Attempt.objects.get(channel=sms).pk, "delivered", now())
    advance.advance_due()
    task.refresh_from_db()
    assert (task.state, task.withdrawn_because) == ("withdrawn", "late_receipt")
    assert Delivery.objects.get().outcome_step == 0
    assert isinstance(desk.take(task.pk, anna), Late)
    assert desk.close(task.pk, anna, Said.CONFIRMED) is None, "she had called before the news came"
    work()
    assert Attempt.objects.get(channel=operator).goal_at is not None
    task.refresh_from_db()
    assert (task.state, task.outcome, task.withdrawn_because) == ("done", "confirmed", "")


@pytest.mark.django_db
def test_R2_a_task_nobody_does_in_time_leaves_the_desk_before_the_next_step_goes_out(
    shop: Shop, operator: Channel
) -> None:
    sms = shop.sms()
    on_desk(shop, operator, sms)
    Attempt.objects.update(accepted_at=now() - 2 * LONG, called_at=now() - 2 * LONG)
    Delivery.objects.update(due_at=now() - timedelta(minutes=1))
    advance.advance_due()
    assert Delivery.objects.get().step == 1
    assert OperatorTask.objects.get().withdrawn_because == "goal_not_reached_in_time"
    (outgoing,) = call_out(sms)
    assert outgoing.recall is not None, "the story says that it was taken back"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_press_at_once_one_is_told_who_was_first(shop: Shop, operator: Channel) -> None:
    on_desk(shop, operator)
    task = OperatorTask.objects.get()
    users = [User.objects.create_user(f"operator{number}") for number in range(6)]

    def press(user: User) -> Late | None:
        try:
            return desk.close(task.pk, user, Said.CONFIRMED if user.pk % 2 else Said.REFUSED)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(press, users))
    assert said.count(None) == 1
    winner = users[said.index(None)]
    assert all(winner.username in late.why for late in said if late is not None)
    assert Receipt.objects.count() == 1
    assert OperatorTask.objects.get().closed_by == winner


@pytest.mark.django_db
def test_call_later_stays_before_the_moment_the_chain_goes_on(shop: Shop, operator: Channel, anna: User) -> None:
    on_desk(shop, operator, shop.sms())
    task = OperatorTask.objects.get()
    ends = desk.goes_on_at(task)
    assert ends is not None
    assert abs(ends - now() - LONG) < timedelta(minutes=1)
    for wrong in (now() - timedelta(minutes=1), ends, ends + LONG):
        assert isinstance(desk.call_later(task.pk, anna, wrong), Late)
    at = now() + timedelta(hours=2)
    assert desk.call_later(task.pk, anna, at) is None
    task.refresh_from_db()
    assert (task.due_at, task.taken_by, task.postponed, task.state) == (at, anna, 1, "open")
    assert Delivery.objects.get().due_at == ends, "the chain itself waits no longer"
    desk.close(task.pk, anna, Said.CONFIRMED)
    assert isinstance(desk.call_later(task.pk, anna, at), Late)


# ---------------------------------------------------------------- pages


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("olga", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def text_of(page: Any) -> str:
    assert page.status_code == 200, page
    return re.sub(r"\s+", " ", BeautifulSoup(page.content, "html.parser").get_text(" ", strip=True))


@pytest.mark.django_db
def test_the_desk_in_the_admin(shop: Shop, operator: Channel, anna: User) -> None:
    on_desk(shop, operator, people=3)
    late, mine, third = OperatorTask.objects.order_by("pk")
    OperatorTask.objects.filter(pk=late.pk).update(due_at=now() - timedelta(minutes=5))
    client = staff("view_operatortask", "change_operatortask")
    page, there = reverse("admin:deliveries_operatortask_changelist"), "admin:deliveries_operatortask_change"

    def shown(view: str = "") -> list[int]:
        answer = client.get(page, {"desk": view} if view else {})
        assert answer.status_code == 200
        return [task.pk for task in answer.context["cl"].result_list]

    assert shown() == [late.pk, mine.pk, third.pk], "what is due first stands first"
    assert shown("overdue") == [late.pk]
    client.post(reverse(there, args=[mine.pk]), {"do": "take"})
    assert shown("mine") == [mine.pk]
    told = text_of(client.get(reverse(there, args=[mine.pk])))
    assert mine.text in told
    assert mine.address in told
    client.post(reverse(there, args=[mine.pk]), {"do": "put_back"})
    assert shown("mine") == []
    at = localtime(now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    client.post(reverse(there, args=[third.pk]), {"do": "later", "at": at})
    assert shown("mine") == [third.pk]
    for nonsense in (
        {},
        {"do": "dance"},
        {"do": "later"},
        {"do": "later", "at": "soon"},
        {"do": "later", "at": "9" * 99},
    ):
        answer = client.post(reverse(there, args=[third.pk]), nonsense, follow=True)
        assert list(answer.context["messages"]), nonsense
    answer = client.post(reverse(there, args=[third.pk]), {"do": "no_answer", "note": "  x\x00  "}, follow=True)
    assert answer.redirect_chain[-1][0] == page
    assert OperatorTask.objects.get(pk=third.pk).note == "x"
    again = client.post(reverse(there, args=[third.pk]), {"do": "confirmed"}, follow=True)
    assert "olga" in " ".join(map(str, again.context["messages"]))
    assert shown("closed") == [third.pk]
    assert OperatorTask.objects.get(pk=third.pk).outcome == "no_answer"
    assert f"{page}?desk=overdue" in client.get(reverse("admin:index")).content.decode()


@pytest.mark.django_db
def test_who_may_only_look_cannot_report(shop: Shop, operator: Channel) -> None:
    on_desk(shop, operator)
    url = reverse("admin:deliveries_operatortask_change", args=[OperatorTask.objects.get().pk])
    client = staff("view_operatortask")
    assert 'name="do"' not in client.get(url).content.decode()
    assert client.post(url, {"do": "confirmed"}).status_code == 403
    assert OperatorTask.objects.get().state == "open"
    User.objects.all().delete()
    stranger = staff("view_contact")
    assert stranger.get(url).status_code == 403
    assert stranger.get(reverse("admin:deliveries_operatortask_changelist")).status_code == 403
