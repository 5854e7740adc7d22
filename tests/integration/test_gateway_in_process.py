"""A whole gateway put together in this process, on SQLite, with a simulated ministry on a real socket."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.bootstrap import build, open_store
from gateway.config import Settings
from gateway.hub import Hub
from gateway.lifecycle import State
from gateway.model import DeliveryId, PartyCode
from gateway.outbox.configuration import KIND
from gateway.outbox.orders import Act, Order
from gateway.security.devpki import generate
from gateway.store.tables import LEDGER
from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.simulate import load
from gateway.testing.simulator import RunningSimulator
from gateway.testing.vnsw import read_answer
from gateway.testing.world import until

BNN = PartyCode("BNN")
CONFIGURATIONS = select(LEDGER.c.leaf).where(LEDGER.c.kind == KIND).order_by(LEDGER.c.id)


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    generate(tmp_path / "pki", now=datetime.now(UTC))
    return Settings(home=tmp_path)


@pytest.fixture
def ministry(chosen: Settings) -> Iterator[RunningSimulator]:
    with load("agriculture").start(pki=chosen.pki) as agency:
        RunningGateway(chosen.home).reach({"BNN": agency.url + "/ws"})
        yield agency


@contextmanager
def running(chosen: Settings, *, work: bool = True) -> Iterator[Hub]:
    hub = build(chosen)
    hub.start(work=work)
    try:
        yield hub
    finally:
        hub.stop()


def applications(chosen: Settings, count: int) -> list[bytes]:
    now = datetime.now(UTC)
    return [builders.soap(signed_application(chosen.pki, Consignment(number=n), sent_at=now)) for n in range(1, count + 1)]


def receive(hub: Hub, body: bytes) -> str:
    arrival = replace(builders.arrival(body), id=hub.new_id(), received_at=hub.clock())
    return read_answer(hub.intake.receive(arrival, hub.doors["vnsw"]).body).function


def receive_at_once(hub: Hub, bodies: list[bytes], threads: int) -> list[str]:
    """Bring messages in from several threads, as the doors do."""
    answers: list[str] = []
    waiting = iter(bodies)
    turn = threading.Lock()

    def work() -> None:
        while True:
            with turn:
                body = next(waiting, None)
            if body is None:
                return
            answers.append(receive(hub, body))

    crew = [threading.Thread(target=work) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return answers


def effects(ministry: RunningSimulator) -> list[str]:
    report: Any = ministry.report()
    assert report["second_ids"] == []
    return list(report["effects"])


def test_messages_and_their_repeats_from_many_threads_have_one_effect_each(chosen: Settings, ministry: RunningSimulator) -> None:
    bodies = applications(chosen, 20)
    with running(chosen) as hub:
        answers = receive_at_once(hub, bodies * 3, threads=6)

        until(lambda: len(effects(ministry)) == 20, "20 applications at the ministry")
        until(lambda: hub.queries.counts().deliveries == {}, "nothing that waits")

        assert answers == ["99"] * 60
        assert len(hub.queries.messages(limit=100).items) == 20
        assert {d.state for d in hub.queries.deliveries(limit=100).items} == {State.DELIVERED}


def test_the_ledger_tells_which_configuration_is_in_force_and_of_each_change(chosen: Settings) -> None:
    def told(hub: Hub) -> list[dict[str, Any]]:
        return [json.loads(leaf) for (leaf,) in hub._database.read(lambda tx: tx.rows(CONFIGURATIONS))]

    with running(chosen) as hub:
        until(lambda: told(hub), "the first configuration")
        (chosen.pki / "parties" / "BNN.pem").unlink()
        until(lambda: len(told(hub)) > 1, "another configuration")
    with running(chosen) as hub:
        receive_at_once(hub, applications(chosen, 1), threads=1)
        first, second = told(hub)

    assert {name for name in first if first[name] != second[name]} == {"at", "trusted"}
    assert (first["rules"], first["certificate"]) == (hub.rules.current.version, hub.sealer.certificate.sha256)


def test_a_gateway_that_is_stopped_under_way_goes_on_where_it_was(chosen: Settings, ministry: RunningSimulator) -> None:
    ministry.control(mode="slow", delay_ms=50)
    with running(chosen) as hub:
        receive_at_once(hub, applications(chosen, 12), threads=4)
    before = len(effects(ministry))

    with running(chosen) as hub:
        until(lambda: hub.queries.counts().deliveries == {}, "nothing that waits")

    assert before < 12
    assert len(effects(ministry)) == 12


def test_what_a_dead_process_held_is_taken_up_at_the_next_start(chosen: Settings, ministry: RunningSimulator) -> None:
    with running(chosen, work=False) as hub:
        receive_at_once(hub, applications(chosen, 3), threads=1)
        held = hub.outbox.claim({BNN: 2})
        assert len(held) == 2

    with running(chosen) as hub:
        until(lambda: hub.queries.counts().deliveries == {}, "nothing that waits")

        kinds = [moment.kind for moment in hub.queries.timeline(held[0].message)]
        assert kinds == ["message.accepted", "delivery.routed", "delivery.rescued", "delivery.sending", "delivery.settled"]
    assert len(effects(ministry)) == 3


def test_what_a_command_writes_beside_a_running_gateway_is_noticed(chosen: Settings, ministry: RunningSimulator) -> None:
    ministry.control(mode="down")
    with running(chosen) as hub:
        receive(hub, applications(chosen, 1)[0])
        [waiting] = until(lambda: hub.queries.deliveries(state=State.RETRYING).items, "a delivery that waits")
        with open_store(chosen) as store:
            store.mending.once(Order(act=Act.CANCEL, reason="gửi bằng giấy"), DeliveryId(waiting.id), by="cli:lan")
        ministry.control(mode="up")

        cancelled = hub.queries.delivery(waiting.id)

    assert cancelled is not None
    assert cancelled.state == State.CANCELLED
    assert effects(ministry) == []


def test_a_message_outlives_the_process_that_answered_for_it(chosen: Settings) -> None:
    [body] = applications(chosen, 1)
    hub = build(chosen)  # never stopped: as if it had been killed right after its answer
    assert receive(hub, body) == "99"

    with running(copied(chosen), work=False) as other:
        [row] = other.queries.messages().items
        assert (row.state, receive(other, body)) == ("accepted", "99")
        assert len(other.queries.messages().items) == 1
    hub.stop()


def copied(chosen: Settings) -> Settings:
    """Take what the disk holds of an installation at this moment."""
    home = chosen.home / "copy"
    kept = [chosen.home / "gateway.db", chosen.home / "gateway.db-wal", *chosen.home.glob("pki/**/*.pem"), *chosen.home.glob("keys/*")]
    for path in kept:
        place = home / path.relative_to(chosen.home)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    return Settings(home=home)
