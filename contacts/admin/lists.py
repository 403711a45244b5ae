"""Lists of people."""

from __future__ import annotations

import tempfile
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from contacts import exports
from contacts.models import ContactList, ListMember


class MemberInline(TabularInline):
    """The first members; the whole list is a download."""

    model = ListMember
    extra = 0
    per_page = 50
    tab = True
    fields = ("contact", "variables")
    ordering = ("id",)
    raw_id_fields = ("contact",)
    show_count = False
    hide_title = True

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_foreignkey(db_field, request, **{"label": _("contact").capitalize(), **kwargs})


@admin.register(ContactList)
class ContactListAdmin(ModelAdmin):
    """Saved lists."""

    list_display = ("name", "show_size", "created_at")
    search_fields = ("name",)
    fields = ("name", "show_size", "created_at")
    readonly_fields = ("show_size", "created_at")
    inlines = (MemberInline,)
    actions_list = ("open_upload",)
    actions_detail = ("write_to_them", "download_csv", "download_xlsx")
    list_before_template = "contacts/admin/list_hint.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactList]:
        return super().get_queryset(request).annotate(size=Count("members"))

    @display(description=gettext_lazy("people"), ordering="size")
    def show_size(self, roll: ContactList) -> int:
        return getattr(roll, "size", 0)

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "<int:pk>/download.<str:kind>",
                self.admin_site.admin_view(self.download_view),
                name="contacts_contactlist_download",
            ),
            *super().get_urls(),
        ]

    @action(description=gettext_lazy("Upload a list"), icon="upload_file", url_path="open-upload")
    def open_upload(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_importjob_add"))

    @action(description=gettext_lazy("Write to these people"), icon="campaign", url_path="write")
    def write_to_them(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Begin a campaign to this list; contacts know of campaigns only that there may be such a page."""
        try:
            return HttpResponseRedirect(f"{reverse('admin:campaigns_campaign_add')}?lists={int(object_id)}")
        except NoReverseMatch:
            return HttpResponseRedirect(reverse("admin:contacts_contactlist_change", args=[object_id]))

    @action(description=gettext_lazy("Download CSV"), icon="download", url_path="csv")
    def download_csv(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_contactlist_download", args=[object_id, "csv"]))

    @action(description=gettext_lazy("Download XLSX"), icon="download", url_path="xlsx")
    def download_xlsx(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_contactlist_download", args=[object_id, "xlsx"]))

    def download_view(self, request: HttpRequest, pk: int, kind: str) -> Any:
        """Send the list as a file; read in pieces, so its size does not matter."""
        roll = get_object_or_404(ContactList, pk=pk)
        if not self.has_view_permission(request, roll):
            raise PermissionDenied
        self.log_change(request, roll, _("Downloaded as %(kind)s.") % {"kind": kind.upper()})
        return file_response(exports.list_rows(roll), f"list-{roll.pk}", kind)


def file_response(rows: Any, name: str, kind: str) -> Any:
    """Return rows as a CSV or XLSX download."""
    if kind == "xlsx":
        file = tempfile.TemporaryFile()  # noqa: SIM115  FileResponse closes it
        exports.write_xlsx(rows, file)
        file.seek(0)
        return FileResponse(file, as_attachment=True, filename=f"{name}.xlsx")
    response = StreamingHttpResponse(exports.csv_lines(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
