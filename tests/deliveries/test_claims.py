"""Who holds a delivery: one at a time, and never nobody (R1, R15, I1, I6)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now

from deliveries.models import Attempt, Delivery
from deliveries.services import advance, launch, recover
from tests.deliveries.conftest import Shop
from tests.deliveries.hands import answer, call_out

LONG = timedelta(minutes=10)


@pytest.mark.django_db(transaction=True)
def test_R1_of_many_claimers_each_delivery_gets_one_call(shop: Shop) -> None:
    """Eight workers grab at once, again and again: every message is called once and by one of them."""
    messenger = shop.messenger()
    shop.campaign(shop.chain(messenger, wait=LONG), shop.people(60))
    launch.launch_due()
    advance.advance_due()

    def grab(_: int) -> list[int]:
        try:
            taken: list[int] = []
            while items := call_out(messenger, limit=3):
                taken += [item.row.id for item in items]
            return taken
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        taken = [pk for found in pool.map(grab, range(8)) for pk in found]
    assert sorted(taken) == sorted(Delivery.objects.values_list("pk", flat=True))
    assert Attempt.objects.filter(state="calling").count() == 60


@pytest.mark.django_db
def test_R1_the_database_itself_refuses_a_second_call_in_flight(shop: Shop) -> None:
    messenger = shop.messenger()
    shop.campaign(shop.chain(messenger, wait=LONG), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    call_out(messenger)
    first = Attempt.objects.get()
    with pytest.raises(IntegrityError, match="attempt_one_in_flight"), transaction.atomic():
        Attempt.objects.create(
            delivery=first.delivery, step=1, try_no=1, channel=messenger, address="x", client_ref="y",
            called_at=now(), charged_on="accepted",
        )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(
    "forgotten",
    [
        {"state": "waiting", "due_at": None},
        {"state": "ready", "due_at": None},
        {"state": "ready", "channel_id": None},
        {"state": "leased", "lease_until": None},
        {"state": "final", "outcome": ""},
        {"outcome": "reached"},
    ],
)
def test_R15_a_row_that_nobody_would_look_at_again_cannot_be_written(shop: Shop, forgotten: dict[str, Any]) -> None:
    shop.campaign(shop.chain(shop.messenger()), shop.people(1))
    launch.launch_due()
    with pytest.raises(IntegrityError, match="delivery_never_forgotten"), transaction.atomic():
        Delivery.objects.update(**forgotten)


@pytest.mark.django_db
def test_R15_a_zombies_answer_is_evidence_and_steers_nothing(shop: Shop) -> None:
    """A worker slept past its lease; another one has decided meanwhile."""
    messenger = shop.messenger()
    shop.campaign(shop.chain(messenger, shop.sms(), wait=LONG), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    asleep = call_out(messenger)
    Delivery.objects.update(lease_until=now() - LONG)
    assert recover.reap_leases() == 1
    advance.advance_due()
    row = Delivery.objects.get()
    assert (row.state, row.wait_reason, row.has_unknown) == ("waiting", "waiting_for_milestone", True)
    answer(asleep)
    attempt, row = Attempt.objects.get(), Delivery.objects.get()
    assert (attempt.state, attempt.failure, bool(attempt.provider_message_id)) == ("accepted", "", True)
    assert (row.state, row.step, row.has_unknown) == ("waiting", 0, False)
    assert advance.advance_due() == (1, 0), "and it is looked at again"
    assert answer(asleep) >= 0 and Attempt.objects.count() == 1


@pytest.mark.django_db
def test_I1_a_zombies_answer_does_not_release_the_call_of_another(shop: Shop) -> None:
    """It comes while the next step is in flight: only the fence tells the two leases apart."""
    messenger, sms = shop.messenger(), shop.sms()
    shop.campaign(shop.chain(messenger, sms, wait=LONG), shop.people(1))
    launch.launch_due()
    advance.advance_due()
    asleep = call_out(messenger)
    Delivery.objects.update(lease_until=now() - LONG)
    recover.reap_leases()
    Attempt.objects.update(called_at=now() - 2 * LONG, failed_at=now() - 2 * LONG)
    advance.advance_due()
    awake = call_out(sms)
    assert len(awake) == 1
    answer(asleep)
    row = Delivery.objects.get()
    assert (row.state, row.step, row.channel_id) == ("leased", 1, sms.pk)
    answer(awake)
    assert Delivery.objects.get().state == "waiting"
    assert set(Attempt.objects.values_list("step", "state")) == {(0, "accepted"), (1, "accepted")}
