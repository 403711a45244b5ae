"""Freeze what a delivery is launched with (I16): steps, texts, prices, hours. The writer to snapshots.thaw()."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from deliveries.models import CodeRules, DeliveryPlan
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
    return _shared(freeze(chain, template, purpose, house_windows(purpose)), purpose)


def _shared(definition: dict[str, Any], purpose: Purpose) -> DeliveryPlan:
    """The plan with exactly this definition; there is one."""
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
    return {
        **_definition(chain, steps, says, purpose),
        "check_consent": check_consent,
        "not_after": not_after.isoformat() if not_after else None,
        "per_minute": per_minute,
        "has_budget": budget is not None,
    }


def freeze_codes(rules: CodeRules) -> DeliveryPlan:
    """The plan of one-time codes: the chain's steps, each waiting its time, at any hour, for the code to be entered.

    What a step of the chain waits for does not matter here: only an entered code proves anything. The same plan serves
    until the chain, its prices or the text have changed.
    """
    steps = [
        {**step, "expectations": [], "wait": _patience(step), "only_tag": None} for step in freeze_steps(rules.chain)
    ]
    says = {step["kind"]: asdict(texts.Text(text=rules.text)) for step in steps}
    definition = {
        **_definition(rules.chain, steps, says, Purpose.SERVICE),
        "check_consent": False,
        "not_after": None,
        "per_minute": None,
        "has_budget": False,
        "codes": True,
    }
    return _shared(definition, Purpose.SERVICE)


def _patience(step: Mapping[str, Any]) -> float:
    """How long a step is given, in seconds: the first wait of the chain's."""
    expectations = step["expectations"]
    return float(expectations[0]["within"] if expectations else step["wait"])


def _definition(
    chain: Chain, steps: Sequence[Mapping[str, Any]], says: Mapping[str, Any], purpose: Purpose
) -> dict[str, Any]:
    default = TroublePolicy.HOLD if purpose is Purpose.MARKETING else TroublePolicy.GO_ON
    return {
        "steps": [_worded(step, says[step["kind"]]) for step in steps],
        "purpose": str(purpose),
        "on_trouble": chain.on_trouble or str(default),
        "zone": settings.TIME_ZONE,
        "dialogue_days": chain.dialogue_days,
    }


def _worded(step: Mapping[str, Any], says: dict[str, str]) -> dict[str, Any]:
    """The step with its text, and with the approved text it goes out by through each account that takes no other."""
    text = texts.Text(**says)

    def template(account: Mapping[str, Any]) -> dict[str, Any] | None:
        return approved.freeze(Channel.objects.get(pk=account["channel_id"]), text) if text.approved else None

    reserves = [{**one, "template": template(one)} for one in step["reserves"]]
    return {**step, "says": says, "template": template(step), "reserves": reserves}
