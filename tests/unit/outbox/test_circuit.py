"""Who may be sent to, as the partners' answers and their silence decide; time is a number that the tests move."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.lifecycle import Deferred, Delivered, Failed
from gateway.model import Identity, Limits, Party, PartyCode, Window
from gateway.outbox.circuit import AWAY, FAR, LONG_PROBE, OPEN_AFTER, PATIENCE, PROBE_EVERY, Carried, Circuits, Standing
from gateway.transport.http import TEXTS

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLACES = 8


def party(code: str, concurrency: int = 4) -> Party:
    identity = Identity(name=code, identity=code, country="VN", ministry="", organization="")
    return Party(code=PartyCode(code), identity=identity, limits=Limits(concurrency=concurrency))


A, B = party("A"), party("B", concurrency=2)
DELIVERED = Carried(outcome=Delivered(), heard=True)
GONE = Carried(outcome=Failed(code="refused"), heard=False)
TIMEOUT = Carried(outcome=Failed(code="timeout"), heard=False)
GARBAGE = Carried(outcome=Failed(code="reply-unreadable"), heard=True)
DEFECT = Carried(outcome=Failed(code="defect"), heard=False)
NO_ADDRESS = Carried(outcome=Deferred(for_=timedelta(seconds=10)), heard=False)


def go(circuits: Circuits, carried: Carried | None, *, probe: bool = False, now: datetime = NOW, took: timedelta = timedelta()) -> bool:
    turn = circuits.begun(A, probe=probe, now=now)
    return circuits.ended(turn, carried and replace(carried, took=took), now=now + took)


def fail(circuits: Circuits, times: int = OPEN_AFTER) -> None:
    for _ in range(times):
        go(circuits, GONE)


def room(
    circuits: Circuits, *parties: Party, places: int = PLACES, now: datetime = NOW
) -> tuple[dict[PartyCode, int], frozenset[PartyCode]]:
    return circuits.room(parties, places=places, now=now)


class Asked:
    """A delivery whose request is at the partner until it is answered."""

    def __init__(self, circuits: Circuits, to: Party = A, *, now: datetime = NOW) -> None:
        self.now = now
        self.turn = circuits.begun(to, probe=False, now=now)
        self._circuits = circuits
        self._asking = circuits.asking(self.turn, lambda: self.now)
        self._asking.__enter__()

    def answered(self, *, now: datetime) -> None:
        self.now = now
        self._asking.__exit__(None, None, None)

    def ended(self, carried: Carried, *, now: datetime) -> bool:
        self.answered(now=now)
        return self._circuits.ended(self.turn, carried, now=now)


def hang(circuits: Circuits, times: int, now: datetime = NOW) -> list[Asked]:
    return [Asked(circuits, now=now) for _ in range(times)]


# --- places ----------------------------------------------------------------------------------------------------------


def test_free_places_are_dealt_out_fairly() -> None:
    slots, probes = room(Circuits(), A, B, places=5)

    assert slots == {"A": 3, "B": 2}
    assert not probes


def test_party_never_gets_more_than_its_concurrency() -> None:
    circuits = Circuits()
    hang(circuits, 3)

    assert room(circuits, A, places=10)[0] == {"A": 1}


def test_second_place_is_dealt_only_while_others_that_hold_none_can_still_have_one() -> None:
    circuits, others = Circuits(), [party("C"), party("D")]
    room(circuits, A, *others)
    hang(circuits, 1)

    assert room(circuits, A, places=5)[0] == {"A": 2}
    assert room(circuits, A, places=3)[0] == {"A": 1}


def test_many_partners_that_hold_none_keep_no_more_than_half_of_the_places() -> None:
    circuits, others = Circuits(), [party(f"P{n}") for n in range(50)]
    room(circuits, A, *others)

    assert room(circuits, A)[0] == {"A": 4}


def test_free_place_goes_to_the_partner_that_holds_fewest() -> None:
    circuits = Circuits()
    hang(circuits, 1)

    assert room(circuits, A, B, places=2)[0] == {"B": 1}


def test_of_equals_the_one_served_longest_ago_comes_first() -> None:
    circuits = Circuits()
    go(circuits, DELIVERED)

    assert room(circuits, A, B, places=1)[0] == {"B": 1}


# --- failures in a row -------------------------------------------------------------------------------------------------


def test_circuit_opens_after_failures_in_a_row_and_leaves_others_alone() -> None:
    circuits = Circuits()
    fail(circuits)

    assert room(circuits, A, B) == ({"B": 2}, frozenset())


def test_success_in_between_keeps_it_closed() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER - 1)
    go(circuits, DELIVERED)
    fail(circuits, OPEN_AFTER - 1)

    assert "A" in room(circuits, A)[0]


@pytest.mark.parametrize("carried", [DEFECT, GARBAGE, Carried(outcome=Failed(code="party-gone"), heard=False)])
def test_our_defects_and_one_messages_failures_say_nothing_about_the_partner(carried: Carried) -> None:
    circuits = Circuits()
    for _ in range(OPEN_AFTER * 2):
        go(circuits, carried)

    assert not circuits.open()


def test_what_says_that_a_partner_is_away_are_texts_of_the_transport_or_status_codes() -> None:
    known = {text.partition(".")[2] for text in TEXTS.values()} | {"other"}

    assert {code for code in AWAY if not code.startswith("http-")} <= known


# --- silence -----------------------------------------------------------------------------------------------------------


def test_silence_opens_a_circuit_long_before_requests_time_out() -> None:
    circuits = Circuits()
    hang(circuits, 2)

    assert "A" in room(circuits, A, now=NOW + PATIENCE)[0]
    assert "A" not in room(circuits, A, now=NOW + PATIENCE + SECOND)[0]
    assert "A" in circuits.open()


def test_what_hangs_gives_its_places_to_others() -> None:
    circuits = Circuits()
    hang(circuits, 4)

    slots, _ = room(circuits, A, party("C", 8), now=NOW + PATIENCE + SECOND)

    assert slots == {"C": PLACES}


def test_places_end_where_all_threads_hang() -> None:
    circuits = Circuits()
    for code in ("C", "D", "E"):
        for _ in range(5):
            Asked(circuits, party(code))

    slots, probes = room(circuits, B, places=8, now=NOW + PATIENCE + SECOND)  # 15 of 16 threads hang

    assert (slots, probes) == ({"B": 1}, frozenset())


def test_one_answer_among_those_under_way_is_no_silence() -> None:
    circuits = Circuits()
    first, *_ = hang(circuits, 3)
    first.ended(DELIVERED, now=NOW + PATIENCE)

    assert "A" in room(circuits, A, now=NOW + PATIENCE + SECOND)[0]


def test_answer_of_what_hung_closes_the_circuit() -> None:
    circuits = Circuits()
    first, *_ = hang(circuits, 3)
    room(circuits, A, now=NOW + 4 * SECOND)

    assert first.ended(DELIVERED, now=NOW + 5 * SECOND)
    assert not circuits.open()


def test_time_without_requests_is_no_silence() -> None:
    circuits = Circuits()
    go(circuits, DELIVERED)
    hang(circuits, 1, now=NOW + timedelta(hours=1))

    assert "A" in room(circuits, A, now=NOW + timedelta(hours=1, seconds=1))[0]


def test_answer_whose_end_waits_for_the_database_is_no_silence() -> None:
    circuits = Circuits()
    (asked,) = hang(circuits, 1)
    asked.answered(now=NOW + SECOND)  # and its end is being written, for as long as the database is away

    assert room(circuits, A, now=NOW + 15 * SECOND)[0] == {"A": 3}
    assert not circuits.open()


def test_time_that_the_database_took_makes_no_partner_a_slow_one() -> None:
    circuits = Circuits()
    (asked,) = hang(circuits, 1)
    asked.answered(now=NOW + SECOND)
    circuits.ended(asked.turn, replace(DELIVERED, took=SECOND), now=NOW + 20 * SECOND)
    hang(circuits, 1, now=NOW + 30 * SECOND)

    assert "A" not in room(circuits, A, now=NOW + 30 * SECOND + PATIENCE + SECOND)[0]


def test_delivery_whose_note_waits_for_the_database_is_no_silence() -> None:
    circuits = Circuits()
    circuits.begun(A, probe=False, now=NOW)

    assert "A" in room(circuits, A, now=NOW + 15 * SECOND)[0]


def test_partner_that_always_takes_its_time_is_given_it() -> None:
    circuits = Circuits()
    go(circuits, DELIVERED, took=8 * SECOND)
    hang(circuits, 1)

    assert "A" in room(circuits, A, now=NOW + 16 * SECOND)[0]
    assert "A" not in room(circuits, A, now=NOW + 17 * SECOND)[0]


def test_one_slow_answer_is_soon_forgotten() -> None:
    circuits = Circuits()
    go(circuits, DELIVERED, took=8 * SECOND)
    for _ in range(20):
        go(circuits, DELIVERED)
    hang(circuits, 1)

    assert "A" not in room(circuits, A, now=NOW + PATIENCE + SECOND)[0]


# --- probes ------------------------------------------------------------------------------------------------------------


def test_open_circuit_is_probed_once_at_a_time() -> None:
    circuits = Circuits()
    fail(circuits)
    later = NOW + PROBE_EVERY

    assert room(circuits, A, now=later) == ({}, frozenset({A.code}))
    circuits.begun(A, probe=True, now=later)
    assert room(circuits, A, now=later + PROBE_EVERY) == ({}, frozenset())


def test_probe_has_a_short_time_and_each_fifth_all_there_is() -> None:
    circuits = Circuits()
    fail(circuits)

    limits = []
    for n in range(LONG_PROBE):
        turn = circuits.begun(A, probe=True, now=NOW + n * PATIENCE)
        limits.append(turn.within)
        circuits.ended(turn, TIMEOUT, now=NOW + (n + 1) * PATIENCE)

    assert limits == [PATIENCE] * (LONG_PROBE - 1) + [None]


def test_long_probe_does_not_hold_up_the_next() -> None:
    circuits = Circuits()
    fail(circuits)
    for _ in range(LONG_PROBE - 1):
        go(circuits, GONE, probe=True)
    circuits.begun(A, probe=True, now=NOW)

    assert room(circuits, A, now=NOW + PROBE_EVERY)[1] == {A.code}


def test_probe_of_a_slow_partner_has_twice_its_time() -> None:
    circuits = Circuits()
    go(circuits, DELIVERED, took=4 * SECOND)
    fail(circuits)

    assert circuits.begun(A, probe=True, now=NOW).within == 8 * SECOND


def test_end_of_an_earlier_delivery_does_not_begin_a_second_probe() -> None:
    circuits = Circuits()
    (earlier,) = hang(circuits, 1)
    fail(circuits)
    circuits.begun(A, probe=True, now=NOW)

    earlier.ended(GONE, now=NOW)

    assert room(circuits, A, now=NOW + PROBE_EVERY)[1] == frozenset()


def test_failed_probe_leaves_it_open_for_another_while() -> None:
    circuits = Circuits()
    fail(circuits)

    assert not go(circuits, GONE, probe=True, now=NOW + PROBE_EVERY)
    assert circuits.open() == {"A": NOW + 2 * PROBE_EVERY}


def test_successful_probe_says_that_the_partner_came_back() -> None:
    circuits = Circuits()
    fail(circuits)

    assert go(circuits, DELIVERED, probe=True, now=NOW + PROBE_EVERY)
    assert room(circuits, A)[0] == {"A": 4}


def test_any_answer_to_a_probe_closes_the_circuit_but_hurries_nothing_that_would_fail_too() -> None:
    circuits = Circuits()
    fail(circuits)

    assert not go(circuits, GARBAGE, probe=True, now=NOW + PROBE_EVERY)
    assert not circuits.open()


@pytest.mark.parametrize("nothing_learnt", [DEFECT, NO_ADDRESS, None])
def test_probe_that_says_nothing_is_not_repeated_at_once(nothing_learnt: Carried | None) -> None:
    circuits = Circuits()
    fail(circuits)
    later = NOW + PROBE_EVERY

    assert not go(circuits, nothing_learnt, probe=True, now=later)
    assert circuits.open() == {"A": later + PROBE_EVERY}
    assert room(circuits, A, now=later) == ({}, frozenset())


def test_probe_without_a_message_is_looked_for_again_a_little_later() -> None:
    circuits = Circuits()
    fail(circuits)
    later = NOW + PROBE_EVERY

    circuits.skipped([A.code], now=later)

    assert not room(circuits, A, now=later)[1]
    assert room(circuits, A, now=later + SECOND)[1] == {A.code}


def test_recovery_is_seen_within_five_seconds_whatever_the_probe_under_way() -> None:
    assert max(PATIENCE, PROBE_EVERY) < timedelta(seconds=5)


def test_probes_take_no_place_from_deliveries() -> None:
    circuits, away = Circuits(), [party(f"P{n}") for n in range(20)]
    for each in away:
        for _ in range(OPEN_AFTER):
            circuits.ended(circuits.begun(each, probe=False, now=NOW), GONE, now=NOW)

    slots, probes = room(circuits, *away, party("C", 20), now=NOW + PROBE_EVERY)

    assert (slots, len(probes)) == ({"C": PLACES}, PLACES)


def test_clock_set_back_leaves_no_partner_alone_for_long() -> None:
    circuits = Circuits()
    fail(circuits)

    assert room(circuits, A, now=NOW - FAR)[1] == {A.code}


# --- pauses and rates ----------------------------------------------------------------------------------------------------


def test_party_in_its_maintenance_window_gets_nothing_and_goes_on_at_the_end() -> None:
    away = replace(A, maintenance=(Window(start=NOW, until=NOW + timedelta(hours=1)),))

    assert room(Circuits(), away, B)[0] == {"B": 2}
    assert room(Circuits(), away, now=NOW + timedelta(hours=1))[0] == {"A": 4}


def test_party_that_staff_paused_gets_nothing_not_even_a_probe() -> None:
    circuits = Circuits()
    fail(circuits)
    circuits.exchange(lambda _: None)
    circuits.exchange(lambda _: [Standing(party=A.code, probe_at=NOW, paused_until=NOW + timedelta(hours=1))])

    assert room(circuits, A, now=NOW + PROBE_EVERY) == ({}, frozenset())
    assert room(circuits, A, now=NOW + timedelta(hours=1))[1] == {A.code}


def test_next_turn_is_the_next_probe_or_what_a_rate_allows() -> None:
    circuits = Circuits()
    assert circuits.next_turn(NOW) is None

    fail(circuits)
    assert circuits.next_turn(NOW) == NOW + PROBE_EVERY

    circuits.begun(replace(B, limits=Limits(per_minute=30)), probe=False, now=NOW - SECOND)
    assert circuits.next_turn(NOW) == NOW + SECOND


def test_turn_that_has_come_and_is_not_taken_is_no_reason_to_look_again() -> None:
    circuits = Circuits()
    fail(circuits)

    assert circuits.next_turn(NOW + PROBE_EVERY) is None


# --- other processes -----------------------------------------------------------------------------------------------------


class Told:
    """What processes share, as a function that remembers what it was told."""

    def __init__(self, *standings: Standing) -> None:
        self.standings = standings
        self.changes: list[Mapping[PartyCode, bool]] = []

    def __call__(self, changed: Mapping[PartyCode, bool]) -> Iterable[Standing]:
        self.changes.append(changed)
        return self.standings


def test_what_changes_is_told_once() -> None:
    circuits, told = Circuits(), Told(Standing(party=A.code, probe_at=NOW + PROBE_EVERY))
    fail(circuits)
    circuits.exchange(told)
    circuits.exchange(told)
    go(circuits, DELIVERED)
    circuits.exchange(told)

    assert told.changes == [{"A": True}, {}, {"A": False}]


def test_process_learns_that_a_partner_is_away_and_that_it_came_back() -> None:
    circuits = Circuits()

    circuits.exchange(Told(Standing(party=A.code, probe_at=NOW + SECOND)))
    assert circuits.open() == {"A": NOW + SECOND}

    circuits.exchange(Told())
    assert not circuits.open()


def test_what_others_told_is_not_told_back() -> None:
    circuits = Circuits()
    circuits.exchange(Told(Standing(party=A.code, probe_at=NOW)))
    circuits.exchange(Told())

    assert circuits.exchange(Told()) == {}


def test_failures_in_a_row_are_counted_across_what_others_tell() -> None:
    circuits = Circuits()
    fail(circuits, OPEN_AFTER - 1)
    circuits.exchange(Told())
    fail(circuits, 1)

    assert "A" in circuits.open()


def test_circuit_that_opened_meanwhile_is_not_closed_by_old_news() -> None:
    circuits = Circuits()

    def tell(_changed: Mapping[PartyCode, bool]) -> Iterable[Standing]:
        fail(circuits)
        return []

    circuits.exchange(tell)

    assert "A" in circuits.open()
    assert circuits.exchange(Told()) == {"A": True}


def test_what_could_not_be_told_is_told_the_next_time() -> None:
    circuits = Circuits()
    fail(circuits)

    def away(_changed: Mapping[PartyCode, bool]) -> Iterable[Standing]:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))

    with pytest.raises(Unavailable):
        circuits.exchange(away)

    assert circuits.exchange(Told(Standing(party=A.code, probe_at=NOW))) == {"A": True}
