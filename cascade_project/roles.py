"""The processes of an installation and how each is started.

The demo's supervisor and the process tests take their commands from here, so that what is
tested is what runs; compose.yaml repeats them (a test compares).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

#: Which queues a worker of each kind serves. One process model everywhere: sends never wait
#: behind an import, ticks never behind a send.
SEND_QUEUES = ("send",)
DEFAULT_QUEUES = ("default",)
IMPORT_QUEUES = ("import",)

APP = "cascade_project"


def worker(queues: Sequence[str], concurrency: int, name: str) -> list[str]:
    """Return the command of a Celery worker with forked children.

    Gossip, mingle and heartbeats are off: workers need not know each other, the database is
    where they meet, and each of the three costs a connection and messages every second.
    """
    return [
        sys.executable,
        "-m",
        "celery",
        f"--app={APP}",
        "worker",
        f"--queues={','.join(queues)}",
        f"--concurrency={concurrency}",
        "--pool=prefork",
        f"--hostname={name}@%h",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]


def beat(pid_file: Path | None = None) -> list[str]:
    """Return the command of the one process that turns ticks into hints.

    An empty pid file argument means none is written; two beats would only double the hints.
    """
    return [
        sys.executable,
        "-m",
        "celery",
        f"--app={APP}",
        "beat",
        f"--pidfile={pid_file or ''}",
    ]


def listener() -> list[str]:
    """Return the command of the process that holds connections open (Asterisk). One works; a second one waits for it."""
    return [sys.executable, "manage.py", "listen"]


def web(host: str, port: int, threads: int = 4) -> list[str]:
    """Return the command of the web server: one process, requests in threads.

    The idle timeout is long because each thread keeps its own database connection and would
    open a new one after every pause.
    """
    return [
        sys.executable,
        "-m",
        "granian",
        "--interface=wsgi",
        f"--host={host}",
        f"--port={port}",
        "--workers=1",
        f"--blocking-threads={threads}",
        "--blocking-threads-idle-timeout=600",
        "--no-ws",
        f"{APP}.wsgi:application",
    ]


def emulator(host: str, port: int, journal: Path) -> list[str]:
    """Return the command of the provider emulator."""
    return [
        sys.executable,
        "-m",
        "emulator",
        f"--host={host}",
        f"--port={port}",
        f"--journal={journal}",
    ]
