"""Several processes under one: their lines prefixed, their lives tied together.

Used by `make demo` only; a server has systemd or compose for this. Why our own: the usual tool
wraps every child in a shell and leaves all of them running after a SIGKILL (seen).
"""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cascade_project.children import kill_group, start_child

POLL_S = 0.1
GRACE_S = 10.0


@dataclass(frozen=True)
class _Child:
    name: str
    process: "subprocess.Popen[bytes]"
    reader: threading.Thread
    stops_last: bool


class ChildEndedError(RuntimeError):
    """A child ended although nobody asked it to."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with code {code}")
        self.code = code


class Supervisor:
    """Starts children and ends all of them together.

    Use as a context manager from the main thread: leaving the block, in whatever way, stops
    every child and waits for it. The lines of the children go to standard error, so that
    standard output stays for results.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[_Child] = []
        self._output = threading.Lock()

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        stops_last: bool = False,
    ) -> int:
        """Start a child and return its pid. Raises OSError when it cannot be started.

        `stops_last` is for the one the others talk to: it goes when they are gone.
        """
        process = start_child(command, environment=environment, directory=self._directory, output=subprocess.PIPE)
        # A thread for each: a child that fills its pipe would stand still while this process
        # is busy with migrations.
        reader = threading.Thread(target=self._copy_lines, args=(name, process), daemon=True)
        reader.start()
        self._children.append(_Child(name, process, reader, stops_last))
        return process.pid

    def watch(self, until: Callable[[], bool]) -> None:
        """Return when `until()` holds. Raises ChildEndedError when a child ends before."""
        while not until():
            for child in self._children:
                code = child.process.poll()
                if code is not None:
                    raise ChildEndedError(child.name, code)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End all children: ask, wait, kill. Calling it again does nothing."""
        for last in (False, True):
            chosen = [child for child in self._children if child.stops_last is last]
            for child in chosen:
                if child.process.poll() is None:
                    child.process.terminate()
            deadline = time.monotonic() + GRACE_S
            for child in chosen:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
                # The group in any case: forked workers may outlive their main process.
                kill_group(child.process)
                child.process.wait()
                child.reader.join(timeout=1.0)
        self._children.clear()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _copy_lines(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            with self._output:
                sys.stderr.write(f"{name:<8} | {line.decode(errors='replace').rstrip()}\n")
                sys.stderr.flush()
