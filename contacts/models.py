"""WHO: people, their addresses, what they allowed, and the lists they are on.

The database keeps the promises first: one contact per phone, one consent ledger nobody rewrites, one
suppression per address that outlives the contact.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from cascade.vocabulary import Purpose


def validate_zone(value: str) -> None:
    """Refuse anything that is not an IANA zone name. Raises ValidationError."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ValidationError(_("There is no time zone “%(value)s”."), params={"value": value}) from exc


class PurposeChoices(models.TextChoices):
    """Admin labels of cascade.vocabulary.Purpose."""

    MARKETING = Purpose.MARKETING.value, _("marketing")
    SERVICE = Purpose.SERVICE.value, _("service")


class Branch(models.Model):
    """A salon or shop of the owner's: gives its clients a time zone."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    timezone = models.CharField(_("time zone"), max_length=64, default="Europe/Moscow", validators=[validate_zone])

    class Meta:
        verbose_name = _("branch")
        verbose_name_plural = _("branches")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(_("name"), max_length=100, unique=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ConsentState(models.TextChoices):
    """The newest marketing row of the ledger, kept on the card so that a million cards can be asked at once."""

    UNKNOWN = "unknown", _("not asked")
    GRANTED = "granted", _("granted")
    WITHDRAWN = "withdrawn", _("withdrawn")


class SuppressionScope(models.IntegerChoices):
    """How much a suppressed address does not want. Higher is stricter; merging takes the higher."""

    NONE = 0, _("nothing")
    MARKETING = 1, _("no marketing")
    ALL = 2, _("no messages at all")


class Contact(models.Model):
    """One person. Identity is the phone; without one, the e-mail; else the addresses (a bot's chat)."""

    phone = models.CharField(_("phone"), max_length=16, null=True, blank=True, unique=True)
    email = models.EmailField(_("e-mail"), null=True, blank=True)
    name = models.CharField(_("name"), max_length=200, blank=True, help_text=_("How we address the person."))
    full_name = models.CharField(_("full name"), max_length=300, blank=True)
    birthday = models.DateField(_("birthday"), null=True, blank=True)
    branch = models.ForeignKey(
        Branch,
        verbose_name=_("branch"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="contacts",
    )
    timezone = models.CharField(_("time zone"), max_length=64, blank=True, validators=[validate_zone])
    tags = models.ManyToManyField(Tag, verbose_name=_("tags"), blank=True, related_name="contacts")
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    #: Kept by contacts.services.consents together with the ledger; never edited by hand.
    marketing_consent = models.CharField(
        _("marketing consent"),
        max_length=10,
        choices=ConsentState.choices,
        default=ConsentState.UNKNOWN,
        editable=False,
    )
    #: Ledger row behind `marketing_consent`; stored on each marketing attempt as its evidence.
    consent = models.ForeignKey(
        "Consent",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    #: Kept by contacts.services.suppressions from the suppression list (by any of the contact's addresses).
    suppressed = models.PositiveSmallIntegerField(
        _("stop-list"),
        choices=SuppressionScope.choices,
        default=SuppressionScope.NONE,
        editable=False,
    )
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        constraints = [
            models.UniqueConstraint(
                fields=["email"],
                condition=Q(phone__isnull=True),
                name="contact_email_unique_without_phone",
            ),
            models.CheckConstraint(
                condition=Q(phone__isnull=True) | Q(phone__regex=r"^\+[1-9][0-9]{6,14}$"),
                name="contact_phone_e164",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.full_name or self.phone or self.email or str(self.pk)


class ContactAddress(models.Model):
    """An address that is not on the card itself: it belongs to one sending account (a bot's chat id)."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="addresses")
    #: The channel (sending account) the address belongs to. An id and not a foreign key: contacts stand
    #: below channels and do not know them.
    channel_id = models.BigIntegerField(_("channel"), db_index=True)
    value = models.CharField(_("address"), max_length=200)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name = _("address")
        verbose_name_plural = _("addresses")
        constraints = [
            models.UniqueConstraint(fields=["channel_id", "value"], name="address_unique_in_channel"),
            models.UniqueConstraint(fields=["contact", "channel_id"], name="address_one_per_contact_and_channel"),
        ]

    def __str__(self) -> str:
        return self.value


class Reachability(models.Model):
    """What a channel told us about reaching a contact; believed until `until` (rule 9 of peers: rest, then try again)."""

    class State(models.TextChoices):
        REACHABLE = "reachable", _("reachable")
        NOT_REGISTERED = "not_registered", _("not registered")
        BLOCKED = "blocked", _("blocked us")
        INVALID = "invalid", _("address does not exist")

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="reachability")
    channel_id = models.BigIntegerField(_("channel"))
    state = models.CharField(_("state"), max_length=16, choices=State.choices)
    learned_at = models.DateTimeField(_("learned"), default=now)
    until = models.DateTimeField(_("believed until"))
    source = models.CharField(_("source"), max_length=32)  #: send, check, callback, inbound

    class Meta:
        verbose_name = _("reachability")
        verbose_name_plural = _("reachability")
        constraints = [models.UniqueConstraint(fields=["contact", "channel_id"], name="reachability_one_per_channel")]

    def __str__(self) -> str:
        return f"{self.contact_id}/{self.channel_id}: {self.state}"


class Consent(models.Model):
    """One line of the consent ledger: who allowed or withdrew what, when, where, in which words. Append-only
    (a trigger refuses UPDATE; rows go only with the erased contact)."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="consents")
    purpose = models.CharField(_("purpose"), max_length=10, choices=PurposeChoices.choices)
    granted = models.BooleanField(_("granted"))
    at = models.DateTimeField(_("when"), default=now)
    source = models.CharField(_("where"), max_length=200, help_text=_("Form, file and line, message, conversation."))
    wording = models.TextField(_("wording shown"), blank=True)
    evidence = models.TextField(_("evidence"), blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("recorded by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
    )

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return f"{self.contact_id} {self.purpose} {'+' if self.granted else '-'} {self.at:%Y-%m-%d}"


class Suppression(models.Model):
    """An address that must not be written to. Keyed by HMAC of the normalised address: it outlives deletion and
    re-import of the contact and says nothing to a thief of the table."""

    address_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    hint = models.CharField(_("address"), max_length=40, help_text=_("Masked, to recognise it."))
    scope = models.PositiveSmallIntegerField(
        _("scope"), choices=SuppressionScope.choices[1:], default=SuppressionScope.MARKETING
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    source = models.CharField(_("source"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("since"), default=now, editable=False)

    class Meta:
        verbose_name = _("stop-list entry")
        verbose_name_plural = _("stop-list")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.hint


class ContactList(models.Model):
    """A saved list of people, usually from one uploaded file."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    contacts = models.ManyToManyField(Contact, through="ListMember", related_name="lists")

    class Meta:
        verbose_name = _("list")
        verbose_name_plural = _("lists")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.name


class ListMember(models.Model):
    """A contact on a list, with that file's own columns as template variables ({order}, {master} ...)."""

    list = models.ForeignKey(ContactList, on_delete=models.CASCADE, related_name="members")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="memberships")
    variables = models.JSONField(_("variables"), default=dict, blank=True)

    class Meta:
        verbose_name = _("list member")
        verbose_name_plural = _("list members")
        constraints = [models.UniqueConstraint(fields=["list", "contact"], name="listmember_once")]

    def __str__(self) -> str:
        return f"{self.list_id}/{self.contact_id}"
