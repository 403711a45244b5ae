"""From a messy file to the last kopeck by the commands an owner's script would use, on real processes.

Nobody calls the engine here: beat's rows drive it. The emulator's journal, which knows nothing of our database, is
the judge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils.timezone import now

from campaigns.models import Campaign
from contacts.models import Contact, ContactList
from deliveries.models import Attempt, Delivery
from templates_app.models import MessageTemplate
from tests.deliveries.live import receive_callbacks, requests_of, tell
from tests.flows.conftest import Installation

pytestmark = [pytest.mark.processes, pytest.mark.slow]

#: Who, how the phone is spelled, which mail, what happens there (the last two digits before the @), consent.
#: Phones end in 00 (delivered) or 01 (silence), mail in 19 (the link is followed), 01 (silence), 02 or 03 (refused).
PEOPLE = [
    *((f"Клик{n}", f"8 (912) 100-{n:02d}-00", f"klik{n}.19@example.ru", "да") for n in range(4)),
    *((f"Молчит{n}", f"+7 912 200 {n:02d} 00", f"tih{n}.01@example.ru", "да") for n in range(5)),
    *((f"Без почты{n}", f"9123000{n:d}00"[:10], "", "да") for n in range(2)),
    *((f"Только смс{n}", f"7-912-400-{n:02d}-01", f"sms{n}.01@example.ru", "да") for n in range(6)),
    *((f"Против{n}", f"+7912500{n:02d}00", f"net{n}.19@example.ru", "нет") for n in range(2)),
]
JUNK = [("Дубль", "+79121000000", "", "да"), ("Без номера", "12", "", "да")]
PRICES = {"smtp": Decimal("0.10"), "green": Decimal("2.60"), "smsc": Decimal("4.80")}


def write_csv(folder: Path) -> Path:
    file = folder / "клиенты.csv"
    rows = ["Имя;Телефон;E-mail;Согласие", *(";".join(row) for row in [*PEOPLE, *JUNK])]
    file.write_bytes("\r\n".join(rows).encode("cp1251"))
    return file


def test_three_channels_from_the_file_to_the_report(engine: Installation, tmp_path: Path) -> None:
    """E-mail until the link is followed, then the messenger until delivered, then SMS."""
    shop = engine.shop
    email = engine.email(price=PRICES["smtp"], charged_on="accepted")
    messenger = shop.messenger(price=PRICES["green"], charged_on="delivered")
    sms = shop.sms(price=PRICES["smsc"])
    for wire, channel, charged_on in (
        ("smtp", email, "accepted"),
        ("green", messenger, "delivered"),
        ("smsc", sms, "accepted"),
    ):
        engine.price(wire, str(PRICES[wire]), charged_on)
        if wire != "smtp":
            receive_callbacks(shop, engine.web, channel)
    chain = shop.chain(email, messenger, sms, wait=timedelta(seconds=4))
    chain.steps.filter(channel=email).update(expect="clicked")
    template = MessageTemplate.objects.create(
        name="Скидка", subject="Скидка", text="{name}, скидка: {link}", link="https://shop.example/sale"
    )

    said = engine.manage_json("import_contacts", str(write_csv(tmp_path)), "--list", "Клиенты", "--consent-column")
    assert said["rows"] == len(PEOPLE) + len(JUNK)
    assert said["imported"] + said["updated"] + said["duplicate"] + said["rejected"] == said["rows"]
    assert (said["imported"], said["duplicate"], said["rejected"]) == (len(PEOPLE), 1, 1)

    phones = list(Contact.objects.filter(name__startswith="Только смс").values_list("phone", flat=True))
    tell(shop.emulator, "rules", provider="smsc", recipients=phones, behaviour="delivered")
    campaign = Campaign.objects.create(name="Скидка", chain=chain, template=template)
    campaign.lists.add(ContactList.objects.get(name="Клиенты"))
    assert engine.manage_json("launch_campaign", str(campaign.pk))["status"] == "launching"
    assert engine.manage("launch_campaign", str(campaign.pk), fails=True).startswith("CommandError: ")
    engine.until_status(campaign, "finished")

    report = engine.manage_json("campaign_report", str(campaign.pk))
    people = engine.recipients(campaign)
    requests, charges = engine.journal("request"), engine.journal("charge")

    assert report["planned"] == len(people) == len(PEOPLE) == sum(report["outcomes"].values())
    assert report["balanced"] and report["over"] and report["open"] == 0
    assert report["outcomes"] == {"reached": 17, "suppressed": 2}
    assert [step["reached"] for step in report["steps"]] == [4, 7, 6]
    assert [step["entered"] for step in report["steps"]] == [15, 13, 6]
    assert report["steps"][0]["skipped"] == {"no_address": 2}

    # Money: the report, the table of people, and what the providers say they charged.
    charged = sum((Decimal(one["amount"]) for one in charges), Decimal(0))
    assert charged == Decimal("1.50") + 7 * Decimal("2.60") + 6 * Decimal("4.80")
    assert Decimal(report["cost"]) == charged == sum(Decimal(one["cost"]) for one in people)
    by_wire: dict[str, Decimal] = defaultdict(Decimal)
    for one in charges:
        by_wire[one["provider"]] += Decimal(one["amount"])
    assert [Decimal(step["cost"]) for step in report["steps"]] == [by_wire[wire] for wire in ("smtp", "green", "smsc")]

    # People: whoever is reached by a step was written to by it once, and by no later one.
    sent = Counter((one["provider"], one["recipient"]) for one in requests)
    assert set(sent.values()) == {1}
    by_name = {one["name"]: one for one in people}
    for name, _, mail, consent in PEOPLE:
        one = by_name[name]
        wires = {"Клик": ["smtp"], "Молч": ["smtp", "green"], "Без ": ["green"], "Толь": ["smtp", "green", "smsc"]}
        expected = wires.get(name[:4], []) if consent == "да" else []
        phone = Delivery.objects.get(pk=one["delivery_id"]).contact.phone.lstrip("+")
        got = [wire for wire in ("smtp", "green", "smsc") if sent[wire, mail if wire == "smtp" else phone]]
        assert got == expected, name
        costs = {"smtp": PRICES["smtp"], "green": PRICES["green"] * (one["step"] == 2), "smsc": PRICES["smsc"]}
        assert Decimal(one["cost"]) == sum((costs[wire] for wire in got), Decimal(0)), name
        assert one["outcome"] == ("reached" if got else "suppressed") and one["flags"] == [], name
    assert by_name["Против0"]["reason"] == "no_consent"


def test_a_scheduled_start_a_pause_a_resume_and_a_cancel(engine: Installation) -> None:
    shop = engine.shop
    messenger = shop.messenger(rate=4.0)
    campaign = shop.campaign(
        shop.chain(messenger, shop.sms(), wait=timedelta(minutes=10)),
        shop.people(60, ending=1),
        status="draft",
        launched_at=None,
        scheduled_at=now() + timedelta(seconds=12),
    )
    pk = str(campaign.pk)
    assert engine.manage_json("launch_campaign", pk)["status"] == "scheduled"
    engine.until_ticked()
    if now() < campaign.scheduled_at:
        assert not Delivery.objects.exists() and not requests_of(shop)

    engine.until(lambda: len(requests_of(shop)) >= 4, "the scheduled start")
    assert Campaign.objects.get(pk=campaign.pk).launched_at >= campaign.scheduled_at
    assert min(Attempt.objects.values_list("called_at", flat=True)) >= campaign.scheduled_at

    assert engine.manage_json("pause_campaign", pk)["done"]
    called = Attempt.objects.count()
    for _ in range(3):
        engine.until_ticked()
    assert Attempt.objects.count() == called == len(requests_of(shop))
    report = engine.manage_json("campaign_report", pk)
    assert (report["status"], report["planned"], report["open"]) == ("paused", 60, 60)
    assert engine.manage("pause_campaign", pk, fails=True).startswith("CommandError: ")

    assert engine.manage_json("resume_campaign", pk)["done"]
    engine.until(lambda: len(requests_of(shop)) >= called + 4, "more after the resume")

    assert engine.manage_json("cancel_campaign", pk)["done"]
    called = Attempt.objects.count()
    engine.until(lambda: Campaign.objects.get(pk=campaign.pk).finished_at, "the books are closed")
    report = engine.manage_json("campaign_report", pk)
    assert report["status"] == "cancelled"
    assert report["outcomes"] == {"stopped": 60} and report["balanced"]
    assert Attempt.objects.count() == called == len(requests_of(shop)) < 60
    assert max(Counter(one["recipient"] for one in requests_of(shop)).values()) == 1
