"""What analytics writes: the report of a campaign that is over."""

from __future__ import annotations

from analytics.models import CampaignReport
from analytics.selectors import Report, campaign_report, is_stored
from campaigns.models import CampaignStatus


def report_for_page(campaign_id: int) -> Report:
    """The report, and kept for next time if its campaign has ended. Raises Campaign.DoesNotExist."""
    report = campaign_report(campaign_id)
    if report.over and report.status in (CampaignStatus.FINISHED, CampaignStatus.CANCELLED) and not is_stored(report):
        CampaignReport.objects.update_or_create(
            pk=campaign_id, defaults={"data": report.as_json(), "made_at": report.made_at}
        )
    return report
