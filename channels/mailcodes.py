"""What the enhanced codes of mail servers mean (RFC 3463), whoever passes them on: the server itself, a report, a service."""

from __future__ import annotations

import re
from typing import Final

from cascade.vocabulary import FailureClass, Reason

Meaning = tuple[FailureClass, Reason | None]

RECIPIENT: Final[Meaning] = (FailureClass.RECIPIENT_PERMANENT, Reason.RECIPIENT_REFUSED)
GONE: Final[Meaning] = (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_REGISTERED)
LATE: Final[Meaning] = (FailureClass.RECIPIENT_PERMANENT, Reason.NOT_DELIVERED_IN_TIME)
MESSAGE: Final[Meaning] = (FailureClass.MESSAGE_PERMANENT, Reason.MESSAGE_REFUSED)
AUTH: Final[Meaning] = (FailureClass.AUTH, None)

#: Enhanced code of a permanent reply, longest match first -> what it means wherever it comes.
ENHANCED: Final[dict[str, Meaning]] = {
    "5.1.1": GONE,
    "5.1.2": GONE,
    "5.1.3": GONE,
    "5.1.6": GONE,
    "5.1.10": GONE,
    "5.1.7": AUTH,
    "5.1.8": AUTH,
    "5.2.2": RECIPIENT,  # mailbox full: tomorrow it may not be
    "5.2": RECIPIENT,
    "5.3.4": MESSAGE,  # too big
    "5.4.7": LATE,
    "5.6": MESSAGE,
    "5.7.8": AUTH,
    "5.7.9": AUTH,
    "5.7": MESSAGE,  # policy, spam, SPF/DKIM/DMARC
}

_CODE = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


def meaning(enhanced: str) -> Meaning | None:
    """By the longest known beginning of the code."""
    return ENHANCED.get(enhanced) or ENHANCED.get(enhanced.rpartition(".")[0])


def given_up(status: str, words: str) -> Meaning:
    """Why a letter was given up: by its status, and by the words of the last server, which are often more exact."""
    if status.startswith("4."):
        return LATE  # tried until there was no time left
    found = _CODE.search(words)
    said = found[1] if found and found[1].startswith("5.") else ""
    for code in (said, status) if not status or status.endswith(".0.0") else (status, said):
        known = meaning(code)
        if known is not None:
            # The account is not to blame for a letter that another server gave back.
            return MESSAGE if known is AUTH else known
    return RECIPIENT
