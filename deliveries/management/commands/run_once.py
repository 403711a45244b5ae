"""`manage.py run_once`: every tick once, in this process, without Celery. For debugging and for tests."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from deliveries.services import advance, clicks, launch, polling, pulling, receipts, recover
from deliveries.services.send.pump import send_ready


def run_once() -> dict[str, int]:
    """One round of everything, in the order of the flow; returns what each part did."""
    return {
        "launched": int(launch.launch_due()),
        "resumed": recover.wake_resumed(),
        "cancelled": recover.end_cancelled(),
        "reaped": recover.reap_leases(),
        "mended": len(recover.probe_channels()),
        "offline": recover.watch_accounts(),
        "pulled": pulling.pull_due(),
        "receipts": receipts.process(),
        "clicks": clicks.judge(),
        "asked": polling.poll_due(),
        "advanced": advance.advance_due()[0],
        "sent": send_ready().sent,
        "finished": recover.finish_campaigns(),
    }


class Command(BaseCommand):
    help = "Run every tick of the engine once, here, without Celery."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="repeat while something moves")

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            done = run_once()
            self.stdout.write("  ".join(f"{name}={count}" for name, count in done.items()))
            if not options["until_idle"] or not any(done.values()):
                return
