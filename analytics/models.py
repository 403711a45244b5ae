"""What is kept of a report once its campaign is over."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models import Campaign


class CampaignReport(models.Model):
    """The last report of a campaign that has ended, so that opening it again costs one row and not one pass.

    `data` is what analytics.selectors.Report.as_json() says. Written by analytics.services only.
    """

    campaign = models.OneToOneField(
        Campaign,
        verbose_name=_("campaign"),
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="report",
    )
    data = models.JSONField(_("figures"))
    made_at = models.DateTimeField(_("made"))

    class Meta:
        verbose_name = _("campaign report")
        verbose_name_plural = _("campaign reports")

    def __str__(self) -> str:
        return str(self.campaign)
