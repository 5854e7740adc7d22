"""The keys and certificates an installation holds, and whether they hold."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from gateway.errors import Problem, Unavailable
from gateway.security.certificates import Certificate
from gateway.security.trust import Trust

SOON = timedelta(days=60)  # a renewal at a licensed provider takes weeks


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One certificate: `use` is "gateway", "party" or "anchor-<purpose>"; `party` is set for a party's."""

    use: str
    party: str | None
    certificate: Certificate
    days: int
    valid: bool

    @property
    def state(self) -> Literal["good", "soon", "bad"]:
        """Say whether it holds, and whether it will for a while."""
        return "bad" if not self.valid else "soon" if self.days < SOON.days else "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Everything that was found, and what could not be read."""

    certificates: tuple[Holding, ...]
    problems: tuple[Problem, ...]

    @property
    def good(self) -> bool:
        """Whether all is there and holds."""
        return not self.problems and all(held.valid for held in self.certificates)


def holdings(pki: Path, *, at: datetime) -> Holdings:
    """Look at the gateway's own key and certificate, the parties' certificates, and the anchors."""
    trust = Trust(pki)
    registry = trust.registry
    problems = list(registry.problems)
    own: tuple[Certificate, ...] = ()
    try:
        own = trust.own_key().certificates[:1]
    except Unavailable as error:
        made = (pki / "gateway.key.pem").exists() or (pki / "gateway.cert.pem").exists()
        problems += error.problems if made else [Problem(text="cli.certs-none", path=str(pki))]
    found = [_holding("gateway", None, certificate, at) for certificate in own]
    found += [_holding("party", code, certificate, at) for code, held in sorted(registry.parties.items()) for certificate in held]
    for purpose, anchors in sorted(registry.anchors.items()):
        found += [_holding(f"anchor-{purpose}", None, certificate, at) for certificate in anchors.certificates]
    return Holdings(certificates=tuple(found), problems=tuple(problems))


def _holding(use: str, party: str | None, certificate: Certificate, at: datetime) -> Holding:
    days = (certificate.not_after - at).days
    return Holding(use=use, party=party, certificate=certificate, days=days, valid=certificate.valid_at(at))
