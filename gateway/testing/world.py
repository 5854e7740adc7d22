"""A whole world to try things in: the gateway as a process of its own, and every simulated agency around it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Self, TypeVar

from .simulate import GROUP, load
from .simulator import RunningSimulator

T = TypeVar("T")
START_SECONDS = 30.0
STOP_SECONDS = 30.0
LOOK_EVERY = 0.05  # seconds between two looks at something that is to come


class NotSeenError(Exception):
    """What should have been seen from outside was not."""


class RunningGateway:
    """`nsw serve` as a subprocess; a context manager that stops it."""

    def __init__(self, home: Path, *, port: int = 0, environment: Mapping[str, str] | None = None) -> None:
        """Name its NSW_HOME; `environment` adds to this process's own."""
        self.home = home
        self._environment = {**os.environ, "NSW_HOME": str(home), "NSW_PORT": str(port), **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id; 0 while none runs."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start and wait until it serves, on the port it had before if it had one; raises NotSeenError where it does not come up."""
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        with (self.home / "logs" / "gateway.log").open("ab") as log:
            command = [sys.executable, "-m", "gateway.cli", "serve"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603  # our own program
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.startswith("ready "):
            self._process.wait(STOP_SECONDS)
            raise NotSeenError(f"the gateway did not start (exit {self._process.returncode}); see {self.home / 'logs' / 'gateway.log'}")
        self.url = line.split()[1]
        self._environment["NSW_PORT"] = self.url.rsplit(":", 1)[1]

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def get(self, path: str) -> Any:
        """Ask its REST interface; raises OSError where it does not answer 200."""
        with urllib.request.urlopen(self.url + path, timeout=10) as response:  # noqa: S310  # our own gateway on loopback
            return json.load(response)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(STOP_SECONDS)
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None


class World:
    """The gateway and its agencies on one NSW_HOME; agencies keep their journals there, so a second start knows the first."""

    def __init__(self, home: Path, *, port: int = 0) -> None:
        """Prepare the place; nothing runs yet."""
        self.home = home
        self.gateway = RunningGateway(home, port=port)
        self.agencies: dict[str, RunningSimulator] = {}

    def __enter__(self) -> Self:
        names = sorted(entry_points(group=GROUP).names)
        self.agencies = {n: load(n).start(pki=self.home / "pki", folder=self.home / "agencies" / n) for n in names}
        try:
            self._write_endpoints()
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

    def _write_endpoints(self) -> None:
        """Tell the gateway where its partners are: the one file an installation must write."""
        folder = self.home / "rules"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f'{party} = "{self.agencies[name].url}{path}"' for name, party, path in ADDRESSES]
        (folder / "endpoints.toml").write_text("[endpoints]\n" + "\n".join(lines) + "\n", encoding="utf-8")


# Which party of the shipped rules each simulated agency plays, and under which path it serves.
ADDRESSES = (
    ("portal", "NSW", "/ws"),
    ("agriculture", "BNN", "/ws"),
    ("customs", "TCHQ", "/ws"),
    ("ephyto_hub", "IPPC", "/hub/DeliveryService"),
)


def until(look: Callable[[], T | None], what: str, *, seconds: float = 30.0) -> T:
    """Look until something is there, and give it; raises NotSeenError with what was missed."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NotSeenError(f"not seen within {seconds:.0f} s: {what}")
        time.sleep(LOOK_EVERY)
