"""What the emulated push services share: the phone at the other end, whose app reports to the product.

Not a wire of its own. The app POSTs {"ref", "event"} to the address its message names (or to the account's, for tests).
"""

from __future__ import annotations

import json

from emulator.providers.base import Hook
from emulator.world import Message

#: status of the message -> what the app reports; it knows of nothing else.
EVENTS = {"delivered": "delivered", "read": "opened"}


def receipt(message: Message, status: str) -> Hook | None:
    """What the app reports; text/plain, as a browser's beacon sends it without asking first."""
    event = EVENTS.get(status)
    if event is None:
        return None
    return Hook(json.dumps({"ref": message.ref, "event": event}).encode(), {"Content-Type": "text/plain"})
