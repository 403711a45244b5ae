"""Fields that several serializers share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contacts.phones import Rejected, normalise
from contacts.reasons import text as reason_text


@extend_schema_field({"type": "string", "example": "+79123456789"})
class PhoneField(serializers.CharField):
    """A phone in any spelling in, E.164 out. Refused with the reason, never guessed."""

    default_error_messages = {"null_character": _("There is a NUL character in it.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=40, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        read = normalise(super().to_internal_value(data))
        if isinstance(read, Rejected):
            raise serializers.ValidationError(reason_text(read.reason), code=read.reason.value)
        return read.e164


class EmailField(serializers.EmailField):
    """Lower-cased, as cards have it."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).strip().lower()


LONGEST_WAIT = 366 * 86400


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": LONGEST_WAIT, "description": "Seconds."})
class SecondsField(serializers.Field[timedelta, Any, int, Any]):
    """A duration as whole seconds."""

    def to_internal_value(self, data: Any) -> timedelta:
        if isinstance(data, bool) or not isinstance(data, int) or not 1 <= data <= LONGEST_WAIT:
            raise serializers.ValidationError(_("Whole seconds, from 1 to a year."), code="seconds")
        return timedelta(seconds=data)

    def to_representation(self, value: timedelta) -> int:
        return round(value.total_seconds())


@extend_schema_field(OpenApiTypes.OBJECT)
class VariablesField(serializers.JSONField):
    """Values for a text: {"order": "1208", "total": 4200}."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            raise serializers.ValidationError(_("Send an object: names and values."), code="not_an_object")
        if len(value) > 100:
            raise serializers.ValidationError(_("At most 100 values."), code="too_many")
        if has_null_character(value):
            raise serializers.ValidationError(_("There is a NUL character in it."), code="null_character")
        return value


def has_null_character(value: Any) -> bool:
    """Whether PostgreSQL would refuse this JSON: it takes no NUL in a text, wherever it is."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(has_null_character(one) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return any(has_null_character(one) for one in value)
    return False
