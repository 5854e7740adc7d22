"""Who is told of certificates that end, when, and how often."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Database
from gateway.security.expiry import Expiry, notices
from gateway.security.holdings import THRESHOLDS, Holding, held_in
from gateway.security.registry import to_pem
from gateway.security.trust import Trust
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.signing import NOW, Bench, signed_certificate


class Station:
    """An expiry whose clock a test turns, and what it told."""

    def __init__(self, database: Database, trust: Trust) -> None:
        self.now = NOW
        self.events: list[tuple[str, str]] = []
        self.mails: list[list[tuple[str | None, int]]] = []
        self.broken = False
        self.trust = trust
        self.database = database

    def held(self) -> Sequence[Holding]:
        return held_in(self.trust.registry, (), at=self.now)

    def made(self) -> Expiry:
        return Expiry(self.held, self.database, send=self.send, clock=lambda: self.now, watch=self.watch)

    def watch(self, event: str, fields: Mapping[str, object]) -> None:
        self.events.append((event, str(fields["code"])))

    def send(self, ending: Sequence[Holding]) -> None:
        if self.broken:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="certificates.mail-refused"))
        self.mails.append(sorted({(held.party, held.threshold or 0) for held in ending}, key=str))


@pytest.fixture
def station(tmp_path: Path, bench: Bench) -> Iterator[Station]:
    (tmp_path / "parties").mkdir()
    (tmp_path / "parties" / "BNN.pem").write_bytes((bench.folder / "parties" / "BNN.pem").read_bytes())
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    upgrade(url)
    database = open_database(url)
    yield Station(database, Trust(tmp_path))
    database.close()


def end(station: Station) -> timedelta:
    return station.held()[0].certificate.not_after - NOW


def test_nobody_is_told_while_there_is_time(station: Station) -> None:
    station.made().look()

    assert (station.events, station.mails) == ([], [])


def test_each_threshold_is_mailed_once_however_many_processes_look(station: Station) -> None:
    last = end(station)
    for days in sorted((*THRESHOLDS, 50, 20), reverse=True):
        station.now = NOW + last - timedelta(days=days) + timedelta(hours=1)
        for _ in range(2):
            station.made().look()

    assert station.mails == [[("BNN", 60)], [("BNN", 30)], [("BNN", 14)], [("BNN", 7)], [("BNN", 1)]]


def test_log_tells_once_a_day(station: Station) -> None:
    station.now = NOW + end(station) - timedelta(days=20)
    expiry = station.made()
    expiry.look()
    expiry.look()
    station.now += timedelta(days=1)
    expiry.look()

    assert station.events == [("certificate.expiring", "30")] * 2


def test_mail_that_failed_is_sent_at_a_later_look(station: Station) -> None:
    station.now = NOW + end(station) - timedelta(days=5)
    station.broken = True
    expiry = station.made()
    expiry.look()
    station.broken = False
    expiry.look()

    assert station.mails == [[("BNN", 7)]]
    assert ("certificate.mail-failed", "certificates.mail-refused") in station.events


def test_certificate_with_a_successor_is_not_told_of(station: Station, tmp_path: Path) -> None:
    old = tmp_path / "parties" / "BNN.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "new")])
    new = signed_certificate(key, key, name, name, days=(-1, 5000))
    old.write_bytes(old.read_bytes() + to_pem(new).encode())
    station.now = NOW + end(station) - timedelta(days=2)

    station.made().look()

    assert [(held.days, held.succeeded) for held in station.held()] == [(2, True), ((new.not_after - station.now).days, False)]
    assert station.mails == []


def test_notices_say_what_ends_and_what_ended(station: Station) -> None:
    last = end(station)
    told = []
    for days in (90, 10, -1):
        station.now = NOW + last - timedelta(days=days)
        told.append([problem.text for problem in notices(station.held())])

    assert told == [[], ["certificates.expiring"], ["certificates.ended"]]
