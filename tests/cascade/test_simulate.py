"""The what-if: the same rules, a modelled world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from cascade.simulate import ChannelModel, Person, run, wilson
from cascade.vocabulary import ChargedOn
from tests.cascade.build import HOUR, MINUTE, SECOND, TEN, K, M, Outcome, R, chain, expect, step, window

TWO = chain(step(K.TELEGRAM, channel=1), step(K.SMS, channel=2))


def test_the_same_seed_gives_the_same_report_and_another_seed_another():
    models = {1: ChannelModel(delivered=0.5), 2: ChannelModel(delivered=0.8)}
    first, again, other = (run(TWO, models, 500, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.outcomes != other.outcomes or first.durations != other.durations


def test_the_books_balance():
    models = {
        1: ChannelModel(addressed=0.7, registered=0.9, delivered=0.5, transient=0.2, unknown=0.1),
        2: ChannelModel(delivered=0.8, transient=0.2, unknown=0.1),
    }
    report = run(TWO, models, 2000, 3)
    assert sum(report.outcomes.values()) == report.people == 2000 == len(report.durations)
    assert sum(each.reached for each in report.steps) == report.reached
    for each in report.steps:
        assert each.delivered <= each.accepted <= each.calls
    assert report.steps[0].left[R.NO_ADDRESS] == pytest.approx(600, abs=80)
    assert report.steps[0].left[R.UNKNOWN_UNRESOLVED] > 0


def test_unknown_calls_cost_reach_and_do_not_double():
    sure = {1: ChannelModel(), 2: ChannelModel()}
    report = run(TWO, {**sure, 1: ChannelModel(unknown=1.0)}, 300)
    # Nobody knows, but the receipts tell: all are reached by step 1, nothing goes twice.
    assert report.steps[0].reached == 300 and report.steps[1].calls == 0
    mute = ChannelModel(unknown=1.0, reports=frozenset())
    report = run(TWO, {**sure, 1: mute}, 300)
    assert report.steps[0].left[R.UNKNOWN_UNRESOLVED] == 300 and report.steps[1].reached == 300


@pytest.mark.parametrize(
    ("charged_on", "charged"), [(ChargedOn.ACCEPTED, 100), (ChargedOn.DELIVERED, 60), (ChargedOn.READ, 30)]
)
def test_4a_a_message_is_paid_when_its_milestone_comes(charged_on, charged):
    people = [Person(delivered={1: number < 60}) for number in range(100)]
    model = ChannelModel(Decimal("1.25"), charged_on, read=1.0)
    if charged_on == ChargedOn.READ:
        people = people[:30]
    plan = chain(step(K.EMAIL, expect(M.READ, 100 * HOUR), channel=1))
    report = run(plan, {1: model}, people)
    assert report.steps[0].charged == charged
    assert report.cost == Decimal("1.25") * charged


def test_R7_without_a_time_to_live_late_messages_double():
    slow = ChannelModel(delivery_time=30 * MINUTE, honours_ttl=False)
    models = {1: slow, 2: ChannelModel()}
    report = run(TWO, models, 2000, 5)
    # A mean of 30 minutes against a wait of 15: exp(-1/2) of the messages are late.
    assert report.share(report.doubles) == pytest.approx(0.6065, abs=0.035)
    with_ttl = run(TWO, {**models, 1: replace(slow, honours_ttl=True)}, 2000, 5)
    assert with_ttl.doubles == 0 and with_ttl.reached == 2000


def test_R12_the_night_is_waited_out():
    plan = chain(step(K.SMS, channel=1, window=window()))
    start = TEN.replace(hour=23)
    report = run(plan, {1: ChannelModel(delivery_time=timedelta(0))}, [Person(zone="UTC")], start=start)
    assert report.duration() == timedelta(hours=10, milliseconds=300)


def test_R13_a_deadline_that_has_passed():
    report = run(TWO, {1: ChannelModel(), 2: ChannelModel()}, [Person(deadline=TEN)], start=TEN)
    assert report.outcomes == {Outcome.EXPIRED: 1}
    assert report.cost == 0 and report.duration(1.0) == timedelta(0)


def test_people_who_cannot_be_reached_cost_nothing():
    person = Person(unreachable={0: R.BLOCKED, 1: R.NO_ADDRESS})
    report = run(TWO, {1: ChannelModel(Decimal(1)), 2: ChannelModel(Decimal(1))}, [person] * 10)
    assert report.outcomes == {Outcome.EXHAUSTED: 10} and report.cost == 0
    assert report.steps[0].left == {R.BLOCKED: 10} and report.steps[1].left == {R.NO_ADDRESS: 10}


def test_replies_and_clicks_end_what_expects_them():
    plan = chain(step(K.EMAIL, expect(M.CLICKED, 40 * HOUR), channel=1), step(K.SMS, channel=2))
    model = ChannelModel(read=1.0, clicked=1.0, reading_time=SECOND, acting_time=SECOND)
    assert run(plan, {1: model, 2: ChannelModel()}, 100).steps[0].reached == 100
    reply = replace(model, clicked=0.0, replied=1.0)
    assert run(plan, {1: reply, 2: ChannelModel()}, 100).steps[0].reached == 100


def test_nobody_is_nothing():
    report = run(TWO, {1: ChannelModel(), 2: ChannelModel()}, 0)
    assert (report.people, report.reached, report.cost, report.share()) == (0, 0, 0, 0.0)
    assert report.duration() == timedelta(0) and report.interval() == (0.0, 1.0)


def test_wilson_against_published_figures():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_a_channel_without_a_model_is_an_error():
    with pytest.raises(KeyError):
        run(TWO, {1: ChannelModel()}, 1)
