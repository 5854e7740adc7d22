"""Who sees what of a message: staff, the party that sent it, a party it was delivered to. The one place that says so."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from .queries import DeliveryRow, MessageRow, Moment

# Events that parties are told. All others name staff, or tell who looked, held or exported: those are the gateway's own affairs.
TOLD = frozenset({
    "message.accepted", "message.refused", "message.written", "message.purged", "message.forgotten",
    "delivery.routed", "delivery.sending", "delivery.settled", "delivery.rescued",
})  # fmt: skip
IMPERSONAL = frozenset({"role", "certificate_sha256"})  # of a signer; the others are a person's name and numbers
PARTS = frozenset({"document", "body", "answer"})
RECEIVED = frozenset({"document"})  # the request around it, and what it was answered, are between the sender and the gateway

Tells = Callable[[str, str | None], bool]  # of an event's kind, and of which delivery it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Whoever looks: `party` is None for staff, who see every message; `content` is the right to see what persons wrote.

    Of a message that it sent, a party sees each delivery's party and state, but not what was exchanged with others; of one that was
    delivered to it, its own delivery only. A refused message proves no sender: the party that it names is told of it, no more.
    """

    party: str | None = None
    content: bool = False

    def concerned(self, row: MessageRow, deliveries: Iterable[DeliveryRow]) -> bool:
        """Say whether this message is any business of theirs."""
        return self.party in (None, row.sender) or any(map(self.owns, deliveries))

    def owns(self, delivery: DeliveryRow) -> bool:
        """Say whether they see a delivery as a whole, with what was exchanged, and may act on it."""
        return self.party is None or (self.party == delivery.party and delivery.concerns)

    def message(self, row: MessageRow) -> MessageRow:
        """Show a message without what is not for them: signers' names, by which key or address another party came."""
        signers = row.signers if self.content else tuple(map(_impersonal, row.signers))
        return replace(row, signers=signers, channel=row.channel if self._is_its(row) else row.channel.partition(":")[0])

    def deliveries(self, row: MessageRow, deliveries: Iterable[DeliveryRow]) -> tuple[DeliveryRow, ...]:
        """Show a message's deliveries: their own as they stand, those to others to its sender, without what was answered."""
        its = self._is_its(row)
        shown = (d for d in deliveries if its or self.owns(d))
        return tuple(d if self.owns(d) else replace(d, reference="", cause="", perhaps_taken=None) for d in shown)

    def tells(self, row: MessageRow, deliveries: Iterable[DeliveryRow]) -> Tells:
        """Make what says whether an event of some kind, and of some delivery, is for them."""
        shown = {delivery.id for delivery in self.deliveries(row, deliveries)}
        return lambda kind, delivery: self.party is None or (kind in TOLD and (not delivery or delivery in shown))

    def timeline(self, row: MessageRow, deliveries: Iterable[DeliveryRow], moments: Iterable[Moment]) -> tuple[Moment, ...]:
        """Show what happened to a message, as far as it is for them."""
        tells, its = self.tells(row, deliveries), self._is_its(row)
        return tuple(m if its else _without_others(m) for m in moments if tells(m.kind, m.delivery))

    def parts(self, row: MessageRow) -> frozenset[str]:
        """Name the parts of a message's content that they may have, where it is any business of theirs."""
        if not self.content or (self.party is not None and row.state != "accepted"):
            return frozenset()
        return PARTS if self._is_its(row) else RECEIVED

    def _is_its(self, row: MessageRow) -> bool:
        """Say whether they see a message as its sender does; staff do."""
        return self.party is None or (self.party == row.sender and row.state == "accepted")


STAFF = Viewer(content=True)


def tells_leaf(tells: Tells, leaf: str) -> bool:
    """Say whether a leaf of the ledger is for a viewer: its text cannot be shortened, so it is given whole or not at all."""
    event = json.loads(leaf)
    return tells(event["kind"], event.get("delivery"))


def _impersonal(signer: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in signer.items() if name in IMPERSONAL}


def _without_others(moment: Moment) -> Moment:
    """Leave out how many deliveries a message has."""
    return replace(moment, values={name: value for name, value in moment.values.items() if name != "deliveries"})
