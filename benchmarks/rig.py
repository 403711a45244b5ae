"""What every benchmark stands on: servers, fresh databases, processes, and rounds that can be compared."""

from __future__ import annotations

import os
import socket
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

from tests.plugins.processes import Processes, Running

#: The migrated database that all others are copied from: migrating takes seconds, copying a fraction of one.
TEMPLATE = "cascade_bench_template"
_DATABASE = "cascade_bench"

Rounds = dict[str, list[float]]


@dataclass
class Rig:
    """Handed to `run()`; see the package's docstring."""

    folder: Path
    repeat: int
    #: 1 = as documented; smaller for a look or a smoke test.
    size: float
    environment: dict[str, str] = field(default_factory=dict)
    processes: Processes = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.processes = Processes(self.folder, self.environment)

    def count(self, full: int, least: int = 10) -> int:
        """How many to make where a full run makes `full`."""
        return max(least, round(full * self.size))

    def rounds(self, cases: Mapping[str, Callable[[], float]]) -> Rounds:
        """Run the cases in turn, `repeat` times; returns what each returned, in order."""
        found: Rounds = {name: [] for name in cases}
        for number in range(self.repeat):
            for name, case in cases.items():
                found[name].append(case())
                self.say(f"round {number + 1} of {self.repeat}: {name} {found[name][-1]:,.0f}/s")
        return found

    def stop(self, started: Sequence[Running]) -> None:
        """End these processes in the order given; they are no longer watched."""
        for one in started:
            one.stop()
            self.processes.running.remove(one)

    def listens(self, port: int) -> bool:
        """Whether somebody accepts connections on this port of 127.0.0.1."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def say(self, text: str) -> None:
        """Tell the person who waits."""
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def fresh_database(self) -> None:
        """Stop all processes and point Django, and processes started from now on, at a new migrated empty database."""
        self.processes.stop()
        self.processes.running.clear()
        connection.close()
        with connect_to("postgres") as server:
            server.execute(f'DROP DATABASE IF EXISTS "{_DATABASE}" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{_DATABASE}" TEMPLATE "{TEMPLATE}"')
        use_database(_DATABASE)
        self.environment["DATABASE_URL"] = database_url(_DATABASE)

    def close(self) -> None:
        """Stop what was started and drop what was made."""
        self.processes.stop()
        connection.close()
        with connect_to("postgres") as server:
            for name in (_DATABASE, TEMPLATE):
                server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def database_url(name: str) -> str:
    """The address of another database on the server the environment names."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))


def connect_to(name: str) -> Any:
    """A bare psycopg connection to a database of our server, in autocommit."""
    import psycopg  # noqa: PLC0415 - beside its only use

    return psycopg.connect(database_url(name), autocommit=True)


def use_database(name: str) -> None:
    """Point Django's default connection of this process at another database of the same server."""
    connection.close()
    connection.settings_dict["NAME"] = name


def ratios(rounds: Rounds) -> dict[str, Any]:
    """The two figures the targets are about and what they are made of.

    In: rates by case, "ours" and "limit" and perhaps "peer". Each ratio is the median of the rounds' own ratios, so
    that a neighbour's load hits both of its sides; `spread` says how far the rounds lie apart.
    """
    against = {
        f"ratio_to_{name}": [ours / other for ours, other in zip(rounds["ours"], rounds[name], strict=True)]
        for name in ("limit", "peer")
        if name in rounds
    }
    return {
        "ratio_to_limit": _median(against.get("ratio_to_limit")),
        "ratio_to_peer": _median(against.get("ratio_to_peer")),
        "spread": {name: [round(min(values), 3), round(max(values), 3)] for name, values in against.items()},
        "per_second": {name: round(statistics.median(values), 1) for name, values in rounds.items()},
        "rounds": len(rounds["ours"]),
    }


def _median(values: list[float] | None) -> float | None:
    return None if values is None else round(statistics.median(values), 3)
