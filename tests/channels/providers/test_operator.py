"""The operator: the battery, although no wire is there, and what each button means."""

import json

import pytest

from cascade.vocabulary import FailureClass, Milestone, Reason
from channels.providers.base import CallbackRequest, DeskCall, Inbound, Refusal, StatusReport
from channels.providers.operator import Said
from tests.channels.providers.contract import REF, ProviderContract, make_provider


class TestOperator(ProviderContract):
    slug = "operator"
    config = {}
    secrets = ("nothing-here-is-secret",)
    has_callbacks = False


contract = TestOperator()


def reported(said: str, **changes):
    told = {"ref": REF, "said": said, "words": "Анна: ждёт", "address": "+79120000000", "at": 1795485600, **changes}
    return contract.provider().read_callback(CallbackRequest("POST", {}, {}, json.dumps(told).encode()))


def test_a_message_is_a_task_and_nothing_leaves():
    assert contract.provider().build_send([contract.message()]) == [DeskCall((REF,))]


@pytest.mark.parametrize(
    ("said", "milestone", "reason"),
    [
        (Said.CONFIRMED, Milestone.GOAL, None),
        (Said.NOT_INTERESTED, Milestone.DELIVERED, None),
        (Said.REFUSED, Milestone.DELIVERED, None),
        (Said.NO_ANSWER, None, Reason.NO_ANSWER),
        (Said.WRONG_NUMBER, None, Reason.NOT_REGISTERED),
    ],
)
def test_every_button_means_something(said, milestone, reason):
    report, *others = reported(said.value)
    assert isinstance(report, StatusReport)
    assert (report.ref, report.milestone, report.reason) == (REF, milestone, reason)
    assert report.failure is (FailureClass.RECIPIENT_PERMANENT if reason else None)
    spoken = [item for item in others if isinstance(item, Inbound)]
    assert [item.refuses for item in spoken] == {
        Said.NOT_INTERESTED: [Refusal.NOTHING],
        Said.REFUSED: [Refusal.ALL],
    }.get(said, [])


@pytest.mark.parametrize("changes", [{"ref": "short"}, {"ref": None}, {"said": "maybe"}, {"said": None}])
def test_what_is_no_report_is_unreadable(changes):
    with pytest.raises(ValueError, match="not a report"):
        reported(**{"said": "confirmed", **changes})


def test_a_task_is_due_when_the_owner_says():
    assert contract.provider(due_minutes=15).capabilities.due.total_seconds() == 900
    assert make_provider("operator", {"due_minutes": 0}).problem()
    assert make_provider("operator", {"due_minutes": 50_000}).problem()
    assert contract.provider().problem() == ""
