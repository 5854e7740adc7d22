"""What a serving gateway learned of revocations, for commands beside it: read from its folder; nobody is asked."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from lxml.etree import _Element

from gateway.errors import Code, Problem, Unavailable
from gateway.model import Reply, Request
from gateway.ports import Clock

from .path import Chain
from .statuses import Rule, Statuses


class KeptStatuses(Statuses):
    """Statuses as they were fetched last; never started, because it asks nobody."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        """Read the folder that a serving gateway keeps what it fetched in."""
        super().__init__(folder, _Nobody(), clock=clock, watch=_untold)

    def check(self, path: Chain, rule: Rule, *, at: datetime, place: _Element | None = None) -> None:
        """Refuse as the flow does, after reading what is kept of this path (SIG-60, SIG-61)."""
        for certificate, issuer in pairwise(path):
            self.unknown(certificate, issuer, at=at)  # from now on it is looked for
        self.refresh()
        super().check(path, rule, at=at, place=place)


class _Nobody:
    """A transport that reaches nobody."""

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        """Raise Unavailable."""
        raise Unavailable(Code.UNAVAILABLE, Problem(text="transport.refused", path=request.endpoint, values={"seconds": str(timeout)}))


def _untold(event: str, values: Mapping[str, object]) -> None:
    """Leave untold what a serving gateway tells."""
