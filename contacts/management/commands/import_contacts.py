"""Import a file from the command line: the same services, in the foreground.

Exit code 0: every row has its verdict (rejected ones included: the numbers say how many). 1: nothing or not all was
imported, and standard error says why and what to do. 2: the arguments make no sense.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from contacts.imports import staging
from contacts.imports.errors import FileTroubleError, describe
from contacts.imports.headers import Column, Field
from contacts.models import ConsentSource, ContactList, ImportJob, ImportStatus, Tag
from contacts.services import imports


class Command(BaseCommand):
    """manage.py import_contacts FILE [--list NAME] [--mapping ...] [--consent "..."] [--dry-run] [--json]"""

    help = (
        "Import contacts from a CSV or XLSX file. Encoding, separator, header line and columns are detected; look first "
        "with --dry-run. A second run of the same file adds nobody. Exit code 0: every row has its verdict; 1: it could "
        "not be done, standard error says why; an import that stopped is continued in the admin or with --resume."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="the list, by its content: .csv or .xlsx")
        parser.add_argument("--resume", type=int, metavar="JOB", help="go on with an import that stopped")
        parser.add_argument(
            "--list", dest="list_name", default="", help="put the people on this list (made if missing)"
        )
        parser.add_argument(
            "--mapping",
            default="",
            help='corrections, e.g. "Контакт=phone,Город=attribute,Заметка=skip"; the rest is detected',
        )
        parser.add_argument("--tag", action="append", default=[], help="tag for everybody in the file; repeatable")
        parser.add_argument(
            "--consent", default="", help="everybody in the file has agreed to advertising; where and how"
        )
        parser.add_argument(
            "--consent-column", action="store_true", help="record consent from the column recognised as such"
        )
        parser.add_argument("--encoding", default=None, help="instead of the detected one")
        parser.add_argument("--delimiter", default=None, help="instead of the detected one")
        parser.add_argument("--sheet", default="", help="sheet of a workbook; default: the first visible one")
        parser.add_argument("--header-row", type=int, default=None, help="line of the headers; 0 = none")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError with the advice an owner would see."""
        try:
            report = self._report(options)
        except FileTroubleError as trouble:
            raise CommandError(str(trouble)) from None
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in report.items()))

    def _report(self, options: dict[str, Any]) -> dict[str, Any]:
        path: Path | None = options["file"]
        if (path is None) == (options["resume"] is None):
            raise CommandError("Name a file, or an import to go on with (--resume JOB).", returncode=2)
        if path is None:
            job = ImportJob.objects.filter(pk=options["resume"]).first()
            if job is None:
                raise CommandError(f"There is no import {options['resume']}.", returncode=2)
            return self._run(job)
        if not path.is_file():
            raise CommandError(f"{path}: no such file", returncode=2)
        job = self._open(path, options)
        try:
            return self._dry_run(job) if options["dry_run"] else self._run(job)
        except FileTroubleError:
            imports.discard(job)  # refused before the first row: there is nothing to go on with
            raise

    def _open(self, path: Path, options: dict[str, Any]) -> ImportJob:
        job = imports.open_upload(imports.FileUpload(path), sheet=options["sheet"])
        try:
            choices = imports.Choices(
                encoding=options["encoding"], delimiter=options["delimiter"], header_row=options["header_row"]
            )
            if choices != imports.Choices():
                imports.configure(job, choices)
            if options["mapping"]:
                imports.configure(job, imports.Choices(columns=_corrected(job, options["mapping"])))
            job.target_name = options["list_name"]
            job.target = ContactList.objects.filter(name=job.target_name).first() if job.target_name else None
            if options["consent"]:
                job.consent_source, job.consent_evidence = ConsentSource.EVERYBODY, options["consent"]
            elif options["consent_column"]:
                job.consent_source = ConsentSource.COLUMN
            job.save()
            job.tags.set([Tag.objects.get_or_create(name=name)[0] for name in options["tag"]])
        except BaseException:
            imports.discard(job)
            raise
        return job

    @staticmethod
    def _dry_run(job: ImportJob) -> dict[str, Any]:
        imports.request_check(job)
        checked = imports.work(job.pk)
        if checked is None:
            raise CommandError("Another worker took the import.")
        try:
            if checked.status != ImportStatus.CHECKED:
                raise CommandError(describe(checked.error))
            totals = staging.totals(checked.staging)
            return {"rows": checked.rows_total, **totals, "warned": checked.warned, "dry_run": True}
        finally:
            imports.discard(checked)

    def _run(self, job: ImportJob) -> dict[str, Any]:
        try:
            imports.request_run(job)
        except imports.WrongStateError:
            raise CommandError(
                f"Import {job.pk} is {job.get_status_display()}: there is nothing to go on with."
            ) from None
        done = imports.work(job.pk, self._say)
        if done is None or done.status != ImportStatus.DONE:
            why = describe(done.error) if done else "Another worker took the import."
            raise CommandError(f"{why or 'The import was stopped.'} (import {job.pk})")
        return {
            "rows": done.rows_total,
            "imported": done.imported,
            "updated": done.updated,
            "duplicate": done.duplicates,
            "rejected": done.rejected,
            "warned": done.warned,
            "job": done.pk,
            "list": done.target_id,
        }

    def _say(self, job: ImportJob) -> None:
        """Show a person how far it is; nothing of it reaches a script that reads standard output."""
        if self.stderr.isatty():
            self.stderr.write(f"\r{job.rows_done} / {job.rows_total}", ending="")
            if job.rows_done == job.rows_total:
                self.stderr.write("")


def _corrected(job: ImportJob, text: str) -> list[Column]:
    """Apply "header=field" corrections to the detected mapping. Raises CommandError for unknown words."""
    wanted: dict[str, Field] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        header, _, field = part.rpartition("=")
        try:
            wanted[header.strip()] = Field(field.strip())
        except ValueError:
            known = ", ".join(one.value for one in Field)
            raise CommandError(f"--mapping: {field!r} is not one of {known}", returncode=2) from None
    columns = imports.columns_of(job)
    unknown = set(wanted) - {column.header for column in columns}
    if unknown:
        raise CommandError(f"--mapping: no column {', '.join(sorted(unknown))} in the file", returncode=2)
    return [Column(one.header, wanted.get(one.header, one.field), one.key) for one in columns]
