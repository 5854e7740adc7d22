"""What seals: leaves get their places, all that wait, and the head its signature."""

from gateway.security.keys import SigningKey

from .ledger import BATCH, Ledger

EVERY_SECONDS = 1.0
MOST_BATCHES = 20  # in one round, so that it ends; the next one goes on


class Sealing:
    """Seals and signs with the key in force; any number of processes may, of which one at a time does."""

    def __init__(self, ledger: Ledger, key: SigningKey) -> None:
        self._ledger = ledger
        self._key = key

    def renew(self, key: SigningKey) -> None:
        """Sign with another key from now on."""
        self._key = key

    @property
    def key(self) -> SigningKey:
        """The key that heads are signed with now."""
        return self._key

    def seal(self) -> None:
        """Seal what waits and sign the heads; raises Unavailable where database or key are away, and the next round does it."""
        for _ in range(MOST_BATCHES):
            if self._ledger.seal() < BATCH:
                break
        self._ledger.sign(self._key)
