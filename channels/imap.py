"""Reading a mailbox over IMAP, for channels.transport: the letters since the last look, and nothing is changed there.

The folder is opened for reading only (EXAMINE) and letters are fetched without marking them: an owner who reads the
same mailbox finds his letters as unread as they were, and one that he has read, moved or deleted meanwhile is no trouble
but for the letter itself. What is new is known by number (UID) and not by the mark "seen", for the same reason.

The promises of the seam hold here too: private addresses only where allowed, deadlines that nothing stretches, no
retries, an answer of bounded size. Blocking: run it in a thread.
"""

from __future__ import annotations

import contextlib
import imaplib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from imap_tools import AND, BaseMailBox
from imap_tools.errors import MailboxFolderSelectError, MailboxLoginError, UnexpectedCommandStatusError

from channels.providers.base import Answer, MailboxCall, NoAnswer

#: Ports of IMAP below 1024, beside those every call may go to.
PORTS: Final = frozenset({143, 993})
#: How far back letters are read again where a server has numbered them anew.
AGAIN: Final = timedelta(days=3)
#: A look takes no longer, whatever the server does; what it has got by then is kept.
LONGEST: Final = 8.0
#: Some servers do not know how to give a part of a letter and give all of it: cut here, up to this size.
_MOST: Final = 5_000_000

Connect = Callable[[str, int, float, frozenset[int]], socket.socket]


class _Client(imaplib.IMAP4):
    """imaplib's client on a socket of ours, which takes no literal of any size a server likes."""

    def __init__(self, call: MailboxCall, connect: Connect, tls: ssl.SSLContext, timeout: float, total: float) -> None:
        self._call = call
        self._connect_to = connect
        self._tls = tls
        self._total = total
        self.too_large = False
        super().__init__(call.host, call.port, timeout)

    def _create_socket(self, timeout: float) -> socket.socket:
        sock = self._connect_to(self._call.host, self._call.port, timeout, PORTS)
        if self._call.use_ssl:
            sock = self._tls.wrap_socket(sock, server_hostname=self._call.host)
        sock.settimeout(self._total)
        return sock

    def read(self, size: int) -> bytes:
        if size > _MOST:
            self.too_large = True
            raise self.abort(f"a literal of {size} bytes")
        return super().read(size)

    def break_off(self) -> None:
        """From another thread: a blocked read returns, and the talk ends."""
        with contextlib.suppress(OSError, AttributeError):  # already gone, or not there yet
            self.sock.shutdown(socket.SHUT_RDWR)


class _MailBox(BaseMailBox):
    """imap-tools on that client."""

    def __init__(self, client: _Client) -> None:
        self._made = client
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        return self._made


class _Look:
    """One look into a mailbox, and how far it came."""

    def __init__(self, call: MailboxCall) -> None:
        self.call = call
        self.stage = "connect"
        self.letters: list[bytes] = []
        self.cursor = call.after

    def run(self, connect: Connect, tls: ssl.SSLContext, timeout: float, total: float) -> None:
        call = self.call
        client = _Client(call, connect, tls, timeout, total)
        watch = threading.Timer(total, client.break_off)
        watch.daemon = True
        watch.start()
        try:
            box = _MailBox(client)
            self.stage = "login"
            if (call.username + call.password).isascii():
                box.login(call.username, call.password, initial_folder=None)
            else:
                box.login_utf8(call.username, call.password, initial_folder=None)
            self.stage = "folder"
            box.folder.set(call.folder, readonly=True)
            self.stage = "read"
            self._read(box, client)
            with contextlib.suppress(imaplib.IMAP4.error, UnexpectedCommandStatusError, OSError):
                box.logout()
        finally:
            watch.cancel()
            with contextlib.suppress(OSError):
                client.shutdown()

    def _read(self, box: _MailBox, client: _Client) -> None:
        validity = _number(client.response("UIDVALIDITY")) or 0
        known, _, last = self.call.after.partition(":")
        if not last.isdigit():
            following = _number(client.response("UIDNEXT"))
            top = following - 1 if following else max((int(uid) for uid in box.uids("ALL")), default=0)
            self.cursor = f"{validity}:{top}"
            return
        if known == str(validity):
            found = box.uids(f"UID {int(last) + 1}:*")  # answers with the last letter where none is newer
            new = sorted(int(uid) for uid in found if int(uid) > int(last))
        else:
            # Numbered anew: the newest letters once more. Who keeps them knows what he has.
            recently = datetime.now(UTC).date() - AGAIN
            new = sorted(int(uid) for uid in box.uids(AND(date_gte=recently)))
        for uid in new[: self.call.limit]:
            try:
                letter = _fetch(client, uid, self.call.letter_bytes)
            except imaplib.IMAP4.abort:
                if client.too_large:  # or it would lie in the way of all others for ever
                    self.cursor = f"{validity}:{uid}"
                raise
            if letter is not None:
                self.letters.append(letter)
            self.cursor = f"{validity}:{uid}"
        if not new and known != str(validity):
            self.cursor = f"{validity}:0"


def _fetch(client: _Client, uid: int, size: int) -> bytes | None:
    """The first `size` bytes of a letter; None for one that is gone."""
    status, data = client.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{size}>)")
    if status != "OK":
        raise client.error("the letter cannot be read")
    for item in data or ():
        if isinstance(item, tuple) and len(item) > 1 and isinstance(item[1], bytes):
            return item[1][:size]
    return None


def _number(response: tuple[str, list[bytes | None]]) -> int | None:
    value = (response[1] or [None])[0]
    return int(value) if value and value.isdigit() else None


def read_mailbox(
    call: MailboxCall, connect: Connect, tls: ssl.SSLContext, connect_timeout: float, total: float
) -> Answer:
    """What has come into a mailbox, as an Answer; see MailboxCall. Never raises for what a server or the network does.

    `connect` opens a guarded socket. Status 200, or 535 for a refused login, 404 for a folder that is not there, 500 for
    any other refusal; letters read before a break are kept, the next look goes on behind them.
    """
    look = _Look(call)
    answer = Answer(status=200)
    try:
        look.run(connect, tls, connect_timeout, total)
    except MailboxLoginError as error:
        answer = Answer(status=535, detail=_said(error, call))
    except MailboxFolderSelectError as error:
        answer = Answer(status=404, detail=_said(error, call))
    except imaplib.IMAP4.abort as error:
        answer = Answer(no_answer=NoAnswer.MAYBE_SENT, detail=_said(error, call))
    except (imaplib.IMAP4.error, UnexpectedCommandStatusError) as error:
        answer = Answer(status=535 if look.stage == "login" else 500, detail=_said(error, call))
    except (OSError, ValueError) as error:
        lost = NoAnswer.NOT_SENT if look.stage == "connect" else NoAnswer.MAYBE_SENT
        untrusted = isinstance(error, ssl.SSLCertVerificationError)
        answer = Answer(no_answer=lost, detail=_said(error, call), untrusted=untrusted)
    if look.letters:
        answer = Answer(status=200)
    headers = {"mailbox-stage": look.stage, "mailbox-cursor": look.cursor}
    return Answer(
        status=answer.status,
        headers=headers,
        no_answer=answer.no_answer,
        detail=answer.detail,
        untrusted=answer.untrusted,
        parts=tuple(look.letters),
    )


def _said(error: Exception, call: MailboxCall) -> str:
    """The server's or the system's words as one line, without the password."""
    words = ""
    if isinstance(error, UnexpectedCommandStatusError):
        data = error.command_result[1]
        words = b" ".join(one for one in data if isinstance(one, bytes)).decode("utf-8", "replace")
    elif isinstance(error, ssl.SSLCertVerificationError):
        words = "its certificate is not trusted here"
    elif isinstance(error, TimeoutError):
        words = "no answer in time"
    elif isinstance(error, OSError):
        words = error.strerror or type(error).__name__
    else:
        words = str(error)
    for hidden in (call.password, call.username):
        words = words.replace(hidden, "***") if len(hidden) > 3 else words
    return re.sub(r"\s+", " ", words).strip()[:200]
