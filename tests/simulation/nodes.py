"""A node: the real intake, delivery, workers and circuits in a process that dies and starts again."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

from gateway.delivery import Delivery
from gateway.errors import Unavailable
from gateway.intake import Intake
from gateway.model import Arrival, PartyCode, Reply, Request
from gateway.outbox.circuit import Carried, Circuits
from gateway.outbox.heartbeat import Heartbeat
from gateway.outbox.workers import Bell, Carry, Workers
from gateway.ports import Claim, Outbox
from gateway.routing.judge import Judge
from gateway.security.prover import Prover

from .audit import Auditor
from .papers import PARTNERS, RULES, Desk
from .partners import Adapter, Misread, Network
from .stage import Death, Process, Stage
from .stores import Store
from .threads import Threads

PLACES = 4
FOREVER = datetime.max.replace(tzinfo=UTC)


class Unsealed:
    """A sealer that signs nothing."""

    def __init__(self, stage: Stage) -> None:
        """Seal on a stage."""
        self._stage = stage

    def seal(self, request: Request) -> Request:
        """Pass a request on."""
        self._stage.point("seal")
        return request


class Node:
    """One machine: boots, works, dies, and boots again after a while."""

    def __init__(
        self, name: str, *, stage: Stage, auditor: Auditor, desk: Desk, store: Store, network: Network, adapters: Mapping[str, Adapter],
        threads: Threads, alone: bool,
    ) -> None:  # fmt: skip
        """Stand there, switched off; a node that is alone gives back at its start what its last life held."""
        self._name = name
        self._stage = stage
        self._auditor = auditor
        self._desk = desk
        self._store = store
        self._network = network
        self._adapters = adapters
        self._threads = threads
        self._alone = alone
        self._bell = Bell()
        self._skew = timedelta(seconds=stage.rng.choice(store.skews))
        self._lives = 0
        self._process: Process | None = None
        self._intake: Intake | None = None

    def boot(self) -> None:
        """Start a new process, with nothing in its memory."""
        stage = self._stage
        self._lives += 1
        self._process = process = Process(f"{self._name}.{self._lives}", self._died)
        outbox = self._store.outbox(self._ring, self._clock)
        self._intake = Intake(
            prover=cast("Prover", self._desk), judge=cast("Judge", self._desk), rules=lambda: RULES, outbox=outbox, clock=self._clock,
            entropy=stage.entropy, watch=self._watch,
        )  # fmt: skip
        delivery = Delivery(
            outbox=outbox, adapters=self._adapters, rules=lambda: RULES, sealer=Unsealed(stage), transport=self._network,
            prover=cast("Prover", self._desk), clock=self._clock, watch=self._watch,
        )  # fmt: skip
        self._threads.process = process
        self._bell = Bell()
        heartbeat = Heartbeat(outbox, watch=self._watch)
        workers = Workers(
            carry=heartbeat.carrying(cast("Carry", partial(self._carry, delivery))), outbox=outbox, circuits=Circuits(),
            parties=lambda: PARTNERS, clock=self._clock, watch=self._watch, bell=self._bell, threads=PLACES,
            exchange=self._store.exchange(self._clock),
        )  # fmt: skip
        stage.enter(f"{process.name}/start", partial(self._start, outbox, workers, heartbeat), process)

    def receive(self, arrival: Arrival) -> Reply | None:
        """Take a message in, in the sender's own time; None where the machine is off, or dies over it."""
        actor, process = self._stage.current, self._process
        if process is None or not process.alive or self._intake is None:
            return None
        actor.process = process
        try:
            return self._intake.receive(arrival, self._desk)
        except Death:
            return None
        finally:
            actor.process = None
            actor.doing = ""

    def _clock(self) -> datetime:
        return self._stage.wall() + self._skew

    def _start(self, outbox: Outbox, workers: Workers, heartbeat: Heartbeat) -> None:
        """Begin as bootstrap does; where the database is away it is tried again, as a service manager would."""
        while self._alone:
            try:
                outbox.rescue(held_until=FOREVER)
                break
            except Unavailable:
                self._stage.sleep(1)
        process = self._threads.process = self._stage.current.process
        self._stage.enter(f"{process.name if process else ''}/heartbeat", heartbeat.run, process)
        workers.start()
        self._stage.disturbed()

    def _carry(self, delivery: Delivery, claim: Claim, **asked: Any) -> Carried:
        actor = self._stage.current
        actor.claim, actor.probe = claim, asked.get("probe", False)
        try:
            return delivery.carry(claim, **asked)
        finally:
            actor.claim = None

    def _died(self) -> None:
        self._stage.later(self._stage.rng.uniform(0.1, 60), self.boot)

    def _ring(self, *about: Collection[PartyCode]) -> None:
        self._bell.ring(*about)

    def _watch(self, event: str, fields: Mapping[str, object]) -> None:
        defect = fields.get("defect")
        if defect not in {None, Misread.__name__}:
            self._auditor.violation(f"{event}: {defect}")
