"""C13 and bounded memory: imports on a real worker process that is watched, cancelled and killed."""

from pathlib import Path

import psycopg
import pytest
from django.db import connection
from django.urls import reverse
from django.utils.timezone import now

from contacts.models import Consent, Contact, ImportJob, ImportStatus, ListMember
from contacts.services import imports
from contacts.tasks import import_file, import_resume
from tests.contacts.conftest import numbers, upload
from tests.plugins.processes import test_database_url as database_url

pytestmark = [pytest.mark.processes, pytest.mark.timeout(280)]

ROWS = imports.CHUNK + 5_000
#: A person of the second chunk whom the test already knows, so that the chunk has to wait for the card.
KNOWN = ROWS - 1_000


def phone(number):
    return f"+7912{number:07}"


def content(rows):
    lines = ["Телефон;ФИО;Согласие;Заказ"]
    for number in range(rows):
        if number % 100 == 7:
            lines.append(f"12;Пётр;;{number}")
        elif number % 100 == 8:
            lines.append(f"{phone(number - 2)};;нет;{number}")
        else:
            lines.append(f"8 (912) {number:07};Иванова Анна;да;{number}")
    return "\r\n".join(lines).encode("cp1251")


WANTED = {
    "imported": ROWS - 2 * (ROWS // 100) - 1,
    "updated": 1,
    "duplicate": ROWS // 100,
    "rejected": ROWS // 100,
}


@pytest.fixture
def start_worker(processes, settings):
    return lambda: processes.worker("import", concurrency=1, environment={"MEDIA_ROOT": str(settings.MEDIA_ROOT)})


@pytest.fixture
def worker(start_worker):
    return start_worker()


class Held:
    """Keeps the card of one person locked, as a send to this person would."""

    def __init__(self):
        self.session = psycopg.connect(database_url())
        self.session.execute("SELECT 1 FROM contacts_contact WHERE phone = %s FOR UPDATE", [phone(KNOWN)])

    def somebody_waits(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%contacts_contact%%'"
            )
            return cursor.fetchone()[0] == 1

    def let_go(self):
        self.session.close()


def start(rows=ROWS):
    job = upload(content(rows))
    job.target_name, job.consent_source = "список", "column"
    job.save()
    imports.request_run(job)
    import_file.delay(job.pk)
    return job


def books_hold(job):
    """Whatever happened: the numbers are the rows, and no person is half there."""
    job.refresh_from_db()
    assert sum(numbers(job).values()) == job.rows_done
    assert job.rejects.count() == job.rejected
    written = job.imported + job.updated
    assert ListMember.objects.filter(list=job.target_id).count() == written
    # Everybody here said yes or no, and the card repeats the one line of the ledger.
    assert Consent.objects.count() == written == Contact.objects.exclude(consent=None).count()


def test_progress_is_seen_and_a_cancelled_import_keeps_what_is_in_and_goes_on(worker, processes, admin_client):
    Contact.objects.create(phone=phone(KNOWN))
    held = Held()
    job = start()
    processes.until(held.somebody_waits, what="the second chunk")
    page = admin_client.get(reverse("admin:contacts_importjob_change", args=[job.pk])).content.decode()
    assert f"{100 * imports.CHUNK // ROWS}%" in page.replace("\u00a0", "").replace(" ", "")
    imports.cancel(job)
    assert job.status == ImportStatus.RUNNING
    held.let_go()
    processes.until(lambda: ImportJob.objects.filter(pk=job.pk, status="cancelled").exists(), what="the cancellation")
    books_hold(job)
    assert job.rows_done == imports.CHUNK
    imports.request_run(job)
    import_file.delay(job.pk)
    processes.until(lambda: ImportJob.objects.filter(pk=job.pk, status="done").exists(), what="the end")
    books_hold(job)
    assert numbers(job) == WANTED


def test_C13_a_worker_killed_in_mid_chunk_loses_nobody_and_doubles_nobody(worker, start_worker, processes):
    Contact.objects.create(phone=phone(KNOWN))
    held = Held()
    job = start()
    processes.until(held.somebody_waits, what="the second chunk")
    worker.kill()
    held.let_go()
    books_hold(job)
    assert (job.status, job.rows_done) == (ImportStatus.RUNNING, imports.CHUNK)
    assert Contact.objects.count() == job.imported + 1
    # A job is given to another worker when its own has not been seen for a while; the while is not waited for.
    ImportJob.objects.filter(pk=job.pk).update(heartbeat_at=now() - 2 * imports.STALE)
    processes.running.remove(worker)
    start_worker()
    import_resume.delay()
    processes.until(lambda: ImportJob.objects.filter(pk=job.pk, status="done").exists(), what="the end")
    books_hold(job)
    assert numbers(job) == WANTED
    assert Contact.objects.count() == WANTED["imported"] + 1


def test_a_worker_killed_while_it_reads_is_replaced_and_the_file_is_read_again(worker, processes):
    """The child dies alone here; the main process lives and starts another."""
    with psycopg.connect(database_url()) as session:
        # Reading asks the stop-list; whoever writes it makes the reader wait.
        session.execute("LOCK TABLE contacts_suppression IN ACCESS EXCLUSIVE MODE")
        job = start(200)
        processes.until(lambda: ImportJob.objects.filter(pk=job.pk).exclude(runner="").exists(), what="the reading")
        worker.kill_one_child()
    job.refresh_from_db()
    assert (job.rows_done, job.staging) == (0, "")
    ImportJob.objects.filter(pk=job.pk).update(heartbeat_at=now() - 2 * imports.STALE)
    import_resume.delay()
    processes.until(lambda: ImportJob.objects.filter(pk=job.pk, status="done").exists(), what="the end")
    books_hold(job)


def peak_mb(pid):
    (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(worker, processes):
    (child,) = worker.children()
    idle = peak_mb(child)
    peaks = []
    for rows in (50_000, 200_000):
        job = start(rows)
        processes.until(
            lambda pk=job.pk: ImportJob.objects.filter(pk=pk, status="done").exists(),
            timeout_s=200,
            what=f"{rows} rows",
        )
        job.delete()
        job.target.delete()
        peaks.append(peak_mb(child))
    assert worker.children() == [child]
    assert peaks[1] - peaks[0] < 20
    assert peaks[1] - idle < 300
