"""Shared fixtures. Servers and processes come from tests/plugins, loaded before this file."""

from collections.abc import Iterator

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """Each test begins in the language of the settings. A page asked for in English leaves English behind in this
    thread, and a later test of the same process would then name its objects in it."""
    translation.deactivate()
    yield
    translation.deactivate()
