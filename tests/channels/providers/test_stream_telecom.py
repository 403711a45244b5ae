"""Stream Telecom: the battery, and what only Stream Telecom has."""

from datetime import timedelta
from typing import Any

import pytest

from cascade.vocabulary import Milestone
from channels.providers.base import CallbackRequest, How, HttpCall
from channels.providers.wire import message_callback_url
from tests.channels.providers.contract import CALLBACK_SECRET, REF, ProviderContract
from tests.channels.providers.keyed import keyed, spoilt

PASSWORD = "canary-stream-password"


class TestStreamTelecom(ProviderContract):
    slug = "stream_telecom"
    config = {"login": "79110000000", "password": PASSWORD, "sender": "SALON", "callbacks": True, "ask_balance": True}
    secrets = (PASSWORD,)
    unknown_status = {"State": 777}

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        return keyed(request)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        return spoilt(request)

    def check_ttl(self, call: Any, asked: timedelta) -> None:
        given = timedelta(minutes=int(call.form["validity"]))
        assert timedelta(minutes=1) <= given <= timedelta(days=1)
        assert given <= max(asked, timedelta(minutes=1))
        assert asked - given < timedelta(minutes=1) or given == timedelta(days=1)


contract = TestStreamTelecom()


def test_a_send_names_everything_the_wire_needs():
    provider = contract.provider()
    provider.callback_url = "https://example.org/hooks/1/s/"
    (call,) = provider.build_send([contract.message(ttl=timedelta(minutes=15))])
    assert isinstance(call, HttpCall)
    assert call.url == "http://provider.invalid/api/rest/Send/SendSms/"
    assert call.form == {
        "login": "79110000000",
        "pass": PASSWORD,
        "sourceAddress": "SALON",
        "destinationAddress": "79120000000",
        "data": "Ждём вас завтра в 12:00",
        "validity": "15",
        "callback_url": message_callback_url("https://example.org/hooks/1/s/", CALLBACK_SECRET, REF),
    }


@pytest.mark.parametrize("on", [True, False])
def test_what_nobody_documented_is_the_owners_choice(on):
    provider = contract.provider(callbacks=on, ask_balance=on)
    provider.callback_url = "https://example.org/hooks/1/s/"
    (call,) = provider.build_send([contract.message()])
    assert ("callback_url" in call.form) is on
    assert provider.capabilities.reports[Milestone.DELIVERED] is (How.BOTH if on else How.POLL)
    assert provider.capabilities.callback_per_message is on
    assert (provider.build_balance() is not None) is provider.capabilities.balance is on


def test_the_connection_is_checked_by_asking_for_a_session():
    (call,) = contract.provider().build_self_test()
    assert call.url == "http://provider.invalid/api/rest/Session/session.php"
    assert call.form == {"login": "79110000000", "password": PASSWORD}
