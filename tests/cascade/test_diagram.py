"""The page shows the table the machine runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascade import diagram
from cascade.machine import TRANSITIONS
from cascade.state import Phase

PAGE = Path(__file__).parents[2] / "docs" / "state-machine.md"


def test_the_page_is_up_to_date():
    page = PAGE.read_text(encoding="utf-8")
    assert diagram.refresh(page) == page, "run: python -m cascade.diagram docs/state-machine.md"


def test_every_change_of_phase_is_an_arrow():
    text = diagram.mermaid()
    for phase in Phase:
        for target in Phase:
            arrow = f"    {phase.name} --> {target.name}: "
            facts = [str(fact) for fact, to in TRANSITIONS[phase].items() if to == target]
            assert (arrow + ", ".join(facts) in text) == (bool(facts) and target != phase)


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="markers"):
        diagram.refresh("# nothing here")


def test_as_a_program(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{diagram.BEGIN}\nold\n{diagram.END}\nafter\n", encoding="utf-8")
    assert diagram.main([str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert diagram.main([]) == 0
    assert capsys.readouterr().out.strip() == diagram.render()
