"""I15, R19: a provider's rate is kept by all workers together, and its Retry-After by each of them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from deliveries.models import Attempt
from deliveries.schedule import ensure_ticks
from emulator.journal import Journal
from tests.channels.flows.conftest import Street
from tests.deliveries.live import requests_of, tell
from tests.plugins.processes import Processes, Running

pytestmark = [pytest.mark.processes, pytest.mark.slow]

LONG = timedelta(minutes=30)
#: How long a worker may go on with turns it had taken before another one was told to wait.
GRACE = 0.25


def run_three_senders(processes: Processes) -> None:
    ensure_ticks()
    for _ in range(3):
        processes.worker("send", concurrency=1)
    processes.worker("default", concurrency=1, environment={"SEND_PARALLEL": "3"})
    processes.beat({"SEND_PARALLEL": "3"})


def test_three_workers_together_keep_the_rate(processes: Processes, street: Street, emulator: Running) -> None:
    """At exactly the provider's own rate nobody is ever told to slow down."""
    tell(street.emulator, "accounts", provider="green", account="*", rate=25)
    run_three_senders(processes)
    street.campaign(street.chain(street.messenger(rate=25.0), wait=LONG), street.people(150, ending=1))
    processes.until(lambda: Attempt.objects.filter(state="accepted").count() == 150, what="150 messages")

    def taken() -> list[str]:
        return [one["recipient"] for one in Journal.read(emulator.journal).sends("green") if one["accepted"]]

    processes.until(lambda: len(taken()) >= 150, what="150 lines in the journal, which is written behind the answers")
    assert len(Journal.read(emulator.journal).of("limited")) <= 1, "less than 1 % of 150"
    assert Counter(Counter(taken()).values()) == {1: 150}


def test_a_wrong_rate_is_corrected_by_obeying(processes: Processes, street: Street, emulator: Running) -> None:
    """The owner set four times what the provider bears: each Retry-After is kept by all three workers."""
    tell(street.emulator, "accounts", provider="green", account="*", rate=15)
    run_three_senders(processes)
    street.campaign(street.chain(street.messenger(rate=60.0), wait=LONG), street.people(60, ending=1))
    processes.until(
        lambda: Attempt.objects.filter(state="accepted").count() == 60, timeout_s=120, what="60 messages in the end"
    )
    limited = Journal.read(emulator.journal).of("limited")
    declared = [record["t"] for record in limited if not record["inside"]]
    late = [
        record["t"] - max(moment for moment in declared if moment <= record["t"])
        for record in limited
        if record["inside"]
    ]
    assert declared, "the limit was met"
    assert [round(seconds, 3) for seconds in late if seconds > GRACE] == []
    accepted = [r["recipient"] for r in requests_of(street, provider="green") if r["accepted"]]
    assert len(accepted) == len(set(accepted)) == 60
