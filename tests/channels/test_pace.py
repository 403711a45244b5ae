"""R19, I15: the rate of a channel, exact across processes."""

import itertools
import multiprocessing
import os
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from channels.models import Channel, ChannelState
from channels.services import pace
from tests.channels.fakes import make_channel
from tests.plugins.processes import test_database_url

pytestmark = pytest.mark.usefixtures("fakes")


@pytest.mark.django_db
def test_R19_slots_fill_the_horizon_and_no_more():
    channel = make_channel("fake_sms", rate=10)
    first = pace.reserve_slots(channel.pk, 100, horizon=1.0)
    assert first.count == 10
    assert first.interval == pytest.approx(0.1)
    assert first.delay == 0
    again = pace.reserve_slots(channel.pk, 100, horizon=1.0)
    assert again.count <= 1, "the horizon is given away"
    assert again.first_at >= first.first_at + timedelta(seconds=1) - timedelta(microseconds=5)


@pytest.mark.django_db
def test_R19_takes_no_more_than_wanted():
    channel = make_channel("fake_sms", rate=10)
    assert pace.reserve_slots(channel.pk, 3).count == 3
    following = pace.reserve_slots(channel.pk, 3)
    assert following.count == 3
    assert 0.2 < following.delay <= 0.3


@pytest.mark.django_db
def test_R19_a_slow_channel_gets_its_one_slot():
    channel = make_channel("fake_sms", rate=2 / 60)
    assert pace.reserve_slots(channel.pk, 100).count == 1
    later = pace.reserve_slots(channel.pk, 100)
    assert later.count == 0
    assert later.delay == pytest.approx(30, abs=1)


@pytest.mark.django_db
def test_R19_unused_time_is_not_saved_up():
    channel = make_channel("fake_sms", rate=5)
    ChannelState.objects.filter(channel=channel).update(next_slot_at=now() - timedelta(hours=3))
    assert pace.reserve_slots(channel.pk, 1000).count == 5


@pytest.mark.django_db
def test_I15_retry_after_is_obeyed():
    channel = make_channel("fake_sms", rate=100)
    pace.slow_down(channel.pk, timedelta(seconds=30))
    slots = pace.reserve_slots(channel.pk, 10)
    assert slots.count == 0
    assert 29 < slots.delay <= 30
    pace.slow_down(channel.pk, timedelta(seconds=1))
    assert pace.reserve_slots(channel.pk, 10).first_at == slots.first_at, "a shorter pause changes nothing"


@pytest.mark.django_db
def test_a_pause_asked_for_is_told_from_the_usual_pace():
    channel, other = make_channel("fake_sms", rate=2 / 60), make_channel("fake_sms", "other")
    pace.reserve_slots(channel.pk, 1)
    assert pace.paused_until(channel.pk) is None
    assert pace.pauses() == {}
    pace.slow_down(channel.pk, timedelta(minutes=10))
    assert pace.paused_until(channel.pk) > now() + timedelta(minutes=9)
    assert list(pace.pauses()) == [channel.pk]
    assert 590 < pace.pauses()[channel.pk] <= 600
    assert pace.paused_until(other.pk) is None
    ChannelState.objects.update(held_until=now() - timedelta(seconds=1))
    assert pace.paused_until(channel.pk) is None


@pytest.mark.django_db
def test_absurd_patience_is_cut():
    channel = make_channel("fake_sms")
    pace.slow_down(channel.pk, timedelta(days=4000))
    assert pace.reserve_slots(channel.pk, 1).delay < timedelta(days=1, minutes=1).total_seconds()


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_claim_gives_its_slots_back():
    channel = make_channel("fake_sms", rate=10)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert pace.reserve_slots(channel.pk, 10).count == 10
        raise ZeroDivisionError
    assert pace.reserve_slots(channel.pk, 10).count == 10


@pytest.mark.django_db
def test_a_channel_without_state_row_gets_one(django_assert_num_queries):
    channel = make_channel("fake_sms", rate=10)
    ChannelState.objects.all().delete()
    assert pace.reserve_slots(channel.pk, 4).count == 4
    with django_assert_num_queries(1):
        pace.reserve_slots(channel.pk, 4)


@pytest.mark.django_db
def test_fast_channels_send_in_small_bursts():
    channel = make_channel("fake_sms", rate=1000)
    slots = pace.reserve_slots(channel.pk, 1000)
    offsets = list(slots.offsets())
    assert len(offsets) == slots.count == 1000
    assert len(set(offsets)) == 20, "one burst per 50 ms"
    for index, offset in enumerate(offsets):
        assert index * slots.interval - pace.TICK <= offset - slots.delay <= index * slots.interval


def _reserve_for(url: str, channel_id: int, seconds: float, out: "multiprocessing.Queue") -> None:
    """One worker process with a connection of its own."""
    os.environ["DATABASE_URL"] = url
    taken = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with transaction.atomic():
            slots = pace.reserve_slots(channel_id, 7)
        base = slots.first_at.timestamp()
        taken += [base + index * slots.interval for index in range(slots.count)]
        time.sleep(0.005)
    connection.close()
    out.put(taken)


@pytest.mark.django_db(transaction=True)
def test_I15_four_processes_together_never_exceed_the_rate():
    rate = 50
    channel = make_channel("fake_sms", rate=rate)
    assert Channel.objects.count() == 1
    connection.close()  # a forked copy of our connection would be shared
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=_reserve_for, args=(test_database_url(), channel.pk, 2.0, queue)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    moments = sorted(moment for _ in workers for moment in queue.get(timeout=30))
    for worker in workers:
        worker.join(10)
        assert worker.exitcode == 0
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) > 1 / rate - 0.0001, "no two slots closer than the interval"
    assert len(moments) >= rate * 2 * 0.9, "and nearly nothing of the rate is wasted"
