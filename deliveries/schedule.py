"""The ticks as django-celery-beat rows, which the owner can see.

Made after each migrate, by name: intervals that somebody has changed stay as they are.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

#: name -> (task, seconds between ticks, what it does)
TICKS: dict[str, tuple[str, int, str]] = {
    "deliveries: decide": ("deliveries.advance", 1, gettext_noop("Asks about every delivery that is due.")),
    "deliveries: send": ("deliveries.send", 1, gettext_noop("Sends what is ready.")),
    "deliveries: receipts": ("deliveries.receipts", 1, gettext_noop("Works off the inbox of provider reports.")),
    "deliveries: statuses": ("deliveries.poll", 5, gettext_noop("Asks providers for statuses that did not come.")),
    "deliveries: updates": (
        "deliveries.pull",
        2,
        gettext_noop("Asks messengers for replies and receipts, where this server cannot be called."),
    ),
    "deliveries: campaigns": ("deliveries.launch", 1, gettext_noop("Starts, wakes and ends campaigns.")),
    "deliveries: recover": (
        "deliveries.recover",
        5,
        gettext_noop("Picks up what a stopped worker left behind, finishes campaigns."),
    ),
    "deliveries: hooks": ("deliveries.hooks", 2, gettext_noop("Tells other programs what happened (webhooks).")),
    "deliveries: doubles": (
        "deliveries.doubles",
        3600,
        gettext_noop("Counts how often a message arrived after the next one had gone out."),
    ),
    "deliveries: forget": ("deliveries.forget", 86400, gettext_noop("Deletes raw provider reports after 30 days.")),
}


def ensure_ticks(**_: Any) -> None:
    """Create the rows that are missing; idempotent, safe from several processes at once."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask  # noqa: PLC0415 - apps must be loaded first

    for name, (task, seconds, about) in TICKS.items():
        every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
        PeriodicTask.objects.get_or_create(
            name=name,
            defaults={
                "task": task,
                "interval": every,
                "description": about,
                # A tick that no worker took before the next one is stale: dropped, not piled up.
                "expire_seconds": max(2, seconds),
            },
        )
