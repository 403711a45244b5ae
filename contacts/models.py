"""WHO: people, their addresses, what they allowed, and the lists they are on.

The database keeps the promises first: one contact per phone, one consent ledger nobody rewrites, one
suppression per address that outlives the contact.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
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

    name = models.CharField(_("title"), max_length=200, unique=True)
    timezone = models.CharField(_("time zone"), max_length=64, default="Europe/Moscow", validators=[validate_zone])

    class Meta:
        verbose_name = _("branch")
        verbose_name_plural = _("branches")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(_("title"), max_length=100, unique=True)

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
        indexes = [
            # Search by any part of a name, in the form Django's icontains asks for. 1M cards: 0.035 s instead of
            # 0.87 s; the price is paid by the import (see docs/import.md, "Speed").
            GinIndex(
                OpClass(Upper("name"), name="gin_trgm_ops"),
                OpClass(Upper("full_name"), name="gin_trgm_ops"),
                name="contact_name_trigram",
            ),
            # E-mails are stored in lower case, so one index answers "is", "begins with" and the import's lookup.
            models.Index(
                fields=["email"],
                opclasses=["varchar_pattern_ops"],
                name="contact_email_prefix",
                condition=Q(email__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.full_name or self.phone or self.email or str(self.pk)


class ContactAddress(models.Model):
    """An address that is not on the card itself: it belongs to one sending account (a bot's chat id).

    A person may have several in one account (a new phone, a second messenger account): the one seen last and not known
    to be dead is written to, the others are kept (contacts.selectors.own_addresses).
    """

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="addresses")
    #: The channel (sending account) the address belongs to. An id and not a foreign key: contacts stand
    #: below channels and do not know them.
    channel_id = models.BigIntegerField(_("channel"), db_index=True)
    #: A browser's push subscription is the longest: its address and two keys.
    value = models.CharField(_("address"), max_length=1000)
    #: The phone this address was found for, "" where the person brought it themselves: with another phone on the card
    #: it is somebody else's.
    found_for = models.CharField(max_length=16, blank=True, default="", editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    #: When the person last wrote from it, or a channel last named it: the newest goes first.
    seen_at = models.DateTimeField(_("last seen"), default=now, editable=False)

    class Meta:
        verbose_name = _("address")
        verbose_name_plural = _("addresses")
        constraints = [
            models.UniqueConstraint(fields=["channel_id", "value"], name="address_unique_in_channel"),
        ]

    def __str__(self) -> str:
        return self.value


class Invitation(models.Model):
    """A link by which one person opens a dialogue with us in one channel: whoever comes with the token is that person.

    The token is random and good for one account of the messenger: the first that comes. Until then it ends with
    `expires_at`, and the next link for the person has another.
    """

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="invitations")
    channel_id = models.BigIntegerField(_("channel"))
    token = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(_("created"), default=now)
    expires_at = models.DateTimeField(_("good until"))
    used_at = models.DateTimeField(_("used"), null=True)
    #: The address that came with it.
    used_by = models.CharField(_("used by"), max_length=200, blank=True)
    #: Somebody else tried it afterwards, and was refused.
    refused_at = models.DateTimeField(_("refused"), null=True)
    refused_by = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [models.UniqueConstraint(fields=["contact", "channel_id"], name="invitation_one_per_channel")]

    def __str__(self) -> str:
        return f"{self.contact_id}/{self.channel_id}"


class Reachability(models.Model):
    """What a channel told us about one address of a contact; believed until `until`, then tried again.

    About the address and not the person: another phone on the card, or another chat, is another chance.
    """

    class State(models.TextChoices):
        REACHABLE = "reachable", _("reachable")
        NOT_REGISTERED = "not_registered", _("not registered")
        BLOCKED = "blocked", _("blocked us")
        INVALID = "invalid", _("address does not exist")

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="reachability")
    channel_id = models.BigIntegerField(_("channel"))
    #: As the card or ContactAddress spells it; the phone where the channel has found an id of its own for it.
    address = models.CharField(_("address"), max_length=1000)
    state = models.CharField(_("state"), max_length=16, choices=State.choices)
    learned_at = models.DateTimeField(_("learned"), default=now)
    until = models.DateTimeField(_("believed until"))
    source = models.CharField(_("source"), max_length=32)  #: send, check, callback, inbound

    class Meta:
        verbose_name = _("reachability")
        verbose_name_plural = _("reachability")
        constraints = [
            models.UniqueConstraint(fields=["contact", "channel_id", "address"], name="reachability_one_per_address")
        ]

    def __str__(self) -> str:
        return str(self.get_state_display())


class Consent(models.Model):
    """One line of the consent ledger: who allowed or withdrew what, when, where, in which words. Append-only:
    triggers refuse every UPDATE, and a DELETE unless the contact goes in the same transaction."""

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
        # Not SET_NULL: that would be an UPDATE of the ledger. Who leaves is deactivated, not deleted.
        on_delete=models.PROTECT,
    )

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        said = ConsentState.GRANTED if self.granted else ConsentState.WITHDRAWN
        return f"{self.get_purpose_display()}: {said.label}, {self.at:%d.%m.%Y}"


class Suppression(models.Model):
    """An address that must not be written to. Keyed by HMAC of the normalised address: it outlives deletion and
    re-import of the contact and says nothing to a thief of the table."""

    address_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    #: Fingerprint of the key the hash was made with. Under another key every lookup would find nothing and the
    #: stop-list would be silently empty: services refuse to work with rows of a foreign key instead.
    key_id = models.CharField(max_length=16, default="", editable=False)
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

    name = models.CharField(_("title"), max_length=200, unique=True)
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


class ImportStatus(models.TextChoices):
    """Where an upload stands. The arrows: contacts.services.imports."""

    UPLOADED = "uploaded", _("waiting for the columns")
    CHECKING = "checking", _("being checked")
    CHECKED = "checked", _("checked")
    RUNNING = "running", _("being imported")
    DONE = "done", _("done")
    CANCELLED = "cancelled", _("cancelled")
    FAILED = "failed", _("failed")


class ConsentSource(models.TextChoices):
    """Where an import takes marketing consent from."""

    NONE = "none", _("do not record consent")
    COLUMN = "column", _("from a column of the file")
    EVERYBODY = "everybody", _("everybody in the file has agreed")


class ImportJob(models.Model):
    """One uploaded file on its way to contacts: what was detected, what the owner chose, how far it came.

    Only contacts.services.imports moves it. `runner` is the token of the process that works on it now: a process
    that finds another token there keeps its hands off.
    """

    created_at = models.DateTimeField(_("uploaded"), default=now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("uploaded by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    status = models.CharField(
        _("status"),
        max_length=10,
        choices=ImportStatus.choices,
        default=ImportStatus.UPLOADED,
        editable=False,
    )
    #: As the owner's computer called it, for people only: never a path.
    original_name = models.CharField(_("file"), max_length=200, editable=False)
    #: Our own random name below MEDIA_ROOT/imports.
    stored_name = models.CharField(max_length=64, editable=False)
    size = models.BigIntegerField(_("size"), default=0, editable=False)

    kind = models.CharField(max_length=4, choices=[("csv", "CSV"), ("xlsx", "XLSX")], editable=False)
    encoding = models.CharField(_("encoding"), max_length=16, blank=True)
    delimiter = models.CharField(_("separator"), max_length=1, blank=True)
    #: False when the file uses quotes as ordinary characters (an unclosed quote would swallow the rest of it).
    quoted = models.BooleanField(_("quotes wrap values"), default=True)
    sheet = models.CharField(_("sheet"), max_length=200, blank=True)
    #: 1 = the first line; 0 = the file has no headers.
    header_row = models.PositiveIntegerField(_("header line"), default=1)
    #: What contacts.imports.mapping.Column.as_json() says, one entry per column of the file.
    mapping = models.JSONField(default=list, blank=True)
    #: Warnings about the whole file, for the owner.
    remarks = models.JSONField(default=list, blank=True, editable=False)

    #: The list the people go to: an existing one, or a name for a new one; neither = contacts only.
    target = models.ForeignKey(
        "ContactList",
        verbose_name=_("list"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="imports",
    )
    target_name = models.CharField(_("new list"), max_length=200, blank=True)
    tags = models.ManyToManyField(Tag, verbose_name=_("tags"), blank=True, related_name="+")
    consent_source = models.CharField(
        _("consent"), max_length=10, choices=ConsentSource.choices, default=ConsentSource.NONE
    )
    consent_evidence = models.TextField(_("evidence of consent"), blank=True)

    rows_total = models.PositiveIntegerField(_("rows"), null=True, editable=False)
    rows_done = models.PositiveIntegerField(_("rows done"), default=0, editable=False)
    imported = models.PositiveIntegerField(_("imported"), default=0, editable=False)
    updated = models.PositiveIntegerField(_("updated"), default=0, editable=False)
    duplicates = models.PositiveIntegerField(_("duplicates"), default=0, editable=False)
    rejected = models.PositiveIntegerField(_("rejected"), default=0, editable=False)
    warned = models.PositiveIntegerField(_("with warnings"), default=0, editable=False)

    #: Name of the UNLOGGED table with the read rows, empty before they are read and after it is dropped.
    staging = models.CharField(max_length=63, blank=True, editable=False)
    #: State of the stop-list when the rows were read; another state means looking every row up again.
    stop_list_state = models.CharField(max_length=100, blank=True, editable=False)
    cancel_requested = models.BooleanField(default=False, editable=False)
    runner = models.CharField(max_length=32, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True, editable=False)
    #: In words for the owner, in the language of whoever reads: code and parameters, see contacts.imports.errors.
    error = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ("-created_at",)
        constraints = [
            models.CheckConstraint(
                name="import_books_balance",
                condition=Q(rows_done=F("imported") + F("updated") + F("duplicates") + F("rejected")),
            ),
            models.CheckConstraint(
                name="import_done_means_every_row",
                condition=~Q(status="done") | Q(rows_total=F("rows_done")),
            ),
        ]
        indexes = [
            models.Index(
                fields=["heartbeat_at"], name="import_at_work", condition=Q(status__in=["checking", "running"])
            )
        ]

    def __str__(self) -> str:
        return self.original_name


class ImportReject(models.Model):
    """A row that was not imported, kept for the owner to download and repair."""

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="rejects")
    line = models.PositiveIntegerField(_("line"))
    column = models.CharField(_("column"), max_length=200, blank=True)
    #: contacts.reasons.Reason
    reason = models.CharField(_("reason"), max_length=32)
    value = models.TextField(_("value"), blank=True)

    class Meta:
        verbose_name = _("rejected row")
        verbose_name_plural = _("rejected rows")
        indexes = [models.Index(fields=["job", "line"], name="importreject_job_line")]

    def __str__(self) -> str:
        return f"{self.job_id}:{self.line}"
