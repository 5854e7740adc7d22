"""A message signed with a certificate that its authority revoked is refused, whoever signed it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.model import Wrapper
from gateway.ports import Opened, Proven
from gateway.security import signer
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.security.prover import Prover
from gateway.security.registry import CertificateFiles
from gateway.security.statuses import Rule, Statuses
from gateway.security.trust import Trust
from gateway.testing import builders
from gateway.testing.revoking import RevocationServer, revoking
from gateway.testing.signing import LOOPBACK, NOW, ZONE, People
from gateway.transport.http import HttpTransport


@dataclass
class Place:
    """A gateway's registry, and the authority of the party and of the person."""

    server: RevocationServer
    statuses: Statuses
    trust: Trust
    folder: Path
    party: SigningKey
    person: SigningKey

    def prove(self, *, rule: Rule = "prefer") -> Proven:
        envelope = signer.sign_system(signer.sign_person(builders.message("10/01"), self.person), self.party)
        sender = replace(builders.party("NSW", signature="xmldsig"), revocation=rule)
        prover = Prover(self.trust, lambda: NOW, ZONE)
        return prover.prove(Opened(wrapper=Wrapper(protocol="vnsw", operation="receive"), payload=envelope), LOOPBACK, People(sender))

    def verdict(self, *, rule: Rule = "prefer") -> str:
        try:
            self.prove(rule=rule)
        except GatewayError as error:
            return error.problems[0].values["check"]
        return "proven"

    def revoke(self, certificate: Certificate) -> None:
        self.server.revoke(certificate, now=NOW)
        self.statuses.refresh()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    pki = tmp_path / "pki"
    with revoking(tmp_path / "ca", now=NOW) as server, HttpTransport() as transport:
        party, person = (server.issue(name, now=NOW) for name in ("party", "person"))
        files = CertificateFiles(pki)
        files.add_anchor("party", server.authority.certificate, at=NOW)
        files.add_anchor("person", server.authority.certificate, at=NOW)
        files.register(builders.party("NSW").code, party.certificates[0], at=NOW)
        statuses = Statuses(tmp_path / "cache", transport, clock=lambda: NOW, watch=lambda _event, _fields: None)
        yield Place(server, statuses, Trust(pki, statuses=statuses), pki, party, person)


def test_good_certificates_are_proven_before_and_after_their_status_is_known(place: Place) -> None:
    before = place.verdict()
    place.statuses.refresh()

    assert (before, place.verdict(), place.verdict(rule="require")) == ("proven", "proven", "proven")


@pytest.mark.parametrize("signer_", ["party", "person"])
def test_60_message_of_a_revoked_signer_is_refused(place: Place, signer_: str) -> None:
    place.prove()
    key: SigningKey = getattr(place, signer_)
    place.revoke(key.certificates[0])

    assert place.verdict() == "60"


def test_61_party_that_requires_a_status_waits_for_it(place: Place) -> None:
    assert place.verdict(rule="require") == "61"
    assert place.verdict(rule="off") == "proven"


def test_61_persons_wait_where_their_anchors_require_it(place: Place) -> None:
    (place.folder / "anchors" / "person" / "policy.toml").write_text('revocation = "require"\n')

    first = place.verdict()
    place.statuses.refresh()

    assert (first, place.verdict()) == ("61", "proven")


@pytest.mark.parametrize("text", ['revocation = "maybe"', "revocation =", "", "revocation = 1"])
def test_policy_that_cannot_be_read_requires_and_is_named(place: Place, text: str) -> None:
    (place.folder / "anchors" / "person" / "policy.toml").write_text(text)

    assert place.verdict() == "61"
    assert [problem.text for problem in place.trust.registry.problems] == ["certificates.policy"]


def test_61_registered_certificate_without_a_known_issuer_is_refused_where_required(place: Place) -> None:
    for anchor in (place.folder / "anchors" / "party").glob("*.pem"):
        anchor.unlink()
    (place.folder / "anchors" / "person" / "policy.toml").write_text('revocation = "off"\n')
    for anchor in (place.folder / "anchors" / "person").glob("*.pem"):
        anchor.rename(place.folder / "kept.pem")

    assert place.verdict(rule="require") == "61"


def test_status_that_cannot_be_had_is_a_notice(place: Place) -> None:
    place.server.away = True
    place.prove()
    place.statuses.refresh()
    away = [problem.text for problem in place.trust.registry.unknown_statuses(at=NOW)]
    place.server.away = False
    place.statuses.refresh()

    assert (away, list(place.trust.registry.unknown_statuses(at=NOW))) == (["certificates.status-unknown"], [])
