"""Random answers and callbacks for the battery: good ones with one thing changed, taken away, cut off or poisoned, and
plain nonsense.

Drawn from a seeded die and not by Hypothesis: that takes four milliseconds for what an adapter reads in a tenth of one, so
20,000 for every adapter were an hour. What is lost is shrinking; each example changes one thing and names its number.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from channels.providers.base import Answer, CallbackRequest, NoAnswer

_NAMES = ("id", "phone", "status", "err", "mes", "md5", "sha1", "time", "update_id", "typeWebhook", "body", "x")
_HEADERS = (
    "retry-after",
    "content-type",
    "date",
    "smtp-stage",
    "authorization",
    "x-telegram-bot-api-secret-token",
    "md5",
)
_HEADER_VALUES = ("5", "-1", "1e99", "Wed, 21 Oct 2015 07:28:00 GMT", "rcpt", "data", "auth", "mail")
_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "0",
    "-1",
    "1",
    "3",
    "20",
    "delivered",
    "read",
    "failed",
    "9" * 400,
    "\0",
    "\ud800",
    "x" * 500,
    "a@b",
    [],
    {},
)
#: Letters that have broken something somewhere: controls, quotes, digits that int() takes and nobody else does.
_SIGNS = "abc019 \0\n\r\t\"'\\{}[]<>&=%+@:/.,;٧²ёЖ\u202e\ufeff\U0001f600\ud83d"


class Die(random.Random):
    """One example's luck."""

    def text(self, longest: int) -> str:
        return "".join(self.choice(_SIGNS) for _ in range(self.randrange(longest + 1)))

    def value(self, secrets: Sequence[str], depth: int = 2) -> Any:
        """Some JSON value, seldom a deep one."""
        kind = self.randrange(8)
        if kind == 0:
            return self.choice(secrets) if secrets else ""
        if kind == 1:
            return self.text(30)
        if kind == 2:
            return (
                self.randrange(-(2**70), 2**70) if self.randrange(2) else self.random() * 10.0 ** self.randrange(-9, 20)
            )
        if depth and kind == 3:
            return [self.value(secrets, depth - 1) for _ in range(self.randrange(4))]
        if depth and kind == 4:
            return {self.name(): self.value(secrets, depth - 1) for _ in range(self.randrange(5))}
        return self.choice(_ODD)

    def name(self) -> str:
        return self.choice(_NAMES) if self.randrange(3) else self.text(8)

    def body(self, good: Sequence[Any], secrets: Sequence[str]) -> bytes:
        """Bytes, JSON, or most often a good body with one thing wrong."""
        kind = self.randrange(5)
        if kind == 0:
            return self.randbytes(self.randrange(61))
        if kind == 1 or not good:
            return _dump(self.value(secrets))
        value = json.loads(json.dumps(self.choice(good)))
        where = value
        for _ in range(self.randrange(4)):
            inner = [each for _, each in _items(where) if isinstance(each, dict | list)]
            if not inner:
                break
            where = self.choice(inner)
        keys = [key for key, _ in _items(where)]
        if keys:
            key = self.choice(keys)
            if isinstance(where, dict) and self.randrange(2):
                del where[key]
            else:
                where[key] = self.value(secrets)
        data = _dump(value)
        return data[: self.randrange(len(data) + 1)] if self.randrange(10) == 0 else data

    def headers(self, secrets: Sequence[str]) -> dict[str, str]:
        values = (*_HEADER_VALUES, *secrets)
        count = self.randrange(4)
        return {
            self.choice(_HEADERS): self.choice(values) if self.randrange(4) else self.text(10) for _ in range(count)
        }


def answers(
    slug: str, count: int, good: Sequence[Any], secrets: Sequence[str], statuses: Sequence[int]
) -> Iterator[tuple[int, Die, Answer]]:
    """`count` random answers, the same ones each time: (number, the example's die for further choices, answer)."""
    for number in range(count):
        die = Die(f"{slug} answer {number}")
        yield (
            number,
            die,
            Answer(
                status=die.choice(statuses) if die.randrange(2) else die.randrange(1000),
                headers=die.headers(secrets),
                body=die.body(good, secrets),
                truncated=die.randrange(4) == 0,
                no_answer=die.choice(list(NoAnswer)) if die.randrange(6) == 0 else None,
            ),
        )


def callbacks(
    slug: str, count: int, good: Sequence[Any], secrets: Sequence[str]
) -> Iterator[tuple[int, CallbackRequest]]:
    """`count` random callbacks, the same ones each time, numbered."""
    for number in range(count):
        die = Die(f"{slug} callback {number}")
        yield (
            number,
            CallbackRequest(
                method=die.choice(("POST", "POST", "GET", "PUT")),
                query={die.name(): die.text(20) for _ in range(die.randrange(5))},
                headers=die.headers(secrets),
                body=die.body(good, secrets),
            ),
        )


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _dump(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value).encode()
