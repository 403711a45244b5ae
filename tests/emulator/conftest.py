"""The emulator as its users meet it: a process, sockets, a file. Nothing of the product is needed here."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from emulator.journal import Journal

ROOT = Path(__file__).parents[2]


@dataclass
class Seen:
    """What a client got: a whole answer, or `broken`: the connection ended before that."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    broken: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Emulated:
    """A running emulator."""

    process: subprocess.Popen[str]
    port: int
    smtp_port: int
    path: Path

    def call(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, timeout: float = 10.0, kind: str = ""
    ) -> Seen:
        """One request on a connection of its own."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"Content-Type": kind or ("application/json" if isinstance(body, dict) else "text/plain")}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Seen(answer.status, answer.read(), found)
        except (OSError, http.client.HTTPException):
            return Seen(broken=True)
        finally:
            connection.close()

    def tell(self, path: str, **body: Any) -> dict[str, Any]:
        seen = self.call("POST", f"/_emulator/{path}", body)
        assert seen.status == 200, seen.body
        return dict(seen.json)

    @property
    def journal(self) -> Journal:
        """Everything since the emulator started, from its memory."""
        records: list[dict[str, Any]] = []
        last = 0
        while True:
            page = self.call("GET", f"/_emulator/journal?since={last}").json
            if not page["records"]:
                return Journal(records)
            records += page["records"]
            last = page["last"]

    def since(self, number: int, kind: str = "") -> list[dict[str, Any]]:
        return [r for r in self.journal.records if r["n"] > number and kind in {"", r["kind"]}]

    @property
    def last(self) -> int:
        return int(self.call("GET", "/_emulator/stats").json["last"])

    # --- one message on each wire

    def green(self, recipient: str, text: str = "Привет") -> Seen:
        body = {"chatId": f"{recipient}@c.us", "message": text}
        return self.call("POST", "/green/waInstance1101/sendMessage/a-token", body, timeout=3)

    def telegram(self, chat: str, text: str = "Привет", **more: Any) -> Seen:
        return self.call(
            "POST", "/telegram/bot42:token/sendMessage", {"chat_id": int(chat), "text": text, **more}, timeout=3
        )

    def smsc(self, phone: str, text: str = "Привет", **more: str) -> Seen:
        from urllib.parse import urlencode

        fields = {"apikey": "k", "fmt": "3", "charset": "utf-8", "phones": f"+{phone}", "mes": text, **more}
        return self.call("POST", "/smsc/sys/send.php", urlencode(fields).encode(), timeout=3)

    def status(self, ids: str, phones: str, **more: str) -> Seen:
        from urllib.parse import urlencode

        fields = {"apikey": "k", "fmt": "3", "charset": "utf-8", "id": ids, "phone": phones, **more}
        return self.call("POST", "/smsc/sys/status.php", urlencode(fields).encode())


def start(path: Path, *arguments: str) -> Emulated:
    """A new emulator on free ports; ready when this returns."""
    command = [sys.executable, "-m", "emulator", "--port=0", "--smtp-port=0", f"--journal={path}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    return Emulated(process, ready["port"], ready["smtp_port"], path)


def stop(emulated: Emulated) -> None:
    emulated.process.terminate()
    emulated.process.wait(10)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """One process for all tests of this folder; thirty times as fast as life."""
    emulated = start(tmp_path_factory.mktemp("emulator") / "journal.jsonl", "--speed=30")
    yield emulated
    stop(emulated)


@pytest.fixture
def emulator(running: Emulated) -> Emulated:
    """The emulator with everything forgotten but the journal's numbers."""
    running.tell("reset")
    return running


@dataclass
class Inbox:
    """A product that takes callbacks: what came, and what it answers next (200 when nothing is said)."""

    url: str
    got: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        return until(lambda: self.got if len(self.got) >= count else None)


def until(condition: Callable[[], Any], timeout: float = 15.0) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("not in time")


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    box = Inbox("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            box.got.append({"method": self.command, "path": self.path, "headers": headers, "body": body})
            self.send_response(box.answers.pop(0) if box.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    box.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield box
    server.shutdown()
    server.server_close()
