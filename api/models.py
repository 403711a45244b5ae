"""Keys of the API, and the answers that a repeated request gets again."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """What a key may do. Reading and writing are apart, and what costs money is apart from both."""

    CONTACTS_READ = "contacts:read", _("read contacts, lists, consents and the stop-list")
    CONTACTS_WRITE = "contacts:write", _("change contacts, lists, consents and the stop-list")
    CHANNELS_READ = "channels:read", _("read channels, chains and templates")
    CHANNELS_WRITE = "channels:write", _("change channels, chains and templates")
    CAMPAIGNS_READ = "campaigns:read", _("read campaigns and reports")
    CAMPAIGNS_WRITE = "campaigns:write", _("prepare campaigns")
    CAMPAIGNS_LAUNCH = "campaigns:launch", _("launch, pause and cancel campaigns (costs money)")
    MESSAGES_READ = "messages:read", _("read messages and their stories")
    WEBHOOKS_READ = "webhooks:read", _("read webhooks and their calls")
    WEBHOOKS_WRITE = "webhooks:write", _("change webhooks, send calls again")
    CODES_USE = "codes:use", _("send and check one-time codes (costs money)")
    MESSAGES_SEND = "messages:send", _("send messages to single contacts (costs money)")


class ApiKey(models.Model):
    """A password of another program. Only its hash is kept; the key itself is shown once, when it is made."""

    name = models.CharField(_("title"), max_length=100, help_text=_("Which program uses it: the site, the till, ..."))
    #: The beginning of the key, to recognise it by.
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    #: SHA-256 of the key. The key is 256 random bits: a slow hash would protect nothing and cost each request.
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope.choices), verbose_name=_("allowed to"))
    expires_at = models.DateTimeField(_("valid until"), null=True, blank=True, help_text=_("Empty: until revoked."))
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("made by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    #: To the hour: a write for each request would cost more than the request.
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("-created_at",)
        constraints = [models.CheckConstraint(condition=~Q(scopes=[]), name="apikey_may_something")]

    def __str__(self) -> str:
        return self.name


class Answer(models.Model):
    """What a request with an Idempotency-Key was answered: the same request gets the same answer and does nothing.

    `status` NULL: the first request is still at work, or its process died. Kept for a day after the last look.
    """

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+", db_index=False)
    idempotency_key = models.CharField(max_length=255)
    #: SHA-256 of method, path and body: another request under the same key is a mistake of the caller (422).
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        verbose_name = _("answer of the API")
        verbose_name_plural = _("answers of the API")
        constraints = [models.UniqueConstraint(fields=["key", "idempotency_key"], name="answer_once_per_key")]

    def __str__(self) -> str:
        return self.idempotency_key
