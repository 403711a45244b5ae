"""I27, R4: trouble of the account is not the recipient's."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now

from cascade.vocabulary import FailureClass, Reason
from channels.models import ChannelState
from channels.services import health
from tests.channels.fakes import make_channel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fakes")]


def state(channel):
    return ChannelState.objects.get(channel=channel)


def test_I27_five_account_errors_in_a_row_open_the_breaker():
    channel = make_channel("fake_sms")
    for _ in range(4):
        assert not health.note_results(channel.pk, 0, FailureClass.AUTH, "code 2")
    assert health.closed_channels() == {}
    assert health.note_results(channel.pk, 0, FailureClass.AUTH, "code 2"), "the fifth opens, and says so once"
    assert not health.note_results(channel.pk, 0, FailureClass.AUTH, "code 2")
    assert health.closed_channels() == {channel.pk: Reason.ACCOUNT_TROUBLE}
    assert state(channel).last_error == "code 2"
    assert health.advice(state(channel)) == health.ADVICE["auth"]


def test_I27_a_success_between_them_starts_the_count_again():
    channel = make_channel("fake_sms")
    for _ in range(20):
        health.note_results(channel.pk, 0, FailureClass.AUTH, "x", errors=4)
        health.note_results(channel.pk, 1)
    assert health.closed_channels() == {}
    assert state(channel).last_error == ""


def test_I27_errors_after_successes_in_one_batch_count():
    channel = make_channel("fake_sms")
    assert health.note_results(channel.pk, 36, FailureClass.AUTH, "x", errors=28)


def test_no_money_opens_at_once():
    channel = make_channel("fake_sms")
    assert health.note_results(channel.pk, 500, FailureClass.BALANCE, "no money")
    assert health.advice(state(channel)) == health.ADVICE["balance"]


def test_twenty_unknown_outcomes_in_a_row_open():
    channel = make_channel("fake_sms")
    assert not health.note_results(channel.pk, 0, unknown=19)
    assert health.note_results(channel.pk, 0, unknown=1)
    assert state(channel).trouble == "outcome_unknown"


def test_R4_an_outage_is_twenty_calls_in_a_row_that_came_to_nothing():
    channel = make_channel("fake_sms")
    assert not health.note_results(channel.pk, 0, stumbled=10, detail="503")
    assert not health.note_results(channel.pk, 1, stumbled=10), "a success in between starts the count again"
    assert health.note_results(channel.pk, 0, stumbled=10, detail="503")
    assert (state(channel).trouble, state(channel).last_error) == ("transient", "503")
    assert health.advice(state(channel)) == health.ADVICE["transient"]


def test_other_failures_are_not_the_account():
    channel = make_channel("fake_sms")
    for failure in set(FailureClass) - {FailureClass.AUTH, FailureClass.BALANCE}:
        assert not health.note_results(channel.pk, 0, failure, "x", errors=100)
    assert state(channel).errors_in_row == 0


def test_a_probe_is_handed_out_once_a_minute_and_success_closes():
    channel = make_channel("fake_sms")
    assert not health.due_probe(channel.pk), "a healthy channel needs no probe"
    health.note_results(channel.pk, 0, FailureClass.BALANCE)
    assert not health.due_probe(channel.pk), "first a minute of rest"
    ChannelState.objects.update(probe_at=now() - timedelta(seconds=1))
    assert health.due_probe(channel.pk)
    assert not health.due_probe(channel.pk)
    health.note_results(channel.pk, 0, FailureClass.BALANCE, "still none")
    assert health.closed_channels()
    health.note_results(channel.pk, 1)
    after = state(channel)
    assert health.closed_channels() == {}
    assert (after.errors_in_row, after.trouble, after.opened_at, after.probe_at) == (0, "", None, None)


def test_opened_since_is_the_first_moment():
    channel = make_channel("fake_sms")
    health.note_results(channel.pk, 0, FailureClass.BALANCE)
    since = state(channel).opened_at
    health.note_results(channel.pk, 0, FailureClass.BALANCE)
    assert state(channel).opened_at == since


def test_disabled_channels_are_closed_for_another_reason_and_never_probed():
    channel = make_channel("fake_sms", enabled=False)
    assert health.closed_channels() == {channel.pk: Reason.CHANNEL_DISABLED}
    health.note_results(channel.pk, 0, FailureClass.BALANCE)
    ChannelState.objects.update(probe_at=now() - timedelta(seconds=1))
    assert not health.due_probe(channel.pk)


def test_a_long_answer_of_the_provider_fits():
    channel = make_channel("fake_sms")
    health.note_results(channel.pk, 0, FailureClass.AUTH, "x" * 5000)
    assert len(state(channel).last_error) == 500


@pytest.mark.django_db(transaction=True)
def test_many_reporters_lose_no_count_and_one_gets_the_probe():
    channel = make_channel("fake_sms")

    def report(_):
        try:
            return health.note_results(channel.pk, 0, FailureClass.AUTH, "x")
        finally:
            connection.close()

    def probe(_):
        try:
            return health.due_probe(channel.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(report, range(40))) == 1, "exactly one reporter opened it"
        assert state(channel).errors_in_row == 40
        ChannelState.objects.update(probe_at=now() - timedelta(seconds=1))
        assert sum(pool.map(probe, range(40))) == 1
