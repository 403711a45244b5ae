"""System checks of contacts: what would be found out by a person who had asked not to be written to."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from contacts.models import Suppression
from contacts.services import suppressions


@register(Tags.database)
def stop_list_key_unchanged(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """E001: the rows were written with another key, nobody would be recognised as stopped."""
    if not databases or "default" not in databases:
        return []
    try:
        foreign = Suppression.objects.exclude(key_id=suppressions.key_fingerprint()).count()
    except DatabaseError:
        return []  # before the first migration there is no table to ask
    if not foreign:
        return []
    return [
        Error(
            f"{foreign} stop-list entries were written with another SUPPRESSION_KEY.",
            hint="Put the old key back.",
            id="contacts.E001",
        )
    ]
