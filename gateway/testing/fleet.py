"""Several gateways on one database under load, and the count of what was lost or doubled whatever befell them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from gateway import bootstrap
from gateway.config import Settings
from gateway.hub import Store

from .faults.barrage import PAUSE, Figures, Load, finished, judge, recoveries
from .faults.ground import partnered
from .gateway import SERVE, RunningGateway
from .simulator import RunningSimulator
from .world import until

RECOVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the fleets of a test run share: a home with keys and rules, partners that only take messages, and numbers of dossiers."""

    home: Path
    partners: Mapping[str, RunningSimulator]
    numbers: Iterator[int]

    @contextmanager
    def fleet(self, database: str, *, lines: Sequence[str] = (), program: Sequence[str] = SERVE) -> Iterator["Fleet"]:
        """Start two gateways on a database, or one for each of the `lines` by which it is reached."""
        reached = lines or (database, database)
        gateways = [RunningGateway(self.home, environment={"NSW_DATABASE_URL": line}, program=program) for line in reached]
        settings = Settings(home=self.home, database_url=database)
        fleet = Fleet(settings=settings, gateways=gateways, partners=self.partners, numbers=self.numbers)
        try:
            with ThreadPoolExecutor() as starting:
                list(starting.map(RunningGateway.start, gateways))
            yield fleet
        finally:
            for gateway in gateways:
                gateway.stop()


@contextmanager
def prepared(home: Path) -> Iterator[Ground]:
    """Make a home and start its partners."""
    with partnered(home) as partners:
        yield Ground(home=home, partners=partners, numbers=count(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Gateways that share one database; `settings` are those of somebody who reaches it whatever befalls them."""

    settings: Settings
    gateways: Sequence[RunningGateway]
    partners: Mapping[str, RunningSimulator]
    numbers: Iterator[int]

    @contextmanager
    def loaded(self) -> Iterator[Load]:
        """Send to all of them until the end of the block, and until nobody waits for an answer."""
        load = Load(urls=[gateway.url for gateway in self.gateways], settings=self.settings, numbers=self.numbers)
        with load.going():
            serving(load, since=0.0)
            yield load

    def judged(self, load: Load, *, blows: Sequence[float] = ()) -> Figures:
        """Wait until every delivery ended, and count; `blows` are the moments from which the gateways had to recover."""
        with bootstrap.open_store(self.settings) as store:
            finished(store.queries)
            found = judge(load.sent, store.queries, self.partners)
            lost_settles = sum(_unsettled(store, message.about.file_code) for message in load.sent) if found.redelivered else 0
        longest = round(1000 * max(recoveries(blows, load.answers), default=0))
        unexplained = max(found.unexplained, found.redelivered - lost_settles)
        return replace(found, runs=len(blows), max_recovery_ms=longest, unexplained=unexplained)


def serving(load: Load, *, since: float) -> None:
    """Wait for an answer to somebody who asked after a moment."""
    until(lambda: any(asked > since for asked, _ in load.answers), "an answer", seconds=RECOVERY_SECONDS, every=PAUSE)


def _unsettled(store: Store, reference: str) -> int:
    """Count the attempts about a dossier that left, and whose end was never written."""
    rows = store.queries.messages(reference=reference, state="accepted").items
    deliveries = [d for row in rows for d in store.queries.deliveries(message=row.id).items]
    return sum(a.sent_at is not None and a.outcome is None for d in deliveries for a in store.history.attempts(d.id))
