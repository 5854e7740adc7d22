"""The gate of the REST interface: which role an endpoint needs, and whose messages a caller may see."""

from collections import Counter
from collections.abc import Callable

from fastapi import Request
from starlette.datastructures import QueryParams

from gateway.errors import Code, GatewayError, NotProven, Problem
from gateway.model import Channel
from gateway.store.viewer import Viewer
from gateway.web.address import local_host
from gateway.web.auth import Access
from gateway.web.bodies import read_head
from gateway.web.errors import MAX_NAME

STAFF = "staff"  # whoever of the operators did something, to those who belong to a party


class Gate:
    """Turns roles into dependencies of endpoints."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def needs(self, *roles: str) -> Callable[[Request], Channel]:
        """Make a dependency that gives the caller's channel; raises NotProven(NOT_ALLOWED) where it has none of the roles.

        Raises GatewayError(SCHEMA) where a parameter of the query stands twice: only one would count.
        """

        def channel(request: Request) -> Channel:
            found = self._access.channel(request.scope, read_head(request.scope))
            self._access.demand(found, *roles)
            _refuse_twice(request.query_params)
            return found

        return channel

    def may(self, channel: Channel, *roles: str) -> bool:
        """Say whether a caller has one of these roles."""
        try:
            self._access.demand(channel, *roles)
        except NotProven:
            return False
        return True

    def staff(self, *roles: str) -> Callable[[Request], Channel]:
        """Make a dependency as needs() does that moreover refuses callers who belong to a party."""
        needed = self.needs(*roles)

        def channel(request: Request) -> Channel:
            found = needed(request)
            if found.party is not None:
                raise NotProven(Code.NOT_ALLOWED, Problem(text="web.staff-only", values={"party": found.party}))
            return found

        return channel

    def party(self, *roles: str) -> Callable[[Request], Channel]:
        """Make a dependency as needs() does that moreover refuses, before the body is looked at, callers who belong to no party."""
        needed = self.needs(*roles)

        def channel(request: Request) -> Channel:
            return self.belonging(needed(request))

        return channel

    def trusts(self, request: Request) -> bool:
        """Say whether a caller may know how the gateway itself stands: staff who read, or a program beside a gateway without keys.

        Raises NotProven(NOT_ALLOWED) where a credential is presented that is not known.
        """
        head = read_head(request.scope)
        channel = self._access.channel(request.scope, head)
        if not self._access.guarded:
            return local_host(head.get(b"host"))
        return channel.party is None and self.may(channel, "reader", "operator")

    def viewer(self, channel: Channel) -> Viewer:
        """Say who looks: for which party, and whether at content."""
        return Viewer(party=channel.party, content=self.may(channel, "content"))

    def owner(self, channel: Channel, asked: str | None) -> str:
        """Name the party that a caller is; on a gateway without keys it may say so itself.

        Raises NotProven(NOT_ALLOWED) where it is none.
        """
        party = party_of(self.belonging(channel), asked)
        if party is None:
            raise _nobodys(channel)
        return party

    def belonging(self, channel: Channel) -> Channel:
        """Let a caller pass that belongs to a party; on a gateway without keys nobody does, and all may. Raises NotProven(NOT_ALLOWED)."""
        if channel.party is None and self._access.guarded:
            raise _nobodys(channel)
        return channel


def party_of(channel: Channel, asked: str | None) -> str | None:
    """Choose whose messages are shown: a caller that belongs to a party sees that party's only.

    Raises NotProven(NOT_ALLOWED) where it asks for another's.
    """
    if channel.party is None or asked in (None, channel.party):
        return channel.party or asked
    raise NotProven(Code.NOT_ALLOWED, Problem(text="web.other-party", values={"party": channel.party}))


def whose(channel: Channel, asked: str | None) -> dict[str, object]:
    """Say what a list is limited to, as party_of() chooses; a party is shown what concerns it still. Raises NotProven(NOT_ALLOWED)."""
    return {"party": party_of(channel, asked), "own": channel.party is not None}


def label(channel: Channel) -> str:
    """Name a caller as the ledger knows it."""
    return f"{channel.kind}:{channel.name}"


def told_by(channel: Channel, by: str) -> str:
    """Name who did something; a party is told that staff did, not who."""
    return by if channel.party is None else STAFF


def _nobodys(channel: Channel) -> NotProven:
    return NotProven(Code.NOT_ALLOWED, Problem(text="web.nobodys", values={"name": channel.name}))


def _refuse_twice(asked: QueryParams) -> None:
    for name, times in Counter(name for name, _ in asked.multi_items()).items():
        if times > 1:
            raise GatewayError(Code.SCHEMA, Problem(text="web.parameter-twice", path=name[:MAX_NAME], values={"name": name[:MAX_NAME]}))
