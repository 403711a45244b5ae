"""POST callbacks as fast as they are taken: `python -m benchmarks.load URL SECRET COUNT CONNECTIONS`.

Prints {"seconds", "refused"}. Bare asyncio streams, one request at a time on each connection: what the load costs is
taken from the same two cores that are measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

_numbers = itertools.count(1)


def _request(host: str, path: str, secret: str, number: int) -> bytes:
    """A GREEN-API status webhook for another message each time."""
    body = json.dumps(
        {
            "typeWebhook": "outgoingMessageStatus",
            "instanceData": {"idInstance": 1101, "wid": "79990000000@c.us", "typeInstance": "whatsapp"},
            "timestamp": 1763900000 + number,
            "idMessage": f"B{number}",
            "status": "delivered",
            "sendByApi": True,
            "chatId": f"79{number:09d}@c.us",
        }
    ).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _client(url: str, secret: str, count: int, refused: Counter[str]) -> None:
    """Posts one after the other over one connection; counts the status lines that are not 200."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    while (number := next(_numbers)) <= count:
        writer.write(_request(parts.netloc, parts.path, secret, number))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            refused[head.partition(b"\r\n")[0].decode()] += 1
    writer.close()


async def post(url: str, secret: str, count: int, connections: int) -> dict[str, Any]:
    """Post `count` callbacks over so many connections."""
    start = time.perf_counter()
    refused: Counter[str] = Counter()
    await asyncio.gather(*(_client(url, secret, count, refused) for _ in range(connections)))
    return {"seconds": time.perf_counter() - start, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(post(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
