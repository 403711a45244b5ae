"""Connecting an account: each tick is a fact, and what is missing is said with what to do."""

from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.timezone import now

from cascade.vocabulary import FailureClass, Milestone, Reason
from channels.models import Chain, Channel, ChannelPull, ChannelSetup, ChannelState
from channels.providers.base import CallbackRequest, SentMessage, StatusReport
from channels.services import accounts, setup
from channels.services.setup import Key, Mark
from deliveries.models import Receipt
from deliveries.services import receipts
from tests.channels.fakes import make_channel
from tests.channels.test_checks import provider

__all__ = ["provider"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fakes", "fake_cards")]


@pytest.fixture(autouse=True)
def _public(settings):
    settings.PUBLIC_BASE_URL = "https://shop.example"


@pytest.fixture
def owner(admin_client):
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return admin_client


def marks(channel):
    return {step.key: step.mark for step in setup.steps(channel)}


def shown(client, channel):
    page = client.get(reverse("admin:channels_channel_change", args=[channel.pk]))
    assert page.status_code == 200
    return BeautifulSoup(page.content, "html.parser")


def step_text(soup, key):
    return soup.select_one(f"[data-step={key}]").get_text(" ", strip=True)


def sent(channel, ident="42", address="+79160000041", ago=0):
    """A test message as checks.send_test reports it."""
    message = SentMessage("r" * 22, address, ident, now() - timedelta(seconds=ago))
    setup.note_test(channel, User.objects.filter(is_superuser=True).first(), "8 916 000-00-41", message)


def told(milestone=None, failure=None, ident="42", **fields):
    return StatusReport("e", "raw", provider_message_id=ident, milestone=milestone, failure=failure, **fields)


def test_the_steps_follow_from_what_the_wire_can():
    sms, bot, mail = (make_channel(f"fake_{slug}") for slug in ("sms", "telegram", "email"))
    assert list(marks(sms)) == list(Key)
    assert marks(sms) == {
        Key.ENTERED: Mark.DONE,
        Key.CHECKED: Mark.OPEN,
        Key.RECEIPTS: Mark.OPEN,
        Key.TESTED: Mark.OPEN,
        Key.HEARD: Mark.LATER,
        Key.CHAINED: Mark.OPEN,
    }
    assert marks(bot)[Key.RECEIPTS] is Mark.OPEN
    assert Key.RECEIPTS in marks(mail), "its reading is reported by callback"


def test_without_a_public_address_it_is_said_what_that_means(settings, owner):
    settings.PUBLIC_BASE_URL = "http://localhost:8000"
    sms, bot = make_channel("fake_sms"), make_channel("fake_telegram")
    assert marks(sms)[Key.RECEIPTS] is Mark.NOTE, "statuses are asked for"
    assert marks(bot)[Key.RECEIPTS] is Mark.TROUBLE, "a bot hears nothing"
    assert "statuses are asked for" in step_text(shown(owner, sms), "receipts")
    page = shown(owner, bot)
    assert "no STOP" in step_text(page, "receipts")
    assert not page.select("form[action$='/receipts/']")
    sent(bot)
    assert marks(bot)[Key.HEARD] is Mark.LATER, "nothing is awaited that cannot come"


def test_a_check_is_kept_with_its_words_and_forgotten_with_its_credentials(owner, provider):
    channel = make_channel("fake_sms", base_url=provider.url)
    provider.answers["/me"] = (403, "")
    owner.post(reverse("admin:channels_channel_check_now", args=[channel.pk]))
    assert marks(channel)[Key.CHECKED] is Mark.TROUBLE
    page = shown(owner, channel)
    assert "refuses the token" in step_text(page, "checked")
    assert page.select_one("[data-step=checked]")["class"] == ["is-trouble", "is-current"]
    provider.answers["/me"] = (200, "")
    owner.post(reverse("admin:channels_channel_check_now", args=[channel.pk]))
    assert marks(channel)[Key.CHECKED] is Mark.DONE
    assert "The account works." in step_text(shown(owner, channel), "checked")
    form = {"name": "SMS", "enabled": "on", "base_url": provider.url, "price": "1", "currency": "RUB", "rate": "10"}
    form |= {"charged_on": "accepted", "config__sender": "", "config__port": "25", "config__tls": "on"}
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    assert owner.post(url, form).url == reverse("admin:channels_channel_changelist")
    assert marks(channel)[Key.CHECKED] is Mark.DONE, "another price proves nothing wrong"
    assert owner.post(url, {**form, "config__token": "another"}).url == f"{url}?check=1"
    assert marks(channel)[Key.CHECKED] is Mark.OPEN


def test_receipts_told_by_api_hold_for_the_address_they_were_told(owner, provider, settings):
    channel = make_channel("fake_telegram", base_url=provider.url)
    owner.post(reverse("admin:channels_channel_receipts", args=[channel.pk]))
    assert marks(channel)[Key.RECEIPTS] is Mark.DONE
    settings.PUBLIC_BASE_URL = "https://moved.example"
    assert marks(channel)[Key.RECEIPTS] is Mark.OPEN
    assert "has changed" in step_text(shown(owner, channel), "receipts")
    provider.answers["/webhook"] = (500, "")
    owner.post(reverse("admin:channels_channel_receipts", args=[channel.pk]))
    assert marks(channel)[Key.RECEIPTS] is Mark.OPEN


def test_a_pasted_address_is_ticked_by_the_first_receipt_only(owner):
    channel = make_channel("fake_sms")
    page = shown(owner, channel)
    assert page.select_one("#callback-url").text.endswith(f"/hooks/{channel.pk}/{channel.callback_secret}/")
    ChannelState.objects.filter(channel=channel).update(last_receipt_at=now())
    assert marks(channel)[Key.RECEIPTS] is Mark.DONE


def test_a_test_is_sent_noted_and_its_address_remembered(owner, provider):
    channel = make_channel("fake_sms", base_url=provider.url)
    url = reverse("admin:channels_channel_test", args=[channel.pk])
    provider.answers["/send"] = (402, "")
    owner.post(url, {"address": "8 916 000-00-41", "text": "x"})
    assert marks(channel)[Key.TESTED] is Mark.OPEN
    provider.answers["/send"] = (200, "")
    answer = owner.post(url, {"address": "8 916 000-00-41", "text": "x"})
    assert answer.status_code == 302
    facts = setup.of(channel)
    assert facts.test_address == "+79160000041"
    assert facts.test_ident == f"id-{facts.test_ref}"
    assert marks(channel)[Key.HEARD] is Mark.WAITING
    other = make_channel("fake_viber")
    page = owner.get(reverse("admin:channels_channel_test", args=[other.pk])).content.decode()
    assert "8 916 000-00-41" in page, "the same phone, through another channel"
    mail = owner.get(reverse("admin:channels_channel_test", args=[make_channel("fake_email").pk])).content.decode()
    assert "8 916 000-00-41" not in mail
    colleague = User.objects.create_superuser("anna", password="x")
    assert setup.remembered_address(channel, colleague) == "", "and not to a colleague"


def test_the_page_that_waits_looks_by_itself_until_something_came(owner):
    channel = make_channel("fake_sms")
    part = reverse("admin:channels_channel_setup", args=[channel.pk])
    assert owner.get(part)["X-Settled"] == "1"
    sent(channel)
    assert shown(owner, channel).select_one("[data-live]")["data-live"] == part
    waiting = owner.get(part)
    assert "X-Settled" not in waiting
    assert "looks by itself" in waiting.content.decode()
    setup.hear(channel.pk, {0: told(Milestone.DELIVERED)})
    settled = owner.get(part)
    assert settled["X-Settled"] == "1"
    assert "delivered" in settled.content.decode()
    assert not shown(owner, channel).select("[data-live]")


def test_a_bot_that_will_be_asked_in_a_moment_is_waited_for(settings, owner):
    settings.PUBLIC_BASE_URL = "http://localhost:8000"
    bot = accounts.create_channel("telegram_bot", "Bot", {"token": "1:x"})
    assert marks(bot)[Key.RECEIPTS] is Mark.WAITING
    Channel.objects.update(created_at=now() - timedelta(hours=1))
    bot.refresh_from_db()
    assert marks(bot)[Key.RECEIPTS] is Mark.OPEN, "no worker runs: waiting would never end"
    ChannelPull.objects.create(channel=bot, asked_at=now())
    assert marks(bot)[Key.RECEIPTS] is Mark.DONE
    ChannelPull.objects.update(trouble="Press “Connect receipts”.")
    assert marks(bot)[Key.RECEIPTS] is Mark.TROUBLE
    assert "Press “Connect receipts”." in step_text(shown(owner, bot), "receipts")


def test_after_ten_minutes_it_is_said_what_to_look_at(owner):
    channel = make_channel("fake_sms")
    sent(channel, ago=601)
    assert marks(channel)[Key.HEARD] is Mark.TROUBLE
    assert "cabinet" in step_text(shown(owner, channel), "heard")
    assert owner.get(reverse("admin:channels_channel_setup", args=[channel.pk]))["X-Settled"] == "1"


def test_milestones_of_a_test_only_rise_and_a_failure_is_said(owner):
    channel = make_channel("fake_sms")
    sent(channel)
    assert setup.hear(channel.pk, {3: told(Milestone.SENT), 4: told(Milestone.DELIVERED, ident="43")}) == {3}
    assert marks(channel)[Key.HEARD] is Mark.WAITING
    setup.hear(channel.pk, {0: told(failure=FailureClass.OUTCOME_UNKNOWN)})
    assert setup.of(channel).heard == "sent"
    failed = told(failure=FailureClass.RECIPIENT_PERMANENT, reason=Reason.RECIPIENT_REFUSED, detail="phone is off")
    setup.hear(channel.pk, {0: failed})
    assert marks(channel)[Key.HEARD] is Mark.TROUBLE
    assert "phone is off" in step_text(shown(owner, channel), "heard")
    setup.hear(channel.pk, {0: told(Milestone.DELIVERED)})
    setup.hear(channel.pk, {0: failed, 1: told(Milestone.SENT)})
    assert setup.of(channel).heard == "delivered"
    assert marks(channel)[Key.HEARD] is Mark.DONE


def test_a_silent_bot_is_proved_by_an_answer_and_shows_who_wrote(owner):
    channel = make_channel("fake_telegram")
    setup.note_writer(channel.pk, "777")
    assert setup.remembered_address(channel, User.objects.get(is_superuser=True)) == "", "nobody opened its page yet"
    setup.note_check(channel, setup.checks.Verdict(True, "The account works."))
    setup.note_writer(channel.pk, "700000001")
    page = owner.get(reverse("admin:channels_channel_test", args=[channel.pk])).content.decode()
    assert "700000001" in page
    sent(channel, address="700000001")
    setup.note_writer(channel.pk, "666")
    assert setup.of(channel).writer == "700000001", "once tested, strangers change nothing"
    assert "answer it" in step_text(shown(owner, channel), "heard")
    ChannelState.objects.filter(channel=channel).update(last_receipt_at=now())
    assert marks(channel)[Key.HEARD] is Mark.DONE


def test_a_chain_finishes_it_and_the_list_folds(owner):
    channel = make_channel("fake_sms")
    setup.note_check(channel, setup.checks.Verdict(True, "The account works."))
    ChannelState.objects.filter(channel=channel).update(last_receipt_at=now())
    Chain.objects.create(name="Main").steps.create(channel=channel)
    found = marks(channel)
    assert found[Key.TESTED] is Mark.NOTE, "receipts come: it works without a test"
    page = shown(owner, channel)
    assert not page.select_one("#setup").has_attr("open")
    assert "Main" in step_text(page, "chained")


def test_the_receipt_of_a_test_is_not_left_lying_in_the_inbox(owner):
    channel = accounts.create_channel("smsc", "SMSC", {"apikey": "k", "checksum": False})
    sent(channel, ident="77")
    form = b"id=77&phone=79160000041&status=1&time=25.11.2026+10%3A00%3A00"
    receipts.store(channel.pk, CallbackRequest("POST", {}, {}, form))
    receipts.process()
    receipt = Receipt.objects.get()
    assert (receipt.state, setup.of(channel).heard) == (Receipt.State.APPLIED, "delivered")
    assert marks(channel)[Key.HEARD] is Mark.DONE
    assert ChannelSetup.objects.get().heard_at is not None
