"""Zadarma: the battery, its two signatures, and a call that has no id."""

import base64
import hashlib
import hmac
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import pytest

from cascade.vocabulary import FailureClass, Milestone, Reason
from channels.providers.base import CallbackRejected, CallbackRequest, HttpCall
from channels.providers.zadarma import SIGNED
from tests.channels.providers.contract import ProviderContract, make_provider

KEY, SECRET = "canary-user-key-0123456789", "canary-api-secret-987654321"


def signature(text: str) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha1).hexdigest().encode()).decode()


class TestZadarma(ProviderContract):
    slug = "zadarma"
    config = {"user_key": KEY, "api_secret": SECRET, "scenario": "0-1"}
    secrets = (KEY, SECRET)
    unknown_status = {
        "event": "NOTIFY_OUT_END",
        "call_start": "2026-11-24 05:00:00",
        "destination": "79120000000",
        "internal": "100",
        "disposition": "teleported",
    }

    def callback(self, value, **changes) -> CallbackRequest:
        return super().callback(value, **{"body": urlencode(value).encode(), **changes})

    def sign(self, request: CallbackRequest) -> CallbackRequest:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        covered = SIGNED.get(fields.get("event", ""), ())
        signed = signature("".join(fields.get(name, "") for name in covered))
        return replace(request, headers={**request.headers, "signature": signed})

    def spoil(self, request: CallbackRequest) -> list[CallbackRequest]:
        good = request.headers["signature"]
        raw = base64.b64encode(base64.b64decode(good)[:20]).decode()
        wrong = (("A" if good[0] != "A" else "B") + good[1:], good[:-1], good.lower(), raw, "", "é")
        bad = [replace(request, headers={"signature": each}) for each in wrong]
        bad += [replace(request, headers={}), replace(request, body=request.body.replace(b"7912", b"7913"))]
        return [*bad, replace(request, body=request.body.replace(b"NOTIFY_OUT_END", b"SMS"))]


contract = TestZadarma()


def ended(disposition: str, duration: int = 0, cause: int = 0):
    fields = {**contract.unknown_status, "disposition": disposition, "duration": duration, "status_code": cause}
    (report,) = contract.provider().read_callback(contract.callback(fields))
    return report


def test_a_request_is_signed_by_the_hexadecimal_text_and_calls_the_person_first():
    (call,) = contract.provider(sip="100").build_send([contract.message()])
    assert isinstance(call, HttpCall)
    assert call.url == "http://provider.invalid/api/v1/request/callback/"
    line = "format=json&from=0-1&predicted=predicted&sip=100&to=79120000000"
    assert urlencode(sorted(call.query.items())) == line
    text = "/v1/request/callback/" + line + hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()
    assert call.headers == {"Authorization": f"{KEY}:{signature(text)}"}
    assert len(base64.b64decode(signature(text))) == 40, "not the twenty raw bytes"


def test_the_secret_signs_and_is_never_sent():
    for _, call in contract.questions(contract.provider()):
        assert SECRET not in repr(call)


@pytest.mark.parametrize(
    ("disposition", "means"),
    [
        ("busy", Reason.NO_ANSWER),
        ("cancel", Reason.NO_ANSWER),
        ("no answer", Reason.NO_ANSWER),
        ("failed", Reason.NO_ANSWER),
        ("unallocated number", Reason.NOT_REGISTERED),
        ("no money", FailureClass.BALANCE),
        ("no money, no limit", FailureClass.BALANCE),
        ("no limit", FailureClass.RATE_LIMITED),
        ("no day limit", FailureClass.RATE_LIMITED),
        ("line limit", FailureClass.RATE_LIMITED),
    ],
)
def test_every_documented_disposition(disposition, means):
    report = ended(disposition)
    assert means in (report.failure, report.reason)
    assert report.milestone is None


def test_the_cause_says_more_than_failed():
    for cause, means in ((1, Reason.NOT_REGISTERED), (28, Reason.NOT_REGISTERED), (20, Reason.NO_ANSWER)):
        assert ended("failed", cause=cause).reason is means
    for cause in (34, 38, 41, 42):
        assert ended("failed", cause=cause).failure is FailureClass.TRANSIENT


def test_picked_up_is_not_listened_to():
    assert ended("answered", 4).reason is Reason.NO_ANSWER
    assert ended("answered", 5).milestone is Milestone.DELIVERED


def test_a_multipart_body_whose_header_names_another_boundary_is_read():
    """A32: the header's is two dashes short of the body's."""
    part = '------x7\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = "".join(part.format(name, value) for name, value in contract.unknown_status.items()) + "------x7--\r\n"
    request = CallbackRequest("POST", {}, {"content-type": "multipart/form-data; boundary=--x7"}, body.encode())
    signed = signature("100" + "79120000000" + "2026-11-24 05:00:00")
    contract.provider().verify_callback(replace(request, headers={"signature": signed}))
    (report,) = contract.provider().read_callback(request)
    assert report.address == "+79120000000"


def test_the_check_of_the_address_is_echoed_and_nothing_else():
    provider = contract.provider()
    asked = CallbackRequest("GET", {"zd_echo": "a1b2"}, {}, b"")
    provider.verify_callback(asked)
    assert provider.callback_reply(asked) == (200, "a1b2")
    assert provider.read_callback(asked) == []
    assert provider.callback_reply(contract.callback(contract.unknown_status)) == (200, "ok")
    for bad in ({"zd_echo": "x" * 201}, {"zd_echo": "a\nb"}, {"zd_echo": ""}, {}):
        with pytest.raises(CallbackRejected):
            provider.verify_callback(replace(asked, query=bad))
    with pytest.raises(CallbackRejected):
        provider.verify_callback(replace(asked, method="POST"))


def test_reports_may_be_taken_from_the_owner_s_addresses_alone():
    """The signature covers neither result nor duration: a replayed one could carry a forged end."""
    provider = contract.provider(sources="185.45.152.42, 10.1.0.0/16")
    good = contract.sign(contract.callback(contract.unknown_status))
    for source in ("185.45.152.42", "10.1.2.3"):
        provider.verify_callback(replace(good, source=source))
    for source in ("185.45.152.43", "10.2.0.1", "::1", "", "localhost"):
        with pytest.raises(CallbackRejected):
            provider.verify_callback(replace(good, source=source))


@pytest.mark.parametrize(
    ("config", "word"), [({"sources": "zadarma.com"}, "cannot be read"), ({"utc_offset": 15}, "-12 to 14")]
)
def test_settings_that_cannot_work_are_refused_when_saved(config, word):
    broken = make_provider("zadarma", {**contract.config, **config})
    assert word in broken.problem()
    if "sources" in config:
        with pytest.raises(CallbackRejected):
            broken.verify_callback(contract.sign(contract.callback(contract.unknown_status)))
    assert contract.provider().problem() == ""
