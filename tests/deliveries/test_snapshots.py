"""The engine's rows against the pure core: the same facts, written by the real writers on one side, folded by apply()
on the other. After each of them both must know the same, and asked, both must answer the same.

Everything happens in one transaction, so PostgreSQL's now() stands still; time passes by moving the rows into the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.actions import Finish, Send, Wait
from cascade.events import Accepted, Failed, Reported, Stopped, Unknown
from cascade.state import Phase, StepState
from cascade.vocabulary import FailureClass, Milestone, Purpose, Reason
from channels import providers
from channels.models import Channel, ChannelState
from channels.providers.base import StatusReport
from contacts.models import Contact, Reachability
from deliveries.models import Attempt, Delivery, DeliveryPlan
from deliveries.services import advance, launch, recover, reports, stops
from deliveries.services.decisions import database_now, load_attempts
from deliveries.services.plans import freeze
from deliveries.services.send.calling import Outgoing
from deliveries.snapshots import DELIVERY_COLUMNS, DeliveryFacts, Surroundings, build_state, frozen_plan
from templates_app.models import MessageTemplate
from tests.cascade.build import HOUR, MINUTE, SECOND, Walk
from tests.cascade.worlds import Dice, dice
from tests.deliveries.conftest import Shop
from tests.deliveries.hands import answer, call_out

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

REFUSALS = [one for one in FailureClass if one is not FailureClass.OUTCOME_UNKNOWN]
#: What a receipt may say went wrong.
LATER_REFUSALS = (FailureClass.RECIPIENT_PERMANENT, FailureClass.MESSAGE_PERMANENT, FailureClass.TRANSIENT)
_PASS = """
UPDATE deliveries_attempt SET called_at = called_at - %(d)s, accepted_at = accepted_at - %(d)s,
    sent_at = sent_at - %(d)s, delivered_at = delivered_at - %(d)s, read_at = read_at - %(d)s,
    clicked_at = clicked_at - %(d)s, replied_at = replied_at - %(d)s, goal_at = goal_at - %(d)s,
    failed_at = failed_at - %(d)s, retry_at = retry_at - %(d)s WHERE delivery_id = %(id)s;
UPDATE deliveries_delivery SET due_at = due_at - %(d)s, lease_until = lease_until - %(d)s, stop_at = stop_at - %(d)s
    WHERE id = %(id)s
"""


class Twin:
    """One delivery, twice: as rows and as a Walk. Moments of the rows are `elapsed` behind those of the walk."""

    def __init__(self, plan: DeliveryPlan, contact: Contact, channels: Sequence[Channel]) -> None:
        Delivery.objects.all().delete()
        self.pk, _ = launch.create_delivery(contact.pk, plan)
        self.contact = contact
        self.frozen = frozen_plan(plan.pk, None)
        self.channels = channels
        self.zero = database_now()
        self.walk = Walk(self.frozen.plan, now=self.zero, zone="UTC")
        self.in_flight: list[Outgoing] = []
        self.lost: list[Outgoing] = []
        self.forget_surroundings()

    @property
    def elapsed(self) -> timedelta:
        return self.walk.now - self.zero

    def passes(self, span: timedelta) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_PASS, {"d": span, "id": self.pk})
        self.walk.at(span)

    # --- what happens, to both

    def ask(self) -> None:
        """Due now, whatever it waits for: then both are asked, and a Send is carried out up to the call."""
        if self.in_flight:
            return
        Delivery.objects.filter(pk=self.pk, state="waiting").update(due_at=self.zero)
        advance.advance_these([self.pk])
        if self.walk.state.outcome is not None:
            return
        action = self.walk.ask()
        row = Delivery.objects.get(pk=self.pk)
        if isinstance(action, Send):
            assert (row.state, row.step) == ("ready", action.step), action
            self.in_flight = call_out(self.channels[action.step])
            assert len(self.in_flight) == 1
        elif isinstance(action, Wait):
            assert row.state == "waiting" and row.wait_reason == action.because, action
            assert row.due_at is not None and row.due_at + self.elapsed == action.until, action
        else:
            assert isinstance(action, Finish)
            said = (row.outcome, row.outcome_reason, row.outcome_step, row.outcome_milestone or None)
            assert said == (action.outcome, action.because, action.step, action.milestone)
        assert row.trail == ",".join(reason for _, reason in self.walk.left)

    def result(self, roll: Dice) -> None:
        """The answer to the call, or to one that was given up as unknown long ago (a zombie's)."""
        items, zombie = (self.in_flight, False) if self.in_flight else (self.lost, True)
        if not items:
            return
        step = items[0].row.step
        self.in_flight, self.lost = [], []
        if zombie and Attempt.objects.filter(delivery_id=self.pk, step=step).count() > items[0].try_no:
            return  # repeated meanwhile: the core knows steps, not tries
        kind = roll.below(5)
        if kind < 2:
            answer(items)
            self.walk.know(Accepted(step, self.walk.now))
        elif kind == 2:
            if not zombie:
                answer(items, providers.base.Failed("", FailureClass.OUTCOME_UNKNOWN))
                self.walk.know(Unknown(step, self.walk.now))
        else:
            failure, reason = roll.of(REFUSALS), roll.of((None, Reason.BLOCKED, Reason.NOT_REGISTERED))
            after = roll.of((None, 10 * SECOND, 10 * MINUTE))
            answer(items, providers.base.Failed("", failure, reason, retry_after=after))
            self.walk.know(Failed(step, failure, self.walk.now, reason, after))
        self.settle()

    def crash(self) -> None:
        """The worker is gone: its lease runs out, the reaper comes."""
        if not self.in_flight:
            return
        Delivery.objects.filter(pk=self.pk).update(lease_until=self.zero - SECOND)
        assert recover.reap_leases() == 1
        self.lost, self.in_flight = self.in_flight, []
        self.walk.know(Unknown(self.lost[0].row.step, self.walk.now))
        self.settle()

    def report(self, roll: Dice) -> None:
        """A receipt about any attempt there is."""
        attempts = list(Attempt.objects.filter(delivery_id=self.pk).order_by("pk"))
        if not attempts:
            return
        about = roll.of(attempts)
        news = reports.News()
        if roll.below(4) == 3:
            last = not any(one.step == about.step and one.pk > about.pk for one in attempts)
            if not last or about.state not in ("accepted", "unknown"):
                return  # of a try the core does not know, or one the provider has never heard of
            failure, reason = roll.of(LATER_REFUSALS), roll.of((None, Reason.BLOCKED))
            news.add(StatusReport("", "", failure=failure, reason=reason, at=self.zero), self.zero)
            self.walk.know(Failed(about.step, failure, self.walk.now, reason))
        else:
            milestone, ago = roll.of(list(Milestone)), roll.of((0, 0, 30, 900)) * SECOND
            news.add(StatusReport("", "", milestone=milestone, at=self.zero - ago), self.zero)
            self.walk.know(Reported(about.step, milestone, self.walk.now - ago))
        reports.apply({about.pk: news})

    def stop(self, roll: Dice) -> None:
        reason = roll.of((Reason.OPTED_OUT, Reason.CANCELLED))
        stopped = stops.stop_of_contact(self.contact.pk, reason)
        if stopped:  # its moment is the wall clock's, which does not stand still
            Delivery.objects.filter(pk=self.pk).update(stop_at=self.zero)
        if self.walk.state.outcome is None:
            self.walk.know(Stopped(reason, self.walk.now))

    # --- what must be the same

    def settle(self) -> None:
        """The moment of a retry holds a die of the writer's; the walk takes it over."""
        mine = self.rows()
        steps = tuple(
            replace(one, retry_at=other.retry_at) if one.retry_at and other.retry_at else one
            for one, other in zip(self.walk.state.steps, mine, strict=True)
        )
        self.walk.state = replace(self.walk.state, steps=steps)

    def rows(self) -> list[StepState]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {DELIVERY_COLUMNS} FROM deliveries_delivery WHERE id = %s", [self.pk])
            row = DeliveryFacts._make(cursor.fetchone())
        around = Surroundings({}, frozenset(), "UTC", ())
        state = build_state(self.frozen, row, load_attempts([self.pk])[self.pk], around)
        if self.walk.state.outcome is None:
            assert state.current == self.walk.state.current
            stop = state.stop and (state.stop[0], state.stop[1] + self.elapsed, state.stop[2])
            assert stop == self.walk.state.stop
        return [self.shifted(one) for one in state.steps]

    def shifted(self, one: StepState) -> StepState:
        def later(at: datetime | None) -> datetime | None:
            return None if at is None else at + self.elapsed

        return replace(
            one,
            called_at=later(one.called_at),
            first_called_at=later(one.first_called_at),
            milestones={milestone: at + self.elapsed for milestone, at in one.milestones.items()},
            failed_at=later(one.failed_at),
            retry_at=later(one.retry_at),
        )

    def compare(self) -> None:
        for mine, other in zip(self.rows(), self.walk.state.steps, strict=True):
            assert known(mine) == known(other)
        self.forget_surroundings()

    def forget_surroundings(self) -> None:
        """The health of channels and what was learnt about the address: this test leaves them out."""
        ChannelState.objects.update(breaker="closed", errors_in_row=0, unknown_in_row=0, next_slot_at=self.zero)
        Reachability.objects.all().delete()


def known(one: StepState) -> dict[str, Any]:
    """What a decision may ask. The failure of a step that was left is history; strikes count where it may be tried
    again; of a failed answer to what was accepted, only that there was one (the clock then runs from the call)."""
    facts: dict[str, Any] = {name: getattr(one, name) for name in StepState.__slots__}
    if one.phase is Phase.ACCEPTED:
        facts["failed_at"] = bool(one.failed_at and one.called_at and one.failed_at >= one.called_at)
    if one.retry_at is None:
        del facts["strikes"]
    if one.phase is Phase.LEFT:
        del facts["failure"], facts["failed_at"]
    return facts


def make_plans(shop: Shop, channels: Sequence[Channel]) -> list[DeliveryPlan]:
    """Short waits, long waits, a second expectation, a key for repeats, both policies."""
    template = MessageTemplate.objects.create(name="Запись", text="Ждём вас, {name}")
    plans = []
    for expect, then, policy, key in (
        ("delivered", "", "go_on", False),
        ("read", "clicked", "hold", False),
        ("delivered", "replied", "go_on", True),
    ):
        chain = shop.chain(*channels, wait=10 * MINUTE, expect=expect)
        if then:
            chain.steps.update(then_expect=then, then_wait=5 * MINUTE)
        chain.on_trouble = policy
        chain.save()
        definition = freeze(chain, template, Purpose.SERVICE)
        definition["steps"] = [{**step, "idempotent": key} for step in definition["steps"]]
        plans.append(DeliveryPlan.objects.create(purpose="service", definition=definition))
    return plans


def test_R5_R15_the_rows_know_what_the_facts_say_and_decide_the_same(shop: Shop) -> None:
    channels = [shop.messenger("1"), shop.sms("2"), shop.messenger("3")]
    plans = make_plans(shop, channels)
    shop.people(1)
    contact = Contact.objects.get()
    spans = (SECOND, SECOND, 20 * SECOND, 4 * MINUTE, 11 * MINUTE, HOUR)

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(plans), st.lists(dice, min_size=1, max_size=14))
    def run(plan: DeliveryPlan, numbers: list[int]) -> None:
        twin = Twin(plan, contact, channels)
        for number in numbers:
            roll = Dice(number)
            twin.passes(roll.of(spans))
            what = roll.below(12)
            if what < 5:
                twin.ask()
                twin.passes(SECOND)
                if roll.below(4):
                    twin.result(roll)
            elif what < 6:
                twin.crash()
            elif what < 7:
                twin.result(roll)
            elif what < 11:
                twin.report(roll)
            elif roll.below(4) == 3:
                twin.stop(roll)
            twin.compare()

    run()
