"""WhatsApp Cloud API: the battery, every documented code, and approved texts."""

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest

from cascade.vocabulary import FailureClass as Fail
from channels.providers.base import ApprovedTemplate, CallbackRequest, TemplatePage, TemplateRef, TemplateState
from tests.channels.providers.contract import CALLBACK_SECRET, ProviderContract
from tests.channels.providers.test_documented import refusal, said

APP_SECRET = "canary-app-secret-0123456789"


class TestWhatsAppCloud(ProviderContract):
    slug = "whatsapp_cloud"
    config = {
        "phone_number_id": "106540352242922",
        "business_account_id": "102290129340398",
        "token": "canary-token-EAAG0123456789",
        "app_secret": APP_SECRET,
    }
    secrets = ("canary-token-EAAG0123456789", APP_SECRET)
    unknown_status = {
        "entry": [
            {"changes": [{"field": "messages", "value": {"statuses": [{"id": "wamid.1", "status": "teleported"}]}}]}
        ]
    }

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        good = hmac.new(APP_SECRET.encode(), request.body, hashlib.sha256).hexdigest()
        headers = {**request.headers, "x-hub-signature-256": f"sha256={good}"}
        return CallbackRequest(request.method, request.query, headers, request.body)

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        good = request.headers["x-hub-signature-256"]
        wrong = (good[:-1] + ("0" if good[-1] != "0" else "1"), good.upper(), good.removeprefix("sha256="), "", "é")
        headers = [{}, *({"x-hub-signature-256": each} for each in wrong)]
        spoiled = [CallbackRequest("POST", {}, each, request.body) for each in headers]
        return [*spoiled, CallbackRequest("POST", {}, request.headers, request.body + b" ")]


contract = TestWhatsAppCloud()

CODES: list[tuple[int | tuple[int, ...], Fail]] = [
    ((131026, 131021, 131049, 131050, 130472, 131062, 137000), Fail.RECIPIENT_PERMANENT),
    ((131047, 131051, 131008, 131009, 131052, 131053, 131063), Fail.MESSAGE_PERMANENT),
    ((132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068, 132069), Fail.MESSAGE_PERMANENT),
    ((130429, 131056, 131048, 131064, 4, 80007, 613), Fail.RATE_LIMITED),
    ((0, 3, 10, 190, 200, 299, 131005, 131030, 368, 131031, 130497, 131045, 131037), Fail.AUTH),
    ((131042, 131044), Fail.BALANCE),
    ((2, 131016, 131057), Fail.TRANSIENT),
    ((1, 131000, 135000), Fail.OUTCOME_UNKNOWN),
    ((131014, 133016, 2494100, 424242), Fail.OUTCOME_UNKNOWN),
]


@pytest.mark.parametrize(("code", "means"), [(code, means) for codes, means in CODES for code in codes])
def test_errors_by_their_code_whatever_stands_beside_it(code: int, means: Fail) -> None:
    for status in (400, 403, 500) if means is not Fail.OUTCOME_UNKNOWN else (400, 500):
        assert refusal(contract, said(f'{{"error":{{"code":{code},"message":"x"}}}}', status)) is means


def test_the_address_is_tried_and_answered_with_the_challenge() -> None:
    provider = contract.provider()
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": CALLBACK_SECRET}
    asked = CallbackRequest("GET", query, {}, b"")
    provider.verify_callback(asked)
    assert provider.callback_reply(asked) == (200, "1158201444")
    assert provider.callback_reply(CallbackRequest("GET", {**query, "hub.challenge": "<b>"}, {}, b"")) == (200, "ok")
    assert provider.callback_reply(contract.callback({})) == (200, "ok")
    call = provider.build_callback_setup("https://x.example/hooks/1")
    told = call.json["webhook_configuration"]
    assert told == {"override_callback_uri": "https://x.example/hooks/1", "verify_token": CALLBACK_SECRET}


# ---------------------------------------------------------------- sending


def body_of(**changes: Any) -> dict[str, Any]:
    (call,) = contract.provider().build_send([contract.message(**changes)])
    return call.json


def test_free_text_to_a_phone_and_to_a_person_without_one() -> None:
    body = body_of()
    assert (body["to"], body["type"], body["text"]) == ("79120000000", "text", {"body": "Ждём вас завтра в 12:00"})
    assert body["biz_opaque_callback_data"] == contract.message().ref
    body = body_of(address="RU.134912")
    assert body["recipient"] == "RU.134912"
    assert "to" not in body


def test_an_approved_text_goes_by_its_name_with_clean_values() -> None:
    body = body_of(template=TemplateRef("visit", "ru", ("Анна\n", "в  12:00")))
    assert body["type"] == "template"
    assert body["template"] == {
        "name": "visit",
        "language": {"code": "ru"},
        "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "Анна"}, {"type": "text", "text": "в 12:00"}]}
        ],
    }
    assert body_of(template=TemplateRef("hello", "ru"))["template"] == {"name": "hello", "language": {"code": "ru"}}


def test_A27_a_code_goes_onto_the_button_as_well() -> None:
    body = body_of(template=TemplateRef("code", "ru", ("4711",), code_button=True))
    assert body["template"]["components"][1] == {
        "type": "button",
        "sub_type": "url",
        "index": 0,
        "parameters": [{"type": "text", "text": "4711"}],
    }


def test_advertising_takes_the_other_path_where_the_owner_says_so() -> None:
    message = contract.message(template=TemplateRef("sale", "ru", category="marketing"))
    for switched, path in ((False, "messages"), (True, "marketing_messages")):
        (call,) = contract.provider(marketing_messages=switched).build_send([message])
        assert call.url.endswith(f"/v23.0/106540352242922/{path}")


def test_a_version_that_is_none_is_refused_on_the_form() -> None:
    assert contract.provider(api_version="23").problem()
    assert not contract.provider().problem()


# ---------------------------------------------------------------- approved texts


def template(**row: Any) -> ApprovedTemplate:
    provider = contract.provider(**row.pop("config", {}))
    found = {"name": "visit", "language": "ru", "status": "APPROVED", "category": "UTILITY", **row}
    found.setdefault("components", [{"type": "BODY", "text": "Здравствуйте, {{1}}!"}])
    call = provider.build_templates()
    assert call is not None
    page = provider.read_templates(call, said(json.dumps({"data": [found]})))
    assert isinstance(page, TemplatePage)
    (one,) = page.templates
    return one


def test_pages_are_turned_by_their_cursor() -> None:
    provider = contract.provider()
    call = provider.build_templates("QVFI")
    assert call is not None
    assert call.query["after"] == "QVFI"
    more = said('{"data":[],"paging":{"cursors":{"after":"QVFJ"},"next":"https://x"}}')
    assert provider.read_templates(call, more) == TemplatePage((), "QVFJ")
    last = said('{"data":[],"paging":{"cursors":{"after":"QVFJ"}}}')
    assert provider.read_templates(call, last) == TemplatePage((), "")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("APPROVED", TemplateState.APPROVED),
        ("PENDING", TemplateState.PENDING),
        ("IN_APPEAL", TemplateState.PENDING),
        ("REJECTED", TemplateState.REJECTED),
        ("PAUSED", TemplateState.PAUSED),
        ("DISABLED", TemplateState.DISABLED),
        ("PENDING_DELETION", TemplateState.GONE),
        ("DELETED", TemplateState.GONE),
        ("LIMIT_EXCEEDED", TemplateState.UNKNOWN),
    ],
)
def test_states(word: str, state: TemplateState) -> None:
    found = template(status=word)
    assert found.state is state
    assert (found.detail == word) is (state is TemplateState.UNKNOWN)


@pytest.mark.parametrize(
    ("row", "life"),
    [
        ({"message_send_ttl_seconds": 60}, timedelta(minutes=1)),
        ({}, timedelta(days=30)),
        ({"message_send_ttl_seconds": -1}, timedelta(days=30)),
        ({"category": "AUTHENTICATION"}, timedelta(minutes=10)),
        ({"category": "MARKETING", "message_send_ttl_seconds": 43200}, timedelta(days=30)),
        (
            {"category": "MARKETING", "message_send_ttl_seconds": 43200, "config": {"marketing_messages": True}},
            timedelta(hours=12),
        ),
    ],
)
def test_the_life_of_a_message_is_its_text_s(row: dict[str, Any], life: timedelta) -> None:
    assert template(**row).ttl == life


@pytest.mark.parametrize(
    ("part", "usable"),
    [
        ({"type": "HEADER", "format": "TEXT", "text": "Салон"}, True),
        ({"type": "HEADER", "format": "TEXT", "text": "Салон {{1}}"}, False),
        ({"type": "HEADER", "format": "IMAGE"}, False),
        ({"type": "FOOTER", "text": "СТОП"}, True),
        ({"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Да"}]}, True),
        ({"type": "BUTTONS", "buttons": [{"type": "URL", "url": "https://x.example"}]}, True),
        ({"type": "BUTTONS", "buttons": [{"type": "URL", "url": "https://x.example/{{1}}"}]}, False),
        ({"type": "BUTTONS", "buttons": [{"type": "FLOW"}]}, False),
        ({"type": "CAROUSEL"}, False),
    ],
)
def test_what_cannot_be_filled_from_here_is_said(part: dict[str, Any], usable: bool) -> None:
    found = template(components=[part, {"type": "BODY", "text": "Привет, {{1}}"}])
    assert bool(found.unusable) is not usable


def test_named_variables_and_no_text_are_said() -> None:
    assert template(components=[{"type": "BODY", "text": "Привет, {{name}}"}]).unusable
    assert template(parameter_format="NAMED").unusable
    assert template(components=[{"type": "HEADER", "format": "TEXT", "text": "x"}]).unusable
    code = template(
        category="AUTHENTICATION",
        components=[{"type": "BODY", "text": "{{1}}"}, {"type": "BUTTONS", "buttons": [{"type": "OTP"}]}],
    )
    assert (code.unusable, code.code_button) == ("", True)
