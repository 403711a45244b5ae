"""Letters about our letters on the running engine: returned ones, complaints, automatic and real answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from channels.models import ChannelPull, ChannelState
from channels.services import checks
from contacts.models import Contact, Reachability
from deliveries.management.commands.run_once import run_once
from deliveries.models import Attempt, Delivery, InboundMessage, Receipt
from emulator.journal import Journal
from tests.channels.flows.conftest import Street, told
from tests.channels.flows.test_adapters import GONE, TEXT, Cast, ops, sends
from tests.deliveries.live import requests_of, run_until, tell
from tests.plugins.processes import Processes, Running

CAST: Cast = [
    ("not_registered", ("failed", GONE, "not_registered", "accepted")),
    ("failed", ("failed", GONE, "recipient_refused", "accepted")),  # mailbox full: not remembered
    ("expired", ("failed", GONE, "not_delivered_in_time", "accepted")),
    ("refused_as_spam", ("failed", TEXT, "message_refused", "accepted")),
    ("delayed", ("accepted", "", "", "delivered")),  # no failure, and then it arrived
    ("reply", ("accepted", "", "", "replied")),
    ("stop", ("accepted", "", "", "accepted")),
    ("complaint", ("accepted", "", "", "accepted")),
    ("away", ("accepted", "", "", "accepted")),
]


def looking(done: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, with every mailbox looked into at each round: the engine waits half a minute between looks."""

    def asked() -> bool:
        ChannelPull.objects.update(next_at=now())
        return done()

    return asked


def test_letters_come_back_every_way(processes: Processes, street: Street, emulator: Running) -> None:
    mail, sms = street.reading_mailbox(), street.sms()
    opened = checks.check_mailbox(mail)
    assert opened is not None
    assert opened.ok, opened.text()
    run_once()  # the first look finds out where "new" begins
    people = street.cast(mail, [behaviour for behaviour, _ in CAST])
    street.campaign(street.last_resort(mail, sms, expect="read", wait=timedelta(minutes=10)), people)
    run_until(processes, looking(lambda: told(mail) == [want for _, want in CAST]))
    run_until(processes, looking(lambda: Delivery.objects.filter(outcome="stopped").count() == 2))
    gone = [attempt.delivery.contact_id for attempt in Attempt.objects.filter(channel=sms).select_related("delivery")]
    assert len(gone) == 4, "who was not reached got the SMS at once, nobody else"
    remembered = Reachability.objects.filter(channel_id=mail.pk).exclude(state="reachable")
    assert [one.state for one in remembered] == ["not_registered"], "a full mailbox is tried again next time"
    assert {one.text for one in InboundMessage.objects.all()} == {"Спасибо, приду!", "СТОП"}, "without what they quoted"
    consents = list(Contact.objects.order_by("pk").values_list("marketing_consent", flat=True))
    assert [n for n, one in enumerate(consents) if one == "withdrawn"] == [6, 7], "who wrote СТОП and who complained"
    outcomes = Counter(Delivery.objects.filter(state="final").values_list("outcome", "outcome_milestone"))
    assert outcomes == {("reached", "replied"): 1, ("stopped", "accepted"): 2}
    letters = requests_of(street, provider="smtp")
    assert {record["envelope_sender"] for record in letters} == {f"hello+{r['ref']}@shop.example" for r in letters}
    assert Journal.read(emulator.journal).repeated_refs() == {}
    # The look's place is lost (a worker died before it noted it): everything is read again, and nothing counted again.
    before = Receipt.objects.count(), InboundMessage.objects.count(), ops(street, "imap").count("fetch")
    ChannelPull.objects.filter(channel=mail).update(cursor="1:0")
    run_until(processes, looking(lambda: ChannelPull.objects.get(channel=mail).cursor != "1:0"))
    assert (Receipt.objects.count(), InboundMessage.objects.count()) == before[:2]
    assert ops(street, "imap").count("fetch") == 2 * before[2]


def test_the_world_s_other_letters_are_not_ours_and_a_wrong_password_is_said(
    processes: Processes, street: Street, admin_client: Client
) -> None:
    mail = street.reading_mailbox()
    known = Contact.objects.create(email="ann@people.example", name="Аня")
    run_once()
    for sender in ("supplier@other.example", "ANN@people.example"):
        letter = f"From: {sender}\nMessage-ID: <{sender}>\nSubject: price\n\nДобрый день"
        tell(street.emulator, "letter", mailbox="hello@shop.example", letter=letter)
    run_until(processes, looking(lambda: Receipt.objects.exclude(state="new").count() == 2))
    assert [(one.contact, one.text) for one in InboundMessage.objects.all()] == [(known, "Добрый день")]
    strange = Receipt.objects.get(state="ignored")
    assert strange.note
    assert bytes(strange.body) == b"", "what the supplier wrote is not kept"
    ChannelPull.objects.update(cursor="1:0")
    run_until(processes, looking(lambda: ChannelPull.objects.get(channel=mail).cursor != "1:0"))
    assert Receipt.objects.count() == 2, "and is known when it is read again"
    tell(street.emulator, "accounts", provider="imap", account="hello@shop.example", state="unauthorized")
    run_until(processes, looking(lambda: bool(ChannelPull.objects.get(channel=mail).trouble)))
    assert ChannelState.objects.get(channel=mail).breaker == "closed", "sending works as before"
    page = admin_client.get(reverse("admin:channels_channel_change", args=[mail.pk])).content.decode()
    assert "Invalid credentials" in page, "the channel's page says so"
    street.campaign(street.chain(mail, wait=timedelta(minutes=5), expect="read"), street.cast(mail, ["silent"]))
    run_until(processes, lambda: sum(sends(street, "smtp").values()) == 1)
    tell(street.emulator, "accounts", provider="imap", account="hello@shop.example", state="ok")
    run_until(processes, looking(lambda: not ChannelPull.objects.get(channel=mail).trouble))
