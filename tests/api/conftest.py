"""A program with a key."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from api.models import Scope
from api.services import keys
from tests.deliveries.shop import Shop


@dataclass
class Caller:
    """Speaks JSON with a key."""

    key: str = ""

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer; `.status_code`, `.json()`."""
        sent = {"accept-language": "en", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.key:
            sent["authorization"] = f"Bearer {self.key}"
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return Client().generic(method, f"/api/v1/{path}", data, content_type="application/json", headers=sent)


@pytest.fixture
def caller(db: None) -> Callable[..., Caller]:
    """Make a program that may do this, by default everything."""
    caches["shared"].clear()

    def make(scopes: Collection[str] = tuple(Scope)) -> Caller:
        return Caller(keys.issue("till", scopes)[1])

    return make


@pytest.fixture
def api(caller: Callable[..., Caller]) -> Caller:
    """A program that may do everything."""
    return caller()


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop()
