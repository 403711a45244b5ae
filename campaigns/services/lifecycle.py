"""The life of a campaign. Everything that may move `Campaign.status` lives here.

    draft -> launching | scheduled          launch()      an owner presses the button
    scheduled -> launching                  start_due()   the engine's tick, when the moment has come
    scheduled -> draft                      unschedule()
    launching | running -> paused           pause()
    paused -> launching | running           resume()      back to where it was
    launching -> running                    the engine, when all deliveries are there
    running -> finished                     finish()      the engine, when the books balance
    anything live -> cancelled              cancel()

Each move is one conditional UPDATE. Zero rows means that somebody else was first, and that is fine: twenty launches
at the same instant are one launch (I13), and the other nineteen are told so in words. The engine is never called from
here: it finds the new status by itself (architecture.md, section 3).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from campaigns.models import Campaign, CampaignPause, CampaignSpend, CampaignStatus
from campaigns.services.readiness import Finding, blockers

LIVE = (CampaignStatus.SCHEDULED, CampaignStatus.LAUNCHING, CampaignStatus.RUNNING, CampaignStatus.PAUSED)

#: Codes the engine may give as the reason of a pause -> words for the owner.
STATUS_REASONS: dict[str, str] = {
    "budget": gettext_noop("The budget is used up. Raise it and resume, or cancel."),
    "message_refused": gettext_noop("A channel refuses this text again and again. Correct the template, then resume."),
    "books": gettext_noop("The books do not balance: some people have no outcome. Nothing is sent twice meanwhile."),
}

#: Why a move was not made, by the status found instead.
_TOO_LATE: dict[str, str] = {
    CampaignStatus.DRAFT: gettext_noop("The campaign is still a draft: launch it first."),
    CampaignStatus.SCHEDULED: gettext_noop("The campaign is already scheduled."),
    CampaignStatus.LAUNCHING: gettext_noop("The campaign is already being launched."),
    CampaignStatus.RUNNING: gettext_noop("The campaign is already running."),
    CampaignStatus.PAUSED: gettext_noop("The campaign is already paused."),
    CampaignStatus.CANCELLED: gettext_noop("The campaign has already been cancelled."),
    CampaignStatus.FINISHED: gettext_noop("The campaign has already finished."),
}


@dataclass(frozen=True, slots=True)
class Move:
    """What became of a wish to move a campaign. `message` is in the language of the moment."""

    done: bool
    status: CampaignStatus
    message: str
    #: What forbids a launch; each with where to mend it.
    blockers: tuple[Finding, ...] = ()

    def __bool__(self) -> bool:
        return self.done


def launch(campaign_id: int, user: AbstractBaseUser | None = None) -> Move:
    """draft -> launching, or scheduled when its start lies in the future (by the database's clock).

    Refused with the blockers of the preflight. Raises Campaign.DoesNotExist.
    """
    campaign = Campaign.objects.select_related("template", "chain").get(pk=campaign_id)
    if campaign.status != CampaignStatus.DRAFT:
        return _late(campaign_id)
    found = blockers(campaign)
    if found:
        return Move(False, CampaignStatus.DRAFT, _("The campaign cannot start yet."), tuple(found))
    later = Q(scheduled_at__gt=Now())
    with transaction.atomic():
        # Before the campaign is visible to the engine: without this row a budget would hold nothing back (I9).
        CampaignSpend.objects.bulk_create([CampaignSpend(campaign_id=campaign_id)], ignore_conflicts=True)
        moved = _move(
            campaign_id,
            [CampaignStatus.DRAFT],
            status=Case(When(later, then=Value(CampaignStatus.SCHEDULED)), default=Value(CampaignStatus.LAUNCHING)),
            launched_at=Case(When(later, then=Value(None)), default=Now()),
            launched_by_id=user.pk if user is not None else None,
            status_reason="",
        )
    if not moved:
        return _late(campaign_id)
    status = _status(campaign_id)
    if status == CampaignStatus.SCHEDULED:
        return Move(True, status, _("The campaign is scheduled."))
    return Move(True, status, _("The campaign is launched."))


def unschedule(campaign_id: int) -> Move:
    """scheduled -> draft, so that it can be edited."""
    if _move(campaign_id, [CampaignStatus.SCHEDULED], status=CampaignStatus.DRAFT, launched_by=None):
        return Move(True, CampaignStatus.DRAFT, _("The campaign is a draft again."))
    return _late(campaign_id)


def start_due() -> list[int]:
    """scheduled -> launching for every campaign whose moment has come; returns their ids. For the engine's tick."""
    due = Campaign.objects.filter(status=CampaignStatus.SCHEDULED, scheduled_at__lte=Now())
    return [
        campaign_id
        for campaign_id in due.values_list("pk", flat=True)
        # One by one: a campaign unscheduled a moment ago must not be dragged along.
        if _move(
            campaign_id,
            [CampaignStatus.SCHEDULED],
            extra=Q(scheduled_at__lte=Now()),
            status=CampaignStatus.LAUNCHING,
            launched_at=Now(),
        )
    ]


def pause(campaign_id: int, *, reason: str = "") -> Move:
    """launching | running -> paused (R20). `reason`: a key of STATUS_REASONS or words; empty: the owner's wish.

    Effective when this returns: an attempt re-checks the status under a lock this UPDATE waits for (I14).
    """
    with transaction.atomic():
        for status in (CampaignStatus.RUNNING, CampaignStatus.LAUNCHING):
            if _move(campaign_id, [status], status=CampaignStatus.PAUSED, status_reason=reason[:300]):
                # STATEMENT_TIMESTAMP, so the moment is read after the lock was got, not before.
                CampaignPause.objects.create(campaign_id=campaign_id, started_at=Now(), resumes_to=status)
                return Move(True, CampaignStatus.PAUSED, _("The campaign is paused. Receipts keep coming in."))
    return _late(campaign_id)


def resume(campaign_id: int) -> Move:
    """paused -> where it was. The engine wakes the deliveries: it looks for closed pauses with woken_at NULL."""
    with transaction.atomic():
        going_on = CampaignPause.objects.filter(campaign_id=campaign_id, ended_at__isnull=True)
        status = going_on.values_list("resumes_to", flat=True).first() or CampaignStatus.RUNNING
        if _move(campaign_id, [CampaignStatus.PAUSED], status=status, status_reason=""):
            going_on.update(ended_at=Now())
            return Move(True, CampaignStatus(status), _("The campaign goes on where it stopped."))
    return _late(campaign_id)


def cancel(campaign_id: int) -> Move:
    """Anything live -> cancelled. The engine then ends every open delivery as stopped and sets finished_at."""
    with transaction.atomic():
        # One that never started has nothing for the engine to end.
        over = Case(When(launched_at__isnull=True, then=Now()), default=None)
        if _move(campaign_id, LIVE, status=CampaignStatus.CANCELLED, status_reason="", finished_at=over):
            CampaignPause.objects.filter(campaign_id=campaign_id, ended_at__isnull=True).update(ended_at=Now())
            return Move(True, CampaignStatus.CANCELLED, _("The campaign is cancelled. Nothing more is sent."))
    return _late(campaign_id)


def finish(campaign_id: int, outcomes: Mapping[str, int]) -> Move:
    """running -> finished, only if the books balance: planned = the sum of `outcomes` (deliveries by outcome).

    Called by the engine when no delivery is open. Books that do not balance are shown in red and never closed.
    """
    total = sum(outcomes.values())
    if _move(
        campaign_id,
        [CampaignStatus.RUNNING],
        extra=Q(planned=total),
        status=CampaignStatus.FINISHED,
        status_reason="",
        finished_at=Now(),
    ):
        return Move(True, CampaignStatus.FINISHED, _("The campaign has finished."))
    if _move(campaign_id, [CampaignStatus.RUNNING], extra=~Q(planned=total), status_reason="books"):
        return Move(False, CampaignStatus.RUNNING, _(STATUS_REASONS["books"]))
    return _late(campaign_id)


def say_reason(campaign: Campaign) -> str:
    """Why the campaign stands as it does, in words; "" when there is nothing to say."""
    return _(STATUS_REASONS.get(campaign.status_reason, campaign.status_reason)) if campaign.status_reason else ""


def _move(campaign_id: int, wanted: Collection[str], *, extra: Q | None = None, **changes: object) -> bool:
    """The guarded write. False: the campaign was not in one of the wanted states any more."""
    rows = Campaign.objects.filter(extra or Q(), pk=campaign_id, status__in=wanted)
    return bool(rows.update(**changes))


def _status(campaign_id: int) -> CampaignStatus:
    return CampaignStatus(Campaign.objects.values_list("status", flat=True).get(pk=campaign_id))


def _late(campaign_id: int) -> Move:
    """Words for a move that came too late, from the status that was found. Raises Campaign.DoesNotExist."""
    status = _status(campaign_id)
    return Move(False, status, _(_TOO_LATE[status]))
