"""Two cards of one person become one, with the strictest consent and the strictest stop."""

from __future__ import annotations

from django.db import IntegrityError, models, transaction
from django.db.models import Exists, OuterRef
from django.db.models.fields.reverse_related import ManyToManyRel

from contacts.models import Consent, ConsentState, Contact, ContactAddress, ListMember, Reachability
from contacts.services import consents, suppressions


class CannotMergeError(ValueError):
    """The two cards are one and the same, or one is gone."""


@transaction.atomic
def merge(keep_id: int, drop_id: int) -> Contact:
    """Move everything from the card `drop_id` to `keep_id` and delete the former.

    Values: the kept card's own win, empty ones are filled. A phone the kept card has no room for becomes nobody's
    (it stays in the attributes as `phone_2`). Consent: the ledger lines are copied (the ledger is never rewritten),
    and if either card says "withdrawn", so does the result. Stop-list: the stricter. Chats move;
    lists, tags and what is known of an address move unless the kept card has its own. Rows of other apps (deliveries) are moved through the model
    registry, because contacts know nobody above them; where a unique rule forbids it (both cards were in one
    campaign), the row stays with the deleted card's rule (SET NULL keeps the history).
    Out: the kept card. Raises CannotMergeError.
    """
    if keep_id == drop_id:
        raise CannotMergeError("a card cannot be merged with itself")
    suppressions.hold_for_writing_contacts()
    cards = {
        card.pk: card
        for card in Contact.objects.select_for_update(of=("self",)).filter(pk__in=[keep_id, drop_id]).order_by("pk")
    }
    if len(cards) < 2:
        raise CannotMergeError("one of the cards is gone")
    keep, drop = cards[keep_id], cards[drop_id]
    withdrawn = ConsentState.WITHDRAWN in {keep.marketing_consent, drop.marketing_consent}
    stop = max(keep.suppressed, drop.suppressed)

    ContactAddress.objects.filter(contact_id=drop_id).update(contact_id=keep_id)
    known = Reachability.objects.filter(
        contact_id=keep_id, channel_id=OuterRef("channel_id"), address=OuterRef("address")
    )
    Reachability.objects.filter(contact_id=drop_id).exclude(Exists(known)).update(contact_id=keep_id)
    _move_unless_taken(ListMember, keep_id, drop_id, "list_id")
    keep.tags.add(*drop.tags.all())
    Consent.objects.bulk_create(
        Consent(
            contact_id=keep_id,
            purpose=line.purpose,
            granted=line.granted,
            at=line.at,
            source=line.source,
            wording=line.wording,
            evidence=f"{line.evidence}\n(#{drop_id})".strip(),
            by_id=line.by_id,
        )
        for line in drop.consents.all()
    )
    _move_rows_of_others(keep_id, drop_id)
    drop.delete()

    attributes = {**drop.attributes, **keep.attributes}
    if drop.phone and keep.phone:
        attributes.setdefault("phone_2", drop.phone)
    for field in ("phone", "email", "birthday", "branch_id", "name", "full_name", "timezone"):
        if not getattr(keep, field):
            setattr(keep, field, getattr(drop, field))
    keep.attributes = attributes
    keep.save()
    consents.refresh_cards([keep_id])
    keep.refresh_from_db()
    if withdrawn and keep.marketing_consent != ConsentState.WITHDRAWN:
        consents.record(keep_id, granted=False, source=f"#{drop_id} + #{keep_id}")
    Contact.objects.filter(pk=keep_id, suppressed__lt=stop).update(suppressed=stop)
    keep.refresh_from_db()
    return keep


def _move_unless_taken(model: type[models.Model], keep_id: int, drop_id: int, key: str) -> None:
    """Give the dropped card's rows to the kept one, except where that has its own row for the same key."""
    taken = model._default_manager.filter(contact_id=keep_id).values(key)  # noqa: SLF001  the public name of managers
    model._default_manager.filter(contact_id=drop_id).exclude(**{f"{key}__in": taken}).update(contact_id=keep_id)  # noqa: SLF001


def _move_rows_of_others(keep_id: int, drop_id: int) -> None:
    """Repoint foreign keys of apps above this one, row by row where a unique rule is in the way."""
    for relation in Contact._meta.related_objects:  # noqa: SLF001  documented as public
        model = relation.related_model
        if isinstance(relation, ManyToManyRel) or model._meta.app_label == "contacts":  # noqa: SLF001
            continue
        name = relation.field.attname
        rows = model._default_manager.filter(**{name: drop_id})  # noqa: SLF001
        try:
            with transaction.atomic():
                rows.update(**{name: keep_id})
        except IntegrityError:
            for pk in list(rows.values_list("pk", flat=True)):
                try:
                    with transaction.atomic():
                        model._default_manager.filter(pk=pk).update(**{name: keep_id})  # noqa: SLF001
                except IntegrityError:
                    continue  # the kept card has this row already
