"""Who is told of certificates that end, when, and how often."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import Code, Problem, Unavailable, explain
from gateway.model import Concession, SealProfile
from gateway.ports import Database
from gateway.security.exemptions import exemptions
from gateway.security.expiry import Ending, Expiry, notices
from gateway.security.holdings import THRESHOLDS, Holding, held_in
from gateway.security.registry import to_pem
from gateway.security.trust import Trust
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing import builders
from gateway.testing.signing import NOW, Bench, signed_certificate


class Station:
    """An expiry whose clock a test turns, and what it told."""

    def __init__(self, database: Database, trust: Trust) -> None:
        self.now = NOW
        self.events: list[tuple[str, str]] = []
        self.mails: list[list[tuple[str | None, int]]] = []
        self.broken = False
        self.sends = SealProfile()
        self.trust = trust
        self.database = database

    def held(self) -> Sequence[Holding]:
        return held_in(self.trust.registry, (), at=self.now)

    def ending(self) -> Sequence[Ending]:
        return (*self.held(), *exemptions([replace(builders.party("LAB"), sends=self.sends)], at=self.now))

    def made(self) -> Expiry:
        return Expiry(self.ending, self.database, send=self.send, clock=lambda: self.now, watch=self.watch)

    def watch(self, event: str, fields: Mapping[str, object]) -> None:
        self.events.append((event, str(fields["code"])))

    def send(self, ending: Sequence[Ending]) -> None:
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


# --- exceptions from signing -------------------------------------------------------------------------------------------

OVER = NOW + timedelta(days=100)
LEAVES = {
    "none": SealProfile(signature="none", until=OVER, bound_to=("network:127.0.0.0/8",)),
    "rsa-1024, sha1": SealProfile(concessions=(Concession(allow=frozenset({"sha1", "rsa-1024"}), until=OVER),)),
}


@pytest.mark.parametrize("what", LEAVES)
def test_an_exception_is_told_of_at_each_threshold_and_after_its_end(station: Station, what: str) -> None:
    station.sends = LEAVES[what]
    for days in (90, *sorted(THRESHOLDS, reverse=True)):
        station.now = OVER - timedelta(days=days) + timedelta(hours=1)
        for _ in range(2):
            station.made().look()
    station.now = OVER + timedelta(hours=1)
    station.made().look()

    assert station.mails == [[("LAB", days)] for days in (60, 30, 14, 7, 1)]  # the last holds once it ended, too
    assert {event for event, _ in station.events} == {"exception.expiring"}
    (told,) = notices(station.ending())
    assert (told.text, told.path) == ("signature.exception-over", "LAB")
    assert what in explain(told, "vi")


def test_an_exception_that_is_moved_is_told_of_anew(station: Station) -> None:
    station.sends, station.now = LEAVES["none"], OVER - timedelta(days=5)
    station.made().look()
    station.sends = SealProfile(signature="none", until=OVER + timedelta(days=1))
    station.made().look()

    assert station.mails == [[("LAB", 7)], [("LAB", 7)]]


def test_who_signs_has_no_exception_whatever_its_date(station: Station) -> None:
    station.sends = SealProfile(until=NOW)

    assert station.ending() == station.held()
