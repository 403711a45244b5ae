from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from campaigns.models import Campaign
from deliveries.selectors import recipients
from deliveries.words import reason_label


class Command(BaseCommand):
    help = "Print who got what in one campaign: one JSON line per recipient with --json. Steps count from 1."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign_id", type=int)
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument("--mask", action="store_true", help="hide the middle of phones and addresses")

    def handle(self, *args: Any, **options: Any) -> None:
        if not Campaign.objects.filter(pk=options["campaign_id"]).exists():
            raise CommandError(f"There is no campaign {options['campaign_id']}.")
        for one in recipients(options["campaign_id"], mask=options["mask"]):
            if options["json"]:
                # default=str: amounts and moments as text, exactly.
                self.stdout.write(json.dumps(asdict(one), ensure_ascii=False, default=str))
            else:
                words = (one.recipient, one.outcome or one.state, str(one.step or ""), reason_label(one.reason))
                self.stdout.write("\t".join([*words, str(one.cost), ",".join(one.flags)]))
