"""The tree against the recursive definitions of RFC 9162, section 2.1, written here once more as they stand there."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.evidence.merkle import (
    EMPTY,
    Roots,
    consistency,
    inclusion,
    leaf_hash,
    node_hash,
    proves_consistency,
    proves_inclusion,
    root_hash,
)  # fmt: skip

LEAVES = [leaf_hash(str(n).encode()) for n in range(70)]
SIZES = st.integers(1, len(LEAVES))


def mth(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, hashes: list[bytes]) -> list[bytes]:
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    return [*path(m, hashes[:k]), mth(hashes[k:])] if m < k else [*path(m - k, hashes[k:]), mth(hashes[:k])]


def subproof(m: int, hashes: list[bytes], *, whole: bool = True) -> list[bytes]:
    n = len(hashes)
    if m == n:
        return [] if whole else [mth(hashes)]
    k = split(n)
    if m <= k:
        return [*subproof(m, hashes[:k], whole=whole), mth(hashes[k:])]
    return [*subproof(m - k, hashes[k:], whole=False), mth(hashes[:k])]


def nodes(level: int, index: int) -> bytes:
    size = 1 << level
    return mth(LEAVES[index * size : (index + 1) * size])


def test_hashes_leaves_and_nodes_with_different_prefixes() -> None:
    assert leaf_hash(b"") == bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")  # RFC 6962's own test vector
    assert node_hash(b"\1" * 32, b"\2" * 32) == hashlib.sha256(b"\1" + b"\1" * 32 + b"\2" * 32).digest()


@pytest.mark.parametrize("size", range(len(LEAVES) + 1))
def test_roots_are_the_standards(size: int) -> None:
    growing = Roots()
    for leaf in LEAVES[:size]:
        growing.add(leaf)

    assert root_hash(nodes, size) == growing.root() == mth(LEAVES[:size])


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert Roots().root() == EMPTY == mth([])


@given(SIZES, st.data())
def test_inclusion_paths_are_the_standards_and_prove(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    found = inclusion(nodes, index, size)

    assert found == path(index, LEAVES[:size])
    assert proves_inclusion(LEAVES[index], index, size, found, mth(LEAVES[:size]))


@given(SIZES, st.data())
def test_consistency_paths_are_the_standards_and_prove(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    found = consistency(nodes, first, second)

    assert found == subproof(first, LEAVES[:second])
    assert proves_consistency(first, second, found, mth(LEAVES[:first]), mth(LEAVES[:second]))


@given(SIZES, st.data())
def test_nothing_else_is_proved_included(size: int, data: st.DataObject) -> None:
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size))
    found, root = inclusion(nodes, index, size), mth(LEAVES[:size])

    assert other == index or not proves_inclusion(LEAVES[index], other, size, found, root)
    assert not proves_inclusion(b"\0" * 32, index, size, found, root)
    assert not proves_inclusion(LEAVES[index], index, size, [*found, root], root)
    assert not found or not proves_inclusion(LEAVES[index], index, size, found[:-1], root)


@given(SIZES, st.data())
def test_no_other_past_is_proved(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    found, before, after = consistency(nodes, first, second), mth(LEAVES[:first]), mth(LEAVES[:second])

    assert not proves_consistency(first, second, found, b"\0" * 32, after)
    assert not proves_consistency(first, second, found, before, b"\0" * 32)
    assert not proves_consistency(first, second, [*found, after], before, after)
    assert not proves_consistency(0, second, found, before, after)
    assert not proves_consistency(second + 1, second, found, before, after)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_path_to_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=str(index)):
        inclusion(nodes, index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3)])
def test_there_is_no_proof_between_sizes_that_are_not_there(first: int, second: int) -> None:
    with pytest.raises(ValueError, match=str(first)):
        consistency(nodes, first, second)
