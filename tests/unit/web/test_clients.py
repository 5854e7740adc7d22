"""A client certificate opens nothing any more once it was revoked or ended: not even what is open to who shows none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotProven
from gateway.model import Party, PartyCode
from gateway.security.certificates import Certificate
from gateway.security.registry import CertificateFiles
from gateway.security.statuses import Rule, Statuses
from gateway.security.trust import Trust
from gateway.testing import builders
from gateway.testing.revoking import RevocationServer, revoking
from gateway.testing.signing import NOW, People
from gateway.transport.http import HttpTransport
from gateway.web.auth import CERTIFICATE
from gateway.web.clients import owner_of

Call = Callable[..., Any]

SOAP = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<receiveRequest xmlns="http://com/vnsw/receive/gateway/generated"><requestPayload>&lt;Envelope/&gt;</requestPayload>'
    b"</receiveRequest></s:Body></s:Envelope>"
)
BNN = PartyCode("BNN")
REQUESTS = [
    ("GET", "/api/v1/mailbox", b""),
    ("POST", "/api/v1/mailbox/collect", b"{}"),
    ("POST", "/api/v1/mailbox/0198f3c2-6b20-7d01-8e77-52b1c9f0a3d4/confirm", b'{"token": "5f1c9a7e30b24d8899aa01ff"}'),
    ("GET", "/api/v1/messages", b""),
    ("GET", "/api/v1/messages/0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6/document", b""),
    ("GET", "/api/v1/messages/0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6/evidence", b""),
    ("POST", "/api/v1/documents", b"<Envelope/>"),
    ("GET", "/health/ready", b""),
]


@dataclass
class Place:
    """The registry of a gateway, the authority of its parties, and the certificate of one of them."""

    server: RevocationServer
    statuses: Statuses
    trust: Trust
    files: CertificateFiles
    parties: Path
    certificate: Certificate

    def owner(self, *, rule: Rule = "prefer", at: datetime = NOW, parties: tuple[Party, ...] = ()) -> PartyCode | None:
        directory = People(*(parties or (replace(builders.party("BNN"), revocation=rule),)))
        return owner_of(self.certificate.sha256, self.trust.registry, directory, at=at)

    def refusal(self, *, rule: Rule = "prefer", at: datetime = NOW) -> str:
        with pytest.raises(NotProven) as refused:
            self.owner(rule=rule, at=at)
        return refused.value.problems[0].text

    def revoke(self) -> None:
        self.server.revoke(self.certificate, now=NOW)
        self.statuses.refresh()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    pki = tmp_path / "pki"
    with revoking(tmp_path / "ca", now=NOW) as server, HttpTransport() as transport:
        files = CertificateFiles(pki)
        files.add_anchor("party", server.authority.certificate, at=NOW)
        [certificate] = server.issue("client", now=NOW).certificates
        files.register(BNN, certificate, at=NOW)
        statuses = Statuses(tmp_path / "cache", transport, clock=lambda: NOW, watch=lambda _event, _fields: None)
        trust = Trust(pki, statuses=statuses, elapsed=iter(range(1000)).__next__)  # looks at the folder each time
        yield Place(server, statuses, trust, files, pki / "parties", certificate)


def test_certificate_is_its_partys_before_and_after_its_status_is_known(place: Place) -> None:
    before = place.owner()
    place.statuses.refresh()

    assert (before, place.owner(), place.owner(rule="require")) == (BNN, BNN, BNN)


def test_certificate_that_its_authority_revoked_is_refused(place: Place) -> None:
    place.owner()
    place.revoke()

    assert (place.refusal(), place.refusal(rule="require")) == ("web.certificate-revoked", "web.certificate-revoked")
    assert place.owner(rule="off") == BNN


def test_certificate_that_was_revoked_here_is_refused_by_every_rule(place: Place) -> None:
    place.owner()
    place.files.revoke(place.certificate.sha256)

    assert [place.refusal(rule=rule) for rule in ("require", "prefer", "off")] == ["web.certificate-withdrawn"] * 3


def test_source_that_is_away_is_judged_by_the_rule_of_the_party(place: Place) -> None:
    place.server.away = True
    place.owner()
    place.statuses.refresh()

    assert (place.owner(), place.owner(rule="off"), place.refusal(rule="require")) == (BNN, BNN, "web.certificate-status")


def test_revocation_that_is_known_holds_while_its_source_is_away(place: Place) -> None:
    place.owner()
    place.revoke()
    place.server.away = True
    place.statuses.refresh()

    assert place.refusal() == "web.certificate-revoked"


def test_looking_asks_nobody(place: Place) -> None:
    for _ in range(3):
        place.owner()

    assert place.server.asked == {}


@pytest.mark.parametrize("off", [timedelta(days=-4000), timedelta(days=4000)])
def test_certificate_out_of_its_validity_is_refused(place: Place, off: timedelta) -> None:
    assert place.refusal(at=NOW + off) == "web.certificate-ended"


def test_certificate_of_two_parties_proves_neither_and_is_held_to_the_rules_of_both(place: Place) -> None:
    (place.parties / "NSW.pem").write_bytes((place.parties / "BNN.pem").read_bytes())  # what only a hand does
    parties = (replace(builders.party("BNN"), revocation="off"), replace(builders.party("NSW"), revocation="prefer"))

    before = place.owner(parties=parties)
    place.revoke()

    assert before is None
    with pytest.raises(NotProven):
        place.owner(parties=parties)


def test_certificate_that_nobody_registered_is_nobodys(place: Place) -> None:
    assert owner_of("cd" * 32, place.trust.registry, People(), at=NOW) is None


def test_certificate_of_a_party_without_rules_is_held_to_the_default(place: Place) -> None:
    place.owner()
    place.revoke()

    with pytest.raises(NotProven):
        place.owner(parties=(builders.party("NSW"),))


# --- at the doors --------------------------------------------------------------------------------------------------------


@pytest.fixture
def revoked(place: Place, rehub: Call, calling: Call, tmp_path: Path) -> tuple[Any, Any]:
    """A hub whose clients show certificates, and a caller with one that was revoked."""
    place.owner()
    place.revoke()
    hub = rehub(tls_client_ca=tmp_path)
    hub.trust, hub.clock = place.trust, lambda: NOW
    caller = calling(hub)
    caller.state = {CERTIFICATE: place.certificate.sha256}
    return hub, caller


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_revoked_certificate_is_refused_by_every_route(revoked: tuple[Any, Any], method: str, path: str, body: bytes) -> None:
    hub, call = revoked

    media = "application/xml" if b"<" in body else "application/json"
    answer = call(method, path, headers=[("content-type", media)], body=body)

    assert (answer.status, answer.json["errors"][0]["code"]) == (403, "web.certificate-revoked")
    assert "thu hồi" in answer.json["errors"][0]["message_vi"]
    assert not hub.mailboxes.acts
    assert not hub.intake.arrivals


def test_revoked_certificate_is_refused_by_the_soap_door_in_its_dialect(revoked: tuple[Any, Any]) -> None:
    hub, call = revoked

    answer = call("POST", "/ws", headers=[("content-type", "text/xml")], body=SOAP)

    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (403, "text/xml")
    assert "đã bị tổ chức cấp thu hồi" in answer.body.decode()
    assert not hub.intake.arrivals
    assert hub.events == [("web.refused", {"door": "vnsw", "code": "web.certificate-revoked"})]
