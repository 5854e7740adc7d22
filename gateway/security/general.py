"""Verifies any XML file with signatures and explains what it found: what stands behind `nsw verify`.

An envelope is judged by the gateway's own profile, exactly as at the door. Anything else is judged under an explicit policy: our own
reading explains each step, and under the policy `gateway` signxml must come to the same result (SIG-25).
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from lxml.etree import _Element

from gateway.errors import GatewayError, NotProven, Problem
from gateway.xml.canonical import canonical, digest
from gateway.xml.parse import parse

from . import claims, foreign, keyinfo, properties, secondopinion, verifier
from .certificates import Certificate, Key
from .checks import Checks, judge_trust
from .foreign import Foreign, Reference
from .keyinfo import Source
from .keys import verify_value
from .policy import MAX_SIGNATURES, PERSON, SYSTEM, Place
from .question import Question
from .refusal import refusal
from .report import Check, Report, SignatureReport
from .shape import SIGNATURE, Qualified, check_key, judge
from .spelling import walk
from .verifier import Found


def verify_file(data: bytes, question: Question) -> Report:
    """Judge every signature of a file; what cannot be read at all is a report too, so nothing is raised."""
    try:
        root = parse(data)
    except GatewayError as refused:
        return Report(signatures=(), problems=refused.problems, refused=refused.code)
    signatures = list(root.iter(SIGNATURE))
    if not signatures:
        return Report(signatures=(), problems=(Problem(text="signature.none"),))
    if len(signatures) > MAX_SIGNATURES:
        values = {"found": str(len(signatures)), "maximum": str(MAX_SIGNATURES)}
        return Report(signatures=(), problems=(Problem(text="signature.too-many", values=values),))
    if root.tag == "Envelope" and question.policy.needs_trust:
        return _envelope(root, signatures, question)
    return Report(signatures=tuple(_any(s, i, root, question) for i, s in enumerate(signatures)))


# --- an envelope, by the gateway's own profile ---------------------------------------------------------------------


def _envelope(root: _Element, signatures: Sequence[_Element], question: Question) -> Report:
    try:
        found = verifier.find(root)
    except NotProven as refused:
        failed = Check(number=int(refused.problems[0].values["check"]), passed=False, detail=refused.problems[0])
        paths = [s.getroottree().getpath(s) for s in signatures]
        return Report(signatures=tuple(SignatureReport(place=p, signer=None, covers=(), checks=(failed,)) for p in paths))
    slots = ((found.person, PERSON), (found.system, SYSTEM))
    return Report(signatures=tuple(_own(signature, place, found, question) for signature, place in slots if signature is not None))


def _own(signature: _Element, place: Place, found: Found, question: Question) -> SignatureReport:
    checks = Checks()
    checks.passed(1, path=place.path)
    checks.passed(2)
    checks.run(lambda: verifier.check_ids(found.root), 3)
    texts = checks.run(lambda: walk(signature, place), 4, 5, 7, 9)
    if texts is None:
        return checks.report(place.path, None, ())
    signed = found.root if place is SYSTEM else verifier.present(found.content, place)
    uri = checks.run(lambda: "" if place is SYSTEM else f"#{verifier.content_id(signed)}", 8, uri=texts.uri)
    judging = partial(judge, texts, signature, uri=uri or "", policy=question.policy)
    shape = None if uri is None else checks.run(judging, 6, 10, 11, 13, method=texts.method)
    if shape is None:
        return checks.report(place.path, None, ())
    leaf, *others = shape.certificates
    checks.passed(12, key=leaf.key.name)
    written = verifier.without(signature, found.root, shape) if place is SYSTEM else canonical(signed, prefixes=shape.prefixes)
    checks.run(lambda: verifier.check_value_prefixes(signed, canonical(signed), shape), 14)
    checks.run(lambda: verifier.check_signed_info(shape, signature), 15, subject=leaf.subject)
    checks.run(lambda: verifier.check_digest(written, shape, signature), 16, covers=place.covers)
    checks.run(lambda: verifier.check_validity(leaf, question.at, signature), 17, to=leaf.not_after.isoformat())
    if shape.qualified:
        _judge_properties(checks, shape.qualified, leaf, question)
    judge_trust(checks, leaf, tuple(others), signature, place, question)
    level = shape.qualified.properties.level if shape.qualified else "xmldsig"
    return replace(checks.report(place.path, leaf, (place.covers,)), profile=level if place is SYSTEM else "")


def _judge_properties(checks: Checks, qualified: Qualified, leaf: Certificate, question: Question) -> None:
    """Judge the properties of a XAdES signature, each check by itself."""
    found, at = qualified.properties, question.at
    checks.passed(28, profile=found.level)
    checks.run(lambda: properties.check_digest(found, qualified.digest, qualified.digest_value), 27)
    checks.run(lambda: properties.check_certificate(found, leaf), 29, subject=leaf.subject)
    checks.run(lambda: properties.check_time(found, leaf, at=at, skew=question.skew), 30, at=found.signed_at.isoformat())
    stamp = partial(properties.check_stamps, found, at=at, skew=question.skew, read_stamp=question.read_stamp)
    stamped = checks.run(stamp, *((31,) if found.stamps else ()), count=str(len(found.stamps)))
    values = partial(properties.check_values, found, leaf, at=stamped or at)
    checks.run(values, *((32,) if found.certificates or found.crls or found.ocsps else ()))


# --- any other document, under a policy ----------------------------------------------------------------------------


def _any(signature: _Element, index: int, root: _Element, question: Question) -> SignatureReport:
    checks = Checks()
    place = signature.getroottree().getpath(signature)
    checks.passed(1, path=place)
    read = checks.run(lambda: foreign.read(signature), 4, 7)
    if read is None:
        return checks.report(place, None, ())
    covers = [_judge_reference(checks, reference, read, root, question) for reference in read.references]
    source = _judge_key(checks, read, question)
    certificate = source.certificate if source else None
    if source and certificate:
        _judge_claims(checks, signature, certificate, [c for c in covers if c])
        _judge_foreign_trust(checks, source, certificate, signature, question)
    if question.policy.needs_trust and certificate and all(c.passed for c in checks.done):
        checks.run(lambda: secondopinion.confirm(root, index, certificate, at=question.at, id_names=question.id_names), 25)
    return checks.report(place, certificate, [c for c in covers if c])


def _judge_claims(checks: Checks, signature: _Element, leaf: Certificate, covers: Sequence[str]) -> None:
    """Judge what XAdES properties claim of the certificate, where there are any."""
    found = claims.properties_of(signature)
    if found is not None:
        checks.run(lambda: claims.check_covered(found, covers), 27)
        checks.run(lambda: claims.check_certificate(found, leaf), 29, subject=leaf.subject)


def _judge_reference(checks: Checks, reference: Reference, read: Foreign, root: _Element, question: Question) -> str | None:
    """Judge one reference; gives the XPath of what it covers where its digest is right."""
    found = checks.run(lambda: foreign.target(reference, root, question.id_names), 3, 8, uri=reference.uri or "")
    if found is None:
        return None
    path = found.getroottree().getpath(found)

    def compare() -> None:
        # (9) the policy takes the transforms, (10) and the digest algorithm
        if not foreign.allowed_transforms(reference, question.policy):
            names = ", ".join(t.get("Algorithm", "-") for t in reference.transforms)
            raise refusal(9, "transform-not-allowed", reference.element, found=names)
        if reference.digest not in question.policy.digests:
            raise refusal(10, "digest-method", reference.element, found=reference.digest, expected=", ".join(question.policy.digests))
        behind = foreign.referenced_bytes(reference, found, read)
        # (16) the digest is that of what stands behind the reference
        if not hmac.compare_digest(digest(behind, question.policy.digests[reference.digest]), reference.value):
            raise refusal(16, "digest", reference.element)

    failures = len(checks.done)
    checks.run(compare, 9, 10, 16, covers=path, method=reference.digest)
    return path if all(c.passed for c in checks.done[failures:]) else None


def _judge_key(checks: Checks, read: Foreign, question: Question) -> Source | None:
    """Find the key under which the signature value is right, and judge it."""

    def signed() -> bytes:
        # (6) the policy takes the algorithm
        if read.method not in question.policy.methods:
            raise refusal(6, "method", read.element, found=read.method, expected=", ".join(question.policy.methods))
        return foreign.signed_info_bytes(read)

    data = checks.run(signed, 5, 6, method=read.method)
    if data is None:
        return None
    method = question.policy.methods[read.method]
    if method.family == "hmac":
        _judge_hmac(checks, read, data, question)
        return None
    known = (*question.trusted, *question.untrusted)
    candidates = checks.run(lambda: _candidates(read, known, question), 11)
    if not candidates:
        return None
    source = next((s for s in candidates if verify_value(s.key, method, read.value, data)), candidates[0])

    def right() -> None:
        # (15) the signature value is right for SignedInfo under the key
        if not verify_value(source.key, method, read.value, data):
            raise refusal(15, "signed-info", read.element, subject=source.certificate.subject if source.certificate else source.key.name)

    checks.run(lambda: check_key(source.key, method, read.element, question.policy), 12, key=source.key.name)
    checks.run(right, 13, 15, subject=source.certificate.subject if source.certificate else source.key.name)
    return source


def _candidates(read: Foreign, known: Sequence[Certificate], question: Question) -> tuple[Source, ...]:
    if question.key is not None:
        # (11) a key given by hand is for diagnosis
        if not question.policy.bare_keys:
            raise refusal(11, "key-needs-permissive", read.element)
        given: Key = keyinfo.public_key(question.key)
        if given.kind:
            return (Source(key=given),)
    return keyinfo.sources(read, known=known, id_names=question.id_names, policy=question.policy)


def _judge_hmac(checks: Checks, read: Foreign, data: bytes, question: Question) -> None:
    method = question.policy.methods[read.method]

    def right() -> None:
        # (11) an HMAC key is given by hand, (13) its value is whole, (15) and right
        if question.key is None:
            raise refusal(11, "hmac-key", read.element)
        expected = hmac.digest(question.key, data, method.hash)
        if len(read.value) != len(expected):
            raise refusal(13, "value", read.element, found=str(len(read.value)), expected=str(len(expected)))
        if not hmac.compare_digest(expected, read.value):
            raise refusal(15, "hmac-wrong", read.element)

    checks.run(right, 11, 13, 15, subject="HMAC")


def _judge_foreign_trust(checks: Checks, source: Source, leaf: Certificate, at: _Element, question: Question) -> None:
    if not question.policy.needs_trust and not question.trusted:
        return  # permissive: cryptography and structure only, unless someone says whom to trust
    checks.run(lambda: verifier.check_validity(leaf, question.at, at), 17, to=leaf.not_after.isoformat())
    judge_trust(checks, leaf, source.others, at, None, question)
