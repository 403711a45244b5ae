"""The command: `make bench ARGS="--only NAME --repeat N"`. One JSON line per benchmark on standard output."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.registry import BENCHES
from cascade_project.embedded import EmbeddedServices, ServiceError, forget

if TYPE_CHECKING:
    from benchmarks.rig import Rig


def main(arguments: Sequence[str]) -> int:
    """Run the chosen benchmarks; exit code 1 when the servers cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ours, the limit and the peers.")
    parser.add_argument("--only", action="append", choices=list(BENCHES), help="repeatable; default: all")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of each benchmark (default 3)")
    parser.add_argument("--size", type=float, default=1.0, help="scale all counts, e.g. 0.01 for a quick look")
    options = parser.parse_args(arguments)
    # An end from outside unwinds like any other: servers stop, their data goes.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with _rig(options.repeat, options.size) as rig:
            for name in options.only or BENCHES:
                rig.say(f"{name} ...")
                rig.fresh_database()
                found = importlib.import_module(BENCHES[name]).run(rig)
                print(json.dumps({"bench": name, **found}), flush=True)
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _rig(repeat: int, size: float) -> Iterator[Rig]:
    """Servers with data of their own, a migrated template database, Django set up; nothing of it is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="cascade-bench-"))
    folder.chmod(0o711)  # passable: PostgreSQL may have to run as `nobody` below it
    try:
        with EmbeddedServices(folder / "data") as services:
            os.environ.update(services.settings())
            os.environ["PROCESS_ROLE"] = "worker"
            _migrate()
            from benchmarks.rig import Rig  # noqa: PLC0415 - Django is set up only now

            rig = Rig(folder, repeat, size)
            rig.say(services.describe())
            try:
                yield rig
            finally:
                rig.close()
    finally:
        forget(folder)


def _migrate() -> None:
    import django  # noqa: PLC0415 - settings are complete only now

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415

    from benchmarks.rig import TEMPLATE, connect_to, use_database  # noqa: PLC0415

    with connect_to("postgres") as server:
        server.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{TEMPLATE}"')
    use_database(TEMPLATE)
    call_command("migrate", interactive=False, verbosity=0)
    connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
