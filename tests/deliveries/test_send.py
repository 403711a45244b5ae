"""The whole flow in this process against the emulator: real HTTP, real callbacks through a real web server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from urllib.request import Request, urlopen

import pytest

from campaigns.models import CampaignStatus
from channels.models import Channel
from contacts.models import Contact
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery
from deliveries.services.send.pump import close_runtime
from tests.deliveries.conftest import Shop
from tests.plugins.processes import Processes


def tell(emulator: str, path: str, **body: object) -> None:
    """Tell the emulator how to behave."""
    request = Request(f"{emulator}/_emulator/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def journal(url: str) -> list[dict[str, object]]:
    """All that the emulator saw."""
    with urlopen(f"{url}/_emulator/journal?since=0", timeout=10) as answer:
        return json.loads(answer.read())["records"]


@pytest.fixture
def live_shop(processes: Processes, shop: Shop) -> Iterator[Shop]:
    """A shop whose channels reach the emulator, and whose callbacks come back through a web process."""
    shop.emulator = processes.emulator().url
    yield shop
    close_runtime()


def receive_callbacks(shop: Shop, web: str, channel: Channel) -> None:
    """Tell the emulator where this channel's receipts go."""
    provider = {"green_api_whatsapp": "green", "smsc": "smsc"}[channel.provider]
    tell(
        shop.emulator,
        "callback_target",
        provider=provider,
        account="*",
        url=f"{web}/hooks/{channel.pk}/{channel.callback_secret}/",
        secret=channel.callback_secret,
    )


def run_until(processes: Processes, done: Callable[[], bool]) -> None:
    def step() -> bool:
        run_once()
        return done()

    processes.until(step, timeout_s=60, what="the cascade")


def finished(campaign_id: int) -> Callable[[], bool]:
    from campaigns.models import Campaign

    return lambda: Campaign.objects.get(pk=campaign_id).status == CampaignStatus.FINISHED


def test_a_cascade_runs_from_the_list_to_the_last_fallback(processes: Processes, live_shop: Shop) -> None:
    """Twenty reached in the messenger, ten who are silent there get the SMS; each once, and the money agrees."""
    web = processes.web().url
    messenger, sms = live_shop.messenger(), live_shop.sms()
    receive_callbacks(live_shop, web, messenger)
    receive_callbacks(live_shop, web, sms)
    people = live_shop.people(30, ending=lambda number: 0 if number < 20 else 1)
    tell(live_shop.emulator, "accounts", provider="smsc", account="*", price="4.80")
    phones = list(Contact.objects.values_list("phone", flat=True))
    tell(live_shop.emulator, "rules", provider="smsc", recipients=phones, behaviour="delivered")
    campaign = live_shop.campaign(live_shop.chain(messenger, sms, wait=timedelta(seconds=2)), people)

    run_until(processes, finished(campaign.pk))

    outcomes = dict.fromkeys(Delivery.objects.values_list("outcome", "outcome_step"))
    assert set(outcomes) == {("reached", 0), ("reached", 1)}
    assert Delivery.objects.filter(outcome_step=0).count() == 20
    assert Delivery.objects.filter(outcome_step=1).count() == 10
    sent = [r for r in journal(live_shop.emulator) if r["kind"] == "request" and r.get("recipient")]
    assert len(sent) == 40
    assert Attempt.objects.filter(channel=messenger, cost=Decimal("2.60")).count() == 20
    assert Attempt.objects.filter(channel=messenger, cost=None).count() == 10
    assert Attempt.objects.filter(channel=sms, cost=Decimal("4.80")).count() == 10
