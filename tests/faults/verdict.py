"""The judge. What the provider saw (the emulator's journal) decides; our own rows are compared with it, never trusted."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, Sum

from deliveries.models import Attempt, AttemptState, Delivery, DeliveryState
from emulator.behaviours import NOT_SENT
from emulator.journal import Journal, Record


@dataclass(frozen=True)
class Verdict:
    """Counts of what must not be. All zero, but `unknown`, which the caller bounds."""

    #: People without a delivery, deliveries that are not final or have no reason, and people nobody wrote to although
    #: the rows say that they were tried.
    lost: int
    #: A step's message that reached the provider whole more than once.
    duplicates: int
    #: The same, where no attempt of the delivery is marked as unknown.
    duplicates_unflagged: int
    #: Attempts whose outcome nobody knows.
    unknown: int
    #: Messages of a step that came before an earlier step's, or before its wait was over.
    order: int
    #: Messages sent after the stop, or the end, was written down.
    after_stop: int
    #: Requests for one person held at the same time, beyond the first.
    overlap: int
    #: Deliveries said to be reached by a message the provider never took.
    unbacked: int
    #: Our references that came to the provider twice.
    repeated_refs: int
    #: Rows held by nobody: not final, leased, or an attempt in the call.
    orphans: int
    #: What the provider charged minus what we booked.
    money_delta: Decimal
    #: Receipts the provider could not get rid of: then money and milestones may differ by right.
    receipts_refused: int

    def faults(self) -> dict[str, Any]:
        """The counts that must be zero and are not."""
        bounded = {"unknown", "duplicates"}
        return {name: value for name, value in asdict(self).items() if value and name not in bounded}


def judge(
    journal: Journal,
    people: Sequence[str],
    providers: Sequence[str],
    waits: Mapping[str, timedelta],
    lease: timedelta,
    patient: frozenset[str] = frozenset(),
) -> Verdict:
    """Compare the journal with the rows of the only campaign there is.

    `people`: recipients as the journal names them. `providers`: the chain's, in order; a person has the same address
    in each. `waits`: each provider's step wait. `lease`: a message written down leaves within it. `patient`: people whose steps are
    only left because the time is over.
    """
    sends: dict[str, list[Record]] = defaultdict(list)
    for record in journal.sends():
        sends[record["recipient"]].append(record)
    twice = journal.duplicates(retryable=NOT_SENT)
    doubted = set(_phones(Delivery.objects.filter(has_unknown=True)))
    return Verdict(
        lost=_lost(people, sends),
        duplicates=len(twice),
        duplicates_unflagged=sum(1 for _, person, _ in twice if person not in doubted),
        unknown=Attempt.objects.filter(state=AttemptState.UNKNOWN).count(),
        order=sum(_out_of_order(records, providers) for records in sends.values())
        + sum(_too_early(sends[person], waits) for person in patient),
        after_stop=_after_stop(sends, lease),
        overlap=max(0, journal.max_overlap() - 1),
        unbacked=_unbacked(sends, providers),
        repeated_refs=len(journal.repeated_refs()),
        orphans=Delivery.objects.exclude(state=DeliveryState.FINAL).count()
        + Attempt.objects.filter(state=AttemptState.CALLING).count(),
        money_delta=money_delta(journal),
        receipts_refused=len(journal.undelivered_callbacks()),
    )


def money_delta(journal: Journal) -> Decimal:
    """What the provider charged minus what we booked."""
    return journal.cost() - (Attempt.objects.aggregate(sum=Sum("cost"))["sum"] or Decimal(0))


def _phones(deliveries: Any) -> list[str]:
    return [phone.lstrip("+") for phone in deliveries.values_list("contact__phone", flat=True)]


def _lost(people: Sequence[str], sends: Mapping[str, list[Record]]) -> int:
    final = Delivery.objects.filter(state=DeliveryState.FINAL).exclude(outcome="").exclude(outcome_reason="")
    without_end = set(people) - set(_phones(final))
    # Nobody wrote to them: only right where a killed worker had written its attempt down and never got to call (C3).
    untouched = {person for person in people if person not in sends} - without_end
    certain = Attempt.objects.filter(state=AttemptState.UNKNOWN).values("delivery_id")
    forgotten = untouched & set(_phones(final.exclude(pk__in=certain)))
    return len(without_end) + len(forgotten)


def _out_of_order(records: Sequence[Record], providers: Sequence[str]) -> int:
    places = [providers.index(record["provider"]) for record in records]
    return sum(1 for before, after in itertools.pairwise(places) if after < before)


def _too_early(records: Sequence[Record], waits: Mapping[str, timedelta]) -> int:
    early = 0
    for before, after in itertools.pairwise(records):
        wait = waits[before["provider"]].total_seconds()
        # Where no answer was recorded the wait runs from the moment the attempt was written down: before its turn on the
        # channel's pace (a second at most) and before a busy machine has got it out.
        early += before["provider"] != after["provider"] and after["t"] - before["t"] < wait - 2.0
    return early


def _after_stop(sends: Mapping[str, list[Record]], lease: timedelta) -> int:
    began_late = Attempt.objects.filter(
        Q(called_at__gt=F("delivery__stop_at")) | Q(called_at__gt=F("delivery__finished_at"))
    ).count()
    came_late = 0
    stops = Delivery.objects.filter(stop_at__isnull=False).values_list("contact__phone", "stop_at")
    for phone, stop_at in stops:
        last = (stop_at + lease).timestamp()
        came_late += sum(1 for record in sends.get(phone.lstrip("+"), ()) if record["w"] > last)
    return began_late + came_late


def _unbacked(sends: Mapping[str, list[Record]], providers: Sequence[str]) -> int:
    reached = Delivery.objects.filter(outcome="reached").values_list("contact__phone", "outcome_step")
    return sum(
        1
        for phone, step in reached
        if not any(r["accepted"] and r["provider"] == providers[step] for r in sends.get(phone.lstrip("+"), ()))
    )
