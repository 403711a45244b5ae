"""What the law says: one table, dated and with its source, on the channel's page and in docs."""

import re
from datetime import date

import pytest
from bs4 import BeautifulSoup
from django.urls import reverse

from cascade.vocabulary import ChannelKind, Purpose
from channels import legal
from channels.services.accounts import create_channel
from tests.ground.test_packaging import ROOT


def test_every_rule_is_dated_and_has_a_source():
    for note in legal.NOTES:
        assert date(2020, 1, 1) < note.dated <= legal.READ_ON
        assert note.kinds
        assert note.purposes
        assert note.source
        assert "%" not in note.text, "templates translate it as a variable, and look for it with %% then"
        assert note.url.startswith("https://") or "our reading" in note.source
    assert legal.page() == (ROOT / "docs" / "law.md").read_text(encoding="utf-8"), (
        "python -m channels.legal docs/law.md"
    )


@pytest.mark.parametrize(
    ("kind", "purpose", "words", "serious"),
    [
        (ChannelKind.VOICE, Purpose.MARKETING, "machine dials without a person", True),
        (ChannelKind.VOICE, Purpose.SERVICE, "machine dials", None),
        (ChannelKind.WHATSAPP, Purpose.MARKETING, "restricted access", True),
        (ChannelKind.TELEGRAM, Purpose.MARKETING, "restricted access", True),
        (ChannelKind.TELEGRAM, Purpose.SERVICE, "restricted access", None),
        (ChannelKind.SMS, Purpose.SERVICE, "refuse all mailings", False),
        (ChannelKind.EMAIL, Purpose.MARKETING, "consent given beforehand", False),
        (ChannelKind.MAX, Purpose.MARKETING, "document of its own", False),
    ],
)
def test_rules_belong_to_kinds_and_purposes(kind, purpose, words, serious):
    found = [note.serious for note in legal.notes_for([kind], [purpose]) if words in note.text]
    assert found == ([] if serious is None else [serious])


def test_nothing_binds_a_colleague_who_calls_by_hand():
    assert legal.notes_for([ChannelKind.OPERATOR]) == []


@pytest.mark.django_db
def test_the_channels_page_says_it_with_source_and_date(admin_client):
    channel = create_channel("smsc", "SMS", {"apikey": "k"})
    page = admin_client.get(
        reverse("admin:channels_channel_change", args=[channel.pk]), headers={"accept-language": "en"}
    )
    soup = BeautifulSoup(page.content, "html.parser")
    law = soup.select_one(".cascade-law")
    assert {link["href"] for link in law.select("a")} == {
        note.url for note in legal.notes_for([ChannelKind.SMS]) if note.url
    }
    assert re.search(r"Press:\s+rb\.ru\s*, 7 August 2025", law.get_text(" "))
    assert "not legal advice" in law.parent.get_text()
