"""The outgoing seam against real sockets: how often a request leaves, what is said about it, where it may go."""

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from channels.providers.base import Answer, HttpCall, MailCall, NoAnswer, ServiceCall
from channels.transport import MAX_ANSWER, Guard, Refused, Seam, describe, redact

LOCAL = ("127.0.0.0/8:*", "[::1]:*")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class RawServer:
    """A socket server whose behaviour is a coroutine; counts connections and whole requests."""

    def __init__(self, talk: Callable[["RawServer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]):
        self._talk = talk
        self.connections = 0
        self.requests: list[bytes] = []
        self.done = asyncio.Event()

    async def __aenter__(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._tasks = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            await self._talk(self, reader, writer)
        writer.close()
        self.done.set()

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Read one whole request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        whole = head + await reader.readexactly(length)
        self.requests.append(whole)
        return whole


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answering(data: bytes):
    async def talk(server, reader, writer):
        while True:
            await server.request(reader)
            writer.write(data)
            await writer.drain()

    return talk


def run(work: Awaitable) -> object:
    return asyncio.run(asyncio.wait_for(work, 60))


def post(url: str, **fields) -> HttpCall:
    return HttpCall("POST", url, json={"a": 1}, refs=("r",), **fields)


def one(talk, call_of=post, **seam_options) -> tuple[Answer, RawServer]:
    """One call against a server that does `talk`."""

    async def main():
        async with RawServer(talk) as server, Seam(allowed_private=LOCAL, **seam_options) as seam:
            return await seam.call(call_of(server.url)), server

    return run(main())


# ---------------------------------------------------------------- what comes back


def test_an_answer_comes_back_as_it_is():
    answer, server = one(
        answering(b"HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\nRetry-After: 7\r\nX-Two: a\r\n\r\n\xff\x00!")
    )
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (418, b"\xff\x00!", "7")
    assert answer.no_answer is None
    assert not answer.truncated
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("call", "kind", "body"),
    [
        (HttpCall("POST", "/x", json={"т": "ё\ud800"}), b"application/json", '{"т":"ё?"}'.encode()),
        (HttpCall("POST", "/x", form={"т": "ё &"}), b"application/x-www-form-urlencoded", b"%D1%82=%D1%91+%26"),
        (HttpCall("POST", "/x", body=b"\x00raw", headers={"Content-Type": "text/x"}), b"text/x", b"\x00raw"),
        (HttpCall("POST", "/x", json={}, headers={"X-Key": "1"}), b"application/json", b"{}"),
    ],
)
def test_bodies_are_encoded_as_asked(call, kind, body):
    answer, server = one(
        answering(OK),
        lambda url: HttpCall(
            call.method, url + call.url, headers=call.headers, json=call.json, form=call.form, body=call.body
        ),
    )
    assert answer.status == 200
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert b"Content-Type: " + kind in head


def test_a_query_is_added_and_encoded():
    _, server = one(answering(OK), lambda url: HttpCall("GET", url + "/x?a=1", query={"б": "&"}))
    assert server.requests[0].startswith(b"GET /x?a=1&%D0%B1=%26 HTTP/1.1\r\n")


def test_connections_are_kept_and_no_cookie_is_ever_returned():
    async def main():
        with_cookie = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok"
        async with RawServer(answering(with_cookie)) as server, Seam(allowed_private=LOCAL) as seam:
            for _ in range(5):
                await seam.call(post(server.url))
            return server

    server = run(main())
    assert server.connections == 1
    assert not any(b"ookie:" in request for request in server.requests)


def test_a_redirect_is_an_answer_and_is_not_followed():
    async def main():
        async with RawServer(answering(OK)) as trap:
            moved = f"HTTP/1.1 302 Found\r\nLocation: {trap.url}/\r\nContent-Length: 0\r\n\r\n".encode()
            async with RawServer(answering(moved)) as server, Seam(allowed_private=LOCAL) as seam:
                return await seam.call(post(server.url)), trap

    answer, trap = run(main())
    assert answer.status == 302
    assert answer.headers["location"] == f"{trap.url}/"
    assert trap.connections == 0


def test_ten_megabytes_are_cut_at_one():
    data = b"x" * 10_000_000
    answer, _ = one(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + data))
    assert len(answer.body) == MAX_ANSWER
    assert answer.truncated


def test_an_endless_chunked_answer_is_cut():
    async def talk(server, reader, writer):
        await server.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    answer, _ = one(talk)
    assert len(answer.body) == MAX_ANSWER
    assert answer.truncated


def test_gzip_is_opened_and_a_bomb_is_cut():
    small, bomb = gzip.compress(b'{"ok":1}'), gzip.compress(b"0" * 50_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    answer, server = one(answering(head % len(small) + small))
    assert answer.body == b'{"ok":1}'
    assert b"Accept-Encoding: identity" in server.requests[0]
    answer, _ = one(answering(head % len(bomb) + bomb))
    assert len(answer.body) == MAX_ANSWER
    assert answer.truncated


# ---------------------------------------------------------------- exactly one request, and did it leave


async def hears_and_resets(server, reader, writer):
    await server.request(reader)
    reset(writer)


async def hears_and_closes(server, reader, writer):
    await server.request(reader)


async def hears_and_hangs(server, reader, writer):
    await server.request(reader)
    await asyncio.sleep(60)


async def says_nonsense(server, reader, writer):
    await server.request(reader)
    writer.write(b"\x16\x03\x01nonsense\r\n\r\n")
    await writer.drain()


async def promises_more(server, reader, writer):
    await server.request(reader)
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id"')
    await writer.drain()


async def drips(server, reader, writer):
    await server.request(reader)
    for letter in OK * 100:
        writer.write(bytes([letter]))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "talk", [hears_and_resets, hears_and_closes, hears_and_hangs, says_nonsense, promises_more, drips]
)
def test_a_lost_answer_is_maybe_sent_and_never_asked_again(talk, method):
    def call(url):
        return HttpCall(method, url, body=b"x" if method in {"POST", "PUT"} else None)

    answer, server = one(talk, call, connect_timeout=0.4, read_timeout=0.5, total_timeout=0.6)
    assert answer.no_answer is NoAnswer.MAYBE_SENT
    assert len(server.requests) == 1
    assert server.connections == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_dead_kept_connection_is_not_repeated_on_a_new_one(method):
    """aiohttp by itself repeats a GET here; a POST it does not. We want neither."""

    async def once_then_dead(server, reader, writer):
        await server.request(reader)
        writer.write(OK)
        await writer.drain()
        if server.connections == 1:
            await server.request(reader)
            reset(writer)

    async def main():
        async with RawServer(once_then_dead) as server, Seam(allowed_private=LOCAL) as seam:
            first = await seam.call(HttpCall(method, server.url))
            second = await seam.call(HttpCall(method, server.url))
            return first, second, server

    first, second, server = run(main())
    assert first.status == 200
    assert second.no_answer is NoAnswer.MAYBE_SENT
    assert (server.connections, len(server.requests)) == (1, 2)


def test_not_sent_is_never_said_of_a_request_the_server_has():
    """A server that closes each connection just after its answer: the race between its FIN and our next request."""

    async def answers_and_closes(server, reader, writer):
        await server.request(reader)
        writer.write(OK)

    async def main():
        said = {}
        async with RawServer(answers_and_closes) as server, Seam(allowed_private=LOCAL) as seam:
            for number in range(1500):
                answer = await seam.call(HttpCall("POST", f"{server.url}/{number}", body=b"x"))
                said[number] = answer.no_answer
            seen = {int(request.split(b" ")[1][1:]) for request in server.requests}
            return said, seen

    said, seen = run(main())
    assert not {number for number, why in said.items() if why is NoAnswer.NOT_SENT} & seen
    assert all(number in seen for number, why in said.items() if why is None)


async def nothing(server, reader, writer):
    await asyncio.sleep(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{closed}/",
        "http://no-such-host.invalid/",
        "https://no-such-host.invalid/",
        "ftp://example.org/",
        "http://",
        "http://user:password@example.org/",
        "nonsense",
    ],
)
def test_what_cannot_connect_was_not_sent(url):
    async def main():
        async with Seam(allowed_private=LOCAL) as seam:
            return await seam.call(post(url.format(closed=free_port())))

    answer = run(main())
    assert answer.no_answer is NoAnswer.NOT_SENT
    assert "password" not in answer.detail


def test_a_failed_tls_handshake_was_not_sent():
    async def speaks_plain(server, reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read(1000)

    answer, _ = one(speaks_plain, lambda url: post(url.replace("http:", "https:")))
    assert answer.no_answer is NoAnswer.NOT_SENT


def test_a_server_with_a_certificate_nobody_signed_gets_nothing(own_certificate):
    async def main():
        async def talk(reader, writer):
            seen.append(await reader.read(1000))

        seen = []
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=own_certificate)
        async with Seam(allowed_private=LOCAL) as seam:
            return await seam.call(post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")), seen

    answer, seen = run(main())
    assert answer.no_answer is NoAnswer.NOT_SENT
    assert answer.untrusted
    assert not any(seen)


def test_a_host_s_own_authority_is_believed_for_that_host_and_no_other(own_certificate, tmp_path):
    """One certificate, good for two names of one server: the bundle of one name says nothing about the other."""

    async def main():
        async def talk(reader, writer):
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            await writer.drain()
            writer.close()

        seen = []
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=own_certificate)
        port = server.sockets[0].getsockname()[1]
        async with Seam(allowed_private=LOCAL, ca_bundles={"localhost": str(tmp_path / "own.pem")}) as seam:
            good = await seam.call(post(f"https://localhost:{port}/"))
            other = await seam.call(post(f"https://127.0.0.1:{port}/"))
            again = await seam.call(post(f"https://LOCALHOST:{port}/"))
        return good, other, again, seen

    good, other, again, seen = run(main())
    assert (good.status, again.status, len(seen)) == (200, 200, 2)
    assert (other.no_answer, other.untrusted) == (NoAnswer.NOT_SENT, True)


def test_a_bundle_replaces_the_system_s_authorities_for_its_host(own_certificate, tmp_path):
    """Pinned: none of the authorities everybody knows counts for a host that has its own."""
    assert ssl.create_default_context().cert_store_stats()["x509"] > 1
    (context,) = Seam(ca_bundles={"max.example": str(tmp_path / "own.pem")})._tls.values()
    assert context.cert_store_stats()["x509"] == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_tls_handshake_that_never_ends_costs_the_connect_deadline_and_was_not_sent():
    started = time.monotonic()
    answer, _ = one(nothing, lambda url: post(url.replace("http:", "https:")), connect_timeout=0.3, total_timeout=5)
    assert answer.no_answer is NoAnswer.NOT_SENT
    assert time.monotonic() - started < 3


def test_the_total_deadline_cannot_be_stretched_byte_by_byte():
    started = time.monotonic()
    answer, _ = one(drips, connect_timeout=0.5, read_timeout=5, total_timeout=1)
    assert answer.no_answer is NoAnswer.MAYBE_SENT
    assert time.monotonic() - started < 3


def test_a_body_cut_off_keeps_its_status_for_people_and_is_no_answer():
    answer, _ = one(promises_more)
    assert (answer.status, answer.no_answer, answer.truncated) == (200, NoAnswer.MAYBE_SENT, True)
    assert answer.body == b'{"id"'


def test_deadlines_that_could_not_tell_connect_from_answer_are_refused():
    with pytest.raises(ValueError, match="connect_timeout"):
        Seam(connect_timeout=5, total_timeout=5)


def test_a_closed_seam_says_so():
    with pytest.raises(RuntimeError, match="not open"):
        run(Seam().call(post("http://example.org/")))


# ---------------------------------------------------------------- private addresses (T12)

TRICKS = [
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.1:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0.0.01:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.000.000.001:{port}/",
    "http://127.255.255.254:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://0.0:{port}/",
    "http://00000000:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://ｌｏｃａｌｈｏｓｔ:{port}/",
    "http://１２７.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fd00:ec2::254]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://172.31.255.255:{port}/",
    "http://192.168.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://192.0.0.192/opc/v2/",
    "http://198.18.0.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://240.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://rebind.example:{port}/",
    "http://mixed.example:{port}/",
    "http://name.invalid@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@name.invalid/",
    "http://name.invalid\\@127.0.0.1:{port}/",
    "http://192.0.0.1:{port}/",
    "http://[2001:db8::1]:{port}/",
    "http://[64:ff9b::192.0.0.192]/opc/v2/",
    "http://8.8.8.8:22/",
    "http://8.8.8.8:6/",
    "gopher://127.0.0.1:{port}/",
    "file:///etc/passwd",
]


@pytest.fixture
def names(monkeypatch):
    """Two names in somebody's hostile DNS; all others are real."""
    real = socket.getaddrinfo

    def lookup(host, port, *args, **kwargs):
        if host in {"rebind.example", "mixed.example"}:
            hosts = ["127.0.0.1"] if host.startswith("rebind") else ["::1", "127.0.0.1", "10.0.0.1"]
            return [
                (
                    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, port, 0, 0))
                    if ":" in each
                    else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
                )
                for each in hosts
            ]
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.mark.usefixtures("names")
def test_T12_no_spelling_of_a_private_address_is_connected_to():
    """Every trick, straight and through a proxy address of our own: the trap never sees a connection."""

    async def main():
        async with RawServer(answering(OK)) as trap:
            answers = []
            async with Seam(connect_timeout=0.8, total_timeout=1) as seam:
                for trick in TRICKS:
                    url = trick.format(port=trap.port)
                    answers.append((url, await seam.call(HttpCall("POST", url, body=b"x"))))
                proxied = await seam.call(post("http://example.org/"), proxy=trap.url)
            return answers, proxied, trap

    answers, proxied, trap = run(main())
    assert [(url, answer) for url, answer in answers if answer.no_answer is not NoAnswer.NOT_SENT] == []
    assert proxied.no_answer is NoAnswer.NOT_SENT
    assert trap.connections == 0
    assert len(answers) >= 60


def test_through_a_proxy_private_targets_are_refused_by_name_and_number():
    async def main():
        async with RawServer(answering(OK)) as proxy, Seam(allowed_private=[f"127.0.0.1/32:{proxy.port}"]) as seam:
            answers = [
                await seam.call(post(url), proxy=proxy.url)
                for url in (
                    "http://127.0.0.1:1/",
                    "http://localhost:1/",
                    "http://a.localhost/",
                    "http://169.254.169.254/",
                    "http://2852039166/",
                    "http://0x7f.1:8000/",
                    "http://[::1]/",
                    "http://10.1.1.1/",
                )
            ]
            return answers, proxy

    answers, proxy = run(main())
    assert all(answer.no_answer is NoAnswer.NOT_SENT for answer in answers)
    assert proxy.connections == 0


def test_only_the_named_port_of_a_private_host_is_open():
    async def main():
        async with (
            RawServer(answering(OK)) as allowed,
            RawServer(answering(OK)) as other,
            Seam(allowed_private=[f"127.0.0.1/32:{allowed.port}"]) as seam,
        ):
            return await seam.call(post(allowed.url)), await seam.call(post(other.url)), other

    good, bad, other = run(main())
    assert good.status == 200
    assert bad.no_answer is NoAnswer.NOT_SENT
    assert "OUTGOING_ALLOWED_PRIVATE" in bad.detail
    assert other.connections == 0


@pytest.mark.parametrize(
    ("entry", "host", "port", "good"),
    [
        ("10.0.0.0/8:3128", "10.1.2.3", 3128, True),
        ("10.0.0.0/8:3128", "10.1.2.3", 3129, False),
        ("10.0.0.5/32:*", "10.0.0.5", 1, True),
        ("10.0.0.5/32:*", "10.0.0.6", 1, False),
        ("[fd00::/8]:*", "fd12::1", 443, True),
        ("127.0.0.1/32:80", "::ffff:127.0.0.1", 80, True),
        ("", "93.184.216.34", 443, True),
        ("", "93.184.216.34", 8443, True),
        ("", "93.184.216.34", 25, True),
        ("", "93.184.216.34", 22, False),
        ("", "2606:2800:220:1:248:1893:25c8:1946", 443, True),
        ("", "::ffff:93.184.216.34", 443, True),
        ("", "2002:0a00:0001::", 443, False),
        ("", "fe80::1%eth0", 443, False),
    ],
)
def test_the_guard_reads_its_list(entry, host, port, good):
    guard = Guard([entry] if entry else [])
    with contextlib.nullcontext() if good else pytest.raises(Refused):
        guard.check(host, port)


# ---------------------------------------------------------------- proxies


async def http_proxy(server, reader, writer):
    """Understands plain requests and CONNECT; wants a login when `server.login` is set."""
    head = await reader.readuntil(b"\r\n\r\n")
    server.requests.append(head)
    method, target, _ = head.split(b" ", 2)
    if server.login and b"Proxy-Authorization: " + server.login not in head:
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        return
    if method == b"CONNECT":
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await reader.read(1000)
        return
    parts = urlsplit(target.decode())
    assert parts.hostname == "api.example.org"
    writer.write(OK)
    await writer.drain()


def through(proxy_url: Callable[[RawServer], str], url: str, login: bytes = b"") -> tuple[Answer, RawServer]:
    async def main():
        async with RawServer(http_proxy) as proxy, Seam(allowed_private=LOCAL) as seam:
            proxy.login = login
            return await seam.call(post(url), proxy=proxy_url(proxy)), proxy

    return run(main())


def test_a_proxy_carries_the_request_and_hears_its_login():
    answer, proxy = through(
        lambda p: f"http://user:p%40ss@127.0.0.1:{p.port}", "http://api.example.org/x", b"Basic dXNlcjpwQHNz"
    )
    assert answer.status == 200
    assert proxy.requests[0].startswith(b"POST http://api.example.org/x HTTP/1.1")


def test_a_proxy_that_refuses_the_tunnel_means_not_sent():
    answer, proxy = through(lambda p: p.url, "https://api.example.org/bot1:secret/x", b"Basic zzz")
    assert answer.no_answer is NoAnswer.NOT_SENT
    assert "407" in answer.detail
    assert proxy.requests[0].startswith(b"CONNECT api.example.org:443 ")
    assert b"secret" not in proxy.requests[0]


def test_a_tunnel_that_breaks_in_the_handshake_means_not_sent():
    answer, _ = through(lambda p: p.url, "https://api.example.org/x")
    assert answer.no_answer is NoAnswer.NOT_SENT


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:{port}", "socks5://127.0.0.1:{port}", "127.0.0.1:3128", "http://:1"]
)
def test_a_proxy_that_is_not_there_or_not_http_means_not_sent(proxy):
    async def main():
        async with Seam(allowed_private=LOCAL) as seam:
            return await seam.call(post("http://api.example.org/"), proxy=proxy.format(port=free_port()))

    assert run(main()).no_answer is NoAnswer.NOT_SENT


# ---------------------------------------------------------------- what is written in logs


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("https://api.telegram.org/bot123456:AAE-xyz_09/sendMessage", "AAE-xyz_09"),
        ("https://api.green-api.com/waInstance1101/sendMessage/d75b3a66374942c5b3c0", "d75b3a66374942c5b3c0"),
        ("https://smsc.ru/sys/send.php?login=me&psw=hunter2&phones=1", "hunter2"),
        ("apikey=s3cr3t&x=1", "s3cr3t"),
        ('{"token": "abc.def"}', "abc.def"),
        ("Authorization: Bearer abcdef", "abcdef"),
        ("http://user:pass@proxy:3128/", "user:pass"),
        ("/hooks/9f8e7d6c5b4a39281706f5e4d3c2b1a0/", "9f8e7d6c5b4a39281706f5e4d3c2b1a0"),
        ("the secret is Xy z!", "Xy z!"),
        ("the secret is Xy%20z%21!", "Xy%20z%21"),
    ],
)
def test_T11_secrets_are_taken_out(text, gone):
    assert gone in text
    assert gone not in redact(text, ["Xy z!"])


def test_redaction_leaves_the_rest_readable():
    assert redact("https://smsc.ru/sys/send.php?phones=1&fmt=3") == "https://smsc.ru/sys/send.php?phones=1&fmt=3"
    assert redact("https://api.telegram.org/bot1:2/sendMessage") == "https://api.telegram.org/bot***/sendMessage"


def test_a_call_is_described_without_people_and_secrets():
    call = HttpCall(
        "POST", "https://api.telegram.org/bot1:TOKEN/sendMessage?psw=x", json={"chat_id": 77}, refs=("a", "b")
    )
    assert describe(call) == "POST https://api.telegram.org/bot***/sendMessage x2"
    assert "smtp.example.org:25" in describe(letter())
    assert "ann@" not in describe(letter())


# ---------------------------------------------------------------- mail


def letter(**changes) -> MailCall:
    fields = {
        "host": "smtp.example.org",
        "port": 25,
        "username": "",
        "password": "",
        "use_tls": False,
        "use_ssl": False,
        "sender": "Салон <salon@example.org>",
        "recipient": "ann@example.org",
        "subject": "Напоминание",
        "text": "Ждём вас\n.точка в начале\n",
        "headers": {"Message-ID": "<ref@example.org>"},
        "refs": ("ref",),
    }
    return MailCall(**{**fields, **changes})


async def mail_server(server, reader, writer):
    """Says what `server.replies` says for each verb; keeps commands and letters."""
    writer.write(server.replies.get("banner", b"220 hi\r\n"))
    while line := await reader.readline():
        verb = line.split(b" ")[0].strip().upper().decode()
        server.commands.append(line.decode().strip())
        reply = server.replies.get(verb, b"250 ok\r\n")
        if verb == "EHLO":
            reply = server.replies.get(verb, b"250-mail.example\r\n250 SIZE 1000000\r\n")
        if reply == b"RESET":
            reset(writer)
            return
        if reply == b"HANG":
            await asyncio.sleep(60)
        if verb == "DATA" and reply == b"250 ok\r\n":
            reply = b"354 go\r\n"
        writer.write(reply)
        if reply.startswith(b"354"):
            data = await reader.readuntil(b"\r\n.\r\n")
            server.requests.append(data)
            end = server.replies.get("END", b"250 queued\r\n")
            if end == b"RESET":
                reset(writer)
                return
            if end == b"HANG":
                await asyncio.sleep(60)
            writer.write(end)
        if verb == "QUIT":
            return


def mail(*letters: MailCall, replies: dict[str, bytes] | None = None, **options) -> tuple[list[Answer], RawServer]:
    async def main():
        async with RawServer(mail_server) as server, Seam(allowed_private=LOCAL, **options) as seam:
            server.replies, server.commands = replies or {}, []
            answers = []
            for each in letters:
                call = MailCall(
                    **{
                        **{name: getattr(each, name) for name in each.__slots__},
                        "host": "127.0.0.1",
                        "port": server.port,
                    }
                )
                answers.append(await seam.call(call))
            return answers, server

    return run(main())


def test_a_letter_is_whole_and_readable():
    import email
    import email.policy

    (answer,), server = mail(
        letter(html="<p>Ждём</p>", headers={"Message-ID": "<r@x.example>", "List-Unsubscribe": "<https://x/u>"})
    )
    assert (answer.status, answer.headers["smtp-stage"]) == (250, "data")
    assert "MAIL FROM:<salon@example.org> SIZE=" in " ".join(server.commands).replace("mail FROM", "MAIL FROM")
    parsed = email.message_from_bytes(server.requests[0].removesuffix(b".\r\n"), policy=email.policy.default)
    assert parsed["Message-ID"] == "<r@x.example>"
    assert parsed["List-Unsubscribe"] == "<https://x/u>"
    assert parsed["From"].addresses[0].display_name == "Салон"
    assert parsed["Subject"] == "Напоминание"
    assert parsed.get_body(("plain",)).get_content() == "Ждём вас\n.точка в начале\n"
    assert "<p>Ждём</p>" in parsed.get_body(("html",)).get_content()


def test_a_line_that_starts_with_a_dot_survives():
    (answer,), server = mail(letter(text="one\n.two\n..three\n", subject="dots"))
    assert answer.status == 250
    assert b"\r\n..two\r\n...three\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"recipient": "ann@example.org\r\nRCPT TO:<eve@example.org>"}, 553),
        ({"recipient": "ann@example.org, eve@example.org"}, 553),
        ({"recipient": "<ann@example.org>"}, 553),
        ({"recipient": "ann"}, 553),
        ({"recipient": "анна@example.org"}, 553),
        ({"sender": "nobody"}, 550),
        ({"subject": "x\r\nBcc: eve@example.org"}, 550),
        ({"subject": "x\nBcc: eve@example.org"}, 550),
        ({"headers": {"Message-ID": "<a@b>\r\nBcc: eve@example.org"}}, 550),
        ({"headers": {"X\r\nBcc": "eve@example.org"}}, 550),
        ({"headers": {"Bad Header": "x"}}, 250),
    ],
)
def test_T21_no_header_and_no_recipient_can_be_smuggled_in(changes, code):
    (answer,), server = mail(letter(**changes))
    assert answer.status == code or code == 250
    assert not any(b"eve@" in request for request in server.requests)
    assert not any("eve@" in command for command in server.commands)


def test_half_characters_and_cyrillic_domains_do_not_stop_a_letter():
    (answer,), server = mail(letter(text="a\ud800b", subject="s\ud800", recipient="ann@почта.рф"))
    assert answer.status == 250
    assert any("ann@xn--" in command for command in server.commands)


@pytest.mark.parametrize(
    ("replies", "stage", "status"),
    [
        ({"banner": b"554 go away\r\n"}, "connect", 554),
        ({"MAIL": b"553 5.1.8 not yours\r\n"}, "mail", 553),
        ({"RCPT": b"550 5.1.1 nobody\r\n"}, "rcpt", 550),
        ({"RCPT": b"451 later\r\n"}, "rcpt", 451),
        ({"DATA": b"554 no\r\n"}, "data", 554),
        ({"END": b"554 5.7.1 spam\r\n"}, "data", 554),
        ({"END": b"451 later\r\n"}, "data", 451),
    ],
)
def test_a_refusal_names_its_stage(replies, stage, status):
    (answer,), _ = mail(letter(), replies=replies)
    assert (answer.headers["smtp-stage"], answer.status, answer.no_answer) == (stage, status, None)


def test_a_refused_login_names_its_stage():
    (answer,), server = mail(
        letter(username="u", password="letmein"),
        replies={"EHLO": b"250-mail\r\n250 AUTH PLAIN\r\n", "AUTH": b"535 5.7.8 bad\r\n"},
    )
    assert (answer.headers["smtp-stage"], answer.status) == ("auth", 535)
    assert not server.requests


@pytest.mark.parametrize(
    ("replies", "lost"),
    [
        ({"MAIL": b"RESET"}, NoAnswer.NOT_SENT),
        ({"RCPT": b"RESET"}, NoAnswer.NOT_SENT),
        ({"DATA": b"RESET"}, NoAnswer.NOT_SENT),
        ({"RCPT": b"HANG"}, NoAnswer.NOT_SENT),
        ({"END": b"RESET"}, NoAnswer.MAYBE_SENT),
        ({"END": b"HANG"}, NoAnswer.MAYBE_SENT),
        ({"END": b"nonsense\r\n"}, NoAnswer.MAYBE_SENT),
        ({"END": b"250 " + b"x" * 10_000 + b"\r\n"}, NoAnswer.MAYBE_SENT),
    ],
)
def test_a_letter_lost_before_its_dot_was_not_sent_and_after_it_nobody_knows(replies, lost):
    started = time.monotonic()
    (answer,), server = mail(letter(), replies=replies, connect_timeout=0.5, total_timeout=1)
    assert answer.no_answer is lost
    assert len(server.requests) == (lost is NoAnswer.MAYBE_SENT)
    assert time.monotonic() - started < 5


def test_one_connection_carries_many_letters_and_a_probe_sends_none():
    answers, server = mail(letter(), letter(recipient="bob@example.org"), letter(probe_only=True))
    assert [answer.status for answer in answers] == [250, 250, 250]
    assert answers[2].headers["smtp-stage"] == "noop"
    assert (server.connections, len(server.requests)) == (1, 2)


def test_an_idle_connection_the_server_has_left_costs_nothing():
    async def polite_once(server, reader, writer):
        server.replies, server.commands = {}, []
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            verb = line.split(b" ")[0].strip().upper()
            writer.write(b"354 go\r\n" if verb == b"DATA" else b"250 ok\r\n")
            if verb == b"DATA":
                server.requests.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 queued\r\n")
            if verb == b"RSET":
                return

    async def main():
        async with RawServer(polite_once) as server, Seam(allowed_private=LOCAL) as seam:
            answers = []
            for _ in range(3):
                answers.append(await seam.call(letter(host="127.0.0.1", port=server.port)))
                await server.done.wait()
                server.done.clear()
            return answers, server

    answers, server = run(main())
    assert [answer.status for answer in answers] == [250, 250, 250]
    assert len(server.requests) == 3


def test_mail_goes_to_no_private_address_either():
    async def main():
        async with RawServer(mail_server) as server, Seam() as seam:
            server.replies, server.commands = {}, []
            return [await seam.call(letter(host=host, port=server.port)) for host in ("127.0.0.1", "localhost")], server

    answers, server = run(main())
    assert all(answer.no_answer is NoAnswer.NOT_SENT for answer in answers)
    assert "OUTGOING_ALLOWED_PRIVATE" in answers[0].detail
    assert server.connections == 0


@pytest.mark.parametrize("tls", [{"use_tls": True}, {"use_ssl": True}])
def test_a_mail_server_with_a_certificate_nobody_signed_gets_no_login(own_certificate, tls):
    from aiosmtpd.smtp import SMTP

    class Sink:
        async def handle_DATA(self, server, session, envelope):
            letters.append(envelope)
            return "250 ok"

    letters = []

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Sink(), tls_context=own_certificate if "use_tls" in tls else None, loop=loop),
            "127.0.0.1",
            0,
            ssl=own_certificate if "use_ssl" in tls else None,
        )
        port = server.sockets[0].getsockname()[1]
        async with Seam(allowed_private=LOCAL) as seam:
            return await seam.call(letter(host="127.0.0.1", port=port, username="u", password="p", **tls))

    answer = run(main())
    assert answer.no_answer is NoAnswer.NOT_SENT
    assert "CERTIFICATE" in answer.detail or "SSL" in answer.detail
    assert letters == []


def test_answers_are_json_serialisable_for_the_record():
    answer, _ = one(answering(OK))
    assert json.dumps(dict(answer.headers)) == '{"content-length": "2"}'


# ---------------------------------------------------------------- mail services


def by_service(service: str, url: str, **fields) -> ServiceCall:
    settings = {"postmark": {"server_token": "canary-token-1"}, "mailgun": {"api_key": "canary-key-12"}}[service]
    letter = {
        "sender": "hello@shop.example",
        "recipient": "ann@example.org",
        "subject": "x",
        "text": "x",
        "refs": ("r",),
    }
    return ServiceCall(service=service, settings=settings, base_url=url, **{**letter, **fields})


TAKEN = b'{"To": "ann@example.org", "MessageID": "b7bc2f4a", "ErrorCode": 0, "Message": "OK"}'


def test_a_mail_service_gets_one_request_and_its_answer_is_read():
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(TAKEN), TAKEN)
    answer, server = one(answering(reply), lambda url: by_service("postmark", url))
    assert (answer.headers["service-status"], answer.headers["service-id"]) == ("sent", "b7bc2f4a")
    assert len(server.requests) == 1
    assert b"x-postmark-server-token: canary-token-1" in server.requests[0].lower()
    assert b"python-requests" not in server.requests[0], "the library's own client sends nothing"


def test_a_mail_service_that_moves_is_not_followed_and_one_that_is_silent_is_not_asked_again():
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    answer, server = one(answering(moved), lambda url: by_service("mailgun", url))
    assert (answer.status, len(server.requests)) == (307, 1)
    assert "service-status" not in answer.headers
    answer, server = one(nothing, lambda url: by_service("postmark", url), connect_timeout=0.1, total_timeout=0.3)
    assert answer.no_answer is NoAnswer.MAYBE_SENT
    assert server.connections == 1


def test_T12_a_mail_service_is_not_at_a_private_address():
    async def main():
        async with RawServer(nothing) as server, Seam() as seam:
            return await seam.call(by_service("postmark", server.url)), server

    answer, server = run(main())
    assert answer.no_answer is NoAnswer.NOT_SENT
    assert "OUTGOING_ALLOWED_PRIVATE" in answer.detail
    assert server.connections == 0
