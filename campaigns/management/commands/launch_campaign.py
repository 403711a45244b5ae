from __future__ import annotations

from campaigns.management.moves import MoveCommand
from campaigns.services import lifecycle


class Command(MoveCommand):
    help = "Launch a draft campaign (or schedule it, when its start lies in the future)."
    move = staticmethod(lifecycle.launch)
