"""The seam reads mailboxes: what is new, once, within its limits, and leaves them as they are."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from channels.providers.base import Answer, MailboxCall, NoAnswer
from channels.transport import Seam, describe
from emulator.imap import ImapServer
from emulator.journal import JournalWriter
from emulator.world import World

LOCAL = ("127.0.0.0/8:*",)
HELLO = "hello@shop.example"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Looker:
    """A seam beside a mailbox server of the emulator's."""

    def __init__(self, world: World, server: ImapServer, seam: Seam) -> None:
        self.world, self.server, self.seam = world, server, seam

    async def look(self, after: str, **changes: Any) -> Answer:
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "username": HELLO,
            "password": "secret",
        }
        return await self.seam.call(MailboxCall(**{**fields, "use_ssl": False, "after": after, **changes}))

    def put(self, *letters: bytes) -> None:
        for one in letters:
            self.world.mailboxes.put(HELLO, one)


def looking(main: Callable[[Looker], Awaitable[Any]], tls: Any = None, **options: Any) -> Any:
    async def run() -> Any:
        world = World(JournalWriter(None), clock=time.monotonic)
        server = ImapServer(world, "127.0.0.1", 0, tls)
        await server.start()
        async with Seam(**{"allowed_private": LOCAL, **options}) as seam:
            found = await main(Looker(world, server, seam))
        await server.stop()
        return found

    return asyncio.run(run())


def test_new_begins_at_the_first_look_and_each_letter_is_read_once():
    async def main(looker: Looker) -> None:
        looker.put(b"Subject: old\r\n\r\nold")
        first = await looker.look("")
        assert (first.status, first.parts, first.headers["mailbox-cursor"]) == (200, (), "1:1")
        looker.put(b"Subject: one\r\n\r\n1", b"Subject: two\r\n\r\n2")
        second = await looker.look("1:1")
        assert second.parts == (b"Subject: one\r\n\r\n1", b"Subject: two\r\n\r\n2")
        third = await looker.look(second.headers["mailbox-cursor"])
        assert (third.status, third.parts, third.headers["mailbox-cursor"]) == (200, (), "1:3")
        assert looker.world.mailboxes.box(HELLO).letters[0] == b"Subject: old\r\n\r\nold"

    looking(main)


def test_a_look_is_limited_and_long_letters_are_cut():
    async def main(looker: Looker) -> None:
        await looker.look("")
        looker.put(*(b"Subject: %d\r\n\r\n" % number + b"x" * 1000 for number in range(5)))
        found = await looker.look("1:0", limit=3, letter_bytes=100)
        assert [len(part) for part in found.parts] == [100, 100, 100]
        assert found.headers["mailbox-cursor"] == "1:3"

    looking(main)


def test_a_folder_numbered_anew_is_read_again():
    """The same letters come twice; the inbox takes nothing twice."""

    async def main(looker: Looker) -> None:
        looker.put(b"a", b"b")
        looker.world.mailboxes.box(HELLO).validity = 7
        found = await looker.look("1:2")
        assert (found.parts, found.headers["mailbox-cursor"]) == ((b"a", b"b"), "7:2")

    looking(main)


def test_what_was_read_before_a_break_is_kept_and_the_next_look_goes_on_behind_it():
    async def main(looker: Looker) -> None:
        looker.put(b"a", b"b", b"c")
        looker.world.account("imap", HELLO).state = "drops"
        found = await looker.look("1:0")
        assert (found.status, found.parts, found.headers["mailbox-cursor"]) == (200, (b"a",), "1:1")
        assert (await looker.look("1:1")).parts == (b"b",)

    looking(main)


def test_why_a_mailbox_does_not_open():
    async def main(looker: Looker) -> None:
        looker.world.account("imap", HELLO).state = "unauthorized"
        refused = await looker.look("", password="canary-password")
        assert (refused.status, refused.headers["mailbox-stage"]) == (535, "login")
        assert "Invalid credentials" in refused.detail
        assert "canary" not in refused.detail
        looker.world.account("imap", HELLO).state = "ok"
        folder = await looker.look("", folder="Возвраты")
        assert (folder.status, folder.headers["mailbox-stage"]) == (404, "folder")
        away = await looker.look("", port=1)
        assert (away.no_answer, away.status) == (NoAnswer.NOT_SENT, 0)
        assert (await looker.look("", username="почта@пример.рф", password="пароль")).status == 200

    looking(main)


def test_T12_a_private_address_is_not_a_mailbox():
    async def main(looker: Looker) -> None:
        answer = await looker.look("")
        assert answer.no_answer is NoAnswer.NOT_SENT
        assert "OUTGOING_ALLOWED_PRIVATE" in answer.detail

    looking(main, allowed_private=())


def test_letters_go_through_tls_and_only_to_whom_the_certificate_names(own_certificate, tmp_path):
    async def main(looker: Looker) -> None:
        good = await looker.look("", host="localhost", use_ssl=True)
        assert good.status == 200
        other = await looker.look("", use_ssl=True)
        assert (other.no_answer, other.untrusted) == (NoAnswer.NOT_SENT, True)

    looking(
        main,
        own_certificate,
        allowed_private=("127.0.0.0/8:*", "[::1]:*"),
        ca_bundles={"localhost": str(tmp_path / "own.pem")},
    )


def scripted(talk: Talk, **options: Any) -> Answer:
    """One look into a mailbox whose server is a coroutine."""

    async def run() -> Answer:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Seam(allowed_private=LOCAL, **options) as seam:
            call = MailboxCall("127.0.0.1", port, HELLO, "canary-password", use_ssl=False, after="1:0")
            answer = await seam.call(call)
        server.close()
        return answer

    return asyncio.run(run())


def replies(*lines: bytes) -> Talk:
    """Greets, says yes to everything, and answers the nth command with the nth of `lines` first."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK hello\r\n")
        for line in (*lines, *([b""] * 20)):
            command = await reader.readline()
            if not command:
                break
            writer.write(line + command.split(b" ")[0] + b" OK done\r\n")
        writer.close()

    return talk


OPENS = (
    b"* CAPABILITY IMAP4rev1\r\n",
    b"",
    b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 2] x\r\n",
    b"* SEARCH 1\r\n",
)


def test_a_letter_larger_than_anything_is_left_out_and_lies_in_nobody_s_way():
    answer = scripted(replies(*OPENS, b"* 1 FETCH (UID 1 BODY[]<0> {99999999}\r\n"))
    assert (answer.no_answer, answer.parts) == (NoAnswer.MAYBE_SENT, ())
    assert answer.headers["mailbox-cursor"] == "1:1"


def test_a_letter_that_is_gone_meanwhile_is_no_trouble():
    answer = scripted(replies(*OPENS, b""))
    assert (answer.status, answer.parts, answer.headers["mailbox-cursor"]) == (200, (), "1:1")


@pytest.mark.parametrize(
    "line", [b"* 1 FETCH (UID 1 BODY[]<0> {20}\r\nhalf", b"\xff\xfe\r\n", b"* SEARCH x y\r\n", b"(((\r\n"]
)
def test_a_server_that_talks_nonsense_breaks_nothing(line):
    for position in range(5):
        lines = [*OPENS[:position], line]
        answer = scripted(replies(*lines), total_timeout=0.05, connect_timeout=0.04)
        assert answer.headers["mailbox-stage"]
        assert "canary" not in answer.detail


def test_a_silent_server_costs_its_deadline_and_no_thread():
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    started = time.monotonic()
    answer = scripted(talk, total_timeout=0.1, connect_timeout=0.05)
    assert answer.no_answer is not None
    assert time.monotonic() - started < 10


def test_a_mailbox_in_a_log_line_has_no_login():
    call = MailboxCall("imap.shop.example", 993, HELLO, "canary-password")
    assert describe(call) == "IMAP imap.shop.example:993"
    assert "canary" not in json.dumps(repr(call))
