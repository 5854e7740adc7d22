"""A run: the episodes of a seed, each on a new stage, under its own faults, then in peace until nothing is due."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .audit import Auditor
from .faults import CALM, draw
from .nodes import Node
from .papers import Desk
from .partners import Network, adapters
from .people import Operator, Senders
from .stage import SECOND, Stage
from .stores import MakeStore, Store, stores
from .threads import Threads, staged

EPISODE = (800, 3000)  # steps under faults: long enough for everything to happen to somebody, short enough to be read
PEACE_SECONDS = 3600  # simulated, in which all that is left must end
PEACE_STEPS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an episode showed; `digest` is its whole trace in short, `tail` its last steps."""

    name: str
    steps: int
    violations: tuple[str, ...]
    digest: str
    tail: tuple[str, ...]
    counts: Counter[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """What all who play have in common."""

    stage: Stage
    auditor: Auditor
    desk: Desk
    store: Store
    threads: Threads


def episodes(seed: int, steps: int, make: MakeStore, *, first: int = 0) -> list[Result]:
    """Play episodes until so many steps were made; stops after one that shows a violation."""
    results: list[Result] = []
    while sum(r.steps for r in results) < steps and not (results and results[-1].violations):
        results.append(episode(f"{seed}/{first + len(results)}", make))
    return results


def episode(name: str, make: MakeStore) -> Result:
    """Play one episode from its own seed."""
    rng = Random(name)  # noqa: S311  # reproducible on purpose
    stage = Stage(name, draw(rng))
    desk = Desk(stage)
    auditor = Auditor(stage, desk)
    stage.on_time_fault = auditor.time_fault
    with make(stage, auditor) as store, staged(stage) as threads:
        try:
            _play(Cast(stage=stage, auditor=auditor, desk=desk, store=store, threads=threads), rng)
        finally:
            stage.close()
    return Result(
        name=name, steps=stage.steps, violations=tuple(stage.violations), digest=stage.digest, tail=tuple(stage.tail), counts=stage.counts
    )


def _play(cast: Cast, rng: Random) -> None:
    stage, auditor = cast.stage, cast.auditor
    network = Network(stage, auditor)
    nodes = _nodes(cast, network, rng.randrange(1, 4))
    senders = Senders(stage, auditor, cast.desk, nodes)
    for n in range(rng.randrange(1, 8)):
        stage.enter(f"sender{n}", senders.play)
    operator = Operator(stage, auditor, cast.store.staff(), every=rng.choice((20, 100, 1000)))
    stage.enter("operator", operator.play)
    network.moods()
    length = rng.randint(*EPISODE)
    stage.run(lambda: stage.steps >= length)
    senders.resting = operator.resting = True
    _rest(stage, auditor, network, lambda: senders.busy == 0 and auditor.open == 0)
    if not stage.violations:
        auditor.close(cast.store.stored())


def _nodes(cast: Cast, network: Network, size: int) -> list[Node]:
    known = adapters(cast.desk, cast.auditor)
    nodes = [
        Node(
            f"n{n}", stage=cast.stage, auditor=cast.auditor, desk=cast.desk, store=cast.store, network=network, adapters=known,
            threads=cast.threads, alone=size == 1,
        )
        for n in range(size)
    ]  # fmt: skip
    for node in nodes:
        node.boot()
    return nodes


def _rest(stage: Stage, auditor: Auditor, network: Network, done: Callable[[], bool]) -> None:
    """Let the faults end and time pass until nothing is due, within bounds."""
    stage.faults = CALM
    network.heal()
    stage.disturbed()
    stage.note("peace")
    by_then, last = stage.elapsed + PEACE_SECONDS * SECOND, stage.steps + PEACE_STEPS
    stage.run(lambda: done() or stage.elapsed > by_then or stage.steps > last)
    if not stage.violations and not done():
        auditor.violation(f"{auditor.open} deliveries did not end in {PEACE_SECONDS} s of peace")


def run(seed: int, steps: int, kind: str, *, first: int = 0) -> list[Result]:
    """Play over an outbox of a kind; the first episode is played twice, and must go the same way."""
    with stores(kind) as make:
        results = episodes(seed, steps, make, first=first)
        again = episode(results[0].name, make)
    if again.digest != results[0].digest:
        what = "the same seed went another way"
        results[0] = Result(
            name=again.name, steps=again.steps, violations=(*results[0].violations, what), digest=again.digest, tail=again.tail,
            counts=again.counts,
        )  # fmt: skip
    return results
