"""One message to one person outside any campaign, asked for by another program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from cascade.vocabulary import Milestone, Purpose, Reason
from channels.models import Chain
from channels.services.accounts import AccountError, adapter_for
from channels.services.chains import CODES_ONLY, Level, Rung, validate_chain
from deliveries.models import Attempt, AttemptState, Delivery, DeliveryState
from deliveries.services import reports
from deliveries.services.launch import create_delivery
from deliveries.services.plans import shared_plan
from deliveries.services.stops import stop_of_delivery
from templates_app.models import MessageTemplate

_DISABLED = gettext_noop("The channel “%(channel)s” is switched off.")
_STEP = gettext_noop("Step %(step)s: %(problem)s")


class NotReadyError(Exception):
    """The chain cannot carry a message now. `problems`: why, in the language of the moment."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def send(
    contact_id: int,
    chain: Chain,
    template: MessageTemplate,
    purpose: Purpose,
    *,
    dedup_key: str,
    variables: Mapping[str, Any] | None = None,
    not_after: datetime | None = None,
) -> tuple[int, bool]:
    """Begin a cascade to one person. Out: delivery id, whether it is new (R14: one `dedup_key`, one delivery).

    In: a template with its variants prefetched; `not_after` aware. Gates (consent, stop-list, caps, hours) are asked
    where they always are, before each step. Raises NotReadyError. The caller wakes the engine (deliveries.tasks).
    """
    if problems := not_ready(chain):
        raise NotReadyError(problems)
    plan = shared_plan(chain, template, purpose)
    return create_delivery(contact_id, plan, dedup_key=dedup_key, variables=variables, not_after=not_after)


def not_ready(chain: Chain) -> list[str]:
    """Why this chain cannot carry anything now; empty: it can."""
    steps = list(chain.steps.select_related("channel"))
    found = []
    for step in steps:
        try:
            if adapter_for(step.channel).capabilities.codes_only:
                found.append(_(CODES_ONLY) % {"channel": step.channel.name})
        except AccountError as error:
            found.append(_(error.message) % error.params)
    if found:
        return found
    for problem in validate_chain([Rung.of(step) for step in steps]):
        if problem.level is Level.ERROR:
            said = problem.text()
            found.append(said if problem.step is None else _(_STEP) % {"step": problem.step + 1, "problem": said})
    channels = {step.channel_id: step.channel for step in steps}.values()
    return found + [_(_DISABLED) % {"channel": channel.name} for channel in channels if not channel.enabled]


def cancel(delivery_id: int) -> bool:
    """The message makes no sense any more. False: it has ended already. What has left cannot be called back by this."""
    return stop_of_delivery(delivery_id, Reason.CANCELLED)


@transaction.atomic
def reach_goal(delivery_id: int, at: datetime) -> bool:
    """The target action happened (paid, confirmed, came): noted on the newest message that left, and the cascade ends.

    Before anything has left the cascade is stopped: there is nothing to ask for any more. `at`: aware. False: no such
    delivery, or there is nothing left to note. Safe to repeat: a milestone keeps its earliest moment.
    """
    # The row's lock first, as everywhere; a send that begins now waits and then finds the stop.
    delivery = Delivery.objects.select_for_update(no_key=True, of=("self",)).filter(pk=delivery_id).first()
    if delivery is None:
        return False
    left = Attempt.objects.filter(delivery_id=delivery_id).exclude(state=AttemptState.FAILED)
    attempt = left.order_by("-step", "-try_no").first()
    if attempt is not None:
        reports.raise_milestone(attempt.pk, Milestone.GOAL, at)
        return True
    return delivery.state != DeliveryState.FINAL and stop_of_delivery(delivery_id, Reason.GOAL)
