"""What all pages of this app have in common: they are read, and they stay quick at millions of rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import localtime
from unfold.admin import ModelAdmin

from contacts.admin.paginator import EstimatingPaginator


def moment(at: datetime | None) -> str:
    """A moment as one short line of a table: “25.11.2026 12:58”."""
    return (
        "" if at is None else format_html('<span class="cp-nowrap">{}</span>', date_format(localtime(at), "d.m.Y H:i"))
    )


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows the engine writes: no adding, no changing, no deleting, whatever the permissions say."""

    paginator = EstimatingPaginator
    show_full_result_count = False
    list_per_page = 50
    list_filter_submit = True
    ordering = ("-id",)
    #: Newest first is the primary key; any other order would sort millions of rows.
    sortable_by = ()

    class Media:
        css = {"all": ("campaigns/pages.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def found(self, request: HttpRequest, object_id: str) -> Any:
        """The object behind an address, None when it is gone or never was."""
        return self.get_object(request, unquote(object_id))

    def gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Back to the list, with words."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return answer

    def page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """One of our own pages inside the admin's frame."""
        everything = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **context}
        return TemplateResponse(request, f"deliveries/admin/{template}", everything)
