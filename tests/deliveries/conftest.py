"""A shop for each test, and one whose channels reach an emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deliveries.services.send.pump import close_runtime
from tests.deliveries.shop import Shop
from tests.plugins.processes import Processes


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def live_shop(processes: Processes, shop: Shop) -> Iterator[Shop]:
    """A shop whose channels reach the emulator, and whose callbacks come back through a web process."""
    shop.emulator = processes.emulator().url
    yield shop
    close_runtime()
