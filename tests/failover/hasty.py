"""python -m tests.failover.hasty serve: the command `nsw` with leases of two seconds, so that a test sees many of them end."""

from datetime import timedelta
from functools import partial

from gateway import bootstrap
from gateway.cli.main import run
from gateway.outbox import outbox
from gateway.outbox.heartbeat import Heartbeat

PROGRAM = ("-m", "tests.failover.hasty", "serve")
LEASE = timedelta(seconds=2)


def main() -> None:
    """Shorten what leases are made with, then be the command that was asked for."""
    outbox.LEASE = LEASE
    vars(bootstrap)["Heartbeat"] = partial(Heartbeat, every=LEASE.total_seconds() / 5)
    run()


if __name__ == "__main__":
    main()
