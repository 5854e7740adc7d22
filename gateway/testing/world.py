"""A whole world to try things in: the gateway as a process of its own, and every simulated agency around it."""

import time
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Self, TypeVar

from .gateway import RunningGateway
from .simulate import GROUP, load
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

    def __enter__(self) -> Self:
        names = sorted(entry_points(group=GROUP).names)
        self.agencies = {n: load(n).start(pki=self.home / "pki", folder=self.home / "agencies" / n) for n in names}
        try:
            self.gateway.reach({party: self.agencies[name].url + path for name, party, path in ADDRESSES})
            self.gateway.start()
        except BaseException:
            self.__exit__()
            raise
        for agency in self.agencies.values():
            agency.control(gateway=self.gateway.url)
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.stop()
        for agency in self.agencies.values():
            agency.stop()


# Which party of the shipped rules each simulated agency plays, and under which path it serves.
ADDRESSES = (
    ("portal", "NSW", "/ws"),
    ("agriculture", "BNN", "/ws"),
    ("customs", "TCHQ", "/ws"),
    ("ephyto_hub", "IPPC", "/hub/DeliveryService"),
)


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
