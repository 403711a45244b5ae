"""The one outgoing seam: adapters build calls, this file sends them, nothing else in the product does.

What it promises:

* **Exactly one request per call.** No redirects, no retries: aiohttp would repeat GET, PUT and DELETE on a dead
  keep-alive connection, and vendors' SDKs repeat POSTs; both put two messages on one person's phone.
* **An honest "did it leave?".** NOT_SENT only where the request certainly did not leave whole (DNS, refused, TLS,
  proxy refused, transport already closing). Everything after the first byte may have left is MAYBE_SENT (R8).
* **Deadlines.** Connect (DNS, TCP, proxy and TLS together), silence between bytes, and a total that nothing
  stretches; a server that answers one byte a second costs `total_timeout`, not a worker.
* **No private addresses** (threat T12) unless `allowed_private` names them. The check sits where the socket is
  made, on the address really connected to: DNS rebinding, decimal and mapped forms end there as well.
* **At most 1 MB of answer**, also when it is compressed.
* **A host with a certificate authority of its own is checked against that one alone** (`ca_bundles`), and no other
  host is ever checked against it. Nothing switches the check off.

One Seam per process and event loop; `call()` never raises for what the network does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import smtplib
import socket
import ssl
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from channels import imap, mail_services
from channels.providers.base import (
    ON_THE_DESK,
    Answer,
    Call,
    DeskCall,
    HttpCall,
    MailboxCall,
    MailCall,
    NoAnswer,
    ServiceCall,
)

MAX_ANSWER: Final = 1_000_000
#: Shorter than what servers usually keep (5 s and more): a connection we think alive but they closed turns a
#: message into an unknown outcome.
KEEP_ALIVE: Final = 4.0
#: aiohttp hands a body up to this size to the transport in one piece, see `_unwritten`.
ONE_WRITE: Final = 0x10000
USER_AGENT: Final = "Cascade/1"

# ---------------------------------------------------------------- what must not be seen in logs

_REDACTIONS: Final = (
    (re.compile(r"(//)[^/@\s]+@"), r"\1***@"),
    (re.compile(r"(/bot)\d+:[^/\s?\"']+"), r"\1***"),
    (re.compile(r"(/waInstance)(\w+)(/\w+)/[^/\s?\"']+"), r"\1\2\3/***"),
    (
        re.compile(
            r"(?i)([?&\s\"'{,]|^)((?:api_?)?(?:key|token|secret)|access_token|psw|pass(?:word)?|login|authorization|sig(?:nature)?)"
            r"([\"']?\s*[=:]\s*[\"']?)(?:bearer\s+|basic\s+)?[^&\s\"',}]+"
        ),
        r"\1\2\3***",
    ),
    (re.compile(r"(?i)(/)(?=[\w-]*\d)(?=[\w-]*[a-z])[\w:-]{24,}"), r"\1***"),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` (a URL, a body, a log line) without logins, tokens and the given secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


def describe(call: Call) -> str:
    """A call as one line for logs: no query, no body, no secrets, no person's address."""
    if isinstance(call, DeskCall):
        return f"desk x{len(call.refs)}"
    if isinstance(call, MailCall):
        return f"SMTP {call.host}:{call.port} x{len(call.refs)}"
    if isinstance(call, MailboxCall):
        return f"IMAP {call.host}:{call.port}"
    if isinstance(call, ServiceCall):
        return f"{call.service} x{len(call.refs)}"
    return f"{call.method} {redact(call.url.partition('?')[0])} x{len(call.refs)}"


# ---------------------------------------------------------------- where we may connect


class Refused(OSError):  # noqa: N818 - said by the guard, not an error of ours
    """The address is private and nobody allowed it, or the port is not one a provider listens on."""


_IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
#: Not the open internet, whatever this Python's `is_global` thinks: its table lags behind IANA's, and 3.11 calls
#: 192.0.0.192 (a cloud's metadata service) global.
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
#: Low ports that speak what we speak. Everything else below 1024 is another protocol: a request smuggled into it
#: is an attack, not a message.
_LOW_PORTS: Final = frozenset({25, 80, 443, 465, 587})


class Guard:
    """Decides whether a socket may be opened to an address. `allowed`: `network:port` or `network:*` entries."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed: list[tuple[_IPNetwork, int | None]] = []
        for entry in allowed:
            host, _, port = entry.rpartition(":")
            network = ipaddress.ip_network(host.removeprefix("[").removesuffix("]"), strict=False)
            self._allowed.append((network, None if port == "*" else int(port)))

    def check(self, host: str, port: int, low_ports: frozenset[int] = _LOW_PORTS) -> None:
        """Raises Refused unless `host`, a literal IP address, may be connected to."""
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        for network, allowed_port in self._allowed:
            if address.version == network.version and address in network and allowed_port in {None, port}:
                return
        if not _public(address):
            raise Refused(None, f"private address {address}: not in OUTGOING_ALLOWED_PRIVATE")
        if port < 1024 and port not in low_ports:
            raise Refused(None, f"port {port} is not a provider's")

    def open_socket(self, info: tuple[Any, ...], low_ports: frozenset[int] = _LOW_PORTS) -> socket.socket:
        """A socket for one getaddrinfo() row; aiohttp asks for each address it is about to connect to."""
        family, kind, protocol, _, address = info
        self.check(address[0], address[1], low_ports)
        return socket.socket(family, kind, protocol)

    def connect(self, host: str, port: int, timeout: float, low_ports: frozenset[int] = _LOW_PORTS) -> socket.socket:
        """A connected TCP socket, blocking; tries each address of `host` like socket.create_connection."""
        last: OSError = OSError(None, "no address")
        for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = None
            try:
                sock = self.open_socket(info, low_ports)
                sock.settimeout(timeout)
                sock.connect(info[4])
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                last = error
                if sock is not None:
                    sock.close()
            else:
                return sock
        raise last


def _public(address: _IPAddress) -> bool:
    """Whether an address belongs to the open internet, also by the IPv4 address embedded in it."""
    if any(address.version == network.version and address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_private)


# ---------------------------------------------------------------- the seam

_NOT_SENT_ERRORS: Final = (
    aiohttp.ClientConnectorError,  # refused, unreachable, TLS handshake, certificate, proxy unreachable, our Refused
    aiohttp.ConnectionTimeoutError,  # the connect deadline covers DNS, TCP, proxy and TLS: nothing was written yet
    aiohttp.ClientHttpProxyError,  # CONNECT was refused: the request itself never left
    aiohttp.InvalidURL,
)


#: RuntimeError is uvloop's word for a transport that closed under a write.
_LOST_ERRORS: Final = (
    aiohttp.ClientError,
    aiohttp.http_exceptions.HttpProcessingError,
    OSError,
    ValueError,
    RuntimeError,
)


#: A WebSocket is asked so often whether it lives: a dead one is noticed within half as long again, in seconds.
HEARTBEAT: Final = 15.0


class SocketClosed(Exception):  # noqa: N818 - that a connection ends is no error
    """The connection could not be opened or is over. `status`: of the answer that refused it, 0 for none."""

    def __init__(self, detail: str, status: int = 0) -> None:
        super().__init__(detail)
        self.status = status


class Socket:
    """An open WebSocket, for reading."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def receive(self, patience: float) -> str | None:
        """The next text, or None when none came in `patience` seconds. Raises SocketClosed when it is over."""
        try:
            message = await self._socket.receive(timeout=patience)
        except TimeoutError:
            return None
        except _LOST_ERRORS as error:
            raise SocketClosed(_said(error)) from None
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
        if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}:
            raise SocketClosed("closed by the other side")
        if message.type is aiohttp.WSMsgType.ERROR:
            raise SocketClosed("broken")
        return None


class _Once:
    """Lets one request through and refuses the second: aiohttp repeats GET, PUT and DELETE on a dead keep-alive
    connection and has no public switch for it. POST it never repeats."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used = False

    async def __call__(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        if self._used:
            raise aiohttp.ClientConnectionError("connection lost; not repeated")
        self._used = True
        return await handler(request)


class Seam:
    """Sends calls. Use as `async with Seam(...) as seam:`, one per event loop; share it between coroutines."""

    def __init__(
        self,
        *,
        allowed_private: Iterable[str] = (),
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
        total_timeout: float = 15.0,
        mail_threads: int = 8,
        ca_bundles: Mapping[str, str] | None = None,
    ) -> None:
        """`ca_bundles`: host name -> PEM file of the certificate authorities that host, and only that one, is checked
        against. Raises OSError (ssl.SSLError) for a file that holds none."""
        if not connect_timeout < total_timeout:
            # Otherwise the total could end a connect, and nobody could tell it from a lost answer.
            raise ValueError("connect_timeout must be shorter than total_timeout")
        self.guard = Guard(allowed_private)
        self._timeout = aiohttp.ClientTimeout(
            total=total_timeout, connect=connect_timeout, sock_connect=connect_timeout, sock_read=read_timeout
        )
        self._total = total_timeout
        self._mail_threads = mail_threads
        self._session: aiohttp.ClientSession | None = None
        self._mail: _MailRoom | None = None
        self._tls = {host: ssl.create_default_context(cafile=path) for host, path in (ca_bundles or {}).items()}
        self._urls: dict[str, URL] = {}
        self._proxies: dict[str, _Proxy] = {}

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,  # the caller bounds what is in flight; a second queue here would eat the deadlines
            keepalive_timeout=KEEP_ALIVE,
            ttl_dns_cache=30,
            socket_factory=self.guard.open_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._mail is not None:
            self._mail.close()
            self._mail = None

    async def call(self, call: Call, *, proxy: str = "") -> Answer:
        """Send one call and return what came back, or why nothing did. Never raises for the network's doings.

        `proxy`: http://user:password@host:port of this account.
        """
        if isinstance(call, DeskCall):
            return ON_THE_DESK
        if isinstance(call, MailCall):
            if self._mail is None:
                self._mail = _MailRoom(self.guard, self._timeout.sock_connect or 5.0, self._total, self._mail_threads)
            return await self._mail.send(call)
        if isinstance(call, MailboxCall):
            tls = self._tls.get(call.host.rstrip(".").lower()) or ssl.create_default_context()
            patience = (self._timeout.sock_connect or 5.0, min(self._total, imap.LONGEST))
            return await asyncio.to_thread(imap.read_mailbox, call, self.guard.connect, tls, *patience)
        if isinstance(call, ServiceCall):
            letter = mail_services.write(call)
            if isinstance(letter, Answer):
                return letter
            return mail_services.understand(letter, await self._http(letter.request, proxy))
        return await self._http(call, proxy)

    @contextlib.asynccontextmanager
    async def socket(self, call: HttpCall, *, proxy: str = "") -> AsyncIterator[Socket]:
        """A WebSocket, opened by this request and held until the block is left. Raises SocketClosed when it cannot be
        opened; the guard, the certificates and the deadline of a connect are those of every call."""
        session = self._session
        if session is None or session.closed:
            raise RuntimeError("the seam is not open: use `async with Seam() as seam`")
        options: dict[str, Any] = {}
        headers = dict(call.headers)
        try:
            url = self._url(call)
            if self._tls and (url.host or "").rstrip(".").lower() in self._tls:
                options["ssl"] = self._tls[(url.host or "").rstrip(".").lower()]
            if proxy:
                headers |= self._through_proxy(proxy, url, options) if url.scheme == "http" else {}
            async with asyncio.timeout(self._total):
                opened = await session.ws_connect(
                    url, headers=headers, heartbeat=HEARTBEAT, max_msg_size=MAX_ANSWER, **options
                )
        except aiohttp.WSServerHandshakeError as error:
            raise SocketClosed(f"HTTP {error.status}", error.status) from None
        except (*_LOST_ERRORS, TimeoutError) as error:
            raise SocketClosed(_said(error)) from None
        try:
            yield Socket(opened)
        finally:
            await opened.close()

    async def _http(self, call: HttpCall, proxy: str) -> Answer:
        session = self._session
        if session is None or session.closed:
            raise RuntimeError("the seam is not open: use `async with Seam() as seam`")
        options: dict[str, Any] = {}
        headers: Mapping[str, str] = call.headers
        body: bytes | None = call.body
        if call.json is not None:
            body = _json(call.json).encode("utf-8", "replace")
            headers = {"Content-Type": "application/json", **headers} if headers else _JSON_HEADERS
        elif call.form is not None:
            body = urlencode(call.form, errors="replace").encode("ascii")
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers} if headers else _FORM_HEADERS
        if call.method not in _NEVER_REPEATED:
            options["middlewares"] = (_Once(),)
        try:
            url = self._url(call)
            if self._tls and (url.host or "").rstrip(".").lower() in self._tls:
                options["ssl"] = self._tls[(url.host or "").rstrip(".").lower()]
            if proxy:
                login = self._through_proxy(proxy, url, options)
                if url.scheme == "http":
                    headers = {
                        **headers,
                        **login,
                    }  # the proxy reads this request; through a tunnel it reads CONNECT only
        except (ValueError, Refused) as error:
            return Answer(no_answer=NoAnswer.NOT_SENT, detail=redact(f"bad address: {error}")[:200])
        try:
            response = await session.request(
                call.method, url, data=body, headers=headers, allow_redirects=False, **options
            )
        except _NOT_SENT_ERRORS as error:
            untrusted = isinstance(error, aiohttp.ClientConnectorCertificateError)
            return Answer(no_answer=NoAnswer.NOT_SENT, detail=_said(error), untrusted=untrusted)
        except TimeoutError as error:
            return Answer(no_answer=NoAnswer.MAYBE_SENT, detail=_said(error))
        except aiohttp.ClientOSError as error:
            lost = NoAnswer.NOT_SENT if _unwritten(error, body) else NoAnswer.MAYBE_SENT
            return Answer(no_answer=lost, detail=_said(error))
        except _LOST_ERRORS as error:
            return Answer(no_answer=NoAnswer.MAYBE_SENT, detail=_said(error))
        return await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        """The answer with at most MAX_ANSWER bytes of body. A body cut off by the network is no answer."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        chunks: list[bytes] = []
        size = 0
        try:
            while size <= MAX_ANSWER:
                chunk = await response.content.readany()
                if not chunk:
                    break
                chunks.append(chunk)
                size += len(chunk)
        except (TimeoutError, *_LOST_ERRORS) as error:
            response.close()
            return Answer(
                status=response.status,
                headers=headers,
                body=b"".join(chunks)[:MAX_ANSWER],
                truncated=True,
                no_answer=NoAnswer.MAYBE_SENT,
                detail=f"HTTP {response.status}, then {_said(error)}",
            )
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        truncated = size > MAX_ANSWER
        if truncated:
            response.close()  # the rest is not read: the connection cannot be used again
            body = body[:MAX_ANSWER]
        else:
            response.release()
        if "content-encoding" in headers:
            body, cut = _unpack(body, headers["content-encoding"])
            truncated = truncated or cut
        return Answer(status=response.status, headers=headers, body=body, truncated=truncated)

    def _url(self, call: HttpCall) -> URL:
        """The address with its query; raises ValueError for what is not http(s)."""
        url = self._urls.get(call.url)
        if url is None:
            url = URL(call.url)
            if url.scheme not in {"http", "https"} or not url.host:
                raise ValueError("only http and https addresses are called")
            if url.user or url.password:
                raise ValueError("no login inside an address")
            if len(self._urls) > 1000:
                self._urls.clear()
            self._urls[call.url] = url
        return url.update_query(call.query) if call.query else url

    def _through_proxy(self, proxy: str, url: URL, options: dict[str, Any]) -> Mapping[str, str]:
        """Adds the proxy to the options and returns its login.

        The proxy resolves names, so only literal addresses and local names can be refused here; the proxy's own
        address passes the guard like any other.
        """
        known = self._proxies.get(proxy)
        if known is None:
            known = self._proxies[proxy] = _Proxy.parse(proxy)
        options["proxy"] = known.url
        if known.headers:
            options["proxy_headers"] = known.headers
        host = url.host or ""
        if host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost"):
            host = "127.0.0.1"
        try:
            ipaddress.ip_address(host)
        except ValueError:
            # socket knows more spellings of an IPv4 address than ipaddress: 2130706433, 0x7f.1, 127.1
            try:
                host = socket.inet_ntoa(socket.inet_aton(host))
            except (OSError, UnicodeEncodeError):
                return known.headers
        self.guard.check(host, url.port or 0)
        return known.headers


_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_JSON_HEADERS: Final = {"Content-Type": "application/json"}
_FORM_HEADERS: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_NEVER_REPEATED: Final = frozenset({"POST", "PATCH"})


@dataclass(frozen=True, slots=True)
class _Proxy:
    url: URL
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, proxy: str) -> _Proxy:
        """Raises ValueError for what is not an HTTP proxy."""
        parts = urlsplit(proxy)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("only HTTP proxies are supported: http://user:password@host:port")
        url = URL(proxy)
        headers = {}
        if url.user:
            headers["Proxy-Authorization"] = aiohttp.encode_basic_auth(url.user, url.password or "")
        return cls(url.with_user(None), headers)


def _said(error: BaseException) -> str:
    """An exception as words that cannot carry a URL or a token: its kind and the system's own text."""
    cause = getattr(error, "os_error", None) or error
    name = type(error).__name__
    if isinstance(cause, Refused):
        return cause.strerror or "refused"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted here"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientOSError) and error.errno is None:
        return f"{name}: connection lost"  # aiohttp's own text repeats the address
    text = cause.strerror if isinstance(cause, OSError) and isinstance(cause.strerror, str) else ""
    return f"{name}: {redact(text)[:150]}" if text else name


def _unwritten(error: aiohttp.ClientOSError, body: bytes | None) -> bool:
    """True when the transport was closing before the request was handed to it.

    A body below ONE_WRITE goes out together with its headers in one write; aiohttp's writer refuses that write
    when the transport is closing, so no byte of this request left. Told by aiohttp's own words: where they change,
    this becomes False, and False is always safe.
    """
    return (
        error.errno is None
        and body is not None
        and len(body) < ONE_WRITE
        and str(error).startswith(("[Errno None] Can not write request body", "Can not write request body"))
    )


def _unpack(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """A body some server compressed although we asked it not to; at most MAX_ANSWER bytes come out."""
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return body, False
    unpacker = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, whichever it is
    try:
        plain = unpacker.decompress(body, MAX_ANSWER)
    except zlib.error:
        return body, False
    return plain, bool(unpacker.unconsumed_tail)


# ---------------------------------------------------------------- mail


class _Connection:
    """One logged-in SMTP connection; knows the stage it is in, so that a loss can be judged."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self.smtp = smtp
        self.idle_since = 0.0
        self.sent = 0


class _MailRoom:
    """Threads that talk SMTP and a small pool of connections they leave for each other.

    smtplib is used directly, below Django's mail backend: which command was refused decides between "this person",
    "this text" and "this account", and the backend's exceptions no longer tell.
    """

    #: A server may close an idle connection at any moment; only commands before MAIL would notice safely.
    IDLE = 20.0
    PER_CONNECTION = 100

    def __init__(self, guard: Guard, connect_timeout: float, total: float, threads: int) -> None:
        self._guard = guard
        self._connect_timeout = connect_timeout
        self._total = total
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mail")
        self._idle: dict[tuple[object, ...], list[_Connection]] = {}
        self._lock = threading.Lock()
        self._tls = ssl.create_default_context()

    def close(self) -> None:
        """Says goodbye to idle servers; calls still running end by their own deadline."""
        with self._lock:
            idle = [connection for pool in self._idle.values() for connection in pool]
            self._idle.clear()
        for connection in idle:
            connection.smtp.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, call: MailCall) -> Answer:
        letter = None
        if not call.probe_only:
            try:
                letter = _compose(call)
            except _BadLetter as error:
                return Answer(status=error.code, headers={"smtp-stage": "compose"}, body=str(error).encode()[:300])
        talk = _Talk(self, call, letter)
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, talk.run)
        try:
            return await asyncio.wait_for(asyncio.shield(work), self._total)
        except TimeoutError:
            talk.abort()  # the thread wakes up from its read, and ends
            work.add_done_callback(lambda done: done.exception() if not done.cancelled() else None)
            lost = NoAnswer.MAYBE_SENT if talk.may_have_left else NoAnswer.NOT_SENT
            return Answer(no_answer=lost, headers={"smtp-stage": talk.stage}, detail="no answer in time")

    def borrow(self, key: tuple[object, ...]) -> _Connection | None:
        now = time.monotonic()
        with self._lock:
            pool = self._idle.get(key, [])
            while pool:
                connection = pool.pop()
                if now - connection.idle_since < self.IDLE:
                    return connection
                connection.smtp.close()
        return None

    def give_back(self, key: tuple[object, ...], connection: _Connection) -> None:
        if connection.sent >= self.PER_CONNECTION:
            connection.smtp.close()
            return
        connection.idle_since = time.monotonic()
        with self._lock:
            self._idle.setdefault(key, []).append(connection)


class _Talk:
    """One letter's conversation with a mail server, in a thread."""

    def __init__(self, room: _MailRoom, call: MailCall, letter: bytes | None) -> None:
        self._room = room
        self._call = call
        self._letter = letter
        self._connection: _Connection | None = None
        self.stage = "connect"
        self.may_have_left = False

    def abort(self) -> None:
        """From another thread: break the socket, so that a blocked read returns."""
        connection = self._connection
        sock = connection.smtp.sock if connection else None
        if sock is not None:
            with contextlib.suppress(OSError):  # already gone, which is what we want
                sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> Answer:
        call = self._call
        key = (call.host, call.port, call.username, call.password, call.use_tls, call.use_ssl)
        try:
            connection = self._connection = self._room.borrow(key)
            if connection is not None and not self._alive(connection):
                connection.smtp.close()
                connection = None
            if connection is None:
                connection = self._open()
            answer = self._deliver(connection)
        except smtplib.SMTPResponseException as error:
            self._drop()
            if self.may_have_left:  # smtplib's own complaint about the reply to the letter, not the server's word
                return self._lost(error)
            return self._answer(error.smtp_code, error.smtp_error)
        except (smtplib.SMTPNotSupportedError, smtplib.SMTPException) as error:
            self._drop()
            return self._lost(error)
        except (OSError, ValueError) as error:
            self._drop()
            return self._lost(error)
        if answer.status in {421, 554} or not self._rested(connection):
            connection.smtp.close()
        else:
            self._room.give_back(key, connection)
        return answer

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.smtp.close()

    def _alive(self, connection: _Connection) -> bool:
        """Whether a waiting connection still answers; asked before MAIL, so a loss here costs nothing."""
        try:
            return connection.smtp.noop()[0] == 250
        except (smtplib.SMTPException, OSError):
            return False

    def _rested(self, connection: _Connection) -> bool:
        try:
            return connection.smtp.rset()[0] == 250
        except (smtplib.SMTPException, OSError):
            return False

    def _open(self) -> _Connection:
        call, room = self._call, self._room
        guard, tls = room._guard, room._tls  # noqa: SLF001 - one piece in two classes

        class Guarded(smtplib.SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                sock = guard.connect(host, port, timeout)
                return tls.wrap_socket(sock, server_hostname=host) if call.use_ssl else sock

        timeout = room._connect_timeout  # noqa: SLF001
        smtp = Guarded(timeout=timeout)
        connection = self._connection = _Connection(smtp)
        code, text = smtp.connect(call.host, call.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if smtp.sock is not None:
            smtp.sock.settimeout(room._total)  # noqa: SLF001
        self.stage = "hello"
        smtp.ehlo_or_helo_if_needed()
        if call.use_tls and not call.use_ssl:
            self.stage = "tls"
            # smtplib names the certificate's host by what connect() was told
            smtp._host = call.host  # type: ignore[attr-defined]  # noqa: SLF001
            code, text = smtp.starttls(context=tls)
            if code != 220:
                raise smtplib.SMTPResponseException(code, text)
            smtp.ehlo()
        if call.username:
            self.stage = "auth"
            smtp.login(call.username, call.password)
        return connection

    def _deliver(self, connection: _Connection) -> Answer:
        call, smtp = self._call, connection.smtp
        if self._letter is None:
            if call.envelope_sender:
                # Some servers let nobody name another address than the login's: better heard now than at the first letter.
                self.stage = "mail"
                code, text = smtp.mail(_envelope_sender(call))
                if code != 250:
                    return self._answer(code, text)
            self.stage = "noop"
            return self._answer(*smtp.noop())
        self.stage = "mail"
        reports = bool(call.envelope_id) and smtp.has_extn("dsn")
        options = [f"SIZE={len(self._letter)}"] if smtp.has_extn("size") else []
        if reports:
            options += ["RET=HDRS", f"ENVID={call.envelope_id}"]
        code, text = smtp.mail(_envelope_sender(call), options)
        if code != 250:
            return self._answer(code, text)
        self.stage = "rcpt"
        code, text = smtp.rcpt(_recipient(call), ["NOTIFY=FAILURE,DELAY"] if reports else [])
        if code not in {250, 251}:
            return self._answer(code, text)
        self.stage = "data"
        code, text = smtp.docmd("DATA")
        if code != 354:
            return self._answer(code, text)
        connection.sent += 1
        dotted = re.sub(rb"(?m)^\.", b"..", self._letter)
        smtp.send(dotted if dotted.endswith(b"\r\n") else dotted + b"\r\n")
        # Without its final dot a letter is thrown away; from the dot to the reply nobody knows.
        self.may_have_left = True
        smtp.send(b".\r\n")
        return self._answer(*smtp.getreply())

    def _answer(self, code: int, text: bytes | str) -> Answer:
        if code == -1:  # smtplib's word for a line that is no reply
            return self._lost(OSError(None, "not an SMTP reply"))
        body = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
        return Answer(status=code, headers={"smtp-stage": self.stage}, body=body[:2000])

    def _lost(self, error: Exception) -> Answer:
        lost = NoAnswer.MAYBE_SENT if self.may_have_left else NoAnswer.NOT_SENT
        return Answer(no_answer=lost, headers={"smtp-stage": self.stage}, detail=f"{self.stage}: {_said(error)}")


class _BadLetter(ValueError):  # noqa: N818 - a letter, not a program, is wrong
    """Not sent to any server; `code` is what an SMTP server would have said."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]+@[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]+")


def _compose(call: MailCall) -> bytes:
    """The letter as bytes. Raises _BadLetter for anything that could smuggle a header or a second recipient."""
    name, sender = parseaddr(call.sender)
    sender = _mailbox(sender, 550, "the sender is not an e-mail address")
    headers = {"From": str(Address(name, addr_spec=sender)), "To": _recipient(call), "Subject": call.subject}
    headers |= {"Date": formatdate(), **call.headers}
    message = EmailMessage()
    try:
        for header, value in headers.items():
            # EmailMessage refuses line ends as well; said here so that no change of policy can take it away.
            if any(ord(letter) < 32 or ord(letter) == 127 for letter in header + value):
                raise _BadLetter(550, "control character in a header")
            message[header] = _whole(value)
        text, html = _whole(call.text), _whole(call.html)
        message.set_content(text, cte=_cte(text))
        if html:
            message.add_alternative(html, subtype="html", cte=_cte(html))
        return message.as_bytes(policy=message.policy.clone(linesep="\r\n", max_line_length=78))
    except (ValueError, IndexError, AttributeError) as error:
        # email.headerregistry stumbles in several ways over values that are no headers.
        raise error if isinstance(error, _BadLetter) else _BadLetter(550, "the letter cannot be written") from error


def _envelope_sender(call: MailCall) -> str:
    address = call.envelope_sender or parseaddr(call.sender)[1]
    return _mailbox(address, 550, "the sender is not an e-mail address")


def _recipient(call: MailCall) -> str:
    return _mailbox(call.recipient, 553, "the recipient is not one e-mail address")


def _mailbox(address: str, code: int, complaint: str) -> str:
    """One bare address in ASCII (the domain as IDNA). Raises _BadLetter for anything else."""
    local, _, domain = address.rpartition("@")
    try:
        ascii_address = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError as error:
        raise _BadLetter(code, complaint) from error
    if not ascii_address.isascii() or not _ADDRESS.fullmatch(ascii_address):
        raise _BadLetter(code, complaint)
    return ascii_address


def _whole(text: str) -> str:
    """Without half characters, which no encoding can carry."""
    return text.encode("utf-8", "replace").decode()


def _cte(text: str) -> str | None:
    """base64 for everything that is not plain English: 8-bit letters are mangled on the way now and then."""
    return None if text.isascii() else "base64"
