"""A gateway under load that is killed at random moments, hundreds of times; and the count of what was lost or doubled."""

import contextlib
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import count, cycle, pairwise
from typing import Any

from gateway import bootstrap
from gateway.config import Settings
from gateway.lifecycle import ENDED
from gateway.model import Reply
from gateway.store.queries import Queries
from gateway.testing.client import post
from gateway.testing.contents import Consignment
from gateway.testing.simulator import RunningSimulator
from gateway.testing.vnsw import SOAP_REQUEST, read_answer
from gateway.testing.world import until

from .ground import Ground
from .stories import STORIES, Story
from .warm import Parts, Say, WarmProcess

Serve = Callable[[Parts, Say, Settings], None]

LOAD = tuple(STORIES[name] for name in ("agriculture", "certificate", "portal"))
SENDERS = 4
PATIENCE = 5.0  # seconds a sender waits for an answer; nobody here takes longer and lives
PAUSE = 0.01  # seconds between two messages of a sender, and before it asks again
YOUNG = 0.2  # this share dies while it starts, the others while they serve
STARTING, SERVING = 0.3, 0.3  # seconds, within which the moment of a kill is drawn: after the start, after the first answer
GIVES_UP = 5  # every so many messages is sent by somebody who does not ask again
SETTLE_SECONDS = 120.0  # until everything is where it belongs, after the last kill


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a barrage came to; `unexplained` are repeats that no death between send and settle accounts for."""

    runs: int = 0
    accepted: int = 0
    delivered: int = 0
    redelivered: int = 0
    lost: int = 0
    duplicate_effects: int = 0
    max_recovery_ms: int = 0
    unexplained: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        """Add up two barrages; of the recoveries the longest counts."""
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Figures(**sums | {"max_recovery_ms": max(self.max_recovery_ms, other.max_recovery_ms)})

    @property
    def good(self) -> bool:
        """Say whether every promise was kept."""
        return not (self.lost or self.duplicate_effects or self.unexplained)


@dataclass(slots=True, kw_only=True)
class Sent:
    """One message of the load; `answered` when its 99 was read."""

    story: Story
    about: Consignment
    answered: bool = False


@dataclass(slots=True, kw_only=True)
class Load:
    """Senders that send one message after the other and ask again until they are answered, some of them only once.

    Of several gateways each try asks the next. `strange` are answers that neither accept nor ask to come again.
    """

    urls: Sequence[str]
    settings: Settings
    numbers: Iterator[int]
    sent: list[Sent] = field(default_factory=list)
    answers: list[tuple[float, float]] = field(default_factory=list)  # when each was asked for, and when it came
    strange: list[Reply] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _failed: threading.Event = field(default_factory=threading.Event)  # nobody will answer any more

    @contextlib.contextmanager
    def going(self) -> Iterator[None]:
        """Send until the end of the block, and then until nobody waits for an answer."""
        senders = [threading.Thread(target=self._send_on, args=(story,)) for story, _ in zip(cycle(LOAD), range(SENDERS), strict=False)]
        for sender in senders:
            sender.start()
        try:
            yield
        except BaseException:
            self._failed.set()
            raise
        finally:
            self._stopping.set()
            for sender in senders:
                sender.join()

    def _send_on(self, story: Story) -> None:
        while not self._stopping.is_set():
            number = next(self.numbers)
            message = Sent(story=story, about=Consignment(number=number))
            [body] = story.write(self.settings.pki, message.about, datetime.now(UTC))
            self.sent.append(message)
            self._send(message, body, patient=bool(number % GIVES_UP))
            self._stopping.wait(PAUSE)

    def _send(self, message: Sent, body: bytes, *, patient: bool) -> None:
        """Send the same bytes until they are answered; whoever is not patient sends them once."""
        deadline = time.monotonic() + SETTLE_SECONDS
        for turn in count(message.about.number):
            asked = time.monotonic()
            with contextlib.suppress(OSError):
                message.answered = self._asked(self.urls[turn % len(self.urls)], body)
            if message.answered:
                self.answers.append((asked, time.monotonic()))
            if message.answered or not patient or asked > deadline or self._failed.is_set():
                return
            time.sleep(PAUSE)

    def _asked(self, url: str, body: bytes) -> bool:
        reply = post(f"{url}/ws", body, SOAP_REQUEST, timeout=PATIENCE)
        accepted = read_answer(reply.body).function == "99"
        if not (accepted or "retry-after" in reply.headers):
            self.strange.append(reply)
        return accepted


def barrage(ground: Ground, settings: Settings, *, serve: Serve, runs: int, chance: random.Random) -> Figures:
    """Kill a serving gateway so many times under load, let the last life finish everything, and count.

    `serve` lives the life of a gateway in a fork, at the address of the settings.
    """
    warm, settings = ground.warm, settings.model_copy(update={"port": free_port()})
    load = Load(urls=[f"http://{settings.host}:{settings.port}"], settings=settings, numbers=ground.numbers)
    with load.going():
        kills = []
        for _ in range(runs):
            warm.fork(serve, settings)
            kills.append(_killed(warm, load, chance))
        warm.fork(serve, settings)
    with bootstrap.open_store(settings) as store:
        finished(store.queries)
        found = judge(load.sent, store.queries, ground.partners)
    warm.end(signal.SIGTERM)
    return found + Figures(runs=runs, max_recovery_ms=round(1000 * max(recoveries(kills, load.answers), default=0)))


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody has."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port


def judge(sent: Sequence[Sent], queries: Queries, partners: Mapping[str, RunningSimulator]) -> Figures:
    """Look for each message in the database and at every partner."""
    arrivals = {name: _arrivals(partner) for name, partner in partners.items()}
    return sum((_judge_one(message, queries, arrivals) for message in sent), Figures())


def _killed(warm: WarmProcess, load: Load, chance: random.Random) -> float:
    """Kill what was just started at a random moment, and say when that was."""
    young, heard = chance.random() < YOUNG, len(load.answers)
    if not young:
        until(lambda: len(load.answers) > heard, "an answer of a gateway that was started again", every=PAUSE)
    time.sleep(chance.uniform(0, STARTING if young else SERVING))
    moment = time.monotonic()
    if not warm.end(signal.SIGKILL).killed:
        raise RuntimeError("a gateway ended before it was killed; see logs/faults.log")
    return moment


def recoveries(kills: Sequence[float], answers: Sequence[tuple[float, float]]) -> Iterator[float]:
    """Say for each kill how long after it the first answer came that was asked for after it; nothing where the next kill was first."""
    for kill, following in pairwise((*kills, float("inf"))):
        came = min((came for asked, came in answers if asked > kill), default=following)
        if came < following:
            yield came - kill


def finished(queries: Queries) -> None:
    """Wait until no delivery is under way."""
    ended = {str(state) for state in ENDED}

    def done() -> bool:
        return all(state in ended for _, state in queries.counts().deliveries)

    until(done, "every delivery ended", seconds=SETTLE_SECONDS)


Arrivals = Mapping[str, Counter[str]]  # what a message is about, or the hub's number -> ids and how often each came


def _arrivals(partner: RunningSimulator) -> Arrivals:
    """Group a partner's raw arrivals by dossier, polls apart; the hub knows numbers only."""
    found: dict[str, Counter[str]] = {}
    lines: Any = partner.report()["arrivals"]
    for line in lines:
        if line["id"]:
            dossier = line["about"].split()[2].partition("/")[0] if line["about"] else line["id"]
            found.setdefault(dossier, Counter())[line["id"]] += 1
    return found


def _judge_one(message: Sent, queries: Queries, arrivals: Mapping[str, Arrivals]) -> Figures:
    rows = queries.messages(reference=message.about.file_code, state="accepted").items
    deliveries = [d for row in rows for d in queries.deliveries(message=row.id).items]
    rescued = sum(m.kind == "delivery.rescued" for row in rows for m in queries.timeline(row.id))
    dossiers = {message.about.file_code, *(d.reference for d in deliveries if d.reference)}
    came = {name: sum((arrivals[name].get(dossier, Counter()) for dossier in dossiers), Counter()) for name in arrivals}
    wanted = message.story.partners if rows else ()
    undelivered = sum(d.state != "delivered" for d in deliveries) + sum(not came[name] for name in wanted)
    repeats = sum(n - 1 for ids in came.values() for n in ids.values())
    return Figures(
        accepted=len(rows),
        delivered=sum(bool(came[name]) for name in wanted),
        redelivered=repeats,
        lost=(message.answered and not rows) + undelivered + (len(deliveries) != len(wanted)),
        duplicate_effects=max(len(rows) - 1, 0) + sum(max(len(ids) - (name in wanted), 0) for name, ids in came.items()),
        unexplained=max(repeats - rescued, 0),
    )
