"""People, lists, consents, the stop-list over the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from contacts.models import Consent, Contact, ListMember, Suppression
from contacts.services import suppressions

OLGA = {"phone": "8 912 345-67-89", "name": "Ольга", "tags": ["VIP"], "attributes": {"master": "Анна"}}


def test_a_person_is_made_once_and_changed_afterwards(api):
    made = api("POST", "contacts/", OLGA)
    assert made.status_code == 201
    assert made.json()["phone"] == "+79123456789"
    again = api("POST", "contacts/", {"phone": "+7 (912) 345-67-89", "tags": ["new"], "attributes": {"visits": 3}})
    assert again.status_code == 200
    shown = again.json()
    assert shown["id"] == made.json()["id"]
    assert shown["name"] == "Ольга"
    assert shown["tags"] == ["VIP", "new"]
    assert shown["attributes"] == {"master": "Анна", "visits": 3}
    assert Contact.objects.count() == 1


def test_a_wrong_phone_is_refused_with_its_reason(api):
    answer = api("POST", "contacts/", {"phone": "8 912 345-67"})
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert fault["field"] == "phone"
    assert fault["code"]
    assert not Contact.objects.exists()


def test_a_phone_of_somebody_else_is_a_conflict_that_names_the_card(api):
    first = api("POST", "contacts/", {"phone": "89123456701"}).json()["id"]
    second = api("POST", "contacts/", {"phone": "89123456702"}).json()["id"]
    answer = api("PATCH", f"contacts/{second}/", {"phone": "89123456701"})
    assert answer.status_code == 409
    assert answer.json()["contact"] == first


def test_what_is_not_sent_stays(api):
    made = api("POST", "contacts/", OLGA).json()["id"]
    shown = api("PATCH", f"contacts/{made}/", {"full_name": "Ольга Иванова"}).json()
    assert shown["name"] == "Ольга"
    assert shown["full_name"] == "Ольга Иванова"


def test_a_stopped_address_arrives_stopped(api):
    suppressions.suppress("89123456789", suppressions.SuppressionScope.ALL, "", "test")
    assert api("POST", "contacts/", OLGA).json()["suppressed"] == "all"


def test_pages_meet_everybody_once(api):
    for number in range(7):
        api("POST", "contacts/", {"phone": f"8912345670{number}"})
    seen, address = [], "contacts/?limit=3"
    while address:
        page = api("GET", address).json()
        seen += [one["id"] for one in page["results"]]
        address = page["next"].partition("/api/v1/")[2] if page["next"] else ""
    assert len(seen) == len(set(seen)) == 7


def test_people_are_found_by_phone_tag_and_list(api):
    made = api("POST", "contacts/", OLGA).json()["id"]
    api("POST", "contacts/", {"email": "Ivan@Example.com"})
    assert [one["id"] for one in api("GET", "contacts/?search=912-345").json()["results"]] == [made]
    assert [one["id"] for one in api("GET", "contacts/?tag=VIP").json()["results"]] == [made]
    assert api("GET", "contacts/?tag=none").json()["results"] == []
    assert api("GET", "contacts/?list=x").status_code == 400


def test_consent_is_a_ledger(api):
    made = api("POST", "contacts/", OLGA).json()["id"]
    for granted in (True, False):
        line = api("POST", f"contacts/{made}/consents/", {"granted": granted, "source": "form on the site"})
        assert line.status_code == 201
    lines = api("GET", f"contacts/{made}/consents/").json()
    assert [one["granted"] for one in lines] == [False, True]
    assert api("GET", f"contacts/{made}/").json()["marketing_consent"] == "withdrawn"
    assert api("DELETE", f"contacts/{made}/consents/").status_code == 405
    late = api("POST", f"contacts/{made}/consents/", {"granted": True, "source": "x", "at": "2999-01-01T00:00:00Z"})
    assert late.status_code == 400
    assert Consent.objects.count() == 2


def test_a_stop_works_at_once_and_keeps_no_address(api):
    made = api("POST", "contacts/", OLGA).json()["id"]
    stopped = api("POST", "suppressions/", {"address": "89123456789", "scope": "marketing", "reason": "asked"})
    assert stopped.status_code == 201
    assert "3456" not in stopped.json()["hint"]
    assert api("GET", f"contacts/{made}/").json()["suppressed"] == "marketing"
    assert api("POST", "suppressions/", {"address": "nobody", "scope": "all"}).status_code == 400
    assert Suppression.objects.get().source == "api: till"


def test_a_list_takes_known_and_new_people_with_their_values(api):
    known = api("POST", "contacts/", OLGA).json()["id"]
    roll = api("POST", "lists/", {"name": "Заказы"}).json()["id"]
    members = [
        {"contact": known, "variables": {"order": "1"}},
        {"phone": "89123456700", "name": "Иван", "variables": {"order": "2"}},
    ]
    first = api("POST", f"lists/{roll}/members/", {"members": members})
    assert first.json() == {"added": 2, "updated": 0, "created_contacts": 1}
    again = api("POST", f"lists/{roll}/members/", {"members": [{"contact": known, "variables": {"order": "3"}}]})
    assert again.json() == {"added": 0, "updated": 1, "created_contacts": 0}
    assert ListMember.objects.get(contact_id=known).variables == {"order": "3"}
    assert api("DELETE", f"lists/{roll}/members/{known}/").status_code == 204
    assert ListMember.objects.filter(list_id=roll).count() == 1


def test_a_list_takes_all_or_none(api):
    roll = api("POST", "lists/", {"name": "Заказы"}).json()["id"]
    members = [{"phone": "89123456700"}, {"contact": 999}]
    answer = api("POST", f"lists/{roll}/members/", {"members": members}, idempotency_key="batch-1")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "members.1.contact"
    assert not Contact.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_twenty_programs_at_once_make_one_card(caller):
    program = caller()

    def ask(_: int) -> int:
        try:
            return program("POST", "contacts/", OLGA).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(ask, range(20)))
    assert sorted(set(codes)) == [200, 201]
    assert codes.count(201) == 1
    assert Contact.objects.count() == 1
