"""Is it them, or is it us? A sender that suddenly hears the same refusal from everybody.

A bot that was suspended, a number that was restricted, an instance that was logged out: many providers say then what
they say of a person who blocked us, to each person in turn. Believed one by one, they would write off the whole base
and push it into the next, dearer channel. So refusals are also read as a row:

* a *streak* is the newest refusals for one reason, of different people, with no success between;
* a stranger who is not registered, or refused for a reason of his own, says nothing about us: a list sorted by town may
  bring a thousand of them in a row. Those reasons count only from people this channel is known to have reached
  (ACQUAINTED); who has blocked a sender has met it;
* it is *systemic* when so long a row agreeing by chance is less likely than one in a thousand million, given how often
  this reason is usual here. Where one person in ten has blocked us a row of 10 is enough, where every third has it takes
  19; what is usual is learned from the channel's own past and begins with a guess per reason.

The price of a false alarm is a channel that waits for a person to look; the price of a missed one is a base written
off. The rule knows nothing of how a streak is stored or what an alarm does: deliveries.services.streaks.

Pure: no clock, no database.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cascade.vocabulary import Reason

#: Shorter rows say nothing, however rare the refusal.
SHORTEST = 10
#: How likely a row may be to come about by chance: one in a thousand million.
CHANCE = 1e-9
#: Beyond this a channel that refuses nearly everybody would need a row without an end.
MOST_USUAL = 0.97
#: The guess about a new channel counts as much as so many answers of its own.
GUESS_WEIGHT = 20
#: Refusals that a sender in trouble hears from everybody, and what share of people gives them otherwise. Others (nobody
#: answered the call, the phone was off) are about a moment and mean nothing in a row.
USUAL: Mapping[Reason, float] = {
    Reason.BLOCKED: 0.10,
    # Of people met before: who has left the messenger, changed the phone, removed the app.
    Reason.RECIPIENT_REFUSED: 0.30,
    Reason.NOT_REGISTERED: 0.30,
}
#: Count only from people whom this channel has reached before, or who have written to it.
ACQUAINTED = frozenset({Reason.RECIPIENT_REFUSED, Reason.NOT_REGISTERED})


@dataclass(frozen=True, slots=True)
class Told:
    """What one message came to. `reason` None: it worked. `key` names the message, `person` whose it was."""

    key: int
    person: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Streak:
    """The newest refusals of a channel for one reason, oldest first, each person once: (key, person)."""

    reason: Reason | None = None
    refused: tuple[tuple[int, int], ...] = ()


def fold(streak: Streak, told: Iterable[Told]) -> Streak:
    """The streak after these results, in the order they came.

    A success ends it, another reason begins a new one, a person counts once. Reasons that are not in USUAL are passed
    over. In whatever batches results come, the streak is the same.
    """
    reason, refused = streak.reason, list(streak.refused)
    people = {person for _, person in refused}
    for one in told:
        if one.reason is not None and one.reason not in USUAL:
            continue
        if one.reason != reason:
            reason, refused, people = one.reason, [], set()
        if one.reason is not None and one.person not in people:
            refused.append((one.key, one.person))
            people.add(one.person)
    return Streak(reason, tuple(refused))


def needed(reason: Reason, refusals: int, answers: int) -> int:
    """How many people in a row must give this reason until it is the account's trouble.

    `refusals` of `answers`: how often the channel's earlier messages came to it. Raises KeyError for a reason that
    means nothing in a row.
    """
    usual = (refusals + USUAL[reason] * GUESS_WEIGHT) / (answers + GUESS_WEIGHT)
    return max(SHORTEST, math.ceil(math.log(CHANCE) / math.log(min(usual, MOST_USUAL))))


def is_systemic(streak: Streak, refusals: int, answers: int) -> bool:
    """Whether this row is the account's trouble and not its people's."""
    return streak.reason is not None and len(streak.refused) >= needed(streak.reason, refusals, answers)
