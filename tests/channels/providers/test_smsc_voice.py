"""SMSC's robot calls: the battery, and what a call adds to the wire."""

import pytest

from cascade.vocabulary import ChannelKind, FailureClass, Milestone, Reason
from channels.providers.base import Answer, CallbackRequest, StatusReport
from channels.providers.registry import provider_class
from tests.channels.providers.contract import REF, ProviderContract, make_provider
from tests.channels.providers.test_smsc import TestSmsc as SmscContract


class TestSmscVoice(ProviderContract):
    slug = "smsc_voice"
    config = {"apikey": "canary-api-key-0123456789"}
    secrets = ("canary-api-key-0123456789",)
    unknown_status = SmscContract.unknown_status
    sign = SmscContract.sign
    spoil = SmscContract.spoil
    check_ttl = SmscContract.check_ttl


contract = TestSmscVoice()


def test_a_call_is_tried_once_and_never_again_by_the_provider():
    """SMSC's default is five tries: the robot would ring after the fallback has gone out."""
    (call,) = contract.provider(voice="w2", ring_seconds=20).build_send([contract.message()])
    assert call.form == {
        "apikey": "canary-api-key-0123456789",
        "fmt": "3",
        "charset": "utf-8",
        "cost": "3",
        "phones": "+79120000000",
        "call": "1",
        "mes": "Ждём вас завтра в 12:00",
        "param": "20,10,1",
        "voice": "w2",
        "id": REF,
    }
    (call,) = contract.provider().build_send([contract.message()])
    assert call.form["param"] == "25,10,1"
    assert "voice" not in call.form


def test_a_person_s_name_is_said_and_not_obeyed():
    provider = contract.provider(menu="{menu: 1: Спасибо}")
    (call,) = provider.build_send([contract.message(text="Здравствуйте, {menu: 1: взлом}!")])
    assert call.form["mes"] == "Здравствуйте, (menu: 1: взлом)! {menu: 1: Спасибо}"


def test_a_target_action_is_promised_only_where_keys_are_seen():
    assert Milestone.GOAL not in contract.provider().capabilities.reports
    assert Milestone.GOAL in contract.provider(key_field="dtmf").capabilities.reports
    assert provider_class("smsc_voice").kind is ChannelKind.VOICE


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"ring_seconds": 9}, "10 to 35"),
        ({"ring_seconds": 36}, "10 to 35"),
        ({"refuse_key": "1"}, "differ"),
        ({"apikey": ""}, "API key"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_saved(config, word):
    assert word in make_provider("smsc_voice", {**contract.config, **config}).problem()
    assert contract.provider().problem() == ""


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (-2, FailureClass.MESSAGE_PERMANENT),
        (-1, Milestone.ACCEPTED),
        (0, Milestone.SENT),
        (1, Milestone.DELIVERED),
        (3, Reason.NO_ANSWER),
        (20, Reason.NO_ANSWER),
        (22, Reason.NOT_REGISTERED),
        (23, FailureClass.MESSAGE_PERMANENT),
        (24, FailureClass.BALANCE),
        (25, Reason.NO_ANSWER),
    ],
)
def test_every_documented_status_by_callback_and_by_poll(status, means):
    provider = contract.provider()
    request = CallbackRequest("POST", {}, {}, f"id={REF}&phone=79120000000&status={status}".encode())
    told = next(item for item in provider.read_callback(request) if isinstance(item, StatusReport))
    (call,) = provider.build_poll([contract.sent()])
    (asked,) = provider.read_poll(call, Answer(status=200, body=f'[{{"status":{status}}}]'.encode()))
    for report in (told, asked):
        assert means in (report.milestone, report.failure, report.reason)
