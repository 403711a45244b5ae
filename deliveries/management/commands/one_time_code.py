"""Ask for a one-time code, or enter one, from a terminal: to try rules before a program uses them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from deliveries.models import CodeRules
from deliveries.services import codes
from deliveries.tasks import hint_after_commit


class Command(BaseCommand):
    help = "one_time_code issue PHONE RULES: send a code, print its token. one_time_code verify TOKEN DIGITS: was it right?"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["issue", "verify"])
        parser.add_argument("first", metavar="PHONE|TOKEN")
        parser.add_argument("second", metavar="RULES|DIGITS")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "verify":
            self.stdout.write(codes.verify(options["first"], options["second"]).value)
            return
        try:
            found = codes.issue(options["first"], options["second"])
        except CodeRules.DoesNotExist:
            known = ", ".join(CodeRules.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"no rules of this name; there are: {known}") from None
        if isinstance(found, codes.NotIssued):
            wait = f", again in {found.wait.total_seconds():.0f} s" if found.wait is not None else ""
            raise CommandError(f"no code: {found.why.value}{wait}")
        hint_after_commit([found.delivery_id])
        self.stdout.write(found.token)
