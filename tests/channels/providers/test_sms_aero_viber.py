"""Viber through SMS Aero: the battery, and what is never asked for."""

from base64 import b64encode

from cascade.vocabulary import Milestone
from channels.providers.base import HttpCall
from tests.channels.providers.contract import ProviderContract

KEY = "canary-Aero-viber-0123456789abcd"
LOGIN = b64encode(f"owner@example.org:{KEY}".encode()).decode()


class TestSmsAeroViber(ProviderContract):
    slug = "sms_aero_viber"
    config = {"email": "owner@example.org", "api_key": KEY, "sign": "SALON"}
    secrets = (KEY, LOGIN)
    has_callbacks = False


contract = TestSmsAeroViber()


def test_one_message_goes_to_one_number_without_the_gateway_s_own_fallback():
    (call,) = contract.provider().build_send([contract.message()])
    assert isinstance(call, HttpCall)
    assert call.url == "http://provider.invalid/api/v2/viber/send"
    assert call.headers == {"Authorization": f"Basic {LOGIN}"}
    assert call.json == {
        "number": 79120000000,
        "sign": "SALON",
        "channel": "OFFICIAL",
        "text": "Ждём вас завтра в 12:00",
    }


def test_delivered_is_promised_only_where_the_owner_has_named_it():
    assert Milestone.DELIVERED not in contract.provider().capabilities.reports
    assert Milestone.DELIVERED in contract.provider(delivered_words="word").capabilities.reports
