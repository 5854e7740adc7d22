"""The threads that keep deliveries going, over the outbox in memory and partners that are functions."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.errors import Code, Problem, StaleClaim, Unavailable
from gateway.lifecycle import Delivered, Failed, State, next_step
from gateway.model import DeliveryId, Identity, Limits, MessageId, Party, PartyCode, RetryPolicy
from gateway.outbox.circuit import OPEN_AFTER, PATIENCE, Carried, Circuits, Exchange, Standing
from gateway.outbox.memory import MemoryOutbox, Row
from gateway.outbox.workers import Bell, Workers, alone
from gateway.ports import Claim

POLICY = RetryPolicy(first=timedelta(seconds=30))
PATIENCE_SECONDS = 5.0  # seconds until a test gives up; nothing here needs one


def party(code: str, concurrency: int = 4) -> Party:
    identity = Identity(name=code, identity=code, country="VN", ministry="", organization="")
    return Party(code=PartyCode(code), identity=identity, limits=Limits(concurrency=concurrency))


@dataclass
class Crew:
    """Workers over an outbox in memory; `carry` says what becomes of each claim."""

    parties: list[Party]
    carry: Callable[[Claim, bool], Carried]
    threads: int = 8
    events: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    carried: list[Claim] = field(default_factory=list)
    limits: list[timedelta | None] = field(default_factory=list)  # the time each had
    numbers: Iterator[int] = field(default_factory=itertools.count)
    exchange: Exchange = alone

    def __post_init__(self) -> None:
        self.bell = Bell()
        self.circuits = Circuits()
        self.outbox = MemoryOutbox(clock=now, entropy=lambda n: next(self.numbers).to_bytes(n), wake=self.bell.ring)

    def owe(self, code: str, count: int = 1, *, due_in: timedelta = timedelta(), ring: bool = True) -> None:
        """Add deliveries that are due, and wake the workers."""
        for _ in range(count):
            delivery, due_at = DeliveryId(f"{code}-{next(self.numbers)}"), now() + due_in
            row = Row(
                id=delivery, message=MessageId("m"), party=PartyCode(code), route="r", state=State.QUEUED, due_at=due_at, dossier=None
            )
            self.outbox.shelf.rows[delivery] = row
        if ring:
            self.bell.ring()

    def states(self, code: str) -> list[State]:
        return [row.state for row in self.outbox.shelf.rows.values() if row.party == code]

    @contextmanager
    def working(self) -> Iterator["Crew"]:
        workers = Workers(
            carry=self._carry,
            outbox=self.outbox,
            circuits=self.circuits,
            parties=lambda: self.parties,
            clock=now,
            watch=lambda event, fields: self.events.append((event, fields)),
            bell=self.bell,
            threads=self.threads,
            exchange=self.exchange,
        )
        workers.start()
        try:
            yield self
        finally:
            workers.stop()

    def _carry(self, claim: Claim, *, probe: bool, within: timedelta | None, asking: AbstractContextManager[None]) -> Carried:
        self.carried.append(claim)
        self.limits.append(within)
        asked_at = now()
        with asking:
            carried = self.carry(claim, probe)
        carried = replace(carried, took=now() - asked_at)
        step = next_step(claim.state, carried.outcome, attempt=claim.attempt, policy=POLICY, now=now(), key=claim.delivery)
        self.outbox.settle(claim, step, carried.outcome, None)
        return carried


def now() -> datetime:
    return datetime.now(UTC)


def until(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < deadline, f"not seen: {what}"
        time.sleep(0.005)


@pytest.fixture
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.outbox.circuit.PROBE_EVERY", timedelta(seconds=0.1))
    monkeypatch.setattr("gateway.outbox.workers.LOOK_SECONDS", 0.1)


def deliver(_claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
    return Carried(outcome=Delivered(), heard=True)


def test_due_deliveries_are_carried_as_soon_as_they_are_told_of() -> None:
    with Crew([party("A")], deliver).working() as crew:
        crew.owe("A", 20)

        until(lambda: crew.states("A") == [State.DELIVERED] * 20, "20 delivered")

    assert len({claim.delivery for claim in crew.carried}) == len(crew.carried) == 20


def test_a_single_thread_serves_every_partner() -> None:
    parties = [party("A"), party("B"), party("C")]
    with Crew(parties, deliver, threads=1).working() as crew:
        crew.owe("C", 3)

        until(lambda: crew.states("C") == [State.DELIVERED] * 3, "3 delivered to the last partner")

    assert [claim.party for claim in crew.carried] == ["C"] * 3


@pytest.mark.parametrize("parties", [[party("A")], [party("A"), party("B"), party("C")]])
def test_workers_with_nothing_to_do_hardly_ask(parties: list[Party], monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew(parties, deliver)
    asked = itertools.count()
    monkeypatch.setattr(crew.outbox, "claim", lambda *_, **__: [][next(asked) :])
    with crew.working():
        crew.bell.ring()
        time.sleep(0.2)

    assert next(asked) < 20  # one that spins asks thousands of times


def test_a_busy_partner_leaves_the_next_free_thread_to_another() -> None:
    parties = [party("A"), party("B")]
    with Crew(parties, deliver, threads=1).working() as crew:
        crew.owe("A", 30)
        crew.owe("B")

        until(lambda: crew.states("B") == [State.DELIVERED], "the one delivery to B")
        served = [claim.party for claim in crew.carried]
        until(lambda: crew.states("A") == [State.DELIVERED] * 30, "all of A")
        assert served.index(PartyCode("B")) < 29


def test_partners_that_hang_together_leave_a_thread_for_every_other() -> None:
    hanging = threading.Event()

    def carry(claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        if claim.party in ("A", "B"):
            hanging.wait(PATIENCE_SECONDS)
        return Carried(outcome=Delivered(), heard=True)

    parties = [party("A"), party("B"), party("C"), party("D")]
    with Crew(parties, carry, threads=8).working() as crew:
        crew.owe("A", 5)
        crew.owe("B", 5)
        until(lambda: len(crew.carried) == 6, "as many under way as may be")
        crew.owe("C", 4)
        crew.owe("D", 4)
        until(lambda: crew.states("C") + crew.states("D") == [State.DELIVERED] * 8, "the others served")
        assert len([claim for claim in crew.carried if claim.party in ("A", "B")]) == 6
        hanging.set()
        until(lambda: crew.states("A") + crew.states("B") == [State.DELIVERED] * 10, "the rest")


def test_a_defect_below_costs_no_partner_its_places() -> None:
    broken = itertools.count()

    def carry(_claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        if next(broken) < 8:
            raise RuntimeError("the log's disk is full")
        return Carried(outcome=Delivered(), heard=True)

    with Crew([party("A", concurrency=2)], carry).working() as crew:
        crew.owe("A", 12)

        until(lambda: crew.states("A").count(State.DELIVERED) == 4, "what came after the defects")
        assert [event for event, _ in crew.events].count("delivery.defect") == 8


@pytest.mark.parametrize("error", [StaleClaim, Unavailable])
def test_a_claim_that_could_not_be_settled_costs_no_partner_its_places(error: type[StaleClaim] | type[Unavailable]) -> None:
    failures = itertools.count()

    def carry(_claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        if next(failures) < 8:
            raise error(Code.UNAVAILABLE, Problem(text="store.away"))
        return Carried(outcome=Delivered(), heard=True)

    with Crew([party("A", concurrency=2)], carry).working() as crew:
        crew.owe("A", 12)

        until(lambda: crew.states("A").count(State.DELIVERED) == 4, "what came after the failures")
        assert [event for event, _ in crew.events].count("delivery.unsettled") == 8


def test_an_outbox_that_is_away_only_pauses_the_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew([party("A")], deliver)
    claim, failures = crew.outbox.claim, itertools.count()

    def flaky(slots: Mapping[PartyCode, int], **asked: Any) -> list[Claim]:
        if next(failures) == 0:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))
        return claim(slots, **asked)

    monkeypatch.setattr(crew.outbox, "claim", flaky)
    with crew.working():
        crew.owe("A")
        until(lambda: crew.states("A") == [State.DELIVERED], "delivered after the pause")

    assert ("delivery.paused", {"code": Code.UNAVAILABLE}) in crew.events


def test_a_defect_in_claiming_does_not_end_all_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew([party("A")], deliver)
    claim, failures = crew.outbox.claim, itertools.count()

    def broken(slots: Mapping[PartyCode, int], **asked: Any) -> list[Claim]:
        if next(failures) == 0:
            raise ValueError("a row nobody expected")
        return claim(slots, **asked)

    monkeypatch.setattr(crew.outbox, "claim", broken)
    with crew.working():
        crew.owe("A")
        until(lambda: crew.states("A") == [State.DELIVERED], "delivered after the defect")

    assert ("delivery.defect", {"defect": "ValueError"}) in crew.events


def test_stopping_waits_for_what_is_under_way_and_claims_no_more() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def carry(_claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        begun.set()
        go_on.wait(PATIENCE_SECONDS)
        return Carried(outcome=Delivered(), heard=True)

    crew = Crew([party("A", concurrency=1)], carry)
    with crew.working():
        crew.owe("A", 3)
        assert begun.wait(PATIENCE_SECONDS)
        threading.Timer(0.05, go_on.set).start()

    states = crew.states("A")
    assert states.count(State.DELIVERED) == len(crew.carried)
    assert State.SENDING not in states


@pytest.mark.usefixtures("quick_probes")
def test_a_partner_that_comes_back_gets_what_waits_at_once() -> None:
    up = threading.Event()

    def carry(_claim: Claim, probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        if up.is_set():
            return Carried(outcome=Delivered(), heard=True)
        up_later = OPEN_AFTER + 2 if probe else 0
        if up_later:
            up.set()
        return Carried(outcome=Failed(code="refused"), heard=False)

    with Crew([party("A")], carry).working() as crew:
        crew.owe("A", OPEN_AFTER)

        until(lambda: crew.states("A").count(State.RETRYING) == OPEN_AFTER, "all wait for half a minute")
        until(lambda: crew.states("A") == [State.DELIVERED] * OPEN_AFTER, "all delivered when it came back")

    assert len(crew.carried) == 2 * OPEN_AFTER + 1  # once in vain each, the probe, and once when it was back


# --- partners that hang ------------------------------------------------------------------------------------------------


def test_what_hangs_at_one_partner_gives_its_places_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.outbox.circuit.PATIENCE", timedelta(seconds=0.05))
    monkeypatch.setattr("gateway.outbox.workers.LOOK_SECONDS", 0.02)
    hanging, both = threading.Event(), threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def carry(claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        if claim.party == "A":
            hanging.wait(PATIENCE_SECONDS)
        else:
            both.wait()  # goes on only with another beside it: both places are the other partner's
        return Carried(outcome=Delivered(), heard=True)

    with Crew([party("A"), party("B")], carry, threads=2).working() as crew:
        crew.owe("A", 4)
        until(lambda: "A" in crew.circuits.open(), "the silence noticed")
        crew.owe("B", 4)
        until(lambda: crew.states("B") == [State.DELIVERED] * 4, "the other served, two at a time")
        hanging.set()
        until(lambda: crew.states("A") == [State.DELIVERED] * 4, "the one that hung, once it answers")

    assert not crew.circuits.open()


@pytest.mark.usefixtures("quick_probes")
def test_a_partner_that_is_away_is_asked_with_a_short_time() -> None:
    down = threading.Event()

    def carry(_claim: Claim, probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        if probe:
            down.set()
        return Carried(outcome=Delivered() if probe else Failed(code="timeout"), heard=probe)

    with Crew([party("A")], carry).working() as crew:
        crew.owe("A", OPEN_AFTER)
        until(down.is_set, "a probe")

    assert crew.limits[: OPEN_AFTER + 1] == [None] * OPEN_AFTER + [PATIENCE]


@pytest.mark.usefixtures("quick_probes")
def test_opening_and_closing_are_told_of() -> None:
    opened, closed = (("circuit.opened", {"party": "A"}), ("circuit.closed", {"party": "A"}))

    def carry(_claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        up = opened in crew.events
        return Carried(outcome=Delivered() if up else Failed(code="refused"), heard=up)

    crew = Crew([party("A")], carry)
    with crew.working():
        crew.owe("A", OPEN_AFTER)
        until(lambda: closed in crew.events, "the end of the outage")

    assert [event for event in crew.events if event in (opened, closed)] == [opened, closed]


# --- what is known elsewhere -------------------------------------------------------------------------------------------


def known(*standings: Standing) -> Exchange:
    return lambda _changed: standings


def test_a_restarted_process_leaves_alone_who_is_known_to_be_away() -> None:
    away = Standing(party=PartyCode("A"), probe_at=now() + timedelta(seconds=3))
    with Crew([party("A"), party("B")], deliver, exchange=known(away)).working() as crew:
        crew.owe("A", 3)
        crew.owe("B", 3)
        until(lambda: crew.states("B") == [State.DELIVERED] * 3, "the other")

    assert [claim.party for claim in crew.carried] == ["B"] * 3


def test_a_party_that_staff_paused_gets_nothing_until_they_resume() -> None:
    paused = [Standing(party=PartyCode("A"), paused_until=now() + timedelta(hours=1))]
    with Crew([party("A"), party("B")], deliver, exchange=lambda _: paused).working() as crew:
        crew.owe("A", 3)
        crew.owe("B", 3)
        until(lambda: crew.states("B") == [State.DELIVERED] * 3, "the other")
        before = crew.states("A")
        paused.clear()
        until(lambda: crew.states("A") == [State.DELIVERED] * 3, "what waited")

    assert before == [State.QUEUED] * 3


def test_processes_exchange_hardly_more_than_once_a_second_however_much_there_is_to_do() -> None:
    exchanges = itertools.count()
    with Crew([party("A")], deliver, exchange=lambda _: [][next(exchanges) :]).working() as crew:
        for _ in range(100):
            crew.owe("A")
        until(lambda: crew.states("A") == [State.DELIVERED] * 100, "all")

    assert next(exchanges) < 10


def test_an_exchange_that_fails_ends_nothing() -> None:
    def away(_changed: Mapping[PartyCode, bool]) -> None:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))

    with Crew([party("A")], deliver, exchange=away).working() as crew:
        crew.owe("A")
        until(lambda: crew.states("A") == [State.DELIVERED], "delivered all the same")

    assert ("delivery.paused", {"code": Code.UNAVAILABLE}) in crew.events


# --- sleeping ------------------------------------------------------------------------------------------------------------


def test_a_ring_is_enough_to_wake_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.outbox.workers.LOOK_SECONDS", 3600)
    with Crew([party("A")], deliver).working() as crew:
        for _ in range(20):
            crew.owe("A")
            until(lambda: set(crew.states("A")) == {State.DELIVERED}, "delivered, long before the next look")

    assert len(crew.carried) == 20


def test_what_becomes_due_is_carried_then_and_not_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.outbox.workers.LOOK_SECONDS", 3600)
    crew = Crew([party("A")], deliver)
    crew.owe("A", due_in=timedelta(seconds=0.2))
    due_at = now() + timedelta(seconds=0.15)  # or a little later
    with crew.working():
        until(lambda: crew.states("A") == [State.DELIVERED], "delivered when it was due")

    assert now() > due_at


def test_what_nobody_rings_for_is_noticed_at_the_next_look() -> None:
    with Crew([party("A")], deliver).working() as crew:
        crew.owe("A")
        until(lambda: crew.states("A") == [State.DELIVERED], "the first")
        crew.owe("A", ring=False)

        until(lambda: crew.states("A") == [State.DELIVERED] * 2, "noticed")

    assert len(crew.carried) == 2


def test_who_had_nothing_due_is_not_looked_after_until_somebody_rings_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.outbox.workers.LOOK_SECONDS", 3600)
    asked: list[set[str]] = []
    crew = Crew([party("A"), party("B")], deliver)
    claim = crew.outbox.claim

    def claimed(slots: Mapping[PartyCode, int], **rest: Any) -> list[Claim]:
        asked.append(set(slots))
        return claim(slots, **rest)

    monkeypatch.setattr(crew.outbox, "claim", claimed)
    with crew.working():
        until(lambda: asked, "both are looked after at the start")
        crew.owe("A", 3, ring=False)
        crew.bell.ring([PartyCode("A")])
        until(lambda: crew.states("A") == [State.DELIVERED] * 3, "delivered")
        later = asked[1:]
        crew.owe("B")
        until(lambda: crew.states("B") == [State.DELIVERED], "delivered to the other")

    assert asked[0] == {"A", "B"}
    assert set().union(*later) == {"A"}


# --- rates -----------------------------------------------------------------------------------------------------------------


def test_a_rate_holds_back_what_it_does_not_allow_and_nothing_else() -> None:
    slow = replace(party("A"), limits=Limits(per_minute=1))
    with Crew([slow, party("B")], deliver).working() as crew:
        crew.owe("A", 3)
        crew.owe("B", 10)
        until(lambda: crew.states("B") == [State.DELIVERED] * 10, "the other")
        until(lambda: State.DELIVERED in crew.states("A"), "the first")

    assert sorted(crew.states("A")) == [State.DELIVERED, State.QUEUED, State.QUEUED]


def test_a_rate_goes_on_as_soon_as_it_allows() -> None:
    with Crew([replace(party("A"), limits=Limits(per_minute=120))], deliver).working() as crew:
        crew.owe("A", 5)
        until(lambda: crew.states("A") == [State.DELIVERED] * 5, "three at once, the others by and by")

    assert len(crew.carried) == 5
