"""Checks a ledger against copies of its heads: whoever altered, removed or reordered a sealed event, even the database's owner, shows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Problem
from gateway.security.certificates import Certificate

from .copies import Copy, is_witnessed_by
from .heads import SignedHead, is_signed_by
from .ledger import Ledger
from .merkle import HASH_BYTES, Roots, leaf_hash
from .tiles import WIDTH

PAGE = 2048  # leaves read at once, a multiple of a tile's width
MAX_ERRORS = 100  # told of; a ledger that somebody wrote anew has one for each leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a check found: leaves in the tree, until when they are under a good head, those that wait, and all that is wrong."""

    size: int
    sealed_until: datetime | None
    unsealed: int
    errors: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.errors


def check(ledger: Ledger, copies: Iterable[SignedHead], signers: Mapping[str, Certificate]) -> Verification:
    """Check a ledger and its own heads against copies of heads that were kept elsewhere.

    Every leaf is read once, in constant memory but for the heads; `signers`, by SHA-256, are the certificates that may sign heads.
    The checks have the numbers of LEDGER.md.
    """
    standing, own = ledger.standing(), tuple(ledger.heads())
    heads, errors = _by_size((*copies, *own), signers)
    found = _walk(ledger, heads)
    errors += found.errors
    # a ledger that agrees with itself is another history than the one that a signed copy of a head tells of
    whole = bool(own) and not found.errors and all(found.roots.get(signed.head.size) == signed.head.root for signed in own)
    for size, signed in heads.items():
        # (5) the ledger has every leaf that a head counts
        if size > found.size:
            errors.append(Problem(text="ledger.cut-short", values={"check": "5", "size": str(size), "found": str(found.size)}))
        # (6) the root over the leaves is the head's
        elif found.roots[size] != signed.head.root:
            errors.append(Problem(text="ledger.fork" if whole else "ledger.root-differs", values={"check": "6", "size": str(size)}))
    good = [signed for size, signed in heads.items() if found.roots.get(size) == signed.head.root]
    return Verification(
        size=found.size,
        sealed_until=max((signed.head.at for signed in good), default=None),
        unsealed=standing.unsealed,
        errors=tuple(errors[:MAX_ERRORS]),
    )


def unwitnessed(copies: Iterable[Copy], witnesses: Mapping[str, Certificate]) -> Iterator[Problem]:
    """Tell of copies that none of the witnesses' certificates (by SHA-256) countersigned, so that somebody else may have made them."""
    for copy in copies:
        # (8) a copy is countersigned by the witness
        if not is_witnessed_by(copy, witnesses):
            yield Problem(text="ledger.witness-missing", values={"check": "8", "size": str(copy.signed.head.size)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walked:
    size: int
    roots: Mapping[int, bytes]  # by the sizes asked for
    errors: list[Problem]


def _by_size(signed: Iterable[SignedHead], signers: Mapping[str, Certificate]) -> tuple[dict[int, SignedHead], list[Problem]]:
    """Sort heads by size; leave out those that are not signed as they must be, and tell of two trees of one size."""
    heads: dict[int, SignedHead] = {}
    errors = []
    for one in signed:
        size = one.head.size
        # (1) a head is signed by a certificate that may sign heads, valid at its time
        if not is_signed_by(one, signers):
            errors.append(Problem(text="ledger.head-signature", values={"check": "1", "size": str(size), "key": one.head.key}))
        # (2) of one size there is one tree
        elif heads.setdefault(size, one).head.root != one.head.root:
            errors.append(Problem(text="ledger.forked", values={"check": "2", "size": str(size)}))
    return dict(sorted(heads.items())), errors


def _walk(ledger: Ledger, heads: Mapping[int, SignedHead]) -> _Walked:
    growing, roots, errors = Roots(), {}, []
    for position, leaf, expected in _leaves(ledger):
        # (3) positions follow each other
        if position != growing.size:
            errors.append(Problem(text="ledger.leaf-missing", values={"check": "3", "position": str(growing.size), "found": str(position)}))
            break  # what follows stands elsewhere in the tree
        found = leaf_hash(leaf.encode())
        # (4) a leaf is what was hashed when it was sealed
        if found != expected:
            errors.append(Problem(text="ledger.leaf-altered", values={"check": "4", "position": str(position)}))
        growing.add(found)
        if growing.size in heads:
            roots[growing.size] = growing.root()
    return _Walked(size=growing.size, roots=roots, errors=errors)


def _leaves(ledger: Ledger) -> Iterator[tuple[int, str, bytes]]:
    """Give every sealed leaf with its position and the hash that was stored of it, empty where none was."""
    begin = 0
    while page := ledger.sealed(begin, PAGE):
        tiles = {number: ledger.tile(number) for number in {position // WIDTH for position, _ in page}}
        for position, leaf in page:
            at = position % WIDTH * HASH_BYTES
            yield position, leaf, tiles[position // WIDTH][at : at + HASH_BYTES]
        begin = page[-1][0] + 1
