from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.selectors import compute_report
from campaigns.models import Campaign
from campaigns.money import say_money
from deliveries.models import OutcomeChoices


class Command(BaseCommand):
    help = "Print the report of one campaign as it is now. Amounts in JSON are text: no kopeck becomes a float."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign_id", type=int)
        parser.add_argument("--json", action="store_true", help="everything, as one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            campaign = Campaign.objects.get(pk=options["campaign_id"])
        except Campaign.DoesNotExist:
            raise CommandError(f"There is no campaign {options['campaign_id']}.") from None
        report = compute_report(campaign)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), ensure_ascii=False))
            return
        self.stdout.write(f"{report.name}: {campaign.get_status_display()}, {report.planned}")
        for outcome, people in report.outcomes.items():
            self.stdout.write(f"  {OutcomeChoices(outcome).label}: {people}")
        for step in report.steps:
            cost = say_money(step.cost, report.currency)
            self.stdout.write(f"  {step.number}. {step.channel}: {step.entered} -> {step.reached}, {cost}")
        total, alone = (say_money(amount, report.currency) for amount in (report.cost, report.alone_cost))
        self.stdout.write(f"  {total} / {report.alone_channel}: {alone} ({report.saved_percent} %)")
