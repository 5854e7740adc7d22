"""The stage: one actor plays at a time, in an order drawn from a seed, under a clock that only the stage moves."""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from random import Random
from typing import NoReturn, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Claim
from gateway.testing.entries import START

from .faults import Faults

T = TypeVar("T")

SECOND = 1_000_000  # time is counted in microseconds
TAIL = 400  # the last steps of a failing run that are shown


class Death(BaseException):
    """The process an actor plays in was killed; unwinds like SIGKILL would end it, and touches nothing that is shared."""


@dataclass(slots=True, eq=False)
class Process:
    """What dies together."""

    name: str
    on_death: Callable[[], None]
    alive: bool = True
    stopped_until: int = 0  # true time


@dataclass(slots=True, eq=False)
class Actor:
    """Somebody who acts; `process` is the one that it plays in at the moment, what it is about there is `doing` and `claim`."""

    name: str
    process: Process | None = None
    doing: str = ""
    claim: Claim | None = None
    probe: bool = False  # its claim only asks whether the partner is there
    opened: bool = False  # a door looked into what this sender brought
    known: str = ""  # the message that its paper already was when it came
    ticket: int = 0  # of its present sleep; a wake-up with another one comes too late
    play: greenlet = field(init=False)


class Stage:
    """Lets actors play, each up to its next point; a point is a call of a port, where anything may happen."""

    def __init__(self, seed: str, faults: Faults) -> None:
        """Draw everything from this seed."""
        self.rng = Random(seed)  # noqa: S311  # reproducible on purpose
        self.faults = faults
        self.steps = 0
        self.elapsed = 0  # true time
        self.offset = 0  # how wrong the wall clock is
        self.disturbed_at = 0  # true time of the last fault that may delay everybody
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.away_until = 0  # true time at which the database is back
        self.on_time_fault: Callable[[], None] = lambda: None
        self._digest = blake2b(digest_size=16)
        self._actors: list[Actor] = []
        self._ready: list[Actor] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._hub = getcurrent()
        self._nobody = Actor("stage")
        self._closing = False
        self.current = self._nobody

    # --- time ------------------------------------------------------------------------------------------------------

    def wall(self) -> datetime:
        """Read the clock on the wall, which may jump."""
        return START + timedelta(microseconds=self.elapsed + self.offset)

    def entropy(self, size: int) -> bytes:
        """Draw bytes."""
        return self.rng.randbytes(size)

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen after a while; an event plays no points."""
        heapq.heappush(self._events, (self.elapsed + int(seconds * SECOND), next(self._numbers), event))

    # --- actors ----------------------------------------------------------------------------------------------------

    def enter(self, name: str, play: Callable[[], None], process: Process | None = None) -> Actor:
        """Let an actor enter, who leaves when its play ends."""
        actor = Actor(name, process)
        actor.play = greenlet(lambda: self._perform(actor, play), self._hub)
        self._actors.append(actor)
        self._ready.append(actor)
        return actor

    def _perform(self, actor: Actor, play: Callable[[], None]) -> None:
        try:
            play()
        except (Death, GreenletExit):
            pass
        except Exception as error:  # noqa: BLE001  # whatever leaves a story is a defect, and a finding
            self.violation(f"defect: {actor.name} ended with {type(error).__name__}: {error}")
        finally:
            self._actors.remove(actor)

    def kill(self, process: Process) -> None:
        """Kill a process: whoever plays in it never gets beyond the point where it stands."""
        if not process.alive:
            return
        process.alive = False
        self.disturbed()
        self.happens("died", process.name)
        for actor in self._actors:
            if actor.process is process:
                self.wake(actor)
        process.on_death()

    def wake(self, actor: Actor) -> None:
        """End somebody's sleep; whoever is awake stays so."""
        if actor.ticket:
            actor.ticket = 0
            self._ready.append(actor)

    def sleep(self, seconds: float | None) -> bool:
        """Sleep so long, None for ever, or until woken; says whether the time passed. Raises Death."""
        actor = self.current
        actor.ticket = ticket = next(self._numbers) + 1
        passed = False

        def rise() -> None:
            nonlocal passed
            if actor.ticket == ticket:
                passed = True
                self.wake(actor)

        if seconds is not None:
            self.later(seconds, rise)
        self._leave(actor)
        return passed

    def point(self, what: str, detail: str = "") -> None:
        """Pass a point of the story: the process may die here, the actor may be stalled, and others may play first. Raises Death."""
        actor, faults = self.current, self.faults
        self.elapsed += 200
        self.note(what, detail)
        if self._closing:
            raise GreenletExit
        if actor.process is not None and not actor.process.alive:
            raise Death
        draw = self.rng.random()
        if draw < faults.switch:
            self._ready.append(actor)
            self._leave(actor)
        elif (draw := draw - faults.switch) < faults.die:
            self._die(actor)
        elif (draw := draw - faults.die) < faults.stall:
            self._stall(actor)
        elif (draw := draw - faults.stall) < faults.jump:
            self._jump()
        elif draw - faults.jump < faults.outage:
            self._cut_off()

    def _leave(self, actor: Actor) -> None:
        """Let the others play until it is this one's turn again."""
        self._hub.switch()
        self.current = actor
        if self._closing:
            raise GreenletExit
        if actor.process is not None and not actor.process.alive:
            raise Death

    def end_life(self) -> None:
        """Kill the process that the present actor plays in. Raises Death."""
        self._die(self.current)

    def _die(self, actor: Actor) -> None:
        if actor.process is not None:
            self.kill(actor.process)
            raise Death

    def _stall(self, actor: Actor) -> None:
        """A process is stopped for a while, as by a hypervisor, and does not know."""
        if actor.process is not None:
            pause = self.rng.uniform(1, 150)
            actor.process.stopped_until = self.elapsed + int(pause * SECOND)
            self.later(pause, lambda: self.disturbed(time=True))
            self.disturbed(time=True)
            self.happens("stalled", f"{pause:.0f} s")
            self._ready.append(actor)
            self._leave(actor)

    def _jump(self) -> None:
        self.offset += (leap := int(self.rng.uniform(-300, 300) * SECOND))
        self.disturbed(time=True)
        self.happens("clock jumped", f"{leap / SECOND:.0f} s")

    def _cut_off(self) -> None:
        """The database is gone for a while, for everybody."""
        pause = self.rng.uniform(1, 60)
        self.away_until = self.elapsed + int(pause * SECOND)
        self.disturbed(for_=int(pause * SECOND))
        self.happens("database gone", f"{pause:.0f} s")

    def disturbed(self, *, time: bool = False, for_: int = 0) -> None:
        """Remember that something delays everybody for a time; `time` says that leases may end in honest hands."""
        self.disturbed_at = max(self.disturbed_at, self.elapsed) + for_
        if time:
            self.on_time_fault()

    # --- faults of the database, which every outbox meets alike -------------------------------------------------------

    def commit(self, work: Callable[[], T]) -> T:
        """Do what is durable when it returns; it may be refused, or done and its answer lost. Raises Unavailable or Death."""
        self.may_refuse()
        result = work()
        if result == []:
            return result  # a claim that found nothing
        if self.rng.random() < self.faults.half:
            self._away("unknown")
        self.point("committed")
        return result

    def may_refuse(self) -> None:
        """Refuse a commit now and then; nothing of it happened."""
        if self.rng.random() < self.faults.refuse or self.elapsed < self.away_until:
            self._away("refused")

    def _away(self, how: str) -> NoReturn:
        self.disturbed()
        self.happens(f"commit {how}")
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away", values={"cause": how}))

    # --- the play --------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool]) -> None:
        """Play until something holds, or nobody has anything left to do; stops at the first violation."""
        self._hub = getcurrent()
        while not self.violations and not until():
            while self._events and self._events[0][0] <= self.elapsed:
                heapq.heappop(self._events)[2]()
            if not self._ready:
                if not self._events:
                    return
                self.elapsed = self._events[0][0]
                continue
            at = int(self.rng.random() * len(self._ready))
            self._ready[at], self._ready[-1] = self._ready[-1], self._ready[at]
            self._turn(self._ready.pop())

    def _turn(self, actor: Actor) -> None:
        if actor.process is not None and actor.process.stopped_until > self.elapsed:
            self.later((actor.process.stopped_until - self.elapsed) / SECOND, lambda: self._ready.append(actor))
            return
        self.current = actor
        actor.play.switch()
        self.current = self._nobody

    def close(self) -> None:
        """Send everybody home."""
        self._closing = True
        for actor in list(self._actors):
            actor.play.throw(GreenletExit)

    # --- the record ------------------------------------------------------------------------------------------------

    def note(self, what: str, detail: str = "") -> None:
        """Write a step into the trace."""
        self.steps += 1
        line = f"{self.steps} {self.elapsed / SECOND:.4f} {self.current.name} {what} {detail}"
        self._digest.update(line.encode())
        self.tail.append(line)

    def happens(self, what: str, detail: str = "") -> None:
        """Write a fault into the trace, and count it."""
        self.counts[what] += 1
        self.note(what, detail)

    def violation(self, what: str) -> None:
        """Write down what must not be."""
        self.note("VIOLATION", what)
        self.violations.append(what)

    @property
    def digest(self) -> str:
        """Give the trace in short; the same seed gives the same one."""
        return self._digest.hexdigest()
