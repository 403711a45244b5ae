"""The kill soak at a size for every run of the suite; `make faults` is the large one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_nothing_is_lost_or_sent_twice_under_fire() -> None:
    """A process of its own, because it needs a PostgreSQL that may be crashed."""
    given = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    command = [sys.executable, "-m", "tests.faults.soak", "--recipients=200", "--seconds=15", "--recovery=150"]
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout, done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert result["faults"] == {}
    assert done.returncode == 0
    # It was a battle and not a walk.
    assert sum(result["kills"].values()) >= 5
    assert (result["redis_flushes"], result["postgres_crashes"]) == (2, 1)
