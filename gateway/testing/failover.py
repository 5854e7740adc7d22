"""Two PostgreSQL servers, one of which stands by: its streaming replication, and what Patroni or a person does when the other dies."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from .postgres import FAST, NOBODY, OWNER, Server
from .world import until

STANDBY = "standby"  # the name under which whoever stands by connects
SETTINGS = {
    **FAST,
    "synchronous_commit": "remote_apply",
    "wal_retrieve_retry_interval": "200ms",  # a standby that lost its primary hears of its promotion only after this pause
    "full_page_writes": "on",  # this and the next two for pg_rewind
    "wal_log_hints": "on",
    "wal_keep_size": "128MB",
}
CONFIRMED = "SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = 'standby'"
FOLLOWING = "SELECT sender_port, status FROM pg_stat_wal_receiver"


class Pair:
    """A primary and a standby; nothing is acknowledged by the one before it is applied by the other."""

    def __init__(self, primary: Server, standby: Server) -> None:
        """Take two servers of which nothing exists yet."""
        self.primary = primary
        self.standby = standby
        self._both = (primary, standby)

    @property
    def url(self) -> str:
        """Both servers in one address: whoever connects finds the one that is the primary now."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self._both)
        return f"postgresql://{OWNER}@{hosts}/postgres"

    def start(self) -> None:
        """Make the primary, copy it, and wait until every commit waits for the copy; raises NoServerError."""
        self.primary.create()
        self.primary.start()
        _own(self.standby.folder)
        self.standby.run("pg_basebackup", "-D", str(self.standby.data), "-R", "-c", "fast", "--no-sync", "-d", _known(self.primary))
        self._stand_by()

    def fail_over(self) -> None:
        """Kill the primary and promote the standby, which from then on serves alone: whoever waits for nobody loses nobody's time."""
        self.primary.kill()
        self.standby.run("pg_ctl", "promote", "-w", "-D", str(self.standby.data))
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Rewind the one that died to where the other took over, and let it stand by; commits wait for it again."""
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")  # from which a later rewinding can start
        ended = Path(f"/proc/{self.standby.pid}")
        until(lambda: not ended.exists(), "the end of the server that was killed")
        self.standby.run("pg_rewind", "-R", "--no-sync", "-D", str(self.standby.data), "--source-server", _known(self.primary))
        self._stand_by()

    def alone(self) -> None:
        """Let the primary wait for nobody, as where the standby is only read."""
        self._wait_for("")

    def follow(self, port: int) -> None:
        """Have the standby reach its primary by another port, such as a proxy's."""
        with psycopg.connect(self.standby.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET primary_conninfo = '{_known(self.primary, port)}'")
            connection.execute("SELECT pg_reload_conf()")
            until(lambda: connection.execute(FOLLOWING).fetchall() == [(port, "streaming")], "a standby that follows")

    def _stand_by(self) -> None:
        self.standby.start()
        self._wait_for(STANDBY)
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            until(lambda: connection.execute(CONFIRMED).fetchall() == [(True,)], "a standby that confirms")

    def _wait_for(self, names: str) -> None:
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def replicated() -> Iterator[Pair]:
    """Run a primary and its standby, each in a folder of its own among the temporary ones; raises NoServerError."""
    places = [Path(tempfile.mkdtemp(prefix="nsw-postgres-")) for _ in range(2)]
    pair = Pair(*(Server(place, settings=SETTINGS) for place in places))
    try:
        pair.start()
        yield pair
    finally:
        for server in (pair.standby, pair.primary):
            server.stop(mode="immediate")
        for place in places:
            shutil.rmtree(place, ignore_errors=True)


def _known(server: Server, port: int = 0) -> str:
    return f"host=127.0.0.1 port={port or server.port} user={OWNER} dbname=postgres application_name={STANDBY}"


def _own(folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
