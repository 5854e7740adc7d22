"""Witnesses other gateways' heads: whoever shows one party two histories of its ledger is found out here (LEDGER.md, section 7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Code, Conflict, NotProven, Problem
from gateway.model import PartyCode
from gateway.ports import Clock, Watch
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey

from .copies import Copy, Journal, countersign, last_of, open_journal
from .heads import SignedHead, is_signed_by
from .merkle import proves_consistency

MOST_REFUSED_BYTES = 16 * 1024 * 1024  # kept of one party: some 40,000 heads; one proves the fork, the others are told of only

HELD, REFUSED = "heads.jsonl", "refused.jsonl"  # in a party's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A head to be witnessed, and the proof that its tree begins with that of `old` leaves, which the witness holds; 0: nothing yet."""

    signed: SignedHead
    old: int
    path: tuple[bytes, ...]


class Witness:
    """Keeps the heads of every party's ledger in a file of its own; several nodes that are one witness share the folder."""

    def __init__(self, folder: Path, *, key: Callable[[], SigningKey], clock: Clock, watch: Watch) -> None:
        """`key` countersigns. Events: `ledger.witnessed`, `ledger.witness-refused`."""
        self._folder = folder
        self._key = key
        self._clock = clock
        self._watch = watch

    def held(self, party: PartyCode) -> Copy | None:
        """Give the last head held of a party; None where there is none. Raises Unavailable where its file cannot be read."""
        return last_of(self._folder / party / HELD)

    def witness(self, party: PartyCode, signers: Sequence[Certificate], offer: Offer) -> Copy:
        """Check a head against the last one held of a party, keep it, and countersign it; `signers` are registered for that party.

        Raises NotProven where none of them signed it, Conflict where it does not follow the last one, and Unavailable. The checks have
        the numbers of LEDGER.md.
        """
        # (W1) signed by a certificate that is registered for the party, valid at the head's time
        if not is_signed_by(offer.signed, {signer.sha256: signer for signer in signers}):
            raise NotProven(Code.SIGNATURE, Problem(text="ledger.witness-signature", values={"party": party, "check": "W1"}))
        with open_journal(self._folder / party / HELD, wait=True) as journal:
            if journal is None:
                raise LookupError(party)  # whoever waits gets it
            return self._follow(journal, party, offer)

    def notices(self) -> list[Problem]:
        """Say whose heads were refused because they show two histories, until somebody takes the file of them away."""
        refused = sorted(self._folder.glob(f"*/{REFUSED}"))
        return [Problem(text="ledger.witness-fork", path=str(path), values={"party": path.parent.name}) for path in refused]

    def _follow(self, journal: Journal, party: PartyCode, offer: Offer) -> Copy:
        last = journal.last()
        size, held = offer.signed.head.size, last.signed.head if last else None
        # (W2) of one size there is one tree; the same head again gets the answer that it got
        if last and held and size == held.size:
            return last if offer.signed.head.root == held.root else self._refuse(party, offer, held.size, "W2")
        # (W3) the offer follows the head that is held
        if offer.old != (held.size if held else 0) or size < offer.old:
            values = {"party": party, "held": str(held.size if held else 0), "check": "W3"}
            raise Conflict(Code.CONFLICT, Problem(text="ledger.witness-moved", values=values))
        # (W4) its tree begins with the tree of the head that is held
        if held and not proves_consistency(held.size, size, offer.path, held.root, offer.signed.head.root):
            return self._refuse(party, offer, held.size, "W4")
        copy = countersign(offer.signed, self._key(), at=self._clock())
        journal.append(copy)
        self._watch("ledger.witnessed", {"party": party, "size": size})
        return copy

    def _refuse(self, party: PartyCode, offer: Offer, held: int, check: str) -> Copy:
        """Tell of what is refused, keep it, and refuse; raises Conflict."""
        size = offer.signed.head.size
        self._watch("ledger.witness-refused", {"party": party, "size": size, "held": held, "code": check})
        with open_journal(self._folder / party / REFUSED, wait=True) as journal:
            if journal and journal.size < MOST_REFUSED_BYTES and journal.last() != Copy(signed=offer.signed):
                journal.append(Copy(signed=offer.signed))
        values = {"party": party, "size": str(size), "held": str(held), "check": check}
        raise Conflict(Code.CONFLICT, Problem(text="ledger.witness-inconsistent", values=values))
