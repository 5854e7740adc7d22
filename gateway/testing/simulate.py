"""Start one simulated agency as its own process: `python -m gateway.testing.simulate NAME --port 0 --gateway URL --pki FOLDER`."""

import argparse
import signal
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path

from .simulator import Simulator

GROUP = "nsw_gateway.simulators"


def names() -> list[str]:
    """Give the names of the simulated agencies that are installed."""
    return sorted(entry_points(group=GROUP).names)


def load(name: str) -> Simulator:
    """Give one simulated agency; raises KeyError where none has that name, TypeError where its entry point is something else."""
    found = entry_points(group=GROUP)[name].load()
    if not isinstance(found, Simulator):
        raise TypeError(f"entry point {name} of {GROUP} is not a Simulator")
    return found


def run_simulator(name: str, *, port: int, gateway: str, pki: Path | None, folder: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; prints `ready <url>` on standard output once it serves. Raises KeyError for an unknown name."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with load(name).start(port=port, gateway=gateway, pki=pki, folder=folder) as running:
        sys.stdout.write(f"ready {running.url}\n")
        sys.stdout.flush()
        stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve; 2 for an agency there is none of."""
    parser = argparse.ArgumentParser(prog="python -m gateway.testing.simulate", description="Serve one simulated agency.")
    parser.add_argument("name", help="the agency, as its entry point is called")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--gateway", default="", help="base URL of the gateway it sends to")
    parser.add_argument("--pki", type=Path, help="folder of development keys")
    parser.add_argument("--folder", type=Path, help="where its journal is kept; without it a restart forgets")
    given = parser.parse_args(arguments)
    if given.name not in names():
        parser.error(f"no simulated agency {given.name}; there are {', '.join(names())}")
    run_simulator(given.name, port=given.port, gateway=given.gateway, pki=given.pki, folder=given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
