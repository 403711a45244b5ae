"""The journal: append-only JSON lines, one for each thing that happened at the provider's end.

Every record has `n` (1, 2, ...), `t` (monotonic seconds of the emulator), `w` (wall clock, unix) and `kind`:

request    a byte-complete send: provider, account, recipient, ref, text, id, behaviour, accepted, peer (port), ttl;
           of a letter also headers (those a person or a mail program acts on) and html (whether there is such a part)
other      any other byte-complete request (poll, recall, check, self-test ...): provider, op
incomplete a request that never became whole: bytes, head; nothing in it counts
answered   the answer to request `of` went out late or strangely: how
callback   a receipt or inbound we posted: provider, recipient, id, status, code (0: no answer), attempt
charge     money taken: provider, account, recipient, id, amount (decimal text)
click      a person followed a link: url, code
one_click  a mail program unsubscribed its person (RFC 8058): url, code
kill       a worker was killed on purpose: pid, point
limited    a request beyond the allowed rate; inside=true: within a Retry-After already declared
control    what a test told the emulator

The reader imports nothing but the standard library and knows nothing of the product.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

Record = dict[str, Any]


class JournalWriter:
    """Appends records; on disk at the latest `flush_after` seconds later (at once and for sure with `fsync`)."""

    KEPT = 100_000

    def __init__(self, path: str | Path | None, *, fsync: bool = False) -> None:
        self._file: IO[bytes] | None = None
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115 - lives as long as the process
        self._fsync = fsync
        self._pending: list[Record] = []
        self._wanted: Callable[[], object] | None = None
        self.n = 0
        #: The last records, for /_emulator/journal.
        self.kept: deque[Record] = deque(maxlen=self.KEPT)

    def on_pending(self, wanted: Callable[[], object]) -> None:
        """`wanted` is called when the first record of a batch waits for flush()."""
        self._wanted = wanted

    def write(self, kind: str, /, **fields: Any) -> int:
        """Adds a record and returns its number."""
        self.n += 1
        record = {"n": self.n, "t": time.monotonic(), "w": time.time(), "kind": kind, **fields}
        self.kept.append(record)
        if self._file is None:
            return self.n
        self._pending.append(record)
        if self._fsync:
            self.flush()
        elif len(self._pending) == 1 and self._wanted is not None:
            self._wanted()
        return self.n

    def flush(self) -> None:
        """Everything written so far is handed to the system (to the disk with `fsync`)."""
        if self._pending and self._file is not None:
            lines = "\n".join(_encode(record) for record in self._pending) + "\n"
            self._pending.clear()
            self._file.write(lines.encode("utf-8", "surrogatepass"))
            if self._fsync:
                os.fsync(self._file.fileno())

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


class Journal:
    """A journal read back. Made once per question time: it does not follow the file."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)

    @classmethod
    def read(cls, path: str | Path) -> Journal:
        """The records of a file; a last line cut off by a killed emulator is left out."""
        return cls(_lines(Path(path)))

    def of(self, kind: str, provider: str | None = None) -> list[Record]:
        """Records of one kind, of one provider where it is named."""
        return [r for r in self.records if r["kind"] == kind and provider in {None, r.get("provider")}]

    # --- what was sent

    def sends(self, provider: str | None = None, recipient: str | None = None) -> list[Record]:
        """Byte-complete sends in order of arrival."""
        return [r for r in self.of("request", provider) if recipient in {None, r["recipient"]}]

    def accepted(self, provider: str | None = None) -> list[Record]:
        return [r for r in self.sends(provider) if r["accepted"]]

    def by_recipient(self, provider: str | None = None) -> dict[tuple[str, str], list[Record]]:
        """(provider, recipient) -> sends in order."""
        found: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in self.sends(provider):
            found[record["provider"], record["recipient"]].append(record)
        return dict(found)

    def duplicates(self, *, retryable: frozenset[str] = frozenset()) -> dict[tuple[str, str, str], list[Record]]:
        """(provider, recipient, text) that came byte-complete more than once.

        A send the provider clearly refused may be repeated by right; `retryable` names those behaviours
        (emulator.behaviours.NOT_SENT): such records are not counted.
        """
        found: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for record in self.sends():
            if record["behaviour"] not in retryable and not record.get("limited"):
                found[record["provider"], record["recipient"], record["text"]].append(record)
        return {key: records for key, records in found.items() if len(records) > 1}

    def repeated_refs(self) -> dict[str, int]:
        """Our references that came more than once: always a bug, whatever the answer was."""
        counts = Counter(r["ref"] for r in self.sends() if r.get("ref"))
        return {ref: count for ref, count in counts.items() if count > 1}

    def order(self, recipient_of: Callable[[Record], str] = lambda r: r["recipient"]) -> dict[str, list[str]]:
        """Recipient -> providers in the order their requests came. `recipient_of` joins addresses of one person."""
        found: dict[str, list[str]] = defaultdict(list)
        for record in self.sends():
            found[recipient_of(record)].append(record["provider"])
        return dict(found)

    def max_overlap(self, recipient_of: Callable[[Record], str] = lambda r: r["recipient"]) -> int:
        """The largest number of requests for one person held at the same time (I1: must be 1).

        Only requests with an `answered` record lasted; the others were answered in the same instant.
        """
        ended: dict[Any, float] = {r["of"]: r["t"] for r in self.of("answered")}
        spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for record in self.sends():
            begun: float = record["t"]
            spans[recipient_of(record)].append((begun, ended.get(record["n"], begun)))
        worst = 0
        for person in spans.values():
            edges = sorted([(start, 1) for start, _ in person] + [(end, -1) for _, end in person], key=_start_first)
            now = 0
            for _, step in edges:
                now += step
                worst = max(worst, now)
        return worst

    def fastest(self, provider: str, window: float = 1.0) -> int:
        """The most requests (accepted or not) of a provider within any `window` seconds."""
        times = [r["t"] for r in self.sends(provider)]
        worst = start = 0
        for end, moment in enumerate(times):
            while moment - times[start] >= window:
                start += 1
            worst = max(worst, end - start + 1)
        return worst

    # --- what was told back

    def callbacks(self, provider: str | None = None) -> list[Record]:
        return self.of("callback", provider)

    def undelivered_callbacks(self) -> list[Record]:
        """Receipts nobody ever took with a 2xx (by provider, id and status)."""
        taken = {(r["provider"], r["id"], r["status"]) for r in self.callbacks() if 200 <= r["code"] < 300}
        last = {(r["provider"], r["id"], r["status"]): r for r in self.callbacks()}
        return [record for key, record in last.items() if key not in taken]

    def last_status(self) -> dict[tuple[str, str], str]:
        """(provider, id) -> the last status posted."""
        return {(r["provider"], r["id"]): r["status"] for r in self.callbacks()}

    # --- money and faults

    def cost(self, provider: str | None = None) -> Decimal:
        """The sum of all charges, exact."""
        return sum((Decimal(r["amount"]) for r in self.of("charge", provider)), Decimal(0))

    def cost_by_recipient(self, provider: str | None = None) -> dict[tuple[str, str], Decimal]:
        found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for record in self.of("charge", provider):
            found[record["provider"], record["recipient"]] += Decimal(record["amount"])
        return dict(found)

    def kills(self) -> list[Record]:
        return self.of("kill")

    def incomplete(self) -> list[Record]:
        return self.of("incomplete")

    def holes(self) -> list[tuple[int, int]]:
        """Places where record numbers do not follow each other: the journal itself is broken."""
        return [(a["n"], b["n"]) for a, b in pairwise(self.records) if b["n"] != a["n"] + 1 and b["n"] != 1]


def _start_first(edge: tuple[float, int]) -> tuple[float, int]:
    """At one instant an end comes before a start, so that touching requests do not count as overlapping."""
    moment, step = edge
    return moment, step


def _lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield json.loads(line)
