"""Puts the pieces together: a listening socket, the world, the providers, the journal's clock."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from emulator.control import Control
from emulator.http import HttpConnection, Request
from emulator.imap import ImapServer
from emulator.journal import JournalWriter
from emulator.mail import MailServer
from emulator.providers import HTTP
from emulator.world import World

FLUSH = 0.05


class Emulator:
    """The whole emulator in one event loop: `async with Emulator(...) as emulator`, or run() for ever."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        journal: str | Path | None = None,
        smtp_port: int | None = None,
        imap_port: int | None = None,
        speed: float = 1.0,
        fsync: bool = False,
        connections: int = 16,
    ) -> None:
        self.host, self.port, self.smtp_port, self.imap_port = host, port, smtp_port, imap_port
        self.journal = JournalWriter(journal, fsync=fsync)
        self.world = World(self.journal, speed=speed, clock=time.monotonic, connections=connections)
        self._control = Control(self.world)
        self.world.providers.update((name, provider(self.world)) for name, provider in HTTP.items())
        self._server: asyncio.Server | None = None
        self._mail: MailServer | None = None
        self._imap: ImapServer | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.journal.on_pending(lambda: loop.call_later(FLUSH, self.journal.flush))
        self._server = await loop.create_server(self._connection, self.host, self.port, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]
        if self.smtp_port is not None:
            self._mail = MailServer(self.world, self.host, self.smtp_port)
            await self._mail.start()
            self.smtp_port = self._mail.port
        if self.imap_port is not None:
            self._imap = ImapServer(self.world, self.host, self.imap_port)
            await self._imap.start()
            self.imap_port = self._imap.port

    async def stop(self) -> None:
        if self._mail is not None:
            await self._mail.stop()
        if self._imap is not None:
            await self._imap.stop()
        if self._server is not None:
            self._server.close()
        await self.world.close()
        self.journal.close()

    async def __aenter__(self) -> Emulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def _connection(self) -> HttpConnection:
        return HttpConnection(self._handle, self.world.clock, self.world.head_seen, self.world.broken)

    def _handle(self, request: Request) -> None:
        name, slash, rest = request.path[1:].partition("/")
        if name == "_emulator":
            self._control.handle(request, rest)
            return
        provider = self.world.providers.get(name)
        if provider is None:
            self.world.other(name[:20], "unknown", request)
            request.reply(404, b"no such provider here", "text/plain")
            return
        provider.handle(request, slash + rest)
