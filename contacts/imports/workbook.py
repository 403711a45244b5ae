"""The parent's side of reading a workbook: starts the child, believes nothing it says about itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from contacts.imports.errors import FileTroubleError, Trouble

_CHILD = Path(__file__).with_name("workbook_child.py")
#: Wall clock; the child's own limit counts processor seconds and a loaded machine gives few of them.
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet as the owner sees it in the list."""

    name: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Workbook:
    """What the child wrote: the sheets there are, the one it took, the number of its rows with a value."""

    sheets: tuple[Sheet, ...]
    sheet: str
    rows: int


def to_csv(source: Path, output: Path, sheet: str = "") -> Workbook:
    """Convert a sheet (default: the first visible one with a value) to the CSV of workbook_child.

    Raises FileTroubleError; then `output` may hold rubbish. Takes a tenth of a second, for 100,000 rows about two.
    """
    command = [sys.executable, "-I", str(_CHILD), str(source), str(output), *([sheet] if sheet else [])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise FileTroubleError(Trouble.WORKBOOK_TOO_HEAVY) from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if done.returncode != 0 or not isinstance(answer, dict):
        # The limits struck (memory, processor time) or the parser crashed: either way this file is not readable here.
        raise FileTroubleError(Trouble.WORKBOOK_TOO_HEAVY)
    if "trouble" in answer:
        raise FileTroubleError(Trouble(answer["trouble"]), **answer.get("params", {}))
    sheets = tuple(Sheet(one["name"], one["hidden"]) for one in answer["sheets"])
    return Workbook(sheets, answer["sheet"], answer["rows"])
