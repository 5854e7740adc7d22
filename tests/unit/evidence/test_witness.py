"""A witness countersigns what only grew, and keeps and tells of whatever shows two histories."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.errors import Conflict, NotProven, Unavailable
from gateway.evidence.copies import is_witnessed_by, read_copies
from gateway.evidence.witness import Offer, Witness
from gateway.model import PartyCode
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.testing.growing import Tree, make_key
from gateway.testing.settling import Time

LAO = PartyCode("LAO")
Events = list[tuple[str, Mapping[str, object]]]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return make_key(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return make_key(tmp_path_factory.mktemp("theirs"))


@pytest.fixture
def events() -> Events:
    return []


@pytest.fixture
def witness(tmp_path: Path, own: SigningKey, events: Events) -> Witness:
    return Witness(tmp_path, key=lambda: own, clock=Time(), watch=lambda event, fields: events.append((event, fields)))


@pytest.fixture
def tree(theirs: SigningKey) -> Tree:
    return Tree(theirs, clock=Time())


@pytest.fixture
def forged(theirs: SigningKey) -> Tree:
    """Another history under the same key."""
    return Tree(theirs, clock=Time(), history="false")


def refusal(witness: Witness, signers: tuple[Certificate, ...], offer: Offer) -> tuple[str, str]:
    with pytest.raises((Conflict, NotProven)) as refused:
        witness.witness(LAO, signers, offer)
    problem = refused.value.problems[0]
    return problem.text, problem.values["check"]


def test_heads_that_grow_are_countersigned_and_kept(
    witness: Witness, tree: Tree, theirs: SigningKey, own: SigningKey, tmp_path: Path, events: Events
) -> None:
    given = [witness.witness(LAO, theirs.certificates, tree.offer(size, after=after)) for after, size in ((0, 3), (3, 7), (7, 300))]

    assert all(is_witnessed_by(copy, {own.certificates[0].sha256: own.certificates[0]}) for copy in given)
    assert read_copies((tmp_path / "LAO" / "heads.jsonl").read_bytes()) == tuple(given)
    assert witness.held(LAO) == given[-1]
    assert [event for event, _ in events] == ["ledger.witnessed"] * 3
    assert witness.notices() == []


def test_the_same_head_again_gets_the_answer_it_got(witness: Witness, tree: Tree, theirs: SigningKey, tmp_path: Path) -> None:
    first = witness.witness(LAO, theirs.certificates, tree.offer(3))

    assert witness.witness(LAO, theirs.certificates, tree.offer(3)) == first
    assert len(read_copies((tmp_path / "LAO" / "heads.jsonl").read_bytes())) == 1


def test_each_party_has_heads_of_its_own(witness: Witness, tree: Tree, forged: Tree, theirs: SigningKey) -> None:
    witness.witness(LAO, theirs.certificates, tree.offer(3))
    witness.witness(PartyCode("KHM"), theirs.certificates, forged.offer(3))

    assert witness.notices() == []


def test_w1_a_head_that_no_registered_certificate_signed_is_refused(
    witness: Witness, tree: Tree, theirs: SigningKey, own: SigningKey
) -> None:
    offer = tree.offer(3)
    altered = replace(offer, signed=replace(offer.signed, head=replace(offer.signed.head, size=4)))
    old = Tree(theirs, clock=lambda: datetime(2020, 1, 1, tzinfo=UTC)).offer(3)

    assert refusal(witness, own.certificates, offer) == ("ledger.witness-signature", "W1")
    assert refusal(witness, theirs.certificates, altered) == ("ledger.witness-signature", "W1")
    assert refusal(witness, theirs.certificates, old) == ("ledger.witness-signature", "W1")
    assert witness.held(LAO) is None


def test_w2_two_trees_of_one_size_are_a_fork(
    witness: Witness, tree: Tree, forged: Tree, theirs: SigningKey, tmp_path: Path, events: Events
) -> None:
    witness.witness(LAO, theirs.certificates, tree.offer(3))
    offer = forged.offer(3)

    assert refusal(witness, theirs.certificates, offer) == ("ledger.witness-inconsistent", "W2")
    assert refusal(witness, theirs.certificates, offer) == ("ledger.witness-inconsistent", "W2")
    assert [copy.signed for copy in read_copies((tmp_path / "LAO" / "refused.jsonl").read_bytes())] == [offer.signed]
    assert events[-1] == ("ledger.witness-refused", {"party": "LAO", "size": 3, "held": 3, "code": "W2"})
    assert [notice.values["party"] for notice in witness.notices()] == ["LAO"]


@pytest.mark.parametrize(("after", "size"), [(0, 7), (2, 7), (4, 7), (3, 2)])
def test_w3_an_offer_that_does_not_follow_what_is_held_is_refused(
    witness: Witness, tree: Tree, theirs: SigningKey, after: int, size: int
) -> None:
    witness.witness(LAO, theirs.certificates, tree.offer(3))
    offer = replace(tree.offer(size), old=after)

    assert refusal(witness, theirs.certificates, offer) == ("ledger.witness-moved", "W3")
    assert witness.notices() == []


def test_w4_a_tree_that_does_not_begin_with_what_is_held_is_a_fork(
    witness: Witness, tree: Tree, forged: Tree, theirs: SigningKey, tmp_path: Path, events: Events
) -> None:
    held = witness.witness(LAO, theirs.certificates, tree.offer(3))
    forked = forged.offer(8)
    offers = [replace(forked, old=3, path=path) for path in (forged.proof(3, 8), (), (b"\0" * 32,) * 64)]

    assert {refusal(witness, theirs.certificates, offer) for offer in offers} == {("ledger.witness-inconsistent", "W4")}
    assert [copy.signed for copy in read_copies((tmp_path / "LAO" / "refused.jsonl").read_bytes())] == [forked.signed]
    assert [event for event, _ in events][1:] == ["ledger.witness-refused"] * 3
    assert witness.held(LAO) == held


def test_what_is_held_and_cannot_be_read_is_not_begun_anew(witness: Witness, tree: Tree, theirs: SigningKey, tmp_path: Path) -> None:
    (tmp_path / "LAO").mkdir()
    (tmp_path / "LAO" / "heads.jsonl").write_bytes(b"rubbish\n")

    with pytest.raises(Unavailable):
        witness.witness(LAO, theirs.certificates, tree.offer(3))
    with pytest.raises(Unavailable):
        witness.held(LAO)


def test_of_two_histories_at_once_one_is_witnessed(witness: Witness, tree: Tree, forged: Tree, theirs: SigningKey) -> None:
    ends: list[bool] = []

    def ask(offer: Offer) -> None:
        try:
            witness.witness(LAO, theirs.certificates, offer)
        except Conflict:
            ends.append(False)
        else:
            ends.append(True)

    askers = [threading.Thread(target=ask, args=(of.offer(5),)) for of in (tree, forged)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert sorted(ends) == [False, True]
