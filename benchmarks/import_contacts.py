"""A list of a million people, as owners have it: from the messy CSV to people, consents and a list.

* ours: the product's import on its real worker process, the upload's detection included;
* limit: COPY of the same people already normalised, then the shortest merge into the same tables with the same
  indexes (upsert by phone, a consent line and a list member each). It reads no phone, finds no duplicate, keeps no
  verdict, cannot be stopped and shows no progress;
* peer: django-import-export with `use_bulk`, on fewer rows, into the contacts alone (no consents, no list, no broken
  phones, nobody twice), normalising phones as ours does;
* tuned: the same without its report of differences and with all known people loaded at once: the best that could be
  found. It stops at the first broken phone, and memory grows with the file; shown beside, the target is the peer.
"""

from __future__ import annotations

import csv
import io
import json
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import tablib
from django.conf import settings
from django.db import connection
from import_export import fields, instance_loaders, resources, widgets

from benchmarks.rig import connect_to, ratios
from contacts.models import ConsentSource, Contact, ContactList, ImportJob, ImportStatus
from contacts.phones import Phone, normalise
from contacts.services import imports
from contacts.tasks import import_file

if TYPE_CHECKING:
    from benchmarks.rig import Rig

HEADER = ["Телефон", "ФИО", "E-mail", "Дата рождения", "Согласие", "Заказ"]
NAMES = ["Анна Петровна", "Мария", "Елена Игоревна", "Ольга", "Ирина Олеговна", "Светлана", "Юлия Ивановна"]
SURNAMES = ["Иванова", "Петрова", "Сидорова", "Кузнецова", "Смирнова", "Попова", "Волкова", "Щербакова", "Ёлкина"]
CODES = ["912", "905", "916", "921", "960", "977", "985", "999"]


@dataclass(frozen=True, slots=True)
class Person:
    """One person as the limit gets it: nothing left to read."""

    digits: str
    name: str
    surname: str
    email: str
    birthday: str
    said: str
    order: str

    @property
    def phone(self) -> str:
        return f"+7{self.digits}"

    def row(self, spelling: int) -> list[str]:
        """Return the row of the CSV, the phone in one of five spellings."""
        one, two, three, four = self.digits[:3], self.digits[3:6], self.digits[6:8], self.digits[8:]
        phone = (
            f"+7 ({one}) {two}-{three}-{four}", f"8{self.digits}", f"7{self.digits}", self.digits,
            f"8-{one}-{two}-{three}-{four}",
        )[spelling % 5]  # fmt: skip
        year, month, day = self.birthday.split("-") if self.birthday else ("", "", "")
        born = f"{day}.{month}.{year}" if year else ""
        return [phone, f"{self.surname} {self.name}", self.email, born, self.said, self.order]


def people(count: int) -> Iterator[Person]:
    """Yield different people, the same ones every time."""
    for number in range(count):
        digits = CODES[number % 8] + f"{number // 8 * 7919 % 10**7:07}"
        yield Person(
            digits,
            NAMES[number % len(NAMES)],
            SURNAMES[number % len(SURNAMES)],
            f"client{number}@example.ru" if number % 3 == 0 else "",
            f"{1950 + number % 55}-{number % 12 + 1:02}-{number % 28 + 1:02}" if number % 2 else "",
            ("да", "да", "да", "", "нет")[number % 5],
            str(100_000 + number),
        )


def write_files(folder: Path, count: int) -> tuple[Path, Path, int]:
    """Write the owner's CSV of `count` rows (of a hundred, one repeats somebody and one has a broken phone) and the
    same people for COPY. Out: both paths and how many people there are."""
    messy, clean = folder / "clients.csv", folder / "people.copy"
    chance = random.Random(7)
    unique = count - 2 * (count // 100)
    recent: deque[Person] = deque(maxlen=50)
    everybody = people(unique)
    with (
        messy.open("w", encoding="cp1251", newline="") as file,
        clean.open("w", encoding="utf-8") as copy,
    ):
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerow(HEADER)
        for number in range(count):
            if number % 100 == 98 and number < count // 100 * 100:
                writer.writerow(recent[chance.randrange(len(recent))].row(number))
            elif number % 100 == 99:
                writer.writerow(["8912345", *recent[-1].row(0)[1:]])
            else:
                person = next(everybody)
                recent.append(person)
                writer.writerow(person.row(number))
                consent = {"да": "granted", "нет": "withdrawn", "": "unknown"}[person.said]
                given = person.name.split()[0]
                variables = json.dumps({"заказ": person.order}, ensure_ascii=False)
                cells = (
                    person.phone, person.email, given, f"{person.surname} {person.name}", person.birthday, consent,
                    str(number + 2), variables,
                )  # fmt: skip
                copy.write("\t".join(cell or r"\N" for cell in cells) + "\n")
    return messy, clean, unique


def ours(rig: Rig, messy: Path, count: int, memory: list[tuple[float, float]]) -> float:
    """Import through the worker; return rows a second and note the worker's memory (idle, peak) in MB."""
    rig.fresh_database()
    worker = rig.processes.worker("import", concurrency=1, environment={"MEDIA_ROOT": str(settings.MEDIA_ROOT)})
    (child,) = worker.children()
    idle = peak_mb(child)
    started = time.perf_counter()
    job = imports.open_upload(imports.FileUpload(messy))
    job.consent_source = ConsentSource.COLUMN
    job.save()
    imports.request_run(job)
    import_file.delay(job.pk)
    rig.processes.until(
        lambda: not ImportJob.objects.filter(pk=job.pk, status__in=imports.AT_WORK).exists(), timeout_s=1800
    )
    seconds = time.perf_counter() - started
    job.refresh_from_db()
    if job.status != ImportStatus.DONE or job.rows_done != count:
        raise RuntimeError(f"the import ended as {job.status} {job.error} after {job.rows_done} rows")
    memory.append((idle, peak_mb(child)))
    rig.processes.stop()
    rig.processes.running.clear()
    return count / seconds


def peak_mb(pid: int) -> float:
    """Return the most memory a process ever had (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


_STAGE = """
CREATE UNLOGGED TABLE bench_people (phone text, email text, name text, full_name text, birthday date, consent text,
    line int, variables jsonb);
CREATE TEMPORARY TABLE bench_ids (id bigint, phone text, consent_id bigint)
"""
_COPY = "COPY bench_people FROM STDIN"
_MERGE = (
    """
    WITH source AS MATERIALIZED (
        SELECT *, CASE WHEN consent <> 'unknown' THEN nextval('contacts_consent_id_seq') END AS consent_id
          FROM bench_people),
    written AS (
        INSERT INTO contacts_contact (phone, email, name, full_name, birthday, timezone, attributes, marketing_consent,
            consent_id, suppressed, created_at, updated_at)
        SELECT phone, email, name, full_name, birthday, '', '{}', consent, consent_id, 0, now(), now() FROM source
        ON CONFLICT (phone) DO UPDATE SET email = excluded.email, name = excluded.name, full_name = excluded.full_name,
            birthday = excluded.birthday, updated_at = now()
        RETURNING id, phone, consent_id)
    INSERT INTO bench_ids SELECT id, phone, consent_id FROM written
    """,
    """
    INSERT INTO contacts_consent (id, contact_id, purpose, granted, at, source, wording, evidence)
    SELECT ids.consent_id, ids.id, 'marketing', people.consent = 'granted', now(), 'people.copy:' || people.line, '', ''
      FROM bench_ids ids JOIN bench_people people USING (phone) WHERE ids.consent_id IS NOT NULL
    """,
    """
    INSERT INTO contacts_listmember (list_id, contact_id, variables)
    SELECT %(list)s, ids.id, people.variables FROM bench_ids ids JOIN bench_people people USING (phone)
    """,
)


def limit(rig: Rig, clean: Path, count: int, unique: int) -> float:
    """COPY and merge what is normalised already; return the owner's file's rows a second."""
    rig.fresh_database()
    roll = ContactList.objects.create(name="people")
    name = connection.settings_dict["NAME"]
    with connect_to(name) as session:
        started = time.perf_counter()
        session.execute(_STAGE)
        with session.cursor() as cursor, cursor.copy(_COPY) as stream, clean.open("rb") as file:
            while block := file.read(2**20):
                stream.write(block)
        session.execute("ANALYZE bench_people")
        with session.transaction():
            for statement in _MERGE:
                session.execute(statement, {"list": roll.pk} if "%(" in statement else None)
        seconds = time.perf_counter() - started
        session.execute("DROP TABLE bench_people")
    if roll.members.count() != unique:
        raise RuntimeError("the limit lost somebody")
    return count / seconds


class _PhoneWidget(widgets.Widget):
    """What an owner of django-import-export would write to have one spelling of a phone."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        read = normalise(str(value))
        if not isinstance(read, Phone):
            raise ValueError(read.reason.value)
        return read.e164


class PeerResource(resources.ModelResource):
    """django-import-export with `use_bulk`."""

    phone = fields.Field("phone", "Телефон", _PhoneWidget())
    full_name = fields.Field("full_name", "ФИО")
    email = fields.Field("email", "E-mail")
    birthday = fields.Field("birthday", "Дата рождения", widgets.DateWidget("%d.%m.%Y"))

    class Meta:
        model = Contact
        import_id_fields: ClassVar[tuple[str, ...]] = ("phone",)
        fields: ClassVar[tuple[str, ...]] = ("phone", "full_name", "email", "birthday")
        use_bulk = True


class TunedPeerResource(PeerResource):
    """The same as its documentation on speed advises."""

    class Meta(PeerResource.Meta):
        skip_diff = True
        report_skipped = False
        instance_loader_class = instance_loaders.CachedInstanceLoader


def peer(rig: Rig, resource: type[PeerResource], count: int) -> float:
    """Import people from CSV text; return rows a second."""
    rig.fresh_database()
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(HEADER)
    # Without broken phones and repeats: one setting stops at the first, the second would break its unique key.
    writer.writerows(person.row(number) for number, person in enumerate(people(count)))
    started = time.perf_counter()
    data = tablib.Dataset().load(text.getvalue(), format="csv", delimiter=";")
    result = resource().import_data(data, raise_errors=False, collect_failed_rows=False)
    seconds = time.perf_counter() - started
    if result.has_errors() or Contact.objects.count() != count:
        raise RuntimeError(f"the peer failed: {result.totals}")
    return count / seconds


def run(rig: Rig) -> dict[str, Any]:
    """Measure the three in turn."""
    count, few = rig.count(1_000_000, 1_000), rig.count(20_000, 500)
    settings.MEDIA_ROOT = rig.folder / "media"
    messy, clean, unique = write_files(rig.folder, count)
    memory: list[tuple[float, float]] = []
    rounds = rig.rounds(
        {
            "ours": lambda: ours(rig, messy, count, memory),
            "limit": lambda: limit(rig, clean, count, unique),
            "peer": lambda: peer(rig, PeerResource, few),
            "tuned": lambda: peer(rig, TunedPeerResource, few),
        }
    )
    return {
        **ratios(rounds),
        "rows": count,
        "megabytes": round(messy.stat().st_size / 2**20),
        "peer_rows": few,
        "idle_mb": round(max(idle for idle, _ in memory)),
        "peak_mb": round(max(peak for _, peak in memory)),
        "peak_over_idle_mb": round(max(peak - idle for idle, peak in memory)),
    }
