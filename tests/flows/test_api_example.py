"""The example of docs/api.md does the main job on a whole installation."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from api.models import Scope
from api.services import keys
from tests.deliveries.live import receive_callbacks, requests_of
from tests.flows.conftest import ROOT, Installation

pytestmark = pytest.mark.processes


def test_the_example_sends_each_reminder_once_and_prints_the_report(engine: Installation):
    sms = engine.shop.sms()
    receive_callbacks(engine.shop, engine.web, sms)
    chain = engine.shop.chain(sms)
    _row, key = keys.issue("example", tuple(Scope))
    done = subprocess.run(
        [sys.executable, "docs/examples/reminder.py"],
        cwd=ROOT,
        env={"CASCADE_URL": engine.web, "CASCADE_KEY": key, "CASCADE_CHAIN": str(chain.pk), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["balanced"] is True
    assert report["outcomes"] == {"reached": 2}
    assert len(requests_of(engine.shop, provider="smsc")) == 2
