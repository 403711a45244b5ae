"""One process ends, all end; the supervisor is killed, nothing stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cascade_project import roles
from cascade_project.supervisor import ChildEndedError, Supervisor
from tests.ground.test_embedded import is_running, until

ROOT = Path(__file__).parents[2]

#: A child that forks another one, both deaf to SIGTERM: the worst case for orphans.
STUBBORN = (
    "import os, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "os.fork()\n"
    "print(os.getpid(), flush=True)\n"
    "time.sleep(600)\n"
)


def test_a_dying_child_ends_all_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ChildEndedError, match="second ended with code 7") as ended, Supervisor(ROOT) as supervisor:
        first = supervisor.start("first", [sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
        supervisor.start("second", [sys.executable, "-c", "print('bye'); raise SystemExit(7)"], os.environ)
        supervisor.watch(until=lambda: False)
    assert ended.value.code == 7
    assert not is_running(first)
    assert "second   | bye" in capsys.readouterr().err


def test_forked_children_of_a_stubborn_child_are_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cascade_project.supervisor.GRACE_S", 0.5)
    with Supervisor(ROOT) as supervisor:
        group = supervisor.start("stubborn", [sys.executable, "-c", STUBBORN], os.environ)
        members = []

        def both() -> bool:
            members[:] = [pid for pid in _pids() if _group(pid) == group]
            return len(members) == 2

        until(both, "the child has forked")
    until(lambda: not any(map(is_running, members)), "the group is gone", seconds=5)


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_orphans_after(number: signal.Signals, processes: object, tmp_path: Path) -> None:
    """A real worker with forked children and a real web server, under a supervisor that goes."""
    environment = processes.environment  # type: ignore[attr-defined]
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from cascade_project import roles\n"
        "from cascade_project.children import free_port\n"
        "from cascade_project.demo import _StopSignal, _raise_on_signals\n"
        "from cascade_project.supervisor import Supervisor\n"
        "_raise_on_signals()\n"
        "try:\n"
        "    with Supervisor(Path.cwd()) as supervisor:\n"
        "        supervisor.start('worker', roles.worker(['send'], 2, 'orphan'), os.environ)\n"
        "        supervisor.start('web', roles.web('127.0.0.1', free_port()), os.environ)\n"
        "        supervisor.watch(until=lambda: False)\n"
        "except _StopSignal as stop:\n"
        "    sys.exit(stop.exit_code)\n"
    )
    log = tmp_path / "supervisor.log"
    with log.open("wb") as output:
        parent = subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        until(lambda: " ready." in log.read_text() and "Started worker-1" in log.read_text(), "ready", seconds=60)
        family = _descendants(parent.pid)
        assert len(family) >= 5  # worker and its two children, web and its worker
        parent.send_signal(number)
        code = parent.wait(timeout=30)
    finally:
        parent.kill()
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    until(lambda: not any(map(is_running, family)), f"all of {family} end", seconds=30)


def test_roles_are_the_ones_of_the_supervisor() -> None:
    assert roles.worker(["a", "b"], 3, "x")[-7:-3] == [
        "--queues=a,b",
        "--concurrency=3",
        "--pool=prefork",
        "--hostname=x@%h",
    ]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _group(pid: int) -> int | None:
    stat = _stat(pid)
    return int(stat[2]) if stat else None


def _descendants(pid: int) -> list[int]:
    parents = {candidate: int(stat[1]) for candidate in _pids() if (stat := _stat(candidate))}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]
