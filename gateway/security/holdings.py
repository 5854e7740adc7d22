"""The keys and certificates an installation holds, and whether they hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from gateway.errors import Problem, Unavailable

from .certificates import Certificate
from .ownkey import OwnKey
from .trust import Registry, Trust

SOON = timedelta(days=60)  # a renewal at a licensed provider takes weeks
THRESHOLDS = (1, 7, 14, 30, 60)  # days before the end at which people are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One certificate: `use` is "gateway", "party" or "anchor-<purpose>"; `party` is set for a party's.

    `succeeded` where another certificate of the same party is in force and lasts longer.
    """

    use: str
    party: str | None
    certificate: Certificate
    days: int
    valid: bool
    succeeded: bool = False

    event = "certificate.expiring"  # in the log

    @property
    def name(self) -> str:
        """Tell it from all others."""
        return self.certificate.sha256

    @property
    def fields(self) -> dict[str, str | int]:
        """Say in the log which it is."""
        return {"use": self.use, "party": self.party or "", "certificate": self.certificate.sha256, "days": self.days}

    @property
    def notice(self) -> Problem:
        """Say that it ends soon, or that it ended."""
        values = {"subject": self.certificate.subject, "days": str(self.days), "until": f"{self.certificate.not_after:%Y-%m-%d}"}
        return Problem(text=f"certificates.{'expiring' if self.valid else 'ended'}", path=self.party or self.use, values=values)

    @property
    def state(self) -> Literal["good", "soon", "bad"]:
        """Say whether it holds, and whether it will for a while."""
        return "bad" if not self.valid else "soon" if self.days < SOON.days else "good"

    @property
    def threshold(self) -> int | None:
        """Give the number of days that people are told at; None while there is time, or where it is succeeded."""
        return None if self.succeeded else threshold(self.days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Everything that was found, and what could not be read."""

    certificates: tuple[Holding, ...]
    problems: tuple[Problem, ...]

    @property
    def good(self) -> bool:
        """Whether all is there and holds."""
        return not self.problems and all(held.valid or held.succeeded for held in self.certificates)


def threshold(days: int) -> int | None:
    """Give the smallest of THRESHOLDS that the days left do not exceed; None while there is time."""
    return next((most for most in THRESHOLDS if days < most), None)


def holdings(pki: Path, *, at: datetime, own_key: OwnKey | None = None) -> Holdings:
    """Look at the gateway's own key and certificate, the parties' certificates, and the anchors."""
    trust = Trust(pki, own=own_key)
    problems = list(trust.registry.problems)
    own: tuple[Certificate, ...] = ()
    try:
        own = trust.own_key().certificates[:1]
    except Unavailable as error:
        problems += error.problems
    return Holdings(certificates=held_in(trust.registry, own, at=at), problems=tuple(problems))


def held_in(registry: Registry, own: Iterable[Certificate], *, at: datetime) -> tuple[Holding, ...]:
    """List the gateway's own certificate and those of a registry."""
    found = [_holding("gateway", None, certificate, at) for certificate in own]
    for code, held in sorted(registry.parties.items()):
        lasting = max((c.not_after for c in held if c.valid_at(at)), default=held[0].not_before)
        found += [_holding("party", code, c, at, succeeded=c.not_after < lasting) for c in held]
    for purpose, anchors in sorted(registry.anchors.items()):
        found += [_holding(f"anchor-{purpose}", None, certificate, at) for certificate in anchors.certificates]
    return tuple(found)


def _holding(use: str, party: str | None, certificate: Certificate, at: datetime, *, succeeded: bool = False) -> Holding:
    days = (certificate.not_after - at).days
    return Holding(use=use, party=party, certificate=certificate, days=days, valid=certificate.valid_at(at), succeeded=succeeded)
