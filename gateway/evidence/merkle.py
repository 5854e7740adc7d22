"""The Merkle tree of RFC 9162, section 2.1: hashes, inclusion and consistency proofs, and their verification. Pure.

A tree is known by `Nodes`: the hash of the complete subtree of 2^level leaves that is the index-th of its level. Every hash and proof
of a tree of n leaves needs some twice log2(n) of them, so nobody reads all leaves.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence

Nodes = Callable[[int, int], bytes]  # (level, index) -> hash

EMPTY = hashlib.sha256().digest()  # the root of a tree without leaves
HASH_BYTES = 32


def leaf_hash(leaf: bytes) -> bytes:
    """Hash a leaf's bytes."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into one."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_hash(nodes: Nodes, size: int) -> bytes:
    """Give the root of the tree's first `size` leaves."""
    return _span(nodes, 0, size) if size else EMPTY


def inclusion(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """Prove that a leaf stands at an index among the first `size`: the hashes from the leaf up (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(index)
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _left(end - begin)
        if index < middle:
            path.append(_span(nodes, middle, end))
            end = middle
        else:
            path.append(_span(nodes, begin, middle))
            begin = middle
    return path[::-1]


def consistency(nodes: Nodes, first: int, second: int) -> list[bytes]:
    """Prove that the first leaves of a tree of `second` leaves are the tree of `first` leaves (RFC 9162, 2.1.4.1)."""
    if not 0 < first <= second:
        raise ValueError(first)
    path: list[bytes] = []
    begin, end = 0, second
    while first != end:
        middle = begin + _left(end - begin)
        if first <= middle:
            path.append(_span(nodes, middle, end))
            end = middle
        else:
            path.append(_span(nodes, begin, middle))
            begin = middle
    return [*([_span(nodes, begin, end)] if begin else []), *path[::-1]]


def proves_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Say whether a path leads from a leaf's hash at an index to the root of a tree of `size` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    here, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if here & 1 or here == last:
            found = node_hash(step, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, step)
        here, last = here >> 1, last >> 1
    return last == 0 and hmac.compare_digest(found, root)


def proves_consistency(first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Say whether a path shows that the tree of `second` leaves begins with that of `first` leaves (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and hmac.compare_digest(first_root, second_root)
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not steps:
        return False
    here, last = first - 1, second - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            new = node_hash(new, step)
        here, last = here >> 1, last >> 1
    return last == 0 and hmac.compare_digest(old, first_root) and hmac.compare_digest(new, second_root)


class Roots:
    """Computes roots of a growing tree leaf by leaf, remembering no more than one hash a level."""

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []  # of the complete subtrees, the largest first

    def add(self, leaf: bytes) -> None:
        """Append a leaf's hash."""
        self._complete.append(leaf)
        self.size += 1
        joined = self.size
        while not joined & 1:
            right = self._complete.pop()
            self._complete.append(node_hash(self._complete.pop(), right))
            joined >>= 1

    def root(self) -> bytes:
        """Give the root of the leaves so far."""
        return joined(self._complete)


def joined(complete: Iterable[bytes]) -> bytes:
    """Join complete subtrees, the largest first, into the root of their tree."""
    found = None
    for subtree in reversed(list(complete)):
        found = subtree if found is None else node_hash(subtree, found)
    return EMPTY if found is None else found


def _left(size: int) -> int:
    """Give how many leaves stand on the left of a tree: the largest power of two below its size."""
    return 1 << (size - 1).bit_length() - 1


def _span(nodes: Nodes, begin: int, end: int) -> bytes:
    """Hash a span of leaves that some tree splits off: complete subtrees, the last of them smaller."""
    complete = []
    while begin < end:
        size = end - begin
        level = size.bit_length() - 1  # spans begin at a multiple of their largest subtree
        complete.append(nodes(level, begin >> level))
        begin += 1 << level
    return joined(complete)
