"""A wait entered as people say it: a number and a unit. HH:MM:SS is not how owners think, and “15” would be seconds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import INPUT_CLASSES, UnfoldAdminSelectWidget

UNITS: dict[str, timedelta] = {
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
    "seconds": timedelta(seconds=1),
}
#: Minutes first: what a wait usually is. Seconds last: chains of one-time codes wait half a minute.
LABELS = (("minutes", _("minutes")), ("hours", _("hours")), ("days", _("days")), ("seconds", _("seconds")))
LONGEST = timedelta(days=30)


class DurationWidget(forms.MultiWidget):
    """Number and unit side by side."""

    template_name = "channels/admin/duration.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        number = forms.NumberInput(
            attrs={
                "class": " ".join(INPUT_CLASSES),
                "min": 1,
                "step": 1,
                "inputmode": "numeric",
                "aria-label": _("How long"),
            }
        )
        unit = UnfoldAdminSelectWidget(attrs={"aria-label": _("minutes, hours, days or seconds")}, choices=LABELS)
        super().__init__([number, unit], attrs)

    def decompress(self, value: Any) -> list[Any]:
        if not isinstance(value, timedelta) or not value:
            return [None, "minutes"]
        for name, unit in UNITS.items():
            if not value % unit:
                return [value // unit, name]
        return [int(value.total_seconds()), "seconds"]


class DurationField(forms.MultiValueField):
    """timedelta <-> number and unit; None when not required and no number is given."""

    widget = DurationWidget

    def __init__(self, *, required: bool = True, **kwargs: Any) -> None:
        for unwanted in ("encoder", "decoder"):
            kwargs.pop(unwanted, None)
        super().__init__(
            [
                forms.IntegerField(min_value=1, required=False),
                forms.ChoiceField(choices=[(name, name) for name in UNITS], required=False),
            ],
            required=required,
            require_all_fields=False,
            **kwargs,
        )

    def clean(self, value: Any) -> timedelta | None:
        """A unit alone is an empty value: the unit's list always has something chosen."""
        number = value[0] if isinstance(value, list | tuple) and value else None
        if number in (None, ""):
            if self.required:
                raise ValidationError(self.error_messages["required"], code="required")
            return None
        cleaned: timedelta | None = super().clean(value)
        return cleaned

    def compress(self, data_list: list[Any]) -> timedelta | None:
        if not data_list or data_list[0] is None:
            return None
        number, unit = data_list[0], UNITS[data_list[1] or "minutes"]
        # Compared before it is multiplied: 10**15 days is an OverflowError, not a timedelta.
        if number > LONGEST // unit:
            raise ValidationError(_("At most %(days)s days."), params={"days": LONGEST.days})
        return number * unit

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial or None))
        except ValidationError:
            return True
