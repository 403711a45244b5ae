"""`make bench` at a tiny size: every benchmark runs to its end and says what it must. No timings here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.registry import BENCHES

ROOT = Path(__file__).parents[2]


@pytest.mark.processes
@pytest.mark.slow
def test_every_benchmark_prints_its_line() -> None:
    """One JSON line per benchmark, with both ratios and the figures behind them."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--repeat=1", "--size=0.0005"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["bench"] for line in lines] == list(BENCHES)
    for line in lines:
        assert line["ratio_to_limit"] > 0, line
        assert line["ratio_to_peer"] is None or line["ratio_to_peer"] > 0, line
        assert {"rounds", "spread", "per_second"} <= line.keys(), line
