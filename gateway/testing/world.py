"""A whole world to try things in: the gateway as a process of its own, and every simulated agency around it."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

from gateway.bootstrap import hold
from gateway.config import Settings
from gateway.installed import known_parties, now
from gateway.model import Party
from gateway.security.devpki import generate
from gateway.store.sole import Sole

from .gateway import RunningGateway
from .simulate import load, names
from .simulator import RunningSimulator

T = TypeVar("T")
LOOK_EVERY = 0.05  # seconds between two looks at something that is to come


class NotSeenError(Exception):
    """What should have been seen from outside was not."""


class World:
    """The gateway and its agencies on one NSW_HOME; agencies keep their journals there, so a second start knows the first."""

    def __init__(self, home: Path, *, port: int = 0, environment: Mapping[str, str] | None = None) -> None:
        """Prepare the place; nothing runs yet."""
        self.home = home
        self.gateway = RunningGateway(home, port=port, environment=environment)
        self.agencies: dict[str, RunningSimulator] = {}
        database = (environment or {}).get("NSW_DATABASE_URL", "")
        self._settings = Settings(home=home, rules=self.gateway.rules, database_url=database)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start all; raises Unavailable where another process serves there, Conflict where the addresses are an installation's own."""
        with ExitStack() as opening:
            serving = hold(self._settings)
            try:
                opening.callback(Sole(self.home / "gateway.db.world").release)  # another world waits for no database
                self._gather(opening)
            finally:
                if serving:
                    serving.release()
            opening.callback(self.gateway.stop)
            self.gateway.start()
            self._open = opening.pop_all()
        for agency in self.agencies.values():
            agency.control(gateway=self.gateway.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _gather(self, opening: ExitStack) -> None:
        """Start the agencies and write down where they are; an address left from an earlier world may be of a party that is gone."""
        self.gateway.reach({})
        parties = known_parties(self._settings)
        generate(self.gateway.pki, now=now(), parties=[party.code for party in parties])
        for name in names():
            self.agencies[name] = opening.enter_context(load(name).start(pki=self.gateway.pki, folder=self.home / "agencies" / name))
        self.gateway.reach(addresses(parties, self.agencies))


def addresses(parties: Iterable[Party], agencies: Mapping[str, RunningSimulator]) -> dict[str, str]:
    """Give each party the address of the simulated agency that its adapter reaches; a party that has none gets none."""
    return {party.code: agencies[party.adapter].address for party in parties if party.adapter in agencies}


def until(look: Callable[[], T | None], what: str, *, seconds: float = 30.0, every: float = LOOK_EVERY) -> T:
    """Look until something is there, and give it; raises NotSeenError with what was missed."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NotSeenError(f"not seen within {seconds:.0f} s: {what}")
        time.sleep(every)
