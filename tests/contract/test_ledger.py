"""The ledger on every database: what is sealed stays proved, and whatever is done to it shows."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.audit import Event
from gateway.errors import Code, NotValid, Problem, Unavailable
from gateway.evidence.checking import check
from gateway.evidence.heads import SignedHead, is_signed_by, read_file, write_file
from gateway.evidence.ledger import BATCH, Ledger
from gateway.evidence.merkle import leaf_hash, proves_consistency, proves_inclusion
from gateway.ports import Database, Tx
from gateway.security.certificates import Certificate
from gateway.security.devpki import generate
from gateway.security.keys import SigningKey, load_key
from gateway.store.leaves import write_leaf
from gateway.testing.settling import Time

Signers = Mapping[str, Certificate]


@pytest.fixture
def ledger(database: Database, time: Time) -> Ledger:
    return Ledger(database, clock=time)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    folder = tmp_path_factory.mktemp("pki")
    generate(folder, now=datetime(2026, 1, 1, tzinfo=UTC), parties=())
    return load_key(folder / "gateway.key.pem", folder / "gateway.cert.pem")


@pytest.fixture
def signers(key: SigningKey) -> Signers:
    return {key.certificates[0].sha256: key.certificates[0]}


def happen(database: Database, count: int, *, message: str = "m") -> None:
    def work(tx: Tx) -> None:
        for n in range(count):
            write_leaf(tx, Event(kind="test.happened", at=datetime.now(UTC), message=message, values={"n": str(n)}))

    database.commit(work)


def sealed(ledger: Ledger, key: SigningKey) -> None:
    while ledger.seal():
        pass
    ledger.sign(key)


def run(database: Database, statement: str, **values: Any) -> None:
    database.commit(lambda tx: tx.changed(text(statement), **values))


def wrong(ledger: Ledger, copies: list[SignedHead], signers: Signers) -> set[str]:
    return {problem.text.removeprefix("ledger.") for problem in check(ledger, copies, signers).errors}


def test_seals_what_waits_in_batches_each_with_a_head(database: Database, ledger: Ledger, key: SigningKey) -> None:
    happen(database, BATCH + 300)

    assert [ledger.seal(), ledger.seal(), ledger.seal()] == [BATCH, 300, 0]
    assert ledger.sign(key) == 2
    assert [signed.head.size for signed in ledger.heads()] == [BATCH, BATCH + 300]
    assert (ledger.standing().size, ledger.standing().unsealed) == (BATCH + 300, 0)


def test_heads_have_sizes_of_their_own(database: Database, ledger: Ledger, key: SigningKey) -> None:
    happen(database, 3)
    sealed(ledger, key)
    sealed(ledger, key)

    assert [signed.head.size for signed in ledger.heads()] == [3]


def test_seals_what_was_committed_late(database: Database, ledger: Ledger, key: SigningKey) -> None:
    happen(database, 2)
    run(database, "UPDATE ledger SET id = id + 100")  # as where a transaction that began later ended first
    sealed(ledger, key)
    run(database, "INSERT INTO ledger (id, at, kind, leaf) VALUES (1, 1, 'test.late', 'late')")
    sealed(ledger, key)

    assert [leaf for _, leaf in ledger.sealed(0, 10)][-1] == "late"
    assert not list(check(ledger, (), {key.certificates[0].sha256: key.certificates[0]}).errors)


def test_proves_each_event_of_a_message(database: Database, ledger: Ledger, key: SigningKey, signers: Signers) -> None:
    happen(database, 260, message="other")
    happen(database, 3, message="mine")
    happen(database, 300, message="other")
    sealed(ledger, key)
    proof = ledger.proof_of("mine")

    assert proof.head is not None
    assert is_signed_by(proof.head, signers)
    assert [p.position for p in proof.leaves] == [260, 261, 262]
    assert proof.waiting == 0
    for proved in proof.leaves:
        head = proof.head.head
        assert proves_inclusion(leaf_hash(proved.leaf.encode()), proved.position, head.size, proved.path, head.root)


def test_says_how_many_events_wait_for_a_head(database: Database, ledger: Ledger, key: SigningKey) -> None:
    happen(database, 2)
    assert (ledger.proof_of("m").waiting, ledger.proof_of("m").head) == (2, None)

    ledger.seal()
    assert ledger.proof_of("m").waiting == 2

    ledger.sign(key)
    happen(database, 1)
    assert (len(ledger.proof_of("m").leaves), ledger.proof_of("m").waiting) == (2, 1)


def test_proves_that_it_only_grew(database: Database, ledger: Ledger, key: SigningKey) -> None:
    for count in (5, 300, 700):
        happen(database, count)
        sealed(ledger, key)
    small, middle, large = (signed.head for signed in ledger.heads())

    for first, second in ((small, middle), (small, large), (middle, large)):
        path = ledger.consistency(first.size, second.size)
        assert proves_consistency(first.size, second.size, path, first.root, second.root)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 1), (1, 4)])
def test_there_is_no_proof_between_trees_that_are_not_there(
    database: Database, ledger: Ledger, key: SigningKey, first: int, second: int
) -> None:
    happen(database, 3)
    sealed(ledger, key)

    with pytest.raises(NotValid):
        ledger.consistency(first, second)


def test_there_is_no_proof_of_an_unknown_message(ledger: Ledger) -> None:
    with pytest.raises(NotValid):
        ledger.proof_of("nobody")


def test_a_good_ledger_passes(database: Database, ledger: Ledger, key: SigningKey, signers: Signers) -> None:
    happen(database, 1500)
    sealed(ledger, key)
    happen(database, 7)
    copies, _ = read_file(write_file(ledger.heads(), signers.values()))
    found = check(ledger, copies, signers)

    assert (found.valid, found.size, found.unsealed) == (True, 1500, 7)
    assert found.sealed_until == copies[-1].head.at


def reseal(database: Database, key: SigningKey, time: Time) -> None:
    """Write the whole tree anew, as somebody could who owns the database and, even, the key."""
    for statement in ("UPDATE ledger SET position = NULL", "DELETE FROM ledger_tiles", "DELETE FROM ledger_heads"):
        run(database, statement)
    sealed(Ledger(database, clock=time), key)


@pytest.mark.parametrize("tidy", [False, True])
@pytest.mark.parametrize(
    "crime",
    [
        "UPDATE ledger SET leaf = 'forged' WHERE position = 700",
        "DELETE FROM ledger WHERE position = 700",
        "DELETE FROM ledger WHERE position = 1199",
        "UPDATE ledger SET leaf = (SELECT o.leaf FROM ledger o WHERE o.position = 701 - ledger.position) WHERE position IN (0, 701)",
    ],
)
def test_what_is_done_to_sealed_events_shows(
    database: Database,
    ledger: Ledger,
    key: SigningKey,
    signers: Signers,
    time: Time,
    crime: str,
    tidy: bool,  # noqa: FBT001  # pytest passes by name
) -> None:
    happen(database, 1200)
    sealed(ledger, key)
    copies = list(ledger.heads())

    run(database, crime)
    if tidy:
        reseal(database, key, time)

    assert wrong(ledger, copies, signers) & {"leaf-altered", "leaf-missing", "cut-short", "root-differs", "forked"}


def test_names_the_altered_event(database: Database, ledger: Ledger, key: SigningKey, signers: Signers) -> None:
    happen(database, 600)
    sealed(ledger, key)
    run(database, "UPDATE ledger SET leaf = 'forged' WHERE position = 300")
    altered = [p for p in check(ledger, (), signers).errors if p.text == "ledger.leaf-altered"]

    assert [p.values["position"] for p in altered] == ["300"]


def test_a_head_that_another_key_signed_shows(database: Database, ledger: Ledger, signers: Signers, tmp_path: Path) -> None:
    generate(tmp_path, now=datetime(2026, 1, 1, tzinfo=UTC), parties=())
    happen(database, 3)
    sealed(ledger, load_key(tmp_path / "gateway.key.pem", tmp_path / "gateway.cert.pem"))

    assert wrong(ledger, [], signers) == {"head-signature"}


def test_several_sealers_fork_and_lose_nothing(database: Database, ledger: Ledger, key: SigningKey, signers: Signers) -> None:
    stopping = threading.Event()

    def keep_sealing() -> None:
        while not stopping.is_set():
            ledger.seal()
            ledger.sign(key)

    sealers = [threading.Thread(target=keep_sealing) for _ in range(3)]
    for thread in sealers:
        thread.start()
    for _ in range(40):
        happen(database, 5)
    stopping.set()
    for thread in sealers:
        thread.join()
    sealed(ledger, key)

    assert check(ledger, (), signers).valid
    assert sorted(position for position, _ in ledger.sealed(0, 1000)) == list(range(200))


def test_an_absent_key_delays_no_leaf(database: Database, ledger: Ledger, key: SigningKey) -> None:
    class Away(SigningKey):
        __slots__ = ()

        def __init__(self) -> None:
            self.certificates = key.certificates

        def sign(self, data: bytes) -> bytes:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away", values={"cause": str(len(data))}))

    happen(database, 3)
    ledger.seal()
    with pytest.raises(Unavailable):
        ledger.sign(Away())

    assert (ledger.standing().size, ledger.standing().head) == (3, None)
    assert ledger.sign(key) == 1
