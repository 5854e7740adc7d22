"""What `nsw verify` says of a whole message: signatures in it, around it, beside it; its sender's profile; what is known of revocations."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.model import SealProfile
from gateway.security import cms, signer, wss, xades
from gateway.security.certificates import Certificate
from gateway.security.general import verify_file
from gateway.security.kept import KeptStatuses
from gateway.security.keys import SigningKey, load_key
from gateway.security.path import Chain
from gateway.security.policy import PERMISSIVE
from gateway.security.question import Question
from gateway.security.registry import CertificateFiles
from gateway.security.report import Report
from gateway.security.statuses import Rule, Statuses
from gateway.security.trust import Trust
from gateway.security.whole import BESIDE, verify_whole
from gateway.testing import builders
from gateway.testing.revoking import RevocationServer, revoking
from gateway.testing.signing import NOW, Bench, People, unsigned
from gateway.transport.http import HttpTransport
from gateway.xml import soap

CMS_CHECKS = [12, 17, 18, 19, 23, 30, 50, 51, 52, 53, 54, 55]
WSS_CHECKS = {3, 4, 5, 6, 7, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 23, 40, 41, 42, 43, 44}


def ask(bench: Bench, *, profile: SealProfile | None = None) -> Question:
    sender = replace(builders.party("NSW"), sends=profile or SealProfile())
    people = People(sender, unsigned("BNN"))
    return Question(at=NOW, registry=bench.trust, directory=people, party="NSW" if profile else None, sends=profile)


def numbers(report: Report, place: str) -> list[int]:
    return [c.number for s in report.signatures if s.place == place for c in s.checks]


def failed(report: Report) -> list[int]:
    return [c.number for s in report.signatures for c in s.checks if not c.passed]


def detail(report: Report, number: int) -> str:
    return next(c.detail.text for s in report.signatures for c in s.checks if c.number == number)


@pytest.fixture(scope="module")
def document(bench: Bench) -> bytes:
    return bench.envelope()


@pytest.fixture(scope="module")
def signature(bench: Bench, document: bytes) -> bytes:
    return cms.sign(document, bench.portal, at=NOW)


@pytest.fixture(scope="module")
def message(bench: Bench, document: bytes) -> bytes:
    wrapped = soap.wrap(b"<receive><payload>%b</payload></receive>" % soap.escape_text(document), version="1.1")
    return wss.sign(wrapped, bench.portal, at=NOW)


# --- beside it ---------------------------------------------------------------------------------------------------------


def test_every_check_of_a_detached_signature_is_told(bench: Bench, document: bytes, signature: bytes) -> None:
    report = verify_whole(document, ask(bench), signature=signature)

    assert report.valid
    assert numbers(report, BESIDE) == CMS_CHECKS
    assert [(s.signer, s.covers) for s in report.signatures] == [(bench.portal.certificates[0].subject, ("/",))]


def test_detached_signature_of_what_is_no_xml_is_judged(bench: Bench) -> None:
    signature = cms.sign(b"\x00 IDA 01", bench.portal, at=NOW)

    assert verify_whole(b"\x00 IDA 01", ask(bench), signature=signature).valid
    assert failed(verify_whole(b"\x00 IDA 02", ask(bench), signature=signature)) == [54]


def test_signatures_inside_are_judged_with_the_one_beside(bench: Bench) -> None:
    inside = bench.signed()
    altered = inside.replace(b"<version>1.0", b"<version>2.0")

    report = verify_whole(inside, ask(bench), signature=cms.sign(inside, bench.portal, at=NOW))
    other = verify_whole(altered, ask(bench), signature=cms.sign(altered, bench.portal, at=NOW))

    assert (report.valid, len(report.signatures)) == (True, 3)
    assert failed(other) == [16]


@pytest.mark.parametrize(("broken", "check"), [(b"", 50), (b"\x30\x00", 50), (b"garbage", 50), (b"x" * 70_000, 50)])
def test_signature_that_is_none_fails_at_its_form(bench: Bench, document: bytes, broken: bytes, check: int) -> None:
    assert failed(verify_whole(document, ask(bench), signature=broken)) == [check]


def test_failing_check_does_not_hide_the_others(bench: Bench, document: bytes, signature: bytes) -> None:
    report = verify_whole(document + b"\n", replace(ask(bench), at=NOW + timedelta(days=36_500)), signature=signature)

    assert failed(report) == [17, 54]


def test_detached_signature_of_another_party_fails_at_23(bench: Bench, document: bytes) -> None:
    ministry = load_key(bench.folder / "keys" / "BNN.key.pem", bench.folder / "parties" / "BNN.pem")

    assert failed(verify_whole(document, ask(bench), signature=cms.sign(document, ministry, at=NOW))) == [23]


def test_trust_by_hand_takes_the_registrys_place(bench: Bench, document: bytes, signature: bytes) -> None:
    own, other = bench.portal.certificates, bench.rsa.certificates

    assert verify_whole(document, Question(at=NOW, trusted=own), signature=signature).valid
    assert failed(verify_whole(document, Question(at=NOW, trusted=other), signature=signature)) == [18]
    assert verify_whole(document, Question(at=NOW, policy=PERMISSIVE), signature=signature).valid


# --- around it ---------------------------------------------------------------------------------------------------------


def test_every_check_of_a_signed_message_is_told(bench: Bench, document: bytes, message: bytes) -> None:
    report = verify_whole(document, ask(bench), message=message)

    assert report.valid
    assert set(numbers(report, wss.HEADER)) == WSS_CHECKS
    assert report.signatures[0].signer == bench.portal.certificates[0].subject


def test_signatures_inside_are_judged_with_the_one_around(bench: Bench, message: bytes) -> None:
    assert len(verify_whole(bench.signed(), ask(bench), message=message).signatures) == 3


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ((b"<payload>", b"<payload> "), [16, 43]),
        ((b"</wsse:Security>", b"<wsse:Nonce/></wsse:Security>"), [40]),
        ((b"#X509v3", b"#X509v1"), [41]),
        ((b'URI="#body-', b'URI="#nody-'), [42, 43]),
        ((b'exc-c14n#"></CanonicalizationMethod>', b'other"></CanonicalizationMethod>'), [5]),
    ],
)  # fmt: skip
def test_broken_message_fails_at_its_checks(
    bench: Bench, document: bytes, message: bytes, change: tuple[bytes, bytes], check: list[int]
) -> None:
    found = failed(verify_whole(document, ask(bench), message=message.replace(*change)))

    assert [number for number in found if number != 15] == check


def test_sig_44_message_that_is_over_fails_and_the_rest_is_told(bench: Bench, document: bytes, message: bytes) -> None:
    report = verify_whole(document, replace(ask(bench), at=NOW + timedelta(minutes=30)), message=message)

    assert failed(report) == [44]
    assert {43, 15, 18} <= set(numbers(report, wss.HEADER))


def test_message_without_a_header_that_signs_is_judged_by_its_envelope(bench: Bench) -> None:
    plain = soap.wrap(b"<receive/>", version="1.1")

    assert verify_whole(bench.signed(), ask(bench), message=plain) == verify_file(bench.signed(), ask(bench))
    assert failed(verify_whole(bench.signed(), ask(bench), message=b"<a>")) == [40]


# --- the sender, where it is named -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("cms-detached", ""), ("wss-x509", "message-unsigned"), ("xmldsig", "profile-lower"), ("xades-b-b", "profile-lower"), ("none", ""),
    ],
)  # fmt: skip
def test_sig_22_profile_of_the_party_is_judged(bench: Bench, document: bytes, signature: bytes, asked: str, found: str) -> None:
    report = verify_whole(document, ask(bench, profile=SealProfile(signature=asked)), signature=signature)

    assert failed(report) == ([22] if found else [])
    assert detail(report, 22) == (f"signature.{found}" if found else "signature.passed-22")


@pytest.mark.parametrize(("asked", "fails"), [("xmldsig", []), ("xades-b-b", []), ("xades-b-t", [22]), ("cms-detached", [22])])
def test_sig_22_xades_satisfies_its_own_level_and_lower_ones(bench: Bench, asked: str, fails: list[int]) -> None:
    signed = xades.sign_system(bench.envelope(), bench.portal, at=NOW)

    assert failed(verify_whole(signed, ask(bench, profile=SealProfile(signature=asked)))) == fails


def test_sig_22_persons_signature_alone_is_not_the_systems(bench: Bench) -> None:
    person = signer.sign_person(bench.envelope(), bench.person)

    report = verify_whole(person, ask(bench, profile=SealProfile()))

    assert (failed(report), detail(report, 22)) == ([22], "signature.system-missing")


@pytest.mark.parametrize(("until", "fails"), [(NOW + timedelta(days=1), []), (NOW, [22])])
def test_sig_22_exception_holds_until_its_end(bench: Bench, until: object, fails: list[int]) -> None:
    person = signer.sign_person(bench.envelope(), bench.person)
    profile = SealProfile(signature="none", until=until)  # type: ignore[arg-type]  # a datetime

    assert failed(verify_whole(person, ask(bench, profile=profile))) == fails


def test_sig_20_sender_that_nobody_knows_is_told(bench: Bench) -> None:
    unknown = signer.sign_system(bench.envelope().replace(b"NSW", b"XYZ"), bench.portal)

    assert 20 in failed(verify_whole(unknown, ask(bench, profile=SealProfile())))


def test_sig_23_signer_that_is_the_sender_is_told(bench: Bench) -> None:
    report = verify_whole(bench.signed(), ask(bench, profile=SealProfile()))

    assert (report.valid, detail(report, 20), detail(report, 23)) == (True, "signature.passed-20", "signature.passed-23")


# --- what is known of revocations ----------------------------------------------------------------------------------------


@dataclass
class Known:
    """A registry with an authority, and what a serving gateway fetched of its lists."""

    server: RevocationServer
    statuses: Statuses
    folder: Path
    cache: Path
    party: SigningKey
    person: SigningKey
    at: datetime

    def fetch(self) -> None:
        """Learn what a serving gateway learns."""
        anchor = self.server.authority.certificate
        for leaf in (self.party.certificates[0], self.person.certificates[0]):
            self.statuses.unknown(leaf, anchor, at=self.at)
        self.statuses.refresh()

    def revoke(self, certificate: Certificate) -> None:
        self.server.revoke(certificate, now=self.at)
        self.fetch()

    def verify(self, *, rule: Rule = "prefer", trusted: Chain = ()) -> Report:
        signed = signer.sign_system(signer.sign_person(builders.message("10/01"), self.person), self.party)
        sender = replace(builders.party("NSW", signature="xmldsig"), revocation=rule)
        registry = Trust(self.folder, statuses=KeptStatuses(self.cache, clock=lambda: self.at))
        return verify_whole(signed, Question(at=self.at, registry=registry, directory=People(sender), trusted=trusted))


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    now = datetime.now(UTC).replace(microsecond=0)  # what is kept is judged by when its file was written
    pki, cache = tmp_path / "pki", tmp_path / "cache"
    with revoking(tmp_path / "ca", now=now) as server, HttpTransport() as transport:
        party, person = (server.issue(name, now=now) for name in ("party", "person"))
        files = CertificateFiles(pki)
        for purpose in ("party", "person"):
            files.add_anchor(purpose, server.authority.certificate, at=now)
        files.register(builders.party("NSW").code, party.certificates[0], at=now)
        statuses = Statuses(cache, transport, clock=lambda: now, watch=lambda *_: None)
        yield Known(server=server, statuses=statuses, folder=pki, cache=cache, party=party, person=person, at=now)


def told(report: Report, number: int) -> list[str]:
    return [c.detail.text for s in report.signatures for c in s.checks if c.number == number]


def test_sig_61_unknown_status_is_told_and_passes_where_the_rule_prefers(known: Known) -> None:
    report = known.verify()

    assert report.valid
    assert told(report, 61) == ["signature.passed-61-unknown"] * 2


def test_sig_61_status_that_was_fetched_is_known_without_asking_anybody(known: Known) -> None:
    known.fetch()

    report = known.verify(rule="require")

    assert report.valid
    assert (told(report, 60), told(report, 61)) == (["signature.passed-60"] * 2, ["signature.passed-61"] * 2)


def test_sig_61_unknown_status_is_refused_where_the_rule_requires_it(known: Known) -> None:
    assert failed(known.verify(rule="require")) == [61]


def test_sig_60_certificate_that_was_revoked_is_refused(known: Known) -> None:
    known.revoke(known.person.certificates[0])

    assert failed(known.verify()) == [60]


def test_nothing_is_told_of_revocation_by_the_rule_off_or_under_trust_by_hand(known: Known) -> None:
    known.fetch()

    assert len(told(known.verify(rule="off"), 60)) == 1
    assert told(known.verify(trusted=(known.server.authority.certificate,)), 60) == []
