"""CLICKS: who followed the link, a person or a machine (T15).

Messengers' previews name themselves and are not counted. Mail is worse: scanners of companies and mail programs open the
links of a letter like any browser would, within seconds of its arrival, often all of them at once. So a visit of an
e-mail's link is written down and judged a moment later:

* a link that nobody can see was opened within two seconds, or the page for unsubscribing: a machine;
* less than a minute after the letter left: a machine, unless the page with a script in it was really shown, which is what
  such an early visitor gets instead of the redirect (a person does not notice the difference);
* anything else: a person, and that is what "read" means for e-mail.

Where the link leads is not held up by any of this. A GET writes down that it was seen and changes nothing else; only the
page's own POST confirms. The price: a person is counted three seconds late, and one whose mail program opens everything
beside them is not counted at all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now

from cascade.vocabulary import ChannelKind, Milestone
from deliveries.models import Attempt, LinkVisit
from deliveries.services import reports
from deliveries.services.decisions import database_now
from deliveries.snapshots import StepTerms, frozen_plan

#: No person reads and follows a link so soon after the letter left for its server.
TOO_EARLY = timedelta(seconds=60)
#: Nobody opens two different links in so short a time.
TOGETHER = timedelta(seconds=2)
#: What belongs together has come by then.
SETTLED = TOGETHER + timedelta(seconds=1)
#: The page confirms itself while it is shown; a person may take this long to reach it.
CONFIRMS_WITHIN = timedelta(seconds=30)
#: Visits of one letter that are written down; a monitor that opens a link for ever fills no table.
KEPT = 20
BATCH = 500

#: Programs that say what they are: previews of messengers, mail scanners, monitors. Only a heuristic.
_ROBOT = re.compile(
    r"bot|crawl|spider|preview|scan|monitor|curl|wget|python|java/|go-http|headless|facebookexternalhit|whatsapp|viber"
    r"|telegram|vkshare|skype|slack|google-safety|proofpoint|barracuda|mimecast|kaspersky|drweb",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a tracked link leads; `confirm`: by a page whose script says that it was shown."""

    target: str
    confirm: bool = False


def follow(client_ref: str, agent: str, *, counts: bool = True) -> Way | None:
    """Somebody opens the tracked link of this message; None for an unknown one, or for one without a link.

    `counts=False`: only asks where it leads (HEAD). The target comes from the frozen plan and from nowhere else: there is
    nothing in the address to tamper with (T14).
    """
    attempt = _attempt(client_ref)
    if attempt is None:
        return None
    terms = _terms(attempt)
    target = terms.says.source.link
    if not target:
        return None
    robot = _ROBOT.search(agent) is not None
    if not counts or (robot and terms.kind is not ChannelKind.EMAIL):
        return Way(target)
    if terms.kind is not ChannelKind.EMAIL:
        with transaction.atomic():
            reports.raise_milestone(attempt.pk, Milestone.CLICKED, database_now())
        return Way(target)
    _write_down(attempt, LinkVisit.What.LINK, LinkVisit.Verdict.ROBOT if robot else LinkVisit.Verdict.NEW)
    return Way(target, confirm=not robot and attempt.clicked_at is None and _is_early(attempt))


def confirm(client_ref: str) -> bool:
    """The page an early visitor got was shown, and said so. False for an unknown message."""
    return _note(client_ref, LinkVisit.What.CONFIRMED)


def fall_into_trap(client_ref: str) -> None:
    """The link nobody can see was opened."""
    _note(client_ref, LinkVisit.What.TRAP)


def look_at_unsubscribe(client_ref: str) -> bool:
    """The page for unsubscribing was opened, which says nothing by itself. False for an unknown message."""
    return _note(client_ref, LinkVisit.What.UNSUBSCRIBE)


def judge(limit: int = BATCH) -> int:
    """Find out what the visits were whose company has had time to come. Returns how many people were among them."""
    with transaction.atomic():
        settled = LinkVisit.objects.filter(verdict="", at__lte=Now() - SETTLED).order_by("id")
        visits = list(settled.select_for_update(skip_locked=True, of=("self",))[:limit])
        if not visits:
            return 0
        company: dict[int, list[LinkVisit]] = defaultdict(list)
        for one in LinkVisit.objects.filter(attempt_id__in={visit.attempt_id for visit in visits}):
            company[one.attempt_id].append(one)
        attempts = Attempt.objects.in_bulk(list(company))
        people = 0
        for visit in visits:
            visit.verdict = _verdict(visit, company[visit.attempt_id], attempts[visit.attempt_id])
            if visit.verdict == LinkVisit.Verdict.PERSON:
                reports.raise_milestone(visit.attempt_id, Milestone.CLICKED, visit.at)
                people += 1
        LinkVisit.objects.bulk_update(visits, ["verdict"])
    return people


def _verdict(visit: LinkVisit, company: Sequence[LinkVisit], attempt: Attempt) -> str:
    what = LinkVisit.What
    if visit.what == what.TRAP:
        return LinkVisit.Verdict.ROBOT
    if visit.what == what.UNSUBSCRIBE:
        return LinkVisit.Verdict.NOTHING
    beside = {one.what for one in company if abs(one.at - visit.at) <= TOGETHER}
    if beside & {what.TRAP, what.UNSUBSCRIBE}:
        return LinkVisit.Verdict.ROBOT
    if visit.what == what.CONFIRMED or visit.at - _left_at(attempt) >= TOO_EARLY:
        return LinkVisit.Verdict.PERSON
    confirmed = (one for one in company if one.what == what.CONFIRMED)
    if any(timedelta(0) <= one.at - visit.at <= CONFIRMS_WITHIN for one in confirmed):
        return LinkVisit.Verdict.NOTHING  # the same person, who counts once
    return LinkVisit.Verdict.ROBOT


def _note(client_ref: str, what: LinkVisit.What) -> bool:
    attempt = _attempt(client_ref)
    if attempt is not None and _terms(attempt).kind is ChannelKind.EMAIL:
        _write_down(attempt, what, LinkVisit.Verdict.NEW)
    return attempt is not None


def _write_down(attempt: Attempt, what: LinkVisit.What, verdict: LinkVisit.Verdict) -> None:
    if LinkVisit.objects.filter(attempt=attempt).count() < KEPT:
        LinkVisit.objects.create(attempt=attempt, what=what, verdict=verdict)


def _is_early(attempt: Attempt) -> bool:
    return database_now() - _left_at(attempt) < TOO_EARLY


def _left_at(attempt: Attempt) -> datetime:
    return attempt.accepted_at or attempt.called_at


def _attempt(client_ref: str) -> Attempt | None:
    return Attempt.objects.select_related("delivery").filter(client_ref=client_ref).first()


def _terms(attempt: Attempt) -> StepTerms:
    return frozen_plan(attempt.delivery.plan_id, attempt.delivery.lead).terms[attempt.step]
