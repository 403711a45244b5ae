"""How long to wait before asking a provider again. Jitter is an argument, so a delay can be replayed.

One number decides the politeness of the whole house, so the reasons stand beside the constants.
"""

from __future__ import annotations

from datetime import timedelta

#: First retry. Short enough that three tries fit into the shortest sensible wait (one minute) ...
FIRST_RETRY = timedelta(seconds=5)
#: ... and doubled each time, never beyond this: a Retry-After of a day is obeyed an hour at a time,
#: because providers also send nonsense there, and the price of one refused call an hour is nothing.
LONGEST_RETRY = timedelta(hours=1)
#: A provider that says "retry after 0" while refusing would otherwise be asked in a tight loop.
SHORTEST_RETRY = timedelta(seconds=1)

#: Status polls: most messages are delivered within seconds, the rest within hours.
FIRST_POLL = timedelta(seconds=10)
LONGEST_POLL = timedelta(minutes=30)

#: 2 ** 20 first retries are two months: beyond that only the cap matters, and a huge exponent would
#: overflow timedelta.
_MAX_DOUBLINGS = 20


def retry_delay(tries: int, jitter: float = 0.0, retry_after: timedelta | None = None) -> timedelta:
    """How long after the failure of try number `tries` (1 = the first) the next one may start (R9).

    Exponential from FIRST_RETRY to LONGEST_RETRY; a provider's own `retry_after` replaces the
    exponential part and is clamped to [SHORTEST_RETRY, LONGEST_RETRY], so negative and absurd values
    are harmless. `jitter` in [0, 1) (clamped) stretches the delay by up to a quarter and never shortens it: nobody is
    asked earlier than they said, and a crowd that failed together does not come back together.
    The result is between SHORTEST_RETRY and 1.25 * LONGEST_RETRY. Never raises.
    """
    if retry_after is None:
        delay = FIRST_RETRY * (1 << min(max(tries - 1, 0), _MAX_DOUBLINGS))
    else:
        delay = max(retry_after, SHORTEST_RETRY)
    return _spread(min(delay, LONGEST_RETRY), jitter)


def poll_delay(polls: int, jitter: float = 0.0) -> timedelta:
    """How long to wait after poll number `polls` (0 = none yet) before asking for a status again.

    Exponential from FIRST_POLL to LONGEST_POLL, stretched by `jitter` as in retry_delay().
    """
    delay = FIRST_POLL * (1 << min(max(polls, 0), _MAX_DOUBLINGS))
    return _spread(min(delay, LONGEST_POLL), jitter)


def _spread(delay: timedelta, jitter: float) -> timedelta:
    return delay * (1.0 + 0.25 * min(max(jitter, 0.0), 1.0)) if jitter else delay
