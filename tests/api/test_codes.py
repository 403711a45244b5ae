"""One-time codes over the API: the digits never come back, the limits speak HTTP."""

from __future__ import annotations

import pytest

from channels.services.accounts import unseal_text
from deliveries.models import OneTimeCode
from tests.deliveries.test_codes import rules_of

PHONE = {"phone": "8 912 000-00-77", "rules": "login"}


@pytest.fixture
def rules(shop):
    return rules_of(shop, shop.sms())


def test_a_code_is_sent_and_checked_and_its_digits_stay_with_us(api, rules):
    made = api("POST", "codes/", PHONE)
    assert made.status_code == 201, made.content
    code = OneTimeCode.objects.get()
    digits = unseal_text(code.sealed)
    assert digits not in made.content.decode().replace(made.json()["token"], "")
    assert api("GET", f"messages/{made.json()['message']}/").json()["outcome"] == ""
    wrong = "0000" if digits != "0000" else "1111"
    assert api("POST", "codes/verify/", {"token": code.token, "code": wrong}).json() == {
        "verdict": "wrong",
        "ok": False,
    }
    right = api("POST", "codes/verify/", {"token": code.token, "code": digits})
    assert right.json() == {"verdict": "entered", "ok": True}
    again = api("POST", "codes/verify/", {"token": code.token, "code": digits})
    assert again.json() == {"verdict": "over", "ok": False}
    assert api("POST", "codes/verify/", {"token": "nobody", "code": "1"}).status_code == 404


def test_too_soon_is_said_with_the_wait(api, rules):
    api("POST", "codes/", PHONE)
    early = api("POST", "codes/", PHONE)
    assert early.status_code == 429
    assert early.json()["code"] == "too_soon"
    assert 1 <= int(early["Retry-After"]) <= 30
    assert OneTimeCode.objects.count() == 1


def test_rules_nobody_made_and_a_key_without_the_right(api, caller, rules):
    assert api("POST", "codes/", {**PHONE, "rules": "nothing"}).status_code == 400
    assert caller(["messages:send"])("POST", "codes/", PHONE).status_code == 403
    assert not OneTimeCode.objects.exists()
