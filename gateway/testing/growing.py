"""A ledger's tree without a ledger, for whoever is shown heads of it: it grows, signs, and proves that it only grew."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.evidence.heads import Head, SignedHead, write_head
from gateway.evidence.merkle import Roots, consistency, leaf_hash
from gateway.evidence.witness import Offer
from gateway.security.devpki import generate
from gateway.security.keys import SigningKey, load_key

BORN = datetime(2026, 1, 1, tzinfo=UTC)


def make_key(folder: Path) -> SigningKey:
    """Make a gateway's own key with its certificate."""
    generate(folder, now=BORN, parties=())
    return load_key(folder / "gateway.key.pem", folder / "gateway.cert.pem")


class Tree:
    """A tree whose leaves are what they are called; another `history` makes another tree of the same sizes."""

    def __init__(self, key: SigningKey, *, clock: Callable[[], datetime], history: str = "true") -> None:
        self._key = key
        self._clock = clock
        self._history = history
        self._leaves: list[bytes] = []

    def grow(self, size: int) -> SignedHead:
        """Add leaves until there are so many, and sign the head."""
        self._leaves += [leaf_hash(f"{self._history} {n}".encode()) for n in range(len(self._leaves), size)]
        head = Head(size=size, root=self._node_of(0, size), at=self._clock(), key=self._key.certificates[0].sha256)
        return SignedHead(head=head, method=self._key.algorithm, signature=self._key.sign(write_head(head)))

    def offer(self, size: int, *, after: int = 0) -> Offer:
        """Grow, and offer the head with the proof that it follows that of `after` leaves."""
        signed = self.grow(size)
        return Offer(signed=signed, old=after, path=self.proof(after, size) if after else ())

    def proof(self, first: int, second: int) -> tuple[bytes, ...]:
        """Prove that the tree of `second` leaves begins with that of `first`."""
        return tuple(consistency(lambda level, index: self._node_of(index << level, (index + 1) << level), first, second))

    def _node_of(self, begin: int, end: int) -> bytes:
        roots = Roots()
        for leaf in self._leaves[begin:end]:
            roots.add(leaf)
        return roots.root()
