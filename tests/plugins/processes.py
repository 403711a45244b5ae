"""Pytest plugin: the real processes of an installation, against this test's database.

    def test_a_message_is_sent(processes):
        emulator = processes.emulator()
        worker = processes.worker("send", "default", concurrency=2)
        processes.beat()
        ...
        processes.until(lambda: Delivery.objects.filter(final=True).exists())
        worker.kill_one_child()

`processes` brings `transactional_db` along: other processes see only what is committed. Every
start returns when the process is ready to work, by a condition and never by a sleep. On
failure the last lines of every log are in the report.
"""

import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

import pytest
import redis

from cascade_project import roles
from cascade_project.children import free_port, start_child, stop_child

READY_S = 60.0


class ProcessError(AssertionError):
    """A process did not become ready, ended early, or a condition was never met."""


@dataclass
class Running:
    """A started process."""

    name: str
    process: "Popen[bytes]"
    log: Path
    #: Where it serves, for web and emulator.
    url: str = ""
    #: The emulator's journal.
    journal: Path = field(default_factory=Path)
    #: Where the emulator takes mail, and shows mailboxes.
    smtp_port: int = 0
    imap_port: int = 0

    @property
    def pid(self) -> int:
        """The main process; also the id of its process group."""
        return self.process.pid

    def children(self) -> list[int]:
        """Return the pids of its direct children (a worker's forked ones), Linux only."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            return [int(pid) for pid in listed.read_text(encoding="ascii").split()]
        except OSError:
            return []

    def kill_one_child(self, choose: Callable[[list[int]], int] = min) -> int:
        """SIGKILL one forked child and return its pid; the main process starts another."""
        pid = choose(self.children())
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill(self) -> None:
        """SIGKILL the main process and everything it forked."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, grace_s: float = 15.0) -> int:
        """End it politely, then by force; return its exit code."""
        return stop_child(self.process, grace_s)

    def tail(self, lines: int = 60) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


class Processes:
    """Starts processes and ends all of them at the end of the test."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.running: list[Running] = []

    def worker(
        self,
        *queues: str,
        concurrency: int = 2,
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> Running:
        """Start a Celery worker for the queues (default: all three).

        `arguments` are added to its command, e.g. `--include=tests.some.module_with_tasks`.
        """
        served = queues or (*roles.SEND_QUEUES, *roles.DEFAULT_QUEUES, *roles.IMPORT_QUEUES)
        name = f"{'-'.join(served)}-{uuid.uuid4().hex[:6]}"
        return self.start(
            name,
            [*roles.worker(served, concurrency, name), *arguments],
            {"PROCESS_ROLE": "worker", **(environment or {})},
            ready=lambda started: bool(re.search(rf"{name}@\S+ ready\.", started.tail())),
        )

    def beat(self, environment: dict[str, str] | None = None) -> Running:
        """Start beat. It reads its rows from the test's database: make them first."""
        pid_file = self.folder / f"beat-{uuid.uuid4().hex[:6]}.pid"
        return self.start(
            "beat",
            roles.beat(pid_file),
            {"PROCESS_ROLE": "beat", **(environment or {})},
            ready=lambda _: pid_file.exists(),
        )

    def web(self, environment: dict[str, str] | None = None, port: int | None = None) -> Running:
        """Start the web server; its `url` is http://127.0.0.1:<port>."""
        port = port or free_port()
        url = f"http://127.0.0.1:{port}"
        started = self.start(
            "web",
            roles.web("127.0.0.1", port),
            {"PROCESS_ROLE": "web", "PUBLIC_BASE_URL": url, **(environment or {})},
            ready=lambda _: _status(f"{url}/healthz") == 200,
        )
        started.url = url
        return started

    def emulator(self, port: int | None = None) -> Running:
        """Start the provider emulator; see its `url`, `smtp_port`, `imap_port` and `journal`."""
        port, smtp_port, imap_port = port or free_port(), free_port(), free_port()
        journal = self.folder / f"journal-{uuid.uuid4().hex[:6]}.jsonl"
        url = f"http://127.0.0.1:{port}"
        started = self.start(
            "emulator",
            [*roles.emulator("127.0.0.1", port, journal), f"--smtp-port={smtp_port}", f"--imap-port={imap_port}"],
            ready=lambda _: _status(f"{url}/_emulator/ready") == 200,
        )
        started.url, started.journal, started.smtp_port, started.imap_port = url, journal, smtp_port, imap_port
        return started

    def until(
        self,
        condition: Callable[[], Any],
        timeout_s: float = 60.0,
        interval_s: float = 0.05,
        what: str = "the condition",
    ) -> Any:
        """Poll until the condition is true and return its value.

        Raises ProcessError after the time, or as soon as a process ended that nobody stopped.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            value = condition()
            if value:
                return value
            for started in self.running:
                if started.process.returncode is None and started.process.poll() is not None:
                    raise ProcessError(f"{started.name} ended with {started.process.returncode}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{what} was not met within {timeout_s:g} s")
            time.sleep(interval_s)

    def stop(self) -> None:
        """End everything, last started first."""
        for started in reversed(self.running):
            started.stop(grace_s=5.0)

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: dict[str, str] | None = None,
        ready: Callable[[Running], bool] | None = None,
    ) -> Running:
        """Start any command of the project and return when `ready(it)` holds."""
        log = self.folder / f"{len(self.running)}-{name}.log"
        with log.open("wb") as output:
            process = start_child(
                command,
                environment={**self.environment, **(environment or {})},
                directory=Path(__file__).parents[2],
                output=output,
            )
        started = Running(name, process, log)
        self.running.append(started)
        deadline = time.monotonic() + READY_S
        while ready and not ready(started):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ProcessError(f"{name} did not become ready:\n{started.tail()}")
            time.sleep(0.02)
        return started


def _status(url: str) -> int | None:
    """Return the HTTP status, None when nobody listens."""
    try:
        with urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return None


def test_database_url() -> str:
    """Return the address of this test run's database, for processes outside Django."""
    from django.db import connection

    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))


test_database_url.__test__ = False  # type: ignore[attr-defined]


def _wait_until_alone() -> None:
    """Wait until the killed processes' sessions are gone from the server.

    PostgreSQL notices a dead client a moment later; until then its locks would stop the
    cleaning of the tables, and its session the dropping of the database.
    """
    from django.db import connection

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if cursor.fetchone()[0] == 0:
                return
        time.sleep(0.05)


@pytest.fixture
def broker() -> Generator["redis.Redis", None, None]:
    """This test's own numbered Redis database, empty before and after."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def processes(transactional_db: None, broker: "redis.Redis", tmp_path: Path) -> Generator[Processes, None, None]:
    """Start real processes against this test's database and broker."""
    environment = {
        **os.environ,
        "DATABASE_URL": test_database_url(),
        "PYTHONUNBUFFERED": "1",
    }
    started = Processes(tmp_path, environment)
    yield started
    started.stop()
    _wait_until_alone()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the started processes to a failed test's report."""
    report = yield
    started = getattr(item, "funcargs", {}).get("processes")
    if report.failed and isinstance(started, Processes):
        for one in started.running:
            report.sections.append((f"log of {one.name}", one.tail()))
    return report
