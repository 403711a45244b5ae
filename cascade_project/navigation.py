"""The sidebar in the owner's words: what one does, not which app the table is in.

Names of entries are the models' own, so they are translated once. Whoever may not see a list does not see its entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

#: (section, [(model, icon)]); a model's list is its entry.
SECTIONS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        gettext_noop("Sendings"),
        (
            ("campaigns.campaign", "campaign"),
            ("campaigns.quiethours", "schedule"),
            ("campaigns.frequencycap", "speed"),
        ),
    ),
    (
        gettext_noop("Clients"),
        (
            ("contacts.contact", "person"),
            ("contacts.importjob", "upload_file"),
            ("contacts.contactlist", "list"),
            ("contacts.tag", "label"),
            ("contacts.branch", "store"),
            ("contacts.suppression", "block"),
        ),
    ),
    (gettext_noop("Channels and chains"), (("channels.channel", "cell_tower"), ("channels.chain", "account_tree"))),
    (gettext_noop("Texts"), (("templates_app.messagetemplate", "edit_note"),)),
    (
        gettext_noop("Deliveries"),
        (
            ("deliveries.delivery", "outbox"),
            ("deliveries.attempt", "call_made"),
            ("deliveries.inboundmessage", "inbox"),
            ("deliveries.personpause", "contact_support"),
            ("deliveries.operatortask", "support_agent"),
            ("deliveries.receipt", "receipt_long"),
            ("deliveries.onetimecode", "password"),
            ("deliveries.coderules", "rule_settings"),
        ),
    ),
    (
        gettext_noop("Service"),
        (
            ("api.apikey", "key"),
            ("deliveries.hookendpoint", "webhook"),
            ("auth.user", "manage_accounts"),
            ("auth.group", "group"),
            ("axes.accessattempt", "lock"),
            ("axes.accesslog", "login"),
            ("axes.accessfailurelog", "gpp_bad"),
            ("django_celery_beat.periodictask", "timer"),
        ),
    ),
)
#: Pages that belong to an entry but do not lie below its address.
_ALSO_AT = {"campaigns.campaign": "/analytics/campaignreport/"}


def sections(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's `navigation` for this person; no section without entries."""
    home = reverse("admin:index")
    found: list[dict[str, Any]] = [
        {"items": [{"title": _("Home"), "icon": "home", "link": home, "active": request.path == home}]}
    ]
    for title, entries in SECTIONS:
        items = [item for label, icon in entries for item in _items(request, label, icon)]
        if items:
            found.append({"title": _(title), "separator": True, "collapsible": title == "Service", "items": items})
    return found


def _items(request: HttpRequest, label: str, icon: str) -> Iterator[dict[str, Any]]:
    app, _dot, model = label.partition(".")
    if not (request.user.has_perm(f"{app}.view_{model}") or request.user.has_perm(f"{app}.change_{model}")):
        return
    link = reverse(f"admin:{app}_{model}_changelist")
    here = request.path.startswith(link) or _ALSO_AT.get(label, "\0") in request.path
    unknown = label == "deliveries.delivery" and request.GET.get("look") == "unknown"
    title = capfirst(str(apps.get_model(app, model)._meta.verbose_name_plural))  # noqa: SLF001 - Django's documented name
    strangers = label == "deliveries.inboundmessage" and request.GET.get("sender") == "unknown"
    yield {"title": title, "icon": icon, "link": link, "active": here and not unknown and not strangers}
    if label == "deliveries.inboundmessage":
        yield {
            "title": _("Unknown senders"),
            "icon": "person_search",
            "link": f"{link}?sender=unknown",
            "active": here and strangers,
        }
    if label == "deliveries.delivery":
        yield {
            "title": _("Outcome unknown"),
            "icon": "help",
            "link": f"{link}?look=unknown",
            "active": here and unknown,
        }
