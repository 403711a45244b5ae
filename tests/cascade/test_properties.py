"""What holds for every plan, every history and every question."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.explain import explain
from cascade.machine import CALL_GRACE, OUTWEIGHS, PROBE_INTERVAL, TRANSITIONS, Fact
from cascade.vocabulary import IMPLIES
from cascade.windows import is_open
from tests.cascade import worlds
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
    M,
    Outcome,
    Phase,
    Plan,
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
    account,
    apply,
    decide,
    settle,
)

many = settings(max_examples=2000, deadline=None)
#: Waits for the world outside: the answer may be the same again, later.
POLLS = {R.CHANNEL_ON_HOLD, R.PAUSED, R.IN_FLIGHT}


def knowledge(state: State) -> list[tuple[object, ...]]:
    """What receipts decide: everything but the bookkeeping of tries."""
    return [(known.phase, dict(known.milestones), known.failure, known.reason) for known in state.steps]


@many
@given(st.data())
def test_R5_reports_commute_and_repeat(data):
    """I10: the state is a function of the set of receipts, not of their order or number."""
    plan = data.draw(worlds.plans)
    state = State.fresh(len(plan.steps))
    for index in range(len(plan.steps)):
        state = apply(plan, state, Called(index, TEN))
    receipts = [worlds.make_receipt(len(plan.steps), number) for number in data.draw(st.lists(worlds.dice, max_size=6))]
    again = data.draw(st.lists(st.sampled_from(receipts), max_size=3)) if receipts else []
    # The call has been answered: only then may receipts alone decide the phase.
    state = apply(plan, state, Accepted(0, TEN + SECOND))
    one = other = state
    for event in receipts:
        one = apply(plan, one, event)
    for event in data.draw(st.permutations(receipts + again)):
        other = apply(plan, other, event)
    assert [dict(known.milestones) for known in one.steps] == [dict(known.milestones) for known in other.steps]
    assert knowledge(one)[0] == knowledge(other)[0]


@many
@given(worlds.histories, worlds.dice)
def test_R5_milestones_only_rise(history, number):
    plan, state, _ = history
    after = apply(plan, state, worlds.make_fact(len(plan.steps), number))
    for before, now in zip(state.steps, after.steps, strict=True):
        assert before.milestones.keys() <= now.milestones.keys()
        assert all(now.milestones[m] <= at for m, at in before.milestones.items())


@many
@given(worlds.histories)
def test_R5_every_milestone_brings_what_it_proves(history):
    _, state, _ = history
    for known in state.steps:
        for milestone, at in known.milestones.items():
            assert all(known.milestones[lower] <= at for lower in IMPLIES[milestone])


@many
@given(worlds.histories, worlds.moments(300))
def test_asking_twice_gives_the_same_and_changes_nothing(history, now):
    plan, state, _ = history
    assert decide(plan, state, now) == decide(plan, state, now)
    assert settle(plan, state, now) == settle(plan, state, now)


@many
@given(worlds.histories, worlds.moments(300))
def test_settle_is_decide_and_left(history, now):
    plan, state, _ = history
    after, actions = settle(plan, state, now)
    *skips, last = actions
    assert all(isinstance(skip, Skip) for skip in skips) and not isinstance(last, Skip)
    assert [skip.step for skip in skips] == sorted({skip.step for skip in skips})
    assert decide(plan, after, now) == last
    for action in actions:
        explain(plan, action).in_english()


@many
@given(worlds.histories, worlds.moments(300), st.integers(0, 999))
def test_a_wait_is_a_promise(history, now, part):
    """Before `until` the answer stays; at `until` it is another one."""
    plan, state, _ = history
    # Nobody knows of a pause before it begins.
    state = replace(state, pauses=tuple(pause for pause in state.pauses if pause[0] <= now))
    action = decide(plan, state, now)
    if not isinstance(action, Wait):
        return
    assert action.until > now
    if action.because in POLLS:  # two hours: a hold after many tries waits an hour, and then the morning
        assert action.until - now <= max(PROBE_INTERVAL, CALL_GRACE, 2 * HOUR)
        return
    between = now + (action.until - now) * part // 1000
    assert decide(plan, state, between) == action
    then = decide(plan, state, action.until)
    assert not isinstance(then, Wait) or (then.because, then.step) != (action.because, action.step)


@many
@given(worlds.histories, worlds.moments(600))
def test_R1_R12_R13_R20_what_holds_of_every_send(history, now):
    plan, state, _ = history
    _, actions = settle(plan, state, now)
    action = actions[-1]
    if not isinstance(action, Send):
        return
    state, _ = settle(plan, state, now)
    step = plan.steps[action.step]
    assert all(known.phase == Phase.LEFT for known in state.steps[: action.step])
    assert state.steps[action.step].phase in {Phase.PENDING, Phase.FAILED, Phase.UNKNOWN}
    assert state.steps[action.step].phase != Phase.UNKNOWN or step.idempotent
    assert is_open(step.window, state.zone, now)
    assert all(deadline is None or now < deadline for deadline in (state.deadline, plan.not_after))
    assert not any(start <= now and (end is None or now < end) for start, end in state.pauses)
    assert action.step not in state.unreachable and not state.closed_channels.issuperset(step.accounts)
    assert state.stop is None and state.outcome is None


@many
@given(worlds.histories, worlds.dice, worlds.moments(300))
def test_R10_after_a_stop_nothing_is_sent(history, number, now):
    plan, state, _ = history
    roll = worlds.Dice(number)
    state = apply(plan, state, Stopped(roll.of(worlds.STOPS), TEN + roll.below(7200) * SECOND, roll.of((None, 0))))
    assert isinstance(decide(plan, state, now), Finish)


@many
@given(worlds.histories, worlds.moments(300), st.lists(worlds.dice, max_size=5))
def test_an_outcome_never_changes(history, now, numbers):
    plan, state, _ = history
    state, actions = settle(plan, state, now)
    if not isinstance(actions[-1], Finish):
        return
    for number in numbers:
        state = apply(plan, state, worlds.make_fact(len(plan.steps), number))
    state = apply(plan, apply(plan, state, Stopped(R.OPTED_OUT, now)), Finished(now))
    assert decide(plan, state, now + 1000 * HOUR) == actions[-1]


@many
@given(worlds.histories)
def test_crash_replay_gives_the_same_state(history):
    plan, state, events = history
    rebuilt = replace(state, steps=State.fresh(len(plan.steps)).steps, current=0, stop=None)
    for event in events:
        rebuilt = apply(plan, rebuilt, event)
    assert rebuilt == state


@many
@given(worlds.histories, worlds.moments(300))
def test_4a_the_outcome_agrees_with_the_evidence(history, now):
    plan, state, _ = history
    action = settle(plan, state, now)[1][-1]
    if not isinstance(action, Finish):
        return
    delivered = any(M.DELIVERED in known.milestones for known in state.steps)
    if action.outcome == Outcome.REACHED:
        assert action.step is not None and action.milestone is not None
        assert delivered or action.because in {R.REPLIED, R.CLICKED, R.GOAL} or has_low_last_expectation(plan, action)
    if action.outcome in {Outcome.EXHAUSTED, Outcome.EXPIRED, Outcome.SUPPRESSED}:
        assert not delivered
    if action.outcome == Outcome.SUPPRESSED:
        assert not any(known.milestones for known in state.steps)


def has_low_last_expectation(plan: Plan, action: Finish) -> bool:
    assert action.step is not None
    expectations = plan.steps[action.step].expectations
    return bool(expectations) and expectations[-1].milestone in {M.ACCEPTED, M.SENT}


def test_the_table_is_complete_and_what_is_left_stays_left():
    assert set(TRANSITIONS) == set(Phase)
    assert all(set(row) == set(Fact) for row in TRANSITIONS.values())
    assert set(TRANSITIONS[Phase.LEFT].values()) == {Phase.LEFT}
    assert set(OUTWEIGHS) == set(F) - {F.OUTCOME_UNKNOWN}


# --- whole runs ---------------------------------------------------------------------------------------------------

#: What a hostile but not endless world answers to a call, and what comes by itself while we wait.
ANSWERS = ["accept", "accept", "lost", "transient", "limited", "gone", "refused", "auth"]
NEWS = ["nothing", "nothing", "sent", "delivered", "read", "clicked", "failed", "reply", "stop", "gate"]


@many
@given(worlds.plans, worlds.dice, st.lists(worlds.dice, max_size=8))
def test_every_run_ends_in_order(plan, number, script):
    """R1, R2, I6: whatever the world does, a delivery whose clock runs ends, step by step, with one outcome."""
    roll = worlds.Dice(number)
    walk = Walk(plan, zone=roll.of(worlds.ZONES), deadline=roll.of(worlds.DEADLINES))
    for turn in range(200):
        roll = worlds.Dice(script[turn] if turn < len(script) else 0)
        answer, message = roll.of(ANSWERS), roll.of(NEWS)
        action = walk.ask()
        if isinstance(action, Finish):
            break
        if isinstance(action, Send):
            respond(walk, action.step, answer)
        else:
            assert isinstance(action, Wait)
            happen(walk, message)
            walk.at(min(action.until, walk.now + HOUR) if message != "nothing" else action.until)
    else:
        raise AssertionError(f"no end after 200 turns: {walk.look()}")
    order = [index for index, _ in walk.sent]
    assert order == sorted(order)
    assert [index for index, _ in walk.left] == list(range(len(walk.left)))
    assert walk.look() == action
    replay(walk)


def respond(walk: Walk, index: int, answer: str) -> None:
    walk.at(SECOND)
    match answer:
        case "accept":
            walk.accepted(index)
        case "lost":
            walk.unknown(index)
        case "transient":
            walk.failed(F.TRANSIENT, index=index)
        case "limited":
            walk.failed(F.RATE_LIMITED, index=index, retry_after=MINUTE)
        case "gone":
            walk.failed(F.RECIPIENT_PERMANENT, R.NOT_REGISTERED, index=index)
        case "refused":
            walk.failed(F.MESSAGE_PERMANENT, index=index)
        case "auth":
            walk.failed(F.AUTH, index=index)


def happen(walk: Walk, message: str) -> None:
    called = [index for index, known in enumerate(walk.state.steps) if known.tries]
    if not called or message == "nothing":
        return
    match message:
        case "sent" | "delivered" | "read" | "clicked":
            walk.reported(M(message), called[-1])
        case "failed":
            walk.failed(F.RECIPIENT_PERMANENT, index=called[-1])
        case "reply":
            walk.stopped(R.REPLIED, called[0])
        case "stop":
            walk.stopped(R.OPTED_OUT)
        case "gate":
            walk.know(Suppressed(R.BUDGET, walk.now))


def replay(walk: Walk) -> None:
    """R15: a process that died and rebuilds the delivery from what was stored owes exactly the same."""
    state = replace(walk.state, steps=State.fresh(len(walk.plan.steps)).steps, current=0, stop=None)
    state = replace(state, outcome=None, outcome_step=None, outcome_milestone=None, outcome_reason=None)
    for event in walk.events:
        state = apply(walk.plan, state, event)
    assert state == walk.state


@many
@given(worlds.plans, st.integers(1, 7200))
def test_R13_with_room_for_the_floors_the_last_resort_always_goes(plan, spare):
    """Whatever the waits are, if the floors fit before the deadline every step is sent before it."""
    steps = tuple(replace(step, window=None, max_tries=0) for step in plan.steps)
    plan = replace(plan, steps=steps, not_after=None, on_trouble=TroublePolicy.GO_ON)
    floors = sum((max(step.min_wait * max(len(step.expectations), 1), SECOND) for step in steps), timedelta(0))
    deadline = TEN + floors + spare * SECOND
    walk = Walk(plan, deadline=deadline)
    for _ in range(30):
        action = walk.ask()
        if isinstance(action, Finish):
            break
        if isinstance(action, Send):
            walk.accepted(action.step)
        else:
            assert isinstance(action, Wait)
            walk.at(action.until)
    assert [index for index, _ in walk.sent] == list(range(len(steps)))
    assert all(at < deadline for _, at in walk.sent)


@many
@given(worlds.plans, worlds.moments(), worlds.moments(), st.sampled_from([F.TRANSIENT, F.RATE_LIMITED]))
def test_R9_retries_stay_inside_the_steps_own_wait(plan, called, failed, failure):
    plan = replace(plan, on_trouble=TroublePolicy.GO_ON)
    state = apply(plan, State.fresh(len(plan.steps)), Called(0, called))
    state = apply(plan, state, Failed(0, failure, max(called, failed)))
    state = replace(state, zone="UTC")
    step = plan.steps[0]
    longest = max(sum((e.within for e in step.expectations), step.wait), step.min_wait)
    late = called + longest
    if step.window is None:
        assert decide(plan, state, late) != Send(0, R.RETRY)


@many
@given(worlds.histories, worlds.moments(300), worlds.moments(300))
def test_R6_news_of_any_step_ends_what_it_should(history, now, at):
    """A receipt that meets a step's last expectation ends the delivery, whichever step it is."""
    plan, state, _ = history
    for index, step in enumerate(plan.steps):
        if not step.expectations or state.stop is not None:
            continue
        after = apply(plan, state, Reported(index, step.expectations[-1].milestone, at))
        action = decide(plan, after, now)
        if after.current < len(plan.steps) and after.steps[after.current].phase == Phase.CALLING:
            assert isinstance(action, Wait) and action.because == R.IN_FLIGHT
        else:
            assert isinstance(action, Finish) and action.outcome == Outcome.REACHED


@many
@given(worlds.plans, worlds.dice, st.integers(16, 7200))
def test_R8_an_unknown_call_is_repeated_only_with_a_key(plan, number, seconds):
    state = replace(worlds.make_state(plan, number), unreachable={})
    state = apply(plan, state, Called(0, TEN))
    state = apply(plan, state, Unknown(0, TEN + 15 * SECOND))
    action = decide(plan, state, TEN + seconds * SECOND)
    if isinstance(action, Send):
        assert plan.steps[0].idempotent and action == Send(0, R.RETRY)


@many
@given(worlds.histories, worlds.moments())
def test_R4_R8_which_account_is_called(history, now):
    """An open one of the step's own; what may have left only through the account it left by; another one than the last
    only when the last call certainly sent nothing; the first that is open and has not just refused."""
    plan, state, _ = history
    settled, actions = settle(plan, state, now)
    if not isinstance(actions[-1], Send):
        return
    index = actions[-1].step
    step, known = plan.steps[index], settled.steps[index]
    through = account(plan, settled, index)
    assert through in step.accounts or (known.phase is Phase.UNKNOWN and through == known.account)
    assert through not in state.closed_channels
    if known.phase is Phase.UNKNOWN and known.account:
        assert through == known.account
    elif known.account and through != known.account:
        assert known.phase in (Phase.FAILED, Phase.PENDING) and known.failure is not F.OUTCOME_UNKNOWN
    if known.phase is not Phase.UNKNOWN:
        before = step.accounts[: step.accounts.index(through)]
        assert all(one in state.closed_channels or one in known.in_trouble for one in before)


@many
@given(worlds.histories, worlds.dice)
def test_R4_an_account_is_in_trouble_until_it_is_called_again(history, number):
    plan, state, _ = history
    event = worlds.make_fact(len(plan.steps), number)
    before, after = state.steps[event.step], apply(plan, state, event).steps[event.step]
    refused = isinstance(event, Failed) and event.failure in (F.AUTH, F.BALANCE) and after is not before
    # An account that has carried the message is not in trouble by a later word about it.
    if refused and after.phase is Phase.FAILED and before.account:
        assert after.in_trouble == before.in_trouble | {before.account}
    elif isinstance(event, Called) and after is not before:
        assert after.account not in after.in_trouble
        assert after.in_trouble == before.in_trouble - {after.account}
    else:
        assert after.in_trouble == before.in_trouble
