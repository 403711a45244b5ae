"""Whom it will reach and what it may cost, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta
from decimal import Decimal

import pytest
from bs4 import BeautifulSoup
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import override

from campaigns.models import Campaign, QuietHours
from campaigns.selectors import windows_for
from campaigns.services import preflight
from cascade.vocabulary import ChannelKind
from channels.models import Chain, ChainStep, Channel
from channels.services.accounts import create_channel
from contacts.models import Contact, ContactList, ListMember, Reachability

People = Callable[..., ContactList]


def _groups(result: preflight.Preflight) -> dict[str, int]:
    return {group.code: group.people for group in result.groups}


def test_every_person_is_counted_once_by_the_first_gate_that_closes(draft: Campaign, messenger: Channel) -> None:
    one, two, three, four, five, *_ = Contact.objects.order_by("pk")
    Contact.objects.filter(pk=one.pk).update(marketing_consent="withdrawn", suppressed=1)
    Contact.objects.filter(pk=two.pk).update(marketing_consent="unknown")
    Contact.objects.filter(pk=three.pk).update(phone=None, email="a@example.ru")
    Contact.objects.filter(pk=four.pk).update(suppressed=2)
    Reachability.objects.create(
        contact=five,
        channel_id=messenger.pk,
        address=five.phone,
        state="not_registered",
        until=now() + timedelta(days=1),
        source="send",
    )
    result = preflight.run(draft)
    assert result.audience == 10
    assert _groups(result) == {"sent": 6, "no_consent": 1, "stop_list": 2, "no_address": 1}
    assert sum(_groups(result).values()) == result.audience
    assert [step.people for step in result.steps] == [5, 6]
    assert result.cost_from == 5 * Decimal("2.60") + Decimal("4.80")
    assert result.cost_to == 5 * Decimal("7.40") + Decimal("4.80")


def test_the_garden_shops_are_promised_what_the_article_paid(draft: Campaign, people: People) -> None:
    draft.lists.set([people(2103, name="Сад")])
    result = preflight.run(draft)
    assert result.people == 2103
    assert result.exact
    assert (result.cost_from, result.cost_to) == (Decimal("5467.80"), Decimal("15562.20"))
    assert result.cost_without_doubles == Decimal("10094.40")
    assert result.cost_last_only == Decimal("10094.40")


def test_charged_per_attempt_even_the_honest_walk_pays_twice(
    draft: Campaign, messenger: Channel, people: People
) -> None:
    Channel.objects.filter(pk=messenger.pk).update(charged_on="accepted")
    draft.lists.set([people(2103, name="Сад")])
    result = preflight.run(Campaign.objects.get(pk=draft.pk))
    assert result.cost_without_doubles == Decimal("15562.20")


def test_parts_are_counted_on_real_names(draft: Campaign) -> None:
    draft.template.text = "{name}, " + "скидка 15% на мангалы в мае! " * 2
    draft.template.save()
    long = Contact.objects.order_by("pk").first()
    assert long is not None
    Contact.objects.filter(pk=long.pk).update(name="Константин-Александр Вильгельмович")
    result = preflight.run(Campaign.objects.get(pk=draft.pk))
    assert result.several_parts == 1
    assert result.cost_to == 9 * Decimal("7.40") + Decimal("2.60") + 2 * Decimal("4.80")
    (sms,) = [text for text in result.texts if text.kind == "sms"]
    assert sms.longest.contact.startswith("Константин")
    assert (sms.typical.parts, sms.longest.parts) == (1, 2)


def test_empty_values_are_listed_before_the_launch(draft: Campaign) -> None:
    draft.template.text = "{name}, ваш заказ {order} готов. СТОП - отписаться"
    draft.template.save()
    members = list(ListMember.objects.order_by("pk"))
    for member in members[:7]:
        member.variables = {"order": "15"}
        member.save()
    result = preflight.run(Campaign.objects.get(pk=draft.pk))
    assert [(one.name, one.people) for one in result.empty] == [("order", 3)]
    assert result.empty[0].examples == ("Имя7", "Имя8", "Имя9")
    assert _groups(result) == {"sent": 7, "empty_variable": 3}
    assert result.cost_to == 7 * Decimal("7.40")


def test_a_step_counts_only_people_whose_text_can_be_made(draft: Campaign) -> None:
    draft.template.variants.create(kind="sms", text="Ваш мастер {master}")
    ListMember.objects.filter(contact=Contact.objects.order_by("pk")[0]).update(variables={"master": "Ольга"})
    result = preflight.run(draft)
    assert [step.people for step in result.steps] == [10, 1]
    assert result.steps[1].cost == Decimal("4.80")


def test_only_what_a_channel_can_show_is_shown(draft: Campaign) -> None:
    draft.template.subject, draft.template.button = "Тема", "Приду"
    draft.template.save()
    for text in preflight.run(draft).texts:
        assert (text.has_subject, text.has_button) == (False, False), text.kind


def test_before_anybody_is_chosen_no_column_is_called_missing(draft: Campaign) -> None:
    draft.template.text = "Ваш мастер {master}. СТОП"
    draft.template.save()
    assert [one.mend for one in preflight.run(draft).blockers] == ["templates_app_messagetemplate"] * 2
    draft.lists.clear()
    assert [one.mend for one in preflight.run(draft).blockers] == ["campaigns_campaign"]


def test_M3_texts_too_long_for_a_channel_are_listed_before_the_launch(draft: Campaign) -> None:
    """Only one person's name is that long: the SMS step is left out for them, the others cost what they cost."""
    draft.template.text = "{name}, " + "скидка 15 % на мангалы! " * 40
    draft.template.save()
    before = preflight.run(Campaign.objects.get(pk=draft.pk))
    assert before.too_long == {}
    long = Contact.objects.order_by("pk").first()
    assert long is not None
    Contact.objects.filter(pk=long.pk).update(name="Я" * 190)
    result = preflight.run(Campaign.objects.get(pk=draft.pk))
    ((index, found),) = result.too_long.items()
    assert (index, found.people, found.examples) == (1, 1, ("Я" * 190,))
    assert _groups(result) == {"sent": 10}
    assert result.cost_to < before.cost_to
    assert any("1000" in one.text() for one in result.warnings)


def test_M3_a_text_too_long_for_everybody_reaches_nobody(draft: Campaign) -> None:
    draft.template.text = "ж" * 30_000
    draft.template.save()
    result = preflight.run(Campaign.objects.get(pk=draft.pk))
    assert _groups(result) == {"message_refused": 10}
    assert result.people == 0
    assert (result.cost_from, result.cost_to) == (Decimal(0), Decimal(0))


def test_a_large_audience_is_sampled_and_says_so(
    draft: Campaign, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "EXACT_UP_TO", 100)
    draft.lists.set([people(400, name="Много")])
    result = preflight.run(draft)
    assert not result.exact
    assert result.people == 400
    assert result.cost_to == Decimal("2960.00")
    with override("en"):
        assert result.say_cost().startswith("about from")


def test_a_text_without_variables_is_exact_at_any_size(
    draft: Campaign, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "EXACT_UP_TO", 10)
    monkeypatch.setattr(preflight, "PREVIEW_SAMPLE", 10)
    draft.template.text = "Скидка 15% на мангалы. СТОП - отписаться"
    draft.template.save()
    draft.lists.set([people(333, name="Много")])
    result = preflight.run(Campaign.objects.get(pk=draft.pk))
    assert result.exact
    assert result.cost_to == 333 * Decimal("7.40")
    assert result.texts


def test_warnings_say_what_will_annoy(draft: Campaign) -> None:
    draft.check_consent = False
    draft.save()
    places = {one.mend.value for one in preflight.run(draft).warnings}
    assert "campaigns_quiethours" in places
    assert "templates_app_messagetemplate" in places
    for one in preflight.run(draft).warnings:
        assert "%(" not in one.text()


def test_R12_a_robot_that_calls_wants_hours_of_its_own_and_no_advertising(draft: Campaign, chain: Chain) -> None:
    robot = create_channel("smsc_voice", "Робот", {"apikey": "key"})
    ChainStep.objects.create(chain=chain, order=2, channel=robot, wait=timedelta(minutes=30))

    def warned() -> str:
        with override("en"):
            return " ".join(one.text() for one in preflight.run(Campaign.objects.get(pk=draft.pk)).warnings)

    assert "a phone may ring at night" in warned()
    assert "article 18.2" in warned()
    QuietHours.objects.create(purpose="service", kind="voice", start=time(10), end=time(20))
    assert "a phone may ring at night" in warned(), "these hours are for another purpose"
    Campaign.objects.filter(pk=draft.pk).update(purpose="service")
    assert "a phone may ring at night" not in warned()
    assert "article 18.2" not in warned()
    found = windows_for(Campaign.objects.get(pk=draft.pk))
    assert set(found) == {ChannelKind.VOICE}, "hours of one kind narrow that kind alone"


def test_a_broken_text_does_not_break_the_page(draft: Campaign) -> None:
    draft.template.text = "{name"
    draft.template.save()
    result = preflight.run(Campaign.objects.get(pk=draft.pk))
    assert not result.ready
    assert result.people == 10
    assert result.texts == []


@pytest.mark.parametrize(("purpose", "warned"), [("marketing", True), ("service", False)])
def test_advertising_where_the_law_is_against_it_is_warned_about_before_the_launch(
    draft: Campaign, purpose: str, warned: bool, admin_client: Client
) -> None:
    Campaign.objects.filter(pk=draft.pk).update(purpose=purpose)
    page = admin_client.get(
        reverse("admin:campaigns_campaign_preflight", args=[draft.pk]), headers={"accept-language": "en"}
    )
    soup = BeautifulSoup(page.content, "html.parser")
    words = "platforms with restricted access"
    assert (words in soup.select_one("#launch").get_text()) is warned  # type: ignore[union-attr]
    assert (
        f"WhatsApp: The antimonopoly service sees an offence in advertising on {words}" in soup.get_text()
    ) is warned
    assert "document of its own" in soup.select_one("details").get_text()  # type: ignore[union-attr]
