"""`make faults`: a campaign under fire. Prints one JSON line; exit code 0 if nothing was lost or sent twice.

    python -m tests.faults.soak [--recipients 3000] [--seconds 60] [--workers 4] [--seed 1] [--recovery 60]

Everything is its own: PostgreSQL and Valkey in a temporary folder, workers, beat, web, emulator. A campaign of three
steps (a messenger and a bot that cannot be asked about a lost answer, then an SMS that can) runs while one random
worker after the other is SIGKILLed, Redis is flushed twice and PostgreSQL crashes once. Then verdict.judge() compares
the emulator's journal with the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from cascade_project import roles
from cascade_project.embedded import EmbeddedServices
from tests.faults.chaos import Chaos
from tests.plugins.processes import Processes, Running

if TYPE_CHECKING:
    from tests.faults.verdict import Verdict

#: Calls in flight in one child, and how long each may take: small, so that the figures are about faults, not patience.
IN_FLIGHT = 16
DEADLINE = 5
#: How long the provider thinks about each send: something must be in flight when a worker dies.
LATENCY = 0.3
BETWEEN_KILLS = (0.3, 0.8)
#: The first step still waits when the lease of a killed worker has run out: a message in doubt could be repeated.
WAITS = {"green": timedelta(seconds=22), "telegram": timedelta(seconds=3), "smsc": timedelta(seconds=5)}

#: Who does what, of twenty people: name, how many, and the behaviour in each channel (None: is never asked).
_REPLIES = {"steps": [{"after": 0.5, "status": "reply", "text": "Спасибо"}]}
_OPTS_OUT = {"steps": [{"after": 1.0, "status": "reply", "text": "СТОП"}]}
_SILENT = {"behaviour": "silent"}
_DELIVERED = {"behaviour": "delivered"}
CAST: tuple[tuple[str, int, dict[str, dict[str, Any]]], ...] = (
    ("at once", 8, {"green": _DELIVERED}),
    ("answers the bot", 4, {"green": _SILENT, "telegram": _REPLIES}),
    ("by SMS", 5, {"green": _SILENT, "telegram": _SILENT, "smsc": _DELIVERED}),
    ("never", 1, {"green": _SILENT, "telegram": _SILENT, "smsc": _SILENT}),
    ("opts out", 1, {"green": _OPTS_OUT}),
    ("not there", 1, {"green": {"behaviour": "not_registered"}, "telegram": _SILENT, "smsc": _DELIVERED}),
)
#: Their steps end by time alone, whatever else happens.
PATIENT = ("by SMS", "never")


@dataclass(frozen=True)
class Options:
    recipients: int
    seconds: float
    workers: int
    seed: int
    recovery: float


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--recipients", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long there are faults")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recovery", type=float, default=60.0, help="all must be over so long after the last fault")
    given = parser.parse_args(arguments)
    options = Options(given.recipients, given.seconds, given.workers, given.seed, given.recovery)
    folder = Path(tempfile.mkdtemp(prefix="cascade-faults-"))
    # Passable, not readable: PostgreSQL may have to run as `nobody` below it.
    folder.chmod(0o711)
    try:
        with installation(folder) as (services, processes):
            result = Soak(options, services, processes).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(result, default=str) + "\n")
    return 0 if result["ok"] else 1


@contextmanager
def installation(folder: Path) -> Iterator[tuple[EmbeddedServices, Processes]]:
    """Servers of our own, an empty migrated database, and Django in this process; all gone afterwards."""
    for name in ("DATABASE_URL", "REDIS_URL", "DEBUG", "PROCESS_ROLE", "TIME_ZONE"):
        os.environ.pop(name, None)
    # With fsync: the crash of PostgreSQL must find what was committed.
    with EmbeddedServices(folder / "services") as services:
        os.environ.update(services.settings())
        os.environ.update(SEND_IN_FLIGHT=str(IN_FLIGHT), SEND_DEADLINE=str(DEADLINE), LOG_LEVEL="WARNING")
        import django
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        call_command("migrate", verbosity=0)
        processes = Processes(folder, {**os.environ, "PYTHONUNBUFFERED": "1"})
        try:
            yield services, processes
        finally:
            processes.stop()
            connections.close_all()


class Soak:
    """One run. `run()` may be called once."""

    def __init__(self, options: Options, services: EmbeddedServices, processes: Processes) -> None:
        self.options = options
        self.services = services
        self.processes = processes
        self.flushes = self.restarts = 0
        kinds = [roles.SEND_QUEUES if number % 2 == 0 else roles.DEFAULT_QUEUES for number in range(options.workers)]
        self.chaos = Chaos(self._start_worker, kinds, random.Random(options.seed))

    def run(self) -> dict[str, Any]:
        emulator, web = self.processes.emulator(), self.processes.web()
        self.processes.beat()
        people = self._fill(emulator.url, web.url)
        self.chaos.open()
        self._until(lambda: _requests(emulator) > 0, 60)
        begun = time.monotonic()
        self.chaos.shoot(
            self.options.seconds, BETWEEN_KILLS, [self._flush_redis, self._crash_postgres, self._flush_redis]
        )
        last_fault = time.monotonic()
        over = self._until(self._finished, self.options.recovery)
        recovery = time.monotonic() - last_fault
        open_ones = {} if over else self._open()
        self._until(lambda: self._settled(emulator), 30)
        verdict = self._judge(emulator, people)
        bound = sum(self.chaos.kills.values()) * IN_FLIGHT
        died = self.chaos.died + self._others_dead()
        faults = verdict.faults()
        if verdict.unknown > bound:
            faults["unknown"] = verdict.unknown
        if not over:
            faults["unfinished"] = open_ones
        if died:
            faults["died"] = died
        if self.chaos.orphans_alive():
            faults["orphaned_children"] = self.chaos.orphans_alive()
        return {
            "soak": "kill",
            "ok": not faults,
            "faults": faults,
            **asdict(self.options),
            "seconds": round(last_fault - begun, 1),
            "recovery_s": round(recovery, 1),
            "kills": dict(self.chaos.kills),
            "redis_flushes": self.flushes,
            "postgres_crashes": self.restarts,
            "unknown_bound": bound,
            "requests": _requests(emulator),
            "outcomes": self._outcomes(),
            **asdict(verdict),
        }

    # --- the world

    def _start_worker(self, queues: tuple[str, ...]) -> Running:
        number = len(self.processes.running)
        return self.processes.start(
            f"worker-{number}", roles.worker(queues, 2, f"worker-{number}"), {"PROCESS_ROLE": "worker"}
        )

    def _fill(self, emulator: str, web: str) -> dict[str, list[str]]:
        """Channels, chain, people, behaviours, campaign. Returns the people of each part of the cast."""
        from contacts.models import ContactAddress
        from tests.deliveries.live import receive_callbacks, tell
        from tests.deliveries.shop import Shop

        shop = Shop(emulator)
        # The first channel's pace spreads the campaign over the time of the faults, and lets it catch up.
        rate = max(5.0, self.options.recipients / (self.options.seconds * 0.5))
        messenger, bot, sms = shop.messenger(rate=rate), shop.bot(), shop.sms()
        for channel in (messenger, bot, sms):
            receive_callbacks(shop, web, channel)
        prices = {"green": ("2.60", "delivered"), "telegram": ("0", "accepted"), "smsc": ("4.80", "accepted")}
        for provider, (price, charged_on) in prices.items():
            tell(emulator, "accounts", provider=provider, price=price, charged_on=charged_on, latency=LATENCY)
        members = shop.people(self.options.recipients)
        numbers = dict(members.members.values_list("contact_id", "contact__phone"))
        ContactAddress.objects.bulk_create(
            ContactAddress(contact_id=pk, channel_id=bot.pk, value=phone.lstrip("+")) for pk, phone in numbers.items()
        )
        people = _cast([phone.lstrip("+") for phone in numbers.values()])
        tell(emulator, "rules", digits=False)
        for name, _, behaviours in CAST:
            for provider, behaviour in behaviours.items():
                tell(emulator, "rules", provider=provider, recipients=people[name], **behaviour)
        chain = shop.chain(messenger, bot, sms, wait=list(WAITS.values()), expect=["delivered", "replied", "delivered"])
        shop.campaign(chain, members)
        return people

    # --- faults besides the kills

    def _flush_redis(self) -> None:
        client = redis.Redis.from_url(self.services.redis_url)
        client.flushall()
        client.close()
        self.flushes += 1

    def _crash_postgres(self) -> None:
        self.services.restart_postgres("immediate")
        self.restarts += 1

    # --- the end

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for it, restarting dead workers meanwhile; False when the time is over."""
        stop_at = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > stop_at:
                return False
            self.chaos.restart_dead()
            time.sleep(0.2)
        return True

    def _finished(self) -> bool:
        from campaigns.models import Campaign, CampaignStatus

        return bool(_asked(lambda: Campaign.objects.get().status == CampaignStatus.FINISHED))

    def _settled(self, emulator: Running) -> bool:
        """Late receipts and answers about lost calls have come in; the campaign does not wait for them."""
        from emulator.journal import Journal
        from tests.faults.verdict import money_delta

        return money_delta(Journal.read(emulator.journal)) == Decimal(0) and not self.chaos.orphans_alive()

    def _judge(self, emulator: Running, people: dict[str, list[str]]) -> Verdict:
        from emulator.journal import Journal
        from tests.faults.verdict import judge

        return judge(
            Journal.read(emulator.journal),
            [person for part in people.values() for person in part],
            list(WAITS),
            WAITS,
            timedelta(seconds=3 * DEADLINE),
            frozenset(person for name in PATIENT for person in people[name]),
        )

    def _outcomes(self) -> dict[str, int]:
        from deliveries.models import Delivery

        return dict(Counter(Delivery.objects.values_list("outcome", flat=True)))

    def _open(self) -> dict[str, int]:
        """What is still under way, and which channels are taken for dead."""
        from channels.models import ChannelState
        from deliveries.models import Delivery, DeliveryState

        rows = Delivery.objects.exclude(state=DeliveryState.FINAL).values_list("state", "step", "wait_reason")
        held = ChannelState.objects.filter(breaker=ChannelState.Breaker.OPEN).values_list(
            "channel__provider", flat=True
        )
        return {
            **Counter(f"{state} at step {step}: {reason}" for state, step, reason in rows),
            **{f"{name} on hold": 1 for name in held},
        }

    def _others_dead(self) -> list[str]:
        """Web, beat and emulator, at which nobody shot."""
        others = [one for one in self.processes.running if not one.name.startswith("worker-")]
        return [one.name for one in others if one.process.poll() is not None]


def _cast(people: list[str]) -> dict[str, list[str]]:
    """Everybody's part, evenly mixed."""
    parts = [name for name, count, _ in CAST for _ in range(count)]
    found: dict[str, list[str]] = {name: [] for name, _, _ in CAST}
    for number, person in enumerate(people):
        # Seven is prime to the twenty parts: neighbours differ.
        found[parts[number * 7 % len(parts)]].append(person)
    return found


def _requests(emulator: Running) -> int:
    from emulator.journal import Journal

    return len(Journal.read(emulator.journal).sends())


def _asked(question: Callable[[], Any]) -> Any:
    """The answer, None while the database is away."""
    from django.db import DatabaseError, InterfaceError, close_old_connections

    close_old_connections()
    try:
        return question()
    except (DatabaseError, InterfaceError):
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
