"""What other programs are to be told, written down in the transaction of the fact: what was rolled back is never told,
what was committed always is. Telling is the work of deliveries.services.hooks.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from channels.services.accounts import seal_text
from deliveries.models import HookEndpoint, HookEvent, HookKind

KEPT_FOR = timedelta(days=30)

_ANNOUNCE = """
INSERT INTO deliveries_hookevent (endpoint_id, kind, subject_id, tries, error)
SELECT e.id, %s, s.id, 0, '' FROM unnest(%s::bigint[]) AS s(id) CROSS JOIN deliveries_hookendpoint e
WHERE e.enabled AND %s = ANY (e.events) ORDER BY s.id
"""


_NOT_HTTPS = gettext_noop("The address must begin with https://: what is told holds people's names and phones.")
_LOGIN = gettext_noop("No login and password in the address: the signature says who is speaking.")


def address_problem(url: str) -> str:
    """English msgid: why this address cannot be told; "" when nothing is wrong. http only where private addresses are
    allowed (a machine of one's own). Whether it is private is asked where the socket is made (channels.transport)."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.OUTGOING_ALLOWED_PRIVATE):
        return _NOT_HTTPS
    return _LOGIN if "@" in parts.netloc else ""


def make_endpoint(name: str, url: str, events: Collection[str]) -> tuple[HookEndpoint, str]:
    """A new endpoint and its secret (`whsec_...`), which is shown only now."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    row = HookEndpoint.objects.create(name=name, url=url, events=sorted(set(events)), secret_sealed=seal_text(secret))
    return row, secret


def announce(kind: HookKind, subject_ids: Sequence[int]) -> None:
    """Put it down for every endpoint that wants to know. Call it in the transaction of the fact; without endpoints it
    costs one statement that finds an empty table."""
    if not subject_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_ANNOUNCE, [kind.value, list(subject_ids), kind.value])


def send_again(endpoint_id: int, since: datetime) -> int:
    """Tell once more what happened since this moment (aware), heard or not: the other program lost it. Returns how many."""
    lost = HookEvent.objects.filter(endpoint_id=endpoint_id, created_at__gte=since, due_at__isnull=True)
    return lost.update(due_at=Now(), tries=0, told_at=None)


def give_another_try(endpoint_id: int) -> int:
    """Take up what was given up; a switched-off endpoint is switched on. Returns how many calls."""
    HookEndpoint.objects.filter(pk=endpoint_id).update(enabled=True, failing_since=None, last_error="")
    lost = HookEvent.objects.filter(endpoint_id=endpoint_id, told_at__isnull=True)
    return lost.update(due_at=Now(), tries=0)


def forget_old() -> int:
    """Drop what was told or given up more than a month ago. Returns how many."""
    old = HookEvent.objects.filter(due_at__isnull=True, created_at__lt=Now() - KEPT_FOR)
    deleted, _ = old.delete()
    return deleted
