"""What the four campaign commands share: find the campaign, make the move, say what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from campaigns.models import Campaign
from campaigns.services.lifecycle import Move


class MoveCommand(BaseCommand):
    """Prints the new status; exit code 1 and the reason in words when the move was not made."""

    move: Callable[..., Move]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign_id", type=int)
        parser.add_argument("--json", action="store_true", help="one JSON line instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            move = type(self).move(options["campaign_id"])
        except Campaign.DoesNotExist:
            raise CommandError(f"There is no campaign {options['campaign_id']}.") from None
        reasons = [one.text() for one in move.blockers]
        if options["json"]:
            said = {"done": move.done, "status": move.status.value, "message": move.message, "blockers": reasons}
            self.stdout.write(json.dumps(said, ensure_ascii=False))
        elif move.done:
            self.stdout.write(f"{move.message} ({move.status.value})")
        if not move.done:
            raise CommandError("\n".join([move.message, *reasons]))
