"""One-time codes: down the chain until one is entered, guessed at most so often, asked for at most so often."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django import forms
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from campaigns.services.readiness import blockers
from channels.models import Channel
from channels.providers.base import Accepted
from channels.services.accounts import create_channel
from channels.services.chains import PRESETS, plan_preset
from contacts.models import ConsentState, Contact, SuppressionScope
from deliveries.admin.codes import CodeRulesForm
from deliveries.models import CodeRules, Delivery, OneTimeCode
from deliveries.services import advance, codes
from deliveries.services.codes import Issued, NotIssued, Refusal, Verdict
from deliveries.services.single import not_ready
from tests.deliveries.hands import answer, call_out
from tests.deliveries.live import requests_of, run_until, tell
from tests.deliveries.shop import Shop
from tests.plugins.processes import Processes

PHONE = "8 (912) 000-00-77"
E164 = "+79120000077"


def rules_of(shop: Shop, *channels: Channel, wait: timedelta = timedelta(seconds=30), **fields: Any) -> CodeRules:
    chain = shop.chain(*(channels or (shop.sms(),)), wait=wait)
    return CodeRules.objects.create(name="Вход", slug="login", chain=chain, text="Код: {code}", **fields)


def gateway(shop: Shop) -> Channel:
    config = {"token": "gateway-token-of-the-test"}
    return create_channel(
        "telegram_gateway", "Телеграм-коды", config, base_url=f"{shop.emulator}/telegram_gateway", rate=1000.0
    )


def issued(phone: str = PHONE) -> Issued:
    found = codes.issue(phone, "login")
    assert isinstance(found, Issued), found
    return found


def refused(phone: str = PHONE) -> NotIssued:
    found = codes.issue(phone, "login")
    assert isinstance(found, NotIssued), found
    return found


def digits_of(one: Issued) -> str:
    """What only the sender may know."""
    return codes.codes_to_send([one.delivery_id])[one.delivery_id]


def wrong(digits: str) -> str:
    return str((int(digits) + 1) % 10_000).zfill(4)


def everything_stored() -> str:
    """All rows of the engine and of the people, as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            " AND table_name ~ '^(deliveries|contacts|channels|campaigns|django_admin)_'"
        )
        rows = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row[0] for row in cursor.fetchall()]
    return "\n".join(rows)


def test_a_code_goes_down_its_chain_until_it_is_entered(
    processes: Processes, live_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Silence in Telegram, then SMS with the same digits; entered, nothing more is sent and nothing keeps them."""
    caplog.set_level(logging.DEBUG)
    telegram, sms = gateway(live_shop), live_shop.sms()
    rules_of(live_shop, telegram, sms, live_shop.messenger(), wait=timedelta(seconds=3), digits=8)
    tell(live_shop.emulator, "rules", recipient=E164.removeprefix("+"), behaviour="silent")
    one = issued()
    digits = digits_of(one)
    run_until(processes, lambda: len(requests_of(live_shop, provider="smsc")) == 1)
    texts = {record["provider"]: record["text"] for record in requests_of(live_shop)}
    assert texts == {"telegram_gateway": digits, "smsc": f"Код: {digits}"}
    assert codes.verify(one.token, f" {digits[:4]}-{digits[4:]} ") is Verdict.ENTERED
    run_until(processes, lambda: Delivery.objects.filter(state="final").exists())
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_milestone, delivery.outcome_step) == ("reached", "goal", 1)
    assert not requests_of(live_shop, provider="green")
    assert codes.verify(one.token, digits) is Verdict.OVER, "good for once"
    assert digits not in everything_stored()
    assert digits not in caplog.text
    assert OneTimeCode.objects.get().sealed == ""
    contact = Contact.objects.get(phone=E164)
    assert contact.marketing_consent == ConsentState.UNKNOWN


def test_who_is_not_in_telegram_gets_the_sms_at_once(processes: Processes, live_shop: Shop) -> None:
    telegram, sms = gateway(live_shop), live_shop.sms()
    rules_of(live_shop, telegram, sms, wait=timedelta(minutes=1))
    tell(live_shop.emulator, "rules", provider="telegram_gateway", recipient=E164[1:], behaviour="not_there")
    tell(live_shop.emulator, "rules", provider="smsc", recipient=E164[1:], behaviour="delivered")
    issued()
    run_until(processes, lambda: len(requests_of(live_shop, provider="smsc")) == 1)
    assert not requests_of(live_shop, provider="telegram_gateway"), "asked about, and nothing sent"


def test_a_flash_call_brings_its_own_digits_and_the_sms_repeats_them(processes: Processes, live_shop: Shop) -> None:
    """SMS.RU picks the digits, SMS Aero rings with what the person knows by then; the SMS says the same again."""
    at = live_shop.emulator
    first = create_channel("sms_ru_call", "Звонок", {"api_id": "k"}, base_url=f"{at}/sms_ru_call", rate=1000.0)
    aero = {"email": "a@b.example", "api_key": "key"}
    second = create_channel("sms_aero_call", "Второй", aero, base_url=f"{at}/sms_aero_call", rate=1000.0)
    rules_of(live_shop, first, second, live_shop.sms(), wait=timedelta(seconds=1))
    tell(at, "rules", recipient=E164[1:], behaviour="silent")
    one = issued()
    run_until(processes, lambda: len(requests_of(live_shop, provider="smsc")) == 1)
    texts = {record["provider"]: record["text"] for record in requests_of(live_shop)}
    assert texts["smsc"] == f"Код: {texts['sms_ru_call']}"
    assert codes.verify(one.token, texts["sms_ru_call"]) is Verdict.ENTERED


@pytest.mark.django_db(transaction=True)
def test_what_the_provider_has_chosen_is_as_good_and_later_steps_carry_it(shop: Shop) -> None:
    call, sms = shop.sms("Звонок"), shop.sms("СМС")
    rules_of(shop, call, sms)
    one = issued()
    ours = digits_of(one)
    advance.advance_due()
    items = call_out(call)
    assert [item.message.code for item in items] == [ours]
    answer(items, Accepted("", "call-1", code="7093"))
    assert digits_of(one) == "7093"
    assert codes.verify(one.token, ours) is Verdict.ENTERED, "what an earlier step has told still counts"


@pytest.mark.django_db(transaction=True)
def test_the_provider_s_digits_open(shop: Shop) -> None:
    call = shop.sms()
    rules_of(shop, call)
    one = issued()
    advance.advance_due()
    answer(call_out(call), Accepted("", "call-1", code="7093"))
    assert codes.verify(one.token, "7093") is Verdict.ENTERED


@pytest.mark.django_db
def test_the_last_wrong_try_locks_the_code_and_stops_its_delivery(shop: Shop) -> None:
    rules_of(shop, attempts=3)
    one = issued()
    digits = digits_of(one)
    assert [codes.verify(one.token, wrong(digits)) for _ in range(3)] == [Verdict.WRONG, Verdict.WRONG, Verdict.LOCKED]
    assert codes.verify(one.token, digits) is Verdict.LOCKED
    assert codes.codes_to_send([one.delivery_id]) == {}
    advance.advance_due()
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.outcome_reason) == ("stopped", "cancelled")
    assert codes.verify("nobody-has-this-token--", digits) is Verdict.UNKNOWN


@pytest.mark.django_db
@pytest.mark.parametrize("entered", ["", "    ", "абвг", "٤٨٢١", "1", "9" * 5000, "\0", "0" * 8])
def test_nonsense_is_wrong_and_costs_a_try(shop: Shop, entered: str) -> None:
    rules_of(shop)
    one = issued()
    assert codes.verify(one.token, entered) is Verdict.WRONG
    assert OneTimeCode.objects.get().attempts_left == 2


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_share_no_try(shop: Shop) -> None:
    rules_of(shop, attempts=5)
    one = issued()
    digits = digits_of(one)

    def guess(_: int) -> Verdict:
        try:
            return codes.verify(one.token, wrong(digits))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(guess, range(20)))
    assert found == {Verdict.WRONG: 4, Verdict.LOCKED: 16}


@pytest.mark.django_db(transaction=True)
def test_parallel_asking_makes_one_code(shop: Shop) -> None:
    rules_of(shop)

    def ask(_: int) -> Issued | NotIssued:
        try:
            return codes.issue(PHONE, "login")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, range(6)))
    assert sum(isinstance(one, Issued) for one in found) == 1
    assert {one.why for one in found if isinstance(one, NotIssued)} == {Refusal.TOO_SOON}
    assert Delivery.objects.count() == 1


@pytest.mark.django_db
def test_a_code_too_old_is_over_and_its_digits_are_erased(shop: Shop) -> None:
    rules_of(shop)
    one = issued()
    digits = digits_of(one)
    OneTimeCode.objects.update(created_at=now() - timedelta(hours=2), expires_at=now() - timedelta(seconds=1))
    assert codes.verify(one.token, digits) is Verdict.OVER
    assert codes.codes_to_send([one.delivery_id]) == {}, "no step sends it any more"
    assert codes.end_expired() == 1
    assert codes.end_expired() == 0
    code = OneTimeCode.objects.get()
    assert (code.end, code.sealed) == ("expired", "")
    OneTimeCode.objects.update(created_at=now() - timedelta(days=31))
    assert codes.forget_old() == 1


@pytest.mark.django_db
def test_a_new_code_ends_the_one_before(shop: Shop) -> None:
    rules_of(shop, pause=timedelta(0))
    first = issued()
    digits = digits_of(first)
    second = issued()
    assert codes.verify(first.token, digits) is Verdict.OVER
    assert codes.verify(second.token, digits_of(second)) is Verdict.ENTERED
    assert Delivery.objects.get(pk=first.delivery_id).stop_reason == "cancelled"


@pytest.mark.django_db
def test_a_phone_is_not_rung_all_night(shop: Shop) -> None:
    rules_of(shop, per_phone=2, per_hour=3, pause=timedelta(seconds=30))
    issued()
    assert refused().why is Refusal.TOO_SOON
    wait = refused().wait
    assert wait is not None
    assert timedelta(seconds=25) < wait < timedelta(seconds=31)
    OneTimeCode.objects.update(created_at=now() - timedelta(minutes=20))
    issued()
    newest = OneTimeCode.objects.latest("pk")
    OneTimeCode.objects.filter(pk=newest.pk).update(created_at=now() - timedelta(minutes=10))
    late = refused()
    assert late.why is Refusal.TOO_MANY
    assert late.wait is not None
    assert timedelta(minutes=39) < late.wait < timedelta(minutes=41)
    issued("+79120000078")
    assert refused("+79120000079").why is Refusal.BUSY


@pytest.mark.django_db
def test_nobody_gets_a_code_who_must_get_nothing_and_no_phone_no_code(shop: Shop) -> None:
    rules_of(shop)
    assert refused("12").why is Refusal.BAD_PHONE
    Contact.objects.create(phone=E164)
    Contact.objects.update(suppressed=SuppressionScope.ALL)
    assert refused().why is Refusal.STOP_LIST
    assert not Delivery.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes", [{"end": ""}, {"sealed": "x"}, {"end": "", "ended_at": None, "attempts_left": 0}], ids=str
)
def test_the_database_keeps_a_code_that_is_over_empty(shop: Shop, changes: dict[str, Any]) -> None:
    rules_of(shop)
    issued()
    OneTimeCode.objects.update(end="expired", ended_at=now(), sealed="")
    with pytest.raises(IntegrityError), transaction.atomic():
        OneTimeCode.objects.update(**changes)


@pytest.mark.django_db
def test_codes_of_one_length_look_alike_nowhere(shop: Shop) -> None:
    """The same digits have another hash under each token, and no code begins with a zero."""
    rules_of(shop)
    assert codes._hash("a", "1234") != codes._hash("b", "1234")
    made = [codes.new_code(4) for _ in range(2000)]
    assert all(len(code) == 4 and code[0] != "0" for code in made)
    assert len(set(made)) > 1000


@pytest.mark.django_db
def test_a_terminal_can_ask_and_enter(shop: Shop) -> None:
    rules_of(shop)
    said = StringIO()
    call_command("one_time_code", "issue", PHONE, "login", stdout=said)
    token = said.getvalue().strip()
    digits = codes.codes_to_send([Delivery.objects.get().pk])
    call_command("one_time_code", "verify", token, *digits.values(), stdout=said)
    assert said.getvalue().split() == [token, "entered"]
    with pytest.raises(CommandError, match="too_soon, again in"):
        call_command("one_time_code", "issue", PHONE, "login")
    with pytest.raises(CommandError, match="there are: login"):
        call_command("one_time_code", "issue", PHONE, "other")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, None),
        ({"text": "Ваш код"}, "text"),
        ({"text": "Код: {code}, {name}"}, "text"),
        ({"text": "Код: {code"}, "text"),
        ({"digits": 3}, "digits"),
        ({"lifetime": timedelta(seconds=30)}, "lifetime"),
        ({"attempts": 0}, "attempts"),
    ],
)
def test_rules_that_cannot_work_are_told_when_they_are_saved(
    shop: Shop, changes: dict[str, Any], wrong: str | None
) -> None:
    rules = rules_of(shop, shop.sms("1"), shop.sms("2"))
    values = {**forms.model_to_dict(rules), **changes}
    for name in ("lifetime", "pause"):
        seconds = int(values.pop(name).total_seconds())
        values |= {f"{name}_0": seconds, f"{name}_1": "seconds"}
    form = CodeRulesForm(values, instance=rules)
    assert list(form.errors) == ([wrong] if wrong else [])


@pytest.mark.django_db
def test_nothing_but_codes_goes_through_a_channel_for_codes(shop: Shop) -> None:
    telegram = gateway(shop)
    chain = shop.chain(telegram, shop.sms())
    campaign = shop.campaign(chain, shop.people(1))
    assert len(not_ready(chain)) == 1
    preset = next(one for one in PRESETS if one.slug == "telegram-whatsapp-sms")
    assert telegram not in [step.channel for step in plan_preset(preset, Channel.objects.all())]
    assert [one.params for one in blockers(campaign) if "one-time codes only" in one.message] == [
        {"channel": telegram.name}
    ]


@pytest.mark.django_db
def test_the_pages_show_what_became_of_a_code_and_never_its_digits(shop: Shop, admin_client: Client) -> None:
    rules_of(shop, digits=8)
    one = issued()
    digits = digits_of(one)
    pages = [
        reverse("admin:deliveries_onetimecode_changelist"),
        reverse("admin:deliveries_onetimecode_change", args=[OneTimeCode.objects.get().pk]),
        reverse("admin:deliveries_delivery_change", args=[one.delivery_id]),
    ]
    for page in pages:
        html = admin_client.get(page).content.decode()
        assert digits not in html
        assert one.token not in html
    assert "можно ввести" in admin_client.get(pages[1]).content.decode()
    codes.verify(one.token, digits)
    assert "введён" in admin_client.get(pages[0]).content.decode()
