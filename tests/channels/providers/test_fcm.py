"""Firebase: the battery, and what only its wire has."""

import json
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from channels.providers.base import Call
from tests.channels.providers.apps import PushContract
from tests.channels.providers.contract import ACCESS_TOKEN, NOW


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


PEM = key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ACCOUNT = {
    "type": "service_account",
    "project_id": "salon",
    "private_key_id": "k1",
    "private_key": PEM,
    "client_email": "push@salon.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}


class TestFcm(PushContract):
    slug = "fcm"
    config = {"service_account": json.dumps(ACCOUNT), "title": "Салон", "app_receipts": True}
    secrets = (PEM.splitlines()[3], PEM.splitlines()[7])
    address = "cXk2:APA91bHun4MxP5egoKMwt2KZFBaFUH"

    def life(self, call: Call) -> int:
        sent = call.json["message"]
        seconds = int(sent["webpush"]["headers"]["TTL"])
        assert sent["android"]["ttl"] == f"{seconds}s"
        assert sent["apns"]["headers"]["apns-expiration"] == str(int(NOW.timestamp()) + seconds)
        return seconds


contract = TestFcm()


def sent(**changes: Any) -> dict[str, Any]:
    provider = contract.provider(**changes)
    provider.app_url = "https://we.example/app/7/k/"
    text = "Ждём вас: https://we.example/l/AbCdEfGhIjKlMnOpQrSt_1"
    (call,) = provider.build_send([contract.message(text=text)])
    assert call.url == "http://provider.invalid/api/v1/projects/salon/messages:send"
    assert call.headers == {"Authorization": f"Bearer {ACCESS_TOKEN}"}
    return dict(call.json["message"])


def test_the_app_is_told_what_it_needs_to_open_to_report_and_to_drop_a_repeat() -> None:
    message = sent()
    assert message["notification"]["title"] == "Салон"
    assert message["data"] == {
        "ref": "AbCdEfGhIjKlMnOpQrSt_1",
        "key": "AbCdEfGhIjKlMnOpQrSt_1",
        "url": "https://we.example/l/AbCdEfGhIjKlMnOpQrSt_1",
        "receipt": "https://we.example/app/7/k/receipt",
    }
    assert "receipt" not in sent(app_receipts=False)["data"]
    silent = sent(data_only=True)
    assert "notification" not in silent
    assert silent["data"]["title"] == "Салон"


def test_exactly_one_of_token_and_fid_names_the_device() -> None:
    """A10: `token` is on its way out."""
    provider = contract.provider()
    for told, name in (
        ({"token": "a" * 20}, "token"),
        ({"fid": "b" * 22}, "fid"),
        ({"fid": "c" * 22, "token": "d" * 20}, "fid"),
    ):
        (call,) = provider.build_send([contract.message(address=provider.device_address(told))])
        assert {"token", "fid"} & call.json["message"].keys() == {name}
        assert call.json["message"][name] == told[name]
    for nonsense in ({}, {"token": "a b"}, {"token": "x" * 2000}, {"token": ["a"]}, {"fid": "я" * 10}):
        with pytest.raises(ValueError, match=r"\w"):
            provider.device_address(nonsense)


def test_a_retry_replaces_the_first_on_the_device() -> None:
    (call,) = contract.provider().build_send([contract.message(repeats="first-try-of-the-step0")])
    assert call.json["message"]["android"]["collapse_key"] == "first-try-of-the-step0"
    assert call.json["message"]["apns"]["headers"]["apns-collapse-id"] == "first-try-of-the-step0"


def test_the_token_is_asked_for_with_a_signed_assertion_for_an_hour() -> None:
    call = contract.provider().build_token(NOW)
    assert urlsplit(call.url).path == "/api/token"
    claims = jwt.decode(
        call.form["assertion"],
        key().public_key(),
        algorithms=["RS256"],
        audience="https://oauth2.googleapis.com/token",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["iss"] == "push@salon.iam.gserviceaccount.com"
    assert claims["exp"] - claims["iat"] == 3600
    assert PEM.splitlines()[3] not in json.dumps(dict(call.form))
    assert call == contract.provider().build_token(NOW)


def test_a_file_that_is_none_is_said_before_it_is_saved() -> None:
    assert contract.provider().problem() == ""
    for bad in (
        "hello",
        "[]",
        json.dumps({**ACCOUNT, "private_key": ""}),
        json.dumps({**ACCOUNT, "private_key": "abc"}),
    ):
        broken = contract.provider(service_account=bad)
        assert broken.problem()
        assert broken.build_token(NOW) is None


def test_an_app_that_does_not_report_promises_nothing() -> None:
    provider = contract.provider(app_receipts=False)
    assert "delivered" not in provider.capabilities.reports
    told = contract.sign(contract.callback({"ref": "AbCdEfGhIjKlMnOpQrSt_1", "event": "opened"}))
    assert provider.read_callback(told) == []
