"""A warm process: it loads schemas, rules and adapters once, and forks a gateway from them in milliseconds.

A gateway that is to be killed a thousand times must not start cold each time. The warm process has one thread and holds no
database, so what it forks is as good as a fresh start; whatever a fork does, the next one knows nothing of it.
"""

import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self

from gateway import bootstrap, installed
from gateway.config import Settings
from gateway.hub import Hub
from gateway.ports import Adapter
from gateway.routing.rules import Rules
from gateway.xml.schemas import Schemas

P = ParamSpec("P")
Say = Callable[[object], None]  # tells whoever asked for the fork; what was told before a death is heard

WARM_SECONDS = 60.0  # a cold start on a busy machine
FORK_SECONDS = 120.0  # a fork that takes longer hangs
DEFECT = 70  # exit code of a fork that raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every fork finds loaded."""

    adapters: Mapping[str, Adapter]
    schemas: Schemas
    rules: Rules

    def build(self, settings: Settings) -> Hub:
        """Put a gateway together as bootstrap does, from what is loaded; for forks only, which end with it."""
        loaded = {"discover": lambda: self.adapters, "load_schemas": lambda *_: self.schemas, "load_rules": lambda *_: self.rules}
        for name, given in loaded.items():
            setattr(bootstrap, name, given)
        return bootstrap.build(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a fork ended: what it said until then, and its exit code, negative where a signal ended it."""

    said: tuple[Any, ...]
    code: int

    @property
    def killed(self) -> bool:
        """Say whether it was killed."""
        return self.code == -signal.SIGKILL


class WarmProcess:
    """Forks on demand, one at a time; a context manager. `settings` say where rules and schemas are; each fork has its own."""

    def __init__(self, settings: Settings) -> None:
        """Describe it; nothing is started yet."""
        context = multiprocessing.get_context("spawn")
        self._line, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far, settings), name="warm", daemon=True)
        self._far = far
        self._pid = 0

    def __enter__(self) -> Self:
        self._process.start()
        self._far.close()
        if not self._line.poll(WARM_SECONDS) or self._line.recv() != "warm":
            self.__exit__()
            raise RuntimeError("the warm process did not come up; its error is on standard error")
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()  # it ends with the line, and what it forked with it
        self._process.join(WARM_SECONDS)
        self._process.kill()

    def run(self, act: Callable[Concatenate[Parts, Say, P], None], *arguments: P.args, **named: P.kwargs) -> Ended:
        """Fork, do something there to its end or its death, and say how it ended; raises RuntimeError where the fork raised or hung."""
        self.fork(act, *arguments, **named)
        return self.wait()

    def fork(self, act: Callable[Concatenate[Parts, Say, P], None], *arguments: P.args, **named: P.kwargs) -> None:
        """Fork and let it live; `wait` or `end` must follow before the next one."""
        self._line.send((True, act, arguments, named))
        self._pid = self._line.recv()

    @property
    def pid(self) -> int:
        """The last fork's id."""
        return self._pid

    def rehearse(self, act: Callable[Concatenate[Parts, Say, P], None], *arguments: P.args, **named: P.kwargs) -> None:
        """Do something in the warm process itself, so that every later fork finds it done; raises RuntimeError where it raised."""
        self._line.send((False, act, arguments, named))
        self.wait()

    def end(self, number: signal.Signals) -> Ended:
        """Send the last fork a signal and wait for its end; raises RuntimeError where it had raised by itself or does not end."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, number)
        return self.wait()

    def wait(self) -> Ended:
        """Wait for the end of the last fork; raises RuntimeError where it raised or does not end."""
        if not self._line.poll(FORK_SECONDS):
            raise RuntimeError("a forked gateway does not end")
        ended: Ended = self._line.recv()
        if ended.code == DEFECT:
            raise RuntimeError(str(ended.said[-1]))
        return ended


def _serve(line: Connection, settings: Settings) -> None:
    """Load, then fork for each order until the line is closed."""
    adapters = installed.discover()
    schemas = installed.load_schemas(settings)
    parts = Parts(adapters=adapters, schemas=schemas, rules=installed.load_rules(settings, schemas, adapters))
    _log_to(settings.home / "logs" / "faults.log")
    line.send("warm")
    with suppress(EOFError):
        while True:
            forks, act, arguments, named = line.recv()
            ordered = partial(_act, act, parts, arguments, named)
            line.send(_forked(line, ordered) if forks else _ended(ordered))


def _act(act: Callable[..., None], parts: Parts, arguments: Sequence[Any], named: Mapping[str, Any], say: Say) -> None:
    act(parts, say, *arguments, **named)


def _ended(act: Callable[[Say], None]) -> Ended:
    """Act in this process; whatever it raises is told."""
    said: list[object] = []
    try:
        act(said.append)
    except BaseException:  # noqa: BLE001  # the last frame: a defect is told to whoever asked for it
        return Ended(said=(traceback.format_exc(),), code=DEFECT)
    gc.collect()
    gc.freeze()  # so that forks need not copy what is loaded
    return Ended(said=tuple(said), code=0)


def _forked(line: Connection, act: Callable[[Say], None]) -> Ended:
    """Fork, tell the fork's id at once, and collect what it says until it ends; it is killed where nobody listens any more."""
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError("only a process of one thread may be forked")
    near, far = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        near.close()
        line.close()
        os._exit(_live(act, far))
    far.close()
    line.send(pid)
    said = []
    with near, suppress(EOFError):
        while True:
            for ready in multiprocessing.connection.wait([near, line]):
                if ready is line:  # nothing is asked meanwhile, so it was closed
                    os.kill(pid, signal.SIGKILL)
                    os._exit(0)
                said.append(near.recv())
    _, status = os.waitpid(pid, 0)
    return Ended(said=tuple(said), code=os.waitstatus_to_exitcode(status))


def _log_to(path: Path) -> None:
    """Write what this process and its forks log to a file; a thousand lives are too much for anybody's terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, sys.stderr.fileno())
    os.close(log)


def _live(act: Callable[[Say], None], far: Connection) -> int:
    """Act in the fork; whatever it raises is told."""
    try:
        act(far.send)
    except BaseException:  # noqa: BLE001  # the last frame: a defect is told to whoever asked for it
        far.send(traceback.format_exc())
        return DEFECT
    return 0
