"""What tells of certificates that end: 60, 30, 14, 7 and 1 days before, the gateway's own, partners' and anchors."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from gateway.errors import GatewayError, Problem
from gateway.ports import Clock, Database, Tx, Watch
from gateway.store.times import to_micros

from . import sql
from .certificates import Certificate
from .holdings import Holding

EVERY_SECONDS = 600.0  # how soon a new day is noticed

Send = Callable[[Sequence[Holding]], None]  # tells people, by mail


class Expiry:
    """Logs each certificate that ends soon once a day, and has people told once a threshold, by one process of all."""

    def __init__(self, held: Callable[[], Sequence[Holding]], database: Database, *, send: Send | None, clock: Clock, watch: Watch) -> None:
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

    def _log(self, ending: Sequence[Holding]) -> None:
        today = self._clock().date()
        if self._logged == today:
            return
        for held in ending:
            fields = {"use": held.use, "party": held.party or "", "certificate": held.certificate.sha256, "days": held.days}
            self._watch("certificate.expiring", {"code": str(held.threshold), **fields})
        self._logged = today

    def _mail(self, ending: Sequence[Holding], send: Send) -> None:
        chosen = [held for held in ending if self._is_first(held)]
        if not chosen:
            return
        try:
            send(chosen)
        except GatewayError as error:
            self._watch("certificate.mail-failed", {"code": error.problems[0].text})
            self._database.commit(lambda tx: self._forget(tx, chosen))

    def _is_first(self, held: Holding) -> bool:
        """Say whether this process is the first to tell of a certificate's threshold."""
        values = {"sha256": held.certificate.sha256, "threshold": held.threshold, "at": to_micros(self._clock())}
        return self._database.commit(lambda tx: tx.changed(sql.WARN, **values)) == 1

    @staticmethod
    def _forget(tx: Tx, chosen: Sequence[Holding]) -> None:
        for held in chosen:
            tx.changed(sql.UNWARN, of=held.certificate.sha256, days=held.threshold)


def notices(ending: Sequence[Holding]) -> list[Problem]:
    """Say which certificates end soon or ended, for health and for mail."""
    return [
        Problem(
            text="certificates.expiring" if held.valid else "certificates.ended",
            path=held.party or held.use,
            values={"subject": held.certificate.subject, "days": str(held.days), "until": f"{held.certificate.not_after:%Y-%m-%d}"},
        )
        for held in ending
        if held.threshold is not None
    ]


def own_problems(own: Certificate, *, at: datetime) -> list[Problem]:
    """Say for health that the gateway's own certificate is not in force: partners refuse what it signs."""
    values = {"from": own.not_before.isoformat(), "to": own.not_after.isoformat()}
    return [] if own.valid_at(at) else [Problem(text="signature.own-not-valid", path="gateway.cert.pem", values=values)]
