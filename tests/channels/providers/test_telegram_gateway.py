"""Telegram Gateway: the battery, both requests of a message, and the signature."""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels.providers.base import Answer, Call, CallbackRequest, HttpCall, OutgoingMessage
from tests.channels.providers.contract import REF, ProviderContract
from tests.channels.providers.test_documented import said

TOKEN = "canary-gateway-token-0123456789AAbb"
CODE = "482913"


class TestTelegramGateway(ProviderContract):
    slug = "telegram_gateway"
    config = {"token": TOKEN}
    secrets = (TOKEN,)
    first_answer = Answer(200, body=b'{"ok":true,"result":{"request_id":"req0","request_cost":0.01}}')
    unknown_status = {"request_id": "r", "delivery_status": {"status": "teleported"}}

    def message(self, ref: str = REF, **changes: Any) -> OutgoingMessage:
        return super().message(ref, **{"code": CODE, **changes})

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        signed = b"1795485600\n" + request.body
        signature = hmac.new(hashlib.sha256(TOKEN.encode()).digest(), signed, hashlib.sha256).hexdigest()
        headers = {**request.headers, "x-request-timestamp": "1795485600", "x-request-signature": signature}
        return replace(request, headers=headers)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        good = request.headers["x-request-signature"]
        wrong = (good[:-1] + ("0" if good[-1] != "0" else "1"), good.upper(), good[:-1], "", "é")
        changed = [{**request.headers, "x-request-signature": each} for each in wrong]
        changed += [{**request.headers, "x-request-timestamp": each} for each in ("1795485601", "")]
        return [
            *(replace(request, headers=headers) for headers in ({}, *changed)),
            replace(request, body=request.body + b" "),
        ]

    def check_ttl(self, call: Call, asked: timedelta) -> None:
        second = self.provider().build_follow_up(call, self.first_answer)
        assert isinstance(second, HttpCall)
        assert second.form is not None
        assert int(second.form["ttl"]) == min(max(asked.total_seconds(), 30), 3600)


contract = TestTelegramGateway()


def test_a_message_is_asked_about_first_and_sent_under_the_answered_request() -> None:
    provider = contract.provider(sender_username="@salon")
    provider.callback_url = "https://example.org/hooks/1/s/"
    (first,) = provider.build_send([contract.message(ttl=timedelta(seconds=45))])
    assert first.url.endswith("/checkSendAbility")
    assert first.form == {"access_token": TOKEN, "phone_number": "+79120000000"}
    second = provider.build_follow_up(first, contract.first_answer)
    assert second.url.endswith("/sendVerificationMessage")
    assert second.form == {
        "access_token": TOKEN,
        "request_id": "req0",
        "phone_number": "+79120000000",
        "code": CODE,
        "payload": REF,
        "ttl": "45",
        "sender_username": "salon",
        "callback_url": "https://example.org/hooks/1/s/",
    }
    assert CODE not in repr(first)
    assert CODE not in repr(contract.message(text=""))
    assert provider.build_follow_up(second, contract.first_answer) is None


@pytest.mark.parametrize("answer", [said('{"ok":false}'), said('{"ok":true,"result":{}}'), said("x"), said("{}", 500)])
def test_without_a_request_nothing_follows(answer: Answer) -> None:
    provider = contract.provider()
    (first,) = provider.build_send([contract.message()])
    assert provider.build_follow_up(first, answer) is None


def test_it_carries_codes_only() -> None:
    provider = contract.provider()
    assert provider.capabilities.codes_only
    with pytest.raises(ValueError, match="codes only"):
        provider.build_send([contract.message(code="")])
