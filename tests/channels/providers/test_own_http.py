"""The gateway whose wire its owner describes: the battery, safe substitution, and what is told when it is saved."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cascade.vocabulary import Milestone
from channels.providers.base import Call, CallbackRejected, CallbackRequest, How, HttpCall
from channels.providers.wire import message_callback_url
from tests.channels.providers.contract import CALLBACK_SECRET, REF, ProviderContract, make_provider
from tests.channels.providers.keyed import keyed, spoilt
from tests.channels.providers.test_documented import said

KEY = "canary-own-gateway-key-0123456789"
BODY = {
    "to": "{digits}",
    "message": "{text}",
    "custom": {"number": "{ref}", "once": "{once}"},
    "hook": "{callback}",
    "life": "{ttl}",
    "options": [True, None, 7, "for {phone}"],
}


class TestOwnHttp(ProviderContract):
    slug = "own_http"
    config = {
        "url": "http://provider.invalid/api/send",
        "body": json.dumps(BODY),
        "key": KEY,
        "key_header": "X-Api-Key",
        "id_path": "messages.0.number",
        "result_path": "result",
        "answers": "ok = accepted\nno_such_number = person\nbad_text = text\nno_money = money\nbusy = later\n"
        "401 = account\n429 = slow",
        "status_path": "message.state",
        "status_id_path": "message.number",
        "status_list_path": "events",
        "statuses": "ENROUTE = sent\nDELIVRD = delivered\nSEEN = read\nUNDELIV = failed\nEXPIRED = expired\nABSENT = gone",
        "status_url": "http://provider.invalid/api/status/{id}",
        "check_url": "http://provider.invalid/api/me",
    }
    secrets = (KEY,)
    unknown_status = {"message": {"number": 1, "state": "TELEPORTED"}}

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        return keyed(request)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        return spoilt(request)

    def check_ttl(self, call: Call, asked: timedelta) -> None:
        assert isinstance(call, HttpCall)
        assert call.json["life"] == min(max(asked.total_seconds(), 60), 86_400)


contract = TestOwnHttp()


def test_values_go_into_the_parsed_document_and_cannot_change_it() -> None:
    provider = contract.provider()
    provider.callback_url = "https://example.org/hooks/1/s/"
    text = '"}, "admin": true, "x": "{ref} {key} \\ \n Ёж'
    (call,) = provider.build_send([contract.message(text=text, repeats="F" * 22, ttl=timedelta(minutes=5))])
    assert (call.method, call.url, call.headers) == ("POST", contract.config["url"], {"X-Api-Key": KEY})
    assert call.json == {
        "to": "79120000000",
        "message": text,
        "custom": {"number": REF, "once": "F" * 22},
        "hook": message_callback_url("https://example.org/hooks/1/s/", CALLBACK_SECRET, REF),
        "life": 300,
        "options": [True, None, 7, "for +79120000000"],
    }


def test_ids_are_quoted_into_the_address_of_the_question() -> None:
    (call,) = contract.provider().build_poll([contract.sent(provider_message_id="../send?x=1#")])
    assert call.url == "http://provider.invalid/api/status/..%2Fsend%3Fx%3D1%23"


def test_what_it_can_do_follows_from_the_settings() -> None:
    facts = contract.provider().capabilities
    assert facts.reports[Milestone.DELIVERED] is How.BOTH
    assert facts.callback_per_message
    assert not facts.idempotent_send
    assert not facts.lookup_by_ref
    assert contract.provider(status_url="").capabilities.reports[Milestone.DELIVERED] is How.CALLBACK
    assert contract.provider(knows_repeats=True).capabilities.idempotent_send
    assert contract.provider(status_url="http://provider.invalid/api/{ref}").capabilities.lookup_by_ref
    least = make_provider("own_http", {"url": "https://gateway.example/send"}, "")
    assert set(least.capabilities.reports) == {Milestone.ACCEPTED, Milestone.CLICKED}
    assert (least.capabilities.ttl, least.capabilities.poll_batch, least.problem()) == (None, 0, "")


def test_meanings_may_be_written_in_the_owner_s_language() -> None:
    english = contract.provider()
    russian = contract.provider(
        answers="ok = Принято\nno_such_number=человек\nbad_text = текст\nno_money = деньги\nbusy = позже\n"
        "401 = доступ\n429 = реже",
        statuses="ENROUTE = отправлено\nDELIVRD = доставлено\nSEEN = прочитано\nUNDELIV = не доставлено\n"
        "EXPIRED = просрочено\nABSENT = нет номера",
    )
    assert russian.problem() == ""
    assert russian.capabilities == english.capabilities
    for word in ("no_such_number", "bad_text", "no_money", "busy"):
        answer = said(json.dumps({"result": word}))
        (call,) = english.build_send([contract.message()])
        assert russian.read_send(call, answer) == english.read_send(call, answer)


def test_receipts_to_the_channel_s_own_address_may_carry_a_key_in_a_header() -> None:
    body = json.dumps({**BODY, "hook": ""})
    provider = contract.provider(body=body, callback_header="X-Gate", callback_key="canary-gate-key")
    good = replace(contract.callback(contract.unknown_status), headers={"x-gate": "canary-gate-key"})
    provider.verify_callback(good)
    for headers in ({}, {"x-gate": "canary-gate-keY"}, {"x-gate": ""}):
        with pytest.raises(CallbackRejected):
            provider.verify_callback(replace(good, headers=headers))
    contract.provider(body=body).verify_callback(replace(good, headers={}))  # the door has compared its address


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://gateway.example/send"},
        {"url": "gateway.example/send"},
        {"url": "https://user:pass@gateway.example/send"},
        {"url": "https://gateway.example:99999/send"},
        {"url": "https://gateway.example/send?to={phone}"},
        {"url": "https://gateway.example\\@evil.example/"},
        {"check_url": "file:///etc/passwd"},
        {"status_url": "http://{id}.example/status"},
        {"status_url": "http://provider.invalid/api/status"},
        {"status_url": "http://provider.invalid/api/{text}"},
        {"status_path": ""},
        {"body": "{to: {phone}}"},
        {"body": '"{text}{phone}"'},
        {"body": '{"to": "{phone}"}'},
        {"body": '{"text": "{text}"}'},
        {"body": '{"to": "{phone}", "text": "{text}", "name": "{client}"}'},
        {"body": '{"to": "{phone}", "text": "{text}", "k": "{key}"}', "key": ""},
        {"body": '{"to": "{phone}", "text": "{text}"}', "knows_repeats": True},
        {"key_header": "Мой ключ"},
        {"answers": "ok"},
        {"answers": "ok = delivered"},
        {"statuses": "DELIVRD = yes"},
        {"method": "GET"},
        {"ttl_min": 0},
        {"ttl_min": 90, "ttl_max": 60},
        {"max_text": 0},
        {"callback_header": "X-Gate"},
    ],
)
def test_settings_that_cannot_work_are_told_when_they_are_saved(changes: dict[str, Any]) -> None:
    assert contract.provider().problem() == ""
    assert contract.provider(**changes).problem()
