"""A provider that costs almost nothing: `python -m benchmarks.stub PORT [DELAY_MS]`.

The emulator judges and keeps a journal; here it would be what is measured. This one answers every POST with what
GREEN-API says to sendMessage, under a fresh id, after DELAY_MS. Bare asyncio: about 20,000 answers a second and core.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ids = itertools.count(1)


class _Provider(asyncio.Protocol):
    """One connection; requests come one after the other, whole or in pieces."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (head := self._unread.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._unread, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._unread) < end:
                return
            self._unread = self._unread[end:]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        body = b'{"idMessage":"B%d"}' % next(_ids)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


async def serve(port: int, delay: float) -> None:
    """Answer on 127.0.0.1:port until killed; `delay` in seconds."""
    server = await asyncio.get_running_loop().create_server(lambda: _Provider(delay), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0))
