"""What staff may correct in the header that the gateway itself writes; what was signed is never touched."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.errors import Code, NotValid, Problem
from gateway.model import Party, Route

CORRECTABLE = ("receiver", "version")  # To/identity in another of the party's spellings; Reference/version
MAX_VERSION = 50  # characters, as the field's schemas have it


def corrected(route: Route, corrections: Mapping[str, str]) -> Route:
    """Give a route with what staff corrected for one delivery. Pure; raises nothing."""
    if not corrections:
        return route
    party = route.party
    identity = replace(party.identity, identity=corrections.get("receiver", party.identity.identity))
    version = {name: text for name, text in corrections.items() if name == "version"}
    return replace(route, party=replace(party, identity=identity, dialect={**party.dialect, **version}))


def check_corrections(corrections: Mapping[str, str]) -> None:
    """Refuse whatever is not the gateway's own to write; raises NotValid."""
    for name, text in corrections.items():
        if name not in CORRECTABLE:
            raise NotValid(Code.NOT_ALLOWED, Problem(text="mending.not-ours", values={"name": name, "known": ", ".join(CORRECTABLE)}))
        if not 0 < len(text) <= MAX_VERSION or not text.isprintable():
            raise NotValid(Code.NOT_ALLOWED, Problem(text="mending.correction", values={"name": name}))


def check_receiver(receiver: str, party: Party) -> None:
    """Refuse a spelling that is another party's; raises NotValid."""
    known = {party.code, party.identity.identity, *party.aliases}
    if receiver not in known:
        values = {"receiver": receiver, "party": party.code, "known": ", ".join(sorted(known))}
        raise NotValid(Code.NOT_ALLOWED, Problem(text="mending.receiver", values=values))
