from __future__ import annotations

from campaigns.management.moves import MoveCommand
from campaigns.services import lifecycle


class Command(MoveCommand):
    help = "Let a paused campaign go on where it stopped."
    move = staticmethod(lifecycle.resume)
