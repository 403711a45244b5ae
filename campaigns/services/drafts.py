"""Making drafts."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from campaigns.models import Campaign, CampaignStatus

#: What a copy takes over. Times are not among them: yesterday's deadline would block tomorrow's launch.
_FIELDS = (
    "purpose",
    "template",
    "chain",
    "everybody",
    "check_consent",
    "window_start",
    "window_end",
    "per_minute",
    "budget",
)
_PEOPLE = ("lists", "tags", "dialogues", "exclude_lists", "exclude_tags")


@transaction.atomic
def copy(campaign: Campaign, user: AbstractBaseUser | None = None) -> Campaign:
    """A new draft with the same text, chain, people and limits; without its times."""
    name = _("%(name)s (copy)") % {"name": campaign.name}
    made = Campaign(name=name[:200], status=CampaignStatus.DRAFT, created_at=now())
    for field in _FIELDS:
        setattr(made, field, getattr(campaign, field))
    made.created_by_id = user.pk if user is not None else None
    made.save()
    for many in _PEOPLE:
        getattr(made, many).set(getattr(campaign, many).all())
    return made
