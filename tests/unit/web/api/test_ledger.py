"""The ledger over REST: what it proves can be checked with nothing but the answers."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import Event
from gateway.evidence.heads import is_signed_by, read_signed
from gateway.evidence.ledger import Ledger
from gateway.evidence.merkle import leaf_hash, proves_consistency, proves_inclusion
from gateway.ports import Tx
from gateway.security.devpki import generate
from gateway.security.keys import SigningKey, load_key
from gateway.store.engine import open_database
from gateway.store.leaves import write_leaf
from gateway.store.migrate import upgrade
from gateway.store.times import utc
from gateway.web.keys import hash_key

Call = Callable[..., Any]

MESSAGE = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
SIZES = (3, 300)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    folder = tmp_path_factory.mktemp("pki")
    generate(folder, now=datetime.now(UTC), parties=())
    return load_key(folder / "gateway.key.pem", folder / "gateway.cert.pem")


@pytest.fixture
def hub(hub: Any, key: SigningKey, tmp_path: Path) -> Iterator[Any]:
    """A hub whose ledger has two heads; the message's events stand in the first."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)
    database = open_database(url)
    with closing(database):
        hub.ledger = Ledger(database, clock=utc)
        for message, count in ((MESSAGE, SIZES[0]), ("another", SIZES[1] - SIZES[0])):
            database.commit(partial(_happen, message, count))
            hub.ledger.seal()
            hub.ledger.sign(key)
        yield hub


def _write(event: Event, tx: Tx) -> None:
    write_leaf(tx, event)


def _happen(message: str, count: int, tx: Tx) -> None:
    for _ in range(count):
        write_leaf(tx, Event(kind="test.happened", at=utc(), message=message))


def test_heads_are_signed_over_exactly_the_bytes_that_are_documented(call: Call, key: SigningKey) -> None:
    first, second = call("GET", "/api/v1/ledger/heads").json["items"]
    written = json.dumps(first["head"], sort_keys=True, separators=(",", ":")).encode()

    assert [first["head"]["size"], second["head"]["size"]] == list(SIZES)
    assert key.certificates[0].sha256 == first["head"]["key"]
    assert is_signed_by(read_signed(first), {key.certificates[0].sha256: key.certificates[0]})
    assert len(base64.b64decode(first["signature"])) == 64
    assert json.loads(written) == first["head"]


def test_heads_are_asked_for_from_a_size_on(call: Call) -> None:
    assert [item["head"]["size"] for item in call("GET", "/api/v1/ledger/heads?after=3").json["items"]] == [300]


def test_a_message_is_proved_with_nothing_but_the_answer(call: Call) -> None:
    proof = call("GET", f"/api/v1/messages/{MESSAGE}/proof").json
    head = read_signed(proof["head"]).head

    assert (len(proof["leaves"]), proof["waiting"]) == (3, 0)
    for leaf in proof["leaves"]:
        path = [bytes.fromhex(step) for step in leaf["path"]]
        assert proves_inclusion(leaf_hash(leaf["leaf"].encode()), leaf["position"], head.size, path, head.root)


def test_growth_is_proved_with_nothing_but_the_answers(call: Call) -> None:
    first, second = (read_signed(item).head for item in call("GET", "/api/v1/ledger/heads").json["items"])
    path = call("GET", "/api/v1/ledger/consistency?first=3&second=300").json["path"]

    assert proves_consistency(3, 300, [bytes.fromhex(step) for step in path], first.root, second.root)


@pytest.mark.parametrize("query", ["first=0&second=1", "first=a&second=1", "first=1", "first=1&second=" + "9" * 40])
def test_sizes_that_are_none_are_refused(call: Call, query: str) -> None:
    assert call("GET", f"/api/v1/ledger/consistency?{query}").status == 400


@pytest.mark.parametrize(
    "path", ["/ledger/consistency?first=1&second=301", "/ledger/consistency?first=3&second=2", f"/messages/{MESSAGE[:-1]}0/proof"]
)
def test_there_is_no_proof_of_what_is_not_there(call: Call, path: str) -> None:
    assert call("GET", f"/api/v1{path}").status == 404


def test_a_party_gets_no_proof_of_messages_that_do_not_concern_it(rehub: Any, calling: Any, tmp_path: Path, hub: Any) -> None:
    keys = tmp_path / "keys"
    keys.write_text("\n".join(f"{party}:{party}:reader:{hash_key(party, salt=bytes(16))}" for party in ("NSW", "TCHQ")), "utf-8")
    guarded = rehub(api_keys=keys)
    guarded.ledger = hub.ledger
    call = calling(guarded)

    asked = [call("GET", f"/api/v1/messages/{MESSAGE}/proof", headers=[("x-api-key", key)] if key else []) for key in ("NSW", "TCHQ", "")]
    assert [answer.status for answer in asked] == [200, 404, 401]


def test_a_party_is_proved_what_it_is_told_and_no_act_of_staff(rehub: Any, calling: Any, tmp_path: Path, hub: Any, key: SigningKey) -> None:
    (tmp_path / "keys").write_text(f"NSW:NSW:reader:{hash_key('NSW', salt=bytes(16))}\n", "utf-8")
    guarded = rehub(api_keys=tmp_path / "keys")
    guarded.ledger = hub.ledger
    for kind in ("message.accepted", "staff.replayed"):
        event = Event(kind=kind, at=utc(), message=MESSAGE, values={"by": "key:duty"})
        hub.ledger._database.commit(partial(_write, event))
    hub.ledger.seal()
    hub.ledger.sign(key)

    proof = calling(guarded)("GET", f"/api/v1/messages/{MESSAGE}/proof", headers=[("x-api-key", "NSW")]).json

    assert [json.loads(leaf["leaf"])["kind"] for leaf in proof["leaves"]] == ["message.accepted"]
