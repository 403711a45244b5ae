"""Files that nothing runs here must still agree with what runs."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from cascade_project import roles

ROOT = Path(__file__).parents[2]


def locked(name: str) -> set[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==\S+", text, re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[=;<> ]", line)[0].lower() for line in requirements}


def test_the_locks_hold_everything_the_project_asks_for() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = names(project["project"]["dependencies"])
    assert runtime <= locked("requirements.txt")
    assert runtime | names(project["dependency-groups"]["dev"]) <= locked("requirements-dev.txt")


def test_tests_run_on_the_versions_production_gets() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_every_locked_file_has_a_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "scripts/installer.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for block in re.split(r"\n(?=[a-z0-9])", text):
            if re.match(r"[a-z0-9-]+==", block):
                assert "--hash=sha256:" in block


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = loaded["services"]
    return found


@pytest.mark.parametrize(
    ("service", "role", "command"),
    [
        ("web", "web", roles.web("0.0.0.0", 8000)),
        ("worker-send", "worker", roles.worker(roles.SEND_QUEUES, 2, "send")),
        ("worker-default", "worker", roles.worker(roles.DEFAULT_QUEUES, 2, "default")),
        ("worker-import", "worker", roles.worker(roles.IMPORT_QUEUES, 1, "import")),
        ("beat", "beat", roles.beat()),
        ("listener", "listener", roles.listener()),
    ],
)
def test_compose_runs_the_commands_the_tests_run(
    services: dict[str, Any], service: str, role: str, command: list[str]
) -> None:
    assert services[service]["command"][1:] == command[1:]
    assert services[service]["environment"]["PROCESS_ROLE"] == role


def test_every_queue_has_a_worker_in_production(services: dict[str, Any]) -> None:
    from django.conf import settings

    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()} | {settings.CELERY_TASK_DEFAULT_QUEUE}
    commands = [" ".join(map(str, one.get("command", []))) for one in services.values()]
    assert all(any(f"--queues={queue} " in command for command in commands) for queue in routed)


def test_the_images_own_command_is_the_web() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert found
    assert yaml.safe_load(found[1])[1:] == roles.web("0.0.0.0", 8000)[1:]


@pytest.mark.parametrize("script", ["bootstrap", "check", "demo", "lock", "manage", "test"])
def test_scripts_are_valid_shell_and_strict(script: str) -> None:
    path = ROOT / "scripts" / script
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_a_fresh_environment_is_left_alone_quickly() -> None:
    """The second `scripts/bootstrap` must not cost a person two seconds each time."""
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "bootstrap"), "dev"], timeout=5, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "installing" not in done.stderr
