"""What people decide about people, in the admin: who a stranger is, whether a doubtful answer was a refusal, whose link."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from contacts.models import Contact, ContactList, Invitation
from deliveries.models import InboundMessage, PersonPause
from deliveries.services import pausing
from tests.deliveries.conftest import Shop


@pytest.fixture
def bot(db: None, shop: Shop) -> Channel:
    made = shop.bot()
    ChannelState.objects.filter(channel=made).update(handle="salon_bot")
    return made


@pytest.fixture
def owner(admin_client: Client) -> Client:
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return admin_client


def said(bot: Channel, text: str, contact: Contact | None = None, number: int = 1) -> InboundMessage:
    return InboundMessage.objects.create(
        channel=bot, event_key=str(number), address="700", text=text, contact=contact, received_at=now()
    )


def test_a_stranger_is_recognised_from_the_list(owner: Client, bot: Channel) -> None:
    message, anna = said(bot, "Это Аня"), Contact.objects.create(phone="+79120000001", name="Анна")
    page = owner.get(reverse("admin:deliveries_inboundmessage_changelist") + "?sender=unknown").content.decode()
    who = reverse("admin:deliveries_inboundmessage_who", args=[message.pk])
    assert who in page
    assert "Анна" in owner.get(f"{who}?q=8 912 000-00-01").content.decode()
    assert "Nobody found" in owner.get(f"{who}?q=Пётр").content.decode()
    assert owner.post(who, {"contact": anna.pk}).status_code == 302
    assert InboundMessage.objects.get().contact == anna
    assert anna.addresses.get().value == "700"
    assert "known already" in owner.get(who, follow=True).content.decode()


def test_a_stranger_becomes_a_new_contact(owner: Client, bot: Channel) -> None:
    Contact.objects.create(phone="+79120000001", name="Анна")
    who = reverse("admin:deliveries_inboundmessage_who", args=[said(bot, "Я Пётр").pk])
    assert "has this phone already" in owner.post(who, {"new": "1", "phone": "89120000001"}).content.decode()
    assert "Give a name or a phone" in owner.post(who, {"new": "1"}).content.decode()
    assert owner.post(who, {"new": "1", "name": "Пётр"}).status_code == 302
    assert InboundMessage.objects.get().contact == Contact.objects.get(name="Пётр")


def test_a_doubtful_answer_is_read_and_decided_by_a_button(owner: Client, bot: Channel) -> None:
    anna = Contact.objects.create(phone="+79120000001", name="Анна", marketing_consent="granted")
    pausing.pause(anna.pk, said(bot, "пока не надо", anna))
    pause = PersonPause.objects.get()
    assert "пока не надо" in owner.get(reverse("admin:deliveries_personpause_changelist")).content.decode()
    assert "may be a refusal" in owner.get(reverse("admin:index")).content.decode()
    page = owner.get(reverse("admin:deliveries_personpause_change", args=[pause.pk])).content.decode()
    assert "no advertising any more" in page
    decide = reverse("admin:deliveries_personpause_decide", args=[pause.pk])
    assert owner.get(decide).status_code == 405
    assert owner.post(decide, {"decision": "nonsense"}).status_code == 400
    assert owner.post(decide, {"decision": "opt_out"}).status_code == 302
    anna.refresh_from_db()
    pause.refresh_from_db()
    assert (anna.marketing_consent, pause.decision) == ("withdrawn", "opt_out")
    assert "decided already" in owner.post(decide, {"decision": "go_on"}, follow=True).content.decode()
    page = owner.get(reverse("admin:deliveries_personpause_change", args=[pause.pk])).content.decode()
    assert "no advertising any more" not in page


def test_a_contact_s_own_link_is_made_by_a_button_and_shows_what_became_of_it(owner: Client, bot: Channel) -> None:
    anna = Contact.objects.create(phone="+79120000001", name="Анна")
    assert "Invitation link" in owner.get(reverse("admin:contacts_contact_change", args=[anna.pk])).content.decode()
    page = reverse("admin:channels_channel_invite", args=[anna.pk])
    assert "https://t.me" not in owner.get(page).content.decode(), "looking makes nothing"
    text = owner.post(page).content.decode()
    assert f"https://t.me/salon_bot?start={Invitation.objects.get().token}" in text
    assert "Not opened yet" in text
    Invitation.objects.update(used_at=now(), used_by="700", refused_at=now(), refused_by="666")
    assert "was refused" in owner.get(page).content.decode()
    ChannelState.objects.update(handle="")
    assert "no account to invite to" in owner.get(page).content.decode()


def test_the_channel_offers_its_link_its_people_and_a_greeting(owner: Client, bot: Channel) -> None:
    anna = Contact.objects.create(phone="+79120000001", name="Анна")
    anna.addresses.create(channel_id=bot.pk, value="700")
    page = owner.get(reverse("admin:channels_channel_change", args=[bot.pk])).content.decode()
    assert "https://t.me/salon_bot<" in page
    assert 'name="greeting"' in page
    made = owner.post(reverse("admin:campaigns_campaign_dialogue_list", args=[bot.pk]), follow=True).content.decode()
    assert "has 1 person" in made
    assert list(ContactList.objects.get().contacts.all()) == [anna]
