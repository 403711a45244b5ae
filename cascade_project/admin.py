"""Other people's admin pages in our theme.

Django's and celery-beat's pages are written for the plain admin; under Unfold they work but
keep unstyled widgets. Each is registered again with Unfold's class mixed in front. The project
stands last in INSTALLED_APPS, so everything is registered by the time this is imported.
"""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from django_celery_beat.admin import PeriodicTaskForm, TaskSelectWidget
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget


class TaskSelect(UnfoldAdminSelectWidget, TaskSelectWidget):  # type: ignore[misc]  # untyped bases
    """celery-beat's list of registered tasks, drawn by Unfold."""


class TickForm(PeriodicTaskForm):  # type: ignore[misc]  # untyped base
    """celery-beat's form with Unfold's widgets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()


#: Django writes the names of permissions into the database in English: “Can add contact”.
_MAY = {
    "add": gettext_lazy("add"),
    "change": gettext_lazy("change"),
    "delete": gettext_lazy("delete"),
    "view": gettext_lazy("view"),
}


class NamedPermissions:
    """“Контакты: контакт: добавлять” in the choice of permissions, grouped by section."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The form field with labels in the language of the page."""
        field = super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]  # a mixin
        if field is not None and db_field.related_model is Permission:
            # Of the tables that keep the history of changes nobody adds or deletes anything.
            field.queryset = field.queryset.exclude(content_type__model__startswith="historical")
            field.label_from_instance = permission_words
        return field


def permission_words(permission: Permission) -> str:
    """A permission by app, model and verb; one of another kind by its own name."""
    kind = permission.content_type
    verb = permission.codename.partition("_")[0]
    app, _dot, model = kind.app_labeled_name.partition(" | ")
    return f"{app}: {model}: {_MAY[verb]}" if verb in _MAY else f"{app}: {permission.name}"


def restyle(model: type[Model], **attributes: Any) -> None:
    """Register the model again with its own admin class below Unfold's, plus attributes."""
    own = type(admin.site.get_model_admin(model))
    admin.site.unregister(model)
    admin.site.register(model, type(f"Styled{own.__name__}", (NamedPermissions, own, ModelAdmin), attributes))


restyle(
    User,
    form=UserChangeForm,
    add_form=UserCreationForm,
    change_password_form=AdminPasswordChangeForm,
)
restyle(Group)
restyle(PeriodicTask, form=TickForm)
for _schedule in (IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    restyle(_schedule)
# Kept visible: deleting an attempt is how an owner unlocks a colleague.
for _record in (AccessAttempt, AccessLog, AccessFailureLog):
    restyle(_record)
