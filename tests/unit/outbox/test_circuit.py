from datetime import UTC, datetime, timedelta

import pytest

from gateway.lifecycle import Deferred, Delivered, Failed
from gateway.model import Identity, Limits, Party, PartyCode
from gateway.outbox.circuit import AWAY, OPEN_AFTER, PROBE_EVERY, Carried, Circuits
from gateway.transport.http import TEXTS

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def party(code: str, concurrency: int = 4) -> Party:
    identity = Identity(name=code, identity=code, country="VN", ministry="", organization="")
    return Party(code=PartyCode(code), identity=identity, limits=Limits(concurrency=concurrency))


A, B = party("A"), party("B", concurrency=2)
DELIVERED = Carried(outcome=Delivered(), heard=True)
GONE = Carried(outcome=Failed(code="refused"), heard=False)
GARBAGE = Carried(outcome=Failed(code="reply-unreadable"), heard=True)
DEFECT = Carried(outcome=Failed(code="defect"), heard=False)
NO_ADDRESS = Carried(outcome=Deferred(for_=timedelta(seconds=10)), heard=False)


def go(circuits: Circuits, carried: Carried | None, *, probe: bool = False, now: datetime = NOW) -> bool:
    circuits.begun(A.code, probe=probe)
    return circuits.ended(A.code, carried, probe=probe, now=now)


def fail(circuits: Circuits, times: int) -> None:
    for _ in range(times):
        go(circuits, GONE)


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
    go(circuits, DELIVERED)
    fail(circuits, OPEN_AFTER - 1)

    assert "A" in circuits.room([A], free=8, now=NOW)[0]


def test_open_circuit_is_probed_once_at_a_time() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)
    later = NOW + PROBE_EVERY

    assert circuits.room([A], free=8, now=later) == ({}, frozenset({A.code}))
    circuits.begun(A.code, probe=True)
    assert circuits.room([A], free=8, now=later) == ({}, frozenset())


def test_end_of_an_earlier_delivery_does_not_begin_a_second_probe() -> None:
    circuits = Circuits()
    circuits.begun(A.code, probe=False)
    fail(circuits, OPEN_AFTER)
    circuits.begun(A.code, probe=True)

    circuits.ended(A.code, GONE, probe=False, now=NOW)

    assert circuits.room([A], free=8, now=NOW + timedelta(hours=1)) == ({}, frozenset())


def test_failed_probe_leaves_it_open_for_another_while() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)

    assert not go(circuits, GONE, probe=True, now=NOW + PROBE_EVERY)
    assert circuits.open() == {"A": NOW + 2 * PROBE_EVERY}


def test_successful_probe_says_that_the_partner_came_back() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)

    assert go(circuits, DELIVERED, probe=True, now=NOW + PROBE_EVERY)
    assert circuits.room([A], free=8, now=NOW)[0] == {"A": 4}


def test_any_answer_to_a_probe_closes_the_circuit_but_hurries_nothing_that_would_fail_too() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)

    assert not go(circuits, GARBAGE, probe=True, now=NOW + PROBE_EVERY)
    assert not circuits.open()


@pytest.mark.parametrize("nothing_learnt", [DEFECT, NO_ADDRESS, None])
def test_probe_that_says_nothing_is_not_repeated_at_once(nothing_learnt: Carried | None) -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER)
    later = NOW + PROBE_EVERY

    assert not go(circuits, nothing_learnt, probe=True, now=later)
    assert circuits.open() == {"A": later + PROBE_EVERY}
    assert circuits.room([A], free=8, now=later) == ({}, frozenset())


@pytest.mark.parametrize("carried", [DEFECT, GARBAGE, Carried(outcome=Failed(code="party-gone"), heard=False)])
def test_our_defects_and_one_messages_failures_say_nothing_about_the_partner(carried: Carried) -> None:
    circuits = Circuits()
    for _ in range(OPEN_AFTER * 2):
        go(circuits, carried)

    assert not circuits.open()


def test_second_place_is_dealt_only_while_others_that_hold_none_can_still_have_one() -> None:
    circuits, others = Circuits(), [party("C"), party("D")]
    circuits.room([A, *others], free=8, now=NOW)
    circuits.begun(A.code, probe=False)

    assert circuits.room([A], free=4, now=NOW)[0] == {"A": 2}
    assert circuits.room([A], free=2, now=NOW)[0] == {"A": 1}


def test_many_partners_that_hold_none_keep_no_more_than_half_of_the_threads() -> None:
    circuits, others = Circuits(), [party(f"P{n}") for n in range(50)]
    circuits.room([A, *others], free=8, now=NOW)

    assert circuits.room([A], free=8, now=NOW)[0] == {"A": 4}


def test_free_place_goes_to_the_partner_that_holds_fewest() -> None:
    circuits = Circuits()
    circuits.begun(A.code, probe=False)

    assert circuits.room([A, B], free=1, now=NOW)[0] == {"B": 1}


def test_of_equals_the_one_served_longest_ago_comes_first() -> None:
    circuits = Circuits()
    go(circuits, DELIVERED)

    assert circuits.room([A, B], free=1, now=NOW)[0] == {"B": 1}


def test_what_says_that_a_partner_is_away_are_texts_of_the_transport_or_status_codes() -> None:
    known = {text.partition(".")[2] for text in TEXTS.values()} | {"other"}

    assert {code for code in AWAY if not code.startswith("http-")} <= known


def test_probe_comes_soon_enough_for_the_promise_of_five_seconds() -> None:
    assert timedelta(seconds=5) >= 2 * PROBE_EVERY
