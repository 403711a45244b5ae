"""Each rule of docs (cascade.md), by number. What a test says is what the rule says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cascade.machine import CALL_GRACE, PROBE_INTERVAL, give_up_at
from tests.cascade.build import (
    HOUR,
    MINUTE,
    SECOND,
    TEN,
    Accepted,
    Called,
    F,
    Failed,
    Finish,
    Finished,
    K,
    Left,
    M,
    Outcome,
    Phase,
    R,
    Reported,
    Send,
    Skip,
    State,
    Stopped,
    Suppressed,
    TroublePolicy,
    Unknown,
    Wait,
    Walk,
    apply,
    by_time,
    chain,
    decide,
    expect,
    settle,
    step,
    window,
)

HOLD = TroublePolicy.HOLD


# --- R1: one at a time, in order ----------------------------------------------------------------------------


def test_R1_nothing_is_owed_while_a_call_is_in_flight():
    walk = Walk(chain())
    assert walk.ask() == Send(0, R.FIRST_STEP)
    assert walk.ask() == Wait(TEN + CALL_GRACE, R.IN_FLIGHT, 0)
    assert walk.at("10:30").ask() == Wait(walk.now + CALL_GRACE, R.IN_FLIGHT, 0)
    assert walk.sent == [(0, TEN)]


def test_R1_the_next_step_goes_only_after_this_one_is_left():
    walk = Walk(chain()).send()
    assert walk.at("10:14:59").look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("10:15").look() == Skip(0, R.NOT_DELIVERED_IN_TIME)
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.phases == [Phase.LEFT, Phase.CALLING, Phase.PENDING]


def test_R1_a_plan_without_steps_ends():
    assert decide(chain(*()).__class__(()), State.fresh(0), TEN) == Finish(Outcome.EXHAUSTED, R.ALL_STEPS_TRIED)


# --- R2: expiry and success -----------------------------------------------------------------------------------


def test_R2_the_last_expectation_met_is_reached():
    walk = Walk(chain()).send().at("10:05").reported(M.DELIVERED)
    assert walk.ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.DELIVERED)
    assert walk.state.outcome == Outcome.REACHED


def test_R2_a_higher_milestone_meets_a_lower_expectation():
    walk = Walk(chain()).send().at("10:05").reported(M.READ)
    assert walk.ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.READ)


@pytest.mark.parametrize(
    ("milestone", "reason"),
    [
        (M.SENT, R.NOT_SENT_IN_TIME),
        (M.DELIVERED, R.NOT_DELIVERED_IN_TIME),
        (M.READ, R.NOT_READ_IN_TIME),
        (M.CLICKED, R.NOT_CLICKED_IN_TIME),
        (M.REPLIED, R.NOT_REPLIED_IN_TIME),
        (M.GOAL, R.GOAL_NOT_REACHED_IN_TIME),
    ],
)
def test_R2_an_expectation_not_met_in_time_expires_the_step(milestone, reason):
    walk = Walk(chain(step(K.SMS, expect(milestone, HOUR)), step(K.VOICE))).send()
    assert walk.at("10:59:59").look() == Wait(TEN + HOUR, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("11:00").look() == Skip(0, reason)


def test_R2_each_expectation_counts_from_its_anchor():
    plan = chain(step(K.EMAIL, expect(M.READ, 24 * HOUR, M.SENT), expect(M.CLICKED, 4 * HOUR, M.READ)))
    walk = Walk(plan).send()
    assert walk.look() == Wait(TEN + 24 * HOUR, R.WAITING_FOR_MILESTONE, 0)
    walk.at("10:30").reported(M.SENT)
    assert walk.look() == Wait(TEN + 24 * HOUR + 30 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    walk.at("12:00").reported(M.READ)
    assert walk.look() == Wait(TEN + 6 * HOUR, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("16:00").look() == Skip(0, R.NOT_CLICKED_IN_TIME)


def test_R2_an_anchor_never_reported_falls_back_to_the_expectation_before():
    plan = chain(step(K.EMAIL, expect(M.DELIVERED, HOUR), expect(M.GOAL, HOUR, M.CLICKED)))
    walk = Walk(plan).send().at("10:20").reported(M.DELIVERED)
    assert walk.look() == Wait(TEN + 80 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R2_met_late_counts_as_met():
    plan = chain(step(K.EMAIL, expect(M.READ, HOUR), expect(M.CLICKED, HOUR, M.READ)))
    walk = Walk(plan).send().at("12:00").reported(M.READ)
    assert walk.look() == Wait(TEN + 3 * HOUR, R.WAITING_FOR_MILESTONE, 0)


def test_R2_a_step_by_time_alone_moves_on_after_its_wait():
    walk = Walk(chain(by_time(K.TELEGRAM, 2 * HOUR), step())).send()
    assert walk.reported(M.READ).look() == Wait(TEN + 2 * HOUR, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("12:00").look() == Skip(0, R.TIME_PASSED)


# --- R3: permanent failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (R.NOT_REGISTERED, R.NOT_REGISTERED),
        (R.BLOCKED, R.BLOCKED),
        (R.NO_ANSWER, R.NO_ANSWER),
        (None, R.RECIPIENT_REFUSED),
    ],
)
def test_R3_a_permanent_refusal_moves_on_at_once(reason, said):
    walk = Walk(chain())
    walk.ask()
    walk.at("10:00:01").failed(F.RECIPIENT_PERMANENT, reason)
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, said)]


def test_R3_also_when_a_receipt_brings_it_after_the_acceptance():
    walk = Walk(chain()).send().at("10:03").reported(M.SENT).at("10:04")
    walk.failed(F.RECIPIENT_PERMANENT, R.BLOCKED)
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)


def test_R3_a_refused_message_moves_on_at_once():
    walk = Walk(chain())
    walk.ask()
    assert walk.failed(F.MESSAGE_PERMANENT).look() == Skip(0, R.MESSAGE_REFUSED)


# --- R4: known-unreachable and trouble of the account ---------------------------------------------------------------


def test_R4_known_unreachable_is_skipped_without_a_call():
    walk = Walk(chain(), unreachable={0: R.NO_ADDRESS, 1: R.BLOCKED})
    assert walk.ask() == Send(2, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.NO_ADDRESS), (1, R.BLOCKED)]
    assert [known.tries for known in walk.state.steps] == [0, 0, 1]


def test_R4_unreachable_everywhere_is_exhausted():
    walk = Walk(chain(), unreachable=dict.fromkeys(range(3), R.CONDITION))
    assert walk.ask() == Finish(Outcome.EXHAUSTED, R.ALL_STEPS_TRIED)


def test_R4_a_step_already_accepted_is_not_left_because_of_what_is_learnt_later():
    walk = Walk(chain()).send().surround(unreachable={0: R.BLOCKED}, closed_channels=frozenset({3}))
    assert walk.look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def gateways(policy=TroublePolicy.HOLD, **more):
    """Two SMS gateways and a spare one as one step, then a call."""
    return chain(step(K.SMS, channel=1, reserves=(2, 3), **more), step(K.VOICE, channel=9), on_trouble=policy)


@pytest.mark.parametrize("policy", list(TroublePolicy))
@pytest.mark.parametrize("failure", [F.AUTH, F.BALANCE])
def test_R4_a_reserve_account_stands_in_at_once_whatever_the_policy(policy, failure):
    walk = Walk(gateways(policy))
    walk.ask()
    for reserve in (2, 3):
        assert walk.at(SECOND).failed(failure).ask() == Send(0, R.OTHER_ACCOUNT)
        assert walk.accounts[-1] == reserve
    answer = walk.at(SECOND).failed(failure).ask()
    if policy is TroublePolicy.GO_ON:
        assert answer == Send(1, R.PREVIOUS_STEP_LEFT)
    else:
        assert isinstance(answer, Wait) and answer.because == R.CHANNEL_ON_HOLD
        assert walk.at(answer.until).ask() == Send(0, R.RETRY)
        assert walk.accounts == [1, 2, 3, 1], "all have refused it: from the first again"


def test_R4_a_closed_account_is_passed_over_and_hold_is_for_a_step_without_an_open_one():
    walk = Walk(gateways(), closed_channels=frozenset({1, 2, 3}))
    assert walk.ask() == Wait(TEN + PROBE_INTERVAL, R.CHANNEL_ON_HOLD, 0)
    assert walk.surround(closed_channels=frozenset({1, 2})).ask() == Send(0, R.FIRST_STEP)
    assert walk.accounts == [3]


def test_R8_what_may_have_left_is_never_sent_through_a_second_account():
    walk = Walk(gateways())
    walk.ask()
    walk.surround(closed_channels=frozenset({1})).unknown()
    assert walk.ask() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("10:15").ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.accounts == [1, 9]


def test_R8_a_repeat_with_the_same_key_goes_to_the_account_that_knows_the_key():
    walk = Walk(gateways(idempotent=True))
    walk.ask()
    walk.at(SECOND).failed(F.BALANCE).ask()
    retry = walk.at(SECOND).unknown().ask()
    assert isinstance(retry, Wait) and retry.because == R.RETRY_LATER
    assert walk.at(retry.until).ask() == Send(0, R.RETRY)
    assert walk.accounts == [1, 2, 2]


@pytest.mark.parametrize(
    ("failure", "answer"),
    [
        (F.RECIPIENT_PERMANENT, Send(1, R.PREVIOUS_STEP_LEFT)),
        (F.MESSAGE_PERMANENT, Send(1, R.PREVIOUS_STEP_LEFT)),
        (F.TRANSIENT, None),
        (F.RATE_LIMITED, None),
    ],
)
def test_R3_R9_what_is_not_the_account_s_trouble_is_not_helped_by_another_account(failure, answer):
    walk = Walk(gateways())
    walk.ask()
    said = walk.failed(failure).ask()
    if answer is None:
        assert isinstance(said, Wait) and said.because == R.RETRY_LATER
        walk.at(said.until).ask()
        assert walk.accounts == [1, 1]
    else:
        assert said == answer
        assert walk.accounts == [1, 9]


@pytest.mark.parametrize("failure", [F.AUTH, F.BALANCE])
def test_R4_trouble_of_the_account_goes_on_where_the_chain_says_so(failure):
    walk = Walk(chain())
    walk.ask()
    assert walk.failed(failure).look() == Skip(0, R.ACCOUNT_TROUBLE)


def test_R4_a_closed_channel_is_skipped_where_the_chain_goes_on():
    walk = Walk(chain(), closed_channels=frozenset({chain().steps[0].channel_id}))
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.ACCOUNT_TROUBLE)]


def test_R4_a_closed_channel_is_waited_for_where_the_chain_holds():
    plan = chain(on_trouble=HOLD)
    walk = Walk(plan, closed_channels=frozenset({plan.steps[0].channel_id}))
    for _ in range(50):
        assert walk.ask() == Wait(walk.now + PROBE_INTERVAL, R.CHANNEL_ON_HOLD, 0)
        walk.at(PROBE_INTERVAL)
    assert walk.surround(closed_channels=frozenset()).ask() == Send(0, R.FIRST_STEP)


def test_R4_a_hold_ends_at_the_deadline():
    plan = chain(on_trouble=HOLD)
    walk = Walk(plan, closed_channels=frozenset({plan.steps[0].channel_id}), deadline=TEN + 2 * MINUTE)
    assert walk.ask() == Wait(TEN + 2 * MINUTE, R.CHANNEL_ON_HOLD, 0)
    assert walk.at("10:02").ask() == Finish(Outcome.EXPIRED, R.DEADLINE_PASSED)


def test_R4_under_hold_the_account_is_asked_again_and_it_is_not_counted():
    walk = Walk(chain(on_trouble=HOLD))
    pauses = []
    for _ in range(20):
        walk.ask()
        walk.failed(F.BALANCE)
        answer = walk.ask()
        assert isinstance(answer, Wait) and answer.because == R.CHANNEL_ON_HOLD and answer.step == 0
        pauses.append(answer.until - walk.now)
        walk.at(answer.until)
    assert pauses == sorted(pauses) and pauses[-1] == HOUR
    assert len(walk.sent) == 20 and not walk.left


def test_R4_under_hold_a_failed_account_still_obeys_the_deadline():
    walk = Walk(chain(on_trouble=HOLD), deadline=TEN + 3 * SECOND)
    walk.ask()
    assert walk.failed(F.AUTH).ask() == Wait(TEN + 3 * SECOND, R.CHANNEL_ON_HOLD, 0)
    assert walk.at(3 * SECOND).ask() == Finish(Outcome.EXPIRED, R.DEADLINE_PASSED)


def test_R4_an_outage_longer_than_the_wait_does_not_push_a_held_campaign_on():
    plan = chain(on_trouble=HOLD)
    walk = Walk(plan)
    walk.ask()
    walk.failed(F.TRANSIENT).surround(closed_channels=frozenset({plan.steps[0].channel_id}))
    assert walk.at("13:00").ask() == Wait(walk.now + PROBE_INTERVAL, R.CHANNEL_ON_HOLD, 0)
    assert walk.at("13:10").surround(closed_channels=frozenset()).ask() == Send(0, R.RETRY)
    assert walk.failed(F.TRANSIENT).ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.RETRIES_USED_UP)]


# --- R5: receipts late, twice, out of order --------------------------------------------------------------------------


def test_R5_a_receipt_before_the_answer_of_the_call():
    walk = Walk(chain())
    walk.ask()
    walk.at("10:00:01").reported(M.DELIVERED)
    assert walk.ask() == Wait(TEN + CALL_GRACE, R.IN_FLIGHT, 0)
    assert walk.at("10:00:03").accepted().ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.DELIVERED)


def test_R5_a_lower_milestone_after_a_higher_one_changes_nothing():
    walk = Walk(chain(step(K.EMAIL, expect(M.CLICKED, HOUR)))).send().at("10:05").reported(M.READ)
    before = walk.state
    assert walk.at("10:06").reported(M.DELIVERED).reported(M.SENT).reported(M.READ).state is before


def test_R5_a_milestone_keeps_its_earliest_moment_and_brings_what_it_proves():
    walk = Walk(chain()).send()
    walk.know(Reported(0, M.READ, TEN + 5 * MINUTE)).know(Reported(0, M.DELIVERED, TEN + 2 * MINUTE))
    assert walk.state.steps[0].milestones == {
        M.ACCEPTED: TEN,
        M.SENT: TEN + 2 * MINUTE,
        M.DELIVERED: TEN + 2 * MINUTE,
        M.READ: TEN + 5 * MINUTE,
    }


@pytest.mark.parametrize("failure", [F.RECIPIENT_PERMANENT, F.MESSAGE_PERMANENT, F.TRANSIENT, F.AUTH])
def test_R5_delivered_beats_failed_in_either_order(failure):
    delivered, failed = Reported(0, M.DELIVERED, TEN + 2 * MINUTE), Failed(0, failure, TEN + MINUTE)
    for facts in ([delivered, failed], [failed, delivered]):
        walk = Walk(chain()).send().at("10:03")
        for fact in facts:
            walk.know(fact)
        assert walk.phases[0] == Phase.ACCEPTED
        assert walk.ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.DELIVERED)


def test_R5_failed_beats_sent_in_either_order():
    sent, failed = Reported(0, M.SENT, TEN + MINUTE), Failed(0, F.RECIPIENT_PERMANENT, TEN + 2 * MINUTE)
    for facts in ([sent, failed], [failed, sent]):
        walk = Walk(chain()).send().at("10:03")
        for fact in facts:
            walk.know(fact)
        assert walk.look() == Skip(0, R.RECIPIENT_REFUSED)


def test_R5_a_refusal_contradicted_by_sent_is_not_retried():
    walk = Walk(chain())
    walk.ask()
    walk.failed(F.TRANSIENT).at("10:00:02").reported(M.SENT)
    assert walk.at("10:01").look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R5_of_two_failures_the_graver_and_earlier_one_stays():
    walk = Walk(chain())
    walk.ask()
    facts = [
        Failed(0, F.TRANSIENT, TEN + SECOND),
        Failed(0, F.RECIPIENT_PERMANENT, TEN + 3 * SECOND, R.BLOCKED),
        Failed(0, F.RECIPIENT_PERMANENT, TEN + 2 * SECOND, R.NOT_REGISTERED),
    ]
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (2, 0, 1)):
        state = walk.state
        for position in order:
            state = apply(walk.plan, state, facts[position])
        assert decide(walk.plan, state, TEN + MINUTE) == Skip(0, R.NOT_REGISTERED)


def test_R5_every_fact_may_be_told_twice():
    walk = Walk(chain(step(K.SMS, idempotent=True), step()))
    walk.ask()
    walk.at("10:00:01").failed(F.TRANSIENT)
    walk.at("10:00:10").ask()
    walk.at("10:00:11").unknown()
    walk.at("10:00:30").ask()
    walk.at("10:00:31").accepted().at("10:16").ask()
    walk.at("10:17").accepted().stopped(R.OPTED_OUT)
    walk.ask()
    state = walk.state
    for event in walk.events:
        state = apply(walk.plan, state, event)
        assert state == walk.state, event


def test_R5_a_failure_of_an_earlier_try_told_again_does_not_end_the_next_call():
    walk = Walk(chain())
    walk.ask()
    walk.at("10:00:01").failed(F.TRANSIENT)
    again = walk.events[-1]
    assert walk.at("10:00:10").ask() == Send(0, R.RETRY)
    assert walk.know(again).phases[0] == Phase.CALLING


# --- R6: the clock, and late receipts -------------------------------------------------------------------------------


def test_R6_the_clock_runs_from_acceptance():
    walk = Walk(chain())
    walk.ask()
    walk.at("10:00:40").accepted()
    assert walk.look() == Wait(TEN + 15 * MINUTE + 40 * SECOND, R.WAITING_FOR_MILESTONE, 0)


def test_R6_a_provider_clock_that_runs_behind_does_not_expire_the_step():
    walk = Walk(chain())
    walk.ask()
    walk.know(Reported(0, M.SENT, TEN - 3 * HOUR)).accepted()
    assert walk.at("10:10").look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R6_quiet_hours_stop_the_clock():
    plan = chain(step(K.SMS, expect(M.DELIVERED, HOUR), window=window()), step(K.VOICE))
    walk = Walk(plan).at("21:40").send()
    assert walk.look() == Wait(datetime(2026, 6, 2, 9, 40, tzinfo=UTC), R.WAITING_FOR_MILESTONE, 0)


def test_R6_pauses_stop_the_clock():
    walk = Walk(chain()).send()
    walk.surround(pauses=((TEN + 5 * MINUTE, TEN + 25 * MINUTE),))
    assert walk.at("10:30").look() == Wait(TEN + 35 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R6_late_receipt_of_an_earlier_step_ends_it_while_the_next_waits():
    walk = Walk(chain()).send().at("10:15").send().at("10:16").reported(M.DELIVERED, 0)
    assert walk.ask() == Finish(Outcome.REACHED, R.LATE_RECEIPT, 0, M.DELIVERED)
    assert walk.at("12:00").ask() == Finish(Outcome.REACHED, R.LATE_RECEIPT, 0, M.DELIVERED)
    assert [index for index, _ in walk.sent] == [0, 1]


def test_R6_late_receipt_ends_it_before_the_next_step_goes():
    plan = chain(step(K.WHATSAPP), step(K.SMS, window=window("12:00", "22:00")))
    walk = Walk(plan).send().at("10:15")
    assert walk.ask() == Wait(TEN + 2 * HOUR, R.QUIET_HOURS, 1)
    assert walk.reported(M.DELIVERED, 0).ask() == Finish(Outcome.REACHED, R.LATE_RECEIPT, 0, M.DELIVERED)


def test_R6_late_receipt_waits_for_the_end_of_a_call_in_flight():
    walk = Walk(chain()).send().at("10:15")
    walk.ask()
    assert walk.reported(M.DELIVERED, 0).ask() == Wait(walk.now + CALL_GRACE, R.IN_FLIGHT, 1)
    assert walk.accepted().ask() == Finish(Outcome.REACHED, R.LATE_RECEIPT, 0, M.DELIVERED)


def test_R6_late_receipt_counts_only_if_it_meets_the_last_expectation():
    plan = chain(step(K.EMAIL, expect(M.READ, 15 * MINUTE)), step())
    walk = Walk(plan).send().at("10:15").send().at("10:16").reported(M.DELIVERED, 0)
    assert walk.ask() == Wait(TEN + 30 * MINUTE, R.WAITING_FOR_MILESTONE, 1)
    assert walk.reported(M.READ, 0).ask() == Finish(Outcome.REACHED, R.LATE_RECEIPT, 0, M.READ)


def test_R6_of_two_steps_that_worked_the_first_in_time_is_credited():
    walk = Walk(chain()).send().at("10:15").send().at("10:20")
    walk.know(Reported(0, M.DELIVERED, TEN + 18 * MINUTE)).know(Reported(1, M.DELIVERED, TEN + 17 * MINUTE))
    assert walk.ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 1, M.DELIVERED)


def test_R6_the_last_step_is_awaited_for_its_whole_time():
    walk = Walk(chain(step())).send()
    assert walk.at("10:14:59").ask() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("10:15").ask() == Finish(Outcome.EXHAUSTED, R.ALL_STEPS_TRIED, 0, M.ACCEPTED)
    assert walk.left == [(0, R.NOT_DELIVERED_IN_TIME)]


# --- R7: time to live ---------------------------------------------------------------------------------------------


def test_R7_a_message_lives_as_long_as_its_step_waits():
    assert give_up_at(chain(), State.fresh(3), 0, TEN) == TEN + 15 * MINUTE


def test_R7_a_message_never_lives_past_the_deadline():
    walk = Walk(chain(step()), deadline=TEN + 5 * MINUTE)
    assert give_up_at(walk.plan, walk.state, 0, TEN) == TEN + 5 * MINUTE


def test_R7_it_is_the_very_moment_the_step_expires():
    plan = chain(step(window=window()), step(K.VOICE, window=window()))
    walk = Walk(plan, deadline=TEN + 20 * HOUR).at("21:50").send()
    assert walk.look() == Wait(give_up_at(plan, walk.state, 0, walk.now), R.WAITING_FOR_MILESTONE, 0)


# --- R8: unknown outcome --------------------------------------------------------------------------------------------


def test_R8_unknown_is_never_repeated_blindly():
    walk = Walk(chain())
    walk.ask()
    walk.at("10:00:15").unknown()
    for moment in ("10:00:16", "10:05", "10:14:59"):
        assert walk.at(moment).ask() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("10:15").ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.UNKNOWN_UNRESOLVED)]
    assert [index for index, _ in walk.sent] == [0, 1]


def test_R8_without_a_key_no_moment_of_a_repeat_is_ever_named_or_obeyed():
    """Two locks: apply() names no moment, and decide() would not obey one (an old row may hold it)."""
    walk = Walk(chain(step(K.SMS), step(K.VOICE))).send().unknown()
    assert walk.state.steps[0].retry_at is None
    walk = Walk(chain(step(K.SMS), step(K.VOICE)))
    walk.ask()
    walk.unknown()
    assert walk.state.steps[0].retry_at is None
    known = replace(walk.state.steps[0], retry_at=walk.now)
    walk.state = replace(walk.state, steps=(known, *walk.state.steps[1:]))
    assert walk.look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R9_a_try_wears_the_step_out_once_whatever_becomes_known_of_it():
    walk = Walk(chain(step(K.SMS), step(K.VOICE)))
    walk.ask()
    walk.unknown()
    assert walk.state.steps[0].strikes == 1
    walk.at(SECOND).failed(F.TRANSIENT)
    assert walk.state.steps[0].strikes == 1
    walk = Walk(chain(step(K.SMS), step(K.VOICE)))
    walk.ask()
    walk.unknown().at(SECOND).failed(F.AUTH)
    assert walk.state.steps[0].strikes == 0


def test_R5_a_step_is_left_for_one_reason():
    walk = Walk(chain()).know(Left(0, R.BLOCKED, TEN))
    assert walk.know(Left(0, R.TIME_PASSED, TEN + MINUTE)).state.steps[0].reason == R.BLOCKED


def test_R8_a_failure_of_class_unknown_is_the_same():
    walk = Walk(chain())
    walk.ask()
    assert walk.failed(F.OUTCOME_UNKNOWN).phases[0] == Phase.UNKNOWN


def test_R8_with_a_key_the_same_step_is_repeated():
    walk = Walk(chain(step(idempotent=True), step(K.VOICE)))
    walk.ask()
    walk.at("10:00:15").unknown()
    assert walk.ask() == Wait(TEN + 20 * SECOND, R.RETRY_LATER, 0)
    assert walk.at("10:00:20").ask() == Send(0, R.RETRY)


def test_R8_repeats_with_a_key_end_with_the_tries_and_then_it_is_awaited():
    walk = Walk(chain(step(idempotent=True, max_tries=2), step(K.VOICE)))
    for _ in range(3):
        action = walk.ask()
        assert isinstance(action, Send) and action.step == 0
        walk.unknown()
        answer = walk.look()
        assert isinstance(answer, Wait)
        walk.at(answer.until)
    # The third call was 15 s after the first; nothing more was sent, and its whole wait was waited.
    assert walk.now == TEN + 15 * SECOND + 15 * MINUTE
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.UNKNOWN_UNRESOLVED)]


def test_R8_what_forbids_the_repeat_does_not_shorten_the_wait():
    plan = chain(step(idempotent=True), step(K.VOICE))
    for surroundings in (
        {"unreachable": {0: R.BLOCKED}},
        {"closed_channels": frozenset({plan.steps[0].channel_id})},
    ):
        walk = Walk(plan)
        walk.ask()
        walk.unknown().surround(**surroundings)
        assert walk.at("10:01").ask() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R8_a_receipt_resolves_it():
    walk = Walk(chain())
    walk.ask()
    walk.unknown().at("10:03").reported(M.SENT)
    assert walk.phases[0] == Phase.ACCEPTED
    assert walk.look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("10:15").look() == Skip(0, R.NOT_DELIVERED_IN_TIME)


def test_R8_a_receipt_that_came_before_the_answer_was_lost():
    walk = Walk(chain())
    walk.ask()
    assert walk.reported(M.SENT).unknown().phases[0] == Phase.ACCEPTED


def test_R8_a_lookup_that_finds_it_was_not_sent_allows_a_retry():
    walk = Walk(chain())
    walk.ask()
    walk.unknown().at("10:01").failed(F.TRANSIENT)
    assert walk.at("10:02").ask() == Send(0, R.RETRY)


def test_R8_a_late_receipt_after_the_walk_went_on():
    walk = Walk(chain())
    walk.ask()
    walk.unknown().at("10:15").send().at("10:16").reported(M.DELIVERED, 0)
    assert walk.ask() == Finish(Outcome.REACHED, R.LATE_RECEIPT, 0, M.DELIVERED)


# --- R9: retries ----------------------------------------------------------------------------------------------------


def test_R9_transient_failures_are_retried_with_growing_delays_on_the_same_step():
    walk = Walk(chain(step(K.SMS, expect(M.DELIVERED, 2 * HOUR)), step(K.VOICE)))
    delays = []
    for _ in range(6):
        walk.ask()
        walk.failed(F.TRANSIENT)
        answer = walk.ask()
        assert isinstance(answer, Wait) and answer.because == R.RETRY_LATER
        delays.append((answer.until - walk.now).total_seconds())
        walk.at(answer.until)
    assert delays == [5, 10, 20, 40, 80, 160]
    assert walk.ask() == Send(0, R.RETRY)
    assert walk.failed(F.TRANSIENT).ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.RETRIES_USED_UP)]


def test_R9_never_past_the_steps_own_wait():
    walk = Walk(chain(step(K.SMS, expect(M.DELIVERED, 2 * MINUTE)), step(K.VOICE)))
    while walk.state.current == 0:
        action = walk.ask()
        if isinstance(action, Send) and action.step == 0:
            assert walk.now < TEN + 2 * MINUTE
            walk.failed(F.TRANSIENT)
        elif isinstance(action, Wait):
            walk.at(action.until)
    assert walk.left == [(0, R.RETRIES_USED_UP)]
    # 0, 5, 15, 35 and 75 s; the next would be at 155 s, so the step is left at once, with 45 s to spare.
    assert walk.now == TEN + 75 * SECOND


def test_R9_a_step_is_left_when_its_time_is_over_however_late_the_question():
    walk = Walk(chain())
    walk.ask()
    assert walk.failed(F.TRANSIENT).at("10:15").look() == Skip(0, R.RETRIES_USED_UP)


def test_R9_retry_after_is_honoured():
    walk = Walk(chain(step(K.SMS, expect(M.DELIVERED, 2 * HOUR))))
    walk.ask()
    walk.failed(F.RATE_LIMITED, retry_after=30 * MINUTE)
    assert walk.ask() == Wait(TEN + 30 * MINUTE, R.RETRY_LATER, 0)


def test_R9_retry_after_beyond_the_wait_leaves_the_step_at_once():
    walk = Walk(chain())
    walk.ask()
    assert walk.failed(F.RATE_LIMITED, retry_after=30 * MINUTE).look() == Skip(0, R.RETRIES_USED_UP)


def test_R9_rate_limits_do_not_count_as_tries():
    walk = Walk(chain(step(K.SMS, expect(M.DELIVERED, HOUR), max_tries=1)))
    for _ in range(30):
        assert isinstance(walk.ask(), Send)
        answer = walk.failed(F.RATE_LIMITED, retry_after=MINUTE).ask()
        assert isinstance(answer, Wait)
        walk.at(answer.until)
    assert len(walk.sent) == 30


def test_R9_a_step_without_a_wait_still_has_its_least_time_for_retries():
    walk = Walk(chain(by_time(K.TELEGRAM, timedelta(0), min_wait=MINUTE), step()))
    walk.ask()
    assert walk.failed(F.TRANSIENT).ask() == Wait(TEN + 5 * SECOND, R.RETRY_LATER, 0)


def test_R9_retries_obey_quiet_hours():
    plan = chain(step(K.SMS, expect(M.DELIVERED, HOUR), window=window()))
    walk = Walk(plan).at("21:59:58")
    walk.ask()
    assert walk.failed(F.TRANSIENT).ask() == Wait(datetime(2026, 6, 2, 9, 0, tzinfo=UTC), R.QUIET_HOURS, 0)
    assert walk.at(datetime(2026, 6, 2, 9, 0, tzinfo=UTC)).ask() == Send(0, R.RETRY)


# --- R10: stops --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [R.OPTED_OUT, R.CANCELLED, R.OBJECT_CHANGED])
def test_R10_a_stop_ends_it_wherever_it_stands(reason):
    for prepare in (
        lambda walk: walk,
        lambda walk: walk.ask() and walk,
        lambda walk: walk.send(),
        lambda walk: walk.send().at("10:15").send(),
    ):
        walk = prepare(Walk(chain()))
        sent = len(walk.sent)
        end = walk.stopped(reason).ask()
        assert isinstance(end, Finish) and (end.outcome, end.because) == (Outcome.STOPPED, reason)
        for hours in range(5):
            assert walk.at(TEN + hours * HOUR).ask() == end
        assert len(walk.sent) == sent


@pytest.mark.parametrize(("reason", "milestone"), [(R.REPLIED, M.REPLIED), (R.CLICKED, M.CLICKED), (R.GOAL, M.GOAL)])
def test_R10_an_answer_to_our_message_is_a_success(reason, milestone):
    walk = Walk(chain()).send().at("10:15").send().stopped(reason, 0)
    assert walk.ask() == Finish(Outcome.REACHED, reason, 0, milestone)


def test_R10_an_answer_elsewhere_is_a_stop():
    walk = Walk(chain()).send()
    assert walk.stopped(R.REPLIED).ask() == Finish(Outcome.STOPPED, R.REPLIED, 0, M.ACCEPTED)
    assert Walk(chain()).stopped(R.REPLIED, 2).ask() == Finish(Outcome.STOPPED, R.REPLIED)


@pytest.mark.parametrize(("milestone", "reason"), [(M.REPLIED, R.REPLIED), (M.GOAL, R.GOAL)])
def test_R10_a_reported_reply_or_goal_ends_it_whatever_was_expected(milestone, reason):
    walk = Walk(chain(by_time(K.TELEGRAM, HOUR), step())).send().at("10:30").reported(milestone)
    assert walk.ask() == Finish(Outcome.REACHED, reason, 0, milestone)


def test_R10_a_followed_link_alone_does_not_end_a_step_that_expects_more():
    walk = Walk(chain(step(K.EMAIL, expect(M.GOAL, HOUR)), step())).send().reported(M.CLICKED)
    assert walk.ask() == Wait(TEN + HOUR, R.WAITING_FOR_MILESTONE, 0)


def test_R10_of_several_stops_the_earliest_counts():
    stops = [Stopped(R.CANCELLED, TEN + MINUTE), Stopped(R.OPTED_OUT, TEN + 2 * MINUTE)]
    for facts in (stops, stops[::-1]):
        walk = Walk(chain()).send()
        for fact in facts:
            walk.know(fact)
        assert walk.ask() == Finish(Outcome.STOPPED, R.CANCELLED, 0, M.ACCEPTED)


def test_R10_a_message_that_had_done_its_work_is_reached_all_the_same():
    walk = Walk(chain()).send().reported(M.DELIVERED).stopped(R.CANCELLED)
    assert walk.ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.DELIVERED)


# --- R11: gates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [R.NO_CONSENT, R.STOP_LIST, R.FREQUENCY_CAP, R.BUDGET, R.HOLD_OUT])
def test_R11_a_gate_before_the_first_message_suppresses(reason):
    walk = Walk(chain()).know(Suppressed(reason, TEN))
    assert walk.ask() == Finish(Outcome.SUPPRESSED, reason)


def test_R11_a_refused_call_sent_nothing():
    walk = Walk(chain())
    walk.ask()
    walk.failed(F.RECIPIENT_PERMANENT).know(Suppressed(R.STOP_LIST, TEN))
    assert walk.ask() == Finish(Outcome.SUPPRESSED, R.STOP_LIST)


def test_R11_a_gate_at_a_later_step_stops():
    walk = Walk(chain()).send().at("10:15").know(Suppressed(R.NO_CONSENT, TEN))
    assert walk.ask() == Finish(Outcome.STOPPED, R.NO_CONSENT, 0, M.ACCEPTED)


def test_R11_a_message_that_may_have_left_is_not_nothing():
    walk = Walk(chain())
    walk.ask()
    walk.unknown().at("10:15")
    walk.know(Left(0, R.UNKNOWN_UNRESOLVED, walk.now)).know(Suppressed(R.STOP_LIST, walk.now))
    assert walk.ask() == Finish(Outcome.STOPPED, R.STOP_LIST)


def test_R11_a_gate_after_a_delivered_message_does_not_undo_it():
    plan = chain(step(K.EMAIL, expect(M.READ, HOUR)), step())
    walk = Walk(plan).send().reported(M.DELIVERED).at("11:00").know(Suppressed(R.NO_CONSENT, TEN))
    assert walk.ask() == Finish(Outcome.REACHED, R.NO_CONSENT, 0, M.DELIVERED)


# --- R12: quiet hours ---------------------------------------------------------------------------------------------


def test_R12_a_send_at_night_moves_to_the_morning_of_the_recipient():
    plan = chain(step(window=window()))
    # 02:00 in Novosibirsk (UTC+7) is 19:00 UTC.
    walk = Walk(plan, zone="Asia/Novosibirsk").at("19:00")
    assert walk.ask() == Wait(datetime(2026, 6, 2, 2, 0, tzinfo=UTC), R.QUIET_HOURS, 0)
    assert walk.at(datetime(2026, 6, 2, 2, 0, tzinfo=UTC)).ask() == Send(0, R.FIRST_STEP)


def test_R12_each_step_has_its_own_hours():
    walk = Walk(chain(step(K.EMAIL), step(K.VOICE, window=window("12:00", "18:00")))).send().at("10:15")
    assert walk.ask() == Wait(TEN + 2 * HOUR, R.QUIET_HOURS, 1)


def test_R12_hours_that_never_come_skip_the_step():
    walk = Walk(chain(step(window=window(days="")), step(K.VOICE)))
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.NO_TIME_LEFT)]


def test_R12_an_unknown_zone_is_an_error_and_not_a_guess():
    with pytest.raises(Exception, match="Atlantis"):
        Walk(chain(step(window=window())), zone="Europe/Atlantis").look()


# --- R13: deadlines -------------------------------------------------------------------------------------------------


def test_R13_nothing_is_sent_at_or_after_the_deadline():
    walk = Walk(chain(), deadline=TEN)
    assert walk.ask() == Finish(Outcome.EXPIRED, R.DEADLINE_PASSED)


def test_R13_the_end_of_the_campaign_is_a_deadline_too():
    assert Walk(chain(not_after=TEN)).ask() == Finish(Outcome.EXPIRED, R.DEADLINE_PASSED)
    walk = Walk(chain(not_after=TEN + HOUR), deadline=TEN)
    assert walk.ask() == Finish(Outcome.EXPIRED, R.DEADLINE_PASSED)


def test_R13_with_time_enough_nothing_shrinks():
    walk = Walk(chain(), deadline=TEN + 45 * MINUTE).send()
    assert walk.look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R13_waits_shrink_in_proportion_so_that_the_last_resort_goes():
    plan = chain(*(step(kind, expect(M.DELIVERED, 2 * HOUR)) for kind in (K.MAX, K.VIBER, K.SMS)))
    walk = Walk(plan, deadline=TEN + 3 * HOUR)
    for index, due in ((0, HOUR), (1, 2 * HOUR)):
        walk.send()
        answer = walk.ask()
        assert isinstance(answer, Wait) and answer.step == index
        assert timedelta(0) <= TEN + due - answer.until < SECOND
        walk.at(answer.until)
    assert walk.ask() == Send(2, R.PREVIOUS_STEP_LEFT)
    assert walk.now < TEN + 2 * HOUR + SECOND


def test_R13_waits_shrink_no_further_than_the_floor():
    plan = chain(*(step(kind, expect(M.DELIVERED, HOUR), min_wait=10 * MINUTE) for kind in (K.MAX, K.VIBER, K.SMS)))
    walk = Walk(plan, deadline=TEN + 15 * MINUTE).send()
    assert walk.look() == Wait(TEN + 10 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    walk.at("10:10").send()
    assert walk.look() == Wait(TEN + 20 * MINUTE, R.WAITING_FOR_MILESTONE, 1)
    # ... and then what can no longer go in time is not sent.
    assert walk.at("10:20").ask() == Finish(Outcome.EXPIRED, R.DEADLINE_PASSED, 0, M.ACCEPTED)


def test_R13_floors_are_paid_by_those_who_have_more():
    plan = chain(
        step(K.MAX, expect(M.DELIVERED, 2 * HOUR)),
        step(K.SMS, expect(M.DELIVERED, 20 * MINUTE), min_wait=20 * MINUTE),
    )
    walk = Walk(plan, deadline=TEN + HOUR).send()
    answer = walk.look()
    assert isinstance(answer, Wait) and timedelta(0) <= TEN + 40 * MINUTE - answer.until < SECOND


def test_R13_a_last_resort_that_waits_for_nothing_still_gets_its_time():
    walk = Walk(chain(step(), by_time(K.TELEGRAM, timedelta(0))), deadline=TEN + 10 * MINUTE).send()
    answer = walk.ask()
    assert isinstance(answer, Wait) and timedelta(0) <= TEN + 9 * MINUTE - answer.until < SECOND
    assert walk.at("10:09").ask() == Send(1, R.PREVIOUS_STEP_LEFT)


def test_R13_steps_that_will_be_skipped_take_no_time():
    walk = Walk(chain(), deadline=TEN + 30 * MINUTE, unreachable={1: R.NO_ADDRESS}).send()
    assert walk.look() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R13_the_last_resort_leaves_before_its_own_night():
    # The e-mail may be read at any hour, the SMS only by day, the visit is early in the morning.
    plan = chain(
        step(K.EMAIL, expect(M.READ, 12 * HOUR)),
        step(K.SMS, expect(M.DELIVERED, 2 * HOUR), window=window()),
    )
    walk = Walk(plan, deadline=datetime(2026, 6, 2, 8, 30, tzinfo=UTC)).at("20:00").send()
    answer = walk.ask()
    assert isinstance(answer, Wait) and answer.until < datetime(2026, 6, 1, 22, 0, tzinfo=UTC)
    assert walk.at(answer.until).ask() == Send(1, R.PREVIOUS_STEP_LEFT)


def test_R13_what_left_before_the_deadline_is_awaited_past_it():
    walk = Walk(chain(step()), deadline=TEN + 5 * MINUTE).send()
    assert walk.at("10:05").ask() == Wait(TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0)
    assert walk.at("10:06").reported(M.DELIVERED).ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.DELIVERED)


def test_R13_a_step_that_opens_too_late_makes_room_for_one_that_is_open():
    plan = chain(step(K.SMS, window=window()), step(K.EMAIL))
    walk = Walk(plan, deadline=datetime(2026, 6, 2, 8, 0, tzinfo=UTC)).at("23:00")
    assert walk.ask() == Send(1, R.PREVIOUS_STEP_LEFT)
    assert walk.left == [(0, R.NO_TIME_LEFT)]


def test_R13_steps_that_all_open_too_late_are_expired():
    plan = chain(step(K.SMS, window=window()))
    walk = Walk(plan, deadline=datetime(2026, 6, 2, 8, 0, tzinfo=UTC)).at("23:00")
    assert walk.ask() == Finish(Outcome.EXPIRED, R.ALL_STEPS_TRIED)


def test_R13_retries_end_before_the_deadline():
    walk = Walk(chain(step()), deadline=TEN + 4 * SECOND)
    walk.ask()
    assert walk.failed(F.TRANSIENT).look() == Skip(0, R.RETRIES_USED_UP)


def test_R13_what_was_delivered_before_the_deadline_is_reached():
    plan = chain(step(K.EMAIL, expect(M.READ, HOUR), min_wait=HOUR), step())
    walk = Walk(plan, deadline=TEN + 30 * MINUTE).send().reported(M.DELIVERED).at("11:00")
    assert walk.ask() == Finish(Outcome.REACHED, R.DEADLINE_PASSED, 0, M.DELIVERED)


# --- R16: one reason per step ---------------------------------------------------------------------------------------


def test_R16_settle_tells_every_step_it_left_and_why():
    walk = Walk(chain(), unreachable={1: R.NO_ADDRESS}).send()
    state, actions = settle(walk.plan, walk.state, TEN + 15 * MINUTE)
    assert actions == [
        Skip(0, R.NOT_DELIVERED_IN_TIME),
        Skip(1, R.NO_ADDRESS),
        Send(2, R.PREVIOUS_STEP_LEFT),
    ]
    assert [known.reason for known in state.steps] == [R.NOT_DELIVERED_IN_TIME, R.NO_ADDRESS, None]
    assert state.current == 2


def test_R16_settle_folds_a_finish_in():
    state, actions = settle(chain(), State.fresh(3), TEN)
    assert actions == [Send(0, R.FIRST_STEP)] and state == State.fresh(3)
    plan = chain(not_after=TEN)
    state, actions = settle(plan, State.fresh(3), TEN)
    assert (state.outcome, state.outcome_reason) == (Outcome.EXPIRED, R.DEADLINE_PASSED)
    assert settle(plan, state, TEN + HOUR) == (state, actions)


# --- R20: pause ---------------------------------------------------------------------------------------------------


def test_R20_a_pause_holds_sends_and_lets_receipts_finish():
    walk = Walk(chain(), pauses=((TEN - MINUTE, None),))
    assert walk.ask() == Wait(TEN + PROBE_INTERVAL, R.PAUSED, 0)
    walk = Walk(chain()).send().surround(pauses=((TEN + MINUTE, None),)).at("10:30")
    assert walk.ask() == Wait(walk.now + PROBE_INTERVAL, R.PAUSED, 0)
    assert walk.reported(M.DELIVERED).ask() == Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.DELIVERED)


def test_R20_resume_goes_on_where_it_stopped():
    walk = Walk(chain()).send().surround(pauses=((TEN + 10 * MINUTE, TEN + 3 * HOUR),)).at("11:00")
    assert walk.ask() == Wait(TEN + 3 * HOUR, R.PAUSED, 0)
    assert walk.at("13:00").ask() == Wait(TEN + 3 * HOUR + 5 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R20_a_pause_holds_retries():
    walk = Walk(chain())
    walk.ask()
    walk.failed(F.TRANSIENT).surround(pauses=((TEN + SECOND, None),)).at("10:01")
    assert walk.ask() == Wait(walk.now + PROBE_INTERVAL, R.PAUSED, 0)


def test_R20_a_forgotten_pause_ends_with_the_deadline():
    walk = Walk(chain(), pauses=((TEN - MINUTE, None),), deadline=TEN + 2 * MINUTE)
    assert walk.ask() == Wait(TEN + 2 * MINUTE, R.PAUSED, 0)
    assert walk.at("10:02").ask() == Finish(Outcome.EXPIRED, R.DEADLINE_PASSED)
    walk = Walk(chain(step())).send().surround(pauses=((TEN, None),), deadline=TEN + 2 * MINUTE)
    assert walk.at("10:02").ask() == Wait(TEN + 17 * MINUTE, R.WAITING_FOR_MILESTONE, 0)


def test_R20_cancel_ends_a_paused_delivery():
    walk = Walk(chain(), pauses=((TEN - MINUTE, None),)).stopped(R.CANCELLED)
    assert walk.ask() == Finish(Outcome.STOPPED, R.CANCELLED)


# --- 4a: success is not outcome -----------------------------------------------------------------------------------


def test_4a_delivered_but_unread_then_a_failed_sms_is_reached():
    plan = chain(step(K.EMAIL, expect(M.READ, HOUR)), step(K.SMS))
    walk = Walk(plan).send().reported(M.DELIVERED).at("11:00")
    walk.ask()
    assert walk.failed(F.RECIPIENT_PERMANENT).ask() == Finish(Outcome.REACHED, R.ALL_STEPS_TRIED, 0, M.DELIVERED)


def test_4a_a_last_step_that_confirms_nothing_is_not_counted_as_reached():
    walk = Walk(chain(by_time(K.TELEGRAM, HOUR))).send().reported(M.SENT).at("11:00")
    assert walk.ask() == Finish(Outcome.EXHAUSTED, R.ALL_STEPS_TRIED, 0, M.SENT)
    assert walk.left == [(0, R.TIME_PASSED)]


# --- outcomes ----------------------------------------------------------------------------------------------------


def test_an_outcome_once_set_stays_while_milestones_still_rise():
    walk = Walk(chain(step())).send().at("10:15")
    end = walk.ask()
    assert end == Finish(Outcome.EXHAUSTED, R.ALL_STEPS_TRIED, 0, M.ACCEPTED)
    walk.at("10:20").reported(M.READ, 0).stopped(R.OPTED_OUT)
    assert M.READ in walk.state.steps[0].milestones
    assert walk.ask() == end


def test_finished_without_details_takes_the_answer_of_its_moment():
    walk = Walk(chain()).send().reported(M.DELIVERED).know(Finished(TEN))
    assert walk.state.outcome == Outcome.REACHED
    fresh = Walk(chain()).know(Finished(TEN))
    assert fresh.state == State.fresh(3).__class__(State.fresh(3).steps, zone="UTC")


def test_facts_of_a_step_that_was_never_called():
    state = State.fresh(1)
    plan = chain(step())
    assert apply(plan, state, Failed(0, F.MESSAGE_PERMANENT, TEN, R.EMPTY_VARIABLE)).steps[0].phase == Phase.FAILED
    assert decide(plan, apply(plan, state, Reported(0, M.SENT, TEN)), TEN) == Wait(
        TEN + 15 * MINUTE, R.WAITING_FOR_MILESTONE, 0
    )
    for event in (Unknown(0, TEN), Accepted(0, TEN), Called(0, TEN)):
        assert not isinstance(decide(plan, apply(plan, state, event), TEN), Send)


def test_R9_a_doubtful_try_of_a_step_that_was_accepted_before_counts_once():
    walk = Walk(chain()).send().at(SECOND).failed(F.TRANSIENT)
    retry = walk.ask()
    assert isinstance(retry, Wait)
    walk.at(retry.until).ask()
    walk.at(SECOND).unknown().at(SECOND).failed(F.TRANSIENT)
    assert walk.state.steps[0].strikes == 2


def test_R9_a_try_that_was_in_doubt_and_then_accepted_counts_once_when_it_fails():
    walk = Walk(chain()).send().at(SECOND).unknown().at(SECOND).accepted().at(SECOND).failed(F.TRANSIENT)
    assert walk.state.steps[0].strikes == 1


def test_R4_a_word_about_the_account_after_the_message_was_read_is_no_trouble_of_it():
    walk = Walk(chain()).send().at(SECOND).accepted().at(SECOND).reported(M.READ).at(SECOND).failed(F.AUTH)
    assert walk.state.steps[0].in_trouble == frozenset()
