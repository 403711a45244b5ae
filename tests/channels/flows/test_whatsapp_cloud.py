"""WhatsApp Cloud API on the running engine: approved texts from their list to the person, and every way a message can go."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.utils import translation

from campaigns.models import Campaign
from campaigns.services import preflight, readiness
from cascade.vocabulary import Purpose
from channels.models import ApprovedText, Channel, ChannelState
from channels.services import approved, checks
from channels.services.accounts import create_channel
from contacts.models import Contact, Reachability, Suppression, SuppressionScope
from deliveries.models import Attempt, Delivery, InboundMessage, Receipt
from deliveries.services.plans import freeze_campaign
from emulator.journal import Journal
from templates_app.models import MessageTemplate, TemplateVariant
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, TEXT, UNKNOWN, Cast, await_story, ops, sends
from tests.deliveries.live import receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

NUMBER = "106540352242922"
SECRET = "app-secret-of-the-test"

CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("read", ("accepted", "", "", "read")),
    ("read_only", ("accepted", "", "", "read")),  # the chat was open
    ("reversed", ("accepted", "", "", "read")),
    ("early", ("accepted", "", "", "delivered")),
    ("reply", ("accepted", "", "", "replied")),
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("delivered_then_failed", ("accepted", GONE, "recipient_refused", "delivered")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", GONE, "recipient_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("error_json", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("reset", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # settled by a status with our reference
    ("truncated", ("accepted", "", "", "delivered")),
]
WORDS = {
    "visit_reminder": "Здравствуйте, {name|друг}! Ждём вас {name|скоро}.",
    "slow_notice": "Здравствуйте, {name|друг}!",
    "spring_sale": "{name|Друзья}, скидка 15% до воскресенья. Отписаться: СТОП",
    "paused_one": "Здравствуйте, {name|друг}!",
    "with_picture": "Новинка, {name}",
}


def waba(street: Street, name: str = "WABA", **config: Any) -> Channel:
    config = {
        "phone_number_id": NUMBER,
        "business_account_id": "102290129340398",
        "token": "token-of-the-test",
        "app_secret": SECRET,
        **config,
    }
    return create_channel("whatsapp_cloud", name, config, base_url=f"{street.emulator}/whatsapp_cloud", rate=1000.0)


def receipts_come(street: Street, web: str, channel: Channel) -> str:
    """Signed with the app's secret, not with that of the address."""
    receive_callbacks(street, web, channel)
    tell(street.emulator, "accounts", provider="whatsapp_cloud", account="*", callback_secret=SECRET)
    return f"{web}/hooks/{channel.pk}/{channel.callback_secret}/"


def text_by(name: str, text: str = "", language: str = "ru") -> MessageTemplate:
    """A text of ours whose WhatsApp variant goes out by this approved one."""
    made = MessageTemplate.objects.create(name=f"Текст {name}", text="Для остальных каналов")
    TemplateVariant.objects.create(
        template=made, kind="whatsapp", text=text or WORDS[name], approved_name=name, approved_language=language
    )
    return made


def test_every_way_by_an_approved_text(processes: Processes, street: Street, emulator: Running) -> None:
    first, sms = waba(street), street.sms()
    assert approved.sync(first).ok
    assert ApprovedText.objects.count() == 5, "all pages were read"
    receipts_come(street, processes.web().url, first)
    people = street.cast(first, [behaviour for behaviour, _ in CAST])
    chain = street.last_resort(first, sms, expect="delivered", wait=timedelta(minutes=10))
    street.campaign(chain, people, template=text_by("visit_reminder"), purpose=Purpose.SERVICE.value)
    await_story(processes, first, CAST)
    seen = requests_of(street, provider="whatsapp_cloud")
    assert seen[0]["text"].startswith("Здравствуйте, Имя"), "what people read is the approved text with their values"
    assert sorted(sends(street, "whatsapp_cloud").values())[-2:] == [1, 2], "only who was told to come again came again"
    run_until(processes, lambda: Attempt.objects.filter(channel=sms).count() >= 4)
    learned = Reachability.objects.filter(channel_id=first.pk, state="not_registered")
    assert learned.count() == 2
    assert InboundMessage.objects.get().contact is not None
    assert not Receipt.objects.filter(state="quarantined").exists()
    assert Journal.read(emulator.journal).holes() == []


def test_a_paused_text_is_refused_by_everybody_and_the_campaign_pauses(processes: Processes, street: Street) -> None:
    """It was approved when the plan was frozen; the refusals are the text's, never the people's."""
    first, sms = waba(street), street.sms()
    approved.sync(first)
    chain = street.chain(first, sms, wait=timedelta(minutes=10))
    campaign = street.campaign(chain, street.people(25), template=text_by("visit_reminder"), purpose="service")
    paused = json.dumps({"name": "visit_reminder", "status": "PAUSED"}).encode()
    with urlopen(Request(f"{street.emulator}/whatsapp_cloud/_templates", paused), timeout=10) as answer:
        assert answer.status == 200
    run_until(processes, lambda: Campaign.objects.get(pk=campaign.pk).status == "paused")
    told = set(Attempt.objects.filter(channel=first).values_list("failure", "detail"))
    assert {failure for failure, _ in told} == {TEXT}
    assert all(detail.startswith("132015") for _, detail in told)
    assert not Reachability.objects.exists()
    approved.sync(first)
    findings = [finding.text() for finding in readiness.blockers(campaign)]
    assert any("visit_reminder" in one for one in findings)


def test_what_preflight_says_about_approved_texts(street: Street) -> None:
    first, sms = waba(street), street.sms()
    approved.sync(first)
    chain, people = street.chain(first, sms, wait=timedelta(hours=2)), street.people(2)

    def told(template: MessageTemplate, purpose: str) -> tuple[list[str], list[str]]:
        campaign = street.campaign(chain, people, template=template, purpose=purpose, status="draft")
        with translation.override("en"):
            seen = preflight.run(campaign)
            found = (
                [one.text() for one in seen.blockers],
                [one.text() for one in seen.warnings if one.mend == readiness.Mend.TEMPLATE],
            )
        campaign.delete()
        return found

    text_of_visit = text_by("visit_reminder")
    assert told(text_of_visit, "service") == ([], []), "lives an hour, the step waits two"
    sure = street.campaign(chain, people, template=text_of_visit, purpose="service", status="draft")
    seen = preflight.run(sure)
    assert not seen.steps[0].doubles
    assert not [one for one in seen.warnings if one.mend == readiness.Mend.CHAIN], (
        "and nothing is said against the chain"
    )
    sure.delete()
    blockers, _ = told(MessageTemplate.objects.create(name="Свой", text="Привет"), "service")
    assert "writes first only by templates" in blockers[0]
    for name, language, text, says in (
        ("paused_one", "ru", "", "has paused"),
        ("with_picture", "ru", "", "heading"),
        ("visit_reminder", "en", "", "has no approved template"),
        ("slow_notice", "ru", "Привет, {name|друг}!", "differs"),
    ):
        MessageTemplate.objects.filter(name=f"Текст {name}").delete()
        blockers, _ = told(text_by(name, text or WORDS[name], language), "service")
        assert says in " ".join(blockers), name
    MessageTemplate.objects.filter(name="Текст slow_notice").delete()
    _, warnings = told(text_by("slow_notice"), "service")
    assert len(warnings) == 1
    assert "30 days" in warnings[0]
    _, warnings = told(text_by("spring_sale"), "service")
    assert "marketing one" in warnings[0]
    assert "12 hours" in warnings[1]
    MessageTemplate.objects.filter(name="Текст visit_reminder").delete()
    _, warnings = told(text_by("visit_reminder"), "marketing")
    assert any("breaks WhatsApp's rules" in one for one in warnings)


def test_each_account_of_a_step_has_its_own_approved_text(street: Street) -> None:
    first, second = waba(street), waba(street, "В запасе", phone_number_id="2")
    approved.sync(first)
    chain = street.chain(first, street.sms(), wait=timedelta(hours=2))
    chain.steps.filter(channel=first).update(reserve=second)
    campaign = street.campaign(
        chain, street.people(1), template=text_by("visit_reminder"), purpose="service", status="draft"
    )
    (finding,) = readiness.blockers(campaign)
    assert "В запасе" in finding.text()
    approved.sync(second)
    assert readiness.blockers(campaign) == []
    frozen = freeze_campaign(campaign).definition["steps"][0]
    wanted = {"name": "visit_reminder", "language": "ru", "category": "utility", "order": [0, 1], "code_button": False}
    assert [frozen["template"], frozen["reserves"][0]["template"]] == [wanted, wanted]


def test_a_wrong_signature_and_the_question_by_which_an_address_is_tried(processes: Processes, street: Street) -> None:
    first = waba(street)
    url = receipts_come(street, processes.web().url, first)
    for headers in ({}, {"X-Hub-Signature-256": "sha256=00"}):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(url, b'{"entry":[]}', headers), timeout=10)
        assert refused.value.code == 403
    asked = f"{url}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{asked}guess", timeout=10)
    assert refused.value.code == 403
    with urlopen(f"{asked}{first.callback_secret}", timeout=10) as answer:
        assert answer.read() == b"1158201444"


def test_the_address_is_set_for_this_number_and_tried_at_once(
    processes: Processes, street: Street, settings: Any
) -> None:
    first = waba(street)
    settings.PUBLIC_BASE_URL = "https://127.0.0.1:9"
    assert not checks.connect_receipts(first).ok, "nobody answers there, and so it is not taken"
    assert "POST" in ops(street, "whatsapp_cloud")


def test_who_stops_advertising_there_gets_none_anywhere(processes: Processes, street: Street) -> None:
    first, sms = waba(street), street.sms()
    approved.sync(first)
    receipts_come(street, processes.web().url, first)
    people = street.cast(first, ["sent"])
    chain = street.last_resort(first, sms, expect="delivered", wait=timedelta(minutes=10))
    street.campaign(chain, people, template=text_by("spring_sale"))
    run_until(processes, lambda: Attempt.objects.filter(channel=first, sent_at__isnull=False).exists())
    person = Contact.objects.get()
    tell(street.emulator, "block", provider="whatsapp_cloud", recipient=(person.phone or "")[1:], blocked=True)
    run_until(processes, lambda: Delivery.objects.get().outcome == "stopped")
    assert Suppression.objects.filter(scope=SuppressionScope.MARKETING).exists()
    assert not Reachability.objects.exists(), "the visit reminder may still come here"
    assert not requests_of(street, provider="smsc")


def test_a_test_message_goes_to_who_wrote_first(street: Street) -> None:
    first = waba(street)
    assert checks.self_test(first).ok
    refused = checks.send_test(first, "+79130000100", "Проба")
    assert not refused.ok
    assert "131047" in refused.detail
    tell(street.emulator, "accounts", provider="whatsapp_cloud", account="*", state="unauthorized")
    assert checks.self_test(first).failure == "auth"
    assert approved.sync(first).failure == "auth"
    assert ChannelState.objects.get(channel=first).templates_at is None
