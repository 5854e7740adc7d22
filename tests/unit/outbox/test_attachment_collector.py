import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.outbox.attachments import collecting
from gateway.outbox.attachments.collecting import Collected, Collector
from gateway.outbox.attachments.keeping import Attachments

PATIENCE = 5.0


@pytest.mark.parametrize(
    ("first", "event"),
    [
        (Unavailable(Code.UNAVAILABLE, Problem(text="store.away")), "attachments.paused"),
        (ZeroDivisionError(), "attachments.defect"),
        (Collected(removed=1), "attachments.collected"),
        (Collected(failed=1), "attachments.collected"),
    ],
)
def test_collector_goes_on_after_whatever_a_run_brought(monkeypatch: pytest.MonkeyPatch, first: Any, event: str) -> None:
    told, again, runs = list[str](), threading.Event(), list[Any]()

    def collect(_keeping: Attachments) -> Collected:
        runs.append(None)
        if len(runs) > 1:
            again.set()
            return Collected()
        if isinstance(first, Exception):
            raise first
        return cast("Collected", first)

    def watch(name: str, _fields: Mapping[str, object]) -> None:
        told.append(name)

    monkeypatch.setattr(collecting, "collect", collect)
    collector = Collector(cast("Attachments", None), watch=watch, every=0.001)
    collector.start()

    assert again.wait(PATIENCE)
    collector.stop()

    assert told == [event]
    assert not collector.is_alive()


def test_collector_that_never_began_can_be_stopped() -> None:
    collector = Collector(cast("Attachments", None), watch=lambda _event, _fields: None)

    collector.stop()

    assert not collector.is_alive()
