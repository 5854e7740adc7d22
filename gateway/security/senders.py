"""Who a message says it is from, and who may send for whom."""

from gateway.model import Identity, Party, PartyCode
from gateway.ports import Directory


def resolve(identity: Identity, directory: Directory) -> Party | None:
    """Find the party that an envelope's From means: the first of its fields that names one, from the most exact to the widest."""
    spellings = (identity.identity, identity.name, identity.unit, identity.organization, identity.ministry)
    known = (directory.party(s) for s in spellings if s)
    return next((p for p in known if p is not None), None)


def may_send(party: PartyCode, sender: PartyCode, directory: Directory | None) -> bool:
    """Say whether a party is the sender, or may send for it."""
    if party == sender:
        return True
    other = directory.party(party) if directory else None
    return other is not None and sender in other.sends_for
