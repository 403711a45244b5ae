"""The pages about channels say what the code says: capability rows, unverified facts, and a recipe that works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from channels import table
from channels.providers.registry import provider_class, slugs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("slug", slugs())
def test_every_provider_has_a_page_that_agrees_with_its_capabilities(slug: str) -> None:
    page = (DOCS / "channels" / f"{slug}.md").read_text(encoding="utf-8")
    assert f"{table.HEADER}\n|---|---|---|---|---|---|---|\n{table.facts(provider_class(slug).capabilities)}\n" in page
    for heading in ("## Для владельца", "## Unverified", "## What an answer means"):
        assert heading in page
    config = provider_class(slug).Config
    for name in config.__dataclass_fields__:
        assert f"`{name}`" in page, f"the page does not say where to find {name}"


def test_the_table_of_all_providers_is_the_code_s() -> None:
    page = (DOCS / "channels.md").read_text(encoding="utf-8")
    assert table.refresh(page) == page, "run: python -m channels.table docs/channels.md"


def blocks() -> dict[str, tuple[str, str]]:
    """docs/adding-a-provider.md's files: path -> (kind of block, text). `patch` blocks name a line to follow."""
    text = (DOCS / "adding-a-provider.md").read_text(encoding="utf-8")
    found = re.findall(r"<!-- (file|after): (\S+?)(?: \| (.+?))? -->\n```\w+\n(.*?)```", text, re.DOTALL)
    return {path: (f"{kind}|{line}", body) for kind, path, line, body in found}


def test_the_recipe_for_a_new_provider_works_when_followed(tmp_path: Path) -> None:
    """A scratch copy of the project, the files and lines of the page put where it says, the new battery run there."""
    copy = tmp_path / "copy"
    keep = shutil.ignore_patterns(".venv", ".git", "__pycache__", "node_modules", "var", "locale", "static*")
    shutil.copytree(ROOT, copy, ignore=keep)
    changed = blocks()
    assert len(changed) >= 6, "adapter, registry, emulator, its list, tests, fixtures, page"
    for path, (how, body) in changed.items():
        place = copy / path
        kind, _, line = how.partition("|")
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            assert not place.exists(), f"{path} is there already"
            place.write_text(body, encoding="utf-8")
        else:
            before = place.read_text(encoding="utf-8")
            assert before.count(line) == 1, f"{path} has no single line {line!r}"
            place.write_text(before.replace(line, f"{line}\n{body.rstrip()}"), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "channels.table", "docs/channels.md"], cwd=copy, check=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    # The fuzzers take their seconds in the real battery; the recipe is judged by everything else.
    tests = ["tests/channels/providers/test_toy_sms.py", "tests/channels/test_docs.py", "-k", "not fuzz and not recipe"]
    done = subprocess.run(
        [*command, *tests], cwd=copy, env=clean, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d{2,} passed", done.stdout)
    style = [sys.executable, "-m", "ruff", "check", "channels", "emulator", "tests/channels/providers"]
    assert subprocess.run(style, cwd=copy, capture_output=True, check=False).returncode == 0
