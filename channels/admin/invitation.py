"""“Invitation link”: a person's own links into the dialogues of the owner's accounts."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from channels.services import invites
from contacts.models import Contact, Invitation


def invitation_view(page: Any, request: HttpRequest, contact_id: int) -> HttpResponse:
    """GET shows the links there are and what became of them; POST makes or prolongs them. `page`: the ModelAdmin."""
    if not request.user.has_perm("contacts.change_contact"):  # type: ignore[union-attr]
        raise PermissionDenied
    contact = get_object_or_404(Contact, pk=contact_id)
    accounts = list(invites.inviters())
    if request.method == "POST":
        for one in accounts:
            invites.issue([contact.pk], one)
    known = {one.channel_id: one for one in Invitation.objects.filter(contact=contact)}
    rows = [
        {"channel": one.channel, "link": one.link(known[one.channel.pk].token), "invitation": known[one.channel.pk]}
        for one in accounts
        if one.channel.pk in known
    ]
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "media": page.media,
        "title": _("Invitation link"),
        "contact": contact,
        "rows": rows,
        "able": bool(accounts),
        "lacking": len(accounts) - len(rows),
    }
    return TemplateResponse(request, "channels/admin/invitation.html", context)
