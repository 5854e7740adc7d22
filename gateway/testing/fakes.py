"""Stand-ins without network or disk, each passing the same suite as the real thing."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from gateway.errors import Code, Problem, Unavailable
from gateway.model import Reply, Request
from gateway.transport.http import check_sendable

Partner = Callable[[Request], Reply]


class FakeTransport:
    """Partners are functions by endpoint, nobody listens anywhere else; `sent` keeps what was asked of them."""

    def __init__(self, partners: Mapping[str, Partner]) -> None:
        """Know these partners."""
        self._partners = dict(partners)
        self.sent: list[Request] = []

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        """Ask the partner at the endpoint; raises what the partner raises, and Unavailable where there is none."""
        check_sendable(request)
        self.sent.append(request)
        reply = self._partners.get(request.endpoint, unavailable("transport.refused"))(request)
        _ = timeout  # a function answers at once or raises
        return Reply(status=reply.status, body=reply.body, headers={name.lower(): value for name, value in reply.headers.items()})


def unavailable(text: str) -> Partner:
    """Make a partner that fails in one way, such as "transport.timeout"."""

    def refuse(request: Request) -> Reply:
        raise Unavailable(Code.UNAVAILABLE, Problem(text=text, path=request.endpoint))

    return refuse
