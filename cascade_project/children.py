"""Child processes that cannot outlive us.

One set of primitives for the embedded servers, the demo's supervisor and the tests: every
child has its own process group (so that Ctrl-C reaches only the parent, which then stops the
children in order) and a parent-death signal (so that a parent killed with SIGKILL leaves
nothing running). Everything is ended by recorded pid, never by name.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
# Loaded once, before any fork: a dlopen between fork and exec may deadlock in a threaded parent.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signal_number: int) -> Callable[[], None]:
    """Return a `preexec_fn` that ties the child's life to the thread that starts it.

    Linux only; elsewhere it does nothing and a killed parent leaves its children, which the
    next start finds by their pid files. Start children from a thread that lives as long as
    the parent: the kernel watches the thread, not the process.
    """
    parent = os.getpid()

    def tie() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


def start_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    output: IO[bytes] | int | None = None,
    death_signal: int = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a command without a shell, in its own group, tied to this thread's life.

    Standard error goes where `output` goes. Raises OSError when it cannot be started.
    """
    return subprocess.Popen(
        command,
        env=None if environment is None else dict(environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        process_group=0,
        preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509  one prctl call, see _LIBC
    )


def stop_child(process: subprocess.Popen[bytes], grace_s: float = 10.0) -> int:
    """Ask the child to end, wait, then kill its whole group; return its exit code.

    The group is killed in any case, because a main process that is gone says nothing about
    the workers it forked. Calling it for an ended child is harmless.
    """
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace_s)
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the child's process group; nothing happens when it is empty."""
    # PermissionError: on macOS for a group that only holds zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def free_port(preferred: int | None = None) -> int:
    """Return a free TCP port on 127.0.0.1, the preferred one when it can be had.

    Somebody may take it before our child binds it; who starts a server on it must be ready
    to try again or to report the failure.
    """
    for candidate in (preferred, 0):
        if candidate is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free TCP port on 127.0.0.1")
