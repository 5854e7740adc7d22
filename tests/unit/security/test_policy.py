"""What a party signs by, as its data has it: profiles, algorithms, clocks, dated concessions, and messages signed as a whole."""

import base64
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.errors import GatewayError
from gateway.model import Concession, SealProfile, Wrapper
from gateway.ports import Opened
from gateway.security import cms, policy, signer, wss, xades
from gateway.security.keys import load_key
from gateway.security.prover import Prover
from gateway.testing import builders
from gateway.testing.signing import LOOPBACK, NOW, ZONE, Bench, People, private_key_of, unsigned
from gateway.xml import soap
from gateway.xml.namespaces import DS

# --- what a party signs by, as its data has it ---------------------------------------------------------------------------


def by_profile(**profile: object) -> People:
    sender = replace(builders.party("NSW"), sends=SealProfile(**profile))  # type: ignore[arg-type]  # what each case names
    return People(sender, unsigned("BNN"))


@pytest.mark.parametrize("asked", ["xmldsig", "xades-b-b"])
def test_xades_satisfies_its_own_profile_and_the_plain_one(bench: Bench, asked: str) -> None:
    signed = xades.sign_system(bench.envelope(), bench.portal, at=NOW)

    assert bench.prove(signed, people=by_profile(signature=asked)).proof == "signature"


@pytest.mark.parametrize("asked", ["xades-b-b", "xades-b-t", "xades-b-lt"])
def test_sig_22_plain_signature_of_a_party_that_signs_more_is_refused(bench: Bench, asked: str) -> None:
    refused = bench.refused(bench.signed(), people=by_profile(signature=asked))

    assert refused.problems[0].text == "signature.profile-lower"


def test_sig_6_algorithm_that_the_party_does_not_use_is_refused(bench: Bench) -> None:
    people = by_profile(algorithms=("ecdsa-sha384",))

    assert bench.refused(bench.signed(person=False), people=people).problems[0].values["check"] == "6"
    assert bench.prove(bench.signed(person=False, system=bench.p384), people=people).proof == "signature"


def test_sig_12_key_shorter_than_the_party_uses_is_refused(bench: Bench) -> None:
    refused = bench.refused(bench.signed(person=False, system=bench.rsa), people=by_profile(min_rsa_bits=3072))

    assert refused.problems[0].values["check"] == "12"


def test_sig_30_clocks_may_differ_as_the_party_says(bench: Bench) -> None:
    ahead = xades.sign_system(bench.envelope(), bench.portal, at=NOW + timedelta(minutes=20))

    assert bench.refused(ahead, people=by_profile()).problems[0].values["check"] == "30"
    assert bench.prove(ahead, people=by_profile(clock_skew=timedelta(minutes=30))).proof == "signature"


def test_weak_algorithms_hold_until_their_date_and_no_longer() -> None:
    concession = Concession(allow=frozenset({"sha1", "rsa-1024"}), until=NOW)
    profile = SealProfile(concessions=(concession,))

    before, after = (policy.for_party(profile, at=NOW + moment) for moment in (-timedelta(seconds=1), timedelta()))

    assert before.min_rsa_bits == policy.CONCEDED_RSA_BITS
    assert {m.hash for m in before.methods.values()} > {"sha1"}
    assert after == replace(policy.GATEWAY, methods=after.methods, digests=after.digests)
    assert (dict(after.methods), dict(after.digests)) == (dict(policy.GATEWAY.methods), dict(policy.GATEWAY.digests))


def test_no_party_is_conceded_hmac() -> None:
    assert not any(m.key == "hmac" for methods, _ in policy.WEAK_METHODS.values() for m in methods)


def sha1_signed(bench: Bench) -> bytes:
    """Sign as a system of twenty years ago: RSA-SHA1 over a SHA-1 digest."""
    modern = signer.sign_system(bench.envelope(), bench.rsa).decode()
    bare = bench.envelope().replace(b"</Envelope>", b"<SystemSignature></SystemSignature></Envelope>")
    digest = base64.b64encode(hashlib.sha1(bare).digest())  # noqa: S324  # what is conceded
    info = modern[modern.index("<SignedInfo>") : modern.index("</SignedInfo>") + len("</SignedInfo>")]
    old = info.replace(policy.RSA_SHA256.uri, f"{DS}rsa-sha1").replace(f"{policy.XMLENC}sha256", f"{DS}sha1")
    old = old.replace(old.split("<DigestValue>")[1].split("<")[0], digest.decode())
    canonical = old.replace("<SignedInfo>", f'<SignedInfo xmlns="{DS}">').encode()
    value = cast("rsa.RSAPrivateKey", private_key_of(bench.rsa)).sign(canonical, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303  # what is conceded
    stated = modern.split("<SignatureValue>")[1].split("<")[0]
    return modern.replace(info, old).replace(stated, base64.b64encode(value).decode()).encode()


def test_sha1_is_proved_only_where_it_is_conceded(bench: Bench) -> None:
    conceded = by_profile(concessions=(Concession(allow=frozenset({"sha1"}), until=NOW + timedelta(days=1)),))
    ended = by_profile(concessions=(Concession(allow=frozenset({"sha1"}), until=NOW),))

    assert bench.prove(sha1_signed(bench), people=conceded).proof == "signature"
    assert bench.refused(sha1_signed(bench), people=ended).problems[0].values["check"] == "6"
    assert bench.refused(sha1_signed(bench)).problems[0].values["check"] == "6"


# --- messages signed as a whole ------------------------------------------------------------------------------------------


def opened(bench: Bench, *, signed: bool = True) -> Opened:
    wrapped = soap.wrap(b"<receive><payload>%b</payload></receive>" % soap.escape_text(bench.envelope()), version="1.1")
    message = wss.sign(wrapped, bench.portal, at=NOW) if signed else wrapped
    return Opened(wrapper=Wrapper(protocol="vnsw", operation="receive"), payload=bench.envelope(), message=message)


def test_signed_message_proves_an_envelope_without_signature(bench: Bench) -> None:
    prover = Prover(bench.trust, lambda: NOW, ZONE)

    proven = prover.prove(opened(bench), LOOPBACK, by_profile(signature="wss-x509"))

    assert (proven.proof, proven.warnings) == ("signature", ())
    assert [s.covers for s in proven.signers] == [("/soap:Envelope/soap:Body",)]


def test_sig_22_unsigned_message_of_a_party_that_signs_messages_is_refused(bench: Bench) -> None:
    prover = Prover(bench.trust, lambda: NOW, ZONE)

    with pytest.raises(GatewayError) as refused:
        prover.prove(opened(bench, signed=False), LOOPBACK, by_profile(signature="wss-x509"))
    assert refused.value.problems[0].text == "signature.message-unsigned"


def test_sig_44_old_message_is_refused_though_nobody_demanded_a_signature(bench: Bench) -> None:
    prover = Prover(bench.trust, lambda: NOW + timedelta(minutes=30), ZONE)

    with pytest.raises(GatewayError) as refused:
        prover.prove(opened(bench), LOOPBACK, People(unsigned("NSW")))
    assert refused.value.problems[0].values["check"] == "44"


def test_signed_message_around_a_reply_proves_it(bench: Bench) -> None:
    prover = Prover(bench.trust, lambda: NOW, ZONE)
    reply = opened(bench)

    assert prover.prove_reply(reply.payload, builders.party("NSW"), message=reply.message)
    with pytest.raises(GatewayError):
        prover.prove_reply(reply.payload, builders.party("BNN"), message=reply.message)


# --- documents with a signature beside them ------------------------------------------------------------------------------


def beside_it(bench: Bench, **changes: bytes) -> Opened:
    envelope = bench.envelope()
    found = Opened(
        wrapper=Wrapper(protocol="rest", operation="documents"), payload=envelope, signature=cms.sign(envelope, bench.portal, at=NOW)
    )
    return replace(found, **changes)  # type: ignore[arg-type]  # what each case names


def refused_beside(bench: Bench, opened: Opened, people: People, *, at: datetime = NOW) -> str:
    with pytest.raises(GatewayError) as refused:
        Prover(bench.trust, lambda: at, ZONE).prove(opened, LOOPBACK, people)
    return refused.value.problems[0].values["check"]


def test_detached_signature_proves_a_document_without_one_inside(bench: Bench) -> None:
    proven = Prover(bench.trust, lambda: NOW, ZONE).prove(beside_it(bench), LOOPBACK, by_profile(signature="cms-detached"))

    assert (proven.proof, proven.warnings) == ("signature", ())
    assert [(s.role, s.covers, s.certificate_sha256) for s in proven.signers] == [
        ("system", ("/",), bench.portal.certificates[0].sha256)
    ]  # fmt: skip


@pytest.mark.parametrize("profile", ["cms-detached", "none", "xmldsig"])
def test_altered_document_is_refused_by_whatever_profile(bench: Bench, profile: str) -> None:
    altered = beside_it(bench, payload=bench.envelope().replace(b"<Quantity>960<", b"<Quantity>961<"))

    assert refused_beside(bench, altered, People(unsigned("NSW")) if profile == "none" else by_profile(signature=profile)) == "54"


def test_sig_22_document_without_its_signature_is_refused(bench: Bench) -> None:
    assert refused_beside(bench, beside_it(bench, signature=b""), by_profile(signature="cms-detached")) == "22"


def test_sig_22_signature_in_the_envelope_is_none_beside_it_and_the_other_way(bench: Bench) -> None:
    inside = beside_it(bench, payload=bench.signed(), signature=b"")

    assert refused_beside(bench, inside, by_profile(signature="cms-detached")) == "22"
    assert refused_beside(bench, beside_it(bench), by_profile(signature="xmldsig")) == "22"
    assert refused_beside(bench, beside_it(bench), by_profile(signature="wss-x509")) == "22"


def test_sig_23_detached_signature_of_another_party_is_refused(bench: Bench) -> None:
    by_ministry = load_key(bench.folder / "keys" / "BNN.key.pem", bench.folder / "parties" / "BNN.pem")
    other = beside_it(bench, signature=cms.sign(bench.envelope(), by_ministry, at=NOW))

    assert refused_beside(bench, other, by_profile(signature="cms-detached")) == "23"


def test_sig_30_detached_signature_from_the_future_is_refused_beyond_the_partys_skew(bench: Bench) -> None:
    ahead = beside_it(bench, signature=cms.sign(bench.envelope(), bench.portal, at=NOW + timedelta(minutes=20)))
    wide = by_profile(signature="cms-detached", clock_skew=timedelta(minutes=30))

    assert refused_beside(bench, ahead, by_profile(signature="cms-detached")) == "30"
    assert Prover(bench.trust, lambda: NOW, ZONE).prove(ahead, LOOPBACK, wide).proof == "signature"


@pytest.mark.parametrize(
    ("changes", "check"), [({"algorithms": ("rsa-sha256",)}, "51"), ({"algorithms": ("ecdsa-sha384",)}, "51"), ({}, "")]
)
def test_detached_signature_is_judged_by_the_partys_algorithms(bench: Bench, changes: dict[str, Any], check: str) -> None:
    people = by_profile(signature="cms-detached", **changes)

    if check:
        assert refused_beside(bench, beside_it(bench), people) == check
    else:
        assert Prover(bench.trust, lambda: NOW, ZONE).prove(beside_it(bench), LOOPBACK, people).proof == "signature"


def test_sig_12_detached_signature_by_a_smaller_key_than_the_party_uses_is_refused(bench: Bench) -> None:
    small = beside_it(bench, signature=cms.sign(bench.envelope(), bench.rsa, at=NOW))

    assert refused_beside(bench, small, by_profile(signature="cms-detached", min_rsa_bits=3072)) == "12"


def test_signature_beside_a_reply_proves_it(bench: Bench) -> None:
    prover, body = Prover(bench.trust, lambda: NOW, ZONE), b'{"state": "accepted"}'
    signed = cms.sign(body, bench.portal, at=NOW)

    assert prover.prove_reply(None, builders.party("NSW"), beside=(body, signed))
    for party, answer, signature in (("BNN", body, signed), ("NSW", body + b" ", signed), ("NSW", body, b""), ("NSW", body, b"0")):
        with pytest.raises(GatewayError):
            prover.prove_reply(None, builders.party(party), beside=(answer, signature))
