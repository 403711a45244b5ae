"""Chains against capabilities: what is refused, what is warned about, what is frozen."""

import json
from dataclasses import replace
from datetime import time, timedelta

import pytest
from django.utils import translation

from cascade.plan import SendWindow
from cascade.vocabulary import ChannelKind, Milestone, Purpose
from channels.models import Chain, ChainStep, Channel
from channels.providers.whatsapp_cloud import WhatsAppCloud
from channels.services import chains
from channels.services.chains import Level, Risk, Rung
from tests.channels.fakes import FakeReadOnly, FakeSms, FakeTelegram, FakeViber, make_channel

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def rung(provider, expect="delivered", wait=15 * MINUTE, then_expect="", then_wait=None, price=0, channel_id=0):
    return Rung(
        channel_name=provider.title,
        kind=provider.kind,
        capabilities=provider.capabilities,
        expect=expect,
        wait=wait,
        then_expect=then_expect,
        then_wait=then_wait,
        channel_id=channel_id,
        price=price,
    )


SMS = rung(FakeSms, wait=2 * HOUR)


def found(steps):
    return [(one.level, one.step, one.field) for one in chains.validate_chain(steps)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], [(Level.ERROR, None, "")]),
        ([SMS], []),
        ([rung(FakeViber), SMS], []),
        # Telegram bots have no delivery receipt: refused, with what to wait for instead.
        ([rung(FakeTelegram), SMS], [(Level.ERROR, 0, "expect"), (Level.WARNING, 0, "wait")]),
        ([rung(FakeTelegram, "read"), SMS], [(Level.ERROR, 0, "expect"), (Level.WARNING, 0, "wait")]),
        ([rung(FakeTelegram, "replied"), SMS], [(Level.WARNING, 0, "wait")]),
        ([SMS, rung(FakeTelegram, "delivered")], [(Level.ERROR, 1, "expect")]),
        # A provider that reports reading alone tells about delivery as well.
        ([rung(FakeReadOnly, "delivered"), SMS], []),
        ([rung(FakeSms, "read", 2 * HOUR)], [(Level.ERROR, 0, "expect")]),
        ([rung(FakeSms, "replied", 2 * HOUR)], [(Level.ERROR, 0, "expect")]),
        # Shorter than the provider can forget: the person may get both. Not for the last step.
        ([rung(FakeSms), rung(FakeViber)], [(Level.ERROR, 0, "wait"), (Level.WARNING, 0, "wait")]),
        ([rung(FakeSms)], []),
        ([rung(FakeSms, wait=30 * HOUR), rung(FakeViber)], [(Level.WARNING, 0, "wait")]),
        ([rung(FakeViber, expect=""), SMS], [(Level.WARNING, 0, "expect")]),
        ([rung(FakeViber, "delivered", HOUR, "read", HOUR), SMS], []),
        ([rung(FakeViber, "read", HOUR, "delivered", HOUR), SMS], [(Level.ERROR, 0, "then_expect")]),
        ([rung(FakeViber, "delivered", HOUR, "clicked", HOUR), SMS], [(Level.ERROR, 0, "then_expect")]),
        ([rung(FakeViber, price=5), rung(FakeSms, price=4)], [(Level.WARNING, 0, "channel")]),
        ([rung(FakeViber, channel_id=1), rung(FakeViber, channel_id=1)], [(Level.WARNING, 1, "channel")]),
    ],
)
def test_validation(steps, expected):
    assert found(steps) == expected
    for problem in chains.validate_chain(steps):
        assert "%" not in problem.text()


def test_a_refused_expectation_offers_what_the_channel_can_report():
    (problem, _) = chains.validate_chain([rung(FakeTelegram), SMS])
    assert problem.params["channel"] == "Fake Telegram"
    assert chains.milestone_label("replied") in problem.text()
    assert chains.milestone_label("clicked") in problem.text()


@pytest.mark.parametrize(
    ("step", "risk"),
    [
        (rung(FakeViber), Risk.EXCLUDED),  # dies when the wait ends
        (rung(FakeSms, wait=2 * HOUR), Risk.EXCLUDED),
        (rung(FakeSms, wait=5 * MINUTE), Risk.POSSIBLE),  # the provider keeps it for an hour
        (rung(FakeReadOnly), Risk.EXCLUDED),  # recalled
        (rung(FakeTelegram), Risk.POSSIBLE),
    ],
)
def test_R7_risk_of_doubles(step, risk):
    assert chains.double_risk(step)[0] is risk
    assert chains.double_risk(step)[1]


def test_the_life_of_an_approved_text_decides_once_it_is_known():
    unknown = rung(WhatsAppCloud, wait=HOUR)
    short, long = replace(unknown, life=HOUR), replace(unknown, life=12 * HOUR)
    assert [chains.double_risk(one)[0] for one in (unknown, short, long)] == [
        Risk.POSSIBLE,
        Risk.EXCLUDED,
        Risk.POSSIBLE,
    ]
    (warning,) = chains.validate_chain([unknown, SMS])
    with translation.override("en"):
        assert "as long as its approved template says" in warning.text()
    # Of a known text the check before the launch speaks by name.
    assert chains.validate_chain([short, SMS]) == chains.validate_chain([long, SMS]) == []


@pytest.fixture
def chain(db, fakes):
    made = Chain.objects.create(name="Напоминание")
    viber = make_channel("fake_viber", "Viber", price="2.60", check_registration=True)
    sms = make_channel("fake_sms", "SMS", price="4.80", check_registration=True)
    ChainStep.objects.create(
        chain=made, order=0, channel=viber, expect="delivered", wait=15 * MINUTE, then_expect="read", then_wait=4 * HOUR
    )
    ChainStep.objects.create(chain=made, order=1, channel=sms, expect="delivered", wait=150 * MINUTE)
    return made


def test_frozen_steps_carry_what_the_engine_needs(chain, django_assert_num_queries):
    with django_assert_num_queries(1):
        frozen = chains.freeze_steps(chain, Purpose.MARKETING, SendWindow(time(9), time(21), frozenset({0, 1})))
    assert json.loads(json.dumps(frozen)) == frozen
    viber, sms = frozen
    assert viber["expectations"] == [
        {"milestone": "delivered", "within": 900.0, "anchor": "accepted"},
        {"milestone": "read", "within": 14400.0, "anchor": "delivered"},
    ]
    assert viber["ttl"] == 900
    assert (viber["price"], viber["charged_on"], viber["check_registration"]) == ("2.6000", "delivered", True)
    assert sms["ttl"] == 7200, "150 minutes, rounded down to the provider's whole hours"
    assert (sms["counts_sms_parts"], sms["max_text"], sms["lookup_by_ref"]) == (True, 800, True)
    assert sms["check_registration"] is False, "asked for, but the provider has no such question"
    assert sms["window"] == {"start": "09:00:00", "end": "21:00:00", "weekdays": [0, 1]}
    assert (viber["channel_id"], viber["kind"], viber["provider"]) == (
        Channel.objects.get(name="Viber").pk,
        "viber",
        "fake_viber",
    )


def test_frozen_steps_become_the_core_s_steps(chain):
    frozen = chains.freeze_steps(chain, windows={ChannelKind.SMS: SendWindow(time(9), time(21))})
    viber, sms = (chains.to_plan_step(one) for one in json.loads(json.dumps(frozen)))
    assert viber.window is None
    assert sms.window == SendWindow(time(9), time(21))
    assert [(one.milestone, one.within, one.anchor) for one in viber.expectations] == [
        (Milestone.DELIVERED, 15 * MINUTE, Milestone.ACCEPTED),
        (Milestone.READ, 4 * HOUR, Milestone.DELIVERED),
    ]
    assert (sms.wait, sms.min_wait, sms.idempotent) == (150 * MINUTE, MINUTE, False)


def test_R13_a_deadline_never_shrinks_a_wait_below_the_message_s_life(db, fakes):
    made = Chain.objects.create(name="x")
    ChainStep.objects.create(chain=made, channel=make_channel("fake_sms", "a"), wait=2 * HOUR, order=0)
    ChainStep.objects.create(chain=made, channel=make_channel("fake_sms", "b"), wait=2 * HOUR, order=1)
    first, last = chains.freeze_steps(made)
    assert first["min_wait"] == 3600
    assert last["min_wait"] == 60
    assert chains.ttl_for(first, timedelta(minutes=90)) == HOUR
    assert chains.ttl_for(first, timedelta(minutes=10)) == HOUR


def test_a_step_by_time_alone(db, fakes):
    made = Chain.objects.create(name="x")
    ChainStep.objects.create(chain=made, channel=make_channel("fake_telegram"), expect="", wait=HOUR)
    (frozen,) = chains.freeze_steps(made)
    assert frozen["expectations"] == []
    assert frozen["ttl"] is None
    assert chains.ttl_for(frozen, HOUR) is None
    assert frozen["can_poll"] is False
    assert chains.to_plan_step(frozen).wait == HOUR


@pytest.mark.parametrize("preset", chains.PRESETS, ids=lambda one: one.slug)
def test_presets_fit_whatever_channels_there_are(db, fakes, preset):
    channels = [make_channel(slug) for slug in ("fake_sms", "fake_telegram", "fake_viber", "fake_email")]
    for some in (channels, channels[:2], channels[1:], []):
        steps = chains.plan_preset(preset, some)
        problems = chains.validate_chain([Rung.of(step) for step in steps])
        assert not [one for one in problems if one.level is Level.ERROR and steps], problems
        assert len({step.channel_id for step in steps}) == len(steps)


def test_a_chain_in_words(chain, settings):
    with translation.override("en"):
        assert chains.say_chain(chains.rungs_of(chain)) == (
            "Viber, wait 15 minutes for “delivered”, from then 4 hours more for “read” → "
            "SMS, wait 2 hours 30 minutes for “delivered”"
        )
        assert chains.say_duration(timedelta(0)) == "0 seconds"
        assert chains.say_duration(timedelta(days=1, seconds=1)) == "1 day 1 second"


# ---------------------------------------------------------------- doubles, as the owner reads them


def doubles(one, fallbacks=0, seen=0):
    with translation.override("en"):
        return chains.say_doubles(one, {7: chains.Seen(fallbacks, seen)} if fallbacks else {})


def test_doubles_are_said_from_the_wire_and_as_soon_as_enough_was_seen_from_facts():
    viber, telegram = rung(FakeViber, channel_id=7), rung(FakeTelegram, "replied", channel_id=7)
    assert doubles(viber).startswith("Doubles: excluded. ")
    assert doubles(telegram, 49, 9).startswith("Doubles: possible; how many is not known yet.")
    assert doubles(telegram, 200, 7).startswith("Doubles: possible, about 3.5 % (200 cases).")
    assert doubles(viber, 200).startswith("Doubles: excluded, none in 200 cases.")
    assert "should be excluded, but the provider let 1.0 % of 200" in doubles(viber, 200, 2)


@pytest.mark.parametrize(
    ("life", "risk"), [(5 * MINUTE, Risk.EXCLUDED), (15 * MINUTE, Risk.EXCLUDED), (12 * HOUR, Risk.POSSIBLE)]
)
def test_an_approved_text_brings_its_own_life(life, risk):
    assert chains.double_risk(replace(rung(FakeTelegram), life=life))[0] is risk


# ---------------------------------------------------------------- several accounts in one step


def test_a_step_promises_what_all_its_accounts_can_do():
    viber, sms = FakeViber.capabilities, FakeSms.capabilities
    both = chains.common([viber, sms])
    assert set(both.reports) == set(viber.reports) & set(sms.reports)
    assert both.max_text == min(viber.max_text, sms.max_text)
    assert both.recall is (viber.recall and sms.recall)
    assert chains.common([viber]) is viber
    assert both.ttl is None or (both.ttl.minimum, both.ttl.maximum) == (
        max(viber.ttl.minimum, sms.ttl.minimum),
        min(viber.ttl.maximum, sms.ttl.maximum),
    )


@pytest.mark.parametrize(
    ("reserves", "field"),
    [
        (((2, ChannelKind.SMS),), None),
        (((2, ChannelKind.VIBER),), "reserve"),
        (((1, ChannelKind.SMS),), "reserve"),
        (((2, ChannelKind.SMS), (2, ChannelKind.SMS)), "second_reserve"),
    ],
)
def test_a_reserve_is_another_account_of_the_same_kind(reserves, field):
    problems = found([replace(SMS, channel_id=1, reserves=reserves)])
    assert problems == ([] if field is None else [(Level.ERROR, 0, field)])


def test_where_the_last_dialogue_may_put_any_step_first_the_last_one_has_steps_behind_it():
    steps = [rung(FakeViber), rung(FakeSms)]
    assert not any(one.step == 1 for one in chains.validate_chain(steps))
    problems = chains.validate_chain(steps, any_first=True)
    assert next((one.level, one.field) for one in problems if one.step == 1) == (Level.ERROR, "wait")
