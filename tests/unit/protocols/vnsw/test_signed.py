"""With the gateway's real signer: what a door answers and what an adapter sends can be verified by whoever opens it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.model import Receipt, SealProfile
from gateway.ports import Directory
from gateway.protocols.vnsw.client import encode
from gateway.protocols.vnsw.dialects import GATEWAY, MARD, Dialect
from gateway.protocols.vnsw.door import VnswDoor
from gateway.protocols.vnsw.wrapping import field_of
from gateway.security import beside, cms, devpki, verifier, wss
from gateway.security.keys import load_key
from gateway.security.sealer import EnvelopeSealer
from gateway.security.signer import sign_person
from gateway.testing import builders
from gateway.xml import soap
from gateway.xml.parse import parse
from gateway.xml.payload import payload_of

NOW = builders.RECEIVED_AT


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    devpki.generate(folder, now=NOW - timedelta(days=1), parties=("NSW",))
    return folder


@pytest.fixture(scope="module")
def sealer(pki: Path) -> EnvelopeSealer:
    return EnvelopeSealer(load_key(pki / "gateway.key.pem", pki / "gateway.cert.pem"), lambda: NOW)


def subject(payload: bytes) -> str:
    found = verifier.find(parse(payload))
    return verifier.verify_system(found, at=NOW, registered=lambda _certificate: True).signer.subject


def test_a_signed_reply_verifies_in_the_callers_hands(parties: Directory, sealer: EnvelopeSealer, receipt: Receipt) -> None:
    door = VnswDoor(rules=lambda: parties, zone=builders.ZONE, sign=sealer.sign)
    opened = door.open(builders.arrival(builders.soap(builders.message("10/01"))))

    reply = door.answer(opened, replace(receipt, seal="xmldsig"))

    field = field_of(soap.unwrap(reply.body).child, "responsePayload")
    assert field is not None
    assert subject(payload_of(field))


@pytest.mark.parametrize("dialect", [GATEWAY, MARD], ids=lambda d: d.name)
def test_a_sealed_request_carries_both_signatures(door: VnswDoor, pki: Path, sealer: EnvelopeSealer, dialect: Dialect) -> None:
    key = load_key(pki / "person" / "declarant.key.pem", pki / "person" / "declarant.cert.pem")
    signed = sign_person(builders.message("10/01"), key)
    party = replace(builders.party("NSW"), accepts=SealProfile(signature="xmldsig"))

    request = sealer.seal(encode(dialect, builders.envelope(payload=signed), builders.route(party)))

    payload = door.open(builders.arrival(request.body)).payload
    assert subject(payload)
    assert verifier.find(parse(payload)).person is not None


def test_a_signed_message_opens_for_the_prover_and_is_answered_in_kind(
    parties: Directory, sealer: EnvelopeSealer, receipt: Receipt
) -> None:
    door = VnswDoor(rules=lambda: parties, zone=builders.ZONE, sign=sealer.sign)
    message = sealer.sign(builders.soap(builders.message("10/01")), "wss-x509")

    opened = door.open(builders.arrival(message))
    reply = door.answer(opened, replace(receipt, seal="wss-x509"))

    assert opened.payload == builders.message("10/01")
    for signed in (opened.message, reply.body):
        assert wss.verify(signed, at=NOW, registered=lambda found: found == sealer.certificate)


def test_a_message_without_a_security_header_gives_the_prover_none(door: VnswDoor) -> None:
    assert door.open(builders.arrival(builders.soap(builders.message("10/01")))).message == b""


@pytest.mark.parametrize("dialect", [GATEWAY, MARD], ids=lambda d: d.name)
def test_a_request_to_a_party_that_takes_signed_messages_is_one(sealer: EnvelopeSealer, dialect: Dialect) -> None:
    party = replace(builders.party("NSW"), accepts=SealProfile(signature="wss-x509"))

    request = sealer.seal(encode(dialect, builders.envelope(), builders.route(party)))

    assert wss.verify(request.body, at=NOW, registered=lambda found: found == sealer.certificate)


def test_what_a_party_gets_that_takes_signatures_beside_is_signed_so(parties: Directory, sealer: EnvelopeSealer, receipt: Receipt) -> None:
    door = VnswDoor(rules=lambda: parties, zone=builders.ZONE, sign=sealer.sign)
    party = replace(builders.party("NSW"), accepts=SealProfile(signature="cms-detached"))

    reply = door.answer(door.open(builders.arrival(builders.soap(builders.message("10/01")))), replace(receipt, seal="cms-detached"))
    request = sealer.seal(encode(GATEWAY, builders.envelope(), builders.route(party)))

    for body, headers in ((reply.body, reply.headers), (request.body, request.headers)):
        message, signature = beside.read(body) or (b"", b"")
        assert soap.unwrap(message).version == "1.1"
        assert cms.verify(message, signature, at=NOW, registered=lambda found: found == sealer.certificate)
        assert headers["content-type"].startswith('multipart/related; type="text/xml"; ')
