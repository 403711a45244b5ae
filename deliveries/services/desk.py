"""THE DESK: what a colleague does with a task. Pure bookkeeping: the engine hears of it like of any provider's report.

A task appears with the result of its attempt (services.send.results) and is withdrawn with the decision that makes it
pointless (services.decisions). Here it is taken, put off and closed. Two colleagues may press at once: each of these is
one conditional UPDATE, and who comes second is told who was first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from cascade.actions import Wait
from cascade.vocabulary import Reason
from channels.providers.base import CallbackRequest
from channels.providers.operator import Said
from deliveries.models import Delivery, DeliveryState, OperatorTask, SaidChoices
from deliveries.services import receipts
from deliveries.services.decisions import database_now, judge, load_attempts, load_surroundings
from deliveries.snapshots import DeliveryFacts, frozen_plan


@dataclass(frozen=True, slots=True)
class Late:
    """It was not to be: why, in the language of the moment."""

    why: str


def take(task_id: int, user: AbstractBaseUser) -> Late | None:
    """Put an open task on one's own list, also from somebody else's (a colleague who went home)."""
    taken = OperatorTask.objects.filter(pk=task_id, state=OperatorTask.State.OPEN)
    return None if taken.update(taken_by=user, taken_at=database_now()) else _gone(task_id)


def put_back(task_id: int) -> Late | None:
    """Back to everybody's list."""
    open_task = OperatorTask.objects.filter(pk=task_id, state=OperatorTask.State.OPEN)
    return None if open_task.update(taken_by=None, taken_at=None) else _gone(task_id)


def call_later(task_id: int, user: AbstractBaseUser, at: datetime) -> Late | None:
    """The person asked to be called at `at` (aware). Stays with this colleague. Refused for a moment that is over, and
    for one when the chain has gone on and the task is withdrawn."""
    with transaction.atomic():
        task = OperatorTask.objects.select_for_update().filter(pk=task_id).first()
        if task is None or task.state != OperatorTask.State.OPEN:
            return _gone(task_id)
        if at <= database_now():
            return Late(_("This moment is over. Choose a later one."))
        ends = goes_on_at(task)
        if ends is not None and at >= ends:
            return Late(_("By then the chain has gone on and somebody else has written. Choose an earlier moment."))
        task.due_at, task.taken_by, task.taken_at = at, user, task.taken_at or database_now()  # type: ignore[assignment]
        task.postponed = F("postponed") + 1
        task.save(update_fields=["due_at", "taken_by", "taken_at", "postponed"])
    return None


def close(task_id: int, user: AbstractBaseUser, said: Said, note: str = "") -> Late | None:
    """Report what came of the call; the engine learns it from its inbox, in this very transaction.

    A withdrawn task may be reported too: the call may have been made before the news came, and what the person said
    counts whenever it is told (R6). Only the first report counts.
    """
    note = note.replace("\x00", "").strip()[:500]
    with transaction.atomic():
        closed = OperatorTask.objects.filter(pk=task_id).exclude(state=OperatorTask.State.DONE)
        now = database_now()
        if not closed.update(
            state=OperatorTask.State.DONE,
            outcome=said.value,
            note=note,
            closed_by=user,
            closed_at=now,
            withdrawn_because="",
        ):
            return _gone(task_id)
        task = OperatorTask.objects.get(pk=task_id)
        who = user.get_username()
        words = f"{SaidChoices(said.value).label} ({who}){': ' if note else ''}{note}"
        told = {
            "ref": task.client_ref,
            "said": said.value,
            "words": words,
            "address": task.address,
            "at": int(now.timestamp()),
        }
        body = json.dumps(told, ensure_ascii=False, sort_keys=True).encode()
        receipts.store(task.channel_id, CallbackRequest("POST", {}, {}, body))
    return None


def goes_on_at(task: OperatorTask) -> datetime | None:
    """When the chain will go on without this call, as far as it is known; None when it has ended or is being asked."""
    facts = Delivery.objects.filter(pk=task.delivery_id, state=DeliveryState.WAITING, step=task.step)
    found = facts.values_list(*DeliveryFacts._fields).first()
    if found is None:
        return None
    row, now = DeliveryFacts._make(found), database_now()
    frozen = frozen_plan(*row.walk)
    around = load_surroundings([row], {row.walk: frozen}, now)[row.id]
    action = judge(row, frozen, load_attempts([row.id])[row.id], around, now).action
    return action.until if isinstance(action, Wait) and action.because is Reason.WAITING_FOR_MILESTONE else None


def _gone(task_id: int) -> Late:
    """Why a task cannot be worked on any more."""
    task = OperatorTask.objects.select_related("closed_by").filter(pk=task_id).first()
    if task is None:
        return Late(_("This task does not exist any more."))
    if task.state == OperatorTask.State.WITHDRAWN:
        return Late(_("This task has been withdrawn meanwhile."))
    who = task.closed_by.get_username() if task.closed_by else "…"
    return Late(_("Already reported by %(who)s: “%(outcome)s”.") % {"who": who, "outcome": task.get_outcome_display()})
