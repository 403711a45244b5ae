"""Who may ask, and how often."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.timezone import now

from api.models import ApiKey, Scope
from api.services import keys
from tests.api.conftest import Caller


def test_a_key_opens_what_it_was_made_for_and_nothing_else(caller):
    reader = caller([Scope.CONTACTS_READ])
    assert reader("GET", "contacts/").status_code == 200
    refused = reader("POST", "contacts/", {"phone": "89123456789"})
    assert refused.status_code == 403
    assert refused.json()["code"] == "scope_missing"
    assert "contacts:write" in refused.json()["detail"]
    assert reader("GET", "campaigns/").status_code == 403
    assert reader("GET", "me/").json()["scopes"] == ["contacts:read"]


@pytest.mark.parametrize("key", ["", "csc_wrong", "Bearer", "csc_\xff"])
def test_without_a_valid_key_nothing_is_told(db, key):
    answer = Caller(key)("GET", "contacts/")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"] == "Bearer"
    assert "results" not in answer.json()


def test_a_revoked_and_an_expired_key_open_nothing(caller):
    program = caller()
    row = ApiKey.objects.get()
    assert keys.revoke(row.pk)
    assert not keys.revoke(row.pk)
    assert program("GET", "me/").status_code == 401
    expired = Caller(keys.issue("old", [Scope.CONTACTS_READ], now() - timedelta(seconds=1))[1])
    assert expired("GET", "me/").status_code == 401


def test_the_key_itself_is_kept_nowhere(caller):
    program = caller()
    row = ApiKey.objects.get()
    stored = "".join(str(value) for value in ApiKey.objects.filter(pk=row.pk).values_list()[0])
    assert program.key not in stored
    assert program.key.startswith(row.prefix)
    assert program.key[12:] not in stored


def test_a_key_that_may_do_nothing_is_refused_by_the_table_too(db):
    with pytest.raises(ValueError, match="no key"):
        keys.issue("nothing", [])
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.create(name="nothing", prefix="x", digest=b"x" * 32, scopes=[])


def test_guessing_keys_is_counted(db, settings, caller):
    caller()
    stranger = Caller("csc_guess")
    codes = [stranger("GET", "me/").status_code for _ in range(40)]
    assert codes[0] == 401
    assert codes[-1] == 429
    late = stranger("GET", "me/")
    assert int(late["Retry-After"]) >= 1
    assert late.json()["code"] == "throttled"


def test_errors_speak_the_callers_language(api):
    said = api("POST", "contacts/", {"phone": "123"}, accept_language="ru").json()
    assert said["title"] == "Запрос составлен неверно"
    assert said["errors"][0]["field"] == "phone"


def test_the_owner_makes_a_key_and_sees_it_once(admin_client):
    page = admin_client.get(reverse("admin:api_apikey_add"))
    assert page.status_code == 200
    made = admin_client.post(
        reverse("admin:api_apikey_add"), {"name": "Сайт", "scopes": ["messages:send"], "expires_at_0": ""}, follow=True
    )
    text = made.content.decode()
    row = ApiKey.objects.get()
    shown = text[text.index("csc_") :].split("<")[0]
    found = keys.find(shown)
    assert found is not None
    assert found.pk == row.pk
    assert shown not in admin_client.get(reverse("admin:api_apikey_changelist")).content.decode()
    assert row.created_by is not None


def test_the_owner_revokes_a_key_only_by_pressing_the_button(admin_client, caller):
    program = caller()
    address = reverse("admin:api_apikey_revoke", args=[ApiKey.objects.get().pk])
    assert admin_client.get(address).status_code == 200
    assert program("GET", "me/").status_code == 200
    admin_client.post(address)
    assert program("GET", "me/").status_code == 401
