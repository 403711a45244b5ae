"""Connections that break at a chosen byte: between a worker and its database, between a worker and a provider.

The fault is made outside the product, which knows nothing of it: a relay sees what passes and, once, kills the worker
or cuts the connection at the named moment. Threads and plain sockets: what is relayed is small, and a relay that shared
an event loop with anything else would add its own races.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.world import find_pid


class Moment(Enum):
    #: The matching request is never passed on.
    BEFORE = auto()
    #: Half of the matching request is passed on.
    HALF = auto()
    #: The COMMIT of the transaction with the matching statement is never passed on.
    COMMIT = auto()
    #: The answer is there and is not passed on: to the request, or for a statement to its transaction's COMMIT (its
    #: own, where it is a transaction by itself).
    ANSWER = auto()
    #: The process stands still before the matching statement leaves, until Trap.release().
    FROZEN = auto()
    #: The answer reaches a process that stands still and never wakes.
    ANSWERED = auto()


@dataclass
class Trap:
    """What to do, once, when something that matches `pattern` passes."""

    pattern: re.Pattern[bytes]
    moment: Moment
    #: Kill the process at the near end; else only cut the connection.
    kills: bool
    sprung: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def release(self) -> None:
        """The process that stands still goes on."""
        self.released.set()

    def freeze(self, pid: int) -> None:
        """Stop the process and wait for release()."""
        os.kill(pid, signal.SIGSTOP)
        self.sprung.set()
        self.released.wait()
        os.kill(pid, signal.SIGCONT)

    def spring(self, pid: int) -> bool:
        """Do it; False if it has been done before."""
        with self._lock:
            if self.sprung.is_set():
                return False
            if self.kills:
                os.kill(pid, signal.SIGKILL)
            self.sprung.set()
            return True


class Wire:
    """A listening relay. `with wire: ...`; set a trap with arm()."""

    def __init__(self, listener: socket.socket, target: Callable[[], socket.socket]) -> None:
        self._listener = listener
        self._target = target
        self._trap: Trap | None = None
        self._open: list[socket.socket] = []
        self._ends = False

    def arm(self, pattern: str, moment: Moment, *, kills: bool) -> Trap:
        """Replace the trap by a new one."""
        self._trap = Trap(re.compile(pattern.encode(), re.DOTALL), moment, kills)
        return self._trap

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends = True
        if self._trap is not None:
            self._trap.release()
        for one in [self._listener, *self._open]:
            _close(one)

    def _accept(self) -> None:
        while not self._ends:
            try:
                near, _ = self._listener.accept()
                far = self._target()
            except OSError:
                continue
            self._open += [near, far]
            self._relay(near, far)

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        raise NotImplementedError


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def _reset(one: socket.socket) -> None:
    """Close so that the other side sees a broken connection, not a polite end."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _close(one)


def _copy(source: socket.socket, pass_on: Callable[[bytes], bool]) -> None:
    """Read until the end and give each piece to `pass_on`, until it says no."""
    with contextlib.suppress(OSError):
        while (data := source.recv(1 << 16)) and pass_on(data):
            pass


class DatabaseWire(Wire):
    """In front of PostgreSQL's socket, seen by the processes that get `url` as DATABASE_URL."""

    COMMIT = re.compile(rb"COMMIT\x00")

    def __init__(self, folder: Path, database_url: str) -> None:
        real = re.search(r"host=([^&]+)", database_url)
        assert real, "the tests' PostgreSQL listens on a socket in a folder"
        behind = f"{real[1]}/.s.PGSQL.5432"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/.s.PGSQL.5432")
        listener.listen(64)

        def target() -> socket.socket:
            far = socket.socket(socket.AF_UNIX)
            far.connect(behind)
            return far

        super().__init__(listener, target)
        self.url = database_url.replace(real[1], str(folder))

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        pid, _, _ = struct.unpack("3i", near.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        said = bytearray()  # in this transaction
        withheld = threading.Event()

        def asks(data: bytes) -> bool:
            said.extend(data)
            trap = self._trap
            ends = self.COMMIT.search(data) is not None or b"BEGIN" not in said
            if trap is not None and not trap.sprung.is_set() and trap.pattern.search(said):
                if trap.moment is Moment.BEFORE or (trap.moment is Moment.COMMIT and ends):
                    return not trap.spring(pid)
                if trap.moment is Moment.FROZEN:
                    trap.freeze(pid)
                if trap.moment is Moment.ANSWER and ends:
                    withheld.set()
            if ends:
                said.clear()
            far.sendall(data)
            return True

        def answers(data: bytes) -> bool:
            trap = self._trap
            if withheld.is_set() and trap is not None:
                withheld.clear()
                if trap.spring(pid):
                    return False
            near.sendall(data)
            return True

        _both(near, far, asks, answers)


class ProviderWire(Wire):
    """In front of the emulator, for channels whose base URL begins with `url`. Plain HTTP/1.1."""

    def __init__(self, emulator_url: str, pids: Callable[[], list[int]]) -> None:
        """`pids`: the processes that may be at the near end."""
        port = int(emulator_url.rpartition(":")[2])
        listener = socket.create_server(("127.0.0.1", 0))
        super().__init__(listener, lambda: socket.create_connection(("127.0.0.1", port)))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._pids = pids

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        withheld: list[int] = []

        def asks(data: bytes) -> bool:
            trap = self._trap
            if trap is not None and not trap.sprung.is_set() and trap.pattern.search(data):
                pid = find_pid(near.getpeername()[1], self._pids())
                assert pid is not None, "nobody we know is at the near end"
                if trap.moment is Moment.HALF:
                    far.sendall(data[: len(data) // 2])
                    return not trap.spring(pid)
                withheld.append(pid)
            far.sendall(data)
            return True

        def answers(data: bytes) -> bool:
            trap = self._trap
            if withheld and trap is not None:
                pid = withheld.pop()
                if trap.moment is Moment.ANSWERED:
                    os.kill(pid, signal.SIGSTOP)
                    near.sendall(data)
                if trap.spring(pid):
                    return False
            near.sendall(data)
            return True

        _both(near, far, asks, answers)


def _both(
    near: socket.socket, far: socket.socket, asks: Callable[[bytes], bool], answers: Callable[[bytes], bool]
) -> None:
    """Two threads for a connection; when either direction ends, both do."""

    def run(source: socket.socket, pass_on: Callable[[bytes], bool]) -> None:
        _copy(source, pass_on)
        _reset(near)
        _close(far)

    threading.Thread(target=run, args=(near, asks), daemon=True).start()
    threading.Thread(target=run, args=(far, answers), daemon=True).start()
