from datetime import UTC, datetime, timedelta

import pytest

from gateway.lifecycle import Delivered, Failed
from gateway.model import Identity, Limits, Party, PartyCode
from gateway.outbox.circuit import OPEN_AFTER, PROBE_EVERY, Circuits

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def party(code: str, concurrency: int = 4) -> Party:
    identity = Identity(name=code, identity=code, country="VN", ministry="", organization="")
    return Party(code=PartyCode(code), identity=identity, limits=Limits(concurrency=concurrency))


A, B = party("A"), party("B", concurrency=2)


def fail(circuits: Circuits, times: int) -> None:
    for _ in range(times):
        circuits.begun(A.code, probe=False)
        circuits.ended(A.code, Failed(code="timeout"), now=NOW)


def test_free_threads_are_dealt_out_fairly() -> None:
    slots, probes = Circuits().room([A, B], free=5, now=NOW)

    assert slots == {"A": 3, "B": 2}
    assert not probes


def test_party_never_gets_more_than_its_concurrency() -> None:
    circuits = Circuits()
    for _ in range(3):
        circuits.begun(A.code, probe=False)

    assert circuits.room([A], free=10, now=NOW)[0] == {"A": 1}


def test_circuit_opens_after_failures_in_a_row_and_leaves_others_alone() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)

    slots, probes = circuits.room([A, B], free=8, now=NOW)

    assert slots == {"B": 2}
    assert not probes


def test_success_in_between_keeps_it_closed() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER - 1)
    circuits.begun(A.code, probe=False)
    circuits.ended(A.code, Delivered(), now=NOW)
    fail(circuits, OPEN_AFTER - 1)

    assert "A" in circuits.room([A], free=8, now=NOW)[0]


def test_open_circuit_is_probed_once_at_a_time() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)
    later = NOW + PROBE_EVERY

    assert circuits.room([A], free=8, now=later) == ({}, {"A"})
    circuits.begun(A.code, probe=True)
    assert circuits.room([A], free=8, now=later) == ({}, frozenset())


def test_failed_probe_leaves_it_open_for_another_while() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)
    circuits.begun(A.code, probe=True)

    assert not circuits.ended(A.code, Failed(code="refused"), now=NOW + PROBE_EVERY)
    assert circuits.open() == {"A": NOW + 2 * PROBE_EVERY}


def test_successful_probe_says_that_the_partner_came_back() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)
    circuits.begun(A.code, probe=True)

    assert circuits.ended(A.code, Delivered(), now=NOW + PROBE_EVERY)
    assert circuits.room([A], free=8, now=NOW)[0] == {"A": 4}


@pytest.mark.parametrize("code", ["defect", "reply-unreadable", "party-gone"])
def test_our_defects_and_one_messages_failures_say_nothing_about_the_partner(code: str) -> None:
    circuits = Circuits()
    for _ in range(OPEN_AFTER * 2):
        circuits.begun(A.code, probe=False)
        circuits.ended(A.code, Failed(code=code), now=NOW)

    assert not circuits.open()


def test_probe_comes_soon_enough_for_the_promise_of_five_seconds() -> None:
    assert timedelta(seconds=5) >= 2 * PROBE_EVERY
