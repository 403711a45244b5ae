"""What the person or the provider does with a message: by name, by script, or by the recipient's last two digits.

A behaviour has an *answer* (what the sender's HTTP call gets) and *steps* (what is told later). Delays are seconds
and are divided by --speed, except those that are about a caller's patience (hang, drip).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Answers the server itself plays, whatever the provider: they are about bytes, not about words.
BYTES: Final = frozenset({"accept_reset", "reset", "hang", "drip", "html", "truncated", "huge", "redirect"})
#: Answers after which the provider has the message, although the sender may not know it.
TAKEN: Final = frozenset({"accept", "accept_reset", "drip", "truncated", "huge"})


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens `after` seconds from acceptance.

    status: sent, delivered, read, failed, expired, not_registered (receipts), of a call also busy, no_answer, short
    (picked up and hung up again) and key (heard, and pressed 1); reply (the person writes `text`),
    button (the person presses the button number `text`, first by default), click (the person follows the first
    link in the text), one_click (the mail program posts to List-Unsubscribe, RFC 8058), block, unblock; about mail
    also refused_as_spam, delayed, told_delivered, complaint, away (emulator.letters) and scan.
    """

    after: float
    status: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Behaviour:
    name: str
    answer: str = "accept"
    steps: tuple[Step, ...] = ()
    #: Receipts are posted, and answered, before the answer to the send goes out.
    early: bool = False
    #: Seconds the answer is held back (besides the provider's latency).
    delay: float = 0.0
    #: Each receipt is posted this many times.
    repeat: int = 1


DELIVERED: Final = (Step(0.05, "sent"), Step(0.2, "delivered"))
#: The fallback windows of tests and demo are seconds; "late" is after any of them.
LATE: Final = 60.0

_ALL: Final = (
    Behaviour("delivered", steps=DELIVERED),
    Behaviour("silent"),
    Behaviour("error_500", "error_500"),
    Behaviour("refused", "refused"),
    Behaviour("rate_limited", "rate_limited"),
    Behaviour("accept_reset", "accept_reset", DELIVERED),
    Behaviour("reset", "reset"),
    Behaviour("hang", "hang"),
    Behaviour("drip", "drip", DELIVERED),
    Behaviour("html", "html"),
    Behaviour("error_json", "error_json"),
    Behaviour("unauthorized", "unauthorized"),
    Behaviour("no_balance", "no_balance"),
    Behaviour("early", steps=(Step(0.0, "delivered"),), early=True),
    Behaviour("reversed", steps=(Step(0.2, "read"), Step(0.25, "delivered"), Step(0.3, "sent")), repeat=2),
    Behaviour("after_30_min", steps=(Step(1800.0, "delivered"),)),
    Behaviour("late", steps=(Step(0.05, "sent"), Step(LATE, "delivered"))),
    Behaviour("reply", steps=(*DELIVERED, Step(0.4, "reply", "Спасибо, приду!"))),
    Behaviour("stop", steps=(*DELIVERED, Step(0.4, "reply", "СТОП"))),
    Behaviour("click", steps=(*DELIVERED, Step(0.4, "click"))),
    Behaviour("read_only", steps=(Step(0.3, "read"),)),
    Behaviour("failed_then_delivered", steps=(Step(0.2, "failed"), Step(0.4, "delivered"))),
    Behaviour("delivered_then_failed", steps=(Step(0.2, "delivered"), Step(0.4, "failed"))),
    Behaviour("truncated", "truncated", DELIVERED),
    Behaviour("huge", "huge", DELIVERED),
    Behaviour("redirect", "redirect"),
)

#: reliability.md 3.1: the recipient's last two digits.
BY_DIGITS: Final = {f"{number:02d}": behaviour for number, behaviour in enumerate(_ALL)}

BY_NAME: Final = {behaviour.name: behaviour for behaviour in _ALL} | {
    behaviour.name: behaviour
    for behaviour in (
        Behaviour("read", steps=(*DELIVERED, Step(0.4, "read"))),
        Behaviour("sent", steps=(Step(0.05, "sent"),)),
        Behaviour("failed", steps=(Step(0.2, "failed"),)),
        Behaviour("expired", steps=(Step(0.3, "expired"),)),
        Behaviour("not_registered", steps=(Step(0.1, "not_registered"),)),
        Behaviour("blocked", "blocked"),
        Behaviour("not_there", "refused"),  # said to a registration check already, where the wire has one
        Behaviour("button", steps=(*DELIVERED, Step(0.4, "button"))),
        Behaviour("block", steps=(*DELIVERED, Step(0.4, "block"))),
        Behaviour("one_click", steps=(Step(0.4, "one_click"),)),
        Behaviour("busy", steps=(Step(0.05, "sent"), Step(0.2, "busy"))),
        Behaviour("no_answer", steps=(Step(0.05, "sent"), Step(0.3, "no_answer"))),
        Behaviour("short", steps=(Step(0.05, "sent"), Step(0.2, "short"))),
        Behaviour("key", steps=(Step(0.05, "sent"), Step(0.3, "key"))),
        # Told by a letter to the mailbox of the envelope's sender (mail only).
        Behaviour("refused_as_spam", steps=(Step(0.1, "refused_as_spam"),)),
        Behaviour("delayed", steps=(Step(0.1, "delayed"), Step(0.4, "told_delivered"))),
        Behaviour("complaint", steps=(Step(0.1, "complaint"),)),
        Behaviour("away", steps=(Step(0.1, "away"),)),
        # A scanner opens all links of the letter.
        Behaviour("scan", steps=(Step(0.1, "scan"),)),
    )
}

#: Behaviours after which the sender may try again by right: it was told clearly that nothing was sent.
NOT_SENT: Final = frozenset({"rate_limited", "unauthorized", "no_balance"})


def by_digits(recipient: str) -> Behaviour | None:
    """The behaviour of the last two digits of a phone, a chat id, or an address before its @."""
    digits = "".join(letter for letter in recipient.partition("@")[0] if letter.isdigit())[-2:]
    return BY_DIGITS.get(digits)
