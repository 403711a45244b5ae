"""Other people's admin pages in our theme.

Django's and celery-beat's pages are written for the plain admin; under Unfold they work but
keep unstyled widgets. Each is registered again with Unfold's class mixed in front. The project
stands last in INSTALLED_APPS, so everything is registered by the time this is imported.
"""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
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


def restyle(model: type[Model], **attributes: Any) -> None:
    """Register the model again with its own admin class below Unfold's, plus attributes."""
    own = type(admin.site.get_model_admin(model))
    admin.site.unregister(model)
    admin.site.register(model, type(f"Styled{own.__name__}", (own, ModelAdmin), attributes))


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
