"""Freeze what a delivery is launched with (I16): steps, texts, prices, hours. The writer to snapshots.thaw()."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from campaigns.models import Campaign
from campaigns.selectors import house_windows, windows_for
from cascade.plan import SendWindow
from cascade.vocabulary import ChannelKind, Purpose, TroublePolicy
from channels.models import Chain, Channel
from channels.services import approved
from channels.services.chains import freeze_steps
from deliveries.models import DeliveryPlan
from templates_app import services as texts
from templates_app.models import MessageTemplate


def freeze_campaign(campaign: Campaign) -> DeliveryPlan:
    """The plan of a campaign, made at its launch; the existing one if a killed launch had made it already."""
    definition = freeze(
        campaign.chain,
        campaign.template,
        Purpose(campaign.purpose),
        windows_for(campaign),
        check_consent=campaign.check_consent,
        not_after=campaign.not_after,
        per_minute=campaign.per_minute,
        budget=campaign.budget,
    )
    plan, _ = DeliveryPlan.objects.get_or_create(
        campaign=campaign, defaults={"purpose": campaign.purpose, "definition": definition}
    )
    return plan


def shared_plan(chain: Chain, template: MessageTemplate, purpose: Purpose) -> DeliveryPlan:
    """The plan of single messages that say this through that: one for all of them, until the owner edits something.

    In: a template with its variants prefetched. The owner's standing hours hold; consent is always asked for.
    """
    definition = freeze(chain, template, purpose, house_windows(purpose))
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    plan, _ = DeliveryPlan.objects.get_or_create(
        digest=digest, defaults={"purpose": purpose.value, "definition": definition}
    )
    return plan


def freeze(
    chain: Chain,
    template: MessageTemplate,
    purpose: Purpose,
    windows: Mapping[ChannelKind, SendWindow] | None = None,
    *,
    check_consent: bool = True,
    not_after: datetime | None = None,
    per_minute: float | None = None,
    budget: Decimal | None = None,
) -> dict[str, Any]:
    """Everything a delivery walks, as JSON. Later edits of chain, template, prices or hours do not touch it."""
    steps = freeze_steps(chain, purpose, windows)
    says = texts.freeze(template, {step["kind"] for step in steps})
    default = TroublePolicy.HOLD if purpose is Purpose.MARKETING else TroublePolicy.GO_ON
    return {
        "steps": [{**step, "says": says[step["kind"]], "template": _template(step, says)} for step in steps],
        "purpose": str(purpose),
        "on_trouble": chain.on_trouble or str(default),
        "check_consent": check_consent,
        "not_after": not_after.isoformat() if not_after else None,
        "per_minute": per_minute,
        "has_budget": budget is not None,
        "zone": settings.TIME_ZONE,
    }


def _template(step: Mapping[str, Any], says: Mapping[str, dict[str, str]]) -> dict[str, Any] | None:
    """The approved text this step's own goes out by, where its channel takes no other."""
    text = texts.Text(**says[step["kind"]])
    return approved.freeze(Channel.objects.get(pk=step["channel_id"]), text) if text.approved else None
