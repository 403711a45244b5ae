"""`make demo`: everything on this machine with one command, stopped with one Ctrl-C.

Servers (embedded unless DATABASE_URL and REDIS_URL are set), migrations, demo data, then web,
workers, beat and the provider emulator under one supervisor. Data stays in .demo between runs.
Not a management command, because Django's settings need the servers' addresses to load.

    python -m cascade_project.demo [--port N] [--check] [--reset] [--data-dir PATH]

`--check` runs unattended on fresh data to the end, prints one JSON line with the judgement and
exits 0 or 1.
"""

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from cascade_project import roles
from cascade_project.children import free_port
from cascade_project.embedded import EmbeddedServices, ServiceError, forget
from cascade_project.supervisor import ChildEndedError, Supervisor

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
LOGIN = "owner"
START_DEADLINE_S = 120.0


class DemoError(RuntimeError):
    """The demo cannot start; the text says what to do."""


class _StopSignal(BaseException):
    """Raised in the main thread by SIGINT, SIGTERM and SIGHUP, so that `with` blocks unwind."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def _raise_on_signals() -> None:
    def stop(number: int, _frame: object) -> None:
        # Once: a second Ctrl-C must not cut the orderly end short and leave a server running.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        raise _StopSignal(number)

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the data folder's lock. Raises DemoError when another demo holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(f"A demo is already running on {folder}: stop it first (Ctrl-C there).") from None
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  a command line tool


def _password(folder: Path) -> str:
    """Return the demo owner's password, made on first use and kept beside the data."""
    path = folder / "password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(9), encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):  # noqa: S310  our own http address
            return True
    except (URLError, OSError):
        return False


def _wait_for(supervisor: Supervisor, url: str) -> None:
    """Return when the address answers. Raises DemoError when it does not within the time."""
    deadline = time.monotonic() + START_DEADLINE_S
    answered = False

    def done() -> bool:
        nonlocal answered
        answered = _answers(url)
        return answered or time.monotonic() > deadline

    supervisor.watch(until=done)
    if not answered:
        raise DemoError(f"{url} does not answer after {START_DEADLINE_S:.0f} s; see its lines above.")


def _migrate() -> None:
    """Bring the schema up to date inside this process: each manage.py costs two seconds."""
    import django  # noqa: PLC0415  settings are complete only now

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", interactive=False, verbosity=0)


def _make_owner(password: str) -> None:
    """Create the demo's superuser or give it its password back."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415  after django.setup()

    users = get_user_model()._default_manager  # noqa: SLF001  Django's documented name
    owner, _ = users.get_or_create(
        **{users.model.USERNAME_FIELD: LOGIN},
        defaults={"is_staff": True, "is_superuser": True},
    )
    owner.set_password(password)
    owner.save()


def _start_children(supervisor: Supervisor, folder: Path, port: int, emulator_port: int) -> None:
    """Start the process model of a real installation, plus the emulator."""

    def start(name: str, role: str, command: list[str], *, stops_last: bool = False) -> None:
        # Unbuffered: lines must appear when they are written, not when the child ends.
        environment = {**os.environ, "PROCESS_ROLE": role, "PYTHONUNBUFFERED": "1"}
        supervisor.start(name, command, environment, stops_last=stops_last)

    journal = folder / "journal.jsonl"
    start("emulator", "command", roles.emulator(HOST, emulator_port, journal), stops_last=True)
    start("web", "web", roles.web(HOST, port))
    start("send", "worker", roles.worker(roles.SEND_QUEUES, 2, "send"))
    start(
        "work",
        "worker",
        roles.worker((*roles.DEFAULT_QUEUES, *roles.IMPORT_QUEUES), 2, "work"),
    )
    start("beat", "beat", roles.beat())


def _judge_meanwhile(supervisor: Supervisor, judge: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run the judgement beside the watch over the children, so that a dead one ends it."""
    verdict: dict[str, Any] = {}

    def work() -> None:
        from django.db import connections  # noqa: PLC0415  after django.setup()

        try:
            verdict.update(judge())
        except Exception as error:  # noqa: BLE001  whatever it is, the verdict is "no"
            verdict.update({"ok": False, "error": f"{type(error).__name__}: {error}"})
        finally:
            connections.close_all()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    supervisor.watch(until=lambda: not thread.is_alive())
    return verdict


def _run(folder: Path, port: int, *, check: bool, timeout_s: int) -> int:
    """Start everything and serve until a signal, or until judged; return the exit code."""
    started_at = time.monotonic()
    with (
        EmbeddedServices(folder, fsync=not check) as services,
        Supervisor(ROOT) as supervisor,
    ):
        _say(f"demo     | {services.describe()}")
        if services.joined:
            # It would be stopped under us when that command ends.
            raise DemoError(f"Another command (scripts/manage?) uses {folder}: wait for its end.")
        port, emulator_port = free_port(port), free_port(port + 25)
        address, emulator_url = f"http://{HOST}:{port}", f"http://{HOST}:{emulator_port}"
        os.environ.update(services.settings())
        os.environ["PUBLIC_BASE_URL"] = address
        os.environ["OUTGOING_ALLOWED_PRIVATE"] = f"{HOST}:{emulator_port}"
        _migrate()
        _start_children(supervisor, folder, port, emulator_port)
        password = _password(folder)
        _make_owner(password)
        for url in (f"{emulator_url}/_emulator/ready", f"{address}/healthz"):
            _wait_for(supervisor, url)
        from cascade_project import demo_data  # noqa: PLC0415  after django.setup()

        demo_data.seed(emulator_url)
        _say(f"demo     | ready after {time.monotonic() - started_at:.0f} s")
        if check:
            verdict = _judge_meanwhile(supervisor, lambda: demo_data.wait_and_judge(timeout_s, emulator_url))
            print(json.dumps(verdict, ensure_ascii=False), flush=True)  # noqa: T201  the result
            return 0 if verdict.get("ok") is True else 1
        print(  # noqa: T201  what the person came for
            f"\n  Cascade   {address}/admin/\n  login     {LOGIN}\n  password  {password}\n"
            f"\n  Ctrl-C stops everything; the data stays in {folder.name}/ "
            f"(`make demo-reset` forgets it).\n",
            flush=True,
        )
        supervisor.watch(until=lambda: False)
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run the demo; return its exit code (128 + signal number after a signal)."""
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--port", type=int, default=8000, help="taken: a free one is used")
    parser.add_argument("--data-dir", type=Path, default=ROOT / ".demo")
    parser.add_argument("--check", action="store_true", help="run unattended, print a verdict")
    parser.add_argument("--timeout", type=int, default=300, help="seconds for --check")
    parser.add_argument("--reset", action="store_true", help="forget the demo's data")
    options = parser.parse_args(arguments)
    folder: Path = options.data_dir.resolve()
    fresh = Path(tempfile.mkdtemp(prefix="cascade-demo-")) if options.check else None
    _raise_on_signals()
    try:
        if fresh:
            fresh.chmod(0o711)  # PostgreSQL may have to run as `nobody` below it
            folder = fresh
        with _only_one(folder):
            if options.reset:
                forget(folder)
                return 0
            return _run(folder, options.port, check=options.check, timeout_s=options.timeout)
    except (DemoError, ServiceError) as error:
        _say(str(error))
        return 1
    except ChildEndedError as error:
        _say(f"demo     | {error}: everything is stopped")
        return error.code if error.code > 0 else 1
    except _StopSignal as stop:
        return stop.exit_code
    finally:
        if fresh:
            shutil.rmtree(fresh, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
