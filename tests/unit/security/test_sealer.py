"""The sealer: it signs by the receiver's profile, where that profile signs, or says why it cannot."""

import pytest

from gateway.errors import GatewayError, NotValid, Unavailable
from gateway.model import Request, Seal
from gateway.security import beside, cms, verifier, wss
from gateway.security.sealer import EnvelopeSealer
from gateway.testing.signing import NOW, Bench
from gateway.xml import soap
from gateway.xml.parse import parse


def wrap(envelope: bytes) -> bytes:
    return soap.wrap(b"<receive>%b</receive>" % soap.escape_text(envelope), version="1.2")


def sealed(bench: Bench, profile: str, *, algorithms: tuple[str, ...] = ()) -> bytes:
    seal = Seal(profile=profile, document=bench.envelope(), wrap=wrap, algorithms=algorithms)
    request = Request(endpoint="https://x", action="", body=b"", seal=seal)
    return EnvelopeSealer(bench.portal, lambda: NOW).seal(request).body


@pytest.mark.parametrize("profile", ["xmldsig", "xades-b-b"])
def test_envelope_is_signed_inside_its_wrapper(bench: Bench, profile: str) -> None:
    envelope = (soap.unwrap(sealed(bench, profile)).child.text or "").encode()

    verified = verifier.verify_system(verifier.find(parse(envelope)), at=NOW, registered=lambda _: True)

    assert verified.profile == profile


def test_message_is_signed_around_the_envelope(bench: Bench) -> None:
    message = sealed(bench, "wss-x509")

    assert wss.verify(message, at=NOW, registered=lambda c: c == bench.portal.certificates[0])
    assert b"SystemSignature" not in message


def test_signature_goes_beside_what_the_receiver_gets(bench: Bench) -> None:
    seal = Seal(profile="cms-detached", document=bench.envelope(), wrap=wrap)
    request = Request(endpoint="https://x", action="", body=b"", headers={"content-type": "application/soap+xml"}, seal=seal)

    sent = EnvelopeSealer(bench.portal, lambda: NOW).seal(request)

    document, signature = beside.read(sent.body) or (b"", b"")
    assert document == wrap(bench.envelope())
    assert cms.verify(document, signature, at=NOW, registered=lambda c: c == bench.portal.certificates[0]).signed_at == NOW
    assert sent.headers["content-type"].startswith('multipart/related; type="application/soap+xml"; ')
    assert sent.seal is None


@pytest.mark.parametrize("profile", ["xades-b-t", "xades-b-lt"])
def test_profile_that_needs_an_authority_waits_for_one(bench: Bench, profile: str) -> None:
    with pytest.raises(Unavailable) as refused:
        sealed(bench, profile)
    assert refused.value.problems[0].text == "signature.no-authority"


def test_algorithm_that_the_receiver_does_not_take_is_not_used(bench: Bench) -> None:
    assert sealed(bench, "xmldsig", algorithms=("ecdsa-sha256",))
    with pytest.raises(NotValid) as refused:
        sealed(bench, "xmldsig", algorithms=("rsa-sha256",))
    assert refused.value.problems[0].text == "signature.seal-algorithm"


@pytest.mark.parametrize("profile", ["hmac", "cms", ""])
def test_unknown_profile_is_refused(bench: Bench, profile: str) -> None:
    with pytest.raises(GatewayError) as refused:
        sealed(bench, profile)
    assert refused.value.problems[0].text == "signature.seal-unknown"
