"""Witnessing over REST: one gateway asks, another answers, and each holds the other to what it signed."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from gateway.audit import Event
from gateway.errors import Code, NotProven, Problem
from gateway.evidence.copies import Copy, is_witnessed_by, last_of, write_copy
from gateway.evidence.ledger import Ledger
from gateway.evidence.publishing import AGAIN, Place, Publication
from gateway.evidence.witness import Witness
from gateway.evidence.witnessing import PATH, Asking
from gateway.model import PartyCode, Reply, Request
from gateway.ports import Tx
from gateway.security.keys import SigningKey
from gateway.store.engine import open_database
from gateway.store.leaves import write_leaf
from gateway.store.migrate import upgrade
from gateway.store.times import utc
from gateway.testing.growing import Tree, make_key
from gateway.testing.settling import Time
from gateway.web.keys import hash_key

Call = Callable[..., Any]
NSW = PartyCode("NSW")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """The key of the gateway that asks."""
    return make_key(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """The witness's key."""
    return make_key(tmp_path_factory.mktemp("theirs"))


@pytest.fixture
def hub(hub: Any, own: SigningKey, theirs: SigningKey, tmp_path: Path) -> Any:
    """A witness where the asking gateway is registered as NSW."""
    return equip(hub, own, theirs, tmp_path)


def equip(hub: Any, own: SigningKey, theirs: SigningKey, folder: Path) -> Any:
    hub.witness = Witness(folder / "witness", key=lambda: theirs, clock=utc, watch=hub.watch)
    hub.trust = SimpleNamespace(
        certificates=lambda party: own.certificates if party == NSW else (),
        registry=SimpleNamespace(owners={}, check_status=lambda *_, **__: None),
    )
    return hub


class Road:
    """Carries requests into an application."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        assert timeout
        path = request.endpoint.removeprefix("http://witness")
        answer = self.call(request.method, path, body=request.body, headers=list(request.headers.items()))
        return Reply(status=answer.status, body=answer.body)


@pytest.fixture
def road(call: Call) -> Road:
    return Road(call)


class House:
    """The asking gateway: its ledger, and where it publishes."""

    def __init__(self, ledger: Ledger, key: SigningKey, road: Road, witnesses: SigningKey, *, kept: Path, database: Any) -> None:
        self.ledger, self.key, self.kept, self.database = ledger, key, kept, database
        self.time = Time(utc())
        self.events: list[tuple[str, str]] = []
        self.asking = Asking(
            url="http://witness/", party=lambda: NSW, transport=road, key="", witnesses=lambda: witnesses.certificates,
            consistency=ledger.consistency,
        )  # fmt: skip
        place = Place(name="witness", kept=kept, every=timedelta(0), carry=self.asking.carry)
        self.publication = Publication(place, ledger.newest, clock=self.time, watch=self._watch)

    def _watch(self, event: str, fields: Any) -> None:
        self.events.append((event, str(fields.get("cause", ""))))

    def happen(self, count: int) -> None:
        self.database.commit(lambda tx: self._write(tx, count))
        self.ledger.seal()
        self.ledger.sign(self.key)

    def _write(self, tx: Tx, count: int) -> None:
        for n in range(count):
            write_leaf(tx, Event(kind="test.happened", at=utc(), values={"n": str(n)}))

    def look(self) -> str:
        """Look once; gives why the witness was not reached."""
        self.time.pass_(AGAIN)
        self.publication.look()
        return self.publication.gap.cause if self.publication.gap else ""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, made once and copied."""
    path = tmp_path_factory.mktemp("empty") / "gateway.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def house(own: SigningKey, theirs: SigningKey, road: Road, tmp_path: Path, empty: Path) -> Iterator[House]:
    shutil.copy(empty, tmp_path / "own.db")
    with closing(open_database(f"sqlite:///{tmp_path}/own.db")) as database:
        yield House(Ledger(database, clock=utc), own, road, theirs, kept=tmp_path / "heads" / "witness.jsonl", database=database)


def test_a_gateways_heads_are_witnessed_as_they_grow(house: House, hub: Any, theirs: SigningKey) -> None:
    for count in (3, 300, 1):
        house.happen(count)
        assert house.look() == ""

    last = last_of(house.kept)
    assert last
    assert last == hub.witness.held(NSW)
    assert last.signed.head.size == 304
    assert is_witnessed_by(last, {theirs.certificates[0].sha256: theirs.certificates[0]})


def test_a_history_written_anew_is_refused_kept_and_told_of(house: House, hub: Any) -> None:
    house.happen(5)
    house.look()
    for statement in (
        "UPDATE ledger SET leaf = 'forged', position = NULL WHERE position = 1",
        "UPDATE ledger SET position = NULL",
        "DELETE FROM ledger_tiles",
        "DELETE FROM ledger_heads",
    ):
        house.database.commit(partial(_run, statement))
    house.happen(4)

    assert house.look() == "ledger.witness-says-inconsistent"
    assert [event for event, _ in hub.events if event.startswith("ledger")] == ["ledger.witnessed", "ledger.witness-refused"]
    assert [notice.text for notice in hub.witness.notices()] == ["ledger.witness-fork"]


def _run(statement: str, tx: Tx) -> None:
    tx.changed(text(statement))


def test_what_a_party_may_not_do_is_told_with_the_witness_code(
    house: House, rehub: Any, calling: Any, own: SigningKey, theirs: SigningKey, tmp_path: Path, road: Road
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("\n".join(f"{p}:{p}:sender:{hash_key(p, salt=bytes(16))}" for p in ("NSW", "TCHQ")), "utf-8")
    guarded = calling(equip(rehub(api_keys=keys), own, theirs, tmp_path / "guarded"))
    house.happen(3)
    asked = {
        key: guarded("GET", f"{PATH}?party=NSW", headers=[("x-api-key", key)] if key else []).status for key in ("NSW", "TCHQ", "", "x")
    }
    road.call = guarded

    assert asked == {"NSW": 200, "TCHQ": 403, "": 401, "x": 401}
    assert house.look() == "ledger.witness-refuses"
    assert guarded("GET", PATH, headers=[("x-api-key", "TCHQ")]).json["errors"][0]["code"] == "ledger.witness-unknown"


def offer(own: SigningKey) -> dict[str, Any]:
    made = Tree(own, clock=utc).offer(3)
    return {**write_copy(Copy(signed=made.signed)), "old": 0, "path": []}


def ask(call: Call, what: object) -> Any:
    return call("POST", f"{PATH}?party=NSW", body=json.dumps(what).encode(), headers=[("content-type", "application/json")])


def test_an_offer_in_another_form_is_refused(call: Call, own: SigningKey, tmp_path: Path) -> None:
    good, long = offer(own), ["00" * 32] * 129
    changes: tuple[dict[str, Any], ...] = (
        {"old": -1},
        {"old": None},
        {"path": ["zz"]},
        {"path": long},
        {"head": {}},
        {"signature": "!"},
        {"more": 1},
    )

    assert {ask(call, {**good, **change}).status for change in changes} == {400}
    assert not (tmp_path / "witness").exists()


def test_a_revoked_certificate_witnesses_nothing(call: Call, hub: Any, own: SigningKey) -> None:
    def revoked(*_: Any, **__: Any) -> None:
        raise NotProven(Code.SIGNATURE, Problem(text="signature.revoked"))

    hub.trust.registry.check_status = revoked

    assert ask(call, offer(own)).status == 422
    assert hub.witness.held(NSW) is None


def test_a_party_without_a_certificate_has_no_file(call: Call, tmp_path: Path) -> None:
    asked = {party: call("GET", f"{PATH}?party={party}").status for party in ("BNN", "..", "../NSW", "NSW%2f..", "%00")}

    assert asked == {"BNN": 403, "..": 403, "../NSW": 403, "NSW%2f..": 403, "%00": 400}
    assert not (tmp_path / "witness").exists()
