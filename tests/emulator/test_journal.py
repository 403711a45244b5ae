"""The journal judges every run: no holes, nothing lost that was answered, and its questions answered right."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulator.journal import Journal, JournalWriter
from tests.emulator.conftest import ROOT, Emulated, start, stop, until


def test_a_thousand_requests_at_once_leave_no_hole(running: Emulated) -> None:
    running.tell("reset")
    before = running.last
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: running.green(f"7912{n:05d}01"), range(1000)))
    asked = running.since(before, "request")
    assert len(asked) == len({record["recipient"] for record in asked}) == 1000
    until(lambda: Journal.read(running.path).records[-1]["n"] >= asked[-1]["n"])
    on_disk = Journal.read(running.path)
    assert on_disk.holes() == []
    assert on_disk.records[0]["n"] == 1
    moments = [record["t"] for record in on_disk.records]
    assert moments == sorted(moments)


def test_with_fsync_what_was_answered_is_on_the_disk_when_the_machine_dies(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    emulated = start(path, "--fsync")
    answered = [emulated.green(f"7912000{n:02d}01").json["idMessage"] for n in range(20)]
    emulated.process.kill()
    emulated.process.wait()
    kept = [record["id"] for record in Journal.read(path).sends("green")]
    assert kept == answered


def test_a_killed_emulator_s_half_line_is_left_out_and_a_new_one_counts_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = start(path)
    first.green("79120000001")
    stop(first)
    with path.open("ab") as file:
        file.write(b'{"n":99,"kind":"requ')
    assert [record["kind"] for record in Journal.read(path).records] == ["request"]
    path.write_bytes(path.read_bytes().rpartition(b"\n")[0] + b"\n")
    second = start(path)
    second.green("79120000001")
    stop(second)
    both = Journal.read(path)
    assert [record["n"] for record in both.records] == [1, 1]
    assert both.holes() == []


def test_a_missing_record_is_a_hole() -> None:
    assert Journal([{"n": 1}, {"n": 2}, {"n": 4}]).holes() == [(2, 4)]


def test_a_written_record_comes_back_as_it_was(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "a" / "journal.jsonl")
    text = 'Привет\n"\U0001f642\ud800'
    writer.write("request", text=text)
    writer.close()
    (record,) = Journal.read(tmp_path / "a" / "journal.jsonl").records
    assert (record["text"], record["n"], record["kind"]) == (text, 1, "request")


# ---------------------------------------------------------------- its questions


def send(n: int, recipient: str = "a", **fields: Any) -> dict[str, Any]:
    base = {
        "n": n,
        "t": float(n),
        "kind": "request",
        "provider": "smsc",
        "recipient": recipient,
        "text": "x",
        "ref": "",
    }
    return {**base, "accepted": True, "behaviour": "delivered", **fields}


def test_duplicates_are_the_same_text_to_one_person_but_for_clear_refusals() -> None:
    journal = Journal(
        [
            send(1),
            send(2, "b"),
            send(3, "b"),
            send(4, "c", behaviour="rate_limited"),
            send(5, "c"),
            send(6, "d", limited=True),
        ]
    )
    assert set(journal.duplicates(retryable=frozenset({"rate_limited"}))) == {("smsc", "b", "x")}
    assert set(journal.duplicates()) == {("smsc", "b", "x"), ("smsc", "c", "x")}


def test_a_reference_that_comes_twice_is_a_bug_whatever_was_answered() -> None:
    journal = Journal([send(1, ref="r"), send(2, "b", ref="r", accepted=False), send(3, ref="s")])
    assert journal.repeated_refs() == {"r": 2}


def test_overlapping_requests_of_one_person_are_seen() -> None:
    held = [send(1, t=0.0), send(2, t=1.0), send(3, "b", t=1.5)]
    answered = [{"n": 4, "t": 2.0, "kind": "answered", "of": 1}, {"n": 5, "t": 3.0, "kind": "answered", "of": 2}]
    assert Journal(held + answered).max_overlap() == 2
    touching = [{"n": 4, "t": 1.0, "kind": "answered", "of": 1}, {"n": 5, "t": 3.0, "kind": "answered", "of": 2}]
    assert Journal(held + touching).max_overlap() == 1


def test_money_is_exact_and_rates_are_counted() -> None:
    charges = [{"n": n, "kind": "charge", "provider": "smsc", "recipient": "a", "amount": "0.1"} for n in range(1, 4)]
    assert Journal(charges).cost() == Decimal("0.3")
    assert Journal([send(n, t=n / 8) for n in range(25)]).fastest("smsc") == 8


# ---------------------------------------------------------------- faults below HTTP, and kills


def test_a_request_cut_in_the_middle_is_written_down_as_incomplete(running: Emulated) -> None:
    running.tell("reset")
    before = running.last
    with socket.create_connection(("127.0.0.1", running.port)) as sock:
        sock.sendall(
            b"POST /green/waInstance1101/sendMessage/a-secret-token-of-thirty-letters HTTP/1.1\r\n"
            b"Content-Length: 100\r\n\r\nhalf"
        )
    until(lambda: running.since(before, "incomplete"))
    (record,) = running.since(before, "incomplete")
    assert record["provider"] == "green"
    assert "a-secret-token" not in json.dumps(record)
    assert running.since(before, "request") == []


def test_a_fault_at_the_sight_of_the_head(running: Emulated) -> None:
    running.tell("reset")
    running.tell("faults", provider="green", fault="reset", times=1)
    before = running.last
    assert running.green("79120000000").broken
    assert running.green("79120000000").status == 200
    assert [r["fault"] for r in running.since(before, "incomplete")] == ["reset"]


_SENDER = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
while True:
    body = '{"chatId": "79120000000@c.us", "message": "x"}'
    connection.request("POST", "/green/waInstance1101/sendMessage/t", body)
    connection.getresponse().read()
    print("answered", flush=True)
"""


@pytest.mark.parametrize(("point", "answered"), [("complete", 2), ("accepted", 2), ("answered", None)])
def test_the_worker_whose_request_is_the_third_dies(running: Emulated, point: str, answered: int | None) -> None:
    """Before its answer (complete, accepted) or when the answer is on its way; only a named pid, found by its port.

    The sender keeps its connection, as the product does: the port of a closed one belongs to nobody.
    """
    running.tell("reset")
    before = running.last
    command = [sys.executable, "-c", _SENDER, str(running.port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as worker:
        running.tell("kill", pids=[worker.pid], point=point, every=3, times=1)
        said, _ = worker.communicate(timeout=20)
    assert worker.returncode == -signal.SIGKILL
    assert answered is None or said.count("answered") == answered
    (kill,) = running.since(before, "kill")
    assert (kill["pid"], kill["point"]) == (worker.pid, point)
    assert len(running.since(before, "request")) >= 3
    assert running.green("79120000000").status == 200, "nobody else was hit"


def test_the_emulator_kills_neither_itself_nor_init(running: Emulated) -> None:
    for pid in (running.process.pid, 1, 0, -1):
        assert running.call("POST", "/_emulator/kill", {"pids": [pid]}).status == 400
    os.kill(running.process.pid, 0)


def test_it_keeps_no_record_too_long_in_memory() -> None:
    writer = JournalWriter(None)
    started = time.monotonic()
    for _ in range(JournalWriter.KEPT + 10):
        writer.write("other")
    assert (len(writer.kept), writer.n) == (JournalWriter.KEPT, JournalWriter.KEPT + 10)
    assert writer.kept[0]["n"] == 11
    assert writer.kept[-1]["t"] >= started
