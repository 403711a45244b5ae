"""SMS.RU: the battery, and what only SMS.RU has."""

import hashlib
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.vocabulary import ChargedOn
from channels.providers.base import CallbackRejected, CallbackRequest, HttpCall
from tests.channels.providers.contract import PROVIDER_ID, REF, ProviderContract

API_ID = "8C6A7F3E-canary-0000-1111-222233334444"


def form_callback(entries: dict[str, str], api_id: str = API_ID) -> CallbackRequest:
    """A callback as SMS.RU signs it: the entries in the order of their keys."""
    keys = sorted(entries, key=lambda name: int(name[5:-1] or 0))
    text = api_id + "".join(entries[name] for name in keys)
    fields = {**entries, "hash": hashlib.sha256(text.encode()).hexdigest()}
    return CallbackRequest("POST", {}, {}, urlencode(fields).encode())


class TestSmsRu(ProviderContract):
    slug = "sms_ru"
    config = {"api_id": API_ID}
    secrets = (API_ID,)
    unknown_status = {"data[0]": f"sms_status\n{PROVIDER_ID}\n777\n1795485600"}

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        try:
            entries = json.loads(request.body)
        except ValueError:
            entries = dict(parse_qsl(request.body.decode()))
        return form_callback({name: str(value) for name, value in entries.items() if name.startswith("data[")})

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        fields = dict(parse_qsl(request.body.decode()))
        digest = fields["hash"]
        wrong = ("0" if digest[0] != "0" else "1") + digest[1:]
        changed = {**fields, "data[0]": fields["data[0]"].replace("777", "103")}
        longer = {**fields, "data[1]": "sms_status\nx\n103\n1"}
        forms: list[dict[str, str]] = [{**fields, "hash": each} for each in (wrong, "", digest[:-1], digest + "0")]
        forms += [changed, longer, {"data[0]": fields["data[0]"]}, {"hash": digest}, {}]
        return [CallbackRequest("POST", {}, {}, urlencode(form).encode()) for form in forms]

    def check_ttl(self, call: Any, asked: timedelta) -> None:
        given = timedelta(minutes=int(call.form["ttl"]))
        assert timedelta(minutes=1) <= given <= timedelta(days=1)
        assert given <= max(asked, timedelta(minutes=1))
        assert asked - given < timedelta(minutes=1) or given == timedelta(days=1)


contract = TestSmsRu()


def test_a_send_names_everything_the_wire_needs():
    (call,) = contract.provider(sender="SALON").build_send([contract.message(ttl=timedelta(minutes=15, seconds=59))])
    assert isinstance(call, HttpCall)
    assert call.url == "http://provider.invalid/api/sms/send"
    assert call.form == {
        "api_id": API_ID,
        "json": "1",
        "to": "79120000000",
        "msg": "Ждём вас завтра в 12:00",
        "from": "SALON",
        "ttl": "15",
    }


def test_without_a_limited_life_undelivered_messages_are_refunded_and_doubles_are_possible():
    provider = contract.provider(limit_life=False)
    (call,) = provider.build_send([contract.message(ttl=timedelta(minutes=15))])
    assert "ttl" not in call.form
    assert provider.capabilities.ttl is None
    assert provider.capabilities.charged_on is ChargedOn.DELIVERED
    assert contract.provider().capabilities.charged_on is ChargedOn.ACCEPTED


def test_a_hundred_statuses_are_one_question_and_each_answer_finds_its_message():
    sent = [contract.sent(f"{REF[:-4]}{n:04d}", provider_message_id=f"000000-{n}") for n in range(101)]
    first, second = contract.provider().build_poll(sent)
    assert first.form["sms_id"].count(",") == 99
    assert second.form["sms_id"] == "000000-100"


@pytest.mark.parametrize("boundary", ["----7d", "x"])
def test_a_multipart_callback_says_the_same(boundary):
    plain = form_callback({"data[0]": f"sms_status\n{PROVIDER_ID}\n103\n1795485600", "data[1]": "test\n1795485600"})
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parse_qsl(plain.body.decode())
    )
    request = CallbackRequest("POST", {}, {}, f"{body}--{boundary}--\r\n".encode())
    provider = contract.provider()
    provider.verify_callback(request)
    assert provider.read_callback(request) == provider.read_callback(plain)


def test_it_hears_a_hundred_or_repeats():
    provider = contract.provider()
    assert provider.callback_reply(form_callback({"data[0]": "test\n1"})) == (200, "100")


def test_another_accounts_callback_is_not_ours():
    with pytest.raises(CallbackRejected):
        contract.provider().verify_callback(form_callback({"data[0]": "test\n1"}, api_id="another-account"))


_lines = st.lists(st.sampled_from(["sms_status", "test", "103", "104", "-1", "", "\0", "x" * 300, API_ID]) | st.text())


@settings(max_examples=500, deadline=None, database=None)
@given(entries=st.dictionaries(st.sampled_from(["data[0]", "data[1]", "data[]", "data[x]"]), _lines, min_size=1))
def test_fuzz_entries(entries):
    """Only the contract's results leave it, whatever stands in a callback's lines."""
    request = CallbackRequest(
        "POST", {}, {}, urlencode({k: "\n".join(v) for k, v in entries.items()}, errors="replace").encode()
    )
    provider = contract.provider()
    contract.check_items(provider, provider.read_callback(request))
