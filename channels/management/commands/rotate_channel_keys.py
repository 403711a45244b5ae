from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from channels.services.accounts import AccountError, rotate_keys


class Command(BaseCommand):
    help = "Re-encrypt the credentials of all channels with the first key of CHANNEL_SECRET_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = rotate_keys()
        except AccountError as error:
            raise CommandError(_(error.message) % error.params) from None
        self.stdout.write(
            ngettext("%(count)s channel was re-encrypted.", "%(count)s channels were re-encrypted.", count)
            % {"count": count}
        )
