"""How near signing and verifying come to the bare calls, signxml, xmlsec and the JDK: one thread, a signed 12 KB document, in one run.

All but the JDK, which benchmarks/jdk is about, are given what they need in memory: the parsed document to verify, its canonical bytes to
sign. They are timed in short turns, in seconds of the thread's CPU, so that a machine that changes its pace changes it for all; each ratio
is the median over the rounds.
"""

import base64
import gc
import hashlib
import resource
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import signxml
import xmlsec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from benchmarks import jdk
from benchmarks.ground import DS, GOODS, PADDING, SHA256, c14n, cpu, target
from gateway.security import signer, verifier
from gateway.security.keys import SigningKey, verify_value
from gateway.testing import builders
from gateway.testing.contents import Consignment
from gateway.testing.signing import NOW, make_bench, private_key_of, private_pem_of
from gateway.xml.parse import parse

TURN = 20  # calls: some milliseconds, less than a busy machine's pace lasts
TURNS = 4
ROUNDS = 7
NEAR = 0.8  # of the bare calls
REPEATS = 10_000  # verifications after which nothing may have grown
GROWTH = 5 * 1024 * 1024
METHODS = {"rsa": xmlsec.constants.TransformRsaSha256, "p256": xmlsec.constants.TransformEcdsaSha256}
Calls = Mapping[str, Callable[[], object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A document, its signed form, and the key."""

    name: str
    key: SigningKey
    unsigned: bytes
    signed: bytes


def measure() -> dict[str, Any]:
    """Give the figures, the targets and the headline."""
    unsigned = builders.message("10/01", Consignment(number=1, goods=GOODS))
    with tempfile.TemporaryDirectory() as home:
        bench = make_bench(Path(home))
    keys = {"rsa": bench.rsa, "p256": bench.portal}
    figures: dict[str, float] = {}
    targets = []
    near = []
    for name, key in keys.items():
        subject = Subject(name=name, key=key, unsigned=unsigned, signed=signer.sign_system(unsigned, key))
        for act, calls in (("sign", _signing(subject)), ("verify", _verifying(subject))):
            ratios = _ratios(f"{act}_{name}", calls, figures)
            near.append(ratios["raw"])
            targets.append(target(f"{act} {name}: raw / ours", ratios["raw"], NEAR, at_least=True))
            targets += [target(f"{act} {name}: {other} / ours", ratios[other], 1.0, at_least=True) for other in ("signxml", "xmlsec")]
    grown = _growth(Subject(name="rsa", key=bench.rsa, unsigned=unsigned, signed=signer.sign_system(unsigned, bench.rsa)))
    figures["growth_kib_after_10000_verifications"] = round(grown / 1024)
    targets.append(target("growth after 10,000 verifications (MiB)", grown / 1024 / 1024, GROWTH / 1024 / 1024, at_least=False))
    beside, held = jdk.compare()
    return {"figures": figures | beside, "targets": [*targets, held], "ratio": round(min(near), 3)}


def _ratios(name: str, calls: Calls, figures: dict[str, float]) -> dict[str, float]:
    """Time the calls in turns; gives how long each takes in shares of ours."""
    rounds = []
    for call in calls.values():
        call()  # what is kept from the first call on
    for _ in range(ROUNDS):
        spent, order = dict.fromkeys(calls, 0.0), list(calls)
        for _ in range(TURNS):
            for who in order:
                gc.collect()  # nobody pays for what another left behind
                calls[who]()  # nor for the caches that another filled
                spent[who] += cpu(calls[who], TURN)
            order.append(order.pop(0))
        rounds.append(spent)
    for who in calls:
        figures[f"{name}_{who}_us"] = round(median(spent[who] for spent in rounds) / TURNS * 1e6, 1)
    return {who: median(spent[who] / spent["ours"] for spent in rounds) for who in calls if who != "ours"}


def _signing(subject: Subject) -> Calls:
    key, root = subject.key, parse(subject.unsigned)
    info = etree.tostring(next(parse(subject.signed).iter(f"{DS}SignedInfo")), method="c14n", exclusive=True)
    private = private_key_of(key)
    made = XMLSigner(
        method=signxml.methods.enveloped,
        signature_algorithm=SignatureMethod(key.algorithm),
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    certificate = key.certificates[0].x509

    def raw() -> None:
        hashlib.sha256(c14n(root)).digest()
        if isinstance(private, rsa.RSAPrivateKey):
            private.sign(info, PADDING, SHA256)
        else:
            private.sign(info, ec.ECDSA(hashes.SHA256()))

    return {
        "ours": lambda: signer.sign_system(subject.unsigned, key),
        "raw": raw,
        "signxml": lambda: made.sign(root, key=private, cert=[certificate], always_add_key_value=False),
        "xmlsec": _xmlsec_signing(subject),
    }


def _xmlsec_signing(subject: Subject) -> Callable[[], object]:
    pem = private_pem_of(subject.key)
    held = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
    held.load_cert_from_memory(subject.key.certificates[0].x509.public_bytes(Encoding.PEM), xmlsec.constants.KeyDataFormatPem)
    root = parse(subject.unsigned)

    def sign() -> None:
        node = xmlsec.template.create(root, xmlsec.constants.TransformExclC14N, METHODS[subject.name])
        root.append(node)
        reference = xmlsec.template.add_reference(node, xmlsec.constants.TransformSha256, uri="")
        xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
        xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
        xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(node))
        context = xmlsec.SignatureContext()
        context.key = held
        context.sign(node)
        root.remove(node)

    return sign


def _verifying(subject: Subject) -> Calls:
    root, leaf = parse(subject.signed), subject.key.certificates[0]
    bare = parse(subject.signed)
    signature = next(bare.iter(f"{DS}Signature"))
    info = c14n(signature[0])
    value = base64.b64decode(signature.findtext(f"{DS}SignatureValue", ""))
    signature.getparent().remove(signature)  # type: ignore[union-attr]  # it stands in its place
    config = SignatureConfiguration(location="./SystemSignature/", verification_time=NOW)
    held = xmlsec.Key.from_memory(leaf.x509.public_bytes(Encoding.PEM), xmlsec.constants.KeyDataFormatCertPem)
    node = next(root.iter(f"{DS}Signature"))

    def raw() -> None:
        hashlib.sha256(c14n(bare)).digest()
        verify_value(leaf.key, subject.key.method, value, info)

    def by_xmlsec() -> None:
        context = xmlsec.SignatureContext()
        context.key = held
        context.verify(node)

    return {
        "ours": lambda: verified(root, subject),
        "raw": raw,
        "signxml": lambda: XMLVerifier().verify(root, x509_cert=leaf.x509, expect_config=config),
        "xmlsec": by_xmlsec,
    }


def verified(root: etree._Element, subject: Subject) -> verifier.Verified:
    """Verify as the door does, the certificate being registered."""
    leaf = subject.key.certificates[0]
    return verifier.verify_system(verifier.find(root, subject.signed), at=NOW, registered=lambda found: found == leaf)


def _growth(subject: Subject) -> int:
    """Say by how many bytes the process grows with many more verifications."""
    for _ in range(REPEATS // 10):
        verified(parse(subject.signed), subject)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(REPEATS):
        verified(parse(subject.signed), subject)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
