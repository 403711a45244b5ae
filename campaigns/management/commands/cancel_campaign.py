from __future__ import annotations

from campaigns.management.moves import MoveCommand
from campaigns.services import lifecycle


class Command(MoveCommand):
    help = "Cancel a campaign: nothing more is sent, open deliveries end as stopped."
    move = staticmethod(lifecycle.cancel)
