"""The tick of channels as a django-celery-beat row, which the owner can see.

Made after each migrate, by name: intervals that somebody has changed stay as they are.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

#: name -> (task, seconds between ticks, what it does)
TICKS: dict[str, tuple[str, int, str]] = {
    "channels: templates": (
        "channels.sync_templates",
        900,
        gettext_noop("Asks WhatsApp which templates are approved, paused or disabled."),
    ),
    "channels: balances": (
        "channels.ask_balances",
        600,
        gettext_noop("Asks providers how much money is left on each account."),
    ),
}


def ensure_ticks(**_: Any) -> None:
    """Create the rows that are missing; idempotent, safe from several processes at once."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask  # noqa: PLC0415 - apps must be loaded first

    for name, (task, seconds, about) in TICKS.items():
        every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
        PeriodicTask.objects.get_or_create(
            name=name,
            defaults={"task": task, "interval": every, "description": about, "expire_seconds": seconds},
        )
