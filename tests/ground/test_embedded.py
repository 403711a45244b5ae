"""The servers nobody had to install."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cascade_project.embedded import EmbeddedServices, Postgres, ServiceError, Valkey, forget, namespace_works

ROOT = Path(__file__).parents[2]

#: Starts the servers, tells their pids, waits to be killed.
OWNER_SCRIPT = """
import sys, time
from pathlib import Path
from cascade_project.embedded import EmbeddedServices
services = EmbeddedServices(Path(sys.argv[1]), fsync=False).start()
print(services.postgres.pid, services.valkey.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("REDIS_URL")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "services"
    forget(tmp_path / "services")


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie is dead; whose child it is does not matter here.
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


@pytest.mark.parametrize("locale", ["POSIX", "C", "ru_RU.KOI8-R"])
def test_the_callers_locale_does_not_decide(
    locale: str, folder: Path, nothing_given: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    postgres = Postgres(folder / "postgres", fsync=False)
    url = postgres.start()
    try:
        assert ask(url, "SELECT upper('ёлка') || lower('ПРИВЕТ')") == "ЁЛКАпривет"
        assert ask(url, "SELECT 'Клиент Ёжиков' ILIKE '%ёЖИК%'") is True
        assert ask(url, "SHOW server_encoding") == "UTF8"
    finally:
        postgres.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its rights away")
@pytest.mark.parametrize("route", ["namespace", "nobody"])
def test_root_runs_it_without_opening_folders(route: str, folder: Path, nothing_given: None) -> None:
    if route == "namespace" and not namespace_works():
        pytest.skip("user namespaces are forbidden in this container")
    closed = [parent for parent in folder.parents if parent.exists()]
    before = [parent.stat().st_mode for parent in closed]
    postgres = Postgres(folder / "postgres", fsync=False, root_route=route)  # type: ignore[arg-type]
    url = postgres.start()
    try:
        assert ask(url, "SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid()") == 1
        assert [parent.stat().st_mode for parent in closed] == before
    finally:
        postgres.stop()


def test_it_listens_to_nobody_else(folder: Path, nothing_given: None) -> None:
    with EmbeddedServices(folder, fsync=False) as services:
        assert ask(services.database_url, "SHOW listen_addresses") == ""
        socket_folder = Path(services.database_url.partition("host=")[2])
        assert socket_folder.stat().st_mode & 0o077 == 0
        without_password = redis.Redis(port=redis.Redis.from_url(services.redis_url).get_connection_kwargs()["port"])
        with pytest.raises(redis.AuthenticationError):
            without_password.ping()
    assert not socket_folder.exists()


def test_data_survive_a_crash_and_the_address_a_restart(folder: Path, nothing_given: None) -> None:
    with EmbeddedServices(folder) as services:
        url = services.database_url
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        services.restart_postgres("immediate")
        assert services.database_url == url
        assert ask(url, "SELECT value FROM kept") == 42
    with EmbeddedServices(folder) as services:
        assert ask(services.database_url, "SELECT value FROM kept") == 42


def test_a_living_server_is_joined_and_left_alone(folder: Path, nothing_given: None) -> None:
    with EmbeddedServices(folder, fsync=False) as owner:
        with EmbeddedServices(folder, fsync=False) as guest:
            assert guest.joined
            assert not owner.joined
            assert guest.database_url == owner.database_url
            assert guest.redis_url == owner.redis_url
            with pytest.raises(ServiceError, match="can be restarted"):
                guest.restart_postgres()
        assert ask(owner.database_url, "SELECT 1") == 1
        with pytest.raises(ServiceError, match="still runs"):
            forget(folder)


def test_given_servers_are_used_and_never_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@db.test/d")
    monkeypatch.setenv("REDIS_URL", "redis://broker.test")
    with EmbeddedServices(folder) as services:
        assert services.database_url == "postgres://u:p@db.test/d"
        assert services.redis_url == "redis://broker.test"
        assert not (folder / "postgres").exists()
        with pytest.raises(ServiceError, match="not ours"):
            services.restart_postgres()


def test_secrets_are_made_once_and_closed(folder: Path) -> None:
    with EmbeddedServices(folder) as services:
        first = services.settings()
        assert services.settings() == first
    assert (folder / "secrets.json").stat().st_mode & 0o077 == 0


def test_a_broken_start_shows_the_log_and_leaves_nothing(folder: Path, nothing_given: None) -> None:
    with EmbeddedServices(folder, fsync=False) as services:
        del services
    (folder / "postgres" / "data" / "postgresql.conf").write_text("nonsense = 1\n", encoding="utf-8")
    with pytest.raises(ServiceError, match="nonsense"):
        EmbeddedServices(folder, fsync=False).start()


def test_valkey_restarts_at_its_address(folder: Path) -> None:
    valkey = Valkey(folder / "valkey")
    url = valkey.start()
    client = redis.Redis.from_url(url)
    client.set("a", "b")
    valkey.restart()
    assert redis.Redis.from_url(url).get("a") is None
    valkey.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_servers_die_with_a_killed_parent(folder: Path, nothing_given: None) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            OWNER_SCRIPT,
            str(folder),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(is_running, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not any(map(is_running, pids)), "servers end after their parent was killed")
    # The next start finds a clean state, not a stale pid file.
    with EmbeddedServices(folder, fsync=False) as services:
        assert not services.joined
