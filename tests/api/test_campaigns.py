"""The main job through the API: channels, a chain, a text, a campaign, its report."""

from __future__ import annotations

import pytest

from campaigns.models import Campaign
from channels.models import Channel
from channels.services.accounts import get_config
from deliveries.models import Delivery
from deliveries.services.launch import launch_due

SMSC = {"name": "СМС", "provider": "smsc", "config": {"apikey": "very-secret-key"}, "price": "4.80"}


@pytest.fixture
def draft(api, shop):
    """A campaign of the API's own making: to two people, by SMS."""
    channel = api("POST", "channels/", SMSC).json()["id"]
    chain = api("POST", "chains/", {"name": "СМС", "steps": [{"channel": channel, "wait": 900}]}).json()
    template = api("POST", "templates/", {"name": "Привет", "text": "Здравствуйте, {name|друг}!"}).json()
    people = shop.people(2)
    made = api(
        "POST",
        "campaigns/",
        {"name": "Осень", "chain": chain["id"], "template": template["id"], "lists": [people.pk]},
    )
    assert made.status_code == 201, made.content
    return made.json()["id"]


def test_secrets_go_in_and_never_come_out(api):
    made = api("POST", "channels/", SMSC)
    assert made.status_code == 201, made.content
    assert "very-secret-key" not in made.content.decode()
    assert made.json()["kind"] == "sms"
    changed = api("PATCH", f"channels/{made.json()['id']}/", {"price": "5.10", "config": {"sender": "SALON"}})
    assert changed.json()["price"] == "5.1000"
    config = get_config(Channel.objects.get())
    assert config["apikey"] == "very-secret-key"
    assert config["sender"] == "SALON"
    for answer in (api("GET", "channels/"), api("GET", f"channels/{made.json()['id']}/")):
        assert "very-secret-key" not in answer.content.decode()


@pytest.mark.parametrize(
    ("config", "field"),
    [({}, "config"), ({"apikey": 5}, "config.apikey"), ({"apikey": "x", "nonsense": 1}, "config.nonsense")],
)
def test_settings_that_cannot_work_are_refused(api, config, field):
    answer = api("POST", "channels/", {**SMSC, "config": config})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field
    assert not Channel.objects.exists()


def test_a_chain_that_could_never_work_is_refused_at_its_step(api, shop):
    bot = shop.bot()
    answer = api("POST", "chains/", {"name": "x", "steps": [{"channel": bot.pk, "wait": 60, "expect": "read"}]})
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert fault["field"] == "steps.0.expect"


def test_a_chain_in_use_is_not_deleted(api, draft):
    chain = Campaign.objects.get().chain_id
    assert api("DELETE", f"chains/{chain}/").status_code == 409
    assert api("GET", f"chains/{chain}/").status_code == 200


def test_a_wrong_text_is_refused(api):
    answer = api("POST", "templates/", {"name": "x", "text": "Здравствуйте, {name"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "text"


def test_variants_are_replaced_as_a_whole(api):
    made = api("POST", "templates/", {"name": "x", "text": "a", "variants": [{"kind": "sms", "text": "b"}]}).json()
    changed = api("PATCH", f"templates/{made['id']}/", {"variants": [{"kind": "max", "text": "c"}]}).json()
    assert [(one["kind"], one["text"]) for one in changed["variants"]] == [("max", "c")]


def test_from_a_draft_to_the_report(api, draft):
    seen = api("GET", f"campaigns/{draft}/preflight/").json()
    assert seen["audience"] == 2
    assert seen["blockers"] == []
    assert seen["cost_to"] == "9.60"
    started = api("POST", f"campaigns/{draft}/launch/")
    assert started.status_code == 200, started.content
    assert started.json()["status"] == "launching"
    again = api("POST", f"campaigns/{draft}/launch/")
    assert again.status_code == 409
    assert again.json()["campaign_status"] == "launching"
    launch_due()
    assert Delivery.objects.count() == 2
    report = api("GET", f"campaigns/{draft}/report/").json()
    assert report["planned"] == 2
    assert report["balanced"] is True
    people = api("GET", f"campaigns/{draft}/recipients/?limit=1").json()
    following = api("GET", f"campaigns/{draft}/recipients/?limit=1&after={people['next']}").json()
    assert {one["message"] for page in (people, following) for one in page["results"]} == set(
        Delivery.objects.values_list("pk", flat=True)
    )
    assert following["next"] is None
    assert api("POST", f"campaigns/{draft}/pause/").json()["status"] == "paused"
    assert api("POST", f"campaigns/{draft}/resume/").json()["status"] == "running"
    assert api("POST", f"campaigns/{draft}/cancel/").json()["status"] == "cancelled"


def test_what_forbids_the_launch_is_named(api, draft):
    Channel.objects.update(enabled=False)
    answer = api("POST", f"campaigns/{draft}/launch/")
    assert answer.status_code == 409
    assert answer.json()["blockers"][0]["object"] == "channel"


def test_only_a_draft_can_be_changed(api, draft):
    assert api("PATCH", f"campaigns/{draft}/", {"name": "Зима"}).json()["name"] == "Зима"
    api("POST", f"campaigns/{draft}/launch/")
    assert api("PATCH", f"campaigns/{draft}/", {"name": "Весна"}).status_code == 409
    assert api("DELETE", f"campaigns/{draft}/").status_code == 409
    assert Campaign.objects.get().name == "Зима"


def test_launching_costs_money_and_has_a_scope_of_its_own(caller, draft):
    writer = caller(["campaigns:read", "campaigns:write"])
    assert writer("GET", f"campaigns/{draft}/preflight/").status_code == 200
    assert writer("POST", f"campaigns/{draft}/launch/").status_code == 403
    assert Campaign.objects.get().status == "draft"


def test_a_campaign_made_twice_with_one_key_is_one(api, draft):
    body = {"name": "Зима", "chain": Campaign.objects.get().chain_id, "template": Campaign.objects.get().template_id}
    first = api("POST", "campaigns/", body, idempotency_key="winter")
    second = api("POST", "campaigns/", body, idempotency_key="winter")
    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert Campaign.objects.count() == 2
