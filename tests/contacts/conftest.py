"""Files on their way through the product's own import: uploaded, looked at, imported."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from contacts.imports import staging
from contacts.models import ConsentSource, ImportJob, ImportStatus
from contacts.services import imports


@pytest.fixture(autouse=True)
def own_media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@dataclass
class Memory:
    """An upload without a file behind it."""

    name: str
    content: bytes

    def chunks(self):
        for start in range(0, len(self.content), 2**16):
            yield self.content[start : start + 2**16]


def text_file(*rows: str, encoding: str = "utf-8", line_end: str = "\r\n") -> bytes:
    """Return lines as a file."""
    return "".join(row + line_end for row in rows).encode(encoding)


def workbook(*rows: list[Any], fill: Callable[[Any, Any], None] | None = None, **options: Any) -> bytes:
    """Return an XLSX with these rows on its first sheet; `fill(book, sheet)` may do more to it."""
    target = BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True, **options})
    sheet = book.add_worksheet("Клиенты")
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            if value is not None:
                sheet.write(number, column, value)
    if fill:
        fill(book, sheet)
    book.close()
    return target.getvalue()


def upload(content: bytes, name: str = "список.csv") -> ImportJob:
    return imports.open_upload(Memory(name, content))


def numbers(job: ImportJob) -> dict[str, int]:
    return {
        "imported": job.imported,
        "updated": job.updated,
        "duplicate": job.duplicates,
        "rejected": job.rejected,
    }


def bring_in(job: ImportJob, **settings: Any) -> ImportJob:
    """Look at the file, import it, and hold the two to each other: what was foretold is what was done."""
    for name, value in settings.items():
        setattr(job, name, value)
    job.save()
    imports.request_check(job)
    checked = imports.work(job.pk)
    assert checked is not None
    assert checked.status == ImportStatus.CHECKED, checked.error
    foretold = staging.totals(checked.staging)
    imports.request_run(checked)
    done = imports.work(job.pk)
    assert done is not None
    assert done.status == ImportStatus.DONE, done.error
    assert numbers(done) == foretold
    assert sum(foretold.values()) == done.rows_total == done.rows_done
    assert done.rejects.count() == done.rejected
    return done


def bring(content: bytes, name: str = "список.csv", **settings: Any) -> ImportJob:
    """Upload and import with consent from its column when there is one."""
    job = upload(content, name)
    fields = {column["field"] for column in job.mapping}
    source = ConsentSource.COLUMN if "consent" in fields else ConsentSource.NONE
    return bring_in(job, **{"target_name": "", "consent_source": source, **settings})


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes to a file and return its path."""

    def write(content: bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return path

    return write
