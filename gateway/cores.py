"""Keeps the threads of a process together on one core, of all it may use the one that others use least.

The interpreter runs one of them at a time. Spread over cores, each hand-over wakes another core and takes the interpreter's objects into
its caches, which cost a fifth more CPU a message. More cores are used by more processes.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import process_time

STATISTICS, THREADS = Path("/proc/stat"), Path("/proc/self/task")
TICKS = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 2.0
CROWDED = 0.25  # of a core: how much more of it others must use than of another, before a move is worth its cold caches


class Cores(StrEnum):
    """On how many cores the threads of a process run."""

    ONE = "one"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a core did since the system began, and this process on whichever core, in seconds; `all` counts its rest too."""

    busy: float
    all: float


class OneCore:
    """Places a process, look by look; does nothing where it may use but one core, or may not choose."""

    def __init__(
        self,
        cores: Sequence[int],
        number: int,
        *,
        used: Callable[[], Mapping[int, Use]],
        own: Callable[[], float],
        place: Callable[[int], None],
    ) -> None:
        """Take the cores to choose from and the process's number, by which several begin on different ones.

        `used` says what each core did, `own` the seconds of CPU this process took, and `place` puts it on a core or raises OSError.
        """
        self._cores = tuple(cores)
        self._at = cores[number % len(cores)] if cores else -1
        self._used, self._own, self._place = used, own, place
        self._seen, self._spent = used(), own()

    def look(self) -> None:
        """Move where others crowd the core, and have every thread there, new ones too."""
        if len(self._cores) < 2:  # noqa: PLR2004  # nothing to choose from
            return
        try:
            crowd = self._crowds()
            least = min(self._cores, key=crowd.__getitem__)
            if crowd[self._at] > crowd[least] + CROWDED:
                self._at = least
            self._place(self._at)
        except (OSError, KeyError):  # not allowed here, no longer on this core, or one is there no more
            self._cores = ()

    def _crowds(self) -> dict[int, float]:
        """Say which share of each core others used since the last look."""
        used, own = self._used(), self._own()
        before, spent = self._seen, own - self._spent
        self._seen, self._spent = used, own
        crowds = {}
        for core in self._cores:
            busy, whole = used[core].busy - before[core].busy, used[core].all - before[core].all
            ours = spent if core == self._at else 0.0
            crowds[core] = max(busy - ours, 0.0) / whole if whole else 0.0
        return crowds


def this_process() -> OneCore:
    """Take this process, on the cores that the system lets it use; processes begin on different ones."""
    cores = sorted(os.sched_getaffinity(0) & set(uses()))
    return OneCore(cores, os.getpid(), used=uses, own=process_time, place=place)


def uses(statistics: Path = STATISTICS) -> dict[int, Use]:
    """Read what each core did, see proc(5); nothing where that is not told."""
    try:
        lines = statistics.read_text("ascii").splitlines()
    except OSError:
        return {}
    rows = [line.removeprefix("cpu").split() for line in lines if line.startswith("cpu") and not line.startswith("cpu ")]
    spent = {int(core): [int(field) / TICKS for field in fields[:8]] for core, *fields in rows}
    return {core: Use(busy=sum(times) - times[3] - times[4], all=sum(times)) for core, times in spent.items()}


def place(core: int) -> None:
    """Put every thread of this process on a core; raises OSError."""
    for thread in THREADS.iterdir():
        try:
            os.sched_setaffinity(int(thread.name), {core})
        except ProcessLookupError:  # it just ended
            continue
