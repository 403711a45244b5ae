"""Driving a live shop: the emulator's control API, callbacks, rounds of the engine in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

from campaigns.models import Campaign, CampaignStatus
from channels.models import Channel
from deliveries.management.commands.run_once import run_once
from tests.deliveries.shop import Shop
from tests.plugins.processes import Processes


def tell(emulator: str, path: str, **body: object) -> None:
    """Tell the emulator how to behave."""
    request = Request(f"{emulator}/_emulator/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def journal(url: str) -> list[dict[str, Any]]:
    """All that the emulator saw; it hands out its journal in pages."""
    records: list[dict[str, Any]] = []
    since = 0
    while True:
        with urlopen(f"{url}/_emulator/journal?since={since}", timeout=10) as answer:
            page = json.loads(answer.read())
        if not page["records"]:
            return records
        records += page["records"]
        since = page["last"]


def wire_name(slug: str) -> str:
    """What the emulator calls a provider's wire."""
    names = {
        "green_api_whatsapp": "green",
        "telegram_bot": "telegram",
        "stream_telecom": "stream",
        "mail_service": "postmark",
        "asterisk_ari": "asterisk",
    }
    return "wazzup" if slug.startswith("wazzup_") else names.get(slug, slug)


def receive_callbacks(shop: Shop, web: str, channel: Channel) -> None:
    """Tell the emulator where this channel's receipts go."""
    tell(
        shop.emulator,
        "callback_target",
        provider=wire_name(channel.provider),
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
    return lambda: Campaign.objects.get(pk=campaign_id).status == CampaignStatus.FINISHED


def requests_of(shop: Shop, **wanted: str) -> list[dict[str, Any]]:
    """Messages the emulator got whole, filtered by its journal's fields."""
    found = [r for r in journal(shop.emulator) if r["kind"] == "request" and r.get("recipient")]
    return [r for r in found if all(r.get(key) == value for key, value in wanted.items())]
