"""Mail services: the battery for both adapters, with captured bodies read by the library as they are in life."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from hashlib import md5
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.vocabulary import FailureClass, Purpose
from channels.mail_services import REF as NAME
from channels.mail_services import Written, read_events, understand, write
from channels.providers.base import Answer, CallbackRequest, Failed, HttpCall, ServiceCall
from channels.providers.mail_service import SERVICES
from channels.transport import describe
from tests.channels.providers.contract import REF, ProviderContract, _answer

KEY = "canary-api-key-0123456789"
SIGNING = "canary-signing-key-987654"


class ServiceContract(ProviderContract):
    """The answer to a send is what the seam makes of it."""

    address = "ann@example.org"

    def test_fixtures(self, case: dict[str, Any]) -> None:
        if case["question"] == "send":
            (call,) = self.provider(**case.get("config", {})).build_send([self.message()])
            answer = understand(written(call), _answer(self.fill(case["answer"])))
            case = {**case, "answer": {**case["answer"], "headers": dict(answer.headers)}}
        super().test_fixtures(case)


def written(call: Any) -> Written:
    assert isinstance(call, ServiceCall)
    letter = write(call)
    assert isinstance(letter, Written), letter
    return letter


def resigned(request: CallbackRequest, **fields: Any) -> CallbackRequest:
    value = json.loads(request.body or b"{}")
    return replace(request, body=json.dumps({**value, **fields} if isinstance(value, dict) else value).encode())


class TestUnisenderGo(ServiceContract):
    slug = "unisender_go"
    config = {"api_key": KEY, "sender": "hello@salon.example", "sender_name": "Салон «Ёж»"}
    secrets = (KEY,)
    unknown_status = {
        "event_name": "transactional_email_status",
        "status": "teleported",
        "email": "a@b.example",
        "job_id": "7",
    }

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        if request.method != "POST":
            return request
        body = resigned(request, auth="AUTH").body
        auth = md5(body.replace(b"AUTH", KEY.encode()), usedforsecurity=False).hexdigest()
        return replace(request, body=body.replace(b"AUTH", auth.encode()))

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        good = json.loads(request.body)["auth"]
        wrong = ("0" if good[0] != "0" else "1") + good[1:]
        spoilt = [
            replace(request, body=request.body.replace(good.encode(), one.encode())) for one in (wrong, good[:-1], "")
        ]
        return [
            *spoilt,
            resigned(request, auth=None),
            resigned(request, auth="ё"),
            replace(request, body=request.body + b" "),
        ]


class TestMailService(ServiceContract):
    slug = "mail_service"
    config = {"service": "mailgun", "api_key": KEY, "sender": "hello@salon.example", "webhook_key": SIGNING}
    secrets = (KEY, SIGNING)
    unknown_status = {
        "event-data": {"event": "teleported", "recipient": "a@b.example", "message": {"headers": {"message-id": "7"}}}
    }
    test_fuzz_answers = test_fuzz_callbacks = None  # the same readers as the other's; see the last fuzz below

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        good = hmac.new(SIGNING.encode(), b"1732442400token", "sha256").hexdigest()
        return resigned(request, signature={"timestamp": "1732442400", "token": "token", "signature": good})

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        signature = json.loads(request.body)["signature"]
        good = signature["signature"]
        wrong = ("0" if good[0] != "0" else "1") + good[1:]
        spoilt = [{**signature, "signature": one} for one in (wrong, good[:-1], good.upper(), "", None)]
        return [resigned(request, signature=one) for one in [*spoilt, {**signature, "token": "other"}, {}, "x"]]


unisender, services = TestUnisenderGo(), TestMailService()


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_written_to_with_its_own_settings(service: str) -> None:
    provider = services.provider(service=service, second_key="canary-second-key-1", sender_name='Салон "Ёж"')
    assert provider.problem() == ""
    message = services.message(purpose=Purpose.MARKETING, unsubscribe_url="https://salon.example/u/1", html="<p>x</p>")
    (call,) = provider.build_send([message])
    request = written(call).request
    assert request.method == "POST"
    assert request.url.startswith("http://provider.invalid/api/")
    sent = (request.body or b"").decode() + json.dumps(dict(request.headers))
    assert REF in sent or service == "mailersend", "our reference comes back with every event, where metadata exist"
    assert "=?utf-8?" not in sent or service in {"mailgun", "postmark", "sparkpost", "resend", "mandrill", "brevo"}
    assert KEY not in describe(call)
    assert KEY not in repr(call)


def test_nothing_is_read_from_the_settings_of_the_installation(settings: Any) -> None:
    settings.ANYMAIL = {"UNISENDER_GO_API_KEY": "of somebody else", "SEND_DEFAULTS": {"tags": ["x"]}}
    (call,) = unisender.provider().build_send([unisender.message()])
    request = written(call).request
    assert request.headers["X-API-KEY"] == KEY
    assert b"tags" not in (request.body or b"")


def test_what_unisender_is_told_and_what_not() -> None:
    (call,) = unisender.provider().build_send([unisender.message(subject="Тема", html="<p>x</p>")])
    body = json.loads(written(call).request.body or b"")["message"]
    assert (body["track_links"], body["track_read"]) == (0, 0), "our own link counts"
    assert body["global_metadata"] == {NAME: REF}
    assert (body["from_name"], body["idempotence_key"]) == ("Салон «Ёж»", REF)


def test_a_letter_that_cannot_be_written_is_nobody_else_s_trouble() -> None:
    provider = unisender.provider()
    (call,) = provider.build_send([unisender.message(address="no address at all")])
    answer = write(call)  # type: ignore[arg-type]
    assert isinstance(answer, Answer)
    (result,) = provider.read_send(call, answer)
    assert isinstance(result, Failed)
    assert result.failure in {FailureClass.MESSAGE_PERMANENT, FailureClass.RECIPIENT_PERMANENT}


@pytest.mark.parametrize(("config", "said"), [({"service": "pigeon"}, "not known"), ({"service": "mailjet"}, "second")])
def test_a_service_that_cannot_work_is_said_when_it_is_saved(config: dict[str, str], said: str) -> None:
    assert said in services.provider(**config).problem()


def test_the_services_own_words_cannot_pose_as_the_seam_s() -> None:
    (call,) = unisender.provider().build_send([unisender.message()])
    posing = Answer(status=500, headers={"service-status": "queued", "service-id": "7"}, body=b"x")
    assert understand(written(call), posing).headers == {}


def test_fuzz_what_the_library_reads() -> None:
    """Bodies of answers and of webhooks with something changed: the library may trip, the seam does not."""
    (call,) = unisender.provider().build_send([unisender.message()])
    (other,) = services.provider(service="postmark").build_send([services.message()])
    letters = [written(call), written(other)]
    answers = [one["answer"] for fixture in (unisender, services) for one in _cases(fixture.slug, "send")]
    bodies = [json.dumps(one.get("json", one.get("text"))).encode() for one in answers]
    hooks = [
        json.dumps(one["request"].get("json")).encode()
        for slug in ("unisender_go", "mail_service")
        for one in _cases(slug, "callback")
    ]
    piece = st.sampled_from([b"", b"null", b"[]", b"{}", b"7", b'"x"', b"\xff", b"[" * 50])

    @settings(max_examples=800, deadline=None, database=None)
    @given(
        st.sampled_from(bodies),
        st.sampled_from(hooks),
        st.integers(0, 400),
        st.integers(0, 30),
        piece,
        st.sampled_from(list(SERVICES)),
    )
    def fuzz(body: bytes, hook: bytes, start: int, length: int, noise: bytes, service: str) -> None:
        for letter in letters:
            understand(letter, Answer(status=200, body=body[:start] + noise + body[start + length :]))
        try:
            read_events(service, CallbackRequest("POST", {}, {}, hook[:start] + noise + hook[start + length :]))
        except ValueError:
            return

    fuzz()


def _cases(slug: str, question: str) -> list[dict[str, Any]]:
    from tests.channels.providers.contract import FIXTURES

    found = json.loads((FIXTURES / slug / ("send.json" if question == "send" else "callback.json")).read_text())
    return [case for case in found["cases"] if "json" in case.get("answer", {}) or "json" in case.get("request", {})]


def test_a_question_about_the_account_is_a_plain_call() -> None:
    for service in ("postmark", "brevo", "sendgrid", "mailgun"):
        (call,) = services.provider(service=service).build_self_test()
        assert isinstance(call, HttpCall)
        assert call.method == "GET"
    assert services.provider(service="resend").build_self_test() == []
