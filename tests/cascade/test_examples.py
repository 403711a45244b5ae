"""The worked examples of cascade.md section 5, with the rules each of them shows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cascade.simulate import ChannelModel, Person, run
from cascade.vocabulary import ChargedOn
from tests.cascade.build import (
    HOUR,
    MINUTE,
    SECOND,
    TEN,
    F,
    Finish,
    K,
    M,
    Outcome,
    R,
    Send,
    Wait,
    Walk,
    by_time,
    chain,
    expect,
    step,
    window,
)


def test_R2_example_1_whatsapp_then_telegram_never_sms():
    walk = Walk(chain(step(K.WHATSAPP), step(K.TELEGRAM), step(K.SMS)))
    walk.send().reported(M.SENT)
    assert walk.ask() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("10:15").ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.NOT_DELIVERED_IN_TIME)]
    walk.accepted().at("10:16").reported(M.DELIVERED)
    assert walk.ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 1, M.DELIVERED)
    assert walk.at("23:00").ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 1, M.DELIVERED)
    assert [index for index, _ in walk.sent] == [0, 1]


def email_ladder():
    return chain(
        step(K.EMAIL, expect(M.READ, 24 * HOUR, M.SENT), expect(M.CLICKED, 4 * HOUR, M.READ)),
        step(K.TELEGRAM, expect(M.READ, 6 * HOUR)),
        step(K.SMS, expect(M.CLICKED, 2 * HOUR)),
        step(K.VOICE, expect(M.GOAL, 10 * MINUTE)),
        by_time(K.OPERATOR, 24 * HOUR),
    )


def test_R2_example_2_the_email_ladder_unread_to_the_operator():
    walk = Walk(email_ladder()).send().reported(M.SENT)
    for wait, reason in (
        (24 * HOUR, R.NOT_READ_IN_TIME),
        (6 * HOUR, R.NOT_READ_IN_TIME),
        (2 * HOUR, R.NOT_CLICKED_IN_TIME),
        (10 * MINUTE, R.GOAL_NOT_REACHED_IN_TIME),
    ):
        start, before = walk.now, len(walk.left)
        assert walk.ask() == Wait(start + wait, R.WAITING_FOR_MILESTONE, before)
        walk.at(start + wait).send()
        assert walk.left[before:] == [(before, reason)]
    assert walk.sent[-1][0] == 4


def test_R2_example_2_read_but_not_clicked_goes_on_four_hours_after_the_reading():
    walk = Walk(email_ladder()).send().at("20:00").reported(M.READ)
    assert walk.ask() == Wait(TEN + 14 * HOUR, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at(TEN + 14 * HOUR).ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.NOT_CLICKED_IN_TIME)]


def test_R10_example_2_the_key_pressed_in_the_call_ends_it():
    walk = Walk(email_ladder(), unreachable=dict.fromkeys(range(3), R.NO_ADDRESS)).send()
    assert walk.at(SECOND * 40).reported(M.GOAL).ask() == Finish(Outcome.REACHED, R.GOAL, 3, M.GOAL)


def test_R4_example_2_the_operator_is_for_vips_only():
    walk = Walk(email_ladder(), unreachable={4: R.CONDITION}).send()
    for hours in (24, 6, 2):
        walk.at(hours * HOUR).send()
    assert walk.at(10 * MINUTE).ask() == Finish(Outcome.EXHAUSTED, R.ALL_STEPS_TRIED, 0, M.ACCEPTED)
    assert walk.left[-1] == (4, R.CONDITION)


def test_R3_example_3_voice_first_sms_at_once_then_push_then_email():
    plan = chain(
        step(K.VOICE, expect(M.GOAL, 5 * MINUTE)),
        step(K.SMS, expect(M.CLICKED, HOUR)),
        step(K.PUSH, expect(M.CLICKED, HOUR)),
        step(K.EMAIL, expect(M.CLICKED, 24 * HOUR)),
    )
    walk = Walk(plan).send().at("10:00:35").failed(F.RECIPIENT_PERMANENT, R.NO_ANSWER)
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    walk.accepted().reported(M.DELIVERED).at("11:00:35").send()
    walk.at("12:00:35").send().at("12:30").reported(M.CLICKED)
    assert walk.ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 3, M.CLICKED)
    assert walk.left == [(0, R.NO_ANSWER), (1, R.NOT_CLICKED_IN_TIME), (2, R.NOT_CLICKED_IN_TIME)]


@pytest.mark.parametrize(
    ("charged_on", "total", "against_sms_alone"),
    [(ChargedOn.DELIVERED, "8226.60", "18.5"), (ChargedOn.ACCEPTED, "11487.00", "-13.8")],
)
def test_4a_example_4_the_garden_shops(charged_on, total, against_sms_alone):
    plan = chain(step(K.VIBER, channel=1), step(K.SMS, channel=2))
    viber = ChannelModel(Decimal("2.60"), charged_on)
    sms = ChannelModel(Decimal("4.80"), ChargedOn.ACCEPTED)
    people = [Person(delivered={1: number < 849, 2: True}) for number in range(2103)]
    report = run(plan, {1: viber, 2: sms}, people)
    assert report.reached == report.people == 2103
    assert [s.reached for s in report.steps] == [849, 1254]
    assert report.cost == Decimal(total)
    alone = run(chain(step(K.SMS, channel=2)), {2: sms}, people).cost
    assert alone == Decimal("10094.40")
    assert f"{100 * (alone - report.cost) / alone:.1f}" == against_sms_alone
    assert report.doubles == 0


def test_example_5_the_reach_ladder():
    """20 + 40 + 15 + 10 = 85 % of the base, each step taking its share of all, not of the rest."""
    shares = (0.20, 0.40, 0.15, 0.10)
    left, models = 1.0, {}
    for number, share in enumerate(shares):
        models[number] = ChannelModel(delivered=share / left)
        left -= share
    kinds = (K.EMAIL, K.TELEGRAM, K.SMS, K.VOICE)
    plan = chain(*(step(kind, expect(M.DELIVERED, 2 * HOUR), channel=number) for number, kind in enumerate(kinds)))
    report = run(plan, models, 100_000, seed=7)
    assert report.people == sum(report.outcomes.values()) == 100_000
    low, high = report.interval(z=2.58)
    assert low <= 0.85 <= high and high - low < 0.01
    for share, reached in zip(shares, report.steps, strict=True):
        low, high = report.interval(reached.reached, z=2.58)
        assert low <= share <= high


ASLEEP = window("09:00", "22:00")


@pytest.mark.parametrize("asked", ["2026-06-01 12:00", "2026-06-01 17:00", "2026-06-01 20:00", "2026-06-02 06:00"])
def test_R13_example_6_nothing_at_night_and_the_last_resort_before_the_visit(asked):
    visit = datetime(2026, 6, 2, 12, 0, tzinfo=UTC)
    plan = chain(*(step(kind, expect(M.READ, 2 * HOUR), window=ASLEEP) for kind in (K.MAX, K.TELEGRAM, K.SMS)))
    walk = Walk(plan, datetime.fromisoformat(asked).replace(tzinfo=UTC), deadline=visit)
    for _ in range(20):
        action = walk.ask()
        if isinstance(action, Finish):
            break
        if isinstance(action, Send):
            walk.accepted(action.step)
        else:
            assert isinstance(action, Wait)
            walk.at(action.until)
    assert [index for index, _ in walk.sent] == [0, 1, 2]
    assert all(9 <= at.hour < 22 and at < visit for _, at in walk.sent)
    assert action == Finish(Outcome.EXHAUSTED, R.ALL_STEPS_TRIED, 0, M.ACCEPTED)


def test_R13_example_6_the_waits_shrink_alike():
    # 20:00 to 22:00 and 9:00 to 12:00 are five hours for three waits of two: 100 minutes each.
    visit = datetime(2026, 6, 2, 12, 0, tzinfo=UTC)
    plan = chain(*(step(kind, expect(M.READ, 2 * HOUR), window=ASLEEP) for kind in (K.MAX, K.TELEGRAM, K.SMS)))
    walk = Walk(plan, deadline=visit).at("20:00").send()
    first = walk.ask()
    assert isinstance(first, Wait) and abs(first.until - (TEN + 11 * HOUR + 40 * MINUTE)) < SECOND
    second = walk.at(first.until).send().ask()
    assert isinstance(second, Wait)
    assert abs(second.until - datetime(2026, 6, 2, 10, 20, tzinfo=UTC)) < 2 * SECOND


def test_R10_example_7_the_visit_is_cancelled_while_step_1_waits():
    walk = Walk(chain()).send().at("10:05").stopped(R.OBJECT_CHANGED)
    assert walk.ask() == Finish(Outcome.STOPPED, R.OBJECT_CHANGED, 0, M.ACCEPTED)
    assert walk.at("23:00").ask() == Finish(Outcome.STOPPED, R.OBJECT_CHANGED, 0, M.ACCEPTED)
    assert len(walk.sent) == 1


def test_R10_example_8_stop_in_telegram_while_an_sms_step_waits():
    walk = Walk(chain(step(K.TELEGRAM), step(K.SMS), step(K.VOICE))).send().at("10:15").send()
    walk.at("10:20").stopped(R.OPTED_OUT, 0)
    assert walk.ask() == Finish(Outcome.STOPPED, R.OPTED_OUT, 0, M.ACCEPTED)
    assert walk.at("23:00").ask() == Finish(Outcome.STOPPED, R.OPTED_OUT, 0, M.ACCEPTED)
    assert [index for index, _ in walk.sent] == [0, 1]
