"""A whole installation on this test's database: emulator, web, workers, beat, and a shell to type commands into."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils.timezone import now

from campaigns.models import Campaign
from channels.models import Channel
from channels.services.accounts import create_channel
from deliveries.models import Heartbeat
from deliveries.schedule import ensure_ticks
from tests.deliveries.conftest import Shop
from tests.deliveries.live import journal, tell
from tests.plugins.processes import Processes

ROOT = Path(__file__).parents[2]


@dataclass
class Installation:
    """What runs, and what an owner's script can do with it."""

    processes: Processes
    shop: Shop
    web: str
    smtp_port: int
    environment: dict[str, str] = field(default_factory=dict)

    def manage(self, *arguments: str, fails: bool = False) -> str:
        """Run `manage.py ...` as a process of its own; its stdout. `fails`: it must say no, and its stderr counts."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.processes.environment, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def manage_json(self, *arguments: str) -> Any:
        """The one JSON line a command prints."""
        return json.loads(self.manage(*arguments, "--json"))

    def recipients(self, campaign: Campaign) -> list[dict[str, Any]]:
        """`manage.py deliveries --json`: one object per person."""
        return [json.loads(line) for line in self.manage("deliveries", str(campaign.pk), "--json").splitlines()]

    def journal(self, kind: str) -> list[dict[str, Any]]:
        """What the providers saw (request) or charged (charge)."""
        return [one for one in journal(self.shop.emulator) if one["kind"] == kind]

    def email(self, name: str = "Почта", **fields: object) -> Channel:
        config = {"host": "127.0.0.1", "port": self.smtp_port, "sender": "shop@example.ru", "use_tls": False}
        return create_channel("smtp", name, config, **{"rate": 1000.0, **fields})

    def until_status(self, campaign: Campaign, status: str, timeout_s: float = 90.0) -> None:
        self.until(lambda: Campaign.objects.get(pk=campaign.pk).status == status, f"{status}", timeout_s)

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
        self.processes.until(condition, timeout_s=timeout_s, interval_s=0.1, what=what)

    def until_ticked(self, since: datetime | None = None) -> None:
        """Return when decide, send and launch have all run after this moment: what they wanted to do is done."""
        since = since or now()
        names = {"advance", "send", "launch"}
        self.until(
            lambda: names <= set(Heartbeat.objects.filter(at__gt=since).values_list("name", flat=True)),
            "a tick of each",
        )

    def price(self, wire: str, price: str, charged_on: str) -> None:
        """What the provider itself charges, judged by its own journal."""
        tell(self.shop.emulator, "accounts", provider=wire, account="*", price=price, charged_on=charged_on)


@pytest.fixture
def quiet(processes: Processes) -> Installation:
    """The providers alone: no web, no worker, no beat."""
    emulator = processes.emulator()
    return Installation(processes, Shop(emulator.url), "", emulator.smtp_port)


@pytest.fixture
def engine(quiet: Installation) -> Installation:
    """All of it: web, one worker per group of queues as in production, and beat with its rows."""
    processes = quiet.processes
    ensure_ticks()
    quiet.web = processes.web().url
    quiet.environment = {"PUBLIC_BASE_URL": quiet.web}
    processes.worker("send", concurrency=2, environment=quiet.environment)
    processes.worker("default", concurrency=2, environment=quiet.environment)
    processes.beat(quiet.environment)
    return quiet
