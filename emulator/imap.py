"""Mailboxes over IMAP4rev1: as much of RFC 3501 as a program needs that reads what is new and changes nothing.

A mailbox is a login; every password but the empty one is good, until the account is set to `unauthorized`
({"provider": "imap", "account": <mailbox>}). State `drops`: the connection breaks at the second letter.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.world import World

CAPABILITIES = "IMAP4rev1 AUTH=PLAIN"


@dataclass(slots=True)
class Box:
    """Letters by number, from 1; `validity` changes when the server numbers them anew."""

    letters: list[bytes] = field(default_factory=list)
    validity: int = 1


class Mailboxes:
    """All mailboxes of the emulated world; marks (bounce+mark@) are not part of a mailbox's name."""

    def __init__(self) -> None:
        self.boxes: dict[str, Box] = {}

    def put(self, address: str, letter: bytes) -> None:
        self.box(address).letters.append(letter)

    def box(self, address: str) -> Box:
        name, _, domain = address.strip("<> ").lower().rpartition("@")
        return self.boxes.setdefault(f"{name.partition('+')[0]}@{domain}", Box())


class ImapServer:
    def __init__(self, world: World, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._world = world
        self._host = host
        self.port = port
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._session, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Session(self._world, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a client that hangs up is no news
        finally:
            writer.close()


class _Session:
    def __init__(self, world: World, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._world = world
        self._reader = reader
        self._writer = writer
        self._mailbox = ""
        self._box: Box | None = None
        self._fetched = 0

    async def run(self) -> None:
        self._say(f"* OK [CAPABILITY {CAPABILITIES}] emulator ready")
        while line := (await self._reader.readline()).decode("utf-8", "replace").strip():
            tag, _, rest = line.partition(" ")
            command, _, arguments = rest.partition(" ")
            if command.upper() == "UID":
                command, _, arguments = arguments.partition(" ")
            handler = _COMMANDS.get(command.upper())
            self._say(f"{tag} {await handler(self, arguments) if handler else 'BAD unknown command'}")
            await self._writer.drain()
            if command.upper() == "LOGOUT":
                return

    def _say(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")

    async def capability(self, arguments: str) -> str:
        self._say(f"* CAPABILITY {CAPABILITIES}")
        return "OK done"

    async def noop(self, arguments: str) -> str:
        return "OK done"

    async def logout(self, arguments: str) -> str:
        self._say("* BYE see you")
        return "OK done"

    async def _enter(self, login: str, password: str) -> str:
        self._world.journal.write("other", provider="imap", op="login")
        if not password or self._world.account("imap", login.lower()).state == "unauthorized":
            return "NO [AUTHENTICATIONFAILED] Invalid credentials"
        self._mailbox = login.lower()
        return "OK logged in"

    async def login(self, arguments: str) -> str:
        return await self._enter(*_strings(arguments)[:2])

    async def authenticate(self, arguments: str) -> str:
        self._say("+ ")
        await self._writer.drain()
        _, login, password = base64.b64decode((await self._reader.readline()).strip()).decode().split("\0")
        return await self._enter(login, password)

    async def examine(self, arguments: str) -> str:
        if not self._mailbox:
            return "NO log in first"
        if _strings(arguments)[0].upper() != "INBOX":
            return "NO [NONEXISTENT] Unknown Mailbox"
        self._box = self._world.mailboxes.box(self._mailbox)
        count = len(self._box.letters)
        self._say(f"* {count} EXISTS")
        self._say(f"* OK [UIDVALIDITY {self._box.validity}] numbers")
        self._say(f"* OK [UIDNEXT {count + 1}] next")
        return "OK [READ-ONLY] done"

    async def search(self, arguments: str) -> str:
        """ALL, UID n:*, and everything else (dates): all letters here are of today."""
        if self._box is None:
            return "NO no mailbox"
        numbers = range(1, len(self._box.letters) + 1)
        found = re.search(r"UID (\d+):\*", arguments)
        chosen = [n for n in numbers if not found or n >= int(found[1])] or list(numbers[-1:])
        self._say("* SEARCH " + " ".join(map(str, chosen)))
        return "OK done"

    async def fetch(self, arguments: str) -> str:
        if self._box is None:
            return "NO no mailbox"
        number = int(arguments.partition(" ")[0])
        self._fetched += 1
        if self._fetched > 1 and self._world.account("imap", self._mailbox).state == "drops":
            self._writer.transport.abort()
            raise ConnectionResetError
        if 1 <= number <= len(self._box.letters):
            wanted = re.search(r"<0\.(\d+)>", arguments)
            letter = self._box.letters[number - 1][: int(wanted[1]) if wanted else None]
            self._writer.write(b"* %d FETCH (UID %d BODY[]<0> {%d}\r\n%b)\r\n" % (number, number, len(letter), letter))
            self._world.journal.write("other", provider="imap", op="fetch", recipient=self._mailbox, id=str(number))
        return "OK done"


_COMMANDS = {
    "CAPABILITY": _Session.capability,
    "NOOP": _Session.noop,
    "LOGIN": _Session.login,
    "AUTHENTICATE": _Session.authenticate,
    "EXAMINE": _Session.examine,
    "SEARCH": _Session.search,
    "FETCH": _Session.fetch,
    "LOGOUT": _Session.logout,
}


def _strings(arguments: str) -> list[str]:
    """The words of a command, quoted or bare."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', arguments)
    return [quoted.replace('\\"', '"').replace("\\\\", "\\") or bare for quoted, bare in found] + [""]
