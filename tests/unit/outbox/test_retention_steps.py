"""Retention in steps: stopped, killed, made twice at once; and what never happens, whatever is done."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import Conflict
from gateway.lifecycle import Delivered, Failed
from gateway.model import Schedule
from gateway.outbox import archive
from gateway.outbox import retention as module
from gateway.outbox.payloads import Payloads
from gateway.ports import Claim, Entry
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.aging import CONTENT, DAY, PERIODS, SCHEDULE, Aging
from gateway.testing.desk import Time
from gateway.testing.entries import NSW

# --- steps, turns and deaths ---------------------------------------------------------------------------------------------


class DiedError(Exception):
    """The process was killed here."""


def test_large_content_makes_small_steps(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        aging.done()
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    aging.pass_(CONTENT + DAY)

    assert [done.messages for done in aging.run()] == [1, 1, 1]


@pytest.mark.parametrize(("asked", "answered"), [(b"x" * 50_000, b""), (b"", b"x" * 50_000)])
def test_large_exchanges_make_small_steps_too(aging: Aging, monkeypatch: pytest.MonkeyPatch, asked: bytes, answered: bytes) -> None:
    for _ in range(3):
        aging.accept()
        aging.end(Delivered(), asked=asked, answered=answered)
    monkeypatch.setattr(module, "BATCH_BYTES", 60_000)
    aging.pass_(CONTENT + DAY)

    assert [done.messages for done in aging.run()] == [2, 1]


def test_a_run_that_is_stopped_goes_on_where_it_was(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [aging.done() for _ in range(5)]
    monkeypatch.setattr(module, "BATCH", 2)
    aging.pass_(CONTENT + DAY)
    steps = aging.retention.run(SCHEDULE, folder=aging.folder)
    assert next(steps).messages == 2
    steps.close()

    assert [done.messages for done in aging.run()] == [2, 1]
    assert all(aging.purged(entry) for entry in entries)


def test_what_is_released_while_a_run_is_made_goes_with_the_next(aging: Aging, monkeypatch: pytest.MonkeyPatch) -> None:
    held = aging.done()
    aging.pass_(DAY)  # so that it is looked at first
    others = [aging.done() for _ in range(4)]
    hold = aging.holds.place("message", held.arrival.id, by="lan", reason="vụ án 12")
    monkeypatch.setattr(module, "BATCH", 2)
    aging.pass_(CONTENT + DAY)
    steps = aging.retention.run(SCHEDULE, folder=aging.folder)
    assert next(steps).messages == 1  # of the first two one is held
    aging.holds.release(hold.id, by="lan", reason="kết thúc")
    list(steps)
    assert all(aging.purged(entry) for entry in others)

    aging.run()

    assert aging.purged(held)


def test_two_runs_are_not_made_at_once(aging: Aging) -> None:
    aging.done()
    aging.pass_(CONTENT + DAY)
    steps = aging.retention.run(SCHEDULE, folder=aging.folder)
    next(steps)

    with pytest.raises(Conflict) as refused:
        aging.run()

    assert refused.value.problems[0].text == "retention.under-way"
    steps.close()
    assert aging.run() == []


def test_turn_of_a_dead_run_ends_by_itself_and_it_does_nothing_more(aging: Aging) -> None:
    for _ in range(2):
        aging.done()
    aging.pass_(CONTENT + DAY)
    slow = aging.retention._begin(SCHEDULE, aging.folder)
    aging.pass_(module.TURN)
    assert [done.messages for done in aging.run()] == [2]

    with pytest.raises(Conflict):
        aging.retention._note(slow, module.Walk(stage="content", period=CONTENT), "x")


@pytest.mark.parametrize("after", ["the archive was begun", "the archive was written"])
def test_a_death_between_archive_and_purge_loses_nothing_and_leaves_nothing(
    aging: Aging, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    entry = aging.done()
    aging.pass_(CONTENT + DAY)
    write = archive.write_archive

    def dying(path: Path, data: bytes) -> None:
        if after == "the archive was written":
            write(path, data)
        raise DiedError

    monkeypatch.setattr(module, "write_archive", dying)
    with pytest.raises(DiedError):
        aging.run()
    assert not aging.purged(entry)
    monkeypatch.undo()
    aging.pass_(module.TURN)

    assert [done.messages for done in aging.run()] == [1]

    assert aging.purged(entry)
    assert [told["id"] for told in aging.opened().manifest["messages"]] == [entry.arrival.id]  # one archive, whole


def test_other_periods_make_every_message_be_looked_at_again(aging: Aging) -> None:
    entry = aging.done()
    aging.pass_(CONTENT - DAY)
    assert aging.run() == []

    assert [done.messages for done in aging.run(Schedule(otherwise=replace(PERIODS, content=DAY)))] == [1]
    assert aging.purged(entry)


def test_preview_counts_and_changes_nothing(aging: Aging) -> None:
    due, _, held = aging.done(), aging.accept(parties=(NSW,)), aging.done(reference="R2")
    aging.holds.place("dossier", "P1/R2/2026", by="lan", reason="x")
    aging.pass_(CONTENT + DAY)

    preview = aging.retention.preview(SCHEDULE)

    key = ("content", "P1")
    assert (preview.due[key], preview.open[key], preview.held[key]) == (1, 1, 1)
    assert preview.bytes > len(due.envelope.document.content)
    assert not aging.purged(due)
    assert not aging.purged(held)


# --- whatever happens ------------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.sampled_from(["accept", "deliver", "fail", "hold", "release", "replay", "run", "step", "day", "week"]), min_size=5, max_size=40
)


@pytest.mark.slow
@given(acts=ACTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_open_held_or_within_its_period_is_ever_purged(tmp_path_factory: pytest.TempPathFactory, acts: list[str]) -> None:
    place = tmp_path_factory.mktemp("store")
    upgrade(f"sqlite:///{place}/gateway.db")
    clock = Time()
    database = open_database(f"sqlite:///{place}/gateway.db", clock=clock)
    cipher = FileCipher(place / "keys", entropy=os.urandom)
    aging = Aging(database=database, payloads=Payloads(cipher=cipher), folder=place / "archive", clock=clock)
    entries: list[Entry] = []
    ends: list[Claim] = []
    holds: list[tuple[str, str]] = []

    for act in acts:
        if act == "accept":
            entries.append(aging.accept(reference=f"R{len(entries) % 3}"))
        elif act in ("deliver", "fail") and aging.queries.deliveries(state="queued").items:
            ends.append(aging.end(Delivered() if act == "deliver" else Failed(code="x", final=True)))
        elif act == "replay":
            for row in aging.queries.deliveries(state="dead").items[:1]:
                aging.staff.replay(row.id, by="lan")  # type: ignore[arg-type]
        elif act == "hold" and entries:
            hold = aging.holds.place("message", entries[len(holds) % len(entries)].arrival.id, by="lan", reason="x")
            holds.append((hold.id, hold.value))
        elif act == "release" and holds:
            aging.holds.release(holds.pop()[0], by="lan", reason="x")
        elif act in ("day", "week"):
            aging.pass_(DAY if act == "day" else 7 * DAY)
        elif act in ("run", "step"):
            protected = [e for e in entries if _protected(aging, e, {value for _, value in holds}) and not aging.purged(e)]
            steps = aging.retention.run(SCHEDULE, folder=aging.folder)
            list(steps) if act == "run" else next(steps, None)
            steps.close()
            assert [e.arrival.id for e in protected if aging.purged(e)] == []
    database.close()


def _protected(aging: Aging, entry: Entry, held: set[str]) -> bool:
    young = aging.clock() - entry.arrival.received_at <= CONTENT
    unended = any(row.due_at or row.state == "sending" for row in aging.queries.deliveries(message=entry.arrival.id).items)
    return young or unended or entry.arrival.id in held
