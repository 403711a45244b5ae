"""The way of an uploaded file: uploaded -> checking -> checked -> running -> done, or cancelled, or failed.

    open_upload   stores the file under a name of ours, says what it is, proposes a mapping
    configure     takes the owner's corrections and detects again what depends on them
    request_*     put the job into a state in which somebody must work on it
    work          does what the state asks for; called by the task, the command and, for small files, the page
    resume_stale  returns the jobs whose worker is gone

**Killing it at any moment is harmless.** Reading goes into a private UNLOGGED table and is simply done again. Merging
goes chunk by chunk; a chunk and its numbers in the job row are one transaction, so after a kill the next worker goes on
behind the last whole chunk. Two workers never merge one job: each chunk takes the job's advisory lock and then finds
its own token in the row, or stops.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils.timezone import now

from contacts.imports import merging, rows, sniffing, staging, workbook
from contacts.imports.errors import FileTroubleError, Trouble
from contacts.imports.headers import SINGLE, Column, Field, header_row_of, key_of, propose
from contacts.models import ConsentSource, ContactList, ImportJob, ImportReject, ImportStatus
from contacts.selectors import attribute_keys
from contacts.services import suppressions

logger = logging.getLogger(__name__)

#: A job whose worker has not shown itself for this long is given to another. A chunk takes seconds; a worker that
#: is only slow holds the job's lock and keeps it.
STALE = timedelta(seconds=30)
#: Advisory lock class of jobs: "impt" as bytes, the second key is the job's id (see suppressions.STOP_LIST_LOCK).
JOB_LOCK = 0x696D7074
#: Rows merged in one transaction: larger ones gain nothing (measured), hold locks longer and repeat more after a kill.
CHUNK = 25_000
#: Files up to this size are checked while the page waits, larger ones by a worker.
CHECK_AT_ONCE = 512 * 1024
#: Chunks collide with sends that lock the same people; PostgreSQL ends one of two that wait for each other.
CHUNK_TRIES = 5

#: How long an upload that was not imported stays on the disk: it is a list of clients.
KEEP_UPLOADS = timedelta(days=7)

_SAMPLE_ROWS = 60

AT_WORK = (ImportStatus.CHECKING, ImportStatus.RUNNING)


class Upload(Protocol):
    """What Django's UploadedFile and our own FileUpload have in common."""

    @property
    def name(self) -> str | None:
        """Give the name for people."""

    def chunks(self) -> Iterable[bytes]:
        """Give the content in pieces."""


@dataclass(slots=True)
class FileUpload:
    """A file of the command line as an Upload."""

    path: Path

    @property
    def name(self) -> str:
        """Return the name for people."""
        return self.path.name

    def chunks(self) -> Iterable[bytes]:
        """Read the file in pieces of a megabyte."""
        with self.path.open("rb") as file:
            while piece := file.read(2**20):
                yield piece


class WrongStateError(ValueError):
    """The job is not where this step begins (two tabs, a worker that was quicker)."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the owner may correct. None = keep, or detect anew when something it depends on changed."""

    encoding: str | None = None
    delimiter: str | None = None
    quoted: bool | None = None
    sheet: str | None = None
    header_row: int | None = None
    columns: Sequence[Column] | None = None


# --- files --------------------------------------------------------------------------------------------------------


def folder() -> Path:
    """Return where uploads are kept; made on first use, readable by us only."""
    path = Path(settings.MEDIA_ROOT) / "imports"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def path_of(job: ImportJob) -> Path:
    """Return the uploaded file. Raises FileTroubleError when it is gone."""
    path = folder() / job.stored_name
    if not job.stored_name or not path.is_file():
        raise FileTroubleError(Trouble.FILE_GONE)
    return path


def _sheet_path(job: ImportJob) -> Path:
    """Return where the chosen sheet of a workbook lies as CSV."""
    return folder() / f"{job.stored_name}.csv"


def open_upload(upload: Upload, by_id: int | None = None, sheet: str = "") -> ImportJob:
    """Store an upload and find out what it is.

    Out: a job in UPLOADED with encoding, separator, sheet, header line and a proposed mapping. Raises
    FileTroubleError with advice; then nothing is kept. Side effects: a file below MEDIA_ROOT/imports, one row.
    """
    stored_name = secrets.token_hex(16)
    path = folder() / stored_name
    size = 0
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            for piece in upload.chunks():
                size += len(piece)
                if size > sniffing.MAX_CSV_BYTES:
                    raise FileTroubleError(Trouble.TOO_BIG, size=size // 2**20, limit=sniffing.MAX_CSV_BYTES // 2**20)
                file.write(piece)
        job = ImportJob(
            created_by_id=by_id,
            original_name=display_name(upload.name or ""),
            stored_name=stored_name,
            size=size,
            kind=sniffing.kind_of(path),
            sheet=sheet,
        )
        if job.kind == "csv":
            guess = sniffing.encoding_of(path)
            job.encoding = guess.name
            if not guess.certain:
                job.remarks = [{"code": Trouble.ENCODING_UNKNOWN.value, "params": {}}]
        _detect(job, Choices(sheet=sheet or None))
        if any(column.field is Field.CONSENT for column in columns_of(job)):
            # A "no" that stands in the file must not get lost because nobody looked at this question.
            job.consent_source = ConsentSource.COLUMN
        job.target_name = free_list_name(Path(job.original_name).stem)
        job.save()
    except BaseException:
        path.unlink(missing_ok=True)
        (folder() / f"{stored_name}.csv").unlink(missing_ok=True)
        raise
    return job


def display_name(name: str) -> str:
    """Return a file's name for people: the last part, without control and direction marks, at most 200 characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    cleaned = "".join(char for char in last if char.isprintable()).strip()
    if len(cleaned) > 200:
        stem, dot, extension = cleaned.rpartition(".")
        cleaned = f"{stem[:190]}…{dot}{extension[:8]}" if dot else f"{cleaned[:199]}…"
    return cleaned or "-"


def free_list_name(wanted: str) -> str:
    """Return a list name nobody has yet: the wanted one, else with a number behind it."""
    base = wanted[:180].strip() or "-"
    taken = set(ContactList.objects.filter(name__startswith=base).values_list("name", flat=True))
    name, number = base, 2
    while name in taken:
        name, number = f"{base} ({number})", number + 1
    return name


# --- what is in it ------------------------------------------------------------------------------------------------


def source_of(job: ImportJob) -> rows.Source:
    """Return how this job's file is read. Raises FileTroubleError when it is gone."""
    if job.kind == "xlsx":
        path = _sheet_path(job)
        if not path.is_file():
            workbook.to_csv(path_of(job), path, job.sheet)
        return rows.Source(path, "utf-8", ",", quoted=True, header_row=job.header_row, numbered=True)
    path = path_of(job)
    first_line = sniffing.sample_text(path, job.encoding)[:20]
    declared = sniffing.layout_of(first_line).skip if first_line.lower().lstrip('"').startswith("sep=") else 0
    return rows.Source(path, job.encoding, job.delimiter, job.quoted, job.header_row, skip_lines=declared)


def samples(job: ImportJob, limit: int = _SAMPLE_ROWS) -> list[tuple[int, list[str]]]:
    """Return the first rows with their line numbers. Raises FileTroubleError."""
    return rows.first_rows(source_of(job), limit)


def sheets_of(job: ImportJob) -> tuple[workbook.Sheet, ...]:
    """Return the sheets of a workbook; costs a conversion. Raises FileTroubleError."""
    if job.kind != "xlsx":
        return ()
    return workbook.to_csv(path_of(job), _sheet_path(job), job.sheet).sheets


def _detect(job: ImportJob, choices: Choices) -> None:
    """Fill in what was not chosen, from the content. Changes the job without saving. Raises FileTroubleError."""
    path = path_of(job)
    again = choices.header_row is None
    if job.kind == "xlsx":
        if choices.sheet is not None or not _sheet_path(job).is_file():
            job.sheet = workbook.to_csv(path, _sheet_path(job), choices.sheet or "").sheet
    else:
        job.encoding = choices.encoding or job.encoding
        job.quoted = job.quoted if choices.quoted is None else choices.quoted
        text = sniffing.sample_text(path, job.encoding)
        if not text.strip("\ufeff\0 \t\r\n;,|"):
            raise FileTroubleError(Trouble.EMPTY)
        job.delimiter = choices.delimiter or sniffing.layout_of(text, job.quoted).delimiter
    read = samples(job)
    if not read:
        raise FileTroubleError(Trouble.EMPTY)
    cells = [row for _, row in read]
    if again:
        number = header_row_of(cells)
        # The owner counts the file's lines, empty ones too, as the line numbers of the report do.
        job.header_row = read[number - 1][0] if number else 0
    else:
        job.header_row = choices.header_row or 0
    header, data = header_and_data(job, read)
    width = max(len(header), max((len(row) for _, row in data), default=0) if not header else len(header))
    if width > rows.MAX_COLUMNS:
        raise FileTroubleError(Trouble.TOO_MANY_COLUMNS, count=width, limit=rows.MAX_COLUMNS)
    if not data:
        raise FileTroubleError(Trouble.HEADER_ONLY)
    names = header or [""] * width
    columns = propose(
        names, [row for _, row in data], has_header=bool(header), attributes=attribute_keys() if header else ()
    )
    if not job.mapping and any(column.field is Field.CONSENT for column in columns):
        # The first look only: later the owner's own choice stands. Left at “do not record”, a list full of consents
        # would end in a campaign that may write to nobody, with nothing to say why.
        job.consent_source = ConsentSource.COLUMN
    job.mapping = [column.as_json() for column in columns]


def header_and_data(
    job: ImportJob, read: Sequence[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Split sample rows into the header's cells (empty list when there is none) and the data rows below."""
    header = next((row for line, row in read if job.header_row and line == job.header_row), [])
    data = [(line, row) for line, row in read if line > job.header_row and any(cell.strip() for cell in row)]
    return [" ".join(cell.split())[:200] for cell in header], data


def columns_of(job: ImportJob) -> list[Column]:
    """Return the job's mapping."""
    return [Column.from_json(stored) for stored in job.mapping]


def configure(job: ImportJob, choices: Choices) -> ImportJob:
    """Take corrections; what they leave open is detected anew. Saves. Raises FileTroubleError, WrongStateError."""
    if job.status not in (ImportStatus.UPLOADED, ImportStatus.CHECKED, ImportStatus.FAILED):
        raise WrongStateError(job.status)
    reread = any(value is not None for value in (choices.encoding, choices.delimiter, choices.quoted, choices.sheet))
    if reread or choices.header_row is not None:
        header = choices.header_row if choices.header_row is not None or reread else job.header_row
        _detect(job, replace(choices, header_row=header))
        if choices.encoding:
            job.remarks = []
    if choices.columns is not None:
        job.mapping = [column.as_json() for column in with_keys(choices.columns)]
    _forget_staging(job)
    if job.status != ImportStatus.UPLOADED:
        job.status, job.error = ImportStatus.UPLOADED, {}
    job.save()
    return job


def with_keys(columns: Sequence[Column]) -> list[Column]:
    """Give every variable and attribute a name of its own for texts."""
    taken: set[str] = set()
    named = []
    for number, column in enumerate(columns, start=1):
        if column.field in (Field.VARIABLE, Field.ATTRIBUTE):
            key = key_of(column.key or column.header, number, taken)
            taken.add(key)
            named.append(Column(column.header, column.field, key))
        else:
            named.append(Column(column.header, column.field))
    return named


def problems(job: ImportJob) -> list[FileTroubleError]:
    """Return what keeps the chosen settings from being run; empty when nothing does."""
    columns = columns_of(job)
    found = []
    if not any(column.field in (Field.PHONE, Field.EMAIL) for column in columns):
        found.append(FileTroubleError(Trouble.NO_ADDRESS_COLUMN))
    found.extend(
        FileTroubleError(Trouble.TWO_COLUMNS, field=field.value)
        for field in SINGLE
        if sum(column.field is field for column in columns) > 1
    )
    if job.consent_source == ConsentSource.COLUMN and not any(column.field is Field.CONSENT for column in columns):
        found.append(FileTroubleError(Trouble.CONSENT_COLUMN_MISSING))
    if job.consent_source == ConsentSource.EVERYBODY and len(job.consent_evidence.strip()) < 5:
        found.append(FileTroubleError(Trouble.EVIDENCE_MISSING))
    if not job.target_id and job.target_name and ContactList.objects.filter(name=job.target_name).exists():
        found.append(FileTroubleError(Trouble.LIST_NAME_TAKEN, name=job.target_name))
    return found


# --- moving it ----------------------------------------------------------------------------------------------------


def request_check(job: ImportJob) -> None:
    """Ask for every row's verdict. Raises FileTroubleError for impossible settings, WrongStateError."""
    _raise_first(problems(job))
    _forget_staging(job)
    _move(job, (ImportStatus.UPLOADED, ImportStatus.CHECKED, ImportStatus.FAILED), ImportStatus.CHECKING)


def request_run(job: ImportJob) -> None:
    """Ask for the import itself. The new list is made now, so that two jobs cannot both get its name.

    Raises FileTroubleError, WrongStateError.
    """
    _raise_first(problems(job) if not job.rows_done else [])
    with transaction.atomic():
        if not job.target_id and job.target_name:
            job.target = ContactList.objects.create(name=job.target_name)
            job.save(update_fields=["target"])
        _move(
            job,
            (ImportStatus.UPLOADED, ImportStatus.CHECKED, ImportStatus.FAILED, ImportStatus.CANCELLED),
            ImportStatus.RUNNING,
        )


def _raise_first(found: Sequence[FileTroubleError]) -> None:
    if found:
        raise found[0]


def _move(job: ImportJob, allowed: Sequence[str], to: str) -> None:
    """Make a guarded step. Zero rows: another tab was first. Raises WrongStateError."""
    moment = now()
    moved = ImportJob.objects.filter(pk=job.pk, status__in=allowed).update(
        status=to,
        runner="",
        heartbeat_at=moment,
        cancel_requested=False,
        error={},
        finished_at=None,
        started_at=moment if to == ImportStatus.RUNNING else job.started_at,
    )
    if not moved:
        raise WrongStateError(job.status)
    job.refresh_from_db()


def cancel(job: ImportJob) -> None:
    """Stop the job: at once when nobody works on it, else behind the chunk that is being written.

    What was imported stays imported, and the numbers say how much. Nothing happens to a finished job.
    """
    ImportJob.objects.filter(pk=job.pk, status__in=AT_WORK).update(cancel_requested=True)
    waiting = (ImportStatus.UPLOADED, ImportStatus.CHECKED, ImportStatus.FAILED)
    if ImportJob.objects.filter(pk=job.pk, status__in=waiting).update(
        status=ImportStatus.CANCELLED, finished_at=now(), error={}
    ):
        _forget_staging(job)
    job.refresh_from_db()


def _forget_staging(job: ImportJob) -> None:
    if job.staging:
        staging.drop(job.staging)
        ImportJob.objects.filter(pk=job.pk).update(staging="", rows_total=None, warned=0)
        job.staging, job.rows_total, job.warned = "", None, 0


def resume_stale() -> list[int]:
    """Return the jobs that should be worked on and seem not to be: lost hint, killed worker, restarted machine.

    Returning one too many costs a look (`work` finds it taken).
    """
    stale = ImportJob.objects.filter(status__in=AT_WORK).filter(
        Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=now() - STALE)
    )
    return list(stale.order_by("pk").values_list("pk", flat=True))


def forget_old() -> int:
    """Delete files and staging tables nobody will come back to. Out: how many jobs were tidied.

    An upload that was never run, or stopped, keeps its file for KEEP_UPLOADS: the owner may go on meanwhile.
    Tables of readings that were killed go when nothing is at work, so that none is taken away from a slow worker.
    """
    idle = ImportJob.objects.exclude(status__in=[*AT_WORK, ImportStatus.DONE]).exclude(stored_name="")
    old = list(idle.filter(created_at__lt=now() - KEEP_UPLOADS))
    for job in old:
        _forget_staging(job)
        remove_file(job)
        # Numbers, mapping and rejects stay: only what could still be run is gone.
        ImportJob.objects.filter(pk=job.pk).update(stored_name="")
    if not ImportJob.objects.filter(status__in=AT_WORK).exists():
        for table in staging.orphans(ImportJob.objects.exclude(staging="").values_list("staging", flat=True)):
            staging.drop(table)
    return len(old)


# --- working on it ------------------------------------------------------------------------------------------------


class _GoneError(Exception):
    """Another worker has the job now, or it was cancelled: keep hands off."""


def work(job_id: int, progress: Callable[[ImportJob], None] | None = None) -> ImportJob | None:
    """Do what the job's state asks for: check it, or run it to the end.

    Out: the job as it stands afterwards; None when there is nothing to do or somebody else does it. Never raises for
    what is wrong with the file (the job says it), only for a database that is away: then the job is found again by
    `resume_stale`. Safe to call twice, at once or after a kill.
    """
    token = secrets.token_hex(16)
    job = _claim(job_id, token)
    if job is None:
        return None
    try:
        if job.status == ImportStatus.CHECKING:
            _read(job, token)
            _finish(job, token, ImportStatus.CHECKED)
        else:
            _run(job, token, progress)
    except _GoneError:
        logger.info("import %s: stopped, taken over or cancelled", job_id)
        _cancel_if_asked(job_id, token)
    except FileTroubleError as trouble:
        _fail(job_id, token, trouble)
    except suppressions.KeyChangedError:
        logger.exception("import %s: stop-list key", job_id)
        _fail(job_id, token, FileTroubleError(Trouble.STOP_LIST_KEY))
    except OperationalError:
        # The database went away or gave up waiting: the row keeps its state, the next tick finds it.
        logger.warning("import %s: database trouble, to be resumed", job_id, exc_info=True)
        raise
    except Exception:
        logger.exception("import %s: unexpected", job_id)
        _fail(job_id, token, FileTroubleError(Trouble.UNEXPECTED, done=job.rows_done))
    return ImportJob.objects.filter(pk=job_id).first()


def _claim(job_id: int, token: str) -> ImportJob | None:
    """Take the job if nobody works on it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [JOB_LOCK, job_id])
        if not cursor.fetchone()[0]:
            return None
        free = Q(runner="") | Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=now() - STALE)
        taken = ImportJob.objects.filter(free, pk=job_id, status__in=AT_WORK).update(runner=token, heartbeat_at=now())
        return ImportJob.objects.get(pk=job_id) if taken else None


def _beat(job: ImportJob, token: str, **values: Any) -> None:
    """Show that we live, write what changed. Raises _GoneError when the job is no longer ours or shall stop."""
    mine = ImportJob.objects.filter(pk=job.pk, runner=token, cancel_requested=False)
    if not mine.update(heartbeat_at=now(), **values):
        raise _GoneError
    for name, value in values.items():
        setattr(job, name, value)


def _read(job: ImportJob, token: str) -> None:
    """Read the file into a fresh staging table and fold the duplicates. Raises FileTroubleError, _GoneError."""
    old, table = job.staging, staging.table_of(job.pk, token)
    list_state = suppressions.list_state()
    staging.create(table)
    try:
        reader = rows.Reader(
            source_of(job),
            columns_of(job),
            consent_for_all=job.consent_source == ConsentSource.EVERYBODY,
            use_consent_column=job.consent_source == ConsentSource.COLUMN,
            keep_variables=bool(job.target_id or job.target_name),
        )
        stopped = None if list_state.startswith("0/") else _scopes
        suppressions.ensure_key_unchanged()
        for block in reader.blocks(stopped):
            staging.copy(table, block)
            _beat(job, token, rows_total=reader.totals.rows)
        if not reader.totals.rows:
            raise FileTroubleError(Trouble.HEADER_ONLY)
        with transaction.atomic(), connection.cursor() as cursor:
            # Holding the lock says "I am at it" through the one long statement between two heartbeats.
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [JOB_LOCK, job.pk])
            staging.settle(table)
        _beat(
            job,
            token,
            staging=table,
            rows_total=reader.totals.rows,
            warned=reader.totals.warned,
            stop_list_state=list_state,
        )
    except BaseException:
        staging.drop(table)
        raise
    staging.drop(old)


def _scopes(phones: list[str], emails: list[str]) -> dict[str, int]:
    """Return the stop-list's scope by address for one block."""
    hasher = suppressions.Hasher()
    addresses = {hasher.phone(phone): phone for phone in phones}
    addresses |= {hasher.email(email): email for email in emails}
    return {addresses[found]: scope for found, scope in suppressions.scopes_by_hash(addresses).items()}


def _run(job: ImportJob, token: str, progress: Callable[[ImportJob], None] | None) -> None:
    """Merge from where the job stands to the end."""
    total = job.rows_total or 0
    if not job.staging or not staging.is_complete(job.staging, total):
        if job.rows_done and not job.rows_total:
            logger.info("import %s: reading again, %s rows are merged already", job.pk, job.rows_done)
        _read(job, token)
        total = job.rows_total or 0
    target = merging.Target(
        job_id=job.pk,
        list_id=job.target_id,
        tag_ids=tuple(job.tags.values_list("pk", flat=True)),
        name_is_derived=not any(column.field is Field.NAME for column in columns_of(job)),
        consent_source=job.original_name[:150],
        consent_wording=job.consent_evidence,
        by_id=job.created_by_id,
        default_zone=settings.TIME_ZONE,
    )
    while job.rows_done < total:
        _chunk(job, token, target, min(job.rows_done + CHUNK, total))
        if progress is not None:
            progress(job)
    table = job.staging
    _finish(job, token, ImportStatus.DONE, staging="")
    staging.drop(table)
    remove_file(job)


def _chunk(job: ImportJob, token: str, target: merging.Target, last: int) -> None:
    """Merge one chunk and move the cursor, in one transaction; again when it met somebody on the way."""
    for attempt in range(1, CHUNK_TRIES + 1):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                # A chunk lost with a crashed server takes its cursor along and is merged again; the last step of the
                # job waits for the disk, and with it everything before.
                cursor.execute("SET LOCAL synchronous_commit = off")
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [JOB_LOCK, job.pk])
                if not cursor.fetchone()[0]:
                    raise _GoneError
                suppressions.hold_for_writing_contacts()
                if suppressions.list_state() != job.stop_list_state:
                    _look_up_again(job, job.rows_done + 1, last)
                done = merging.merge_chunk(job.staging, job.rows_done + 1, last, target)
                _beat(
                    job,
                    token,
                    rows_done=last,
                    imported=job.imported + done.imported,
                    updated=job.updated + done.updated,
                    duplicates=job.duplicates + done.duplicates,
                    rejected=job.rejected + done.rejected,
                )
        except (OperationalError, merging.MovedUnderUsError) as error:
            deadlock = getattr(error.__cause__, "sqlstate", "") in {"40P01", "40001"}
            if attempt == CHUNK_TRIES or not (deadlock or isinstance(error, merging.MovedUnderUsError)):
                raise
            job.refresh_from_db()
            time.sleep(0.1 * attempt)
        else:
            return


def _look_up_again(job: ImportJob, first: int, last: int) -> None:
    """The stop-list changed since the file was read: ask it again for this chunk."""
    read = staging.addresses(job.staging, first, last)
    scopes = _scopes([phone for _, phone, _ in read if phone], [email for _, _, email in read if email])
    stopped = {
        n: scope for n, phone, email in read if (scope := max(scopes.get(phone or "", 0), scopes.get(email or "", 0)))
    }
    staging.set_scopes(job.staging, first, last, stopped)


def _finish(job: ImportJob, token: str, status: str, **values: Any) -> None:
    moment = now()
    finished = moment if status == ImportStatus.DONE else None
    moved = ImportJob.objects.filter(pk=job.pk, runner=token).update(
        status=status, runner="", heartbeat_at=moment, finished_at=finished, **values
    )
    if not moved:
        raise _GoneError


def _fail(job_id: int, token: str, trouble: FileTroubleError) -> None:
    ImportJob.objects.filter(pk=job_id, runner=token).update(
        status=ImportStatus.FAILED, runner="", error=trouble.as_json(), finished_at=now()
    )


def _cancel_if_asked(job_id: int, token: str) -> None:
    """End the job the owner wants to stop; a job that is another worker's is left alone."""
    mine = ImportJob.objects.filter(pk=job_id, runner=token, cancel_requested=True)
    if mine.filter(status=ImportStatus.CHECKING).update(
        status=ImportStatus.UPLOADED, runner="", cancel_requested=False
    ):
        return
    mine.update(status=ImportStatus.CANCELLED, runner="", finished_at=now())


def remove_file(job: ImportJob) -> None:
    """Delete the uploaded file: what it said is in the base, and a heap of client lists is a leak waiting."""
    for path in (folder() / job.stored_name, _sheet_path(job)):
        if job.stored_name:
            path.unlink(missing_ok=True)


def discard(job: ImportJob) -> None:
    """Delete the record of an import with its file and its read rows; the contacts stay."""
    _forget_staging(job)
    remove_file(job)
    job.delete()


def rejects_of(job: ImportJob) -> Iterable[ImportReject]:
    """Return the rejected rows in the order of the file, without loading them all."""
    return job.rejects.order_by("line", "pk").iterator(chunk_size=5000)
