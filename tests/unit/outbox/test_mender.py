"""The thread that carries jobs out."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.outbox import mending
from gateway.outbox.mender import Mender, carry
from gateway.outbox.orders import Act, Choice, Order
from gateway.outbox.workers import Bell
from gateway.testing.desk import Desk

REASON = "Bộ nông nghiệp đã nhận bản giấy"


def test_thread_carries_jobs_out_and_tells_how_far_it_came(desk: Desk) -> None:
    finished = Event()
    told: list[tuple[str, Any]] = []

    def watch(event: str, values: Any) -> None:
        told.append((event, values))
        if values.get("state") == "done":
            finished.set()

    desk.deliver()
    job = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    mender = Mender(desk.mending, bell=Bell(), watch=watch)
    mender.start()

    assert finished.wait(20)
    mender.stop()

    assert told == [("job.advanced", {"job": job.id, "act": "replay", "state": "done", "done": 1})]


def test_stopped_thread_gives_its_job_back_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mending.FEWER, Act.RETURN, 3)
    for _ in range(4):
        desk.deliver()
    job = desk.mending.order(Order(act=Act.RETURN, reason=REASON), Choice(party="BNN"), by="key:lan")
    hold = desk.mending.take()
    assert hold is not None

    carry(desk.mending, hold, pause=lambda _: True)

    assert desk.mending.job(job.id).done == 3
    assert desk.mending.take() is not None


@pytest.mark.parametrize("failure", [Unavailable, RuntimeError])
def test_thread_outlives_a_failure(desk: Desk, failure: Callable[..., Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def fail() -> None:
        raise failure(Code.UNAVAILABLE, Problem(text="store.away"))

    monkeypatch.setattr(desk.mending, "take", fail)
    mender = Mender(desk.mending, bell=Bell(), watch=lambda event, _: told.append(event))

    pause = mender._carry()  # one look, without waiting for it

    assert pause > 0
    assert told == ["job.paused" if failure is Unavailable else "job.defect"]
