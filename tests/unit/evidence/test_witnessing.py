"""Asking a witness: what it answers is believed where it is countersigned for the head that was sent, and nowhere else."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.errors import Code, GatewayError, Problem, Unavailable
from gateway.evidence.copies import Copy, countersign, is_witnessed_by, write_copy
from gateway.evidence.heads import read_signed
from gateway.evidence.witness import Offer, Witness
from gateway.evidence.witnessing import PATH, Asking, read_key
from gateway.model import PartyCode, Reply, Request
from gateway.security.keys import SigningKey
from gateway.testing.growing import Tree, make_key
from gateway.testing.settling import Time

NSW = PartyCode("NSW")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """The key of the gateway that asks."""
    return make_key(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """The witness's key."""
    return make_key(tmp_path_factory.mktemp("theirs"))


class Desk:
    """A witness as it is reached; `change` may spoil its answers, `closed` keeps everything out."""

    def __init__(self, witness: Witness, own: SigningKey) -> None:
        self.witness = witness
        self.closed = False
        self.change: Callable[[Reply], Reply] = lambda reply: reply
        self.keys: list[str] = []
        self._own = own

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        place = urlsplit(request.endpoint)
        assert (place.path, parse_qs(place.query), timeout > timedelta(0)) == (PATH, {"party": [NSW]}, True)
        if self.closed:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="transport.refused"))
        self.keys.append(request.headers.get("x-api-key", ""))
        return self.change(self._answer(request))

    def _answer(self, request: Request) -> Reply:
        try:
            found = self._held() if request.method == "GET" else self._witness(json.loads(request.body))
        except GatewayError as error:
            refused = {"code": error.code, "errors": [{"code": problem.text} for problem in error.problems]}
            return Reply(status=409, body=json.dumps(refused).encode())
        return Reply(status=200, body=json.dumps(found).encode())

    def _held(self) -> dict[str, object]:
        held = self.witness.held(NSW)
        return {"held": write_copy(held) if held else None}

    def _witness(self, what: dict[str, list[str]]) -> dict[str, object]:
        offer = Offer(signed=read_signed(what), old=int(str(what["old"])), path=tuple(map(bytes.fromhex, what["path"])))
        return write_copy(self.witness.witness(NSW, self._own.certificates, offer))


@pytest.fixture
def desk(tmp_path: Path, own: SigningKey, theirs: SigningKey) -> Desk:
    return Desk(Witness(tmp_path, key=lambda: theirs, clock=Time(), watch=lambda *_: None), own)


@pytest.fixture
def tree(own: SigningKey) -> Tree:
    return Tree(own, clock=Time())


@pytest.fixture
def other(own: SigningKey) -> Tree:
    """Another history under the same key."""
    return Tree(own, clock=Time(), history="false")


@pytest.fixture
def carry(desk: Desk, theirs: SigningKey) -> Callable[..., str | Copy]:
    """Have a tree's head of a size witnessed; gives what is kept of it, or why nothing is."""

    def run(tree: Tree, size: int, *, key: str = "") -> str | Copy:
        asking = Asking(
            url="http://witness/", party=lambda: NSW, transport=desk, key=key, witnesses=lambda: theirs.certificates, consistency=tree.proof
        )
        try:
            return asking.carry(tree.grow(size))
        except Unavailable as error:
            return error.problems[0].text

    return run


Run = Callable[..., str | Copy]


def test_heads_are_witnessed_as_they_grow(carry: Run, desk: Desk, tree: Tree, theirs: SigningKey) -> None:
    kept = [carry(tree, size) for size in (3, 300, 301)]

    assert kept[-1] == desk.witness.held(NSW)
    assert all(isinstance(copy, Copy) and is_witnessed_by(copy, {theirs.certificates[0].sha256: theirs.certificates[0]}) for copy in kept)


def test_a_lost_answer_is_asked_for_again(carry: Run, desk: Desk, tree: Tree) -> None:
    desk.change = lambda _: Reply(status=502, body=b"")
    assert carry(tree, 3) == "ledger.witness-no-answer"
    desk.change = lambda reply: reply if b'"held"' in reply.body else Reply(status=502, body=b"")
    assert carry(tree, 3) == "ledger.witness-no-answer"  # it was witnessed, and nobody heard of it
    desk.change = lambda reply: reply

    assert carry(tree, 3) == desk.witness.held(NSW)


def test_a_witness_that_is_away_is_caught_up_with(carry: Run, desk: Desk, tree: Tree) -> None:
    carry(tree, 3)
    desk.closed = True
    assert carry(tree, 6) == "transport.refused"
    desk.closed = False

    assert carry(tree, 9) == desk.witness.held(NSW)


def test_another_history_is_refused_by_the_witness(carry: Run, desk: Desk, tree: Tree, other: Tree) -> None:
    carry(tree, 3)

    assert carry(other, 8) == "ledger.witness-says-inconsistent"
    assert [notice.text for notice in desk.witness.notices()] == ["ledger.witness-fork"]


def test_an_older_copy_of_the_database_put_back_shows(carry: Run, tree: Tree, own: SigningKey) -> None:
    carry(tree, 9)

    assert carry(Tree(own, clock=Time()), 5) == "ledger.witness-ahead"


def test_another_tree_of_the_same_size_shows(carry: Run, tree: Tree, other: Tree) -> None:
    carry(tree, 5)

    assert carry(other, 5) == "ledger.witness-other-tree"


def test_a_countersignature_by_anybody_else_is_not_taken(carry: Run, desk: Desk, tree: Tree, own: SigningKey) -> None:
    forged = Reply(status=200, body=json.dumps(write_copy(countersign(tree.grow(3), own, at=Time()()))).encode())
    desk.change = lambda reply: reply if b'"held"' in reply.body else forged

    assert carry(tree, 3) == "ledger.witness-not-countersigned"


def test_the_countersignature_of_another_head_is_not_taken(carry: Run, desk: Desk, tree: Tree, theirs: SigningKey) -> None:
    another = Reply(status=200, body=json.dumps(write_copy(countersign(tree.grow(2), theirs, at=Time()()))).encode())
    desk.change = lambda reply: reply if b'"held"' in reply.body else another

    assert carry(tree, 3) == "ledger.witness-not-countersigned"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"held": 1}', b'{"held": {}}', b'{"errors": [], "code": 1}', b"[" * 100_000, b'{"held": null, "x": 1}']
)
def test_what_is_no_witness_answers_nothing(carry: Run, desk: Desk, tree: Tree, body: bytes) -> None:
    desk.change = lambda _: Reply(status=200, body=body)

    assert carry(tree, 3) == "ledger.witness-no-answer"


def test_a_refusal_is_told_with_its_code(carry: Run, desk: Desk, tree: Tree) -> None:
    desk.change = lambda _: Reply(status=403, body=b'{"code": "not-allowed", "errors": [{"code": "web.role"}]}')

    assert carry(tree, 3) == "ledger.witness-refuses"


def test_the_key_goes_along(carry: Run, desk: Desk, tree: Tree) -> None:
    carry(tree, 3, key="secret")

    assert desk.keys == ["secret", "secret"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_key_for_the_witness_is_read_from_its_file(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "key").write_text("secret\n", encoding)

    assert (read_key(None), read_key(tmp_path / "key")) == ("", "secret")
    with pytest.raises(Unavailable):
        read_key(tmp_path / "nothing")
