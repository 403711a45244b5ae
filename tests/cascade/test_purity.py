"""The heart stays pure: standard library only, no clock, no dice of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cascade

MODULES = sorted(Path(cascade.__file__).parent.glob("*.py"))
#: Modules that would bring I/O, a clock or chance into a decision.
IMPURE = {"asyncio", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "subprocess", "threading", "time"}
#: simulate draws from a seeded generator it is given the seed of; diagram writes its page when run as a program.
ALLOWED = {"simulate": {"random"}, "diagram": {"pathlib"}}


def imports(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_only_the_standard_library_and_nothing_impure(module):
    tops = {name.split(".")[0] for name in imports(module)}
    assert tops <= sys.stdlib_module_names | {"cascade"}
    assert not (tops & IMPURE) - ALLOWED.get(module.stem, set())


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_nobody_looks_at_the_clock(module):
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "today"}, f"{module.name}:{node.lineno}"


def test_it_can_be_imported_with_nothing_installed():
    code = "import cascade.machine, cascade.simulate, cascade.explain, sys; print('django' in sys.modules)"
    root = Path(cascade.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "."},
    )
    assert done.stdout.strip() == "False"
