"""What authorities say of certificates: real lists and OpenSSL's OCSP answers over HTTP, and what is done while they are away."""

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from gateway.errors import NotProven
from gateway.security import certificates, der
from gateway.security.authority import LIST_FOR
from gateway.security.certificates import Certificate
from gateway.security.revocation import ask, read_answer, read_list
from gateway.security.statuses import FRESH, MAX_WANTED, Rule, Statuses
from gateway.testing.revoking import RevocationServer, revoking
from gateway.transport.http import HttpTransport

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test at the machine's time: OpenSSL answers with it."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC).replace(microsecond=0))


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RevocationServer]:
    with revoking(tmp_path / "ca", now=NOW) as made:
        yield made


@pytest.fixture
def events() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def fresh(tmp_path: Path, clock: Clock, events: list[tuple[str, str]]) -> Iterator[Callable[[], Statuses]]:
    """Make statuses as a process that just started has them."""

    def watch(event: str, fields: Mapping[str, object]) -> None:
        events.append((event, str(fields.get("code", ""))))

    with HttpTransport() as transport:
        yield lambda: Statuses(tmp_path / "cache", transport, clock=clock, watch=watch)


@pytest.fixture
def statuses(fresh: Callable[[], Statuses]) -> Statuses:
    return fresh()


def judged(statuses: Statuses, path: tuple[Certificate, ...], rule: Rule = "prefer", *, at: datetime | None = None) -> str:
    try:
        statuses.check(path, rule, at=at or NOW)
    except NotProven as error:
        return error.problems[0].values["check"]
    return "passed"


def path_of(server: RevocationServer, name: str, *, crl: bool = True, ocsp: bool = False) -> tuple[Certificate, ...]:
    return (server.issue(name, now=NOW, crl=crl, ocsp=ocsp).certificates[0], server.authority.certificate)


@pytest.mark.parametrize(("crl", "ocsp"), [(True, False), (False, True)])
def test_60_revoked_certificate_is_refused_and_a_good_one_passes(
    server: RevocationServer, statuses: Statuses, *, crl: bool, ocsp: bool
) -> None:
    good, bad = (path_of(server, name, crl=crl, ocsp=ocsp) for name in ("good", "bad"))
    server.revoke(bad[0], now=NOW)
    unasked = judged(statuses, bad), judged(statuses, good)

    statuses.refresh()

    assert unasked == ("passed", "passed")
    assert (judged(statuses, bad), judged(statuses, good, "require")) == ("60", "passed")


def test_60_what_one_source_says_of_a_revocation_no_other_source_unsays(
    server: RevocationServer, statuses: Statuses, clock: Clock, events: list[tuple[str, str]]
) -> None:
    path = path_of(server, "bad", ocsp=True)
    server.authority.revoke(now=NOW)
    judged(statuses, path)
    statuses.refresh()  # a list of some days that does not name it yet
    server.revoke(path[0], now=NOW)
    (server.folder / "ca.crl.pem").write_bytes(b"no list")
    clock.now += FRESH

    statuses.refresh()  # so the responder is asked, whose answers hold for a day

    assert events == [("revocation.unusable", "unreadable")]
    assert judged(statuses, path, at=clock.now) == "60"


def test_60_signature_from_before_the_revocation_holds(server: RevocationServer, statuses: Statuses) -> None:
    path = path_of(server, "bad")
    server.revoke(path[0], now=NOW)
    judged(statuses, path)
    statuses.refresh()

    assert judged(statuses, path, at=NOW - timedelta(minutes=1)) == "passed"


def test_61_unknown_status_is_refused_only_where_required(server: RevocationServer, statuses: Statuses) -> None:
    path = path_of(server, "new")

    assert [judged(statuses, path, rule) for rule in ("require", "prefer", "off")] == ["61", "passed", "passed"]


def test_61_certificate_that_names_no_source_is_refused_where_required(server: RevocationServer, statuses: Statuses) -> None:
    path = path_of(server, "silent", crl=False)
    judged(statuses, path)
    statuses.refresh()

    assert judged(statuses, path, "require") == "61"
    assert not statuses.unknown(*path, at=NOW)
    assert server.asked == {}


def test_source_that_is_away_is_told_and_delays_nobody(server: RevocationServer, statuses: Statuses, events: list[tuple[str, str]]) -> None:
    path = path_of(server, "new")
    server.away = True
    judged(statuses, path)

    statuses.refresh()

    assert events == [("revocation.unusable", "503")]
    assert (judged(statuses, path), judged(statuses, path, "require")) == ("passed", "61")
    assert statuses.unknown(*path, at=NOW)


def test_source_that_is_back_is_asked_again(server: RevocationServer, statuses: Statuses) -> None:
    path = path_of(server, "new")
    server.away = True
    judged(statuses, path)
    statuses.refresh()
    server.away = False

    statuses.refresh()

    assert judged(statuses, path, "require") == "passed"


def test_host_that_refuses_is_asked_once_a_round(tmp_path: Path, statuses: Statuses, events: list[tuple[str, str]]) -> None:
    with revoking(tmp_path / "gone", now=NOW) as server:
        paths = [path_of(server, name, crl=False, ocsp=True) for name in ("a", "b", "c")]
    for path in paths:
        judged(statuses, path)

    statuses.refresh()

    assert events == [("revocation.away", "transport.refused")]


def test_one_list_serves_every_certificate_and_is_asked_for_hourly(server: RevocationServer, statuses: Statuses, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        judged(statuses, path_of(server, name))

    statuses.refresh()
    statuses.refresh()
    first = dict(server.asked)
    clock.now += FRESH
    statuses.refresh()

    assert (first, server.asked) == ({"/ca.crl": 1}, {"/ca.crl": 2})


def test_what_was_fetched_outlives_the_process_while_the_source_is_away(
    server: RevocationServer, statuses: Statuses, fresh: Callable[[], Statuses], clock: Clock
) -> None:
    path = path_of(server, "bad")
    server.revoke(path[0], now=NOW)
    judged(statuses, path)
    statuses.refresh()
    server.away = True
    clock.now += LIST_FOR + timedelta(days=1)

    later = fresh()
    judged(later, path)
    later.refresh()

    assert judged(later, path, at=clock.now) == "60"


def test_61_status_that_is_over_is_unknown(server: RevocationServer, statuses: Statuses, clock: Clock) -> None:
    path = path_of(server, "good")
    judged(statuses, path)
    statuses.refresh()
    server.away = True
    clock.now += LIST_FOR

    statuses.refresh()

    assert judged(statuses, path, "require", at=clock.now + timedelta(seconds=1)) == "61"
    assert judged(statuses, path, at=clock.now) == "passed"


def test_thread_asks_as_soon_as_a_certificate_is_seen(server: RevocationServer, fresh: Callable[[], Statuses], tmp_path: Path) -> None:
    statuses = fresh()
    path = path_of(server, "good")
    statuses.start()
    judged(statuses, path)
    while not list((tmp_path / "cache").glob("*.der")):
        statuses._bell.wait(0.01)
    statuses.stop()

    assert judged(statuses, path, "require") == "passed"


def test_number_of_certificates_asked_about_is_bounded(server: RevocationServer, statuses: Statuses) -> None:
    leaf, issuer = path_of(server, "a", crl=False)
    statuses._wanted = dict.fromkeys(range(MAX_WANTED))  # type: ignore[arg-type,assignment]

    judged(statuses, (leaf, issuer))

    assert len(statuses._wanted) == MAX_WANTED
    assert leaf in statuses._wanted


# --- what is believed --------------------------------------------------------------------------------------------------


def believed(read: Callable[[], object]) -> str:
    try:
        read()
    except ValueError as error:
        return str(error)
    return "believed"


def test_62_list_of_another_authority_or_time_is_not_believed(server: RevocationServer, tmp_path: Path) -> None:
    issuer, pem = server.authority.certificate, server.authority.revoke(now=NOW)
    with revoking(tmp_path / "other", now=NOW) as other:
        foreign = other.authority.revoke(now=NOW)

    read = {
        "believed": lambda: read_list(pem, issuer, now=NOW),
        "not-the-issuers": lambda: read_list(foreign, issuer, now=NOW),
        "outdated": lambda: read_list(pem, issuer, now=NOW + LIST_FOR),
        "not-yet": lambda: read_list(pem, issuer, now=NOW - timedelta(hours=1)),
        "unreadable": lambda: read_list(b"-----BEGIN X509 CRL-----", issuer, now=NOW),
    }

    assert {word: believed(act) for word, act in read.items()} == {word: word for word in read}


@pytest.mark.parametrize("name", [b"\xa3\x00", b"\xa5\x00"])  # of kinds that no library reads: x400Address, ediPartyName
def test_62_list_that_no_library_reads_is_not_believed(server: RevocationServer, name: bytes) -> None:
    whole = x509.load_pem_x509_crl(server.authority.revoke(now=NOW))
    other_version = whole.public_bytes(Encoding.DER).replace(b"\x02\x01\x01", b"\x02\x01\x05", 1)
    place = der.write(der.SEQUENCE, der.write(0xA0, der.write(0xA0, name)))
    point = x509.UnrecognizedExtension(ExtensionOID.ISSUING_DISTRIBUTION_POINT, place)
    builder = x509.CertificateRevocationListBuilder().issuer_name(whole.issuer).last_update(NOW).next_update(NOW + LIST_FOR)
    by_anybody = builder.add_extension(point, critical=True).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())

    found = [
        believed(partial(read_list, data, server.authority.certificate, now=NOW))
        for data in (other_version, by_anybody.public_bytes(Encoding.DER))
    ]

    assert found == ["unreadable", "unreadable"]


def test_62_list_that_no_library_reads_leaves_the_others_to_be_asked(
    server: RevocationServer, statuses: Statuses, tmp_path: Path, events: list[tuple[str, str]]
) -> None:
    bad = path_of(server, "bad")
    server.revoke(bad[0], now=NOW)
    with revoking(tmp_path / "other", now=NOW) as other:
        odd = path_of(other, "odd")
        pem = other.authority.revoke(now=NOW)
        der_of = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
        (other.folder / "ca.crl.pem").write_bytes(der_of.replace(b"\x02\x01\x01", b"\x02\x01\x05", 1))
        judged(statuses, odd)
        judged(statuses, bad)

        statuses.refresh()

    assert events == [("revocation.unusable", "unreadable")]
    assert judged(statuses, bad) == "60"


def test_62_list_that_leaves_something_out_is_not_believed(server: RevocationServer) -> None:
    authority = server.authority
    whole = x509.load_pem_x509_crl(authority.revoke(now=NOW))
    for extension in (
        x509.DeltaCRLIndicator(1),
        x509.IssuingDistributionPoint(None, None, False, True, None, False, False),  # noqa: FBT003  # the library's parameters
    ):
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(whole.issuer)
            .last_update(NOW)
            .next_update(NOW + LIST_FOR)
            .add_extension(extension, critical=True)
        )
        pem = builder.sign(authority._key, hashes.SHA256()).public_bytes(Encoding.PEM)

        assert believed(partial(read_list, pem, authority.certificate, now=NOW)) == "partial"


def test_63_answer_about_another_certificate_or_by_another_is_not_believed(server: RevocationServer) -> None:
    one, other = (path_of(server, name, crl=False, ocsp=True) for name in ("one", "other"))
    answer = server.answer("/ocsp", ask(one[0], one[1]))
    key = ec.generate_private_key(ec.SECP256R1())
    name = one[1].x509.subject
    forger = certificates.read(
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=9))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )

    read = {
        "believed": lambda: read_answer(answer, *one, now=NOW),
        "other-certificate": lambda: read_answer(answer, *other, now=NOW),
        "outdated": lambda: read_answer(answer, *one, now=NOW + timedelta(days=2)),
        "unreadable": lambda: read_answer(answer[:-1], *one, now=NOW),
    }

    assert {word: believed(act) for word, act in read.items()} == {word: word for word in read}
    assert believed(lambda: read_answer(answer, one[0], forger, now=NOW)) == "other-certificate"
