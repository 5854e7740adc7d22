"""Legal holds: who, why, and on what."""

from dataclasses import replace

import pytest

from gateway.errors import Conflict, NotValid
from gateway.lifecycle import Delivered
from gateway.testing.aging import CONTENT, DAY, Aging
from gateway.testing.entries import START

# --- holds -----------------------------------------------------------------------------------------------------------------


def test_holds_are_listed_with_who_and_why(aging: Aging) -> None:
    aging.done()
    hold = aging.holds.place("party", "BNN", by="cli:lan", reason="thanh tra")
    aging.pass_(DAY)
    over = aging.holds.place("party", "NSW", by="cli:lan", reason="x")
    ended = aging.holds.release(over.id, by="cli:minh", reason="xong")

    assert aging.holds.listed() == (hold,)
    assert aging.holds.listed(released=True) == (hold, ended)
    assert (ended.released_by, ended.release_reason, ended.released_at) == ("cli:minh", "xong", START + DAY)


def test_holds_are_told_to_the_ledger_without_words(aging: Aging) -> None:
    entry = aging.done()
    hold = aging.holds.place("message", entry.arrival.id, by="lan", reason="Ông Nguyen Van A khởi kiện")
    aging.holds.release(hold.id, by="lan", reason="Ông A rút đơn")

    moments = aging.queries.timeline(entry.arrival.id)[-2:]

    assert [m.kind for m in moments] == ["hold.placed", "hold.released"]
    assert [(m.values["hold"], m.values["what"], m.values["by"]) for m in moments] == [(hold.id, "message", "lan")] * 2
    assert "Nguyen" not in str(moments)


def test_hold_is_released_once(aging: Aging) -> None:
    aging.done()
    hold = aging.holds.place("procedure", "P1", by="lan", reason="x")
    aging.holds.release(hold.id, by="lan", reason="x")

    with pytest.raises(Conflict):
        aging.holds.release(hold.id, by="lan", reason="x")
    with pytest.raises(NotValid):
        aging.holds.release("unknown", by="lan", reason="x")


@pytest.mark.parametrize("value", ["P1/R1/2025", "P1/R2/2026"])
def test_dossier_that_a_message_continues_is_held_and_its_own_too(aging: Aging, value: str) -> None:
    entry = aging.entry(reference="R2")
    subject = replace(entry.envelope.header.subject, previous="R1", previous_year="2025")
    header = replace(entry.envelope.header, subject=subject)
    aging.outbox.record(replace(entry, envelope=replace(entry.envelope, header=header)))
    aging.end(Delivered())
    aging.holds.place("dossier", value, by="lan", reason="x")
    aging.pass_(CONTENT + DAY)
    aging.run()

    assert not aging.purged(entry)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("message", "0198f3c2-6b20-7d01-8e77-000000000000"),
        ("party", "X"),
        ("procedure", "X"),
        ("dossier", "P1/R9/2026"),
        ("dossier", "P1/R1/2025"),  # of another year
        ("dossier", "P1/R1"),
        ("dossier", "x"),
    ],
)
def test_nothing_cannot_be_held(aging: Aging, kind: str, value: str) -> None:
    aging.done()

    with pytest.raises(NotValid) as refused:
        aging.holds.place(kind, value, by="lan", reason="x")  # type: ignore[arg-type]

    assert refused.value.problems[0].text == "retention.nothing-to-hold"
    assert aging.holds.listed() == ()
