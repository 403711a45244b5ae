"""Reading settings from the environment, refusing nonsense.

Every reader raises `ImproperlyConfigured` with the variable's name and what to do, because a
server that starts with a wrong setting is found out by a client who got a wrong message.
Docker and systemd hand secrets over as files: `NAME_FILE=/run/secrets/name` is read wherever
`NAME` is, and giving both is refused (nobody could tell which one is in force).
"""

import ipaddress
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

#: Words that show up in copied examples; a server that runs with one of them has no secret.
PLACEHOLDERS = ("changeme", "change-me", "insecure", "example", "secret-key", "your-")

MIN_SECRET_LENGTH = 40


class Environment:
    """Typed access to environment variables.

    `source` is any mapping (the tests give a dict); it is copied, so later changes of
    os.environ cannot make one process run with two truths.
    """

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._values = dict(os.environ if source is None else source)

    def text(self, name: str, default: str | None = None) -> str:
        """Return NAME, or the content of the file NAME_FILE without surrounding whitespace.

        An empty value counts as not given: compose files pass `NAME=` for unset variables.
        Raises ImproperlyConfigured when it is missing and has no default, when both forms
        are given, or when the file cannot be read.
        """
        value = self._values.get(name, "").strip()
        path = self._values.get(f"{name}_FILE", "").strip()
        if value and path:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: remove one of them.")
        if path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ImproperlyConfigured(f"{name}_FILE={path} cannot be read: {error}") from error
        if value:
            return value
        if default is None:
            raise ImproperlyConfigured(
                f"{name} is not set. See .env.example; for a development command use "
                f"scripts/manage COMMAND, for a look around use `make demo`."
            )
        return default

    def flag(self, name: str, default: bool) -> bool:
        """Return a yes/no setting; anything but true/false/1/0/yes/no/on/off is refused."""
        value = self.text(name, "true" if default else "false").lower()
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"0", "false", "no", "off"}:
            return False
        raise ImproperlyConfigured(f"{name}={value}: use true or false.")

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Return a whole number within the bounds; out of them or not a number is refused."""
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name}={value}: a whole number is needed.") from None
        if not minimum <= number <= maximum:
            raise ImproperlyConfigured(f"{name}={number}: must be {minimum} to {maximum}.")
        return number

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed words."""
        value = self.text(name, default)
        if value not in allowed:
            raise ImproperlyConfigured(f"{name}={value}: use one of {', '.join(allowed)}.")
        return value

    def words(self, name: str) -> list[str]:
        """Return a comma-separated list without empty entries; missing gives an empty list."""
        return [word.strip() for word in self.text(name, "").split(",") if word.strip()]

    def secret(self, name: str) -> str:
        """Return a secret that is long enough and not copied from an example."""
        value = self.text(name)
        if len(value) < MIN_SECRET_LENGTH or len(set(value)) < 10:
            raise ImproperlyConfigured(
                f"{name} is too weak: at least {MIN_SECRET_LENGTH} random characters are needed "
                f'(python3 -c "import secrets; print(secrets.token_urlsafe(50))").'
            )
        if any(word in value.lower() for word in PLACEHOLDERS):
            raise ImproperlyConfigured(f"{name} still holds the text of an example.")
        return value

    def fernet_keys(self, name: str) -> list[str]:
        """Return encryption keys, newest first; at least one valid Fernet key is needed."""
        keys = self.words(name)
        if not keys:
            self.text(name)  # raises with the usual advice
        for number, key in enumerate(keys, start=1):
            try:
                Fernet(key)
            except ValueError as error:
                # The key itself stays out of the message: messages end up in logs.
                raise ImproperlyConfigured(
                    f"{name}: key {number} is not a Fernet key (python3 -c "
                    f'"import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())").'
                ) from error
        if len(set(keys)) != len(keys):
            raise ImproperlyConfigured(f"{name}: the same key is listed twice.")
        return keys

    def postgres(self, name: str) -> dict[str, object]:
        """Return a Django DATABASES entry; anything but PostgreSQL is refused.

        The engine lives on row locks, SKIP LOCKED and partial indexes. SQLite would start,
        look right and send doubles.
        """
        value = self.text(name)
        config: dict[str, object] = {}
        if urlsplit(value).scheme in {"postgres", "postgresql"}:
            try:
                config = dict(environ.Env.db_url_config(value))
            except ValueError as error:  # a port that is not a number; the address holds a password
                raise ImproperlyConfigured(f"{name} is not a valid address.") from error
        if not config.get("NAME"):
            raise ImproperlyConfigured(
                f"{name} must be postgres://user:password@host:port/database; "
                f"no other database can hold the promise of one message per person."
            )
        return config

    def redis(self, name: str) -> str:
        """Return a Redis/Valkey address usable as Celery's broker."""
        value = self.text(name)
        if urlsplit(value).scheme not in {"redis", "rediss"}:
            raise ImproperlyConfigured(f"{name} must be redis://:password@host:port/number.")
        return value

    def origin(self, name: str, allow_plain_http: bool) -> str:
        """Return `scheme://host[:port]` without a path.

        It is printed into messages (short links, unsubscribe), so a wrong one cannot be
        taken back. Plain http is refused except on this machine or when asked for: session
        cookies would cross the network readable.
        """
        value = self.text(name).rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
            raise ImproperlyConfigured(f"{name}={value}: use https://host without a path.")
        if parts.username or parts.password:
            raise ImproperlyConfigured(f"{name} must not contain a login.")
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme == "http" and not local and not allow_plain_http:
            raise ImproperlyConfigured(
                f"{name}={value}: plain http is only for this machine. Put a TLS proxy in front, "
                f"or set ALLOW_PLAIN_HTTP=true in a closed network."
            )
        return value

    def networks(self, name: str) -> list[str]:
        """Return `network:port` entries, e.g. `127.0.0.1/32:8025` or `[fd00::/8]:*`.

        A bare address is completed to a network of one. Host names are refused: what they
        resolve to can change after the check.
        """
        return [self._network(name, entry) for entry in self.words(name)]

    @staticmethod
    def _network(name: str, entry: str) -> str:
        host, _, port = entry.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        try:
            network = ipaddress.ip_network(bare)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {entry}: use address:port ({error}).") from error
        if port != "*" and not (port.isdigit() and 0 < int(port) < 65536):
            raise ImproperlyConfigured(f"{name}: {entry}: the port must be 1 to 65535 or *.")
        return f"[{network}]:{port}" if network.version == 6 else f"{network}:{port}"

    def ca_bundles(self, name: str) -> dict[str, str]:
        """Return host -> path of a PEM file with certificates, from `host=/path/to/file.pem` entries.

        Raises ImproperlyConfigured for a file that is not there or holds no certificate: found out at start and
        not by the first message.
        """
        bundles = {}
        for entry in self.words(name):
            host, _, path = entry.partition("=")
            if not host or not path or "/" in host:
                raise ImproperlyConfigured(f"{name}: {entry}: use host=/path/to/certificates.pem.")
            try:
                ssl.create_default_context(cafile=path)
            except OSError as error:  # ssl.SSLError is one
                raise ImproperlyConfigured(f"{name}: {path} cannot be used as PEM certificates: {error}") from error
            bundles[host.lower()] = path
        return bundles

    def zone(self, name: str, default: str) -> str:
        """Return a time zone name that this machine knows."""
        value = self.text(name, default)
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ImproperlyConfigured(f"{name}={value}: unknown time zone.") from error
        return value
