"""What tells of certificates and exceptions that end: 60, 30, 14, 7 and 1 days before; certificates are ours, partners' and anchors."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime

from gateway.errors import GatewayError, Problem
from gateway.model import Party
from gateway.ports import Clock, Database, Tx, Watch
from gateway.store.times import to_micros

from . import sql
from .certificates import Certificate
from .exemptions import Exemption, exemptions
from .holdings import Holding, held_in
from .trust import Trust

EVERY_SECONDS = 600.0  # how soon a new day is noticed

Ending = Holding | Exemption
Send = Callable[[Sequence[Ending]], None]  # tells people, by mail


class Expiry:
    """Logs once a day what ends soon, and has people told once a threshold, by one process of all."""

    def __init__(self, held: Callable[[], Sequence[Ending]], database: Database, *, send: Send | None, clock: Clock, watch: Watch) -> None:
        """Take what is held now, and how people are told; None: by log and metrics only."""
        self._held = held
        self._database = database
        self._send = send
        self._clock = clock
        self._watch = watch
        self._logged: date | None = None

    def look(self) -> None:
        """Tell what is to be told today; what could not be mailed is mailed at a later look."""
        ending = [held for held in self._held() if held.threshold is not None]
        self._log(ending)
        if self._send is not None:
            self._mail(ending, self._send)

    def _log(self, ending: Sequence[Ending]) -> None:
        today = self._clock().date()
        if self._logged == today:
            return
        for held in ending:
            self._watch(held.event, {"code": str(held.threshold), **held.fields})
        self._logged = today

    def _mail(self, ending: Sequence[Ending], send: Send) -> None:
        chosen = [held for held in ending if self._is_first(held)]
        if not chosen:
            return
        try:
            send(chosen)
        except GatewayError as error:
            self._watch("certificate.mail-failed", {"code": error.problems[0].text})
            self._database.commit(lambda tx: self._forget(tx, chosen))

    def _is_first(self, held: Ending) -> bool:
        """Say whether this process is the first to tell of a threshold."""
        values = {"sha256": held.name, "threshold": held.threshold, "at": to_micros(self._clock())}
        return self._database.commit(lambda tx: tx.changed(sql.WARN, **values)) == 1

    @staticmethod
    def _forget(tx: Tx, chosen: Sequence[Ending]) -> None:
        for held in chosen:
            tx.changed(sql.UNWARN, of=held.name, days=held.threshold)


def endings(trust: Trust, own: Certificate, parties: Iterable[Party], *, at: datetime) -> tuple[Ending, ...]:
    """List what has an end: certificates, and what parties may do for a while only."""
    return (*held_in(trust.registry, (own,), at=at), *exemptions(parties, at=at))


def notices(ending: Sequence[Ending]) -> list[Problem]:
    """Say what ends soon or ended, for health, for mail and for commands."""
    return [held.notice for held in ending if held.threshold is not None]


def own_problems(own: Certificate, *, at: datetime) -> list[Problem]:
    """Say for health that the gateway's own certificate is not in force: partners refuse what it signs."""
    values = {"from": own.not_before.isoformat(), "to": own.not_after.isoformat()}
    return [] if own.valid_at(at) else [Problem(text="signature.own-not-valid", path="gateway.cert.pem", values=values)]
