"""Web push: the battery, the RFC's own example, and what only its wire has."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from channels.providers import aes128gcm
from channels.providers.base import Call, HttpCall
from channels.providers.web_push import WebPush
from emulator.providers.web_push import opened, subscription
from tests.channels.providers.apps import PushContract
from tests.channels.providers.contract import NOW, REF

KEY = WebPush.completed({})["private_key"]


def address_of(person: str) -> str:
    told = subscription(person, "fcm.googleapis.com")
    return f"{told['endpoint']} {told['keys']['p256dh']} {told['keys']['auth']}"


class TestWebPush(PushContract):
    slug = "web_push"
    config = {"title": "Салон", "subject": "mailto:a@salon.example", "private_key": KEY}
    secrets = (KEY,)
    address = address_of("79120000000")

    def life(self, call: Call) -> int:
        assert isinstance(call, HttpCall)
        return int(call.headers["TTL"])


contract = TestWebPush()


def decoded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def test_RFC8291_appendix_A() -> None:
    receiver = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    private = int.from_bytes(decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    body = aes128gcm.encrypt(
        b"When I grow up, I want to be a watermelon",
        decoded(receiver),
        decoded("BTBZMqHH6r4Tts7J_aSIgg"),
        sender=ec.derive_private_key(private, aes128gcm.CURVE),
        salt=decoded("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert body == decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_only_the_person_s_browser_can_read_it() -> None:
    text = "Ждём вас: https://we.example/l/" + REF
    (call,) = contract.provider().build_send([contract.message(text=text)])
    assert call.url == "http://provider.invalid/api/fcm.googleapis.com/send/79120000000"
    assert json.loads(opened("79120000000", call.body)) == {
        "ref": REF,
        "key": REF,
        "url": "https://we.example/l/" + REF,
        "title": "Салон",
        "body": text,
        "icon": "",
    }
    with pytest.raises(ValueError, match="tag"):
        opened("79120000001", call.body)


def test_no_two_messages_share_a_key_and_the_same_one_is_the_same() -> None:
    def key_of(**changes: Any) -> bytes:
        (call,) = contract.provider().build_send([contract.message(**changes)])
        return bytes(call.body[:86])

    assert key_of() == key_of()
    other = [{"ref": REF[:-1] + "2"}, {"text": "Другое"}, {"address": address_of("79120000001")}]
    assert len({key_of(), *(key_of(**changes) for changes in other)}) == 4


def test_the_request_is_signed_for_the_push_service_s_own_origin() -> None:
    (call,) = contract.provider().build_send([contract.message(ttl=timedelta(minutes=15))])
    token, key = (part.partition("=")[2] for part in call.headers["Authorization"].removeprefix("vapid ").split(", "))
    public = ec.EllipticCurvePublicKey.from_encoded_point(aes128gcm.CURVE, decoded(key))
    claims = jwt.decode(
        token, public, algorithms=["ES256"], audience="https://fcm.googleapis.com", options={"verify_exp": False}
    )
    assert claims["sub"] == "mailto:a@salon.example"
    assert timedelta(hours=11) <= timedelta(seconds=claims["exp"] - NOW.timestamp()) <= timedelta(hours=12)
    assert {name: call.headers[name] for name in ("TTL", "Urgency", "Topic", "Content-Encoding")} == {
        "TTL": "900",
        "Urgency": "high",
        "Topic": REF,
        "Content-Encoding": "aes128gcm",
    }


def test_a_pair_of_keys_is_made_once_and_kept() -> None:
    made = WebPush.completed({"title": "x"})
    assert len(made["private_key"]) == 43
    assert WebPush.completed(made) == made
    assert len(decoded(contract.provider().public_key)) == 65
    assert contract.provider(private_key="").public_key == ""


def test_only_subscriptions_of_known_push_services_are_taken() -> None:
    """T12: whoever registers names the address we would call."""
    provider = contract.provider()
    good = subscription("5", "fcm.googleapis.com")
    assert provider.device_address({**good, "expirationTime": None}).count(" ") == 2
    assert provider.device_address(subscription("5", "updates.push.services.mozilla.com"))
    hostile = [
        {**good, "endpoint": endpoint}
        for endpoint in (
            "http://fcm.googleapis.com/send/1",
            "https://fcm.googleapis.com.evil.example/send/1",
            "https://evil.example/fcm.googleapis.com",
            "https://push.services.mozilla.com@evil.example/",
            "https://fcm.googleapis.com:8443/send/1",
            "https://127.0.0.1/send/1",
            "https://fcm.googleapis.com/send/1 x",
            "https://fcm.googleapis.com/" + "x" * 1000,
            "",
        )
    ]
    hostile += [
        {},
        {"endpoint": good["endpoint"]},
        {**good, "keys": {**good["keys"], "auth": "AAAA"}},
        {**good, "keys": {**good["keys"], "p256dh": "B" + "A" * 86}},
        {**good, "keys": {**good["keys"], "p256dh": "not base64"}},
        {**good, "keys": "x"},
    ]
    for told in hostile:
        with pytest.raises(ValueError, match=r"\w"):
            provider.device_address(told)
    assert contract.provider(hosts="*.push.example").device_address(subscription("5", "eu.push.example"))


def test_what_cannot_work_is_said_before_it_is_saved() -> None:
    assert contract.provider().problem() == ""
    assert contract.provider(private_key="").problem() == ""
    for bad in ("abc", KEY[:-1], "я" * 43):
        assert contract.provider(private_key=bad).problem()
