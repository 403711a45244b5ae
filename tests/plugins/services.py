"""Pytest plugin: real PostgreSQL and Valkey for the whole run.

Loaded with `-p` from pyproject.toml, because pytest-django reads the settings before any
conftest.py and the settings need the servers' addresses. Under pytest-xdist the controller
starts one pair of servers; every xdist worker has its own database in PostgreSQL (made by
pytest-django) and its own numbered database in Valkey. There is no way to skip: a suite that
passes because its database was missing proves nothing.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from cascade_project.embedded import EmbeddedServices, ServiceError

#: Set by the controller for its xdist workers, which inherit the environment.
_MARK = "CASCADE_TEST_SERVICES"
#: Variables of the caller's shell that must not decide a test.
_CALLERS = (
    "DEBUG",
    "LOG_LEVEL",
    "ALLOWED_HOSTS",
    "TRUSTED_PROXY_COUNT",
    "PROCESS_ROLE",
    "TIME_ZONE",
    "ALLOW_PLAIN_HTTP",
    "STATIC_ROOT",
)

_services: EmbeddedServices | None = None


def _worker_number() -> int:
    """Return 0 in a plain run or the controller, n + 1 in xdist worker gw<n>."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(name.removeprefix("gw")) + 1 if name else 0


def _start() -> None:
    """Start the servers and put every setting into the environment."""
    global _services  # noqa: PLW0603  pytest plugins are modules, this is their state
    folder = Path(tempfile.mkdtemp(prefix="cascade-test-"))
    # Passable, not readable: PostgreSQL may have to run as `nobody` below it.
    folder.chmod(0o711)
    for name in _CALLERS:
        os.environ.pop(name, None)
    try:
        _services = EmbeddedServices(folder, fsync=False).start()
    except ServiceError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise pytest.UsageError(f"The tests need real servers. {error}") from error
    os.environ.update(_services.settings())
    os.environ[_MARK] = _services.describe()


def _use_own_redis_database() -> None:
    """Point REDIS_URL at this xdist worker's numbered database."""
    base, _, _number = os.environ["REDIS_URL"].rpartition("/")
    os.environ["REDIS_URL"] = f"{base}/{_worker_number()}"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Run before pytest-django's hook of this name, which imports the settings."""
    if _MARK not in os.environ:
        _start()
    elif _worker_number():
        _use_own_redis_database()
    return (yield)


def pytest_report_header() -> str:
    """Say on which servers the run stands."""
    return f"services: {os.environ.get(_MARK, 'none')}"


def pytest_unconfigure() -> None:
    """Stop what this process started. When pytest is killed, the kernel does it for us."""
    global _services  # noqa: PLW0603  see _start
    if _services is not None:
        _services.stop()
        shutil.rmtree(_services.data_dir, ignore_errors=True)
        os.environ.pop(_MARK, None)
        _services = None
