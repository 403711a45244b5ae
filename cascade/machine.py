"""The one decision: what is owed to this delivery now? Everything that decides lives in this file.

Theory of operation
===================

A delivery is one message on its way through one plan. We hold three things about it: the *plan* (frozen
at launch), the *state* (what is known), and the clock. Two functions, both pure:

    apply(plan, state, event) -> State     folds one fact into what is known
    decide(plan, state, now)  -> Action    answers: Send, Wait, Skip or Finish

and settle(), which asks decide() until it stops skipping. Nothing here remembers a question: asking is
free, may be repeated, lost or doubled. That is why a crashed worker, a doubled tick or an impatient
what-if simulation cannot hurt, and why a preview cannot disagree with what is really sent.

**Facts and decisions are kept apart.** apply() never decides; the walk goes forward only when the fact
Left(step) is folded in, and Left is written only because decide() said Skip. So "why is this delivery at
step 3" always has an answer in the timeline: one Skip with one reason per step that was left (R16).

**What is known only grows.** Receipts come late, twice, out of order (R5). Each milestone keeps its
earliest known moment, and a milestone brings along all it proves (IMPLIES); taking the earliest of a
set does not depend on the order of the set. Refusals are the one thing that can be contradicted: `OUTWEIGHS`
below says which proof beats which claim. The phase of a step follows from the table TRANSITIONS and from
nothing else; the diagram in docs/state-machine.md is drawn from that very table.

**The clock of a step** (R6) runs from the provider's acceptance, or from the call if nobody knows whether
it was accepted (R8), in open time: the window of the step in the recipient's zone, minus pauses. The moment
a step expires is computed from facts, never from `now`. So asking later can only find it passed; it cannot
push it away, and Wait(until) is a promise.

**A deadline** (R13) forbids sends, it does not forbid news: what has left before it is awaited for its
whole time, because cutting the wait of the last message short could lose a receipt and gain nothing.
When the waits ahead do not fit before the deadline, they shrink in proportion, floors first; see _scale().

**Ending.** In this order:

1. an outcome, once set, stays (late receipts still raise milestones, for the report);
2. a stop fact ends at once, even while a call is in flight (R10);
3. a step that met its last expectation, or got a reply or a goal, ends it as reached, also if the walk
   has gone past that step (R6), but not while a call is in flight: its result comes first;
4. the deadline, before a send; 5. all steps left.

In 2 (gates only), 4 and 5 the delivery still counts as reached if any message was delivered
(cascade.md 4a): `because` then says why the walk ended, `step` and `milestone` how far it got.
`step` and `milestone` carry the best evidence of any message for every outcome; only the outcome says
whether that was enough. So a chain whose last channel confirms nothing (a Telegram bot has no receipts)
ends `exhausted`, with milestone `accepted` or `sent`: we do not claim what nobody told us.

**Several accounts** may make one step (two SMS gateways): account() names the one to call. Trouble of an account (R4)
moves the message to the next of them at once; only when none is left do hold and go on have their say. A failure that
is not the account's is not helped by another account, and what may have left is never sent through a second one (R8).

What is *not* here: consent, caps, budgets (checked by the engine in the transaction of each send, it tells
us by Suppressed), breakers (it tells us by State.closed_channels), rate limits (a send that must queue is
still a Send). Randomness is not here either: jitter arrives with the failure.

Lines that hold a rule of cascade.md carry its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from cascade.actions import Action, Finish, Send, Skip, Wait
from cascade.backoff import retry_delay
from cascade.events import (
    Accepted,
    Called,
    Event,
    Failed,
    Finished,
    Left,
    Reported,
    Stopped,
    Suppressed,
    Unknown,
)
from cascade.plan import Plan, SendWindow, Step
from cascade.state import Phase, State, StepState
from cascade.vocabulary import (
    ACCOUNT_TROUBLE,
    IMPLIES,
    RANK,
    RETRYABLE,
    FailureClass,
    Milestone,
    Outcome,
    Reason,
    TroublePolicy,
)
from cascade.windows import add_open_time, next_open_moment, pause_at

#: How often a held or paused delivery is asked about again, should the event that frees it be lost.
PROBE_INTERVAL = timedelta(minutes=5)
#: A call in flight answers within seconds or its lease is reaped; until then there is nothing to do.
CALL_GRACE = timedelta(seconds=60)


# --- The table -------------------------------------------------------------------------------------------


class Fact(StrEnum):
    """What a fact means to one step. Most are the event of the same name; two depend on what is known."""

    CALLED = "called"
    ACCEPTED = "accepted"
    REPORTED = "reported"
    PROVED = "proved"  #: a receipt that outweighs the failure we were told of
    FAILED = "failed"
    CONTRADICTED = "contradicted"  #: a failure that a receipt already known outweighs
    UNKNOWN = "unknown"
    LEFT = "left"


#: Which proof beats a failure (I10): whatever the order they come in, the same side wins. A provider that says
#: "refused, not sent" is contradicted by the message having left (a retry would double it); one that says
#: "will not arrive" only by its arrival, since `sent` and then `failed` is the normal life of a lost message.
OUTWEIGHS: Mapping[FailureClass, Milestone] = {
    FailureClass.RECIPIENT_PERMANENT: Milestone.DELIVERED,
    FailureClass.MESSAGE_PERMANENT: Milestone.DELIVERED,
    FailureClass.TRANSIENT: Milestone.SENT,
    FailureClass.RATE_LIMITED: Milestone.SENT,
    FailureClass.AUTH: Milestone.SENT,
    FailureClass.BALANCE: Milestone.SENT,
}

#: phase -> fact -> next phase. Complete: every fact may come in every phase (R5). Rows read as sentences:
#: "a step that is CALLING and hears REPORTED stays CALLING", because a receipt that overtakes the answer to
#: the call does not end the call (R1).
TRANSITIONS: Mapping[Phase, Mapping[Fact, Phase]] = {
    Phase.PENDING: {
        Fact.CALLED: Phase.CALLING,
        Fact.ACCEPTED: Phase.ACCEPTED,
        Fact.REPORTED: Phase.ACCEPTED,  # somebody has sent it: never send it again
        Fact.PROVED: Phase.ACCEPTED,
        Fact.FAILED: Phase.FAILED,  # refused before the call: nothing to render, address impossible
        Fact.CONTRADICTED: Phase.ACCEPTED,
        Fact.UNKNOWN: Phase.UNKNOWN,
        Fact.LEFT: Phase.LEFT,
    },
    Phase.CALLING: {
        Fact.CALLED: Phase.CALLING,
        Fact.ACCEPTED: Phase.ACCEPTED,
        Fact.REPORTED: Phase.CALLING,
        Fact.PROVED: Phase.CALLING,
        Fact.FAILED: Phase.FAILED,
        Fact.CONTRADICTED: Phase.ACCEPTED,
        Fact.UNKNOWN: Phase.UNKNOWN,
        Fact.LEFT: Phase.LEFT,
    },
    Phase.ACCEPTED: {
        Fact.CALLED: Phase.ACCEPTED,
        Fact.ACCEPTED: Phase.ACCEPTED,
        Fact.REPORTED: Phase.ACCEPTED,
        Fact.PROVED: Phase.ACCEPTED,
        Fact.FAILED: Phase.FAILED,  # a receipt: it will not arrive
        Fact.CONTRADICTED: Phase.ACCEPTED,
        Fact.UNKNOWN: Phase.ACCEPTED,
        Fact.LEFT: Phase.LEFT,
    },
    Phase.UNKNOWN: {
        Fact.CALLED: Phase.CALLING,  # repeated with the same key (R8)
        Fact.ACCEPTED: Phase.ACCEPTED,
        Fact.REPORTED: Phase.ACCEPTED,
        Fact.PROVED: Phase.ACCEPTED,
        Fact.FAILED: Phase.FAILED,
        Fact.CONTRADICTED: Phase.ACCEPTED,
        Fact.UNKNOWN: Phase.UNKNOWN,
        Fact.LEFT: Phase.LEFT,
    },
    Phase.FAILED: {
        Fact.CALLED: Phase.CALLING,  # retried (R9)
        Fact.ACCEPTED: Phase.FAILED,
        Fact.REPORTED: Phase.FAILED,
        Fact.PROVED: Phase.ACCEPTED,
        Fact.FAILED: Phase.FAILED,
        Fact.CONTRADICTED: Phase.ACCEPTED,
        Fact.UNKNOWN: Phase.FAILED,
        Fact.LEFT: Phase.LEFT,
    },
    Phase.LEFT: dict.fromkeys(Fact, Phase.LEFT),
}


# What the hot path compares with. Enum.MEMBER costs 0.1 us a look-up on Python 3.11, and a question takes ten of them:
# a third of its price.
_CALLING, _ACCEPTED, _UNKNOWN, _FAILED, _LEFT = Phase.CALLING, Phase.ACCEPTED, Phase.UNKNOWN, Phase.FAILED, Phase.LEFT
_GOAL, _REPLIED, _TOOK = Milestone.GOAL, Milestone.REPLIED, Milestone.ACCEPTED


# --- apply -----------------------------------------------------------------------------------------------


def apply(plan: Plan, state: State, event: Event) -> State:
    """What is known after `event`: the same state if it tells nothing new.

    Total: any event in any state is fine (R5), repeats change nothing, and an outcome once set is never
    changed. `event.at` is an aware UTC datetime; provider clocks that run ahead must be clamped to the
    moment of receipt by the caller, since a milestone of tomorrow would stop the step's clock until then.
    Raises IndexError for a step the plan does not have.
    """
    if isinstance(event, (Stopped, Suppressed, Finished)):
        return _close(plan, state, event)
    index = event.step
    before = state.steps[index]
    if isinstance(event, (Accepted, Reported)):
        after = _fold_news(before, event)
    elif isinstance(event, Called):
        after = _fold_call(plan.steps[index], before, event)
    elif isinstance(event, Left):
        after = _fold_left(before, event)
    elif isinstance(event, Unknown) or event.failure == FailureClass.OUTCOME_UNKNOWN:
        after = _fold_unknown(plan.steps[index], before, event)
    else:
        after = _fold_failure(before, event)
    if after is before:
        return state
    steps = (*state.steps[:index], after, *state.steps[index + 1 :])
    current = state.current
    while current < len(steps) and steps[current].phase == _LEFT:
        current += 1
    return _with(state, steps, current, state.stop)


def _close(plan: Plan, state: State, event: Stopped | Suppressed | Finished) -> State:
    """The facts about the delivery as a whole."""
    if isinstance(event, Finished):
        if state.outcome is not None:
            return state
        if event.outcome is not None and event.reason is not None:
            return _finished(state, Finish(event.outcome, event.reason, event.step, event.milestone))
        action = decide(plan, state, event.at)
        return _finished(state, action) if isinstance(action, Finish) else state
    stop = (event.reason, event.at, event.step if isinstance(event, Stopped) else None)
    # R10: of several the earliest, so that their order does not matter.
    if state.stop is not None and _stop_key(state.stop) <= _stop_key(stop):
        return state
    return _with(state, state.steps, state.current, stop)


def _fold_news(known: StepState, event: Accepted | Reported) -> StepState:
    """Somebody tells how far the message got."""
    milestone = event.milestone if isinstance(event, Reported) else _TOOK
    milestones = _raised(known.milestones, milestone, event.at)
    if known.failure is not None and _outweighs(milestones, known.failure):
        fact = Fact.PROVED
    else:
        fact = Fact.REPORTED if isinstance(event, Reported) else Fact.ACCEPTED
    phase = TRANSITIONS[known.phase][fact]
    if phase == known.phase and milestones is known.milestones:
        return known
    proved = phase == _ACCEPTED
    return StepState(
        phase,
        known.tries,
        known.called_at,
        known.first_called_at,
        milestones,
        None if proved else known.failure,
        None if proved else known.reason,
        known.failed_at,
        None if proved else known.retry_at,
        known.strikes,
        known.account,
        known.in_trouble,
    )


def _fold_call(step: Step, known: StepState, event: Called) -> StepState:
    """A call leaves. What the try before it failed with is history, but for its moment: a repeat of that failure
    must not end this call."""
    if known.called_at is not None and event.at <= known.called_at:
        return known  # the same call, told again
    phase = TRANSITIONS[known.phase][Fact.CALLED]
    calling = phase == _CALLING
    account = event.channel_id or step.channel_id
    return StepState(
        phase,
        known.tries + 1,
        event.at,
        known.first_called_at or event.at,
        known.milestones,
        None if calling else known.failure,
        None if calling else known.reason,
        known.failed_at,
        None if calling else known.retry_at,
        known.strikes,
        account,
        known.in_trouble - {account} if known.in_trouble else known.in_trouble,
    )


def _fold_left(known: StepState, event: Left) -> StepState:
    """The walk goes past this step. Its failure stays for the report; the reason is now why it was left."""
    if known.phase == _LEFT:
        return known
    return StepState(
        TRANSITIONS[known.phase][Fact.LEFT],
        known.tries,
        known.called_at,
        known.first_called_at,
        known.milestones,
        known.failure,
        event.reason,
        known.failed_at,
        None,
        known.strikes,
        known.account,
        known.in_trouble,
    )


def _fold_failure(known: StepState, event: Failed) -> StepState:
    """A call was refused, or a receipt says: it will not arrive."""
    if known.phase == _LEFT:
        return known
    if known.phase == _FAILED:
        # A second opinion on the same try: the graver one stays, of equals the earlier.
        if known.failure is not None and _gravity(known.failure, known.failed_at, known.reason) <= (
            _gravity(event.failure, event.at, event.reason)
        ):
            return known
    elif known.failed_at is not None and event.at <= known.failed_at:
        return known  # the failure of an earlier try, told again
    contradicted = _outweighs(known.milestones, event.failure)
    phase = TRANSITIONS[known.phase][Fact.CONTRADICTED if contradicted else Fact.FAILED]
    failed = phase == _FAILED
    retry_at = None
    if failed and (event.failure in RETRYABLE or event.failure in ACCOUNT_TROUBLE):
        # R9: one delay per try, longer each time, or what the provider asked for.
        retry_at = event.at + retry_delay(known.tries, event.jitter, event.retry_after)
    return StepState(
        phase,
        known.tries,
        known.called_at,
        known.first_called_at,
        known.milestones,
        event.failure if failed else None,
        event.reason if failed else None,
        event.at,
        retry_at,
        known.strikes - _is_counted(known) + (event.failure == FailureClass.TRANSIENT),
        known.account,
        # Not by an answer that what is known contradicts: the account has carried this message.
        known.in_trouble | {known.account}
        if failed and known.account and event.failure in ACCOUNT_TROUBLE
        else known.in_trouble,
    )


def _is_counted(known: StepState) -> bool:
    """This try has been a strike already: its outcome was unknown, or was until a receipt proved it accepted. A try
    counts once, by the last we know of it."""
    if known.phase == _UNKNOWN:
        return True
    settled = known.failed_at is not None and known.called_at is not None and known.failed_at >= known.called_at
    return known.phase == _ACCEPTED and settled


def _fold_unknown(step: Step, known: StepState, event: Failed | Unknown) -> StepState:
    """R8. A step of which anything is known was accepted, whatever became of the answer to its call."""
    if known.failed_at is not None and event.at <= known.failed_at:
        return known
    phase = TRANSITIONS[known.phase][Fact.ACCEPTED if known.milestones else Fact.UNKNOWN]
    if phase == known.phase:
        return known
    unknown = phase == _UNKNOWN
    return StepState(
        phase,
        known.tries,
        known.called_at or event.at,
        known.first_called_at or event.at,
        known.milestones,
        FailureClass.OUTCOME_UNKNOWN if unknown else None,
        None,
        event.at,
        event.at + retry_delay(known.tries, event.jitter) if unknown and step.idempotent else None,
        known.strikes + 1,
        known.account,
        known.in_trouble,
    )


def _raised(known: Mapping[Milestone, datetime], milestone: Milestone, at: datetime) -> Mapping[Milestone, datetime]:
    """R5: `known` with `milestone`, and all it proves, at the earliest moment each was told of."""
    news = {m: at for m in (*IMPLIES[milestone], milestone) if m not in known or at < known[m]}
    return {**known, **news} if news else known


def _outweighs(milestones: Mapping[Milestone, datetime], failure: FailureClass) -> bool:
    proof = OUTWEIGHS.get(failure)
    return proof is not None and proof in milestones


def _gravity(failure: FailureClass, at: datetime | None, reason: Reason | None) -> tuple[bool, float, str, str]:
    permanent = failure in {FailureClass.RECIPIENT_PERMANENT, FailureClass.MESSAGE_PERMANENT}
    return not permanent, at.timestamp() if at else 0.0, failure, reason or ""


def _stop_key(stop: tuple[Reason, datetime, int | None]) -> tuple[datetime, str, int]:
    reason, at, step = stop
    return at, reason, -1 if step is None else step


def _with(
    state: State, steps: tuple[StepState, ...], current: int, stop: tuple[Reason, datetime, int | None] | None
) -> State:
    # Spelled out, because dataclasses.replace() costs four times as much and this is the hot path.
    return State(
        steps,
        current,
        state.outcome,
        state.outcome_step,
        state.outcome_milestone,
        state.outcome_reason,
        stop,
        state.unreachable,
        state.closed_channels,
        state.zone,
        state.deadline,
        state.pauses,
    )


def _finished(state: State, finish: Finish) -> State:
    return State(
        state.steps,
        state.current,
        finish.outcome,
        finish.step,
        finish.milestone,
        finish.because,
        state.stop,
        state.unreachable,
        state.closed_channels,
        state.zone,
        state.deadline,
        state.pauses,
    )


# --- decide ----------------------------------------------------------------------------------------------

#: What the person did, as a reason to stop and as a milestone. A success, not an interruption.
_ANSWERS: Mapping[Reason, Milestone] = {
    Reason.REPLIED: Milestone.REPLIED,
    Reason.CLICKED: Milestone.CLICKED,
    Reason.GOAL: Milestone.GOAL,
}

#: A gate said no at the moment of a send (R11). Before the first message that is `suppressed`.
_GATES = frozenset(
    {
        Reason.NO_CONSENT,
        Reason.STOP_LIST,
        Reason.FREQUENCY_CAP,
        Reason.BUDGET,
        Reason.CONTACT_DELETED,
        Reason.HOLD_OUT,
    }
)

_TOO_LATE: Mapping[Milestone, Reason] = {
    Milestone.ACCEPTED: Reason.NOT_ACCEPTED_IN_TIME,
    Milestone.SENT: Reason.NOT_SENT_IN_TIME,
    Milestone.DELIVERED: Reason.NOT_DELIVERED_IN_TIME,
    Milestone.READ: Reason.NOT_READ_IN_TIME,
    Milestone.CLICKED: Reason.NOT_CLICKED_IN_TIME,
    Milestone.REPLIED: Reason.NOT_REPLIED_IN_TIME,
    Milestone.GOAL: Reason.GOAL_NOT_REACHED_IN_TIME,
}

_REACHED_FROM = RANK[Milestone.DELIVERED]


def decide(plan: Plan, state: State, now: datetime) -> Action:
    """What is owed to this delivery at `now` (aware UTC).

    Pure and repeatable: the same question has the same answer, and Wait(until) holds: asked again before
    `until` with nothing new known, the answer is the same; at `until` it is another one. The exceptions
    are waits for the world outside (CHANNEL_ON_HOLD, PAUSED without an end, IN_FLIGHT), which are asked
    again every PROBE_INTERVAL or CALL_GRACE.

    Raises zoneinfo.ZoneInfoNotFoundError or ValueError if State.zone is no zone and a window needs it.
    """
    if state.outcome is not None:
        return Finish(
            state.outcome,
            state.outcome_reason or Reason.ALL_STEPS_TRIED,
            state.outcome_step,
            state.outcome_milestone,
        )
    reached = _reached(plan, state)
    if state.stop is not None:
        return reached or _stopped(state, state.stop)  # R10
    index = state.current
    if index >= len(plan.steps):
        return reached or _ended(state, _last_word(state), Reason.ALL_STEPS_TRIED)
    known = state.steps[index]
    if known.phase == _CALLING:
        return _in_flight(known, index, now)  # R1, and R6: its result first
    if reached is not None:
        return reached
    deadline = _deadline(plan, state)
    if known.phase == _ACCEPTED or known.phase == _UNKNOWN:
        return _await(plan, state, index, known, now, deadline)
    if known.phase == _FAILED:
        return _after_failure(plan, state, index, known, now, deadline)
    because = Reason.FIRST_STEP if index == 0 else Reason.PREVIOUS_STEP_LEFT
    return _send(plan, state, index, now, deadline, because, None)


def settle(plan: Plan, state: State, now: datetime) -> tuple[State, list[Action]]:
    """Ask decide() until it stops skipping: the state after those skips, and every action on the way.

    The last action is Send, Wait or Finish, those before it are Skip, each already folded in as
    Left(step, because, now). A Finish is folded in too: the state returned has its outcome set.
    """
    actions: list[Action] = []
    while True:
        action = decide(plan, state, now)
        actions.append(action)
        if isinstance(action, Skip):
            state = apply(plan, state, Left(action.step, action.because, now))
            continue
        if isinstance(action, Finish) and state.outcome is None:
            state = _finished(state, action)
        return state, actions


def give_up_at(plan: Plan, state: State, step: int, now: datetime) -> datetime | None:
    """When a message of `step` accepted at `now` would be given up: the end of its time-to-live (R7).

    That is the moment the step would expire, or the deadline if it is earlier, so that a first message
    cannot arrive after its fallback has left. None if the wait is endless (an open pause).
    """
    first = plan.steps[step].expectations
    within = first[0].within if first else plan.steps[step].wait
    deadline = _deadline(plan, state)
    end = _clock_end(plan, state, step, 0, now, within, deadline)
    if end is None or deadline is None:
        return end
    return min(end, deadline)


def account(plan: Plan, state: State, step: int) -> int | None:
    """The account the next call of this step goes through; None while all of them are closed.

    The first in the step's order that is open and has not just refused this message for trouble of its own, else the
    first that is open. What may have left is repeated through the account it left by and through no other: only there
    the same key makes it the same message (R8).
    """
    here, known = plan.steps[step], state.steps[step]
    if known.phase == _UNKNOWN and known.account:
        return None if known.account in state.closed_channels else known.account
    open_ones = [one for one in here.accounts if one not in state.closed_channels]
    return next((one for one in open_ones if one not in known.in_trouble), open_ones[0] if open_ones else None)


# --- ends ------------------------------------------------------------------------------------------------


def _reached(plan: Plan, state: State) -> Finish | None:
    """R2, R6, R10: the step that met its last expectation, or was answered; of several the first in time."""
    found: tuple[datetime, int, Reason] | None = None
    for index, known in enumerate(state.steps):
        milestones = known.milestones
        if not milestones:
            continue
        if _GOAL in milestones:
            met = milestones[_GOAL], index, Reason.GOAL
        elif _REPLIED in milestones:
            met = milestones[_REPLIED], index, Reason.REPLIED
        else:
            expectations = plan.steps[index].expectations
            if not expectations or expectations[-1].milestone not in milestones:
                continue
            late = index < state.current
            because = Reason.LATE_RECEIPT if late else Reason.MILESTONE_MET
            met = milestones[expectations[-1].milestone], index, because
        if found is None or met[0] < found[0]:
            found = met
    if found is None:
        return None
    _, index, because = found
    return Finish(Outcome.REACHED, because, index, _highest(state.steps[index].milestones))


def _stopped(state: State, stop: tuple[Reason, datetime, int | None]) -> Finish:
    reason, _, step = stop
    answer = _ANSWERS.get(reason)
    if answer is not None and step is not None and _may_have_left(state.steps[step]):
        return Finish(Outcome.REACHED, reason, step, answer)
    if reason in _GATES:
        if not any(map(_may_have_left, state.steps)):
            return Finish(Outcome.SUPPRESSED, reason)
        return _ended(state, Outcome.STOPPED, reason)
    return Finish(Outcome.STOPPED, reason, *_best(state))


def _ended(state: State, outcome: Outcome, because: Reason) -> Finish:
    """cascade.md 4a: the walk is over; what was delivered on the way is not a failure."""
    step, milestone = _best(state)
    if milestone is not None and RANK[milestone] >= _REACHED_FROM:
        outcome = Outcome.REACHED
    return Finish(outcome, because, step, milestone)


def _last_word(state: State) -> Outcome:
    """All steps are left: `expired` if it was the deadline that kept one of them from being sent."""
    if any(known.reason == Reason.NO_TIME_LEFT for known in state.steps):
        return Outcome.EXPIRED
    return Outcome.EXHAUSTED


def _best(state: State) -> tuple[int | None, Milestone | None]:
    """The highest milestone of any step; of equals the earlier one."""
    best: tuple[int | None, Milestone | None] = (None, None)
    best_key: tuple[int, float] | None = None
    for index, known in enumerate(state.steps):
        if known.milestones:
            milestone = _highest(known.milestones)
            key = RANK[milestone], -known.milestones[milestone].timestamp()
            if best_key is None or key > best_key:
                best, best_key = (index, milestone), key
    return best


def _highest(milestones: Mapping[Milestone, datetime]) -> Milestone:
    return max(milestones, key=RANK.__getitem__)


def _may_have_left(known: StepState) -> bool:
    """Whether this step's message may be in the world."""
    return bool(known.milestones) or known.phase in {_CALLING, _UNKNOWN} or known.reason == Reason.UNKNOWN_UNRESOLVED


# --- the current step ------------------------------------------------------------------------------------


def _in_flight(known: StepState, index: int, now: datetime) -> Wait:
    """R1. The result, or the reaper of lapsed leases, will tell; asking is only a safety net."""
    latest = now + CALL_GRACE
    due = latest if known.called_at is None else known.called_at + CALL_GRACE
    return Wait(due if now < due < latest else latest, Reason.IN_FLIGHT, index)


def _await(
    plan: Plan,
    state: State,
    index: int,
    known: StepState,
    now: datetime,
    deadline: datetime | None,
) -> Action:
    """The message left, or may have: wait for what the step expects (R2, R6, R8)."""
    paused = _paused(state, now, deadline)
    if paused is not None:
        return Wait(paused, Reason.PAUSED, index)  # R20, R6: the clock stands still
    step = plan.steps[index]
    unknown = known.phase == _UNKNOWN
    position, within, anchor, because = _running(step, known, now)
    end = _clock_end(plan, state, index, position, anchor, within, deadline)
    if end is None:
        end = now + PROBE_INTERVAL  # a window that never opens: nothing will expire by itself
    if now >= end:
        return Skip(index, Reason.UNKNOWN_UNRESOLVED if unknown else because)
    if unknown and step.idempotent and known.retry_at is not None:
        repeat = _repeat(plan, state, index, known, now, deadline, end)
        if repeat is not None:
            return repeat
    return Wait(end, Reason.WAITING_FOR_MILESTONE, index)


def _running(step: Step, known: StepState, now: datetime) -> tuple[int, timedelta, datetime, Reason]:
    """The first expectation that is not met: its position, duration, the moment its clock began, and the
    reason to leave if it runs out. Met late counts as met: evidence over order."""
    milestones = known.milestones
    called = known.called_at
    started = milestones.get(_TOOK) or called or now
    if called is not None:
        if known.failed_at is not None and known.failed_at >= called:
            started = called  # the answer was lost or wrong: nobody told us when it was accepted (R8)
        elif known.first_called_at is not None and started < known.first_called_at:
            # A provider whose clock runs behind ours must not make every step expire at once.
            started = known.first_called_at
    before: datetime | None = None
    for position, expectation in enumerate(step.expectations):
        met = milestones.get(expectation.milestone)
        if met is None:
            anchor: datetime | None = started
            if expectation.anchor != _TOOK:
                anchor = milestones.get(expectation.anchor) or before
            if anchor is None or anchor < started:
                anchor = started
            return position, expectation.within, anchor, _TOO_LATE[expectation.milestone]
        before = met
    return 0, step.wait, started, Reason.TIME_PASSED


def _after_failure(
    plan: Plan,
    state: State,
    index: int,
    known: StepState,
    now: datetime,
    deadline: datetime | None,
) -> Action:
    """cascade.md section 4: the class is the consequence."""
    failure = known.failure
    if failure == FailureClass.RECIPIENT_PERMANENT:
        return Skip(index, known.reason or Reason.RECIPIENT_REFUSED)  # R3
    if failure == FailureClass.MESSAGE_PERMANENT:
        return Skip(index, known.reason or Reason.MESSAGE_REFUSED)
    retry_at = known.retry_at or now
    if failure in ACCOUNT_TROUBLE:
        other = account(plan, state, index)
        if other is not None and other not in known.in_trouble:
            return _send(plan, state, index, now, deadline, Reason.OTHER_ACCOUNT, None)  # R4: a reserve stands in
        if plan.on_trouble == TroublePolicy.GO_ON:
            return Skip(index, Reason.ACCOUNT_TROUBLE)  # R4
        # Hold: asked again until the account is mended, not counted, and not bound by the step's own wait.
        if deadline is not None and retry_at >= deadline > now:
            return Wait(deadline, Reason.CHANNEL_ON_HOLD, index)
        return _send(plan, state, index, now, deadline, Reason.RETRY, retry_at)
    # R9. `limit` is the end of the step's own wait, counted from its first call.
    if known.strikes > plan.steps[index].max_tries:
        return Skip(index, Reason.RETRIES_USED_UP)
    limit = _retry_limit(plan, state, index, known, deadline)
    if limit is not None and (
        retry_at >= limit
        # Under HOLD a retry that was planned in time but was held up by a closed channel is still made:
        # else an outage longer than the wait would push a whole campaign into a dearer channel (R4, I27).
        or (now >= limit and plan.on_trouble == TroublePolicy.GO_ON)
    ):
        return Skip(index, Reason.RETRIES_USED_UP)
    return _send(plan, state, index, now, deadline, Reason.RETRY, retry_at)


def _repeat(
    plan: Plan,
    state: State,
    index: int,
    known: StepState,
    now: datetime,
    deadline: datetime | None,
    end: datetime,
) -> Action | None:
    """R8: the same message with the same key, if that fits; None: wait for a receipt instead.

    Whatever keeps it from being repeated (tries, hours, a closed channel, a deadline) does not let the step
    be left before its time: the first call may have worked.
    """
    step = plan.steps[index]
    retry_at = known.retry_at or now
    if known.strikes > step.max_tries or index in state.unreachable:
        return None
    if account(plan, state, index) is None:
        return None
    limit = _retry_limit(plan, state, index, known, deadline)
    due = next_open_moment(step.window, state.zone, max(now, retry_at))
    if due is None or due >= end or (limit is not None and due >= limit):
        return None
    if deadline is not None and due >= deadline:
        return None
    return Send(index, Reason.RETRY) if due <= now else Wait(due, Reason.RETRY_LATER, index)


def _send(
    plan: Plan,
    state: State,
    index: int,
    now: datetime,
    deadline: datetime | None,
    because: Reason,
    not_before: datetime | None,
) -> Action:
    """This step is owed a call: now, later, or never."""
    if deadline is not None and now >= deadline:
        return _ended(state, Outcome.EXPIRED, Reason.DEADLINE_PASSED)  # R13
    paused = _paused(state, now, deadline)
    if paused is not None:
        return Wait(paused, Reason.PAUSED, index)  # R20
    unreachable = state.unreachable.get(index)
    if unreachable is not None:
        return Skip(index, unreachable)  # R4: known-unreachable costs no call
    step = plan.steps[index]
    # Most steps have one account and most accounts are well: the hot path asks no more than that.
    if state.closed_channels and account(plan, state, index) is None:
        if plan.on_trouble == TroublePolicy.GO_ON:
            return Skip(index, Reason.ACCOUNT_TROUBLE)  # R4
        probe = now + PROBE_INTERVAL
        until = probe if deadline is None else min(probe, deadline)
        return Wait(until, Reason.CHANNEL_ON_HOLD, index)
    due = now if not_before is None or not_before < now else not_before
    if step.window is not None:
        opens = next_open_moment(step.window, state.zone, due)  # R12
        if opens is None or (deadline is not None and opens >= deadline):
            return Skip(index, Reason.NO_TIME_LEFT)  # a later step may have other hours
        if opens > due:
            return Wait(opens, Reason.QUIET_HOURS, index)
    if due > now:
        on_hold = state.steps[index].failure in ACCOUNT_TROUBLE
        return Wait(due, Reason.CHANNEL_ON_HOLD if on_hold else Reason.RETRY_LATER, index)
    return Send(index, because)


def _paused(state: State, now: datetime, deadline: datetime | None) -> datetime | None:
    """When to ask again if a pause covers `now`, else None (R20). A pause ends at the deadline: from then on
    there is no send left to hold back, and what was sent must come to an end."""
    if not state.pauses or (deadline is not None and now >= deadline):
        return None
    pause = pause_at(state.pauses, now)
    if pause is None:
        return None
    until = pause[1] if pause[1] is not None else now + PROBE_INTERVAL
    return until if deadline is None else min(until, deadline)


# --- the clock of a step (R6) and the deadline (R13) -------------------------------------------------------


def _deadline(plan: Plan, state: State) -> datetime | None:
    if state.deadline is None:
        return plan.not_after
    if plan.not_after is None:
        return state.deadline
    return min(state.deadline, plan.not_after)


def _pauses(state: State, deadline: datetime | None) -> tuple[tuple[datetime, datetime | None], ...]:
    if deadline is None or not state.pauses:
        return state.pauses
    return tuple(
        (start, deadline if end is None or end > deadline else end) for start, end in state.pauses if start < deadline
    )


def _clock_end(
    plan: Plan,
    state: State,
    index: int,
    position: int,
    anchor: datetime,
    within: timedelta,
    deadline: datetime | None,
) -> datetime | None:
    """The moment `within`, counted from `anchor` on the step's clock, has passed; None if it never does."""
    window = plan.steps[index].window
    if deadline is not None:
        within = _shrunk(plan, state, index, position, anchor, deadline, (within,))
    elif window is None and not state.pauses:
        return anchor + within
    return add_open_time(window, state.zone, anchor, within, _pauses(state, deadline))


def _retry_limit(plan: Plan, state: State, index: int, known: StepState, deadline: datetime | None) -> datetime | None:
    """R9: retries end where the step's own wait would, had the first call been accepted; never later than the
    deadline. A step that does not wait at all still has its min_wait for retries."""
    if known.first_called_at is None:
        return deadline
    step = plan.steps[index]
    legs = _legs(step)
    total = max(sum(legs, timedelta(0)), step.min_wait)
    start = known.first_called_at
    if deadline is not None:
        total = max(_shrunk(plan, state, index, 0, start, deadline, legs), step.min_wait)
    end = add_open_time(step.window, state.zone, start, total, _pauses(state, deadline))
    if end is None or deadline is None:
        return end or deadline
    return min(end, deadline)


#: (hours of the step, its wait, what the wait never shrinks below)
_Leg = tuple[SendWindow | None, timedelta, timedelta]

#: Shares of a wait are counted in this: 0.1 s of two hours, finer than any tick.
_SCALE = 1 << 16
#: What a message has at least to go out in.
_LEAST = timedelta(seconds=1)


def _legs(step: Step) -> tuple[timedelta, ...]:
    """How much longer each expectation can keep the step waiting when all before it are met at the last
    moment. Sums to the longest time a step can wait."""
    if not step.expectations:
        return (step.wait,)
    legs = []
    total = timedelta(0)
    for position, expectation in enumerate(step.expectations):
        # Anchored at the start of the step it overlaps what came before; else it comes on top.
        from_start = position == 0 or RANK[expectation.anchor] <= RANK[Milestone.SENT]
        end = expectation.within if from_start else total + expectation.within
        legs.append(max(end - total, timedelta(0)))
        total = max(total, end)
    return tuple(legs)


def _legs_ahead(step: Step) -> list[_Leg]:
    """The legs of a step that is still to be sent, with their floors. A message needs time to go out and arrive even
    if its step waits for nothing: without a reserve the one before would wait until the very deadline."""
    legs = _legs(step)
    if not any(legs):
        least = max(step.min_wait, _LEAST)
        return [(step.window, least, least)]
    return [(step.window, leg, max(min(step.min_wait, leg), _LEAST)) for leg in legs]


def _shrunk(
    plan: Plan,
    state: State,
    index: int,
    position: int,
    anchor: datetime,
    deadline: datetime,
    own: tuple[timedelta, ...],
) -> timedelta:
    """R13: how much of the waits `own` (the first being expectation `position` of step `index`, its clock
    begun at `anchor`) is left when all waits ahead must fit before the deadline.

    The waits ahead shrink in proportion, none below its step's min_wait, so that the last message leaves
    in time and has its share of time to arrive. Each is walked through its own window: a chain may end
    in a channel that sleeps while the first one is awake. Depends on facts alone, so the answer is stable.
    The last step is not shortened: nothing waits behind it.
    """
    total = sum(own, timedelta(0))
    ahead = [
        leg
        for later, step in enumerate(plan.steps[index + 1 :], index + 1)
        if later not in state.unreachable
        for leg in _legs_ahead(step)
    ]
    if not ahead:
        return total
    step = plan.steps[index]
    rest = (*own, *_legs(step)[position + len(own) :])
    legs = [(step.window, leg, min(step.min_wait, leg)) for leg in rest] + ahead
    scale = _scale(legs, state.zone, _pauses(state, deadline), anchor, deadline)
    if scale == _SCALE:
        return total
    return sum((max(leg * scale // _SCALE, min(step.min_wait, leg)) for leg in own), timedelta(0))


def _scale(
    legs: list[_Leg],
    zone: str,
    pauses: tuple[tuple[datetime, datetime | None], ...],
    anchor: datetime,
    deadline: datetime,
) -> int:
    """The largest share of the waits, in 1/65536, with which all of them pass before the deadline.

    Bisection: the end of the walk grows with the share, and with hours that differ from step to step
    there is no closed form. Price: 17 walks for a delivery that must shrink, one for any other.
    """
    if _fits(legs, zone, pauses, anchor, deadline, _SCALE):
        return _SCALE
    low, high = 0, _SCALE
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(legs, zone, pauses, anchor, deadline, middle):
            low = middle
        else:
            high = middle
    return low


def _fits(
    legs: list[_Leg],
    zone: str,
    pauses: tuple[tuple[datetime, datetime | None], ...],
    anchor: datetime,
    deadline: datetime,
    scale: int,
) -> bool:
    at: datetime | None = anchor
    for window, leg, floor in legs:
        at = next_open_moment(window, zone, at) if at is not None else None
        if at is None or at > deadline:
            return False
        at = add_open_time(window, zone, at, max(leg * scale // _SCALE, floor), pauses)
    return at is not None and at <= deadline
