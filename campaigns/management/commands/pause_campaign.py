from __future__ import annotations

from campaigns.management.moves import MoveCommand
from campaigns.services import lifecycle


class Command(MoveCommand):
    help = "Pause a running campaign: nothing new is sent, receipts keep coming in."
    move = staticmethod(lifecycle.pause)
