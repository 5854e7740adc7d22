"""Verifies a message as the doors do, for `nsw verify`: the signatures in it, around it (WS-Security) and beside it (detached CMS).

Each check stands by itself, so that one that fails does not hide the others.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from functools import partial

from lxml.etree import _Element

from gateway.errors import Code, GatewayError, NotProven, Problem
from gateway.model import SealProfile
from gateway.ports import Directory
from gateway.xml.envelope import read_header
from gateway.xml.parse import parse

from . import cms, foreign, senders, verifier, wss
from .checks import Checks, judge_trust
from .general import verify_file
from .policy import MISSING, SATISFIED_BY, SYSTEM
from .question import Question
from .refusal import refusal
from .report import Report, SignatureReport

BESIDE = "CMS"  # where a detached signature stands, for people


def verify_whole(document: bytes, question: Question, *, message: bytes = b"", signature: bytes | None = None) -> Report:
    """Judge a document with the SOAP message it was in and the signature beside it, where there are such; nothing is raised.

    A document that is no XML may have a signature beside it too: then that one alone is judged.
    """
    root = _root(document)
    outer = _outer(document, _named(root, question), message, signature)
    inner = verify_file(document, question)
    if not outer:
        report = inner
    elif inner.signatures or (inner.problems and root is not None and inner.problems[0].text != "signature.none"):
        report = replace(inner, signatures=(*outer, *inner.signatures))
    else:
        report = Report(signatures=outer)
    return _judged_sender(report, root, question)


def _outer(document: bytes, question: Question, message: bytes, signature: bytes | None) -> tuple[SignatureReport, ...]:
    found = []
    if question.policy.needs_trust and message and _is_secured(message):
        found.append(_explain_message(message, question))
    if signature is not None:
        found.append(_explain_detached(document, signature, question))
    return tuple(found)


def _root(document: bytes) -> _Element | None:
    try:
        return parse(document)
    except GatewayError:
        return None


def _is_secured(message: bytes) -> bool:
    """Say whether the door would judge a security header; one that it could not look for is judged too."""
    try:
        return wss.is_demanded(message)
    except GatewayError:
        return True


def _named(root: _Element | None, question: Question) -> Question:
    """Say who must have signed around and beside a document: the party named by hand, or that of From."""
    if question.party or question.directory is None or root is None:
        return question
    try:
        sender = senders.resolve(read_header(root, zone=UTC).sender, question.directory)
    except GatewayError:
        return question
    return replace(question, party=sender.code if sender else None)


# --- around it ---------------------------------------------------------------------------------------------------------


def _explain_message(message: bytes, question: Question) -> SignatureReport:
    checks = Checks()
    parts = checks.run(lambda: wss.parts_of(parse(message)), 40)
    if parts is None:
        return checks.report(wss.HEADER, None, ())
    checks.run(partial(wss.check_ids, parts.root), 3)
    times = checks.run(partial(wss.check_time, parts, at=question.at, skew=question.skew))
    if times:
        checks.passed(44, created=times[0].isoformat(), expires=times[1].isoformat())
    written = checks.run(partial(foreign.read, parts.signature), 4, 7)
    if written is None:
        return checks.report(wss.HEADER, None, ())
    paths = _covered(checks, parts, written.references, question)
    leaf = checks.run(partial(wss.leaf_of, parts, written), 41)
    if leaf:
        told = {"method": written.method, "key": leaf.key.name, "subject": leaf.subject}
        checks.run(partial(wss.check_signature, written, leaf, question.policy), 5, 6, 12, 13, 15, **told)
        checks.run(partial(verifier.check_validity, leaf, question.at, parts.token), 17, to=leaf.not_after.isoformat())
        judge_trust(checks, leaf, (), parts.token, SYSTEM, question)
    return replace(checks.report(wss.HEADER, leaf, paths), profile="wss-x509")


def _covered(checks: Checks, parts: wss.Parts, references: Sequence[foreign.Reference], question: Question) -> list[str]:
    """Judge each reference and what they cover together; gives the XPaths of what is covered."""
    found = []
    for reference in references:
        told = {"uri": reference.uri or "", "method": reference.digest, "covers": reference.uri or ""}
        element = checks.run(partial(wss.covered, reference, parts.root, question.policy), 9, 10, 14, 16, 42, **told)
        found += [] if element is None else [element]
    checks.run(lambda: wss.check_covered(parts, found), 43)
    return [element.getroottree().getpath(element) for element in found]


# --- beside it ---------------------------------------------------------------------------------------------------------


def _explain_detached(document: bytes, signature: bytes, question: Question) -> SignatureReport:
    checks, policy = Checks(), question.policy
    signed = checks.run(lambda: cms.read_detached(signature, policy), 50)
    if signed is None:
        return checks.report(BESIDE, None, ())
    checks.run(partial(cms.check_digest, signed, document), 53, 54)
    found = checks.run(partial(cms.signer_of, signed, signed.certificates), 52)
    if found is None:
        return checks.report(BESIDE, None, ())
    leaf, others = found
    checks.run(partial(cms.check_method, signed, leaf, policy), 12, 51, key=leaf.key.name, method="-".join(signed.method))
    checks.run(partial(cms.check_value, signed, leaf), 55, subject=leaf.subject)
    stated = checks.run(partial(cms.check_time, signed, leaf, at=question.at, skew=question.skew))
    if stated:
        checks.passed(30, at=stated.isoformat())
    if policy.needs_trust or question.trusted:
        checks.run(partial(verifier.check_validity, leaf, question.at), 17, to=leaf.not_after.isoformat())
        judge_trust(checks, leaf, others, None, SYSTEM, question)
    return replace(checks.report(BESIDE, leaf, (cms.COVERS,)), profile="cms-detached")


# --- the sender --------------------------------------------------------------------------------------------------------


def _judged_sender(report: Report, root: _Element | None, question: Question) -> Report:
    """Judge what `--as` asks besides: that From names a party, and that the party's profile is satisfied; by the first signature."""
    if question.sends is None or not report.signatures:
        return report
    checks = Checks()
    if root is not None and root.tag == "Envelope" and question.directory is not None:
        checks.run(partial(_check_known, root, question.directory), 20)
    checks.run(partial(_check_profile, report, question.sends, question), 22, profile=question.sends.signature)
    first, *others = report.signatures
    done = tuple(sorted((*first.checks, *checks.done), key=lambda check: check.number))
    return replace(report, signatures=(replace(first, checks=done), *others))


def _check_known(root: _Element, directory: Directory) -> None:
    identity = read_header(root, zone=UTC).sender
    # (20) the sender is a party we know, by its code or an alias
    if senders.resolve(identity, directory) is None:
        values = {"check": "20", "found": identity.identity or identity.name or "-"}
        raise NotProven(Code.PARTY, Problem(text="signature.sender-unknown", path="/Envelope/Header/From", values=values))


def _check_profile(report: Report, asked: SealProfile, question: Question) -> None:
    proved = {signature.profile for signature in report.signatures} - {""}
    ended = asked.until is not None and question.at >= asked.until
    # (22) a signature of the party's profile is there, or an exception that has not ended; its channel is judged at the door alone
    if asked.signature == "none" and (proved or not ended):
        return
    if not proved & SATISFIED_BY.get(asked.signature, {asked.signature}):
        until = asked.until.isoformat() if asked.until else "-"
        values = {"sender": question.party or "-", "until": until, "found": ", ".join(sorted(proved)), "expected": asked.signature}
        missing = asked.signature in MISSING or not proved
        raise refusal(22, MISSING.get(asked.signature, "system-missing") if missing else "profile-lower", path="/Envelope", **values)
