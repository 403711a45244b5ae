"""Just enough WebSocket (RFC 6455) for a server that tells: texts out, pings answered, the client's close honoured."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from emulator.http import Request, Socket

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class WebSocket(Socket):
    """Takes the request's connection over; `gone` is called once when it ends."""

    def __init__(self, request: Request, gone: Callable[[WebSocket], None]) -> None:
        self._connection = request.connection
        self._buffer = bytearray()
        self._gone = gone
        digest = hashlib.sha1(request.header("Sec-WebSocket-Key").encode() + _GUID, usedforsecurity=False).digest()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        self._connection.write(f"{head}{base64.b64encode(digest).decode()}\r\n\r\n".encode())
        self._connection.socket = self

    def tell(self, value: Any) -> None:
        """One JSON text to the client."""
        self._send(_TEXT, json.dumps(value, ensure_ascii=False).encode())

    def close(self) -> None:
        self._send(_CLOSE, b"")
        self._connection.close()

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
        if size > 65535:
            length = b"\x7f" + size.to_bytes(8, "big")
        self._connection.write(bytes([0x80 | kind]) + length + payload)

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2:
            kind, size, at = self._buffer[0] & 15, self._buffer[1] & 127, 2
            if size > 125:
                extra = 2 if size == 126 else 8
                size, at = int.from_bytes(self._buffer[2 : 2 + extra], "big"), 2 + extra
            if len(self._buffer) < at + 4 + size:
                return
            mask = self._buffer[at : at + 4]
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._buffer[at + 4 : at + 4 + size]))
            del self._buffer[: at + 4 + size]
            if kind == _PING:
                self._send(_PONG, payload)
            elif kind == _CLOSE:
                self.close()

    def lost(self) -> None:
        self._gone(self)
