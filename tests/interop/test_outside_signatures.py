"""Signatures that other people made and published, with the results they published: XML-DSig vectors, XAdES, and wrapping attacks."""

import csv
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.security import certificates, revocation, wss
from gateway.security.general import verify_file
from gateway.security.path import Anchors
from gateway.security.policy import PERMISSIVE, RSA_SHA256
from gateway.security.question import Question
from gateway.security.report import Report
from gateway.security.shape import check_key
from gateway.testing.signing import NOW as SIGNED_AT
from gateway.testing.signing import Bench
from gateway.xml.parse import parse

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PERMITTED = Question(at=NOW, policy=PERMISSIVE)
TRUSTING = replace(
    PERMISSIVE, name="permissive-trusting", needs_trust=True
)  # whatever can be computed, under a certificate that is trusted


@dataclass(frozen=True, kw_only=True)
class Otherwise:
    """Why a row comes out otherwise than xmlsec says: part of its name or arguments, the problem that we name, and the reason."""

    part: str
    problem: str
    reason: str


# Rows that xmlsec takes and we refuse: each by a rule of docs/protocol/SIG.md.
REFUSED = (
    Otherwise(part="md5", problem="signature.method", reason="SIG-6: MD5 is broken; no policy computes it"),
    Otherwise(part="ripemd160", problem="signature.method", reason="SIG-6: RIPEMD-160 is in no policy; nobody in the field uses it"),
    Otherwise(part="-64.xml", problem="signature.value", reason="SIG-13: HMACs are compared whole; a truncated one is refused"),
    Otherwise(part="relationship", problem="signature.uri-outside", reason="SIG-8: references stay inside the file"),
    Otherwise(part="two-keynames", problem="signature.uri-outside", reason="SIG-8: references stay inside the file; nothing is fetched"),
    Otherwise(part="xpointer-hmac", problem="xml.doctype", reason="section 5: a DOCTYPE is refused before anything is read"),
    Otherwise(part="x509data", problem="signature.transform-unknown", reason="SIG-9: the one XPath applied leaves signatures out"),
    Otherwise(part="with-asn1", problem="signature.signed-info", reason="SIG-15: ECDSA values are r and s side by side, never ASN.1"),
    Otherwise(part="ml-kem", problem="signature.hmac-key", reason="SIG-11: an HMAC key is given by hand, never in the document"),
    Otherwise(part="exc-signature", problem="signature.digest", reason="section 5: comments are dropped; #default is not known"),
    Otherwise(part="--verify-keys", problem="signature.no-key", reason="SIG-11: a KeyName names no certificate; it vouches for nothing"),
    Otherwise(part="2026-03-10", problem="signature.revoked", reason="SIG-24: a list tells since when; xmlsec asks when the list was made"),
)  # fmt: skip
# Rows that xmlsec refuses and that ask nothing of ours: each with the reason.
NOT_APPLICABLE = (
    Otherwise(part="retrieval-method,key-name", problem="", reason="asks xmlsec to leave out a kind of key data; we have no such option"),
    Otherwise(part="retrieval-method-rsa-key-value.xml", problem="", reason="asks xmlsec to be built without RetrievalMethod"),
)


def rows(table: Path) -> Iterator[list[str]]:
    with table.open(encoding="utf-8") as lines:
        yield from (r for r in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if r and not r[0].startswith("#"))


def question(arguments: str, folder: Path) -> Question:
    """Read the arguments of xmlsec1 as ours: --trust, --untrusted, --crl, --at, --key, and which policy."""
    asked, words = PERMITTED, shlex.split(arguments.replace("$topfolder", str(folder)))
    for word, value in pairwise([*words, ""]):
        file = Path(value)
        if word == "--trusted-pem":
            asked = replace(asked, trusted=(*asked.trusted, *certificates.read_pem(file.read_bytes())))
        elif word == "--untrusted-pem" or (word.startswith("--pubkey-cert-pem") and "--verify-keys" in words):
            asked = replace(asked, untrusted=(*asked.untrusted, *certificates.read_pem(file.read_bytes())))
        elif word == "--crl-pem":
            asked = replace(asked, crls=revocation.read_crls(file.read_bytes()))
        elif word == "--verification-gmt-time":
            asked = replace(asked, at=datetime.strptime(value, "%Y-%m-%d+%H:%M:%S").replace(tzinfo=UTC))
        elif word == "--hmackey" or word.startswith("--pubkey"):
            asked = replace(asked, key=file.read_bytes())
    if "--insecure" in words:  # whatever certificate came along, trusted or not
        return replace(asked, untrusted=(*asked.untrusted, *asked.trusted), trusted=(), crls=())
    trusting = "--verify-keys" in words or (not asked.trusted and "x509" in arguments.rpartition("--enabled-key-data")[2])
    return replace(asked, policy=TRUSTING) if trusting else asked


def judged(file: Path, arguments: str, folder: Path) -> Report:
    """Judge a row; where time is not asked for, as of when its certificate was valid."""
    asked = question(arguments, folder)
    if "--X509-skip-time-checks" in arguments:
        leaf = next(c for c in map(certificates.read_base64, _certificates_in(file)) if not c.valid_at(asked.at))
        asked = replace(asked, at=leaf.not_after)
    return verify_file(file.read_bytes(), asked)


def _certificates_in(file: Path) -> Iterator[bytes]:
    for element in parse(file.read_bytes()).iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate"):
        yield (element.text or "").encode()


def failed(report: Report) -> list[str]:
    return [c.detail.text for s in report.signatures for c in s.checks if not c.passed] + [p.text for p in report.problems]


def test_xmlsec_vectors_come_out_as_their_authors_expect_or_as_the_tables_say(outside: Path) -> None:
    folder = outside / "xmldsig" / "xmlsec"
    used, seen, wrong = set(), Counter[str](), []

    for expected, name, _, _, _, arguments in rows(folder / "EXPECTED.tsv"):
        report = judged(folder / name, arguments, folder)
        if report.valid is (expected == "PASS"):
            seen[expected] += 1
            continue
        table = REFUSED if expected == "PASS" else NOT_APPLICABLE
        entry = next((o for o in table if o.part in name or o.part in arguments), None)
        if entry is None or (entry.problem and entry.problem not in failed(report)):
            wrong.append((expected, name, arguments, failed(report)))
        else:
            used.add(entry)

    assert wrong == []
    assert used == {*REFUSED, *NOT_APPLICABLE}  # no entry that no row needs
    assert seen["PASS"] >= 84
    assert seen["FAIL"] >= 10


def test_gateway_policy_takes_modern_vectors_and_nothing_weak(outside: Path) -> None:
    folder = outside / "xmldsig" / "xmlsec"
    taken = set()

    for expected, name, _, _, _, arguments in rows(folder / "EXPECTED.tsv"):
        asked = replace(question(arguments, folder), policy=Question(at=NOW).policy)
        if verify_file((folder / name).read_bytes(), asked).valid:
            assert expected == "PASS", name
            taken.add(Path(name).name)

    assert taken >= {f"enveloping-{n}.xml" for n in ("sha256-rsa-sha256", "sha384-rsa-sha384", "sha256-ecdsa-sha256")}
    assert not any(weak in name for name in taken for weak in ("sha1", "md5", "hmac", "dsa2048", "ripemd"))


def test_signxml_vectors_come_out_as_xmlsec1_found_or_better(outside: Path) -> None:
    folder = outside / "xmldsig" / "signxml-interop"
    wrong, better = [], Counter[str]()

    for name, result, why, *_ in rows(folder / "RESULTS.tsv"):
        asked = replace(PERMITTED, key=b"testkey") if "-hmac-" in name else PERMITTED  # the key that W3C published for them
        report = verify_file((folder / name).read_bytes(), asked)
        first = bool(report.signatures) and report.signatures[0].valid
        if first and result == "FAILS":
            better[why] += 1
        elif first is not (result == "VERIFIES"):
            wrong.append((name, failed(report)))

    assert wrong == []
    # xmlsec1 was asked without keys: it reads no DER, no EC key, no HMAC key out of a document, and wants its certificate trusted
    assert better == {"key not in document": 17, "digest mismatch": 5, "unknown certificate verification failed": 1}


# XAdES that xmlsec1 finds right as XML-DSig, and that is not right as XAdES.
WRONG_CLAIMS = {
    "xades-wrong-sign-cert-digest.xml": "SIG-29: the digest is another certificate's",
    "nonconformant-xades-sign-cert-v1-wrong-serialnumber.xml": "SIG-29: the serial number is another certificate's",
    "xades-sign-cert-v2-wrong-issuer-serial.xml": "SIG-29: issuer and serial number are another certificate's",
}


def test_xades_signatures_come_out_as_xmlsec1_found_and_as_the_standard_asks(outside: Path) -> None:
    folder = outside / "xades"
    files = {p.name: p for p in folder.rglob("*.xml")}
    wrong = []

    for name, _, result, *_ in rows(folder / "RESULTS.tsv"):
        report = verify_file(files[name].read_bytes(), PERMITTED)
        external = "opencallback" in result  # xmlsec1 was not allowed to look for the file that a manifest names
        good = (result.endswith("OK") or external) and name not in WRONG_CLAIMS
        if report.valid is not good or (name in WRONG_CLAIMS and not any("signing-certificate" in text for text in failed(report))):
            wrong.append((name, failed(report)))

    assert wrong == []


def test_xades_of_others_is_judged_at_its_time_under_its_own_anchor(outside: Path) -> None:
    data = (outside / "xades" / "dss-signed.xml").read_bytes()
    chain = [
        certificates.read_base64((e.text or "").encode()) for e in parse(data).iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate")
    ]
    leaf = chain[0]
    asked = replace(PERMITTED, policy=TRUSTING, trusted=(leaf,), at=leaf.not_before)

    assert verify_file(data, asked).signatures[0].checks
    assert "signature.not-valid-now" in failed(verify_file(data, replace(asked, at=leaf.not_after + timedelta(days=1))))


# What the first signature of a file covers where all of the file's are right, so that a caller uses only that; the others are refused.
COVERED = {
    "inclusive_namespaces.xml": "saml2:Assertion",
    "duplicated_attributes.xml": "samlp:Response",
    "invalid_signature_position.xml": "samlp:Response",
    "response_invalid_signed_element.xml": "samlp:Response",
    "response_with_concealed_signed_assertion.xml": "foo/saml:Assertion",
    "response_with_doubled_signed_assertion.xml": "saml:Assertion[2]",
    "response_assertion_wrapped.xml": "saml:Assertion[2]",
    "response_node_text_attack2.xml": "samlp:Response",
    "response_with_retrieval_method.xml": "saml2p:Response",
    "response_with_signed_assertion_2.xml": "saml:Assertion",
    "response_with_signed_assertion_3.xml": "saml:Assertion",
    "response_with_signed_message_and_assertion.xml": "samlp:Response",
    "valid_response.xml": "samlp:Response",
}
# Right, but for a certificate whose serial number is not positive (RFC 5280, 4.1.2.2).
NO_SERIAL = ("encrypted_new_attack.xml", "signed_message_encrypted_signed_assertion.xml", "signed_message_encrypted_unsigned_assertion.xml")


def test_report_says_exactly_what_is_covered_in_each_attack(outside: Path) -> None:
    folder = outside / "signature-wrapping"
    wrong = []

    for name, *_ in rows(folder / "RESULTS.tsv"):
        report = verify_file((folder / name).read_bytes(), PERMITTED)
        expected = COVERED.get(Path(name).name, "")
        covered = [path for s in report.signatures if s.valid for path in s.covers]
        if Path(name).name in NO_SERIAL:
            assert failed(report) == ["signature.certificate-unreadable"]
        elif report.valid is not bool(expected) or (expected and not covered[0].endswith(expected)):
            wrong.append((name, covered, failed(report)))

    assert wrong == []


# --- WSS4J's certificates and messages -----------------------------------------------------------------------------------


def wss_certificate(outside: Path, name: str) -> certificates.Certificate:
    return certificates.read((outside / "wss" / "certs" / name).read_bytes())


def test_wss4j_certificates_lead_to_their_authority_at_their_time(outside: Path) -> None:
    anchors = Anchors(certificates=certificates.read_pem((outside / "wss" / "certs" / "wss40CA.pem").read_bytes()))
    issuer = anchors.certificates[0]
    found: dict[str, object] = {}

    for name in ("wss40.crt", "wss40_server.crt", "wss40rev.crt", "rsa1024.crt", "wss40exp.crt"):
        leaf = wss_certificate(outside, name)
        try:
            found[name] = len(anchors.path(leaf, (), at=max(leaf.not_before, issuer.not_before)))
        except GatewayError as refused:
            found[name] = refused.problems[0].text

    # the lengths of their paths; that the key of rsa1024.crt is too short is for the check of keys (SIG-12)
    assert found == dict.fromkeys(("wss40.crt", "wss40_server.crt", "wss40rev.crt", "rsa1024.crt", "wss40exp.crt"), 2)


def test_sig_12_short_key_of_wss4j_is_refused(outside: Path) -> None:
    with pytest.raises(GatewayError) as refused:
        check_key(wss_certificate(outside, "rsa1024.crt").key, RSA_SHA256, None)

    assert refused.value.problems[0].text == "signature.key-weak"


def test_wss4j_revoked_certificate_is_named_by_its_list(outside: Path) -> None:
    (issuer,) = certificates.read_pem((outside / "wss" / "certs" / "wss40CA.pem").read_bytes())
    lists = revocation.read_crls((outside / "wss" / "certs" / "wss40CACRL.pem").read_bytes())
    revoked, good = wss_certificate(outside, "wss40rev.crt"), wss_certificate(outside, "wss40.crt")

    assert revocation.check((good, issuer), lists, at=lists[0].last_update_utc) == 1
    with pytest.raises(GatewayError, match=r"signature\.revoked"):
        revocation.check((revoked, issuer), lists, at=lists[0].last_update_utc)


@pytest.mark.parametrize("name", ["plain-soap-1.1.xml", "plain-soap-1.2.xml", "plain-soap-encryptedHeader.xml", "soap-fault.xml"])
def test_wss4j_messages_are_signed_and_proved(outside: Path, bench: Bench, name: str) -> None:
    data = (outside / "wss" / "testdata" / name).read_bytes()

    signed = wss.sign(data, bench.portal, at=SIGNED_AT)

    assert wss.verify(signed, at=SIGNED_AT, registered=lambda c: c == bench.portal.certificates[0]).created == SIGNED_AT


def test_wss4j_message_that_others_signed_is_refused_in_words(outside: Path) -> None:
    data = (outside / "wss" / "testdata" / "SignaturePrefixListMessage.xml").read_bytes()

    with pytest.raises(GatewayError) as refused:
        wss.verify(data, at=NOW, registered=lambda _: True)

    assert refused.value.problems[0].text.startswith("signature.")


def test_no_wrapping_attack_is_valid_under_the_gateway_policy(outside: Path, bench: Bench) -> None:
    folder = outside / "signature-wrapping"

    for name, *_ in rows(folder / "RESULTS.tsv"):
        report = verify_file((folder / name).read_bytes(), Question(at=NOW, registry=bench.trust))
        assert not report.valid, name
        assert failed(report), name


def test_wrapping_attack_with_doubled_identifiers_is_named(outside: Path) -> None:
    attack = outside / "signature-wrapping" / "ruby-saml" / "invalids" / "signature_wrapping_attack.xml"

    assert "signature.id-doubled" in failed(verify_file(attack.read_bytes(), PERMITTED))


@pytest.mark.parametrize("folder", ["signature-wrapping", "xml-attacks", "xades", "xmldsig"])
def test_none_of_the_files_passes_for_an_envelope(outside: Path, bench: Bench, folder: str) -> None:
    files = [p for p in (outside / folder).rglob("*.xml") if p.is_file()]

    assert files
    for file in files:
        assert bench.refused(file.read_bytes()).problems, file
