"""The moments at which a gateway can be killed: before and after every step of both stories, and inside every commit.

They are named here and nowhere in the gateway: arming wraps the steps from outside, in a forked process that ends with it.
"""

import functools
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from gateway import delivery, intake
from gateway.lifecycle import Accepted, Outcome
from gateway.outbox.outbox import SqlOutbox
from gateway.ports import Adapter
from gateway.protocols.vnsw.door import VnswDoor
from gateway.routing.judge import Judge
from gateway.security.prover import Prover
from gateway.security.sealer import EnvelopeSealer
from gateway.store import postgres
from gateway.transport.http import HttpTransport

# Each step of intake.py and delivery.py, and where it is called.
STEPS: tuple[tuple[str, Any, str], ...] = (
    ("answered", SqlOutbox, "answered"),
    ("door", VnswDoor, "open"),
    ("prove", Prover, "prove"),
    ("validate", Judge, "judge"),
    ("route", intake, "route"),
    ("record", SqlOutbox, "record"),
    ("refuse", SqlOutbox, "refuse"),
    ("rescue", SqlOutbox, "rescue"),
    ("claim", SqlOutbox, "claim"),
    ("load", SqlOutbox, "load"),
    ("seal", EnvelopeSealer, "seal"),
    ("note", SqlOutbox, "note"),
    ("send", HttpTransport, "send"),
    ("prove-reply", delivery, "prove_reply"),
    ("next-step", delivery, "next_step"),
    ("settle", SqlOutbox, "settle"),
)
OF_ADAPTERS = ("encode", "poll", "decode")
COMMITTING = frozenset({"record", "refuse", "rescue", "claim", "note", "settle"})
ANSWER = "answer"  # the bytes of an answer leave
# A death after a send and before its settling is durable is what explains that a partner sees a message again.
UNSETTLED = frozenset(
    {"send.after", "prove-reply.before", "prove-reply.after", "decode.before", "decode.after"}
    | {"next-step.before", "next-step.after", "settle.before", "settle.uncommitted"}
)  # fmt: skip


def every_moment() -> frozenset[str]:
    """Name every moment there is."""
    steps = [name for name, _, _ in STEPS] + [*OF_ADAPTERS, ANSWER]
    around = {f"{step}.{side}" for step in steps for side in ("before", "after")}
    return frozenset(around | {f"{step}.{side}" for step in COMMITTING for side in ("uncommitted", "committed")})


@dataclass(slots=True)
class Passage:
    """Counts the moments that pass, and ends the process at the chosen one (from 1; 0 lives on)."""

    fatal: int
    told: Callable[[str], None]  # hears every moment, the fatal one too
    _count: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _here: threading.local = field(default_factory=threading.local)

    def passes(self, moment: str) -> None:
        """Count a moment; at the fatal one nothing more happens in this process, in whatever thread."""
        with self._turn:
            self._count += 1
            self.told(moment)
            if self._count == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    @contextmanager
    def around(self, step: str) -> Iterator[None]:
        """Pass the moments before and after a step, and remember in between that it is under way here."""
        self.passes(f"{step}.before")
        outer, self._here.step = getattr(self._here, "step", None), step
        try:
            yield
        finally:
            self._here.step = outer
        self.passes(f"{step}.after")

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Pass the moments around a COMMIT, where a step of the stories is under way in this thread."""
        step = getattr(self._here, "step", None)
        if step in COMMITTING:
            self.passes(f"{step}.uncommitted")
        yield
        if step in COMMITTING:
            self.passes(f"{step}.committed")


def arm(passage: Passage, adapters: Iterable[Adapter]) -> None:
    """Wrap every step in this process, once and for good; what is built afterwards passes the moments."""
    for step, owner, name in STEPS:
        setattr(owner, name, _passing(passage, step, getattr(owner, name)))
    for kind in {type(adapter) for adapter in adapters}:
        for name in OF_ADAPTERS:
            if hasattr(kind, name):
                setattr(kind, name, _passing(passage, name, getattr(kind, name)))
    _arm_commits(passage)


def hurry_polls(adapters: Iterable[Adapter]) -> None:
    """Ask a partner that answers later at once, in this process, so that nothing waits for seconds."""
    for kind in {type(adapter) for adapter in adapters}:
        setattr(kind, "decode", _asked_at_once(kind.decode))  # noqa: B010  # the types of adapters are not ours to change, except here


def _passing(passage: Passage, step: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def call(*arguments: Any, **named: Any) -> Any:
        with passage.around(step):
            return inner(*arguments, **named)

    return call


def _asked_at_once(inner: Callable[..., Outcome]) -> Callable[..., Outcome]:
    @functools.wraps(inner)
    def decode(*arguments: Any) -> Outcome:
        outcome = inner(*arguments)
        if isinstance(outcome, Accepted) and outcome.ask_again_in:
            return replace(outcome, ask_again_in=timedelta(0))
        return outcome

    return decode


def _arm_commits(passage: Passage) -> None:
    """Make every connection of this process pass the moments inside its commits."""
    control = postgres.control

    class Dying(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            with passage.commit() if sql == "COMMIT" else nullcontext():
                return super().execute(sql, *arguments)

    def dying(connection: postgres.Connection, statements: str) -> Any:
        with passage.commit() if statements.endswith("COMMIT") else nullcontext():
            return control(connection, statements)

    setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Dying))  # noqa: B010  # a module's function, replaced
    setattr(postgres, "control", dying)  # noqa: B010  # the same
