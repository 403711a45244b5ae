"""The document and the code: the same, and nothing that fits the one breaks the other."""

from __future__ import annotations

import os

import schemathesis
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.models import Scope
from api.services import keys
from cascade_project.wsgi import application

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Derandomized: a red run can be repeated. The long run takes more (docs/api.md).
few = hypothesis_settings(
    max_examples=int(os.environ.get("API_FUZZ", "12")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def test_the_document_is_openapi_3_1_and_names_every_address(db):
    answer = Client().get("/api/schema/", headers={"accept": "application/vnd.oai.openapi+json"})
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    for path in ("contacts/", "campaigns/{id}/launch/", "messages/", "suppressions/"):
        assert f"/api/v1/{path}" in document["paths"]


def test_the_page_to_try_it_asks_no_foreign_host(db):
    answer = Client().get("/api/docs/")
    assert "swagger" in answer.content.decode()
    assert "//cdn" not in answer.content.decode()
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy.split("; ")
    assert "connect-src 'self'" in policy.split("; ")


def test_generated_requests_meet_no_server_error_and_no_broken_promise(transactional_db, shop, settings):
    settings.ALLOWED_HOSTS = ["localhost"]
    _row, key = keys.issue("fuzz", tuple(Scope))
    shop.campaign(shop.chain(shop.sms()), shop.people(2), status="draft")
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
    asked = 0

    def probe(case: schemathesis.Case) -> None:
        nonlocal asked
        asked += 1
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}"}
        case.call_and_validate(checks=CHECKS)

    broken = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        try:
            few(given(case=operation.as_strategy())(probe))()
        except (AssertionError, BaseExceptionGroup) as failure:
            broken[operation.label] = _all_of(failure)
    assert broken == {}
    assert asked > 300


def _all_of(failure: BaseException) -> list[str]:
    """What each check of a group said, in one line each."""
    parts = failure.exceptions if isinstance(failure, BaseExceptionGroup) else [failure]
    return [line for part in parts for line in ([str(part)[:600]] if part is failure else _all_of(part))]
