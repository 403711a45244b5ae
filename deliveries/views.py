"""Parts of pages, answered without the admin's frame."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from contacts.models import Contact
from deliveries.selectors import contact_history

_NEEDED = ("contacts.view_contact", "deliveries.view_delivery")


@never_cache
@require_GET
def history_of_contact(request: HttpRequest, contact_id: int) -> HttpResponse:
    """Everything ever sent to this person, newest first, as a part of the contact's page.

    403 with words for whoever may not see it: a redirect to the login would be pasted into the page.
    """
    user = request.user
    if not (user.is_active and user.is_staff and user.has_perms(_NEEDED)):
        return HttpResponse(_("You may not see what was sent."), status=403)
    # A card just deleted in another tab has no history: the empty state says what is true.
    contact = Contact.objects.filter(pk=contact_id).first()
    term = (contact.phone or contact.email or str(contact)) if contact else ""
    everything = f"{reverse('admin:deliveries_delivery_changelist')}?{urlencode({'q': term})}"
    context = {"history": contact_history(contact_id), "all_url": everything}
    return render(request, "deliveries/admin/contact_history.html", context)
