"""Each adapter against its provider's wire format, on the running engine: every way an answer or a receipt can go.

The journal of the emulator and the attempts must tell the same story. Chains end in a silent second channel with an hour
of patience, so that each first attempt is judged alone.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from django.conf import LazySettings
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.services import checks
from channels.services.accounts import set_config
from contacts.models import Contact, Reachability
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, InboundMessage, Receipt
from deliveries.services import polling
from emulator.journal import Journal
from templates_app.models import MessageTemplate
from tests.channels.flows.conftest import Street, told
from tests.deliveries.live import journal, receive_callbacks, requests_of, run_until, tell
from tests.plugins.processes import ProcessError, Processes, Running

GONE = "recipient_permanent"
TEXT = "message_permanent"
UNKNOWN = ("unknown", "outcome_unknown")


def settled(first: Channel, people: int) -> bool:
    """Everybody's first step is over: reached, or gone on to the second channel."""
    open_there = Delivery.objects.exclude(state="final").filter(step=0).exists()
    return not open_there and Attempt.objects.filter(channel=first).values("delivery").distinct().count() == people


Cast = list[tuple[str | dict[str, Any], tuple[str, ...]]]


def await_story(processes: Processes, channel: Channel, cast: Cast) -> None:
    """Run until everybody's attempt reads as the cast says; fails with what reads otherwise."""
    wanted = {str(case): want for case, want in cast}

    def story() -> dict[str, tuple[str, ...]]:
        return dict(zip(wanted, told(channel), strict=False))

    try:
        run_until(processes, lambda: story() == wanted)
    except ProcessError:
        assert story() == wanted
        raise


def sends(street: Street, provider: str) -> Counter[str]:
    return Counter(record["recipient"] for record in requests_of(street, provider=provider))


def ops(street: Street, provider: str) -> list[str]:
    return [
        record.get("op", record["kind"]) for record in journal(street.emulator) if record.get("provider") == provider
    ]


# ---------------------------------------------------------------- SMSC

SMSC_CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("reversed", ("accepted", "", "", "delivered")),  # read, delivered, sent, each twice
    ("early", ("accepted", "", "", "delivered")),  # the receipt overtakes the answer
    ("expired", ("failed", GONE, "not_delivered_in_time", "accepted")),
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    # What was said against it is kept and changes nothing (I10).
    ("failed_then_delivered", ("accepted", GONE, "recipient_refused", "delivered")),
    ("delivered_then_failed", ("accepted", GONE, "recipient_refused", "delivered")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", GONE, "recipient_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("redirect", (*UNKNOWN, "", "")),
    ("reset", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # found by our own reference
    ("truncated", ("accepted", "", "", "delivered")),
    ("huge", ("accepted", "", "", "delivered")),
]


def test_smsc_every_way(processes: Processes, street: Street, emulator: Running) -> None:
    web = processes.web().url
    sms, messenger = street.sms(), street.messenger()
    receive_callbacks(street, web, sms)
    people = street.cast(sms, [behaviour for behaviour, _ in SMSC_CAST])
    street.campaign(street.last_resort(sms, messenger, expect="delivered", wait=timedelta(minutes=1)), people)
    await_story(processes, sms, SMSC_CAST)
    twice = {recipient for recipient, count in sends(street, "smsc").items() if count > 1}
    assert len(twice) == 1, "only the one that was told to come again came again"
    kept = Journal.read(emulator.journal)
    assert kept.holes() == []
    assert kept.repeated_refs() == {}
    learned = Counter(Reachability.objects.filter(channel_id=sms.pk).values_list("state", "source"))
    assert learned == {("not_registered", "send"): 1, ("invalid", "callback"): 1}
    assert {record["ttl"] for record in requests_of(street, provider="smsc")} == {60.0}, "life of a message = the wait"


def test_smsc_is_asked_in_batches_when_its_receipts_cannot_be_believed(processes: Processes, street: Street) -> None:
    """A wrong secret: every callback is refused, nothing is believed, and the truth comes by one question for all."""
    web = processes.web().url
    sms = street.sms()
    url = f"{web}/hooks/{sms.pk}/{sms.callback_secret}/"
    tell(street.emulator, "callback_target", provider="smsc", account="*", url=url, secret="not the secret")
    people = street.people(120)
    street.campaign(street.chain(sms, wait=timedelta(minutes=5)), people)
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").count() == 120)

    def answers() -> set[int]:
        return {record["code"] for record in journal(street.emulator) if record["kind"] == "callback"}

    run_until(processes, answers)
    assert answers() == {403}
    assert not Receipt.objects.exists()
    before = len(ops(street, "smsc"))
    Attempt.objects.update(next_poll_at=now())
    assert polling.poll_due() == 120
    asked = [r["ids"] for r in journal(street.emulator) if r.get("op") == "status"]
    assert ops(street, "smsc")[before:].count("status") == 2
    assert [ids.count(",") for ids in asked[-2:]] == [100, 20]
    run_until(processes, lambda: Attempt.objects.filter(delivered_at__isnull=False).count() == 120)


def test_smsc_takes_a_waiting_message_back_and_knows_its_money(processes: Processes, street: Street) -> None:
    sms, messenger = street.sms(), street.messenger()
    set_config(sms, {"recall_by_delete": True})
    sms.save()
    people = street.cast(sms, ["silent"])
    street.campaign(street.last_resort(sms, messenger, expect="delivered", wait=timedelta(seconds=2)), people)
    run_until(processes, lambda: Attempt.objects.filter(channel=messenger, state="accepted").exists())
    assert Attempt.objects.get(channel=sms).recalled_at is not None
    story = [r["provider"] + ":" + str(r.get("op", "send")) for r in journal(street.emulator) if "provider" in r]
    assert story.index("smsc:recall") < story.index("green:send")
    tell(street.emulator, "accounts", provider="smsc", account="*", balance="123.45")
    assert checks.ask_balance(sms).ok
    assert str(ChannelState.objects.get(channel=sms).balance) == "123.45"
    assert checks.self_test(sms).ok
    tell(street.emulator, "accounts", provider="smsc", account="*", state="unauthorized")
    assert checks.self_test(sms).failure == "auth"


# ---------------------------------------------------------------- GREEN-API

GREEN_CAST: Cast = [
    ("delivered", ("accepted", "", "", "delivered")),
    ("read", ("accepted", "", "", "read")),
    ("read_only", ("accepted", "", "", "read")),
    ("reversed", ("accepted", "", "", "read")),
    ("early", ("accepted", "", "", "delivered")),
    ("reply", ("accepted", "", "", "replied")),
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("failed_then_delivered", ("accepted", GONE, "recipient_refused", "delivered")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", TEXT, "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "delivered")),
    ("error_500", (*UNKNOWN, "", "")),
    ("error_json", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", ("accepted", "", "", "delivered")),  # the receipt names the only one in doubt
    ("truncated", ("accepted", "", "", "delivered")),
    ("hang", (*UNKNOWN, "", "")),
]


def test_green_api_every_way(processes: Processes, street: Street, emulator: Running) -> None:
    web = processes.web().url
    messenger, sms = street.messenger(), street.sms()
    receive_callbacks(street, web, messenger)
    people = street.cast(messenger, [behaviour for behaviour, _ in GREEN_CAST])
    street.campaign(street.last_resort(messenger, sms, expect="delivered", wait=timedelta(seconds=15)), people)
    run_until(processes, lambda: settled(messenger, len(GREEN_CAST)))
    await_story(processes, messenger, GREEN_CAST)
    assert sorted(sends(street, "green").values())[-2:] == [1, 2], "only the one that was told to come again did"
    kept = Journal.read(emulator.journal)
    assert kept.holes() == []
    assert kept.max_overlap() == 1
    silent = {want[0] for _, want in GREEN_CAST} - {"accepted"}
    gone_on = sum(1 for _, want in GREEN_CAST if want[0] in silent)
    assert sum(sends(street, "smsc").values()) == gone_on, "everybody not reached got the SMS, nobody else"


def test_green_api_asks_once_whether_a_person_is_there(processes: Processes, street: Street) -> None:
    messenger, sms = street.messenger(check_registration=True), street.sms()
    people = street.cast(messenger, ["delivered", "not_registered"])
    chain = street.last_resort(messenger, sms, expect="delivered", wait=timedelta(minutes=5))
    street.campaign(chain, people)
    run_until(processes, lambda: settled(messenger, 2))
    assert ops(street, "green").count("checkWhatsapp") == 2
    assert len(requests_of(street, provider="green")) == 1, "nothing was sent to who is not there"
    assert told(messenger)[1][:3] == ("failed", GONE, "not_registered")
    street.campaign(chain, people)
    run_until(processes, lambda: Attempt.objects.filter(channel=sms).count() == 2)
    run_until(processes, lambda: Delivery.objects.filter(outcome="reached").count() == 2)
    assert ops(street, "green").count("checkWhatsapp") == 2, "both answers were remembered"
    believed = dict(Reachability.objects.filter(channel_id=messenger.pk).values_list("state", "source"))
    assert believed == {"reachable": "check", "not_registered": "send"}


def test_green_api_polls_when_no_receipt_comes(processes: Processes, street: Street) -> None:
    messenger = street.messenger()
    tell(street.emulator, "accounts", provider="green", account="*", poll_lag=1.0)
    street.campaign(
        street.chain(messenger, wait=timedelta(seconds=20)), street.cast(messenger, ["delivered", "failed"])
    )
    run_until(processes, lambda: [one[0] for one in told(messenger)] == ["accepted", "failed"])
    run_until(processes, lambda: told(messenger)[0][3] == "delivered")
    assert ops(street, "green").count("getMessage") >= 2
    assert not Receipt.objects.exists()


def test_green_api_gets_nothing_while_its_phone_is_logged_out(processes: Processes, street: Street) -> None:
    """It would take the messages and send them hours later, after the fallback (R7)."""
    messenger, sms = street.messenger(), street.sms()
    tell(street.emulator, "accounts", provider="green", account="*", state="notAuthorized")
    street.campaign(street.chain(messenger, sms, wait=timedelta(minutes=5)), street.people(5))
    for _ in range(3):
        run_once()
    state = ChannelState.objects.get(channel=messenger)
    assert (state.breaker, state.trouble) == ("open", "auth")
    assert "scan the QR code" in state.last_error
    assert not requests_of(street)
    tell(street.emulator, "accounts", provider="green", account="*", state="authorized")
    ChannelState.objects.update(probe_at=now())
    run_until(processes, lambda: Attempt.objects.filter(channel=messenger, state="accepted").count() == 5)
    assert not requests_of(street, provider="smsc")


def test_I27_twenty_unknown_outcomes_in_a_row_stop_the_channel(processes: Processes, street: Street) -> None:
    """A provider that takes everything and answers nothing: a second's worth of messages is in doubt, not the list."""
    messenger, sms = street.messenger(rate=20.0), street.sms()
    street.campaign(street.chain(messenger, sms, wait=timedelta(minutes=10)), street.people(100, ending=6))
    run_until(processes, lambda: ChannelState.objects.get(channel=messenger).breaker == "open")
    for _ in range(4):
        run_once()
    state = ChannelState.objects.get(channel=messenger)
    assert (state.breaker, state.trouble) == ("open", "outcome_unknown")
    assert 20 <= len(requests_of(street, provider="green")) <= 60
    assert not requests_of(street, provider="smsc"), "and nobody falls through to the dearer channel"
    assert Delivery.objects.filter(wait_reason="channel_on_hold").count() >= 40


def test_green_api_says_itself_that_it_was_logged_out(processes: Processes, street: Street) -> None:
    """The webhook about the instance names no message: it is the account's trouble at once, and is not parked."""
    web = processes.web().url
    messenger = street.messenger()
    run_once()
    post(
        f"{web}/hooks/{messenger.pk}/{messenger.callback_secret}/",
        b'{"typeWebhook":"stateInstanceChanged","timestamp":1763770000,"stateInstance":"notAuthorized"}',
        Authorization=f"Bearer {messenger.callback_secret}",
    )
    run_once()
    assert ChannelState.objects.get(channel=messenger).breaker == "open"
    assert Receipt.objects.get().state == "applied"


# ---------------------------------------------------------------- Telegram

TELEGRAM_CAST: Cast = [
    ("silent", ("accepted", "", "", "sent")),
    ("button", ("accepted", "", "", "replied")),
    ("reply", ("accepted", "", "", "replied")),
    ("click", ("accepted", "", "", "clicked")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", GONE, "blocked", "")),
    ("error_json", ("failed", GONE, "not_registered", "")),  # ok: false with HTTP 200
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "sent")),
    ({"behaviour": "error_500", "times": 1}, ("accepted", "", "", "sent")),  # "restarting": not sent, tried again
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", (*UNKNOWN, "", "")),
    ("truncated", (*UNKNOWN, "", "")),
]


def test_telegram_every_way(processes: Processes, street: Street, settings: LazySettings, emulator: Running) -> None:
    web = processes.web().url
    settings.PUBLIC_BASE_URL = web
    bot, sms = street.bot(), street.sms()
    url = f"{web}/hooks/{bot.pk}/{bot.callback_secret}/"
    tell(street.emulator, "callback_target", provider="telegram", account="*", url=url, secret=bot.callback_secret)
    people = street.cast(bot, [behaviour for behaviour, _ in TELEGRAM_CAST])
    MessageTemplate.objects.create(
        name="Привет", text="{name}, ждём: {link}", button="Приду", link="https://shop.example/sale"
    )
    street.campaign(street.last_resort(bot, sms, expect="clicked", wait=timedelta(seconds=12)), people)
    run_until(processes, lambda: settled(bot, len(TELEGRAM_CAST)))
    await_story(processes, bot, TELEGRAM_CAST)
    assert sorted(sends(street, "telegram").values())[-3:] == [1, 2, 2]
    assert "answerCallbackQuery" in ops(street, "telegram"), "the pressed button stopped spinning"
    assert InboundMessage.objects.exclude(payload="").get().attempt is not None
    assert Reachability.objects.filter(channel_id=bot.pk, state="blocked").count() == 1
    assert ops(street, "telegram").count("deleteMessage") == 3, "taken back from those who gave no sign of life"
    outcomes = Counter(Delivery.objects.filter(state="final").values_list("outcome", "outcome_milestone"))
    assert outcomes == {("reached", "replied"): 2, ("reached", "clicked"): 1}
    assert Journal.read(emulator.journal).repeated_refs() == {}


def test_telegram_believes_nobody_without_the_secret_and_nothing_twice(processes: Processes, street: Street) -> None:
    web = processes.web().url
    bot = street.bot()
    people = street.cast(bot, ["silent"])
    street.campaign(street.chain(bot, wait=timedelta(minutes=5), expect="replied"), people)
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").exists())
    chat = Attempt.objects.get().address
    update = f'{{"update_id":7,"message":{{"message_id":9,"from":{{"id":{chat}}},"chat":{{"id":{chat},"type":"private"}},"text":"СТОП"}}}}'
    url = f"{web}/hooks/{bot.pk}/{bot.callback_secret}/"
    assert post(url, update.encode(), **{"X-Telegram-Bot-Api-Secret-Token": "wrong"}) == 403
    assert post(url, update.encode()) == 403
    run_once()
    assert Contact.objects.get().marketing_consent == "granted"
    for _ in range(3):
        assert post(url, update.encode(), **{"X-Telegram-Bot-Api-Secret-Token": bot.callback_secret}) == 200
    run_until(processes, lambda: Delivery.objects.filter(outcome="stopped").exists())
    assert InboundMessage.objects.count() == 1
    assert Contact.objects.get().marketing_consent == "withdrawn"


def test_telegram_an_unblocked_person_is_reachable_again(processes: Processes, street: Street) -> None:
    web = processes.web().url
    bot = street.bot()
    url = f"{web}/hooks/{bot.pk}/{bot.callback_secret}/"
    tell(street.emulator, "callback_target", provider="telegram", account="*", url=url, secret=bot.callback_secret)
    people = street.cast(bot, ["block"])
    street.campaign(street.chain(bot, wait=timedelta(minutes=5), expect="replied"), people)
    run_until(processes, lambda: Reachability.objects.filter(state="blocked", source="callback").exists())
    street.campaign(street.chain(bot, wait=timedelta(minutes=5), expect="replied"), people)
    run_until(processes, lambda: Delivery.objects.filter(outcome="exhausted").exists())
    assert len(requests_of(street, provider="telegram")) == 1, "known to be blocked: left without a call"
    tell(street.emulator, "block", provider="telegram", recipient=Attempt.objects.get().address, blocked=False)
    run_until(processes, lambda: Reachability.objects.filter(state="reachable", source="callback").exists())


# ---------------------------------------------------------------- e-mail

MAIL_CAST: Cast = [
    ("silent", ("accepted", "", "", "accepted")),
    ("click", ("accepted", "", "", "clicked")),
    ("refused", ("failed", GONE, "not_registered", "")),  # 550 5.1.1 at RCPT
    ("no_balance", ("failed", GONE, "recipient_refused", "")),  # 552 5.2.2: full today
    ("blocked", ("failed", TEXT, "message_refused", "")),  # 554 5.7.1 after the letter
    ({"behaviour": "error_500", "times": 1}, ("accepted", "", "", "accepted")),  # 451: greylisting
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "accepted")),  # 450 4.7.1
    ({"behaviour": "reset", "times": 1}, ("accepted", "", "", "accepted")),  # cut before the letter: tried again
    ("accept_reset", (*UNKNOWN, "", "")),  # cut after the final dot
    ("html", (*UNKNOWN, "", "")),
]


def test_smtp_every_way(processes: Processes, street: Street, settings: LazySettings, emulator: Running) -> None:
    web = processes.web().url
    settings.PUBLIC_BASE_URL = web
    mail, sms = street.mailbox(), street.sms()
    people = street.cast(mail, [behaviour for behaviour, _ in MAIL_CAST])
    template = MessageTemplate.objects.create(
        name="Привет", text="{name}, вот: {link}", subject="Для вас, {name}", link="https://shop.example/sale"
    )
    template.variants.create(kind="sms", text="{name}, ждём!")
    street.campaign(street.last_resort(mail, sms, expect="clicked", wait=timedelta(seconds=15)), people)
    run_until(processes, lambda: settled(mail, len(MAIL_CAST)))
    await_story(processes, mail, MAIL_CAST)
    letters = [r for r in requests_of(street, provider="smtp") if r["accepted"]]
    assert sends(street, "smtp").most_common(4)[-1][1] == 1
    by_person = {letter["recipient"]: letter for letter in letters}
    letter = by_person["person1x01@people.example"]
    attempt = Attempt.objects.get(channel=mail, address="person1x01@people.example")
    assert letter["headers"]["subject"] == "Для вас, Имя1"
    assert letter["headers"]["message-id"] == f"<{attempt.client_ref}@shop.example>"
    assert letter["headers"]["from"] == "Салон «Ёж» <hello@shop.example>"
    assert letter["html"]
    assert f"{web}/l/{attempt.client_ref}" in letter["text"]
    assert "http" not in requests_of(street, provider="smsc")[0]["text"], "the SMS has its own text"
    assert Journal.read(emulator.journal).holes() == []


def test_rfc_8058_one_click_on_the_wire(processes: Processes, street: Street, settings: LazySettings) -> None:
    """Both headers are there; GET shows a page and changes nothing; the mail program's POST ends all marketing."""
    web = processes.web().url
    settings.PUBLIC_BASE_URL = web
    mail, sms = street.mailbox(), street.sms()
    people = street.cast(mail, ["silent"])
    street.campaign(street.last_resort(mail, sms, expect="clicked", wait=timedelta(minutes=5)), people)
    run_until(processes, lambda: Attempt.objects.filter(state="accepted").exists())
    (letter,) = requests_of(street, provider="smtp")
    attempt = Attempt.objects.get()
    one_click = f"{web}/u/{attempt.client_ref}"
    assert letter["headers"]["list-unsubscribe"] == f"<{one_click}>"
    assert letter["headers"]["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    for method in ("GET", "HEAD", "GET"):
        with urlopen(Request(one_click, method=method), timeout=10) as page:
            assert page.status == 200
    run_once()
    assert Contact.objects.get().marketing_consent == "granted"
    assert Delivery.objects.get().state != "final"
    tell(street.emulator, "status", provider="smtp", recipient=letter["recipient"], status="one_click")
    run_until(processes, lambda: Delivery.objects.filter(outcome="stopped", outcome_reason="opted_out").exists())
    clicked = [r["code"] for r in journal(street.emulator) if r["kind"] == "one_click"]
    assert clicked == [200], "answered at once: no redirect, no question back"
    assert Contact.objects.get().marketing_consent == "withdrawn"
    assert not requests_of(street, provider="smsc")


def test_a_service_letter_has_no_unsubscribe(processes: Processes, street: Street) -> None:
    mail = street.mailbox()
    people = street.cast(mail, ["silent"])
    street.campaign(street.chain(mail, wait=timedelta(minutes=5), expect="clicked"), people, purpose="service")
    run_until(processes, lambda: bool(requests_of(street, provider="smtp")))
    (letter,) = requests_of(street, provider="smtp")
    assert "list-unsubscribe" not in letter["headers"]


def test_a_refused_login_is_the_mailbox_s_trouble_and_nobody_s_fault(processes: Processes, street: Street) -> None:
    mail = street.mailbox()
    tell(street.emulator, "accounts", provider="smtp", account="hello", state="unauthorized")
    street.campaign(
        street.chain(mail, wait=timedelta(minutes=5), expect="clicked"), street.cast(mail, ["delivered"] * 8)
    )
    run_until(processes, lambda: ChannelState.objects.get(channel=mail).breaker == "open")
    assert not Delivery.objects.filter(state="final").exists()
    assert checks.self_test(mail).failure == "auth"
    tell(street.emulator, "accounts", provider="smtp", account="hello", state="ok")
    assert checks.self_test(mail).ok


def post(url: str, body: bytes, **headers: str) -> int:
    try:
        with urlopen(Request(url, body, {"Content-Type": "application/json", **headers}), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
