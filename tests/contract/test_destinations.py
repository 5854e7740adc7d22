"""What processes share about destinations, over each database: who is away, whose turn it is to ask, what staff paused."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.errors import Conflict, NotValid
from gateway.lifecycle import NO_ADDRESS, Deferred, Failed, State, Step
from gateway.model import PartyCode, Request
from gateway.outbox.circuit import FAR, PROBE_EVERY, Standing
from gateway.outbox.destinations import Destinations, notices
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Claim, Database
from gateway.security.cipher import FileCipher
from gateway.store.tables import ATTEMPTS, LEDGER, OUTCOMES
from gateway.testing.entries import BNN, NSW, START, make_entry
from gateway.testing.settling import Time, claim_one, end

HOUR = timedelta(hours=1)


@pytest.fixture
def shared(database: Database, time: Time) -> Destinations:
    return Destinations(database, clock=time, wake=time.wake)


@pytest.fixture
def outbox(database: Database, time: Time, tmp_path: Path) -> SqlOutbox:
    outbox = SqlOutbox(database, Payloads(cipher=FileCipher(tmp_path / "keys", entropy=os.urandom)), clock=time, entropy=os.urandom)
    for n in range(8):
        outbox.record(make_entry(key=str(n).encode()))
    return outbox


def leaves(database: Database) -> list[dict[str, str]]:
    found = database.read(lambda tx: tx.rows(select(LEDGER.c.kind, LEDGER.c.leaf).order_by(LEDGER.c.id)))
    return [json.loads(leaf) for kind, leaf in found if kind.startswith("staff.")]


# --- circuits ----------------------------------------------------------------------------------------------------------


def test_nothing_is_known_at_first(shared: Destinations) -> None:
    assert shared.exchange({}) == ()


def test_open_circuit_is_known_to_all_with_the_next_probe(shared: Destinations, time: Time) -> None:
    assert shared.exchange({BNN: True}) == (Standing(party=BNN, open_since=START, probe_at=START + PROBE_EVERY),)

    time.pass_(HOUR)
    assert shared.exchange({BNN: True}) == shared.exchange({})
    assert [standing.open_since for standing in shared.standings()] == [START]


def test_closed_circuit_is_known_to_all(shared: Destinations) -> None:
    shared.exchange({BNN: True, NSW: True})

    known = shared.exchange({BNN: False})

    assert {standing.party: standing.probe_at is not None for standing in known} == {BNN: False, NSW: True}


def test_closing_what_nobody_knows_of_changes_nothing(shared: Destinations) -> None:
    assert shared.exchange({BNN: False}) == ()


def test_times_of_probes_are_told_by_the_clock_of_who_asks(database: Database, time: Time) -> None:
    behind = Destinations(database, clock=lambda: time() - HOUR)

    (standing,) = behind.exchange({BNN: True})

    assert standing.probe_at == START - HOUR + PROBE_EVERY


def test_one_process_probes_at_a_time(shared: Destinations, outbox: SqlOutbox, time: Time) -> None:
    shared.exchange({BNN: True})
    assert outbox.claim({}, probes=frozenset({BNN})) == []  # not yet

    time.pass_(PROBE_EVERY)
    assert len(outbox.claim({}, probes=frozenset({BNN}))) == 1
    assert outbox.claim({}, probes=frozenset({BNN})) == []

    time.pass_(PROBE_EVERY)
    assert len(outbox.claim({}, probes=frozenset({BNN}))) == 1


def test_of_many_that_want_to_probe_at_once_one_does(shared: Destinations, outbox: SqlOutbox, time: Time) -> None:
    shared.exchange({BNN: True})
    time.pass_(PROBE_EVERY)
    claims: list[Claim] = []
    threads = [threading.Thread(target=lambda: claims.extend(outbox.claim({}, probes=frozenset({BNN})))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claims) == 1


def test_turn_is_not_taken_where_there_is_no_message_to_ask_with(shared: Destinations, outbox: SqlOutbox, time: Time) -> None:
    shared.exchange({NSW: True})
    time.pass_(PROBE_EVERY)

    assert outbox.claim({}, probes=frozenset({NSW})) == []
    assert [standing.probe_at for standing in shared.standings()] == [START + PROBE_EVERY]


def test_circuit_that_no_other_process_knows_of_is_probed_all_the_same(outbox: SqlOutbox) -> None:
    assert len(outbox.claim({}, probes=frozenset({BNN}))) == 1


def test_clock_set_back_does_not_put_the_next_probe_off(shared: Destinations, outbox: SqlOutbox, time: Time) -> None:
    shared.exchange({BNN: True})
    end(outbox, claim_one(outbox), Deferred(for_=-2 * FAR), time)  # something that is due then, too

    time.pass_(-FAR)

    assert len(outbox.claim({}, probes=frozenset({BNN}))) == 1


def test_clock_set_back_does_not_stop_what_a_rate_allows(outbox: SqlOutbox, time: Time) -> None:
    end(outbox, claim_one(outbox), Deferred(for_=-2 * HOUR), time)
    outbox.claim({BNN: 1}, rates={BNN: 1})
    end(outbox, claim_one(outbox), Deferred(for_=-2 * HOUR), time)

    time.pass_(-HOUR)

    assert len(outbox.claim({BNN: 5}, rates={BNN: 1})) == 1


# --- pauses ------------------------------------------------------------------------------------------------------------


def test_pause_is_known_to_all_until_it_is_lifted(shared: Destinations, time: Time) -> None:
    shared.pause(BNN, until=START + HOUR, by="cli:lan", reason="nâng cấp")
    assert shared.exchange({}) == (Standing(party=BNN, paused_until=START + HOUR, paused_by="cli:lan", reason="nâng cấp"),)

    shared.resume(BNN, by="cli:minh")
    assert shared.exchange({}) == (Standing(party=BNN),)
    assert len(time.wakes) == 2


def test_later_pause_replaces_an_earlier_one(shared: Destinations) -> None:
    for hours in (2, 1):
        shared.pause(BNN, until=START + hours * HOUR, by="lan", reason="x")

    assert [standing.paused_until for standing in shared.standings()] == [START + HOUR]


def test_pause_leaves_an_open_circuit_as_it_is(shared: Destinations) -> None:
    shared.exchange({BNN: True})

    shared.pause(BNN, until=START + HOUR, by="lan", reason="x")

    assert [standing.probe_at for standing in shared.standings()] == [START + PROBE_EVERY]


def test_pause_that_is_over_already_is_refused(shared: Destinations, database: Database) -> None:
    with pytest.raises(NotValid) as refused:
        shared.pause(BNN, until=START, by="lan", reason="x")

    assert refused.value.problems[0].text == "outbox.pause-past"
    assert (shared.standings(), leaves(database)) == ((), [])


def test_pause_without_end_can_be_told_in_every_zone(shared: Destinations) -> None:
    shared.pause(BNN, until=datetime.max.replace(tzinfo=UTC), by="lan", reason="x")

    party = make_entry(parties=(BNN,)).routes[0].party
    (told,) = notices([party], shared.standings(), cause=shared.cause, now=START, zone=timezone(14 * HOUR))

    assert told.text == "outbox.party-paused"
    assert told.values["until"].startswith("9999-")


def test_parties_that_are_away_or_paused_are_told_of_in_the_gateways_zone() -> None:
    found = [make_entry(parties=(PartyCode(code),)).routes[0].party for code in ("A", "B", "C")]
    parties = [replace(party, endpoint="https://gw:secret@a.vn:8443/ws") for party in found]
    known = [
        Standing(party=PartyCode("A"), open_since=START, probe_at=START),
        Standing(party=PartyCode("B"), open_since=START, probe_at=START, paused_until=START + HOUR),
    ]

    told = notices(parties, known, cause=lambda _: "refused", now=START, zone=timezone(7 * HOUR))

    assert [(problem.text, dict(problem.values)) for problem in told] == [
        ("outbox.party-away", {"party": "A", "since": "2026-11-21 15:00:00", "host": "a.vn:8443", "cause": "refused"}),
        ("outbox.party-paused", {"party": "B", "until": "2026-11-21 16:00"}),
    ]


def test_party_without_an_address_is_told_of_while_something_waits_for_one(shared: Destinations, outbox: SqlOutbox, time: Time) -> None:
    party = replace(make_entry(parties=(BNN,)).routes[0].party, adapter="ministry", endpoint="")

    def told() -> list[tuple[str, str | None]]:
        found = notices([party], shared.standings(), cause=shared.cause, now=time(), zone=UTC)
        return [(problem.text, problem.path) for problem in found]

    before = told()
    claim = claim_one(outbox)
    outbox.settle(claim, Step(to=State.RETRYING, due_at=time() + HOUR, counts=False, reason=NO_ADDRESS), Deferred(for_=HOUR), None)

    assert (before, told()) == ([], [("cause.no-address", "endpoints.toml")])


def test_cause_is_that_of_what_was_tried_among_what_waits(shared: Destinations, outbox: SqlOutbox, time: Time) -> None:
    assert (shared.cause(BNN), shared.cause(NSW)) == ("", "")

    outbox.settle(
        claim_one(outbox), Step(to=State.RETRYING, due_at=time() + HOUR, counts=False, reason="refused"), Failed(code="refused"), None
    )

    assert (shared.cause(BNN), shared.cause(NSW)) == ("refused", "")


def test_partner_that_stays_away_is_told_of_once_and_costs_one_row(database: Database, outbox: SqlOutbox, time: Time) -> None:
    for _ in range(3):
        (claim,) = outbox.claim({}, probes=frozenset({BNN}))
        outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
        step = Step(to=State.RETRYING, due_at=time() - HOUR, counts=False, reason="refused")
        outbox.settle(claim, step, Failed(code="refused"), None)

    kinds = [kind for (kind,) in database.read(lambda tx: tx.rows(select(LEDGER.c.kind)))]
    kept = database.read(lambda tx: [len(tx.rows(select(table.c.token))) for table in (ATTEMPTS, OUTCOMES)])
    assert (kinds.count("delivery.sending"), kinds.count("delivery.settled"), kept) == (3, 1, [1, 1])


def nothing(_shared: Destinations, _time: Time) -> None:
    """Pause nobody."""


def paused_earlier(shared: Destinations, time: Time) -> None:
    shared.pause(BNN, until=START + HOUR, by="lan", reason="x")
    time.pass_(HOUR)


@pytest.mark.parametrize("before", [nothing, paused_earlier])
def test_party_that_is_not_paused_cannot_be_resumed(
    shared: Destinations, time: Time, database: Database, before: Callable[[Destinations, Time], None]
) -> None:
    before(shared, time)

    with pytest.raises(Conflict) as refused:
        shared.resume(BNN, by="lan")

    assert refused.value.problems[0].text == "outbox.not-paused"
    assert "staff.resumed" not in [leaf["kind"] for leaf in leaves(database)]


def test_acts_of_staff_are_in_the_ledger_without_their_words(shared: Destinations, database: Database) -> None:
    shared.pause(BNN, until=START + HOUR, by="cli:lan", reason="bà Lan gọi điện")
    shared.resume(PartyCode(BNN), by="cli:minh")

    paused, resumed = leaves(database)

    assert (paused["kind"], paused["by"], paused["party"], paused["until"]) == ("staff.paused", "cli:lan", BNN, "2026-11-21T09:00:00+00:00")
    assert (resumed["kind"], resumed["by"], resumed["party"]) == ("staff.resumed", "cli:minh", BNN)
    assert "Lan gọi" not in json.dumps([paused, resumed], ensure_ascii=False)
