"""Signatures that other people made and published, with the results they published: XML-DSig vectors, XAdES, and wrapping attacks."""

import csv
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.security import certificates, revocation
from gateway.security.general import verify_file
from gateway.security.policy import PERMISSIVE
from gateway.security.question import Question
from gateway.security.report import Report
from gateway.testing.signing import Bench

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PERMITTED = Question(at=NOW, policy=PERMISSIVE)

# Vectors that are good and that we refuse, each for a reason that stands in docs/protocol/SIG.md section 6.
NOT_APPLIED = {
    "md5": "algorithm", "ripemd160": "algorithm", "ml-kem": "algorithm", "asn1": "values in ASN.1",
    "-64.xml": "truncated HMAC", "relationship": "file outside", "two-keynames": "file outside", "xpointer-hmac": "DOCTYPE",
    "x509data": "XPath filter", "exc-signature": "comments and #default",
}  # fmt: skip
# Options of xmlsec1 that ask for another judgement than ours.
OTHER_OPTIONS = ("--X509-skip-time-checks", "--insecure --crl-pem", "--verify-keys", "--insecure --verify-crls")


def rows(table: Path) -> Iterator[list[str]]:
    with table.open(encoding="utf-8") as lines:
        yield from (r for r in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if r and not r[0].startswith("#"))


def question(arguments: str, folder: Path) -> Question:
    """Read the arguments of xmlsec1 as ours."""
    asked = PERMITTED
    words = iter(shlex.split(arguments.replace("$topfolder", str(folder))))
    for word in words:
        if word == "--trusted-pem":
            asked = replace(asked, trusted=(*asked.trusted, *certificates.read_pem(Path(next(words)).read_bytes())))
        elif word == "--untrusted-pem":
            asked = replace(asked, untrusted=(*asked.untrusted, *certificates.read_pem(Path(next(words)).read_bytes())))
        elif word == "--crl-pem":
            asked = replace(asked, crls=revocation.read_crls(Path(next(words)).read_bytes()))
        elif word == "--verification-gmt-time":
            asked = replace(asked, at=datetime.strptime(next(words), "%Y-%m-%d+%H:%M:%S").replace(tzinfo=UTC))
        elif word == "--hmackey" or word.startswith("--pubkey"):
            asked = replace(asked, key=Path(next(words)).read_bytes())
    return asked


def failed(report: Report) -> list[str]:
    return [c.detail.text for s in report.signatures for c in s.checks if not c.passed] + [p.text for p in report.problems]


def test_xmlsec_vectors_come_out_as_their_authors_expect(outside: Path) -> None:
    folder = outside / "xmldsig" / "xmlsec"
    seen = {"PASS": 0, "FAIL": 0}

    for expected, name, _, _, _, arguments in rows(folder / "EXPECTED.tsv"):
        if any(o in arguments for o in OTHER_OPTIONS) or (expected == "PASS" and any(n in name for n in NOT_APPLIED)):
            continue
        asked = question(arguments, folder)
        report = verify_file((folder / name).read_bytes(), asked)
        if expected == "FAIL" and not asked.trusted:
            report = verify_file((folder / name).read_bytes(), Question(at=NOW))  # what fails for want of trust is for the gateway's policy
        crl_later = "2026-03-10" in arguments and asked.crls  # a list says when it was revoked; xmlsec asks when the list was made
        if not crl_later:
            assert report.valid is (expected == "PASS"), (name, arguments, failed(report))
            seen[expected] += 1

    assert seen["PASS"] >= 80
    assert seen["FAIL"] >= 10


def test_vectors_that_are_not_applied_are_refused_in_words(outside: Path) -> None:
    folder = outside / "xmldsig" / "xmlsec"

    for _, name, _, _, _, arguments in rows(folder / "EXPECTED.tsv"):
        if any(n in name for n in NOT_APPLIED):
            report = verify_file((folder / name).read_bytes(), question(arguments, folder))
            assert report.valid or failed(report), name


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


def test_signxml_vectors_come_out_as_xmlsec1_found(outside: Path) -> None:
    folder = outside / "xmldsig" / "signxml-interop"
    wrong = []

    for name, result, why, *_ in rows(folder / "RESULTS.tsv"):
        report = verify_file((folder / name).read_bytes(), PERMITTED)
        first = bool(report.signatures) and report.signatures[0].valid
        if (result == "VERIFIES" and not first) or (why == "digest mismatch" and first):
            wrong.append((name, failed(report)))

    assert wrong == []


def test_xades_signatures_come_out_as_xmlsec1_found(outside: Path) -> None:
    folder = outside / "xades"
    files = {p.name: p for p in folder.rglob("*.xml")}
    wrong = []

    for name, _, result, *_ in rows(folder / "RESULTS.tsv"):
        report = verify_file(files[name].read_bytes(), PERMITTED)
        if result.endswith("OK") and not report.valid:
            wrong.append((name, failed(report)))
        if "BAD (unknown" in result:
            assert not report.valid, name

    assert wrong == []


def test_no_wrapping_attack_is_valid_under_the_gateway_policy(outside: Path, bench: Bench) -> None:
    folder = outside / "signature-wrapping"

    for name, *_ in rows(folder / "RESULTS.tsv"):
        report = verify_file((folder / name).read_bytes(), Question(at=NOW, registry=bench.trust))
        assert not report.valid, name
        assert failed(report), name


def test_wrapping_attack_with_doubled_identifiers_is_named(outside: Path) -> None:
    attack = outside / "signature-wrapping" / "ruby-saml" / "invalids" / "signature_wrapping_attack.xml"

    assert "signature.id-doubled" in failed(verify_file(attack.read_bytes(), PERMITTED))


def test_report_says_what_a_wrapped_signature_covers(outside: Path) -> None:
    folder = outside / "signature-wrapping"

    for name, _, results, *_ in rows(folder / "RESULTS.tsv"):
        report = verify_file((folder / name).read_bytes(), PERMITTED)
        for signature in report.signatures:
            assert not signature.valid or signature.covers, (name, results)


@pytest.mark.parametrize("folder", ["signature-wrapping", "xml-attacks", "xades", "xmldsig"])
def test_none_of_the_files_passes_for_an_envelope(outside: Path, bench: Bench, folder: str) -> None:
    files = [p for p in (outside / folder).rglob("*.xml") if p.is_file()]

    assert files
    for file in files:
        assert bench.refused(file.read_bytes()).problems, file
