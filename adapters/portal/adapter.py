"""The adapter that reaches the national portal: two pure functions and a profile."""

from gateway.lifecycle import Outcome
from gateway.model import Envelope, Reply, Request, Route
from gateway.ports import Profile
from gateway.protocols.vnsw import client

from .mapping import DIALECT, TRY_LATER


class Portal:
    """Implements ports.Adapter; without state."""

    profile = Profile(
        name="portal",
        protocol="vnsw",
        specification="VNSW gateway, receiveRequest, as its clients of 2017 to 2021 call it",
    )

    def encode(self, envelope: Envelope, route: Route) -> Request:
        """Write a message as the agency wants it; raises what xml.envelope.forward raises."""
        return client.encode(DIALECT, envelope, route)

    def decode(self, reply: Reply) -> Outcome:
        """Read what the agency answered; never raises."""
        return client.decode(DIALECT, reply, try_later=TRY_LATER)

    def signed_part(self, reply: Reply) -> bytes | None:
        """Give the envelope inside a reply, for its signature to be proved."""
        return client.signed_part(DIALECT, reply)


ADAPTER = Portal()
