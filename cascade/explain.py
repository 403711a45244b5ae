"""Why did this happen? A decision as a reason code and parameters, from which the timeline is worded (R16).

The code and the parameters are stored; the sentence is made when it is shown, so wording can improve
without touching history. The sentences here are English message ids with named parameters; the ones owners
read come from the translation catalogues (`deliveries` calls gettext on them). `gettext_noop` only marks
them for makemessages.

Parameters are plain JSON values, so they can be stored as they are:

============  ========  ================================================================
step          int       number of the step as people count, from 1
steps         int       how many steps the plan has
kind          str       ChannelKind of the step
channel_id    int       which account
until         str       ISO 8601, UTC: localise before formatting
within        float     seconds the running expectation, or the step, waits (before any shrinking, R13)
milestone     str       Milestone that ended it, where one did
============  ========  ================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cascade.actions import Action, Finish, Send, Skip, Wait
from cascade.plan import Plan, Step
from cascade.vocabulary import Milestone, Outcome, Reason

Parameters = dict[str, str | int | float]


def gettext_noop(message: str) -> str:
    """Mark a message for extraction and return it unchanged: the core knows no languages."""
    return message


#: One sentence per reason. Uses only parameters that explain() gives with that reason.
REASON_TEXT: Mapping[Reason, str] = {
    # a step was left
    Reason.NO_ADDRESS: gettext_noop("Step %(step)s skipped: the contact has no address for %(kind)s."),
    Reason.NOT_REGISTERED: gettext_noop("Step %(step)s left: nobody is registered there (%(kind)s)."),
    Reason.BLOCKED: gettext_noop("Step %(step)s left: the person has blocked this sender (%(kind)s)."),
    Reason.RECIPIENT_REFUSED: gettext_noop("Step %(step)s left: %(kind)s refuses this recipient for good."),
    Reason.NO_ANSWER: gettext_noop("Step %(step)s left: nobody answered the call."),
    Reason.MESSAGE_REFUSED: gettext_noop("Step %(step)s left: %(kind)s refused this text or template."),
    Reason.ACCOUNT_TROUBLE: gettext_noop(
        "Step %(step)s left: the %(kind)s account cannot send now, and this chain does not wait for it."
    ),
    Reason.EVERYBODY_REFUSED: gettext_noop(
        "Step %(step)s: the refusal is not believed, because %(kind)s suddenly refuses everybody. That is the account's "
        "trouble, so the message waits for the account."
    ),
    Reason.CHANNEL_DISABLED: gettext_noop("Step %(step)s skipped: this channel is switched off."),
    Reason.CONDITION: gettext_noop("Step %(step)s skipped: it is not meant for this contact."),
    Reason.EMPTY_VARIABLE: gettext_noop("Step %(step)s skipped: the text needs a value this contact does not have."),
    Reason.NOT_ACCEPTED_IN_TIME: gettext_noop("Step %(step)s left: not accepted in the time it had."),
    Reason.NOT_SENT_IN_TIME: gettext_noop("Step %(step)s left: not sent on in the time it had."),
    Reason.NOT_DELIVERED_IN_TIME: gettext_noop("Step %(step)s left: not delivered in the time it had."),
    Reason.NOT_READ_IN_TIME: gettext_noop("Step %(step)s left: not read in the time it had."),
    Reason.NOT_CLICKED_IN_TIME: gettext_noop("Step %(step)s left: the link was not followed in the time it had."),
    Reason.NOT_REPLIED_IN_TIME: gettext_noop("Step %(step)s left: no reply in the time it had."),
    Reason.GOAL_NOT_REACHED_IN_TIME: gettext_noop("Step %(step)s left: the goal was not reached in the time it had."),
    Reason.TIME_PASSED: gettext_noop("Step %(step)s left: its time has passed."),
    Reason.RETRIES_USED_UP: gettext_noop("Step %(step)s left: no further try fits into its time."),
    Reason.UNKNOWN_UNRESOLVED: gettext_noop(
        "Step %(step)s left: nobody knows whether it was sent, and no receipt came in its time."
    ),
    Reason.NO_TIME_LEFT: gettext_noop("Step %(step)s skipped: its hours begin only after the deadline."),
    # waiting
    Reason.WAITING_FOR_MILESTONE: gettext_noop("Step %(step)s sent: waiting for news until %(until)s."),
    Reason.QUIET_HOURS: gettext_noop("Step %(step)s waits for the recipient's morning: %(until)s."),
    Reason.PAUSED: gettext_noop("Paused."),
    Reason.PERSON_ASKED: gettext_noop("An answer of this person may have meant “stop”: somebody has to read it first."),
    Reason.RETRY_LATER: gettext_noop("Step %(step)s will be tried again at %(until)s."),
    Reason.CHANNEL_ON_HOLD: gettext_noop("Step %(step)s waits: the %(kind)s account cannot send now."),
    Reason.SPEED_LIMIT: gettext_noop("Step %(step)s waits for its turn: the speed of this campaign is limited."),
    Reason.IN_FLIGHT: gettext_noop("Step %(step)s is being sent."),
    # sending
    Reason.FIRST_STEP: gettext_noop("Step %(step)s goes out (%(kind)s)."),
    Reason.PREVIOUS_STEP_LEFT: gettext_noop("Step %(step)s goes out (%(kind)s), because the one before did not work."),
    Reason.RETRY: gettext_noop("Step %(step)s is tried again (%(kind)s)."),
    Reason.OTHER_ACCOUNT: gettext_noop(
        "Step %(step)s goes out through a reserve account (%(kind)s), because the one before it cannot send now."
    ),
    # finished
    Reason.MILESTONE_MET: gettext_noop("What was expected has happened."),
    Reason.LATE_RECEIPT: gettext_noop("An earlier step turned out to have worked."),
    Reason.ALL_STEPS_TRIED: gettext_noop("All steps have been tried."),
    Reason.DEADLINE_PASSED: gettext_noop("The deadline has passed: nothing more is sent."),
    Reason.REPLIED: gettext_noop("The person has answered."),
    Reason.CLICKED: gettext_noop("The person has confirmed."),
    Reason.GOAL: gettext_noop("The goal has been reached."),
    Reason.OPTED_OUT: gettext_noop("The person does not want to be written to."),
    Reason.CANCELLED: gettext_noop("Cancelled."),
    Reason.OBJECT_CHANGED: gettext_noop("What it was about has changed in the CRM."),
    Reason.NO_CONSENT: gettext_noop("There is no consent for this kind of message."),
    Reason.STOP_LIST: gettext_noop("The contact is on the stop-list."),
    Reason.FREQUENCY_CAP: gettext_noop("The contact has had enough messages for now."),
    Reason.BUDGET: gettext_noop("The budget is used up."),
    Reason.CONTACT_DELETED: gettext_noop("The contact has been deleted."),
    Reason.HOLD_OUT: gettext_noop("The contact belongs to the group that is not written to, for comparison."),
}

#: What a Finish adds in front of its reason.
OUTCOME_TEXT: Mapping[Outcome, str] = {
    Outcome.REACHED: gettext_noop("Reached."),
    Outcome.EXHAUSTED: gettext_noop("Not reached."),
    Outcome.STOPPED: gettext_noop("Stopped."),
    Outcome.SUPPRESSED: gettext_noop("Nothing was sent."),
    Outcome.EXPIRED: gettext_noop("Too late."),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A line of the timeline before it is worded: look `reason` up in REASON_TEXT, fill in `parameters`."""

    reason: Reason
    parameters: Parameters
    outcome: Outcome | None = None

    def in_english(self) -> str:
        """The sentence as it stands here: for logs, tests and the simulation, never for owners."""
        sentence = REASON_TEXT[self.reason] % self.parameters
        return sentence if self.outcome is None else f"{OUTCOME_TEXT[self.outcome]} {sentence}"


def explain(plan: Plan, action: Action) -> Explanation:
    """The reason and parameters of what decide() answered for `plan`. Never raises for an action of that plan."""
    parameters: Parameters = {"steps": len(plan.steps)}
    if action.step is not None:
        step = plan.steps[action.step]
        parameters["step"] = action.step + 1
        parameters["kind"] = step.kind.value
        parameters["channel_id"] = step.channel_id
    match action:
        case Wait(until=until):
            parameters["until"] = until.isoformat()
        case Skip(step=index, because=because):
            parameters["within"] = _within(plan.steps[index], because)
        case Finish(milestone=milestone):
            if milestone is not None:
                parameters["milestone"] = milestone.value
            return Explanation(action.because, parameters, action.outcome)
        case Send():
            pass
    return Explanation(action.because, parameters)


_EXPECTED: Mapping[Reason, Milestone] = {
    Reason.NOT_ACCEPTED_IN_TIME: Milestone.ACCEPTED,
    Reason.NOT_SENT_IN_TIME: Milestone.SENT,
    Reason.NOT_DELIVERED_IN_TIME: Milestone.DELIVERED,
    Reason.NOT_READ_IN_TIME: Milestone.READ,
    Reason.NOT_CLICKED_IN_TIME: Milestone.CLICKED,
    Reason.NOT_REPLIED_IN_TIME: Milestone.REPLIED,
    Reason.GOAL_NOT_REACHED_IN_TIME: Milestone.GOAL,
}


def _within(step: Step, because: Reason) -> float:
    """Seconds the step was given for what it missed; for other reasons the longest it could have waited."""
    missed = _EXPECTED.get(because)
    for expectation in step.expectations:
        if expectation.milestone == missed:
            return expectation.within.total_seconds()
    if step.expectations:
        return max(expectation.within.total_seconds() for expectation in step.expectations)
    return step.wait.total_seconds()
