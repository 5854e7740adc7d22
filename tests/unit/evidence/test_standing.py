"""Whether signers were revoked when they signed, by the lists and OCSP answers in a container, and what is said where there are none."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from gateway.errors import Code, Problem, Unavailable
from gateway.evidence.standing import MAX_NAMESAKES, Standings, by_subject, chain_of
from gateway.evidence.vouching import followed
from gateway.model import Reply, Request
from gateway.security.authority import LIST_FOR, Authority, create
from gateway.security.certificates import Certificate
from gateway.security.cipher import FileCipher
from gateway.security.keys import SigningKey
from gateway.security.signer import sign_person, sign_system
from gateway.security.statuses import Statuses, held
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.entries import START
from gateway.testing.evidence import Court, hold_court, packed, sealed, unpacked, verified
from gateway.testing.settling import Time
from gateway.testing.signing import Bench, private_key_of

HOUR = timedelta(hours=1)
Hold = Callable[[SigningKey], Court]
NOBODY = "No certificate is known to have been revoked before it was used."
GOOD = "Not revoked, as the data that came along say: {} of 3 certificates."
LIST, ANSWERS, BOTH = {"crl": True}, {"crl": False, "answers": True}, {"crl": True, "answers": True}


@dataclass
class Office:
    """An authority whose list and OCSP answers are fetched without a network, as of a time."""

    folder: Path
    authority: Authority
    revoked: dict[int, datetime] = field(default_factory=dict)
    issued: list[Certificate] = field(default_factory=list)
    now: datetime = START + HOUR

    def issue(self, common: str, *, crl: bool = True, answers: bool = False) -> SigningKey:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        urls = "http://ca/crl" if crl else "", "http://ca/ocsp" if answers else ""
        self.issued.append(self.authority.issue(request, now=START - 30 * HOUR, list_url=urls[0], ocsp_url=urls[1]))
        return SigningKey(key, (self.issued[-1],))

    def revoke(self, key: SigningKey, *, at: datetime) -> None:
        self.revoked[key.certificates[0].x509.serial_number] = at
        self.authority.revoke(key.certificates[0], now=at)

    def send(self, request: Request, *, timeout: timedelta) -> Reply:  # noqa: ARG002  # a Transport's
        if request.method == "GET":
            return Reply(status=200, body=self.authority.revoke(now=self.now))
        number = ocsp.load_der_ocsp_request(request.body).serial_number
        return Reply(status=200, body=self.answer(next(c for c in self.issued if c.x509.serial_number == number)))

    def answer(self, certificate: Certificate) -> bytes:
        since = self.revoked.get(certificate.x509.serial_number)
        signer = SigningKey(self.authority._key, (self.authority.certificate,))  # to sign with
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate.x509, issuer=self.authority.certificate.x509, algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if since else ocsp.OCSPCertStatus.GOOD, this_update=self.now,
            next_update=self.now + LIST_FOR, revocation_time=since, revocation_reason=None,
        )  # fmt: skip
        responded = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.authority.certificate.x509)
        return responded.sign(private_key_of(signer), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "ca", create(tmp_path / "ca", now=START - 30 * HOUR))


@pytest.fixture
def hold(tmp_path: Path, bench: Bench, office: Office) -> Iterator[Callable[[SigningKey], Court]]:
    """Make evidence of a gateway with some key, which has fetched what the office says of everybody."""
    time, url = Time(), f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)

    with closing(open_database(url, clock=time)) as database:

        def make(key: SigningKey) -> Court:
            statuses = Statuses(tmp_path / "held", office, clock=lambda: office.now, watch=_silent)
            statuses.follow(lambda: [(c, office.authority.certificate) for c in office.issued])
            statuses.refresh()
            cipher = FileCipher(tmp_path / "keys", entropy=bytes)
            issuers = (office.authority.certificate,)
            return hold_court(
                database, cipher, bench, time=time, key=key, revocation=tmp_path / "held", issuers=issuers, report=lambda _: {}
            )

        yield make


def _silent(_: str, __: Mapping[str, object]) -> None:
    """Hear nothing."""


def delivered(court: Court, person: SigningKey, system: SigningKey) -> bytes:
    content = sign_system(sign_person(court.bench.envelope(), person), system)
    return court.export(court.deliver(content=content, signers=(("person", person), ("system", system))))


def judged(container: bytes, office: Office) -> tuple[set[int], str, bool]:
    """Give the checks that failed, what revocation's detail says, and whether it leaves something to the reader."""
    verdict = verified(container, (office.authority.certificate,))
    found = next(check for check in verdict.checks if check.name == "revocation")
    return {check.number for check in verdict.checks if not check.passed}, found.detail("en"), found.doubtful


@pytest.mark.parametrize("kind", [LIST, ANSWERS, BOTH], ids=["crl", "ocsp", "both"])
def test_what_was_said_of_every_signer_is_inside_and_judged(office: Office, hold: Hold, kind: dict[str, bool]) -> None:
    gateway, person, system = (office.issue(name, **kind) for name in ("Gateway", "Person", "System"))
    court = hold(gateway)
    container = delivered(court, person, system)

    files = unpacked(container)[0]

    endings = [name.rpartition(".")[2] for name in files if name.startswith("revocation/")]
    assert sorted(endings) == (["ors"] * 3 if kind == ANSWERS else ["crl"])  # an answer is asked for where there is no list
    assert f"certificates/{office.authority.certificate.sha256}.cer" in files
    assert judged(container, office) == (set(), f"{NOBODY} {GOOD.format(3)}", False)


@pytest.mark.parametrize("kind", [LIST, ANSWERS], ids=["crl", "ocsp"])
def test_a_signature_after_its_certificate_was_revoked_does_not_count(office: Office, hold: Hold, kind: dict[str, bool]) -> None:
    gateway, person, system = (office.issue(name, **kind) for name in ("Gateway", "Person", "System"))
    office.revoke(person, at=START - HOUR)
    court = hold(gateway)

    numbers, detail, _ = judged(delivered(court, person, system), office)

    assert numbers == {14}
    assert detail.startswith("The certificate of CN=Person was revoked since 2026-11-21 07:00:00+00:00, before it was used at")


@pytest.mark.parametrize("kind", [LIST, ANSWERS], ids=["crl", "ocsp"])
def test_a_signature_before_its_certificate_was_revoked_counts_and_it_is_said(office: Office, hold: Hold, kind: dict[str, bool]) -> None:
    gateway, person, system = (office.issue(name, **kind) for name in ("Gateway", "Person", "System"))
    office.revoke(person, at=START + timedelta(minutes=1))
    court = hold(gateway)

    numbers, detail, doubtful = judged(delivered(court, person, system), office)

    assert (numbers, doubtful) == (set(), True)
    assert "The certificate of CN=Person was revoked since 2026-11-21 08:01:00+00:00, after it was used" in detail


def test_a_gateway_that_was_revoked_can_neither_seal_nor_sign_heads(office: Office, hold: Hold) -> None:
    gateway, person, system = (office.issue(name) for name in ("Gateway", "Person", "System"))
    office.revoke(gateway, at=START - HOUR)
    court = hold(gateway)

    assert judged(delivered(court, person, system), office)[0] == {3, 9, 14}


def test_where_nobody_said_anything_that_is_said(office: Office, hold: Hold) -> None:
    gateway, person = (office.issue(name, crl=False) for name in ("Gateway", "Person"))
    court = hold(gateway)

    numbers, detail, doubtful = judged(delivered(court, person, court.bench.portal), office)

    assert (numbers, doubtful) == (set(), True)
    assert GOOD.format(0) in detail
    assert "There are no data on whether the certificate of CN=Person was revoked" in detail
    assert "Nobody above the certificate of CN=NSW (development),C=VN" in detail


def test_what_was_said_only_until_before_a_certificate_was_used_says_nothing(office: Office, hold: Hold) -> None:
    office.now = START - LIST_FOR - HOUR
    gateway, person, system = (office.issue(name) for name in ("Gateway", "Person", "System"))
    court = hold(gateway)

    numbers, detail, _ = judged(delivered(court, person, system), office)

    assert numbers == set()
    assert GOOD.format(0) in detail


def test_a_list_of_somebody_elses_is_not_believed(office: Office, hold: Hold, tmp_path: Path) -> None:
    gateway, person, system = (office.issue(name, crl=False) for name in ("Gateway", "Person", "System"))
    court = hold(gateway)
    files = unpacked(delivered(court, person, system))[0]
    namesake = create(tmp_path / "namesake", now=START - 30 * HOUR)
    forged = x509.load_pem_x509_crl(namesake.revoke(person.certificates[0], now=START - HOUR)).public_bytes(Encoding.DER)

    altered = sealed(
        files | {"revocation/a.crl": forged, "revocation/b.ors": b"rubbish", "revocation/c.crl": b""}, gateway, at=court.time()
    )

    numbers, detail, _ = judged(altered, office)
    assert numbers == set()
    assert GOOD.format(0) in detail
    assert namesake.certificate.subject == office.authority.certificate.subject


def test_revocation_data_that_are_altered_or_removed_are_named(office: Office, hold: Hold) -> None:
    gateway, person, system = (office.issue(name) for name in ("Gateway", "Person", "System"))
    court = hold(gateway)
    files = unpacked(delivered(court, person, system))[0]
    name = next(name for name in files if name.startswith("revocation/"))

    for altered in (files | {name: files[name][:-1] + b"\0"}, {other: content for other, content in files.items() if other != name}):
        verdict = verified(packed(altered), (office.authority.certificate,))
        assert (verdict.valid, verdict.files[name]) == (False, False)


def test_an_absence_on_a_list_made_after_a_certificate_ended_says_nothing(office: Office) -> None:
    person = office.issue("Person").certificates[0]
    late = x509.load_pem_x509_crl(office.authority.revoke(now=person.not_after + HOUR)).public_bytes(Encoding.DER)
    standings = Standings((person, office.authority.certificate), lists=[late], answers=[])

    assert [(s.certificate, s.word) for s in standings.judge(person, START)] == [(person, "unknown")]


def test_a_chain_ends_where_nobody_is_known_or_it_goes_in_circles(office: Office, bench: Bench) -> None:
    person, above = office.issue("Person").certificates[0], office.authority.certificate

    assert chain_of(person, by_subject((bench.portal.certificates[0], above, person))) == (person, above)
    assert chain_of(person, {}) == (person,)
    assert chain_of(above, by_subject((above,))) == (above,)


def test_a_crowd_of_namesakes_costs_a_few_looks(office: Office, tmp_path: Path) -> None:
    person, above = office.issue("Person").certificates[0], office.authority.certificate
    crowd = [create(tmp_path / str(number), now=START).certificate for number in range(20)]

    assert Standings((above, *crowd), lists=[], answers=[]).chain(person) == (person, above)
    assert len(Standings((*crowd, above), lists=[], answers=[]).issuers(person)) == MAX_NAMESAKES


def test_what_cannot_be_followed_now_keeps_nobody_from_being_asked(office: Office, tmp_path: Path) -> None:
    heard: list[str] = []
    person = office.issue("Person").certificates[0]
    statuses = Statuses(tmp_path / "held", office, clock=lambda: office.now, watch=lambda event, _: heard.append(event))

    def away() -> list[tuple[Certificate, Certificate]]:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))

    statuses.follow(away)
    statuses.check((person, office.authority.certificate), "prefer", at=START)
    statuses.refresh()

    assert heard == ["revocation.away"]
    assert [kind for kind, _ in held(tmp_path / "held", person, office.authority.certificate)] == ["crl"]


def test_the_gateways_certificate_and_the_stampers_are_followed(office: Office, fresh: Court) -> None:
    own = office.issue("Gateway").certificates[0]

    assert followed((own,), fresh.stamps, (office.authority.certificate,)) == ((own, office.authority.certificate),)
