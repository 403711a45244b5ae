"""Settings refuse nonsense at start, with the variable's name in the message."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from cascade_project.environment import Environment

ROOT = Path(__file__).parents[2]
GOOD_SECRET = "q8Zr1-Vt7LwXy2mNc5Bd9Kf3Hg6Jp4Qs0Tu_AeRiOl"

Reader = Callable[[Environment], object]


def plain(**values: str) -> Environment:
    return Environment(values)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("", lambda e: e.text("X")),
        ("maybe", lambda e: e.flag("X", default=False)),
        ("ten", lambda e: e.number("X", 1, minimum=0, maximum=9)),
        ("10", lambda e: e.number("X", 1, minimum=0, maximum=9)),
        ("LOUD", lambda e: e.choice("X", "INFO", ("INFO",))),
        ("short", lambda e: e.secret("X")),
        ("a" * 80, lambda e: e.secret("X")),
        ("django-insecure-" + GOOD_SECRET, lambda e: e.secret("X")),
        ("changeme" + GOOD_SECRET, lambda e: e.secret("X")),
        ("", lambda e: e.fernet_keys("X")),
        ("not-a-key", lambda e: e.fernet_keys("X")),
        ("sqlite:///db.sqlite3", lambda e: e.postgres("X")),
        ("mysql://u:p@h/d", lambda e: e.postgres("X")),
        ("postgres://u:p@h/", lambda e: e.postgres("X")),
        ("nonsense", lambda e: e.postgres("X")),
        ("memory://", lambda e: e.redis("X")),
        ("amqp://h", lambda e: e.redis("X")),
        ("cascade.test", lambda e: e.origin("X", allow_plain_http=False)),
        ("ftp://cascade.test", lambda e: e.origin("X", allow_plain_http=False)),
        ("https://cascade.test/app", lambda e: e.origin("X", allow_plain_http=False)),
        ("https://me:pw@cascade.test", lambda e: e.origin("X", allow_plain_http=False)),
        ("http://cascade.test", lambda e: e.origin("X", allow_plain_http=False)),
        ("localhost:80", lambda e: e.networks("X")),
        ("10.0.0.1", lambda e: e.networks("X")),
        ("10.0.0.1:0", lambda e: e.networks("X")),
        ("10.0.0.1:99999", lambda e: e.networks("X")),
        ("10.0.0.1/8:80", lambda e: e.networks("X")),
        ("max.example", lambda e: e.ca_bundles("X")),
        ("https://max.example=/ca.pem", lambda e: e.ca_bundles("X")),
        ("max.example=/no/such/file.pem", lambda e: e.ca_bundles("X")),
        (f"max.example={__file__}", lambda e: e.ca_bundles("X")),
        ("Mars/Olympus", lambda e: e.zone("X", "UTC")),
        ("../etc/passwd", lambda e: e.zone("X", "UTC")),
    ],
)
def test_nonsense_is_refused_by_name(value: str, read: Reader) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"\bX\b"):
        read(plain(X=value))


def test_a_weak_key_never_appears_in_the_message() -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        plain(X="half-a-real-key-0123456789").fernet_keys("X")
    assert "half-a-real-key" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "read", "expected"),
    [
        ("Yes", lambda e: e.flag("X", default=False), True),
        ("0", lambda e: e.flag("X", default=True), False),
        (" a, b,,", lambda e: e.words("X"), ["a", "b"]),
        ("https://cascade.test/", lambda e: e.origin("X", allow_plain_http=False), "https://cascade.test"),
        ("http://127.0.0.1:8000", lambda e: e.origin("X", allow_plain_http=False), "http://127.0.0.1:8000"),
        ("http://lan.test", lambda e: e.origin("X", allow_plain_http=True), "http://lan.test"),
        ("127.0.0.1:80,10.0.0.0/8:*", lambda e: e.networks("X"), ["127.0.0.1/32:80", "10.0.0.0/8:*"]),
        ("[fd00::/8]:443", lambda e: e.networks("X"), ["[fd00::/8]:443"]),
        ("", lambda e: e.ca_bundles("X"), {}),
        ("", lambda e: e.zone("X", "Europe/Moscow"), "Europe/Moscow"),
        (GOOD_SECRET, lambda e: e.secret("X"), GOOD_SECRET),
    ],
)
def test_good_values_are_read(value: str, read: Reader, expected: object) -> None:
    assert read(plain(X=value)) == expected


def test_rotated_keys_keep_their_order() -> None:
    new, old = (Fernet.generate_key().decode() for _ in range(2))
    assert plain(X=f"{new},{old}").fernet_keys("X") == [new, old]
    with pytest.raises(ImproperlyConfigured, match="twice"):
        plain(X=f"{new},{new}").fernet_keys("X")


def test_a_socket_address_is_read_by_django_as_by_psycopg() -> None:
    config = plain(X="postgresql://cascade@/cascade?host=/run/pg").postgres("X")
    assert config["NAME"] == "cascade"
    assert config["OPTIONS"] == {"host": "/run/pg"}


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{GOOD_SECRET}\n", encoding="utf-8")
    assert plain(X_FILE=str(path)).secret("X") == GOOD_SECRET


def test_a_secret_given_twice_or_from_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="both set"):
        plain(X="a", X_FILE="b").text("X")
    with pytest.raises(ImproperlyConfigured, match="X_FILE"):
        plain(X_FILE=str(tmp_path / "nothing")).text("X")


@pytest.mark.parametrize(
    "missing", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL", "PUBLIC_BASE_URL", "CHANNEL_SECRET_KEYS", "SUPPRESSION_KEY"]
)
def test_django_does_not_start_without(missing: str) -> None:
    complete = {
        "SECRET_KEY": GOOD_SECRET,
        "DATABASE_URL": "postgres://u:p@h/d",
        "REDIS_URL": "redis://h",
        "PUBLIC_BASE_URL": "https://cascade.test",
        "CHANNEL_SECRET_KEYS": Fernet.generate_key().decode(),
        "SUPPRESSION_KEY": GOOD_SECRET,
    }
    complete.pop(missing)
    done = subprocess.run(
        [sys.executable, "-c", "import cascade_project.settings"],
        env=complete,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert f"{missing} is not set" in done.stderr


def test_every_setting_is_explained_in_the_example_file() -> None:
    read = set(re.findall(r'env\.\w+\(\s*"(\w+)"', (ROOT / "cascade_project/settings.py").read_text(encoding="utf-8")))
    shown = set(
        re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )
    compose_only = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "HTTP_BIND"}
    assert read == shown - compose_only
