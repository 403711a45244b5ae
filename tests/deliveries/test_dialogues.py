"""Who is talking to us: invitations, shared phones, strangers, refusals and answers that may be one."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from campaigns.models import Campaign
from channels.models import Channel, ChannelState
from channels.providers.base import CallbackRequest
from channels.services import checks, invites
from contacts.models import Contact, ContactAddress, ContactList, Invitation, Suppression
from contacts.services import invitations
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, InboundMessage, PersonPause
from deliveries.services import advance, dialogues, launch, pausing, receipts
from templates_app.models import MessageTemplate
from tests.deliveries.conftest import Shop
from tests.deliveries.hands import answer, call_out
from tests.deliveries.live import journal, requests_of, run_until, tell
from tests.plugins.processes import Processes

LONG = timedelta(minutes=10)
_numbers = iter(range(1, 1_000_000))


def hear(bot: Channel, chat: str, text: str = "", **more: Any) -> InboundMessage:
    """A person wrote to the bot."""
    person = {"id": int(chat), "is_bot": False}
    message = {"message_id": 9, "from": person, "chat": {"id": int(chat), "type": "private"}, "text": text, **more}
    update = {"update_id": next(_numbers), "message": message}
    receipts.store(bot.pk, CallbackRequest("POST", {}, {}, json.dumps(update).encode()))
    receipts.process()
    return InboundMessage.objects.order_by("pk").last()  # type: ignore[return-value]


@pytest.fixture
def bot(db: None, shop: Shop) -> Channel:
    made = shop.bot()
    ChannelState.objects.filter(channel=made).update(handle="salon_bot")
    return made


def person(phone: str = "+79120000001", **fields: Any) -> Contact:
    return Contact.objects.create(phone=phone, name="Анна", **{"marketing_consent": "granted", **fields})


def token_of(contact: Contact, bot: Channel) -> str:
    return invitations.issue([contact.pk], bot.pk)[contact.pk]


# ---------------------------------------------------------------- invitations


def test_who_comes_with_an_invitation_is_the_invited_person(bot: Channel) -> None:
    anna = person()
    token = token_of(anna, bot)
    assert len(token) == 16
    assert token_of(anna, bot) == token, "one link per person, however often it is shown"
    said = hear(bot, "700", f"/start {token}")
    assert (said.contact, said.note, said.intent) == (anna, "invited", "")
    assert ContactAddress.objects.get(contact=anna, channel_id=bot.pk).value == "700"
    again = hear(bot, "700", f"/start {token}")
    assert (again.contact, again.note) == (anna, "invited")


def test_somebody_else_s_invitation_is_refused_and_that_is_kept(bot: Channel) -> None:
    anna = person()
    token = token_of(anna, bot)
    hear(bot, "700", f"/start {token}")
    said = hear(bot, "666", f"/start {token}")
    assert (said.contact, said.note) == (None, "foreign")
    assert ContactAddress.objects.get(channel_id=bot.pk).value == "700"
    kept = Invitation.objects.get()
    assert (kept.used_by, kept.refused_by) == ("700", "666")


def test_an_invitation_runs_out_and_the_next_link_is_another(bot: Channel) -> None:
    anna = person()
    token = token_of(anna, bot)
    Invitation.objects.update(expires_at=now() - timedelta(seconds=1))
    assert hear(bot, "700", f"/start {token}").note == "expired"
    assert token_of(anna, bot) != token
    assert hear(bot, "700", "/start no-such-token").note == "unknown"
    assert not ContactAddress.objects.exists()


def test_R10_opening_a_dialogue_answers_nothing(bot: Channel, shop: Shop) -> None:
    """An SMS with the link stands; who follows it has not answered it."""
    people = shop.people(1)
    shop.campaign(shop.chain(shop.messenger(), wait=LONG, expect="read"), people)
    launch.launch_due()
    advance.advance_due()
    answer(call_out(Channel.objects.get(provider="green_api_whatsapp")))
    hear(bot, "700", f"/start {token_of(Contact.objects.get(), bot)}")
    assert Delivery.objects.get().stop_reason == ""


def test_the_text_carries_each_person_s_own_link_and_no_file_can_stand_in_for_it(bot: Channel, shop: Shop) -> None:
    people = shop.people(3)
    people.members.update(variables={"telegram_link": "https://evil.example"})
    text = MessageTemplate.objects.create(name="Зовём", text="{name}, пишите: {telegram_link}")
    messenger = shop.messenger()
    Campaign.objects.all()
    campaign = shop.campaign(shop.chain(messenger, wait=LONG), people)
    Campaign.objects.filter(pk=campaign.pk).update(template=text)
    launch.launch_due()
    advance.advance_due()
    said = {one.row.contact_id: one.message.text for one in call_out(messenger)}
    tokens = dict(Invitation.objects.values_list("contact_id", "token"))
    assert len(set(tokens.values())) == 3
    for contact_id, words in said.items():
        assert words.endswith(f"пишите: https://t.me/salon_bot?start={tokens[contact_id]}")


def test_without_a_bot_the_step_is_left_and_the_launch_is_refused_before(db: None, shop: Shop) -> None:
    from campaigns.services.readiness import blockers

    people = shop.people(1)
    text = MessageTemplate.objects.create(name="Зовём", text="Пишите: {ссылка_telegram}")
    campaign = shop.campaign(shop.chain(shop.messenger(), wait=LONG), people)
    Campaign.objects.filter(pk=campaign.pk).update(template=text)
    campaign.refresh_from_db()
    assert any("no account it could lead to" in one.message for one in blockers(campaign))
    launch.launch_due()
    advance.advance_due()
    assert call_out(Channel.objects.get()) == []
    assert Delivery.objects.get().trail == "empty_variable"


def test_a_bot_s_name_comes_from_the_connection_check(processes: Processes, live_shop: Shop) -> None:
    bot = live_shop.bot()
    assert list(invites.inviters()) == []
    assert checks.self_test(bot).ok
    (one,) = invites.inviters()
    assert one.link("t") == "https://t.me/emulated_bot?start=t"
    assert invites.samples()["telegram"].startswith("https://t.me/emulated_bot?start=")


# ---------------------------------------------------------------- contact cards


def card(number: str, owner: int | None) -> dict[str, Any]:
    return {"contact": {"phone_number": number, "first_name": "А", **({"user_id": owner} if owner else {})}}


def test_a_phone_is_believed_only_from_its_owner(bot: Channel) -> None:
    anna = person("+79120000001")
    for owner in (701, None):
        said = hear(bot, "700", **card("79120000001", owner))
        assert (said.contact, said.note) == (None, "alien_card")
    assert not ContactAddress.objects.exists()
    said = hear(bot, "700", **card("79120000001", 700))
    assert (said.contact, said.note) == (anna, "own_card")
    assert ContactAddress.objects.get().contact == anna


def test_a_phone_nobody_has_makes_a_card_with_the_stop_of_the_phone(bot: Channel) -> None:
    from contacts.models import SuppressionScope
    from contacts.services import suppressions

    suppressions.suppress("+79125556677", SuppressionScope.MARKETING, "просил", "test")
    said = hear(bot, "700", **card("+7 912 555-66-77", 700))
    assert said.contact is not None
    assert (said.contact.phone, said.contact.suppressed) == ("+79125556677", SuppressionScope.MARKETING)


def test_who_opens_a_dialogue_is_greeted_once_and_a_stranger_asked_for_the_phone(
    processes: Processes, live_shop: Shop
) -> None:
    bot = live_shop.bot(greeting="Здравствуйте! Это салон «Ёж».", ask_phone=True, incoming="pull")
    checks.self_test(bot)
    anna = person()
    tell(live_shop.emulator, "inbound", provider="telegram", recipient="700", text="/start")
    tell(live_shop.emulator, "inbound", provider="telegram", recipient="701", text=f"/start {token_of(anna, bot)}")
    run_until(processes, lambda: len(requests_of(live_shop, provider="telegram")) == 2)
    run_once()
    said = {one["recipient"]: one["text"] for one in requests_of(live_shop, provider="telegram")}
    assert said == {"700": bot.greeting, "701": bot.greeting}
    assert len(requests_of(live_shop, provider="telegram")) == 2
    assert [one["op"] for one in journal(live_shop.emulator) if one.get("op") == "asks for the phone"] == [
        "asks for the phone"
    ]


# ---------------------------------------------------------------- refusals, doubts, yes and no


def test_P20_a_doubtful_answer_holds_marketing_until_somebody_has_read_it(bot: Channel, shop: Shop) -> None:
    people, messenger = shop.people(2), shop.messenger()
    anna = Contact.objects.order_by("pk")[0]
    ContactAddress.objects.create(contact=anna, channel_id=bot.pk, value="700")
    said = hear(bot, "700", "Пока не надо")
    assert said.intent == "doubtful"
    pause = PersonPause.objects.get()
    assert (pause.contact, pause.message, pause.decision) == (anna, said, "")
    shop.campaign(shop.chain(messenger, wait=LONG), people)
    shop.campaign(shop.chain(messenger, wait=LONG), people, purpose="service")
    launch.launch_due()
    advance.advance_due()
    held = Delivery.objects.get(contact=anna, plan__purpose="marketing")
    assert (held.state, held.wait_reason) == ("waiting", "person_asked")
    assert sorted(one.row.contact_id for one in call_out(messenger)).count(anna.pk) == 1, "service messages go on"
    assert pausing.decide(pause.pk, "go_on", None)
    advance.advance_due()
    assert [one.row.contact_id for one in call_out(messenger)] == [anna.pk]
    assert not pausing.decide(pause.pk, "opt_out", None) or PersonPause.objects.get().decision == "go_on"


def test_I3_a_pause_stored_between_decision_and_call_holds_the_message(bot: Channel, shop: Shop) -> None:
    people, messenger = shop.people(1), shop.messenger()
    ContactAddress.objects.create(contact=Contact.objects.get(), channel_id=bot.pk, value="700")
    shop.campaign(shop.chain(messenger, wait=LONG), people)
    launch.launch_due()
    advance.advance_due()
    assert Delivery.objects.get().state == "ready"
    hear(bot, "700", "не сейчас")
    assert call_out(messenger) == []
    advance.advance_due()
    assert Delivery.objects.get().wait_reason == "person_asked"
    PersonPause.objects.update(began_at=now() - timedelta(days=8), ends_at=now() - timedelta(days=1))
    Delivery.objects.update(due_at=now() - timedelta(minutes=5))
    advance.advance_due()
    assert len(call_out(messenger)) == 1, "not now is not never: nobody waits for ever"


def test_a_doubt_read_as_a_refusal_is_one(bot: Channel, shop: Shop) -> None:
    people, messenger = shop.people(1), shop.messenger()
    anna = Contact.objects.get()
    ContactAddress.objects.create(contact=anna, channel_id=bot.pk, value="700")
    hear(bot, "700", "опять вы")
    shop.campaign(shop.chain(messenger, wait=LONG), people)
    launch.launch_due()
    advance.advance_due()
    assert pausing.decide(PersonPause.objects.get().pk, "opt_out", None)
    advance.advance_due()
    assert Delivery.objects.get().outcome_reason == "opted_out"
    anna.refresh_from_db()
    assert (anna.marketing_consent, anna.suppressed) == ("withdrawn", 1)
    assert anna.consents.get().evidence == "опять вы"


@pytest.mark.parametrize(
    ("words", "milestone", "intent"), [("Да, приду", "goal", "yes"), ("Нет, не приду", "replied", "no")]
)
def test_yes_is_the_goal_of_a_step_that_asks_for_it_and_no_is_not(
    bot: Channel, shop: Shop, words: str, milestone: str, intent: str
) -> None:
    people = shop.people(1)
    ContactAddress.objects.create(contact=Contact.objects.get(), channel_id=bot.pk, value="700")
    shop.campaign(shop.chain(bot, wait=LONG, expect="goal"), people)
    launch.launch_due()
    advance.advance_due()
    answer(call_out(bot))
    said = hear(bot, "700", words)
    assert said.intent == intent
    advance.advance_due()
    done = Delivery.objects.get()
    assert (done.state, done.outcome_milestone) == ("final", milestone)
    assert (Attempt.objects.get().goal_at is not None) is (milestone == "goal")


# ---------------------------------------------------------------- strangers


def test_a_stranger_s_words_wait_and_count_when_somebody_recognises_them(bot: Channel) -> None:
    first, second = hear(bot, "700", "Здравствуйте"), hear(bot, "700", "СТОП")
    other = hear(bot, "701", "Ау")
    assert [one.contact for one in (first, second, other)] == [None, None, None]
    anna = person()
    assert dialogues.assign(first.pk, anna.pk) == 2
    anna.refresh_from_db()
    assert anna.marketing_consent == "withdrawn"
    assert Suppression.objects.count() == 2, "the phone and the chat"
    assert InboundMessage.objects.filter(contact=anna, note="assigned").count() == 2
    assert hear(bot, "700", "Спасибо").contact == anna
    assert InboundMessage.objects.get(pk=other.pk).contact is None


def test_a_number_that_is_on_no_card_can_be_given_to_a_person(db: None, shop: Shop) -> None:
    messenger = shop.messenger()
    body = {
        "typeWebhook": "incomingMessageReceived",
        "idMessage": "IN1",
        "senderData": {"chatId": "79998887766@c.us"},
        "messageData": {"typeMessage": "textMessage", "textMessageData": {"textMessage": "Привет"}},
    }
    receipts.store(messenger.pk, CallbackRequest("POST", {}, {}, json.dumps(body).encode()))
    receipts.process()
    said = InboundMessage.objects.get()
    assert dialogues.phone_of(said) == "+79998887766"
    anna = person()
    dialogues.assign(said.pk, anna.pk)
    body |= {"idMessage": "IN2"}
    receipts.store(messenger.pk, CallbackRequest("POST", {}, {}, json.dumps(body).encode()))
    receipts.process()
    assert InboundMessage.objects.filter(contact=anna).count() == 2
    assert ContactList.objects.count() == 0


# ---------------------------------------------------------------- subscribers


def test_a_campaign_to_everybody_with_a_living_dialogue_needs_no_list(bot: Channel, shop: Shop) -> None:
    from campaigns.selectors import audience
    from campaigns.services import subscribers
    from contacts.models import Reachability

    messenger = shop.messenger()
    talks, blocked, wrote, found, silent = (person(f"+7912000001{number}") for number in range(5))
    for one in (talks, blocked):
        ContactAddress.objects.create(contact=one, channel_id=bot.pk, value=f"70{one.pk}")
    ContactAddress.objects.create(contact=found, channel_id=bot.pk, value="7099", found_for="+79120000013")
    Reachability.objects.create(
        contact=blocked,
        channel_id=bot.pk,
        address=f"70{blocked.pk}",
        state="blocked",
        until=now() + timedelta(days=1),
        source="callback",
    )
    for number, one in enumerate((wrote, silent)):
        channel = bot if one == wrote else messenger
        InboundMessage.objects.create(
            channel=channel, event_key=str(number), address="1", contact=one, text="Ау", received_at=now()
        )
    text = MessageTemplate.objects.create(name="Привет", text="Привет!")
    chain = shop.chain(messenger, wait=LONG)
    campaign = Campaign.objects.create(name="Подписчикам", chain=chain, template=text, status="launching")
    assert audience(campaign).count() == 0
    campaign.dialogues.add(bot)
    assert set(audience(campaign)) == {talks, wrote}
    assert set(subscribers.make_list(bot).contacts.all()) == {talks, wrote}
    launch.launch_due()
    assert set(Delivery.objects.values_list("contact_id", flat=True)) == {talks.pk, wrote.pk}
