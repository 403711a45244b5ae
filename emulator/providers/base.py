"""What a wire format has to tell the emulator. Everything else (rules, journal, money, faults) is the world's.

A provider reads its requests, calls `world.take()` for each message to be sent, and knows how its answers and its
receipts look. Its file says where the shapes come from; what the fact sheets do not know is not invented here either.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulator.world import RETRY_AFTER

if TYPE_CHECKING:
    from emulator.http import Request
    from emulator.world import Account, Message, Sending, World


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: str = ""  #: further header lines, each ended by CRLF


@dataclass(frozen=True, slots=True)
class Hook:
    """A callback to post to the product."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    query: str = ""


def as_json(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value, ensure_ascii=False).encode(), status)


def json_hook(value: Any, **headers: str) -> Hook:
    return Hook(json.dumps(value, ensure_ascii=False).encode(), {"Content-Type": "application/json", **headers})


def front_refusal(answer: str) -> Reply | None:
    """What the web server in front of a provider says itself, in nobody's format; None for the provider's own words."""
    if answer == "error_500":
        return Reply(b"<html><body>500 Internal Server Error</body></html>", 500, "text/html")
    if answer == "rate_limited":
        return Reply(b"Too Many Requests", 429, "text/plain", f"Retry-After: {RETRY_AFTER}\r\n")
    return None


class HttpProvider(ABC):
    """One wire format over HTTP."""

    name: str

    def __init__(self, world: World) -> None:
        self.world = world

    def reset(self) -> None:  # noqa: B027 - most wires remember nothing of their own
        """Forget what waits to be fetched."""

    @abstractmethod
    def handle(self, request: Request, path: str) -> None:
        """Answer the request; `path` is without the provider's prefix."""

    @abstractmethod
    def accepted(self, sending: Sending, messages: list[Message]) -> Reply:
        """The answer to a send that was taken."""

    @abstractmethod
    def refusal(self, sending: Sending, answer: str) -> Reply:
        """The answer to a send that was not: refused, blocked, rate_limited, unauthorized, no_balance, error_500,
        error_json."""

    @abstractmethod
    def receipt(self, message: Message, status: str) -> Hook | None:
        """The callback for a status; None where this wire has none."""

    def inbound(self, account: Account, recipient: str, text: str, message: Message | None, button: str) -> Hook | None:
        """What a person wrote or pressed (`button` is the payload); None where this wire has no such thing."""
        return None

    def membership(self, account: Account, recipient: str, blocked: bool) -> Hook | None:
        """The person blocked or unblocked the sender."""
        return None
