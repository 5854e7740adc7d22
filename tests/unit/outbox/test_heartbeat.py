import os
import threading
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.lifecycle import Delivered
from gateway.outbox.circuit import Carried
from gateway.outbox.heartbeat import BEAT_SECONDS, STEADY, Heartbeat
from gateway.outbox.memory import MemoryOutbox
from gateway.outbox.outbox import LEASE
from gateway.ports import Claim
from gateway.store.postgres import STATEMENT_SECONDS
from gateway.store.sqlite import BUSY_SECONDS
from gateway.testing.entries import BNN, START, make_entry

BEAT = timedelta(seconds=BEAT_SECONDS)


@dataclass
class Scene:
    """An outbox with one claimed delivery, in time that a test moves, and a heart beside it."""

    now: datetime = START
    away: bool = False
    seen: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = Patchy(self)
        self.outbox.record(make_entry())
        self.heart = Heartbeat(self.outbox, watch=lambda name, values: self.seen.append((name, values)))

    def claim(self) -> Claim:
        (claim,) = self.outbox.claim({BNN: 1})
        return claim

    def beat(self, times: int) -> None:
        for _ in range(times):
            self.now += BEAT
            self.heart.beat()

    @property
    def claimable(self) -> bool:
        return bool(self.outbox.claim({BNN: 1}))


class Patchy(MemoryOutbox):
    """An outbox whose database may be away."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(clock=lambda: scene.now, entropy=os.urandom)
        self._scene = scene

    def lengthen(self, tokens: Collection[str]) -> int:
        if self._scene.away:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))
        return super().lengthen(tokens)


def done(claim: Claim, *, probe: bool, within: timedelta | None, asking: AbstractContextManager[None]) -> Carried:  # noqa: ARG001  # as Carry names them
    return Carried(outcome=Delivered(), heard=True)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_is_carried_out_is_kept_however_long_it_takes(scene: Scene) -> None:
    still_held: list[bool] = []

    def carry(claim: Claim, *, probe: bool, within: timedelta | None, asking: AbstractContextManager[None]) -> Carried:
        scene.beat(20)
        still_held.append(not scene.claimable)
        return done(claim, probe=probe, within=within, asking=asking)

    scene.heart.carrying(carry)(scene.claim(), probe=False, within=None, asking=nullcontext())

    assert still_held == [True]


def test_what_nobody_carries_out_is_returned_after_its_lease(scene: Scene) -> None:
    scene.claim()

    scene.beat(LEASE // BEAT)

    assert scene.claimable


def test_what_was_carried_out_is_kept_no_longer(scene: Scene) -> None:
    claim = scene.claim()
    scene.heart.carrying(done)(claim, probe=False, within=None, asking=nullcontext())

    scene.beat(LEASE // BEAT)

    assert scene.claimable


def test_after_an_absence_of_the_database_others_get_time_to_come_back(scene: Scene) -> None:
    scene.claim()
    scene.away = True
    scene.beat(10)
    scene.away = False

    scene.beat(STEADY - 1)
    too_early = scene.claimable
    scene.beat(1)

    assert not too_early
    assert scene.claimable
    assert scene.seen == [("delivery.paused", {"code": Code.UNAVAILABLE})] * 10


def test_a_defect_does_not_end_the_heart(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_tokens: Collection[str]) -> int:
        raise ValueError("no")

    monkeypatch.setattr(scene.outbox, "lengthen", broken)

    scene.beat(1)

    assert scene.seen == [("delivery.defect", {"defect": "ValueError"})]


def test_the_heart_beats_until_it_is_stopped(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    beaten = threading.Event()
    heart = Heartbeat(scene.outbox, watch=lambda *_: None, every=0.001)
    monkeypatch.setattr(heart, "beat", beaten.set)

    heart.start()
    assert beaten.wait(10)
    heart.stop()

    assert not heart.is_alive()


def test_lease_outlives_a_beat_that_a_slow_database_delays() -> None:
    assert timedelta(seconds=BEAT_SECONDS + max(BUSY_SECONDS, STATEMENT_SECONDS)) < LEASE
