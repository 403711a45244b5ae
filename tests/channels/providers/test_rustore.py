"""RuStore: the battery, and what only its wire has."""

import pytest

from channels.providers.base import Call
from tests.channels.providers.apps import PushContract

TOKEN = "canary-rustore-service-token-0123456789"


class TestRuStore(PushContract):
    slug = "rustore"
    config = {
        "project_id": "proj-42",
        "service_token": TOKEN,
        "title": "Салон",
        "app_receipts": True,
        "trust_200": False,
    }
    secrets = (TOKEN,)
    address = "bk3RNwTe3H0CI2k_HHwgIpoDKC"

    def life(self, call: Call) -> int:
        return int(call.json["message"]["android"]["ttl"].removesuffix("s"))


contract = TestRuStore()


def test_a_message_holds_only_what_rustore_knows() -> None:
    (call,) = contract.provider().build_send([contract.message()])
    assert call.url == "http://provider.invalid/api/v1/projects/proj-42/messages:send"
    assert call.headers == {"Authorization": f"Bearer {TOKEN}"}
    assert call.json["message"].keys() == {"token", "data", "android", "notification"}
    assert call.json["message"]["android"].keys() == {"ttl"}


def test_a_device_is_a_token() -> None:
    assert contract.provider().device_address({"token": "bk3RNwTe3H0CI2k_HHwgIpoDKC"}) == "bk3RNwTe3H0CI2k_HHwgIpoDKC"
    for nonsense in ({}, {"token": ""}, {"token": "a b c d e f g"}):
        with pytest.raises(ValueError, match=r"\w"):
            contract.provider().device_address(nonsense)
