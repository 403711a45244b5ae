"""R16: every decision can be said in words."""

from __future__ import annotations

import json
import re

import pytest

from cascade.explain import OUTCOME_TEXT, REASON_TEXT, explain
from tests.cascade.build import (
    HOUR,
    TEN,
    Finish,
    K,
    M,
    Outcome,
    R,
    Send,
    Skip,
    Wait,
    by_time,
    chain,
    expect,
    step,
)

PLAN = chain(
    step(K.EMAIL, expect(M.READ, 24 * HOUR), expect(M.CLICKED, 4 * HOUR, M.READ)), by_time(K.TELEGRAM, 2 * HOUR)
)


def test_R16_every_reason_and_outcome_has_words():
    assert set(REASON_TEXT) == set(R)
    assert set(OUTCOME_TEXT) == set(Outcome)
    assert all(text.endswith(".") for text in [*REASON_TEXT.values(), *OUTCOME_TEXT.values()])


@pytest.mark.parametrize("reason", list(R))
def test_R16_a_sentence_needs_only_parameters_its_decision_gives(reason):
    """A finish may know no step; so a reason that can finish a delivery must not speak of one."""
    finishing = list(R).index(reason) >= list(R).index(R.MILESTONE_MET)
    used = set(re.findall(r"%\((\w+)\)s", REASON_TEXT[reason]))
    if finishing:
        assert not used
        explain(PLAN, Finish(Outcome.STOPPED, reason)).in_english()
    else:
        assert used <= {"step", "steps", "kind", "channel_id", "until", "within"}
    for action in (Skip(1, reason), Send(1, reason)):
        if "until" not in used:
            assert "%" not in explain(PLAN, action).in_english()
    assert "%" not in explain(PLAN, Wait(TEN, reason, 1)).in_english()


def test_R16_parameters_are_plain_json():
    for action in (
        Send(0, R.FIRST_STEP),
        Wait(TEN, R.QUIET_HOURS, 0),
        Skip(0, R.NOT_CLICKED_IN_TIME),
        Finish(Outcome.REACHED, R.MILESTONE_MET, 0, M.READ),
        Finish(Outcome.SUPPRESSED, R.NO_CONSENT),
    ):
        parameters = explain(PLAN, action).parameters
        assert json.loads(json.dumps(parameters)) == parameters


def test_R16_what_is_said():
    assert explain(PLAN, Send(0, R.FIRST_STEP)).in_english() == "Step 1 goes out (email)."
    left = explain(PLAN, Skip(0, R.NOT_CLICKED_IN_TIME))
    assert left.parameters["within"] == 4 * 3600
    assert left.in_english() == "Step 1 left: the link was not followed in the time it had."
    assert explain(PLAN, Skip(0, R.BLOCKED)).parameters["within"] == 24 * 3600
    assert explain(PLAN, Skip(1, R.TIME_PASSED)).parameters["within"] == 2 * 3600
    end = explain(PLAN, Finish(Outcome.REACHED, R.LATE_RECEIPT, 0, M.CLICKED))
    assert end.in_english() == "Reached. An earlier step turned out to have worked."
    assert end.parameters == {"steps": 2, "step": 1, "kind": "email", "channel_id": 8, "milestone": "clicked"}
    wait = explain(PLAN, Wait(TEN, R.QUIET_HOURS, 1))
    assert wait.in_english() == "Step 2 waits for the recipient's morning: 2026-06-01T10:00:00+00:00."
