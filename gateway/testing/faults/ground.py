"""The ground on which faults are played: a home with keys and rules, partners that only take messages, and the warm process."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from gateway.config import Settings
from gateway.installed import known_parties
from gateway.security.devpki import generate
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.simulate import load, names
from gateway.testing.simulator import RunningSimulator
from gateway.testing.world import addresses

from .stories import STORIES, rehearse
from .warm import WarmProcess

REHEARSED = 9_999_999  # the number of a dossier that no trial is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every trial shares; each names its own database."""

    settings: Settings
    partners: Mapping[str, RunningSimulator]
    warm: WarmProcess
    numbers: Iterator[int]  # of dossiers: no two trials on one ground are about the same

    def on(self, database_url: str, **changes: object) -> Settings:
        """Give the settings of a gateway on a database, `port` and `threads` among the changes."""
        return self.settings.model_copy(update={"database_url": database_url, **changes})

    def ready(self, database_url: str, **changes: object) -> Settings:
        """Give the settings of a gateway whose first start, on that database, lies behind it."""
        settings = self.on(database_url, **changes)
        bodies = STORIES["agriculture"].write(settings.pki, Consignment(number=REHEARSED), datetime.now(UTC))
        self.warm.rehearse(rehearse, settings=settings, bodies=bodies)
        return settings

    def file(self, name: str) -> str:
        """Name an SQLite database here."""
        return f"sqlite:///{self.settings.home}/{name}.db"


@contextmanager
def prepared(home: Path) -> Iterator[Ground]:
    """Make a home, start its partners and warm a process."""
    settings = Settings(home=home, port=0)
    with partnered(home) as partners, WarmProcess(settings) as warm:
        yield Ground(settings=settings, partners=partners, warm=warm, numbers=count(1))


@contextmanager
def partnered(home: Path) -> Iterator[Mapping[str, RunningSimulator]]:
    """Make a home with keys and rules, and start its partners, which follow nothing up."""
    generate(home / "pki", now=datetime.now(UTC))
    with ExitStack() as stack:
        partners = {n: stack.enter_context(replace(load(n), after=None).start(pki=home / "pki")) for n in names()}
        RunningGateway(home).reach(addresses(known_parties(Settings(home=home)), partners))
        yield partners
