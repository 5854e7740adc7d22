"""Who is calling: the channel that a connection proves by its key, its client certificate or its network."""

import re
from collections.abc import Callable

from starlette.types import Scope

from gateway.errors import Code, NotProven, Problem
from gateway.model import Channel, PartyCode

from .bodies import Head
from .keys import KeyFile

CERTIFICATE = "peer_certificate"  # where in scope["state"] the connection puts the SHA-256 of the client's certificate, in hex
OF_A_PARTY = frozenset({"reader", "sender", "collector", "content"})  # a party's certificate, with its own messages only

_BEARER = re.compile(r"[Bb]earer +(\S+) *")


class Access:
    """Says what a connection proves. `guarded` where keys or client certificates are configured; otherwise only loopback is served."""

    def __init__(self, *, keys: KeyFile | None, party_of: Callable[[str], PartyCode | None], guarded: bool) -> None:
        """`party_of` finds the party that registered a certificate by its SHA-256 in hex; raises NotProven where it may not be used."""
        self._keys = keys
        self._party_of = party_of
        self.guarded = guarded

    def channel(self, scope: Scope, head: Head) -> Channel:
        """Name the channel; raises NotProven(NOT_ALLOWED) where a credential is presented that is not known, or may not be used.

        A key goes before a certificate: it is presented with this very request. A wrong one is never taken for none, nor is a
        certificate that was revoked. With slow hashes in the key file this may take a while, so call it in a thread; raises
        Unavailable while another caller's key is tried against them.
        """
        key = _presented(head)
        if key is not None:
            return self._by_key(key)
        certificate = scope.get("state", {}).get(CERTIFICATE)
        if certificate:
            party = self._party_of(certificate)
            return Channel(kind="certificate", name=certificate, party=party, roles=OF_A_PARTY if party else frozenset())
        client = scope.get("client")
        return Channel(kind="network", name=client[0]) if client else Channel(kind="open", name="")

    def problems(self) -> tuple[Problem, ...]:
        """Say what is wrong with the file of keys as it is now, while earlier keys are in force."""
        return self._keys.problems() if self._keys else ()

    def demand(self, channel: Channel, *roles: str) -> None:
        """Let a channel pass that has one of the roles; raises NotProven(NOT_ALLOWED). Without a guard everyone on loopback passes."""
        if not self.guarded or channel.roles.intersection(roles):
            return
        if channel.kind in ("network", "open"):
            raise NotProven(Code.NOT_ALLOWED, Problem(text="web.credential-missing"))
        raise NotProven(Code.NOT_ALLOWED, Problem(text="web.role", values={"roles": ", ".join(roles), "name": channel.name}))

    def _by_key(self, key: str) -> Channel:
        found = self._keys.find(key) if self._keys else None
        if found is None:
            raise NotProven(Code.NOT_ALLOWED, Problem(text="web.credential-unknown"))
        return Channel(kind="key", name=found.name, party=found.party, roles=found.roles)


def _presented(head: Head) -> str | None:
    """Give the key of a request; a scheme other than Bearer, and two keys at once, are keys that nobody knows."""
    bearer, plain = head.get(b"authorization"), head.get(b"x-api-key")
    if bearer is None:
        return None if plain is None else plain.decode("latin-1").strip()
    match = _BEARER.fullmatch(bearer.decode("latin-1"))
    return match[1] if match and plain is None else ""
