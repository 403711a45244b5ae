"""The owner's pages for accounts, chains and texts: what is shown, what is refused, what is never shown."""

import json
import logging
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import translation
from django.utils.timezone import now

from cascade.vocabulary import FailureClass
from channels.admin.durations import DurationField
from channels.models import Chain, ChainStep, Channel, ChannelState
from channels.services import accounts, health
from contacts.models import Contact, ContactAddress, ContactList, ListMember, Reachability
from templates_app.models import MessageTemplate, TemplateVariant
from tests.channels.fakes import make_channel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fakes", "fake_cards", "english")]

CANARY = "canary-token-123"
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def english():
    with translation.override("en"):
        yield


@pytest.fixture
def owner(admin_client):
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return admin_client


def page(client, name, *args, query=""):
    answer = client.get(reverse(f"admin:{name}", args=args) + query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def errors_of(answer):
    soup = BeautifulSoup(answer.content, "html.parser")
    return " ".join(one.get_text(" ", strip=True) for one in soup.select(".errorlist, .errornote, [class*=text-red]"))


def channel_form(**changes):
    return {
        "name": "SMS",
        "enabled": "on",
        "base_url": "",
        "proxy": "",
        "price": "4.80",
        "currency": "RUB",
        "charged_on": "accepted",
        "rate": "10",
        "config__token": CANARY,
        "config__sender": "Salon",
        "config__port": "25",
        "config__tls": "on",
        **changes,
    }


def step_form(*steps, name="Chain", **changes):
    data = {
        "name": name,
        "on_trouble": "",
        "steps-TOTAL_FORMS": len(steps),
        "steps-INITIAL_FORMS": 0,
        "steps-MIN_NUM_FORMS": 0,
        "steps-MAX_NUM_FORMS": 1000,
    }
    for index, step in enumerate(steps):
        whole = {
            "expect": "delivered",
            "wait_0": "15",
            "wait_1": "minutes",
            "then_expect": "",
            "then_wait_0": "",
            "then_wait_1": "minutes",
            "min_wait_0": "1",
            "min_wait_1": "minutes",
            "only_tag": "",
            "order": index,
            **step,
        }
        data |= {f"steps-{index}-{key}": value for key, value in whole.items()}
    return {**data, **changes}


def template_form(*variants, **changes):
    data = {
        "name": "Hello",
        "text": "Hello {name}",
        "link": "",
        "subject": "",
        "button": "",
        "variants-TOTAL_FORMS": len(variants),
        "variants-INITIAL_FORMS": 0,
        "variants-MIN_NUM_FORMS": 0,
        "variants-MAX_NUM_FORMS": 1000,
    }
    for index, variant in enumerate(variants):
        whole = {"kind": "sms", "text": "", "subject": "", "button": "", **variant}
        data |= {f"variants-{index}-{key}": value for key, value in whole.items()}
    return {**data, **changes}


# ---------------------------------------------------------------- channels


def test_a_channel_is_made_in_two_steps(owner):
    choose = page(owner, "channels_channel_add")
    assert "Fake Telegram" in choose
    assert "?provider=fake_sms" in choose
    assert "From the cabinet." in page(owner, "channels_channel_add", query="?provider=fake_sms")
    answer = owner.post(reverse("admin:channels_channel_add") + "?provider=fake_sms", channel_form())
    channel = Channel.objects.get()
    assert answer.status_code == 302
    assert answer.url == reverse("admin:channels_channel_change", args=[channel.pk]) + "?check=1"
    assert "data-at-once" in owner.get(answer.url).content.decode()
    assert "data-at-once" not in page(owner, "channels_channel_change", channel.pk)
    assert (channel.provider, channel.kind) == ("fake_sms", "sms")
    assert accounts.get_config(channel) == {"token": CANARY, "sender": "Salon", "port": 25, "tls": True}
    assert ChannelState.objects.filter(channel=channel).exists()


@pytest.mark.parametrize("query", ["?provider=nobody", "?provider=", "?provider=../x"])
def test_an_unknown_provider_leads_back_to_the_choice(owner, query):
    assert "Fake Telegram" in page(owner, "channels_channel_add", query=query)


def test_T10_secrets_are_never_in_a_page_nor_in_history_nor_in_logs(owner, caplog):
    caplog.set_level(logging.DEBUG)
    proxy = "http://login:proxy-canary@proxy.example:3128"
    owner.post(reverse("admin:channels_channel_add") + "?provider=fake_sms", channel_form(proxy=proxy))
    channel = Channel.objects.get()
    shown = [
        page(owner, "channels_channel_change", channel.pk),
        page(owner, "channels_channel_changelist"),
        page(owner, "channels_channel_history", channel.pk),
        page(owner, "channels_channel_simple_history", channel.pk, channel.history.first().pk),
        page(owner, "channels_channel_delete", channel.pk),
        page(owner, "channels_channel_test", channel.pk),
        owner.post(reverse("admin:channels_channel_check_now", args=[channel.pk]), follow=True).content.decode(),
        # A form sent back with a mistake must not carry the new secret either.
        owner.post(
            reverse("admin:channels_channel_change", args=[channel.pk]),
            channel_form(price="-1", config__token="canary-token-456"),
        ).content.decode(),
        caplog.text,
    ]
    for text in shown:
        assert CANARY not in text
        assert "canary-token-456" not in text
        assert "proxy-canary" not in text
        assert channel.config_encrypted not in text
    assert "http://proxy.example:3128" in shown[0]


def test_an_empty_secret_keeps_the_stored_one(owner):
    channel = make_channel("fake_sms", proxy="http://u:p@proxy.example:1")
    answer = owner.post(
        reverse("admin:channels_channel_change", args=[channel.pk]),
        channel_form(name="New name", config__token="", config__sender="X", proxy="http://proxy.example:1"),
    )
    assert answer.status_code == 302, errors_of(answer)
    channel.refresh_from_db()
    assert channel.name == "New name"
    assert accounts.get_config(channel)["token"] == CANARY
    assert accounts.proxy_for(channel) == "http://u:p@proxy.example:1"
    owner.post(
        reverse("admin:channels_channel_change", args=[channel.pk]),
        channel_form(name="New name", config__token="changed", proxy=""),
    )
    channel.refresh_from_db()
    assert accounts.get_config(channel)["token"] == "changed"
    assert accounts.proxy_for(channel) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config__token": ""}, "required"),
        ({"config__port": "abc"}, "whole number"),
        ({"rate": "0"}, "greater than"),
        ({"price": "-1"}, "greater than"),
        ({"base_url": "javascript:alert(1)"}, "valid URL"),
        ({"proxy": "socks5://x:1"}, "http://user"),
        ({"name": ""}, "required"),
    ],
)
def test_mistakes_in_a_channel_are_said(owner, changes, words):
    answer = owner.post(reverse("admin:channels_channel_add") + "?provider=fake_sms", channel_form(**changes))
    assert answer.status_code == 200
    assert words in errors_of(answer)


def test_trouble_is_shown_with_what_to_do(owner):
    channel = make_channel("fake_sms")
    health.note_results(channel.pk, 0, FailureClass.BALANCE, f"no money {XSS}")
    text = page(owner, "channels_channel_change", channel.pk)
    assert "no money left" in text
    assert "Top it up" in text
    assert "<script>alert(1)" not in text
    assert "account trouble" in page(owner, "channels_channel_changelist")


def test_our_own_words_about_an_account_are_translated(owner):
    channel = make_channel("fake_sms")
    health.open_breaker(
        channel.pk,
        FailureClass.AUTH,
        "The instance is logged out. Open the console and log in again: scan the QR code or enter the code.",
    )
    with translation.override("ru"):
        text = owner.get(
            reverse("admin:channels_channel_change", args=[channel.pk]), headers={"accept-language": "ru"}
        ).content.decode()
    assert "QR-код" in text


def test_lost_key_and_lost_provider_are_words_not_errors(owner, settings):
    from cryptography.fernet import Fernet

    channel = make_channel("fake_sms")
    settings.CHANNEL_SECRET_KEYS = [Fernet.generate_key().decode()]
    assert "cannot be decrypted" in page(owner, "channels_channel_change", channel.pk)
    answer = owner.post(reverse("admin:channels_channel_check_now", args=[channel.pk]), follow=True)
    assert "cannot be decrypted" in answer.content.decode()
    Channel.objects.update(provider="gone")
    assert "gone" in page(owner, "channels_channel_changelist")
    answer = owner.get(reverse("admin:channels_channel_change", args=[channel.pk]), follow=True)
    assert "does not know the provider" in answer.content.decode()
    Chain.objects.create(name="c").steps.create(channel=channel)
    for name in ("channels_chain_changelist", "channels_chain_add"):
        assert "gone" in page(owner, name) or name == "channels_chain_add"
    assert "gone" in page(owner, "channels_chain_change", Chain.objects.get().pk)


def test_a_pause_of_the_provider_is_shown(owner):
    from channels.services import pace

    channel = make_channel("fake_sms")
    pace.slow_down(channel.pk, timedelta(hours=1))
    assert "asked us to pause" in page(owner, "channels_channel_change", channel.pk)


@pytest.mark.parametrize("name", ["check_now", "balance", "switch", "receipts"])
def test_buttons_are_posts(owner, name):
    channel = make_channel("fake_sms")
    assert owner.get(reverse(f"admin:channels_channel_{name}", args=[channel.pk])).status_code == 405
    assert owner.post(reverse(f"admin:channels_channel_{name}", args=[999])).status_code == 404
    answer = owner.post(reverse(f"admin:channels_channel_{name}", args=[channel.pk]), follow=True)
    assert answer.status_code == 200


def test_switching_off_and_on(owner):
    channel = make_channel("fake_sms")
    url = reverse("admin:channels_channel_switch", args=[channel.pk])
    owner.post(url)
    assert not Channel.objects.get().enabled
    owner.post(url)
    assert Channel.objects.get().enabled
    assert [one.enabled for one in channel.history.order_by("history_date")] == [True, False, True]


def test_a_test_message_names_its_price_first(owner):
    channel = make_channel("fake_sms", price="4.80")
    assert "Send for 4.80" in page(owner, "channels_channel_test", channel.pk)
    answer = owner.post(reverse("admin:channels_channel_test", args=[channel.pk]), {"address": "12", "text": "x"})
    assert "This phone cannot be used" in answer.content.decode()


def test_a_channel_in_use_is_not_deleted_by_a_stack_trace(owner):
    channel = make_channel("fake_sms")
    Chain.objects.create(name="c").steps.create(channel=channel)
    answer = owner.post(reverse("admin:channels_channel_delete", args=[channel.pk]), {"post": "yes"})
    assert answer.status_code == 200
    assert Channel.objects.exists()


def test_only_who_may_change_channels_presses_buttons(client):
    channel = make_channel("fake_sms")
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_channel"))
    client.force_login(reader)
    for name in ("check_now", "balance", "switch", "receipts", "test"):
        assert client.post(reverse(f"admin:channels_channel_{name}", args=[channel.pk])).status_code == 403
    assert client.get(reverse("admin:channels_channel_add")).status_code == 403
    answer = client.get(reverse("admin:channels_channel_change", args=[channel.pk]))
    assert answer.status_code == 200
    assert CANARY not in answer.content.decode()


def test_empty_pages_say_what_to_do_next(owner):
    assert "Connect your first channel" in page(owner, "channels_channel_changelist")
    assert "connect one first" in page(owner, "channels_chain_changelist")
    assert "Make the first one" in page(owner, "templates_app_messagetemplate_changelist")
    answer = owner.get(reverse("admin:channels_chain_add"), follow=True)
    assert "connect one first" in answer.content.decode()


# ---------------------------------------------------------------- chains


def test_a_chain_is_made_and_read_back_in_words(owner):
    viber, sms = make_channel("fake_viber", "Viber", price=2), make_channel("fake_sms", "SMS", price=5)
    answer = owner.post(
        reverse("admin:channels_chain_add"),
        step_form(
            {"channel": sms.pk, "wait_0": "2", "wait_1": "hours", "order": 1},
            {
                "channel": viber.pk,
                "then_expect": "read",
                "then_wait_0": "1",
                "then_wait_1": "days",
                "order": 0,
            },
        ),
    )
    assert answer.status_code == 302, errors_of(answer)
    chain = Chain.objects.get()
    assert [(one.channel.name, one.wait, one.then_wait) for one in chain.steps.all()] == [
        ("Viber", timedelta(minutes=15), timedelta(days=1)),
        ("SMS", timedelta(hours=2), None),
    ]
    text = BeautifulSoup(page(owner, "channels_chain_change", chain.pk), "html.parser").get_text(" ", strip=True)
    assert "1. Viber, wait 15 minutes for “delivered”, from then 1 day more for “read”" in text
    assert "Doubles: excluded." in text
    listed = page(owner, "channels_chain_changelist")
    assert "→ SMS, wait 2 hours" in listed
    assert "7.00" in listed


def test_what_a_channel_cannot_report_is_refused_with_the_alternative(owner):
    telegram, sms = make_channel("fake_telegram", "Bot"), make_channel("fake_sms", "SMS")
    answer = owner.post(
        reverse("admin:channels_chain_add"), step_form({"channel": telegram.pk}, {"channel": sms.pk, "wait_1": "days"})
    )
    said = errors_of(answer)
    assert "“Bot” can never report “delivered”" in said
    assert "replied or pressed the button" in said
    assert not Chain.objects.exists()


def test_the_order_on_the_page_decides_which_step_is_last(owner):
    """A wait below the provider's shortest life is refused, except for the last step."""
    viber, sms = make_channel("fake_viber", "Viber"), make_channel("fake_sms", "SMS")
    steps = [{"channel": sms.pk, "order": 1}, {"channel": viber.pk, "order": 0}]
    assert owner.post(reverse("admin:channels_chain_add"), step_form(*steps)).status_code == 302
    steps[0]["order"], steps[1]["order"] = 0, 1
    answer = owner.post(reverse("admin:channels_chain_add"), step_form(*steps, name="Other"))
    assert "at least 1 hour" in errors_of(answer)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"wait_0": ""}, "required"),
        ({"wait_0": "0"}, "greater than"),
        ({"wait_0": "-5"}, "greater than"),
        ({"wait_0": "abc"}, "whole number"),
        ({"wait_0": "31", "wait_1": "days"}, "At most 30 days"),
        ({"wait_0": "9" * 30}, "At most 30 days"),
        ({"wait_1": "centuries"}, "valid choice"),
        ({"then_expect": "read"}, "how long"),
        ({"then_expect": "read", "then_wait_0": "1", "expect": ""}, "Choose first"),
        ({"then_expect": "delivered", "then_wait_0": "1"}, "already"),
        ({"expect": "teleported"}, "valid choice"),
        ({"channel": "999999"}, "valid choice"),
        ({"channel": ""}, "at least one step"),
    ],
)
def test_mistakes_in_a_step_are_said(owner, step, words):
    viber = make_channel("fake_viber", "Viber")
    answer = owner.post(reverse("admin:channels_chain_add"), step_form({"channel": viber.pk, **step}))
    assert answer.status_code == 200
    assert words in errors_of(answer)
    assert not Chain.objects.exists()


def test_a_second_number_without_a_milestone_is_dropped(owner):
    viber = make_channel("fake_viber", "Viber")
    owner.post(reverse("admin:channels_chain_add"), step_form({"channel": viber.pk, "then_wait_0": "5"}))
    assert ChainStep.objects.get().then_wait is None


def test_a_chain_without_steps_is_refused(owner):
    make_channel("fake_sms")
    answer = owner.post(reverse("admin:channels_chain_add"), step_form())
    assert "at least one step" in errors_of(answer)


def test_presets_make_a_chain_by_one_press(owner):
    make_channel("fake_viber", "Viber")
    url = reverse("admin:channels_chain_preset", args=["messenger-sms"])
    assert "Still needed" in page(owner, "channels_chain_changelist")
    assert "you need" in owner.post(url, follow=True).content.decode()
    make_channel("fake_sms", "SMS")
    assert owner.get(url).status_code == 405
    for _ in range(2):
        answer = owner.post(url, follow=True)
        assert answer.status_code == 200
    assert sorted(Chain.objects.values_list("name", flat=True)) == ["Messenger, then SMS", "Messenger, then SMS 2"]
    assert owner.post(reverse("admin:channels_chain_preset", args=["nothing"])).status_code == 404


def test_durations():
    field = DurationField()
    assert field.clean(["15", "minutes"]) == timedelta(minutes=15)
    assert field.clean(["30", "days"]) == timedelta(days=30)
    assert DurationField(required=False).clean(["", "hours"]) is None
    widget = field.widget
    for value, shown in [
        (timedelta(days=1), [1, "days"]),
        (timedelta(hours=36), [36, "hours"]),
        (timedelta(minutes=90), [90, "minutes"]),
        (timedelta(seconds=20), [20, "seconds"]),
        (None, [None, "minutes"]),
    ]:
        assert widget.decompress(value) == shown
        if value:
            assert field.clean([str(part) for part in shown]) == value
    units = [unit["value"] for unit in BeautifulSoup(widget.render("x", None), "html.parser").select("option")]
    assert units == ["minutes", "hours", "days", "seconds"], "minutes are chosen unless somebody chooses"
    assert not field.has_changed(timedelta(minutes=15), ["15", "minutes"])
    assert field.has_changed(timedelta(minutes=15), ["16", "minutes"])


# ---------------------------------------------------------------- texts


def test_a_template_is_saved_with_a_variant(owner):
    answer = owner.post(
        reverse("admin:templates_app_messagetemplate_add"),
        template_form({"text": "{name}: {link}"}, link="https://salon.ru", text="Hello {name|friend}, {link}"),
    )
    assert answer.status_code == 302, errors_of(answer)
    template = MessageTemplate.objects.get()
    assert template.variants.get().text == "{name}: {link}"
    for name in ("change", "history", "delete"):
        page(owner, f"templates_app_messagetemplate_{name}", template.pk)
    assert "SMS" in page(owner, "templates_app_messagetemplate_changelist")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (template_form(text="Hello\n {nme}"), "Line 2, column 2"),
        (template_form(text="Hello {nme}"), "Did you mean {name}"),
        (template_form(text="{{ 7*7 }}"), "single braces"),
        (template_form(text="{% load x %}"), "does not work"),
        (template_form(text="x {link}"), "has no link"),
        (template_form(subject="{oops}"), "no variable"),
        (template_form(link="javascript:alert(1)"), "begin with https"),
        (template_form(link="salon.ru"), "begin with https"),
        (template_form(link="https://salon.ru@evil.ru/"), "@"),
        (template_form(link="https://sаlon.ru/"), "alphabets"),
        (template_form(text="https://salon.ru@evil.ru/"), "@"),
        (template_form({"text": "{oops}"}), "no variable"),
        (template_form({"text": "{link}"}), "has no link"),
        (template_form({"text": "a"}, {"text": "b"}), "duplicate"),
    ],
)
def test_M1_M4_mistakes_in_a_template_are_said_with_their_place(owner, form, words):
    answer = owner.post(reverse("admin:templates_app_messagetemplate_add"), form)
    assert answer.status_code == 200
    assert words in errors_of(answer)
    assert not MessageTemplate.objects.exists()
    assert not TemplateVariant.objects.exists()


def ask(client, **asked):
    answer = client.post(
        reverse("admin:templates_app_messagetemplate_preview"), json.dumps(asked), content_type="application/json"
    )
    return answer.json()


def test_the_preview_counts_and_prices_real_people(owner):
    make_channel("fake_sms", "SMS", price="4.80")
    Contact.objects.create(phone="+79123456780", name="Анна", attributes={"master": "Ольга"})
    Contact.objects.create(phone="+79123456781", name="Пётр")
    shown = ask(owner, text="{name}, вас ждёт {master}! " + "а" * 60, kind="sms")
    lines = " | ".join(one["text"] for one in shown["summary"])
    assert "2 SMS" in lines
    assert "9.60" in lines
    petr, anna = shown["samples"]
    assert "master" in petr["missing"]
    assert anna["text"].startswith("Анна, вас ждёт Ольга!")


def test_a_text_may_mention_what_a_lists_file_brought_along(owner):
    """The people shown are those of the list: the newest contacts would all lack its columns."""
    anna, _petr = Contact.objects.create(phone="+79123456780", name="Анна"), Contact.objects.create(name="Пётр")
    told = ask(owner, text="{name}, ждём в {time}", kind="sms")
    assert "time" in told["error"]["message"]
    ListMember.objects.create(list=ContactList.objects.create(name="Запись"), contact=anna, variables={"time": "10:00"})
    shown = ask(owner, text="{name}, ждём в {time}", kind="sms")
    assert [one["text"] for one in shown["samples"]] == ["Анна, ждём в 10:00"]
    assert "{time}" in page(owner, "templates_app_messagetemplate_add")


def test_the_preview_names_the_character_that_doubles_the_price(owner):
    shown = ask(owner, text="Sale\u00a020%", kind="sms")
    assert any("U+00A0" in one["text"] for one in shown["summary"])
    shown = ask(owner, text="Скидка", kind="sms")
    assert not any("U+" in one["text"] for one in shown["summary"])


def test_the_preview_says_what_is_too_long_for_the_channel(owner):
    make_channel("fake_sms", "SMS")
    shown = ask(owner, text="x" * 801, kind="sms")
    assert any(one["level"] == "error" and "800" in one["text"] for one in shown["summary"])


def test_the_preview_works_before_anybody_was_imported(owner):
    assert ask(owner, text="Hello {name}", kind="telegram")["samples"][0]["text"] == "Hello name"


@pytest.mark.parametrize(
    "asked", [{"text": "{"}, {"text": "{nobody}"}, {"text": "{link}"}, {"subject": "{oops", "text": "x"}]
)
def test_the_preview_answers_mistakes_in_words(owner, asked):
    assert ask(owner, kind="sms", **asked)["error"]["message"]


@pytest.mark.parametrize(
    "body", ["", "[]", "null", "{", '{"kind": "pigeon"}', '{"text": 5, "kind": []}', "x" * 300_000]
)
def test_the_preview_survives_nonsense(owner, body):
    answer = owner.post(reverse("admin:templates_app_messagetemplate_preview"), body, content_type="application/json")
    assert answer.status_code in {200, 400, 413}
    assert answer.json()["error"]["message"]


def test_the_preview_is_for_staff(client):
    answer = client.post(reverse("admin:templates_app_messagetemplate_preview"), "{}", content_type="application/json")
    assert answer.status_code == 302


def test_T6_names_are_shown_as_text(owner):
    channel = make_channel("fake_viber", XSS[:190], price=1)
    chain = Chain.objects.create(name=XSS)
    ChainStep.objects.create(chain=chain, channel=channel)
    template = MessageTemplate.objects.create(name=XSS, text=XSS)
    Contact.objects.create(phone="+79123456780", name="x", attributes={XSS: "1"})
    for name, *args in (
        ("channels_channel_changelist",),
        ("channels_channel_change", channel.pk),
        ("channels_channel_test", channel.pk),
        ("channels_channel_history", channel.pk),
        ("channels_chain_changelist",),
        ("channels_chain_change", chain.pk),
        ("channels_chain_history", chain.pk),
        ("templates_app_messagetemplate_changelist",),
        ("templates_app_messagetemplate_change", template.pk),
        ("templates_app_messagetemplate_history", template.pk),
    ):
        text = page(owner, name, *args)
        assert "<script>alert(1)" not in text, name
        assert "<img src=x" not in text, name


def test_a_contacts_page_calls_channels_by_their_names(owner):
    channel = make_channel("fake_telegram", "Бот на Ленина")
    person = Contact.objects.create(name="Анна", phone="+79120000001")
    for value in ("1001", "1002"):
        ContactAddress.objects.create(contact=person, channel_id=channel.pk, value=value)
    Reachability.objects.create(
        contact=person,
        channel_id=channel.pk,
        address="1001",
        state="blocked",
        until=now() + timedelta(days=9),
        source="callback",
    )
    text = page(owner, "contacts_contact_change", person.pk)
    assert text.count("Бот на Ленина") == 3
    assert "1001" in text and "1002" in text


def test_a_step_names_its_reserve_and_where_the_last_dialogue_goes_first(owner):
    first, spare, other = (
        make_channel("fake_sms", name, price=price) for name, price in (("А", 4), ("Б", 5), ("В", 6))
    )
    viber = make_channel("fake_viber", "Viber", price=2)
    steps = [
        {"channel": viber.pk, "order": 0},
        {"channel": first.pk, "reserve": spare.pk, "wait_0": "2", "wait_1": "hours", "order": 1},
    ]
    answer = owner.post(reverse("admin:channels_chain_add"), {**step_form(*steps), "dialogue_days": "30"})
    assert answer.status_code == 302, errors_of(answer)
    chain = Chain.objects.get()
    shown = BeautifulSoup(page(owner, "channels_chain_change", chain.pk), "html.parser").get_text(" ", strip=True)
    assert "2. А, in reserve Б" in shown
    assert "4.00" in shown and "5.00" in shown
    assert "Who has written to you within 30 days gets it first where they wrote." in shown
    steps[1] |= {"reserve": viber.pk, "second_reserve": other.pk}
    said = errors_of(owner.post(reverse("admin:channels_chain_add"), step_form(*steps)))
    assert "A reserve account must be of the same kind" in said
