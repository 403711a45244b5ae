"""WHY and WHEN: a mass sending as a definition, and the owner's standing rules for all sendings."""

from __future__ import annotations

from datetime import time

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from channels.models import Chain, Channel
from contacts.models import ContactList, PurposeChoices, Tag
from templates_app.models import KindChoices, MessageTemplate


class CampaignStatus(models.TextChoices):
    DRAFT = "draft", _("draft")
    SCHEDULED = "scheduled", _("scheduled")
    LAUNCHING = "launching", _("preparing recipients")
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    CANCELLED = "cancelled", _("cancelled")
    FINISHED = "finished", _("finished")


class Campaign(models.Model):
    """Text x chain x audience x time. Launching is a guarded status move; the engine picks it up."""

    name = models.CharField(_("name"), max_length=200)
    purpose = models.CharField(
        _("purpose"),
        max_length=10,
        choices=PurposeChoices.choices,
        default=PurposeChoices.MARKETING,
    )
    template = models.ForeignKey(MessageTemplate, verbose_name=_("template"), on_delete=models.PROTECT)
    chain = models.ForeignKey(Chain, verbose_name=_("chain"), on_delete=models.PROTECT)

    everybody = models.BooleanField(_("all contacts"), default=False)
    lists = models.ManyToManyField(ContactList, verbose_name=_("lists"), blank=True, related_name="campaigns")
    tags = models.ManyToManyField(Tag, verbose_name=_("tags"), blank=True, related_name="campaigns")
    dialogues = models.ManyToManyField(
        Channel,
        verbose_name=_("everybody with a dialogue in"),
        blank=True,
        related_name="+",
        help_text=_(
            "Who has written to this account or opened its dialogue, and has not blocked it. No list is needed."
        ),
    )
    exclude_lists = models.ManyToManyField(
        ContactList,
        verbose_name=_("except lists"),
        blank=True,
        related_name="excluded_from_campaigns",
    )
    exclude_tags = models.ManyToManyField(
        Tag, verbose_name=_("except tags"), blank=True, related_name="excluded_from_campaigns"
    )
    check_consent = models.BooleanField(
        _("check consent"),
        default=True,
        help_text=_("Without consent to marketing nobody is written to."),
    )

    scheduled_at = models.DateTimeField(_("start at"), null=True, blank=True)
    not_after = models.DateTimeField(_("nothing after"), null=True, blank=True)
    window_start = models.TimeField(_("send from"), null=True, blank=True)
    window_end = models.TimeField(_("send until"), null=True, blank=True)
    per_minute = models.FloatField(
        _("messages a minute"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1)],
        help_text=_("Empty: as fast as the channels allow."),
    )
    budget = models.DecimalField(
        _("budget"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )

    status = models.CharField(
        _("status"),
        max_length=10,
        choices=CampaignStatus.choices,
        default=CampaignStatus.DRAFT,
        editable=False,
    )
    status_reason = models.CharField(_("why"), max_length=300, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    launched_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    launched_at = models.DateTimeField(_("launched"), null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True, editable=False)
    #: Last contact id whose delivery exists: where a killed launch goes on (I13).
    launch_cursor = models.BigIntegerField(default=0, editable=False)
    #: Refusals of this text in a row; at a limit the engine pauses the campaign (cascade.md section 4).
    message_refusals = models.PositiveIntegerField(default=0, editable=False)
    #: Deliveries created; the sum of outcomes must come to this (I26).
    planned = models.PositiveIntegerField(_("planned"), default=0, editable=False)
    #: The next moment this campaign may start a message (R19, per_minute).
    next_slot_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        ordering = ("-created_at",)
        indexes = [
            models.Index(
                fields=["status"],
                name="campaign_live",
                condition=Q(status__in=["scheduled", "launching", "running", "paused"]),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(window_start__isnull=True, window_end__isnull=True)
                | Q(window_start__isnull=False, window_end__isnull=False),
                name="campaign_window_whole",
            )
        ]

    def __str__(self) -> str:
        return self.name


class CampaignPause(models.Model):
    """An interval in which the campaign stood still: the clocks of its steps stood still too (R6, R20)."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="pauses")
    started_at = models.DateTimeField(_("from"))
    ended_at = models.DateTimeField(_("to"), null=True, blank=True)
    #: Where resume() goes back to: a launch interrupted half-way must go on being launched, not start running.
    resumes_to = models.CharField(
        max_length=10, choices=CampaignStatus.choices, default=CampaignStatus.RUNNING, editable=False
    )
    #: When the engine moved the clocks of the deliveries on; closed pauses without it are work to do.
    woken_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        ordering = ("started_at",)
        constraints = [
            models.UniqueConstraint(fields=["campaign"], condition=Q(ended_at__isnull=True), name="pause_one_open")
        ]
        indexes = [
            models.Index(
                fields=["campaign"],
                name="pause_to_wake",
                condition=Q(ended_at__isnull=False, woken_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.started_at} - {self.ended_at or ''}"


class CampaignSpend(models.Model):
    """Money of one campaign: booked and promised. Apart from Campaign because every batch moves it.

    `reserved` is taken in TX-calling, before the call (I9), and turned into `spent` or given back when the
    charging milestone comes or can no longer come.
    """

    campaign = models.OneToOneField(Campaign, primary_key=True, on_delete=models.CASCADE, related_name="spend")
    reserved = models.DecimalField(_("reserved"), max_digits=14, decimal_places=4, default=0)
    spent = models.DecimalField(_("spent"), max_digits=14, decimal_places=4, default=0)

    class Meta:
        verbose_name = _("spend")
        verbose_name_plural = _("spend")

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.spent}"


class QuietHours(models.Model):
    """When people may be written to, by purpose and, where it differs, by channel kind (R12). Local time of the
    recipient. Without a row: always."""

    purpose = models.CharField(_("purpose"), max_length=10, choices=PurposeChoices.choices)
    kind = models.CharField(_("channel kind"), max_length=10, choices=KindChoices.choices, blank=True)
    start = models.TimeField(_("send from"), default=time(9))
    end = models.TimeField(_("send until"), default=time(21))

    class Meta:
        verbose_name = _("sending hours")
        verbose_name_plural = _("sending hours")
        constraints = [models.UniqueConstraint(fields=["purpose", "kind"], name="quiet_hours_once")]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()}: {self.start:%H:%M}-{self.end:%H:%M}"


class FrequencyCap(models.Model):
    """At most so many marketing messages to one person in so many days, all campaigns together (R18, I8)."""

    messages = models.PositiveSmallIntegerField(_("messages"), default=2, validators=[MinValueValidator(1)])
    days = models.PositiveSmallIntegerField(_("days"), default=7, validators=[MinValueValidator(1)])
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        verbose_name = _("frequency cap")
        verbose_name_plural = _("frequency caps")
        constraints = [models.UniqueConstraint(fields=["days"], name="cap_once_per_period")]

    def __str__(self) -> str:
        return f"{self.messages}/{self.days}"
