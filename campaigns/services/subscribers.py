"""Lists made from dialogues: everybody who talks to one of the owner's accounts, as of now."""

from __future__ import annotations

from django.db import transaction
from django.utils.formats import date_format
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _

from campaigns.selectors import in_dialogue
from channels.models import Channel
from contacts.models import Contact, ContactList, ListMember

BATCH = 5000


@transaction.atomic
def make_list(channel: Channel) -> ContactList:
    """A saved list of everybody with a living dialogue in this channel. It stays as it is; a campaign that names the
    channel itself asks anew at its launch."""
    day = date_format(localtime(now()), "d.m.Y H:i:s")
    name = _("Dialogues: %(channel)s, %(day)s") % {"channel": channel.name[:150], "day": day}
    made = ContactList.objects.create(name=name)
    people = Contact.objects.filter(in_dialogue(channel.pk)).values_list("pk", flat=True)
    members = (ListMember(list=made, contact_id=pk) for pk in people.iterator(chunk_size=BATCH))
    ListMember.objects.bulk_create(members, batch_size=BATCH)
    return made
