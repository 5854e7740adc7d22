"""The ledger: gives leaves their places in the tree, signs heads, and proves what stands in it (docs/protocol/LEDGER.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.errors import Code, NotValid, Problem
from gateway.ports import Clock, Database, Tx
from gateway.security.keys import SigningKey
from gateway.store.times import from_micros, to_micros

from . import sql
from .heads import Head, SignedHead, write_head
from .merkle import consistency, inclusion, leaf_hash, root_hash
from .tiles import Tiles

BATCH = 1000  # leaves sealed in one commit
PAGE = 1000  # heads read at once
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedLeaf:
    """A leaf's exact text, where it stands in the tree, and the path from it to the root."""

    leaf: str
    position: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What proves a message's events: each leaf under one signed head; `waiting` counts those that no signed head covers yet."""

    message: str
    head: SignedHead | None
    leaves: tuple[ProvedLeaf, ...]
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the ledger stands: leaves in the tree, those that wait, and the last signed head."""

    size: int
    unsealed: int
    head: SignedHead | None


class Ledger:
    """One ledger; every method may be called from any thread and raises Unavailable where the database is away."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --- making ------------------------------------------------------------------------------------------------------

    def seal(self) -> int:
        """Give waiting leaves, at most BATCH, their places, and store the new head, in one commit; says how many.

        Nothing links leaves when they are written, because commits end in another order than they begin; whatever waits when a
        process comes to seal is sealed, and a process that dies on the way has changed nothing.
        """
        return self._database.commit(self._seal)

    def sign(self, key: SigningKey) -> int:
        """Sign the heads that wait for it, outside the commit that stored them: a slow or absent key delays no leaf. Says how many."""
        rows = self._database.read(lambda tx: tx.rows(sql.UNSIGNED))
        return sum(self._sign(key, *row) for row in rows)

    def _seal(self, tx: Tx) -> int:
        if self._database.kind == "postgresql" and not tx.rows(sql.ELECTED)[0][0]:
            return 0  # another process is sealing
        last = tx.rows(sql.LAST)
        size = last[0][0] if last else 0
        sealed = sorted(tx.rows(sql.SEAL, size=size, most=BATCH))
        if sealed:
            tiles = Tiles(tx)
            tiles.append(size, [leaf_hash(leaf.encode()) for _, leaf in sealed])
            size += len(sealed)
            tx.changed(sql.PUT_HEAD, size=size, root=root_hash(tiles.node, size), at=to_micros(self._clock()))
        return len(sealed)

    def _sign(self, key: SigningKey, size: int, root: bytes, at: int) -> int:
        signer = key.certificates[0].sha256
        value = key.sign(write_head(Head(size=size, root=bytes(root), at=from_micros(at), key=signer)))
        return self._database.commit(lambda tx: tx.changed(sql.SIGN, of=size, by=signer, value=_value(key.algorithm, value)))

    # --- reading -----------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Say how the ledger stands."""

        def work(tx: Tx) -> Standing:
            last, signed = tx.rows(sql.LAST), tx.rows(sql.LAST_SIGNED)
            ((unsealed,),) = tx.rows(sql.COUNT_UNSEALED)
            return Standing(
                size=last[0][0] if last else 0,
                unsealed=unsealed,
                head=signed_head(signed[0]) if signed else None,
            )

        return self._database.read(work)

    def newest(self) -> SignedHead | None:
        """Give the last signed head; None where there is none."""
        rows = self._database.read(lambda tx: tx.rows(sql.LAST_SIGNED))
        return signed_head(rows[0]) if rows else None

    def head(self, size: int) -> SignedHead | None:
        """Give the signed head of so many leaves; None where there is none."""
        rows = self._database.read(lambda tx: tx.rows(sql.HEAD_OF, size=size))
        return signed_head(rows[0]) if rows else None

    def heads(self, *, after: int = 0) -> Iterator[SignedHead]:
        """Give the signed heads of more than `after` leaves, the smallest first."""
        while rows := self._page(after):
            yield from map(signed_head, rows)
            after = rows[-1][0]

    def proof_of(self, message: str, *, under: int | None = None) -> Proof:
        """Prove what happened to a message under the last signed head, or that of `under` leaves.

        Raises NotValid where nothing is known of it.
        """

        def work(tx: Tx) -> Proof:
            rows = tx.rows(sql.LEAVES_OF, message=message)
            signed = tx.rows(sql.LAST_SIGNED) if under is None else tx.rows(sql.HEAD_OF, size=under)
            if not rows:
                raise NotValid(Code.NOT_FOUND, Problem(text="ledger.no-message", values={"message": message}))
            size = signed[0][0] if signed else 0
            node = Tiles(tx).node
            leaves = tuple(
                ProvedLeaf(leaf=leaf, position=position, path=tuple(inclusion(node, position, size)))
                for position, leaf in rows
                if position is not None and position < size
            )
            return Proof(message=message, head=signed_head(signed[0]) if signed else None, leaves=leaves, waiting=len(rows) - len(leaves))

        return self._database.read(work)

    def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """Prove that the tree of `second` leaves begins with that of `first`; raises NotValid where there are no such trees."""

        def work(tx: Tx) -> tuple[bytes, ...]:
            last = tx.rows(sql.LAST)
            if not 0 < first <= second <= (last[0][0] if last else 0):
                raise NotValid(Code.NOT_FOUND, Problem(text="ledger.no-tree", values={"first": str(first), "second": str(second)}))
            return tuple(consistency(Tiles(tx).node, first, second))

        return self._database.read(work)

    def sealed(self, begin: int, most: int) -> list[tuple[int, str]]:
        """Give sealed leaves from a position on, with their positions, in order."""
        rows = self._database.read(lambda tx: tx.rows(sql.SEALED, begin=begin, most=most))
        return [(position, leaf) for position, leaf in rows]

    def tile(self, number: int) -> bytes:
        """Give a tile of leaves' hashes; empty where there is none."""
        rows = self._database.read(lambda tx: tx.rows(sql.TILE, level=0, number=number))
        return bytes(rows[0][0]) if rows else b""

    def _page(self, after: int) -> list[Row]:
        return self._database.read(lambda tx: tx.rows(sql.HEADS, after=after, most=PAGE))


def _value(method: str, value: bytes) -> bytes:
    """Keep a signature with its algorithm's URI before it."""
    return method.encode("ascii") + b"\0" + value


def signed_head(row: Row) -> SignedHead:
    """Read a row of sql's heads."""
    size, root, at, certificate, value = row
    method, _, signature = bytes(value).partition(b"\0")
    head = Head(size=size, root=bytes(root), at=from_micros(at), key=certificate or "")
    return SignedHead(head=head, method=method.decode("ascii"), signature=signature)
