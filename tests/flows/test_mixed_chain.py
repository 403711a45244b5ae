"""MAX → Telegram → WhatsApp → SMS to people who behave in every way there is, on real processes.

The emulator's journal is the judge: the books balance, the money agrees to the kopeck, and where the chain's page says
"doubles: excluded" there is none. `make mixed` does it with 5,000 people and prints the figures; the suite with 300.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F, Min, OuterRef, Q, Subquery, Sum

from analytics.selectors import compute_report
from campaigns.models import Campaign
from channels.models import Channel, ChannelState
from channels.services.accounts import create_channel
from channels.services.chains import Risk, double_risk, rungs_of
from contacts.models import Contact, ContactAddress
from deliveries.models import Attempt, Delivery
from deliveries.services.doubles import count_doubles
from emulator.behaviours import BY_NAME
from emulator.journal import Journal
from tests.deliveries.live import receive_callbacks, tell
from tests.faults.verdict import judge
from tests.flows.conftest import Installation

PEOPLE = int(os.environ.get("MIXED_PEOPLE", "300"))
SEED = int(os.environ.get("MIXED_SEED", "1"))
pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(300 + PEOPLE // 4)]

WIRES = ("max_bot", "telegram", "green", "smsc")
PRICES = {"max_bot": "0", "telegram": "0", "green": "2.60", "smsc": "4.80"}
CHARGED = {"max_bot": "accepted", "telegram": "accepted", "green": "delivered", "smsc": "accepted"}
WAIT = timedelta(seconds=2)
#: Trouble of the account stops everybody and has tests of its own; a minute of silence is longer than this test.
NOT_HERE = {"unauthorized", "no_balance", "after_30_min", "late"}
if PEOPLE <= 300:
    NOT_HERE |= {"hang", "drip"}  # a quarter of a minute each, and one after the other
#: Arrives, or answers, when the next step has gone out: what makes doubles.
LATE = {
    "late": [{"after": 0.05, "status": "sent"}, {"after": 3.5, "status": "delivered"}],
    "late_reply": [{"after": 0.1, "status": "delivered"}, {"after": 3.5, "status": "reply", "text": "Да"}],
}


def cast(installation: Installation, dice: random.Random, numbers: list[str]) -> Counter[str]:
    """A behaviour for each person at each provider; most of what is sent arrives, as in life."""
    ordinary = ["delivered", "delivered", "silent", "silent", "read", "reply", "click", "not_registered", *LATE]
    names = [*ordinary, *ordinary, *sorted(set(BY_NAME) - NOT_HERE)]
    played: Counter[str] = Counter()
    for wire in WIRES:
        by_name: dict[str, list[str]] = defaultdict(list)
        for number in numbers:
            by_name[dice.choice(names)].append(number)
        rules: list[dict[str, Any]] = []
        for name, recipients in by_name.items():
            played[name] += len(recipients)
            behaviour = {"behaviour": "delivered", "steps": LATE[name]} if name in LATE else {"behaviour": name}
            rules.append({"provider": wire, "recipients": recipients, **behaviour})
        tell(installation.shop.emulator, "rules", rules=rules)
    return played


def channels(installation: Installation) -> dict[str, Channel]:
    shop = installation.shop
    terms: dict[str, dict[str, Any]] = {
        wire: {"price": Decimal(PRICES[wire]), "charged_on": CHARGED[wire], "rate": 1000.0} for wire in WIRES
    }
    made = {
        "max_bot": create_channel(
            "max_bot",
            "MAX",
            {"token": "f9LHtest"},
            base_url=f"{shop.emulator}/max_bot",
            incoming="callback",
            **terms["max_bot"],
        ),
        "telegram": shop.bot(incoming="callback", **terms["telegram"]),
        "green": shop.messenger(incoming="callback", **terms["green"]),
        "smsc": shop.sms(**terms["smsc"]),
    }
    for wire, channel in made.items():
        installation.price(wire, PRICES[wire], CHARGED[wire])
        receive_callbacks(shop, installation.web, channel)
    return made


def test_everybody_ends_once_the_money_agrees_and_no_excluded_double(engine: Installation) -> None:
    dice = random.Random(SEED)
    shop = engine.shop
    tell(shop.emulator, "rules", digits=False)
    made = channels(engine)
    people = shop.people(PEOPLE)
    numbers = [(phone or "").lstrip("+") for phone in Contact.objects.order_by("pk").values_list("phone", flat=True)]
    ContactAddress.objects.bulk_create(
        ContactAddress(contact=card, channel_id=made[wire].pk, value=(card.phone or "").lstrip("+"))
        for card in Contact.objects.all()
        for wire in ("max_bot", "telegram")
    )
    played = cast(engine, dice, numbers)
    chain = shop.chain(*made.values(), wait=WAIT, expect=("replied", "replied", "delivered", "delivered"))
    began = time.monotonic()
    campaign = shop.campaign(chain, people)
    engine.until_status(campaign, "finished", timeout_s=60 + PEOPLE / 10)
    took = time.monotonic() - began
    # What comes late is still to come: the last behaviour's last step, and the batch that reads it.
    received = ChannelState.objects.filter(pk__in=[one.pk for one in made.values()])
    silent_since: list[datetime | None] = [None]

    def quiet() -> bool:
        newest = max((at for at in received.values_list("last_receipt_at", flat=True) if at), default=None)
        still = newest == silent_since[0] and time.monotonic() - began > took + 3
        silent_since[0] = newest
        return still

    engine.until(quiet, "the last late receipt", timeout_s=60)
    until_settled(engine)

    report = compute_report(Campaign.objects.get(pk=campaign.pk))
    journal = Journal.read(engine.processes.running[0].journal)
    verdict = judge(journal, numbers, WIRES, dict.fromkeys(WIRES, WAIT), timedelta(seconds=3 * settings.SEND_DEADLINE))
    excluded = [
        channel.pk
        for channel, rung in zip(made.values(), rungs_of(chain)[:-1], strict=False)
        if double_risk(rung)[0] is Risk.EXCLUDED
    ]
    figures = {
        "people": PEOPLE,
        "seed": SEED,
        "seconds": round(took, 1),
        "behaviours": len(played),
        "calls": Attempt.objects.count(),
        "outcomes": report.outcomes,
        "reached_by_step": [step.reached for step in report.steps],
        "cost": str(report.cost),
        "doubles": report.doubles,
        "doubles_cost": str(report.doubles_cost),
        "excluded": [WIRES[index] for index, one in enumerate(made.values()) if one.pk in excluded],
        "doubles_of_excluded": len(late_after_fallback(excluded)),
        "unknown": verdict.unknown,
        "faults": {name: str(value) for name, value in verdict.faults().items()},
    }
    print(json.dumps(figures, ensure_ascii=False), file=sys.stderr)
    assert report.balanced and report.open == 0 and report.planned == PEOPLE
    assert verdict.faults() == {}
    assert report.cost == journal.cost() == (Attempt.objects.aggregate(sum=Sum("cost"))["sum"] or 0)
    assert report.doubles == Delivery.objects.filter(is_double=True).count() > 0, "the cast is made to bring some about"
    assert excluded, "the chain's page calls WhatsApp's step safe: its messages are taken back"
    assert late_after_fallback(excluded) == []
    assert not ChannelState.objects.filter(breaker="open").exists(), "nobody's behaviour is the account's trouble"
    count_doubles()
    assert ChannelState.objects.get(channel=made["green"]).doubles == 0


def until_settled(engine: Installation) -> None:
    """Every receipt that came has been read."""
    from deliveries.models import Receipt

    engine.until(lambda: not Receipt.objects.filter(Q(state="new") | Q(state="parked")).exists(), "the inbox", 60)


def late_after_fallback(channel_ids: list[int]) -> list[int]:
    """Messages of these channels that arrived after a later step's had left."""
    later = (
        Attempt.objects.filter(delivery=OuterRef("delivery"), step__gt=OuterRef("step"))
        .exclude(state="failed")
        .values("delivery")
        .annotate(first=Min("called_at"))
        .values("first")
    )
    late = Attempt.objects.filter(channel_id__in=channel_ids).annotate(next_at=Subquery(later))
    return list(late.filter(delivered_at__gt=F("next_at")).values_list("pk", flat=True))
