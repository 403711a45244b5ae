"""The way of a file as pages: upload, columns, preview, progress, result.

One address per import shows the page of its state, so that a reload, a second tab or a link from yesterday always
lands where the import stands. All decisions are in contacts.services.imports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import ProgrammingError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from contacts import exports
from contacts.admin.lists import file_response
from contacts.imports import sniffing, staging
from contacts.imports.errors import FileTroubleError, Trouble, describe
from contacts.imports.headers import LABELS, Column, Field
from contacts.models import ConsentSource, ContactList, ImportJob, ImportStatus, Tag
from contacts.reasons import text as reason_text
from contacts.services import imports
from contacts.tasks import import_file

PAGE = 50
SAMPLES_SHOWN = 3
REJECTS_SHOWN = 20

STATUS_COLOURS = {
    ImportStatus.UPLOADED.label: "info",
    ImportStatus.CHECKING.label: "info",
    ImportStatus.CHECKED.label: "warning",
    ImportStatus.RUNNING.label: "info",
    ImportStatus.DONE.label: "success",
    ImportStatus.CANCELLED.label: "danger",
    ImportStatus.FAILED.label: "danger",
}

ENCODING_LABELS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 (BOM)",
    "cp1251": "Windows-1251",
    "koi8-r": "KOI8-R",
    "cp866": "DOS (CP866)",
    "utf-16": "UTF-16 (BOM)",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
}
DELIMITER_LABELS = {
    ";": gettext_lazy("semicolon ;"),
    ",": gettext_lazy("comma ,"),
    "\t": gettext_lazy("tab"),
    "|": gettext_lazy("bar |"),
}
#: A tab does not survive a form field's stripping.
DELIMITER_CODES = {";": "semicolon", ",": "comma", "\t": "tab", "|": "bar"}

VERDICT_WORDS = {
    "imported": (gettext_lazy("new contacts"), gettext_lazy("new"), "success"),
    "updated": (gettext_lazy("known already"), gettext_lazy("known"), "info"),
    "duplicate": (gettext_lazy("repeats in the file"), gettext_lazy("repeat"), "warning"),
    "rejected": (gettext_lazy("cannot be imported"), gettext_lazy("rejected"), "danger"),
}


class UploadForm(forms.Form):
    """Only the file: everything else is asked when we know what is in it."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
        allow_empty_file=True,
        max_length=None,
    )


class SettingsForm(forms.Form):
    """How the file is read and where the people go."""

    encoding = forms.ChoiceField(label=gettext_lazy("Encoding"), required=False, widget=UnfoldAdminSelectWidget)
    delimiter = forms.ChoiceField(label=gettext_lazy("Separator"), required=False, widget=UnfoldAdminSelectWidget)
    quoted = forms.BooleanField(label=gettext_lazy("Quotes wrap values"), required=False, widget=UnfoldBooleanWidget)
    sheet = forms.ChoiceField(label=gettext_lazy("Sheet"), required=False, widget=UnfoldAdminSelectWidget)
    header_row = forms.IntegerField(
        label=gettext_lazy("Header line"),
        min_value=0,
        max_value=1000,
        help_text=gettext_lazy("0 = the file has no headers"),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
    )
    target = forms.ModelChoiceField(
        ContactList.objects.all(),
        label=gettext_lazy("Existing list"),
        required=False,
        empty_label=gettext_lazy("a new list"),
        widget=UnfoldAdminSelectWidget,
    )
    target_name = forms.CharField(
        label=gettext_lazy("Name of the new list"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Empty = contacts only, without a list"),
        widget=UnfoldAdminTextInputWidget,
    )
    tags = forms.ModelMultipleChoiceField(
        Tag.objects.all(),
        label=gettext_lazy("Tags for everybody in the file"),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
    )
    consent_source = forms.ChoiceField(
        label=gettext_lazy("Consent to advertising"), choices=ConsentSource.choices, widget=UnfoldAdminSelectWidget
    )
    consent_evidence = forms.CharField(
        label=gettext_lazy("Where and how they agreed"),
        required=False,
        help_text=gettext_lazy("Goes into the consent ledger of each person: for example the form and its wording."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    def __init__(self, job: ImportJob, sheets: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = dict.fromkeys([job.encoding, *sniffing.ENCODINGS])
        self.fields["encoding"].choices = [(name, ENCODING_LABELS.get(name, name)) for name in known if name]  # type: ignore[attr-defined]
        codes: list[tuple[str, Any]] = [(DELIMITER_CODES[char], label) for char, label in DELIMITER_LABELS.items()]
        if job.delimiter and job.delimiter not in DELIMITER_CODES:
            codes.append((job.delimiter, job.delimiter))
        self.fields["delimiter"].choices = codes  # type: ignore[attr-defined]
        self.fields["sheet"].choices = sheets  # type: ignore[attr-defined]
        for name in ("sheet",) if job.kind == "csv" else ("encoding", "delimiter", "quoted"):
            del self.fields[name]
        for name in ("encoding", "delimiter", "quoted", "sheet", "header_row"):
            if name in self.fields:
                self.fields[name].widget.attrs["data-reread"] = "1"
        if not self.fields["tags"].queryset.exists():  # type: ignore[attr-defined]
            del self.fields["tags"]


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """One line of the mapping table."""

    number: int
    header: str
    samples: list[str]
    field: str
    key: str


@admin.register(ImportJob)
class ImportJobAdmin(ModelAdmin):
    """Imports."""

    list_display = ("original_name", "show_status", "show_numbers", "target", "created_by", "created_at")
    list_select_related = ("target", "created_by")
    list_before_template = "contacts/admin/import_hint.html"
    search_fields = ("original_name",)
    actions = None

    class Media:
        css = {"all": ("contacts/admin.css",)}
        js = ("contacts/import.js",)

    @display(description=gettext_lazy("status"), label=STATUS_COLOURS)
    def show_status(self, job: ImportJob) -> str:
        return str(job.get_status_display())

    @display(description=gettext_lazy("new / known / repeats / rejected"))
    def show_numbers(self, job: ImportJob) -> str:
        return f"{job.imported} / {job.updated} / {job.duplicates} / {job.rejected}" if job.rows_done else "–"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/rejects.<str:kind>", wrap(self.rejects_view), name="contacts_importjob_rejects"),
            path("<int:pk>/step/<str:step>/", wrap(self.step_view), name="contacts_importjob_step"),
            *super().get_urls(),
        ]

    # --- upload ---------------------------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Take the file; a refusal stays on the page with its advice."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                job = imports.open_upload(form.cleaned_data["file"], by_id=request.user.pk)
            except FileTroubleError as trouble:
                form.add_error("file", str(trouble))
            else:
                return HttpResponseRedirect(job_url(job))
        return self._page(request, "upload", form=form, step=1, title=_("Upload a list"))

    # --- the page of the state ------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the page of where the import stands."""
        if not object_id.isdigit():
            return HttpResponseRedirect(reverse("admin:contacts_importjob_changelist"))
        job = get_object_or_404(ImportJob.objects.select_related("target"), pk=int(object_id))
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        pages: dict[str, Callable[[HttpRequest, ImportJob], HttpResponse]] = {
            ImportStatus.UPLOADED: self._columns_page,
            ImportStatus.CHECKING: self._progress_page,
            ImportStatus.CHECKED: self._preview_page,
            ImportStatus.RUNNING: self._progress_page,
        }
        try:
            return pages.get(job.status, self._result_page)(request, job)
        except FileTroubleError as trouble:
            return self._result_page(request, job, str(trouble))
        except ProgrammingError:
            # The read rows were tidied up, or lost with a crash of the server, while this page was open.
            return self._result_page(request, job, describe({"code": Trouble.FILE_GONE.value}))

    def _columns_page(
        self, request: HttpRequest, job: ImportJob, form: SettingsForm | None = None, error: str = ""
    ) -> HttpResponse:
        header, data = imports.header_and_data(job, imports.samples(job))
        rows = []
        for number, column in enumerate(imports.columns_of(job)):
            seen = [row[number].strip() for _, row in data if number < len(row) and row[number].strip()]
            rows.append(
                ColumnRow(
                    number,
                    column.header,
                    [value[:60] for value in dict.fromkeys(seen)][:SAMPLES_SHOWN],
                    column.field.value,
                    column.key,
                )
            )
        remarks = [describe(remark) for remark in job.remarks]
        return self._page(
            request,
            "columns",
            job=job,
            step=2,
            title=_("Which column is what"),
            form=form or self._settings_form(job),
            rows=rows,
            fields=[(field.value, label) for field, label in LABELS.items()],
            variable_fields=(Field.VARIABLE.value, Field.ATTRIBUTE.value),
            has_header=bool(header),
            remarks=remarks,
            error=error,
        )

    def _settings_form(self, job: ImportJob, data: Any = None) -> SettingsForm:
        sheets = [
            (sheet.name, f"{sheet.name} ({_('hidden')})" if sheet.hidden else sheet.name)
            for sheet in (imports.sheets_of(job) if job.kind == "xlsx" else ())
        ]
        initial = {
            "encoding": job.encoding,
            "delimiter": DELIMITER_CODES.get(job.delimiter, job.delimiter),
            "quoted": job.quoted,
            "sheet": job.sheet,
            "header_row": job.header_row,
            "target": job.target_id,
            "target_name": job.target_name,
            "tags": [tag.pk for tag in job.tags.all()],
            "consent_source": job.consent_source,
            "consent_evidence": job.consent_evidence,
        }
        return SettingsForm(job, sheets, data, initial=initial)

    def _preview_page(self, request: HttpRequest, job: ImportJob) -> HttpResponse:
        verdict = request.GET.get("verdict", "")
        after = request.GET.get("after", "0")
        found = staging.page(
            job.staging, after=int(after) if after.isdigit() and len(after) < 10 else 0, size=PAGE + 1, verdict=verdict
        )
        totals = staging.totals(job.staging)
        return self._page(
            request,
            "preview",
            job=job,
            step=3,
            title=_("What will happen"),
            cards=_cards(totals),
            rows=[(VERDICT_WORDS[row.verdict], row) for _, row in found[:PAGE]],
            next_after=found[PAGE - 1][0] if len(found) > PAGE else None,
            is_first_page=after in ("", "0"),
            verdict=verdict,
            useful=totals["imported"] + totals["updated"],
            totals=totals,
        )

    def _progress_page(self, request: HttpRequest, job: ImportJob) -> HttpResponse:
        share = 100 * job.rows_done // job.rows_total if job.rows_total and job.status == ImportStatus.RUNNING else 0
        waiting = not job.runner
        name = "progress_part" if request.GET.get("part") else "progress"
        return self._page(
            request,
            name,
            job=job,
            step=3 if job.status == ImportStatus.CHECKING else 4,
            title=_("The file is being read") if job.status == ImportStatus.CHECKING else _("Importing"),
            share=share,
            waiting=waiting,
            cards=_cards(_numbers(job)) if job.rows_done else [],
        )

    def _result_page(self, request: HttpRequest, job: ImportJob, error: str = "") -> HttpResponse:
        if request.GET.get("part"):
            # The progress page asks for news: there are some, it shall load the whole page.
            return HttpResponse(status=204, headers={"X-Import-Finished": "1"})
        return self._page(
            request,
            "result",
            job=job,
            step=4,
            title=str(job.get_status_display()).capitalize(),
            cards=_cards(_numbers(job)),
            error=error or describe(job.error),
            rejects=[
                (one.line, one.column, one.value, reason_text(one.reason))
                for one in job.rejects.order_by("line", "pk")[: 0 if error else REJECTS_SHOWN]
            ],
            can_go_on=job.status in (ImportStatus.FAILED, ImportStatus.CANCELLED) and bool(job.stored_name),
            total=job.rows_total,
        )

    # --- steps ----------------------------------------------------------------------------------------------------

    def step_view(self, request: HttpRequest, pk: int, step: str) -> HttpResponse:
        """Take one step and come back to the page of the state. Only POST changes anything."""
        job = get_object_or_404(ImportJob, pk=pk)
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        steps: dict[str, Callable[[HttpRequest, ImportJob], HttpResponse | None]] = {
            "columns": self._take_columns,
            "back": self._take_back,
            "run": self._take_run,
            "cancel": self._take_cancel,
        }
        if request.method != "POST" or step not in steps:
            return HttpResponseRedirect(job_url(job))
        try:
            answer = steps[step](request, job)
        except FileTroubleError as trouble:
            messages.error(request, str(trouble))
            answer = None
        except imports.WrongStateError:
            # Two tabs or an impatient second press: show where the import really is.
            messages.info(request, _("The import is already further; this is where it stands."))
            answer = None
        return answer or HttpResponseRedirect(job_url(job))

    def _take_columns(self, request: HttpRequest, job: ImportJob) -> HttpResponse | None:
        form = self._settings_form(job, request.POST)
        if not form.is_valid():
            return self._columns_page(request, job, form)
        said = form.cleaned_data
        delimiter = next(
            (char for char, code in DELIMITER_CODES.items() if code == said.get("delimiter")), said.get("delimiter")
        )
        changed: dict[str, Any] = {
            "encoding": said.get("encoding") if said.get("encoding") != job.encoding else None,
            "delimiter": delimiter if delimiter != job.delimiter else None,
            "quoted": said.get("quoted") if "quoted" in said and said["quoted"] != job.quoted else None,
            "sheet": said.get("sheet") if said.get("sheet") != job.sheet else None,
            "header_row": said["header_row"] if said["header_row"] != job.header_row else None,
        }
        job.target = said["target"]
        job.target_name = "" if said["target"] else said["target_name"].strip()
        job.consent_source, job.consent_evidence = said["consent_source"], said["consent_evidence"].strip()
        if any(value is not None for value in changed.values()):
            try:
                imports.configure(job, imports.Choices(**changed))
            except FileTroubleError as trouble:
                job.refresh_from_db()
                return self._columns_page(request, job, None, str(trouble))
            job.tags.set(said.get("tags", []))
            return None
        imports.configure(job, imports.Choices(columns=_columns_from(request, job)))
        job.tags.set(said.get("tags", []))
        if "check" not in request.POST:
            return None
        try:
            imports.request_check(job)
        except FileTroubleError as trouble:
            return self._columns_page(request, job, None, str(trouble))
        self._start(job, at_once=job.size <= imports.CHECK_AT_ONCE)
        return None

    def _take_back(self, request: HttpRequest, job: ImportJob) -> None:
        imports.configure(job, imports.Choices())

    def _take_run(self, request: HttpRequest, job: ImportJob) -> None:
        imports.request_run(job)
        self._start(job, at_once=False)

    def _take_cancel(self, request: HttpRequest, job: ImportJob) -> None:
        imports.cancel(job)
        if job.status in imports.AT_WORK:
            messages.info(request, _("The import stops behind the rows that are being written now."))

    @staticmethod
    def _start(job: ImportJob, *, at_once: bool) -> None:
        if at_once:
            imports.work(job.pk)
        else:
            transaction.on_commit(partial(import_file.delay, job.pk))

    # --- downloads and deletion -----------------------------------------------------------------------------------

    def rejects_view(self, request: HttpRequest, pk: int, kind: str) -> Any:
        """Send the rejected rows for repair."""
        job = get_object_or_404(ImportJob, pk=pk)
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        headers = [_("Line"), _("Column"), _("Reason"), _("Original value")]
        return file_response(exports.reject_rows(job, headers), f"rejected-{job.pk}", kind)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.status in imports.AT_WORK:
            return False
        return super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: ImportJob) -> None:
        imports.discard(obj)

    def _page(self, request: HttpRequest, name: str, **context: Any) -> HttpResponse:
        return TemplateResponse(
            request,
            f"contacts/admin/import_{name}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "steps": [_("File"), _("Columns"), _("Preview"), _("Import")],
                "subtitle": None,
                **context,
            },
        )


def job_url(job: ImportJob) -> str:
    """Return the one address of an import."""
    return reverse("admin:contacts_importjob_change", args=[job.pk])


def _cards(totals: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"verdict": verdict, "label": label, "colour": colour, "number": totals[verdict]}
        for verdict, (label, _short, colour) in VERDICT_WORDS.items()
    ]


def _numbers(job: ImportJob) -> dict[str, int]:
    return {
        "imported": job.imported,
        "updated": job.updated,
        "duplicate": job.duplicates,
        "rejected": job.rejected,
    }


def _columns_from(request: HttpRequest, job: ImportJob) -> list[Column]:
    """Read the mapping table; a field nobody offered counts as "do not import"."""
    known = {field.value for field in Field}
    columns = []
    for number, column in enumerate(imports.columns_of(job)):
        field = request.POST.get(f"field-{number}", column.field.value)
        key = request.POST.get(f"key-{number}", column.key)
        columns.append(Column(column.header, Field(field) if field in known else Field.SKIP, key.strip()[:60]))
    return columns
