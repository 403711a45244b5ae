"""MAX bots on the running engine: every answer and every deed of a person."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from django.conf import LazySettings

from channels.services.accounts import create_channel
from contacts.models import Reachability
from deliveries.models import Delivery, InboundMessage
from emulator.journal import Journal
from templates_app.models import MessageTemplate
from tests.channels.flows.conftest import Street
from tests.channels.flows.test_adapters import GONE, UNKNOWN, Cast, await_story, ops, sends, settled
from tests.deliveries.live import run_until, tell
from tests.plugins.processes import Processes, Running

CAST: Cast = [
    ("silent", ("accepted", "", "", "sent")),
    ("button", ("accepted", "", "", "replied")),
    ("reply", ("accepted", "", "", "replied")),
    ("click", ("accepted", "", "", "clicked")),
    ("refused", ("failed", GONE, "not_registered", "")),
    ("blocked", ("failed", GONE, "recipient_refused", "")),
    ("error_json", ("failed", "message_permanent", "message_refused", "")),
    ({"behaviour": "rate_limited", "times": 1}, ("accepted", "", "", "sent")),
    ("error_500", (*UNKNOWN, "", "")),
    ("html", (*UNKNOWN, "", "")),
    ("accept_reset", (*UNKNOWN, "", "")),
    ("truncated", (*UNKNOWN, "", "")),
]


def test_max_every_way(processes: Processes, street: Street, settings: LazySettings, emulator: Running) -> None:
    web = processes.web().url
    settings.PUBLIC_BASE_URL = web
    bot = create_channel("max_bot", "MAX", {"token": "f9LHtest"}, base_url=f"{street.emulator}/max_bot", rate=1000.0)
    url = f"{web}/hooks/{bot.pk}/{bot.callback_secret}/"
    tell(street.emulator, "callback_target", provider="max_bot", account="*", url=url, secret=bot.callback_secret)
    people = street.cast(bot, [behaviour for behaviour, _ in CAST])
    MessageTemplate.objects.create(
        name="Привет", text="{name}, ждём: {link}", button="Приду", link="https://shop.example/sale"
    )
    street.campaign(street.last_resort(bot, street.sms(), expect="clicked", wait=timedelta(seconds=12)), people)
    run_until(processes, lambda: settled(bot, len(CAST)))
    await_story(processes, bot, CAST)
    assert sorted(sends(street, "max_bot").values())[-2:] == [1, 2], "only the one told to come again came again"
    assert "POST /answers" in ops(street, "max_bot"), "the pressed button stopped spinning"
    assert ops(street, "max_bot").count("DELETE /messages") == 2, "taken back from those who gave no sign of life"
    assert InboundMessage.objects.exclude(payload="").get().attempt is not None
    assert Counter(Reachability.objects.filter(channel_id=bot.pk).values_list("state", flat=True)) == {
        "not_registered": 1
    }
    outcomes = Counter(Delivery.objects.filter(state="final").values_list("outcome", "outcome_milestone"))
    assert outcomes == {("reached", "replied"): 2, ("reached", "clicked"): 1}
    assert Journal.read(emulator.journal).repeated_refs() == {}
