"""python -m emulator: see the package's docstring. SIGTERM and Ctrl-C end it with the journal whole."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys

from emulator.server import Emulator


async def run(options: argparse.Namespace) -> None:
    emulator = Emulator(
        host=options.host,
        port=options.port,
        journal=options.journal,
        smtp_port=options.smtp_port,
        imap_port=options.imap_port,
        speed=options.speed,
        fsync=options.fsync,
        connections=options.callback_connections,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with emulator:
        if options.no_digits:
            emulator.world.use_digits = False
        ready = {"ready": True, "url": emulator.url, "port": emulator.port}
        ready |= {"smtp_port": emulator.smtp_port, "imap_port": emulator.imap_port}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8025, help="0: any free one; it is printed")
    parser.add_argument("--journal", help="file the journal is appended to; without it the journal is kept in memory")
    parser.add_argument("--smtp-port", type=int, help="also listen for mail; 0: any free port")
    parser.add_argument("--imap-port", type=int, help="also show mailboxes; 0: any free port")
    parser.add_argument("--speed", type=float, default=1.0, help="all delays are divided by this")
    parser.add_argument("--fsync", action="store_true", help="each journal record is on the disk before its answer")
    parser.add_argument("--no-digits", action="store_true", help="the last two digits of a recipient mean nothing")
    parser.add_argument("--callback-connections", type=int, default=16)
    options = parser.parse_args()
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - faster, not needed

        uvloop.install()
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
