"""The tree's hashes as they are stored: 256 a tile, a tile for every eight levels, so that few rows are read and one is written."""

from collections.abc import Sequence

from gateway.ports import Tx

from . import sql
from .merkle import HASH_BYTES, node_hash

WIDTH = 256  # hashes in a full tile: 8 KiB
LEVELS = 8  # of the tree in a tile


class Tiles:
    """The tiles of one ledger within one transaction; reads each of them once."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._held: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """Give the hash of a complete subtree; implements merkle.Nodes. Raises LookupError where a tile is missing or cut short."""
        tile_level, inside = divmod(level, LEVELS)
        number, first = divmod(index << inside, WIDTH)
        hashes = split(self._tile(tile_level, number))[first : first + (1 << inside)]
        if len(hashes) != 1 << inside:
            raise LookupError(level, index)
        return subtree(hashes)

    def append(self, size: int, hashes: Sequence[bytes]) -> None:
        """Append leaves' hashes to a tree of `size` leaves."""
        level = 0
        while hashes:
            number, filled = divmod(size, WIDTH)
            whole = split(self._tile(level, number)[: filled * HASH_BYTES]) if filled else []
            if len(whole) != filled:
                raise LookupError(level, number)
            whole += hashes
            for begin in range(0, len(whole), WIDTH):
                self._put(level, number + begin // WIDTH, b"".join(whole[begin : begin + WIDTH]))
            complete = len(whole) // WIDTH
            hashes = [subtree(whole[n * WIDTH : (n + 1) * WIDTH]) for n in range(complete)]
            level, size = level + 1, number

    def _tile(self, level: int, number: int) -> bytes:
        if (level, number) not in self._held:
            rows = self._tx.rows(sql.TILE, level=level, number=number)
            self._held[level, number] = bytes(rows[0][0]) if rows else b""
        return self._held[level, number]

    def _put(self, level: int, number: int, hashes: bytes) -> None:
        self._tx.changed(sql.PUT_TILE, level=level, number=number, hashes=hashes)
        self._held[level, number] = hashes


def split(tile: bytes) -> list[bytes]:
    """Take a tile apart."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def subtree(hashes: Sequence[bytes]) -> bytes:
    """Give the root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]
