"""Flash calls: the battery for both gateways, and whose digits they are."""

from base64 import b64encode
from typing import Any

import pytest

from channels.providers.base import HttpCall, OutgoingMessage
from tests.channels.providers.contract import REF, ProviderContract

CODE = "4821"
RU_KEY = "CANARY-0000-1111-2222-ABCDEF"
AERO_KEY = "canary-Aero-calls-0123456789ab"
LOGIN = b64encode(f"owner@example.org:{AERO_KEY}".encode()).decode()


class FlashCalls(ProviderContract):
    has_callbacks = False

    def message(self, ref: str = REF, **changes: Any) -> OutgoingMessage:
        return super().message(ref, **{"code": CODE, **changes})

    @pytest.mark.parametrize("code", ["", "12"])
    def test_only_codes_are_carried(self, code: str) -> None:
        provider = self.provider()
        assert provider.capabilities.codes_only
        if code and self.slug == "sms_ru_call":
            return  # its digits are its own
        with pytest.raises(ValueError, match="codes"):
            provider.build_send([self.message(code=code)])


class TestSmsRuCall(FlashCalls):
    slug = "sms_ru_call"
    config = {"api_id": RU_KEY}
    secrets = (RU_KEY,)

    def test_our_digits_stay_at_home(self) -> None:
        (call,) = self.provider().build_send([self.message()])
        assert isinstance(call, HttpCall)
        assert call.url.endswith("/code/call")
        assert call.form == {"api_id": RU_KEY, "json": "1", "phone": "79120000000"}


class TestSmsAeroCall(FlashCalls):
    slug = "sms_aero_call"
    config = {"email": "owner@example.org", "api_key": AERO_KEY}
    secrets = (AERO_KEY, LOGIN)

    def test_our_digits_are_the_caller_s(self) -> None:
        (call,) = self.provider().build_send([self.message()])
        assert isinstance(call, HttpCall)
        assert call.url.endswith("/v2/flashcall/send")
        assert call.json == {"phone": 79120000000, "code": 4821}
