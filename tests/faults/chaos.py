"""Who is killed, when and how. Every random choice comes from one seed; every kill goes to a recorded pid."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.plugins.processes import Running


class How(StrEnum):
    """The three deaths of a prefork worker. After MAIN its children go on for a while without a master."""

    CHILD = "child"
    MAIN = "main"
    GROUP = "group"


#: A main process takes two seconds of processor time to start, a child none: with more of the first two cores would do
#: nothing but start workers.
WEIGHTS = {How.CHILD: 18, How.MAIN: 1, How.GROUP: 1}


@dataclass
class Chaos:
    """A crowd of workers somebody shoots at, and the supervisor that starts them again.

    `start` makes one worker of a kind without waiting for it; `kinds` are the queues of each of the crowd.
    """

    start: Callable[[tuple[str, ...]], Running]
    kinds: list[tuple[str, ...]]
    dice: random.Random
    crowd: list[Running] = field(default_factory=list)
    kills: Counter[How] = field(default_factory=Counter)
    #: Children whose main process was killed: (main, child).
    orphans: list[tuple[int, int]] = field(default_factory=list)
    #: Names of processes that died without our doing.
    died: list[str] = field(default_factory=list)
    _killed: set[int] = field(default_factory=set)

    def open(self) -> None:
        self.crowd = [self.start(kind) for kind in self.kinds]

    def kill_one(self) -> None:
        """SIGKILL one worker in one of the three ways. A shot at one that is still starting is a miss: aimed at those
        that work instead, the shots would fall on the only survivor, and the run would be about starting Python."""
        worker = self.dice.choice(self.crowd)
        children = worker.children()
        if not children:
            return
        how = self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        with contextlib.suppress(ProcessLookupError):
            if how is How.CHILD:
                os.kill(self.dice.choice(children), signal.SIGKILL)
            elif how is How.MAIN:
                self.orphans += [(worker.pid, child) for child in children]
                os.kill(worker.pid, signal.SIGKILL)
            else:
                os.killpg(worker.pid, signal.SIGKILL)
        self._killed.add(worker.pid)
        self.kills[how] += 1

    def restart_dead(self) -> None:
        """What systemd or compose does: a worker whose main process ended is started again."""
        for place, worker in enumerate(self.crowd):
            if worker.process.poll() is None:
                continue
            if worker.pid not in self._killed:
                self.died.append(worker.name)
            self.crowd[place] = self.start(self.kinds[place])

    def orphans_alive(self) -> int:
        """Children that still run although their main process is gone."""
        return sum(1 for main, child in self.orphans if _group_of(child) == main)

    def shoot(self, seconds: float, between: tuple[float, float], extras: list[Callable[[], None]]) -> None:
        """Kill one worker each `between` seconds for so long; the extras come once each, at even distances."""
        begun = time.monotonic()
        moments = [begun + seconds * (number + 1) / (len(extras) + 1) for number in range(len(extras))]
        waiting = list(zip(moments, extras, strict=True))
        next_kill = begun + self.dice.uniform(*between)
        while (now := time.monotonic()) < begun + seconds:
            if now >= next_kill:
                self.kill_one()
                next_kill = now + self.dice.uniform(*between)
            if waiting and now >= waiting[0][0]:
                waiting.pop(0)[1]()
            self.restart_dead()
            time.sleep(0.02)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
