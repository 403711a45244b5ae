"""Just enough HTTP/1.1, on bare asyncio: a server that can misbehave byte by byte, and a client to post receipts.

Not aiohttp's server for two reasons: half of the behaviours are about bytes (reset before the answer, one byte a
second, a body that never ends), and this is several times faster, so that the emulator is not what a benchmark
measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

MAX_HEAD: Final = 64 * 1024
MAX_BODY: Final = 8 * 1024 * 1024
#: close() with this sends RST instead of FIN.
_RST: Final = struct.pack("ii", 1, 0)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)

REASONS: Final = {200: "OK", 204: "No Content", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


class Request:
    """One whole request and the way to answer it: reply() now or later, or reset()."""

    __slots__ = ("_fields", "_head", "body", "connection", "method", "number", "path", "query_string", "started")

    def __init__(self, connection: HttpConnection, method: str, target: str, head: bytes, body: bytes) -> None:
        self.connection = connection
        self.method = method
        self.path, _, self.query_string = target.partition("?")
        self._head = head
        self.body = body
        self.number = 0
        self.started = connection.head_at
        self._fields: dict[str, str] | None = None

    @property
    def peer(self) -> int:
        return self.connection.peer

    def header(self, name: str) -> str:
        """A header's value, "" when absent."""
        found = re.search(rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r\n]*)", self._head, re.IGNORECASE)
        return found[1].decode("latin-1").strip() if found else ""

    def fields(self, encoding: str = "utf-8") -> dict[str, str]:
        """Query and form fields together."""
        if self._fields is None:
            both = self.query_string
            if self.body and self.method == "POST":
                both += "&" + self.body.decode("latin-1")
            self._fields = dict(parse_qsl(both, keep_blank_values=True, encoding=encoding, errors="replace"))
        return self._fields

    def json(self) -> dict[str, Any]:
        """The JSON object in the body; {} for anything else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def reply(self, status: int, body: bytes, kind: str = "application/json", headers: str = "") -> None:
        """Answer. `headers`: further header lines, each ended by CRLF."""
        self.connection.answer(
            b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s"
            % (status, REASONS.get(status, "Status").encode(), kind.encode(), len(body), headers.encode(), body)
        )

    def reply_json(self, value: Any, status: int = 200) -> None:
        self.reply(status, json.dumps(value, ensure_ascii=False).encode())


class Socket(ABC):
    """What a connection becomes when it stops speaking HTTP."""

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Bytes from the client."""

    @abstractmethod
    def lost(self) -> None:
        """The connection is gone."""


class HttpConnection(asyncio.Protocol):
    """One client's connection. Requests are handled one after the other; pipelined ones wait their turn."""

    def __init__(
        self,
        handle: Callable[[Request], None],
        clock: Callable[[], float],
        head_seen: Callable[[HttpConnection, str, str], bool],
        broken: Callable[[HttpConnection, bytes], None],
    ) -> None:
        self._handle = handle
        self._clock = clock
        self._head_seen = head_seen
        self._broken = broken
        self._buffer = bytearray()
        self._busy = False
        self._closing = False
        self._head_told = False
        self.transport: asyncio.Transport | None = None
        self.peer = 0
        self.head_at = 0.0
        self.socket: Socket | None = None

    # --- asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[1] if peer else 0
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.socket is not None:
            self.socket.feed(data)
            return
        self._buffer += data
        if not self._busy:
            self._advance()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self.socket is not None:
            self.socket.lost()
            return
        if self._buffer and not self._busy:
            self._broken(self, bytes(self._buffer))
        self._buffer.clear()

    # --- requests

    def _advance(self) -> None:
        while not self._busy and self._buffer and self.transport is not None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    self.close()
                return
            head = bytes(self._buffer[: end + 2])
            line, _, _ = head.partition(b"\r\n")
            try:
                method, target, _ = line.decode("latin-1").split(" ", 2)
            except ValueError:
                self.close()
                return
            if not self._head_told:
                self._head_told = True
                self.head_at = self._clock()
                if not self._head_seen(self, method, target):
                    self._buffer.clear()  # it is written down already
                    return
                if _EXPECT.search(head) and self.transport is not None:
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body, used = self._body(head, end + 4)
            if body is None:
                return
            del self._buffer[:used]
            self._busy, self._head_told = True, False
            self._closing = _CLOSE.search(head) is not None
            self._handle(Request(self, method, target, head, body))

    def _body(self, head: bytes, start: int) -> tuple[bytes | None, int]:
        """The body and how much of the buffer the request used; (None, 0) while it is not whole."""
        if _CHUNKED.search(head):
            return self._chunks(start)
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if length > MAX_BODY:
            self.close()
            return None, 0
        if len(self._buffer) < start + length:
            return None, 0
        return bytes(self._buffer[start : start + length]), start + length

    def _chunks(self, at: int) -> tuple[bytes | None, int]:
        body = bytearray()
        while True:
            line_end = self._buffer.find(b"\r\n", at)
            if line_end < 0:
                return None, 0
            try:
                size = int(bytes(self._buffer[at:line_end]).partition(b";")[0], 16)
            except ValueError:
                self.close()
                return None, 0
            at = line_end + 2
            if len(self._buffer) < at + size + 2 or len(body) + size > MAX_BODY:
                return None, 0
            if size == 0:
                return bytes(body), at + 2
            body += self._buffer[at : at + size]
            at += size + 2

    # --- answers

    def answer(self, data: bytes) -> None:
        """The whole answer to the request in hand."""
        self.write(data)
        self.done()

    def write(self, data: bytes) -> None:
        """A part of an answer."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def done(self) -> None:
        """The request in hand is answered: on to the next."""
        self._busy = False
        if self._closing:
            self.close()
        elif self._buffer:
            self._advance()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """End with RST: what a crashed server or a cut cable looks like."""
        if self.transport is None:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.transport.abort()


class Poster:
    """A keep-alive HTTP client for receipts: a bounded number of connections for each host, no retries of its own."""

    TIMEOUT: Final = 15.0

    def __init__(self, connections: int = 16) -> None:
        self._idle: dict[tuple[str, int], list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}
        self._free = asyncio.Semaphore(connections)

    async def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer, 0 when there is none."""
        async with self._free:
            try:
                async with asyncio.timeout(self.TIMEOUT):
                    return await self._send(method, url, headers, body)
            except (OSError, TimeoutError, ValueError, EOFError, asyncio.LimitOverrunError):
                return 0

    async def _send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> int:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("the emulator posts to plain http only")
        place = (parts.hostname, parts.port or 80)
        lines = [f"{method} {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1"]
        lines += [f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        pool = self._idle.setdefault(place, [])
        while pool:
            reader, writer = pool.pop()
            if not reader.at_eof() and not writer.is_closing():
                try:
                    return await self._exchange(place, reader, writer, request)
                except (ConnectionError, asyncio.IncompleteReadError):
                    writer.close()
                    break  # a stale connection: one fresh one; receivers must bear a receipt twice anyway
            writer.close()
        reader, writer = await asyncio.open_connection(*place)
        return await self._exchange(place, reader, writer, request)

    async def _exchange(
        self, place: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> int:
        keep = False
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            length = _LENGTH.search(head)
            if length:
                await reader.readexactly(int(length[1]))
            elif _CHUNKED.search(head):
                while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                    await reader.readexactly(size + 2)
                await reader.readuntil(b"\r\n")
            keep = (length is not None or _CHUNKED.search(head) is not None or status == 204) and not _CLOSE.search(
                head
            )
            return status
        finally:
            if keep:
                self._idle[place].append((reader, writer))
            else:
                writer.close()

    def close(self) -> None:
        for pool in self._idle.values():
            for _, writer in pool:
                writer.close()
        self._idle.clear()
