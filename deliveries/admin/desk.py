"""The desk of those who call: what to do next, and one page for a call with everything that is needed for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import get_current_timezone, is_naive, localtime, make_aware, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from channels.providers.operator import Said
from deliveries.admin.delivery import people_found
from deliveries.admin.reading import ReadOnlyAdmin
from deliveries.models import OperatorTask, SaidChoices
from deliveries.selectors import TASK_VIEWS, count_tasks, tasks_of_view, timeline
from deliveries.services import desk
from deliveries.tasks import hint, process_receipts
from deliveries.words import reason_label

STATE_COLOURS: dict[str, str] = {
    OperatorTask.State.OPEN: "info",
    OperatorTask.State.DONE: "success",
    OperatorTask.State.WITHDRAWN: "default",
    "overdue": "danger",
}
#: Buttons of a task in the order of how good the news is: (outcome, icon, class).
BUTTONS = (
    (Said.CONFIRMED, "check_circle", "is-primary"),
    (Said.NOT_INTERESTED, "thumb_down", ""),
    (Said.NO_ANSWER, "phone_missed", ""),
    (Said.WRONG_NUMBER, "wrong_location", ""),
    (Said.REFUSED, "block", "is-danger"),
)
#: What cannot be taken back and ends more than this call.
_ASKS_AGAIN = {Said.REFUSED}


class DeskFilter(DropdownFilter):
    """Which part of the desk; open tasks unless something else is asked for."""

    title = gettext_lazy("show")
    parameter_name = "desk"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, _(words)) for code, words in TASK_VIEWS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OperatorTask]) -> QuerySet[OperatorTask]:
        view = self.value()
        return tasks_of_view(queryset, view if view in TASK_VIEWS else "open", request.user.pk)


@admin.register(OperatorTask)
class OperatorTaskAdmin(ReadOnlyAdmin):
    list_display = ("shown_who", "shown_text", "shown_due", "shown_state", "shown_taken")
    list_select_related = ("contact", "taken_by", "closed_by")
    list_filter = (DeskFilter,)
    search_fields = ("id",)
    search_help_text = gettext_lazy("Phone in any spelling, part of a name, or the beginning of an e-mail")
    list_before_template = "deliveries/admin/task_list_before.html"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """What is due first stands first; of what is closed, the newest."""
        return ("-id",) if request.GET.get("desk") == "closed" else ("due_at", "id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OperatorTask], search_term: str
    ) -> tuple[QuerySet[OperatorTask], bool]:
        term = search_term.strip().replace("\x00", "")
        return (queryset.filter(contact_id__in=people_found(term)) if term else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        counted = count_tasks(request.user.pk)
        chosen = request.GET.get("desk") if request.GET.get("desk") in TASK_VIEWS else "open"
        tabs = [
            {"code": code, "title": _(words), "count": counted.get(code), "active": code == chosen}
            for code, words in TASK_VIEWS.items()
        ]
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "tabs": tabs})
        return answer

    @display(description=gettext_lazy("whom to call"))
    def shown_who(self, task: OperatorTask) -> str:
        name = str(task.contact) if task.contact else _("deleted contact")
        return name if name == task.address else f"{name}, {task.address}"

    @display(description=gettext_lazy("what to say"))
    def shown_text(self, task: OperatorTask) -> str:
        return task.text if len(task.text) <= 90 else f"{task.text[:90]}…"

    @display(description=gettext_lazy("call before"))
    def shown_due(self, task: OperatorTask) -> str:
        late = task.state == OperatorTask.State.OPEN and task.due_at <= now()
        words = date_format(localtime(task.due_at), "d.m H:i")
        return format_html('<span class="cp-nowrap {}">{}</span>', "cascade-bad" if late else "", words)

    @display(description=gettext_lazy("state"), label=STATE_COLOURS)
    def shown_state(self, task: OperatorTask) -> tuple[str, str]:
        return state_of(task)

    @display(description=gettext_lazy("by whom"))
    def shown_taken(self, task: OperatorTask) -> str:
        who = task.closed_by or task.taken_by
        return who.get_username() if who else ""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One call: who, why, what to say, what was tried before; under the thumb, what came of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        task = self.found(request, object_id)
        if task is None:
            return self.gone(request, object_id)
        may_work = request.user.has_perm("deliveries.change_operatortask")
        if request.method == "POST":
            if not may_work:
                raise PermissionDenied
            return self._work(request, task)
        code, words = state_of(task)
        delivery = task.delivery
        values = {**(task.contact.attributes if task.contact else {}), **delivery.variables}
        return self.page(
            request,
            "task.html",
            title=self.shown_who(task),
            task=task,
            badge=STATE_COLOURS.get(code, "default"),
            state=words,
            phone=task.address if task.address.startswith("+") else "",
            delivery=delivery,
            lines=timeline(delivery.pk),
            values=[(name, value) for name, value in values.items() if value not in (None, "", [], {})],
            goes_on=desk.goes_on_at(task) if task.state == OperatorTask.State.OPEN else None,
            withdrawn=reason_label(task.withdrawn_because),
            buttons=[
                {"code": said.value, "title": SaidChoices(said.value).label, "icon": icon, "look": look,
                 "again": said in _ASKS_AGAIN}
                for said, icon, look in BUTTONS
            ],
            mine=task.taken_by_id == request.user.pk,
            may_work=may_work,
            may_see_contact=request.user.has_perm("contacts.view_contact"),
            may_see_delivery=request.user.has_perm("deliveries.view_delivery"),
            list_url=reverse("admin:deliveries_operatortask_changelist"),
        )  # fmt: skip

    def _work(self, request: HttpRequest, task: OperatorTask) -> HttpResponse:
        """Carry out what was pressed and say what came of it."""
        here = HttpResponseRedirect(request.path)
        on_list = HttpResponseRedirect(reverse("admin:deliveries_operatortask_changelist"))
        pressed, user = request.POST.get("do", ""), request.user
        if not user.is_authenticated:
            raise PermissionDenied
        if pressed in {"take", "put_back"}:
            late = desk.take(task.pk, user) if pressed == "take" else desk.put_back(task.pk)
            self._say(request, late, _("The task is yours.") if pressed == "take" else _("Everybody may take it now."))
            return here
        if pressed == "later":
            at = _moment(request.POST.get("at", ""))
            if at is None:
                messages.error(request, _("Say when to call: day and time."))
                return here
            late = desk.call_later(task.pk, user, at)
            words = _("You will call on %(at)s.") % {"at": date_format(localtime(at), "j E, H:i")}
            return here if self._say(request, late, words) else on_list
        if pressed not in SaidChoices.values:
            messages.error(request, _("Choose what came of the call."))
            return here
        late = desk.close(task.pk, user, Said(pressed), request.POST.get("note", ""))
        if self._say(request, late, _("Noted: “%(outcome)s”.") % {"outcome": SaidChoices(pressed).label}):
            return here
        hint(process_receipts)
        return on_list

    def _say(self, request: HttpRequest, late: desk.Late | None, done: str) -> bool:
        """Tell what happened; True when it was too late."""
        self.message_user(request, late.why if late else done, messages.WARNING if late else messages.SUCCESS)
        return late is not None


def state_of(task: OperatorTask) -> tuple[str, str]:
    """(code, words): overdue is a state to people, and no column."""
    if task.state == OperatorTask.State.OPEN and task.due_at <= now():
        return "overdue", _("overdue")
    if task.state == OperatorTask.State.DONE:
        return task.state, str(task.get_outcome_display())
    return task.state, str(task.get_state_display())


def _moment(text: str) -> datetime | None:
    """What a datetime-local field sends, in the zone of the project."""
    try:
        at = parse_datetime(text.strip()[:40])
    except ValueError:
        return None
    if at is None:
        return None
    return make_aware(at, get_current_timezone()) if is_naive(at) else at
