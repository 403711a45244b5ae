"""SMS Aero: the battery, and what only SMS Aero has."""

from base64 import b64encode

import pytest

from cascade.vocabulary import Milestone
from channels.providers.base import CallbackRejected, CallbackRequest, How, HttpCall
from channels.providers.wire import message_callback_url
from tests.channels.providers.contract import CALLBACK_SECRET, REF, ProviderContract
from tests.channels.providers.keyed import keyed, spoilt

KEY = "canary-Aero-key-0123456789abcd"
LOGIN = b64encode(f"owner@example.org:{KEY}".encode()).decode()


class TestSmsAero(ProviderContract):
    slug = "sms_aero"
    config = {"email": "owner@example.org", "api_key": KEY}
    secrets = (KEY, LOGIN)
    unknown_status = {"id": 1, "status": 777}

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        return keyed(request)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        return spoilt(request)


contract = TestSmsAero()


def test_a_send_names_everything_the_wire_needs():
    provider = contract.provider(sign="SALON")
    provider.callback_url = "https://example.org/hooks/1/s/"
    (call,) = provider.build_send([contract.message()])
    assert isinstance(call, HttpCall)
    assert call.url == "http://provider.invalid/api/v2/sms/send"
    assert call.headers == {"Authorization": f"Basic {LOGIN}"}
    assert call.json == {
        "number": 79120000000,
        "text": "Ждём вас завтра в 12:00",
        "sign": "SALON",
        "callbackUrl": message_callback_url("https://example.org/hooks/1/s/", CALLBACK_SECRET, REF),
        "callbackFormat": "JSON",
    }


@pytest.mark.parametrize("callbacks", [True, False])
def test_no_address_is_named_without_one_or_against_the_owners_wish(callbacks):
    provider = contract.provider(callbacks=callbacks)
    provider.callback_url = "" if callbacks else "https://example.org/hooks/1/s/"
    (call,) = provider.build_send([contract.message()])
    assert "callbackUrl" not in call.json
    assert provider.capabilities.reports[Milestone.DELIVERED] is (How.BOTH if callbacks else How.POLL)
    assert provider.capabilities.callback_per_message is callbacks


def test_a_key_is_good_for_its_own_message_only():
    good = keyed(contract.callback(contract.unknown_status))
    other = CallbackRequest("POST", {**good.query, "ref": "B" * 22}, {}, good.body)
    contract.provider().verify_callback(good)
    with pytest.raises(CallbackRejected):
        contract.provider().verify_callback(other)


def test_no_message_lives_shorter_and_none_comes_back():
    provider = contract.provider()
    assert provider.capabilities.ttl is None
    assert provider.build_recall(contract.sent()) is None
