"""The threads that keep deliveries going, over the outbox in memory and partners that are functions."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Code, Problem, StaleClaim, Unavailable
from gateway.lifecycle import Delivered, Failed, State, next_step
from gateway.model import DeliveryId, Identity, Limits, MessageId, Party, PartyCode, RetryPolicy
from gateway.outbox.circuit import OPEN_AFTER, Carried, Circuits
from gateway.outbox.memory import MemoryOutbox, Row
from gateway.outbox.workers import Bell, Workers
from gateway.ports import Claim

POLICY = RetryPolicy(first=timedelta(seconds=30))
PATIENCE = 5.0  # seconds until a test gives up; nothing here needs one


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
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.bell = Bell()
        self.circuits = Circuits()
        self.outbox = MemoryOutbox(clock=now, entropy=lambda n: next(self.numbers).to_bytes(n), wake=self.bell.ring)

    def owe(self, code: str, count: int = 1) -> None:
        """Add deliveries that are due, and wake the workers."""
        for _ in range(count):
            delivery = DeliveryId(f"{code}-{next(self.numbers)}")
            row = Row(id=delivery, message=MessageId("m"), party=PartyCode(code), route="r", state=State.QUEUED, due_at=now(), dossier=None)
            self.outbox.shelf.rows[delivery] = row
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
        )
        workers.start()
        try:
            yield self
        finally:
            workers.stop()

    def _carry(self, claim: Claim, *, probe: bool) -> Carried:
        self.carried.append(claim)
        carried = self.carry(claim, probe)
        step = next_step(claim.state, carried.outcome, attempt=claim.attempt, policy=POLICY, now=now(), key=claim.delivery)
        self.outbox.settle(claim, step, carried.outcome, None)
        return carried


def now() -> datetime:
    return datetime.now(UTC)


def until(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, f"not seen: {what}"
        time.sleep(0.005)


def deliver(_claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
    return Carried(outcome=Delivered(), heard=True)


def test_due_deliveries_are_carried_as_soon_as_they_are_told_of() -> None:
    with Crew([party("A")], deliver).working() as crew:
        crew.owe("A", 20)

        until(lambda: crew.states("A") == [State.DELIVERED] * 20, "20 delivered")


def test_a_single_thread_serves_every_partner() -> None:
    parties = [party("A"), party("B"), party("C")]
    with Crew(parties, deliver, threads=1).working() as crew:
        crew.owe("C", 3)

        until(lambda: crew.states("C") == [State.DELIVERED] * 3, "3 delivered to the last partner")


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
            hanging.wait(PATIENCE)
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

    def flaky(slots: Mapping[PartyCode, int], *, probes: frozenset[PartyCode] = frozenset()) -> list[Claim]:
        if next(failures) == 0:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))
        return claim(slots, probes=probes)

    monkeypatch.setattr(crew.outbox, "claim", flaky)
    monkeypatch.setattr("gateway.outbox.workers.AWAY_SECONDS", 0.01)
    with crew.working():
        crew.owe("A")
        until(lambda: crew.states("A") == [State.DELIVERED], "delivered after the pause")

    assert ("delivery.paused", {"code": Code.UNAVAILABLE}) in crew.events


def test_a_defect_in_claiming_does_not_end_all_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew([party("A")], deliver)
    claim, failures = crew.outbox.claim, itertools.count()

    def broken(slots: Mapping[PartyCode, int], *, probes: frozenset[PartyCode] = frozenset()) -> list[Claim]:
        if next(failures) == 0:
            raise ValueError("a row nobody expected")
        return claim(slots, probes=probes)

    monkeypatch.setattr(crew.outbox, "claim", broken)
    monkeypatch.setattr("gateway.outbox.workers.AWAY_SECONDS", 0.01)
    with crew.working():
        crew.owe("A")
        until(lambda: crew.states("A") == [State.DELIVERED], "delivered after the defect")

    assert ("delivery.defect", {"defect": "ValueError"}) in crew.events


def test_stopping_waits_for_what_is_under_way_and_claims_no_more() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def carry(_claim: Claim, _probe: bool) -> Carried:  # noqa: FBT001  # a carry in a test
        begun.set()
        go_on.wait(PATIENCE)
        return Carried(outcome=Delivered(), heard=True)

    crew = Crew([party("A", concurrency=1)], carry)
    with crew.working():
        crew.owe("A", 3)
        assert begun.wait(PATIENCE)
        threading.Timer(0.05, go_on.set).start()

    states = crew.states("A")
    assert states.count(State.DELIVERED) == len(crew.carried)
    assert State.SENDING not in states


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
