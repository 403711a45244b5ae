"""Chromium for the tests in this folder, and a whole installation for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import LOGIN, PASSWORD, SIZES, Site
from tests.plugins.processes import Processes


@pytest.fixture(scope="module")
def chromium(django_db_setup: None) -> Iterator[Browser]:
    """The system's Chromium. Per module and not per session: while Playwright runs, its event loop counts as running in
    this thread, and a later test of the same process could start none of its own."""
    path = os.environ.get("CASCADE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.fail("No Chromium: install it or set CASCADE_CHROMIUM; scripts/test leaves these tests out without one.")
    allowed = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    # The same loop makes Django believe that it is called from asynchronous code; nothing here awaits.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    # And inside the loop it opens connections of its own. What was left open outside would be a stranger's session to
    # the tests that wait until they are alone in the database.
    connections.close_all()
    with sync_playwright() as playwright:
        # Root has no sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()
        connections.close_all()
    if allowed is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(chromium: Browser, processes: Processes) -> Iterator[Site]:
    """The whole process model, empty but for the owner's account; the owner stands before the login page."""
    get_user_model().objects.create_superuser(LOGIN, password=PASSWORD)
    emulator = processes.emulator()
    web = processes.web()
    processes.worker(concurrency=2)
    processes.beat()
    with window(chromium, "desktop") as page:
        yield Site(page, web.url, emulator.url, processes)


@pytest.fixture
def phone(chromium: Browser, processes: Processes) -> Iterator[Site]:
    """The pages alone, on a phone in the dark; nothing is sent."""
    get_user_model().objects.create_superuser(LOGIN, password=PASSWORD)
    web = processes.web()
    with window(chromium, "phone", has_touch=True, is_mobile=True, color_scheme="dark") as page:
        yield Site(page, web.url, "", processes)


@contextmanager
def window(chromium: Browser, size: str, **options: Any) -> Iterator[Page]:
    """A window of its own: no cookies of other tests, the clock of Moscow, no animations to wait for."""
    width, height = SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        locale="ru-RU",
        timezone_id="Europe/Moscow",
        reduced_motion="reduce",
        **options,
    )
    # Conditions are waited for, not times; this only ends what will never come.
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()
