"""WHAT: texts with variables, one default and a variant per channel kind."""

from __future__ import annotations

from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from cascade.vocabulary import ChannelKind


class KindChoices(models.TextChoices):
    """Admin labels of cascade.vocabulary.ChannelKind."""

    MAX = ChannelKind.MAX.value, _("MAX")
    TELEGRAM = ChannelKind.TELEGRAM.value, _("Telegram")
    WHATSAPP = ChannelKind.WHATSAPP.value, _("WhatsApp")
    VIBER = ChannelKind.VIBER.value, _("Viber")
    VK = ChannelKind.VK.value, _("VK")
    AVITO = ChannelKind.AVITO.value, _("Avito")
    SMS = ChannelKind.SMS.value, _("SMS")
    EMAIL = ChannelKind.EMAIL.value, _("E-mail")
    VOICE = ChannelKind.VOICE.value, _("Voice call")
    PUSH = ChannelKind.PUSH.value, _("Push")
    OPERATOR = ChannelKind.OPERATOR.value, _("Operator")


class MessageTemplate(models.Model):
    """A message to be sent: the default text, and what every channel inherits unless its variant says otherwise."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    text = models.TextField(_("text"), help_text=_("Variables: {name} or <name>, with a fallback: {name|friend}."))
    subject = models.CharField(_("subject"), max_length=200, blank=True, help_text=_("For e-mail."))
    button = models.CharField(
        _("button"),
        max_length=40,
        blank=True,
        help_text=_("A button people press to answer, where the channel has any."),
    )
    link = models.URLField(
        _("link"),
        max_length=1000,
        blank=True,
        help_text=_("Where {link} leads; clicks are counted."),
    )
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class TemplateVariant(models.Model):
    """The same message for one channel kind. An empty field inherits from the template."""

    template = models.ForeignKey(MessageTemplate, on_delete=models.CASCADE, related_name="variants")
    kind = models.CharField(_("channel kind"), max_length=10, choices=KindChoices.choices)
    text = models.TextField(_("text"), blank=True)
    subject = models.CharField(_("subject"), max_length=200, blank=True)
    button = models.CharField(_("button"), max_length=40, blank=True)
    #: The text that the messenger has approved, where it takes no other: its name and language there. `text` is the same
    #: words with our variables where the approved one has {{1}}, {{2}}.
    approved_name = models.CharField(_("approved template"), max_length=512, blank=True)
    approved_language = models.CharField(_("language of the approved template"), max_length=20, blank=True)
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("variant")
        verbose_name_plural = _("variants")
        constraints = [models.UniqueConstraint(fields=["template", "kind"], name="variant_one_per_kind")]

    def __str__(self) -> str:
        return str(self.get_kind_display())
