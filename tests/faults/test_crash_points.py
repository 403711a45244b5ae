"""C0-C10: a real send worker is killed, or its connection cut, at each point of the protocol, once per kind of adapter.

The points are those of the three transactions (docs/faults.md). All deliveries are brought to their crash one after
the other; then the engine goes on, and each must end as the table says. The kinds of adapter:

lookup  an SMS: our reference is its id, so the provider can be asked about a call without an answer
named   a messenger: it cannot be asked, but its receipts name the address
blind   a bot: nobody ever tells
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from cascade.vocabulary import Purpose
from channels.models import Channel
from contacts.models import Contact, ContactAddress
from deliveries.models import Attempt, Delivery, DeliveryPlan
from deliveries.services import advance, launch, polling, receipts, recover
from deliveries.services.plans import freeze
from deliveries.services.send.pump import close_runtime
from deliveries.tasks import send
from emulator.journal import Journal
from templates_app.models import MessageTemplate
from tests.deliveries.live import receive_callbacks, tell
from tests.deliveries.shop import Shop
from tests.faults.wires import DatabaseWire, Moment, ProviderWire
from tests.plugins.processes import Processes, Running, test_database_url

pytestmark = [pytest.mark.processes, pytest.mark.slow]

PICK = r"WHERE state = 'ready' AND channel_id"
CLAIM = r"SET state = 'leased'"
CALLING = r"INSERT INTO deliveries_attempt"
RESULT = r"a\.state IN \('calling', 'unknown'\)"
REQUEST = r"sendMessage|send\.php"


@dataclass(frozen=True)
class Point:
    """Where it happens, and what becomes of the delivery: `requests` that reach the provider whole in its step."""

    name: str
    on_database: bool
    pattern: str
    moment: Moment
    kills: bool = True
    requests: int = 1
    #: The row is not free for the next worker: under a lease, or done with.
    holds: bool = True
    #: The call may have left and the worker knows no answer.
    in_doubt: bool = False


POINTS = (
    Point("C0 before TX-claim", True, PICK, Moment.BEFORE, holds=False),
    Point("C1 inside TX-claim", True, CLAIM, Moment.COMMIT, holds=False),
    Point("C2 after TX-claim", True, CLAIM, Moment.ANSWER),
    Point("C3 after TX-calling", True, CALLING, Moment.ANSWER, requests=0, in_doubt=True),
    Point("C4 body half sent", False, REQUEST, Moment.HALF, requests=0, in_doubt=True),
    Point("C5 no answer read", False, REQUEST, Moment.ANSWER, in_doubt=True),
    Point("C6 answer not parsed", False, REQUEST, Moment.ANSWERED, in_doubt=True),
    Point("C7 before TX-result", True, RESULT, Moment.BEFORE, in_doubt=True),
    Point("C8 inside TX-result", True, RESULT, Moment.COMMIT, in_doubt=True),
    Point("C9 commit of TX-result, reply lost", True, RESULT, Moment.ANSWER, kills=False),
    Point("C9b commit of TX-calling, reply lost", True, CALLING, Moment.ANSWER, kills=False),
    Point("C10 after TX-result", True, RESULT, Moment.ANSWER),
)
KINDS = ("lookup", "named", "blind")
PROVIDER = {"lookup": "smsc", "named": "green", "blind": "telegram"}
#: How the first step waits; long enough for a receipt, short enough that what stays in doubt goes on in this test.
WAIT = timedelta(seconds=12)


@dataclass(frozen=True)
class Case:
    point: Point
    kind: str
    delivery_id: int
    phone: str


class Rig:
    """One send worker behind two wires; all the other work is done here, when the test says so."""

    def __init__(self, processes: Processes, database: DatabaseWire, provider: ProviderWire) -> None:
        self.processes, self.database, self.provider = processes, database, provider
        self._plans: dict[str, DeliveryPlan] = {}
        self._bot: Channel | None = None
        self._people = 0

    def open(self, web: str) -> None:
        """The chains: each kind, then a second SMS account that reaches everybody."""
        shop = Shop(self.provider.url)
        last = shop.sms("Запасная", price=0)
        template = MessageTemplate.objects.create(name="Визит", text="Ждём вас завтра.")
        bot = self._bot = shop.bot()
        firsts = {"lookup": (shop.sms(), "delivered"), "named": (shop.messenger(), "delivered")}
        for kind, (channel, expect) in {**firsts, "blind": (bot, "replied")}.items():
            if kind != "lookup":  # nobody tells: it must be asked
                receive_callbacks(shop, web, channel)
            chain = shop.chain(channel, last, wait=WAIT, expect=[expect, "delivered"])
            self._plans[kind] = DeliveryPlan.objects.create(
                purpose=Purpose.SERVICE, definition=freeze(chain, template, Purpose.SERVICE)
            )

    def crash(self, point: Point, kind: str) -> Case:
        """Bring one delivery to its point; returns when it has happened."""
        wire = self.database if point.on_database else self.provider
        trap = wire.arm(point.pattern, point.moment, kills=point.kills)
        case = Case(point, kind, *self._deliver(kind))
        send.apply_async()
        self.processes.until(trap.sprung.is_set, timeout_s=20, what=f"the crash at {point.name}")
        if not point.holds:
            # Untouched: it must be through before the next case, whose crash would hit it a second time.
            self.processes.until(lambda: self._sent(case), interval_s=0.2, what=f"{point.name}: another worker")
        return case

    def _deliver(self, kind: str) -> tuple[int, str]:
        """A new person's delivery, decided and handed to the worker."""
        self._people += 1
        phone = f"+7912{self._people:07d}"
        person = Contact.objects.create(phone=phone, name="Имя")
        assert self._bot is not None
        ContactAddress.objects.create(contact=person, channel_id=self._bot.pk, value=phone.lstrip("+"))
        delivery_id, _ = launch.create_delivery(person.pk, self._plans[kind])
        assert advance.advance_these([delivery_id]) == (1, 1)
        return delivery_id, phone.lstrip("+")

    def _sent(self, case: Case) -> bool:
        send.apply_async()
        return Attempt.objects.filter(delivery_id=case.delivery_id).exclude(state="calling").exists()

    def go_on(self) -> bool:
        """Everything but sending, once, here; sending by the worker. True when all is over."""
        recover.reap_leases()
        receipts.process()
        polling.poll_due()
        if advance.advance_due()[1]:
            send.apply_async()
        return not Delivery.objects.exclude(state="final").exists()


@pytest.fixture
def rig(processes: Processes) -> Iterator[Rig]:
    emulator = processes.emulator()
    address = test_database_url()
    if "host=/" not in address:
        pytest.skip("the given PostgreSQL does not listen on a socket in a folder, where the wire is laid")
    tell(emulator.url, "rules", digits=False)
    tell(emulator.url, "rules", provider="telegram", behaviour="silent")
    web = processes.web().url
    with DatabaseWire(processes.folder, address) as database:
        # Several children, because Celery takes up to five seconds to replace a dead one.
        settings = {"DATABASE_URL": database.url, "SEND_DEADLINE": "3"}
        worker = processes.worker("send", concurrency=4, environment=settings)
        with ProviderWire(emulator.url, worker.children) as provider:
            rig = Rig(processes, database, provider)
            rig.open(web)
            yield rig
            close_runtime()


def emulator_of(processes: Processes) -> Running:
    return next(one for one in processes.running if one.name == "emulator")


def test_each_crash_point_ends_as_the_table_says(processes: Processes, rig: Rig) -> None:
    cases = [rig.crash(point, kind) for kind in KINDS for point in POINTS]

    processes.until(rig.go_on, timeout_s=90, interval_s=0.2, what="recovery")

    journal = Journal.read(emulator_of(processes).journal)
    wrong = [problem for case in cases for problem in _problems(case, journal)]
    assert wrong == []
    unknown = [case for case in cases if case.point.in_doubt and (case.kind == "blind" or case.point.requests == 0)]
    assert Attempt.objects.filter(state="unknown").count() == len(unknown)
    assert journal.repeated_refs() == {}
    assert len(journal.incomplete()) == len(KINDS)


def _problems(case: Case, journal: Journal) -> list[str]:
    """What is not as the table says, in words."""
    delivery = Delivery.objects.get(pk=case.delivery_id)
    attempts = list(delivery.attempts.filter(step=0))
    requests = [r for r in journal.sends(PROVIDER[case.kind], case.phone) if r["ref"] in _refs(case, delivery)]
    stays_in_doubt = case.point.in_doubt and (case.kind == "blind" or case.point.requests == 0)
    falls_back = stays_in_doubt or case.kind == "blind"
    found = {
        "whole requests": (len(requests), case.point.requests),
        "attempts": (len(attempts), 1),
        "flagged": (delivery.has_unknown, stays_in_doubt),
        "attempt": (attempts[0].state, "unknown" if stays_in_doubt else "accepted"),
        "outcome": ((delivery.outcome, delivery.outcome_step), ("reached", 1 if falls_back else 0)),
        "fallbacks": (delivery.attempts.filter(step=1).count(), int(falls_back)),
    }
    return [
        f"{case.point.name}, {case.kind}: {what} {is_!r}, not {should!r}"
        for what, (is_, should) in found.items()
        if is_ != should
    ]


def _refs(case: Case, delivery: Delivery) -> set[str]:
    """References of the step's requests: only an SMS carries ours, and both its steps have the same provider."""
    if case.kind != "lookup":
        return {""}
    return set(delivery.attempts.filter(step=0).values_list("client_ref", flat=True))
