"""`manage.py listen`: the process that holds connections open. One works; a second one waits to take over."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from deliveries.services.listening import listen


class Command(BaseCommand):
    help = "Listen to accounts that tell what happens over a connection held open (Asterisk), until SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await listen(stop)
