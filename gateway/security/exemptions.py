"""What parties may do for a while only: send unsigned, or use what is weak; and how long that lasts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Problem
from gateway.model import Party, SealProfile

from .holdings import threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """One thing that a party may do until a moment: `what` is "none" for no signature, else the algorithms that are weak."""

    party: str
    what: str
    until: datetime
    days: int

    event = "exception.expiring"  # in the log

    @property
    def name(self) -> str:
        """Tell it from all others, and from itself once it was given anew."""
        return f"{self.party} {self.what} {self.until:%Y-%m-%d}"

    @property
    def fields(self) -> dict[str, str | int]:
        """Say in the log which it is."""
        return {"party": self.party, "what": self.what, "days": self.days}

    @property
    def threshold(self) -> int | None:
        """Give the number of days that people are told at; None while there is time."""
        return threshold(self.days)

    @property
    def notice(self) -> Problem:
        """Say that it ends, or that it ended."""
        values = {"what": self.what, "days": str(self.days), "until": f"{self.until:%Y-%m-%d}"}
        return Problem(text="signature.exception-soon" if self.days >= 0 else "signature.exception-over", path=self.party, values=values)


def exemptions(parties: Iterable[Party], *, at: datetime) -> tuple[Exemption, ...]:
    """List what parties may do for a while only, as the rules have it."""
    return tuple(
        Exemption(party=party.code, what=what, until=until, days=(until - at).days)
        for party in parties
        for what, until in _granted(party.sends)
    )


def _granted(sends: SealProfile) -> Iterator[tuple[str, datetime]]:
    if sends.signature == "none" and sends.until is not None:
        yield "none", sends.until
    for concession in sends.concessions:
        yield ", ".join(sorted(concession.allow)), concession.until
