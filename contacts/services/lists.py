"""Lists filled by other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contacts.models import ContactList, ListMember


def put(roll: ContactList, members: Mapping[int, Mapping[str, Any]]) -> int:
    """Put contacts on the list, each with this list's own values (template variables). Out: how many are new.

    Who is on it already gets the new values: the newest upload speaks.
    """
    before = ListMember.objects.filter(list=roll, contact_id__in=members).count()
    ListMember.objects.bulk_create(
        [ListMember(list=roll, contact_id=pk, variables=dict(values)) for pk, values in members.items()],
        update_conflicts=True,
        unique_fields=["list", "contact"],
        update_fields=["variables"],
    )
    return len(members) - before
