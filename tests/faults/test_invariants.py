"""Promises that only break between two processes: each is raced, frozen or shot at with real ones."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection

from campaigns.models import Campaign, CampaignStatus
from campaigns.services import lifecycle
from cascade.vocabulary import Purpose
from channels.models import Channel
from contacts.models import Contact, ContactList, ListMember, SuppressionScope
from contacts.services import consents, suppressions
from deliveries.models import Attempt, Delivery, DeliveryPlan, Receipt
from deliveries.schedule import ensure_ticks
from deliveries.services import advance, launch, receipts, recover
from deliveries.services.plans import freeze
from deliveries.services.send.claim import claim
from deliveries.services.send.pump import close_runtime, send_ready
from deliveries.tasks import launch_campaigns, send
from emulator.journal import Journal
from templates_app.models import MessageTemplate
from tests.deliveries.live import finished, receive_callbacks, requests_of, tell
from tests.deliveries.shop import Shop
from tests.faults.wires import DatabaseWire, Moment
from tests.plugins.processes import Processes, Running, test_database_url

pytestmark = [pytest.mark.processes, pytest.mark.slow]

LONG = timedelta(minutes=10)
RESULT = r"a\.state IN \('calling', 'unknown'\)"


@pytest.fixture
def wire(processes: Processes) -> Iterator[DatabaseWire]:
    address = test_database_url()
    if "host=/" not in address:
        pytest.skip("the given PostgreSQL does not listen on a socket in a folder, where the wire is laid")
    with DatabaseWire(processes.folder, address) as wire:
        yield wire


@pytest.fixture
def live(processes: Processes) -> Iterator[Shop]:
    """A shop at an emulator that goes by its rules only."""
    shop = Shop(processes.emulator().url)
    tell(shop.emulator, "rules", digits=False)
    yield shop
    close_runtime()


def service(shop: Shop, *channels: Channel, wait: timedelta) -> DeliveryPlan:
    """A plan for single messages, without a campaign around them."""
    template, _ = MessageTemplate.objects.get_or_create(name="Визит", defaults={"text": "Ждём вас завтра."})
    chain = shop.chain(*channels, wait=wait)
    return DeliveryPlan.objects.create(purpose=Purpose.SERVICE, definition=freeze(chain, template, Purpose.SERVICE))


def emulator_of(processes: Processes) -> Running:
    return next(one for one in processes.running if one.name == "emulator")


def test_I1_one_of_sixteen_claimers_gets_it(shop_of_nobody: Shop) -> None:
    """Twenty times sixteen threads reach for one ready row."""
    channel = shop_of_nobody.sms()
    plan = service(shop_of_nobody, channel, wait=LONG)
    person = Contact.objects.create(phone="+79120000001")
    won: list[int] = []

    def reach(barrier: threading.Barrier) -> None:
        barrier.wait()
        won.extend(one.delivery_id for one in claim(channel.pk, 1))
        connection.close()

    for _ in range(20):
        delivery_id, _ = launch.create_delivery(person.pk, plan)
        assert advance.advance_these([delivery_id]) == (1, 1)
        barrier = threading.Barrier(16)
        threads = [threading.Thread(target=reach, args=(barrier,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [delivery_id]
        won.clear()
    assert set(Delivery.objects.values_list("fence", flat=True)) == {1}


@pytest.fixture
def shop_of_nobody(transactional_db: None) -> Shop:
    return Shop()


def test_I1_a_worker_that_slept_past_its_lease_adds_what_it_knows_and_steers_nothing(
    processes: Processes, live: Shop, wire: DatabaseWire
) -> None:
    """Frozen with the provider's answer in hand; the delivery is taken from it and goes on; then it wakes."""
    messenger, sms = live.messenger(), live.sms()
    tell(live.emulator, "rules", provider="green", behaviour="silent")
    tell(live.emulator, "rules", provider="smsc", behaviour="silent")
    plan = service(live, messenger, sms, wait=timedelta(seconds=2))
    person = Contact.objects.create(phone="+79120000001")
    frozen = processes.worker(
        "send", concurrency=1, environment={"DATABASE_URL": wire.url, "SEND_DEADLINE": "2"}, arguments=["--pool=solo"]
    )
    trap = wire.arm(RESULT, Moment.FROZEN, kills=False)
    delivery_id, _ = launch.create_delivery(person.pk, plan)
    advance.advance_these([delivery_id])
    send.apply_async()
    processes.until(trap.sprung.is_set, what="the freeze")
    processes.until(recover.reap_leases, what="the end of its lease")
    assert Delivery.objects.get().has_unknown

    def second_step_is_out() -> bool:
        advance.advance_due()
        send_ready(0.5)
        return Attempt.objects.filter(step=1, state="accepted").exists()

    processes.until(second_step_is_out, what="the second step, by another worker")
    before = Delivery.objects.values("state", "step", "fence", "trail", "outcome").get()
    trap.release()
    processes.until(lambda: Attempt.objects.filter(step=0, state="accepted").exists(), what="the sleeper's evidence")

    assert Delivery.objects.values("state", "step", "fence", "trail", "outcome").get() == before
    assert not Delivery.objects.get().has_unknown
    assert Attempt.objects.get(step=0).provider_message_id
    assert Counter(r["provider"] for r in requests_of(live)) == {"green": 1, "smsc": 1}
    assert frozen.process.poll() is None


def crowd(shop: Shop, processes: Processes, people: int) -> Campaign:
    """A campaign in full swing through two senders of two children each."""
    for provider in ("smsc", "green"):
        tell(shop.emulator, "accounts", provider=provider, latency=0.2)
    for _ in range(2):
        processes.worker("send", concurrency=2, environment={"SEND_IN_FLIGHT": "8"})
    campaign = shop.campaign(shop.chain(shop.sms(rate=120.0), wait=LONG), shop.people(people))
    launch.launch_due()
    return campaign


def go_on(until: Callable[[], bool]) -> Callable[[], bool]:
    """Decide and wake both senders, then ask."""

    def round_() -> bool:
        advance.advance_due()
        for _ in range(4):
            send.apply_async()
        return until()

    return round_


def test_I14_nothing_begins_after_the_pause_was_answered(processes: Processes, live: Shop) -> None:
    campaign = crowd(live, processes, 400)
    for wanted in (30, 90, 180):
        processes.until(go_on(lambda wanted=wanted: Attempt.objects.count() >= wanted), what="a campaign in full swing")  # type: ignore[misc]
        assert lifecycle.pause(campaign.pk)
        begun = Attempt.objects.count()
        processes.until(go_on(lambda: not Attempt.objects.filter(state="calling").exists()), what="calls in flight")
        processes.until(go_on(lambda: not Delivery.objects.filter(state__in=["ready", "leased"]).exists()), what="rest")
        assert Attempt.objects.count() == begun < 400
        assert lifecycle.resume(campaign.pk)
        recover.wake_resumed()
    assert lifecycle.cancel(campaign.pk)
    begun = Attempt.objects.count()
    recover.end_cancelled()
    processes.until(go_on(lambda: Campaign.objects.get().finished_at is not None or not recover.end_cancelled()))
    processes.until(go_on(lambda: not Attempt.objects.filter(state="calling").exists()), what="calls in flight")
    assert Attempt.objects.count() == begun == len(requests_of(live))


def test_I3_nothing_begins_after_a_person_was_stopped(processes: Processes, live: Shop) -> None:
    """People near the senders' place in the queue are stopped, in two ways, while messages to all are leaving."""
    crowd(live, processes, 300)
    people = list(Contact.objects.order_by("pk").values_list("pk", flat=True))
    begun: dict[int, int] = {}
    while (sent := Attempt.objects.count()) < 200 and len(begun) < 60:
        go_on(lambda: True)()
        # A little behind the senders, or ahead of them.
        person = people[max(0, sent - 10) + len(begun) % 5 * 10]
        if len(begun) % 2:
            consents.record(person, granted=False, source="разговор")
        else:
            suppressions.suppress_contact(person, SuppressionScope.ALL, "просьба", "разговор")
        begun.setdefault(person, Attempt.objects.filter(delivery__contact_id=person).count())
    processes.until(
        go_on(lambda: not Delivery.objects.filter(state__in=["ready", "leased"]).exists()), what="the campaign"
    )
    stopped = Attempt.objects.filter(delivery__contact_id__in=begun)
    after = Counter(stopped.values_list("delivery__contact_id", flat=True))
    assert {person: after[person] for person in begun} == begun
    # Some were stopped before their message and some after: it was a race.
    assert set(begun.values()) == {0, 1}


def test_C12_a_launch_killed_in_mid_chunk_writes_each_person_once(processes: Processes, wire: DatabaseWire) -> None:
    """Killed before the commit of one chunk and after that of another; a third run finishes."""
    count = launch.CHUNK + 500
    Contact.objects.bulk_create(
        [Contact(phone=f"+79{number:09d}", marketing_consent="granted") for number in range(count)], batch_size=5000
    )
    people = ContactList.objects.create(name="Все")
    ListMember.objects.bulk_create([ListMember(list=people, contact_id=pk) for pk in Contact.objects.values_list("pk", flat=True)], batch_size=5000)  # fmt: skip
    shop = Shop()
    campaign = shop.campaign(shop.chain(shop.sms()), people)
    processes.worker("default", concurrency=3, environment={"DATABASE_URL": wire.url})
    for moment in (Moment.COMMIT, Moment.ANSWER):
        trap = wire.arm("INSERT INTO deliveries_delivery", moment, kills=True)
        launch_campaigns.apply_async()
        processes.until(trap.sprung.is_set, what=f"a launch killed at {moment.name}")

    def launched() -> bool:
        launch_campaigns.apply_async()
        return Campaign.objects.get().status == CampaignStatus.RUNNING

    processes.until(launched, interval_s=0.3, what="the rest of the launch")
    campaign.refresh_from_db()
    assert campaign.planned == Delivery.objects.count() == count
    assert Delivery.objects.values("contact").distinct().count() == count


def test_C11_a_callback_answered_2xx_is_stored_and_counts_once(
    processes: Processes, live: Shop, wire: DatabaseWire
) -> None:
    """The web server dies before the INSERT, then after it and before its 2xx: the provider comes again each time."""
    channel = live.messenger()
    web = processes.web({"DATABASE_URL": wire.url})
    port = urlsplit(web.url).port
    receive_callbacks(live, web.url, channel)
    tell(live.emulator, "rules", provider="green", steps=[{"after": 0.2, "status": "delivered"}])
    plan = service(live, channel, wait=LONG)
    for number, moment in enumerate((Moment.BEFORE, Moment.ANSWER)):
        person = Contact.objects.create(phone=f"+7912000000{number}")
        trap = wire.arm("INSERT INTO deliveries_receipt", moment, kills=True)
        delivery_id, _ = launch.create_delivery(person.pk, plan)
        advance.advance_these([delivery_id])
        send_ready(1.0)
        processes.until(trap.sprung.is_set, what=f"the death at {moment.name}")
        web.kill()
        processes.running.remove(web)
        assert Receipt.objects.count() == number + (moment is Moment.ANSWER)
        web = processes.web({"DATABASE_URL": wire.url}, port=port)
        processes.until(lambda number=number: _taken(processes) == number + 1, what="the provider's next try")  # type: ignore[misc]
    assert Receipt.objects.count() == 2
    assert receipts.process() == 2
    assert advance.advance_due()[0] == 2
    assert set(Delivery.objects.values_list("state", "outcome")) == {("final", "reached")}


def _taken(processes: Processes) -> int:
    """Receipts the provider got rid of."""
    calls = Journal.read(emulator_of(processes).journal).callbacks()
    return len({r["id"] for r in calls if 200 <= r["code"] < 300})


def test_I18_F2_all_off_in_mid_chain_and_two_beats_afterwards(processes: Processes, live: Shop) -> None:
    """Nothing leaves before its time although nobody was there to wait; doubled ticks double nothing."""
    messenger, sms = live.messenger(), live.sms()
    tell(live.emulator, "rules", provider="green", behaviour="silent")
    tell(live.emulator, "rules", provider="smsc", behaviour="silent")
    ensure_ticks()
    wait = timedelta(seconds=8)
    campaign = live.campaign(live.chain(messenger, sms, wait=wait), live.people(40))
    crew = [processes.worker("send", "default", concurrency=2), processes.beat()]
    processes.until(lambda: Attempt.objects.filter(state="accepted").count() == 40, what="the first step")
    for one in crew:
        one.kill()
        processes.running.remove(one)
    due = max(Delivery.objects.values_list("due_at", flat=True))
    processes.until(lambda: _clock() > due, what="the time of the second step")
    assert not requests_of(live, provider="smsc")

    processes.worker("send", "default", concurrency=2)
    processes.beat()
    processes.beat()
    processes.until(finished(campaign.pk), what="the campaign")
    requests = requests_of(live)
    assert Counter(r["provider"] for r in requests) == {"green": 40, "smsc": 40}
    first = {r["recipient"]: r["t"] for r in requests if r["provider"] == "green"}
    gaps = [r["t"] - first[r["recipient"]] for r in requests if r["provider"] == "smsc"]
    assert min(gaps) >= wait.total_seconds()


def _clock() -> object:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return cursor.fetchone()[0]
