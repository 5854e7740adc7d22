"""Verifies a container with nothing but its bytes and trust anchors: no gateway, no database, no network (docs/protocol/EVIDENCE.md)."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import TypeVar

from cryptography import x509

from gateway.errors import GatewayError, NotProven, Problem, explain
from gateway.security import certificates, revocation, stamps
from gateway.security.certificates import Certificate
from gateway.security.general import verify_file
from gateway.security.path import Anchors, may_sign
from gateway.security.question import Question
from gateway.store.times import from_micros

from .heads import SignedHead, is_signed_by, read_signed, write_head
from .merkle import leaf_hash, proves_inclusion
from .packing import unpack
from .record import NAME, EventPart, MessagePart, Record, read_record
from .seal import MANIFEST, PLACE, Seal, holds, manifest, read_seal
from .timestamps import verify_stamp

T = TypeVar("T")
MAX_PROBLEMS = 50  # told of, of one check
_SEALED_OUTSIDE = frozenset({MANIFEST, PLACE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One numbered check: what is wrong, empty where it passed, and then what was seen."""

    number: int
    name: str
    problems: tuple[Problem, ...]
    seen: Problem

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def detail(self, language: str) -> str:
        """Say what was seen, or what is wrong."""
        return " ".join(_told(p, language) for p in self.problems or (self.seen,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found: whose messages, every check, and of every file of the container whether it is what was sealed."""

    messages: tuple[str, ...]
    checks: tuple[Check, ...]
    files: Mapping[str, bool]

    @property
    def valid(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks) and all(self.files.values())

    def as_json(self, language: str) -> dict[str, object]:
        """Give the document that `nsw evidence verify --json` prints."""
        checks = [{"number": c.number, "name": c.name, "passed": c.passed, "detail": c.detail(language)} for c in self.checks]
        files = [{"name": name, "passed": passed} for name, passed in self.files.items()]
        return {"valid": self.valid, "messages": list(self.messages), "checks": checks, "files": files}


def verify_container(data: bytes, trusted: Sequence[Certificate]) -> Verdict:
    """Judge a container; `trusted` are the gateway's certificate or an authority above it, and those of time-stamp authorities.

    Whatever is wrong is in the verdict, so nothing is raised.
    """
    try:
        files, differences = unpack(data)
    except GatewayError as refused:
        return Verdict(messages=(), checks=(_check(1, "container", refused.problems, {}),), files={})
    case = _Case(files, differences, tuple(trusted))
    checks = tuple(_check(number, name, _judged(step, case), case.figures) for number, (name, step) in _CHECKS.items())
    record = case.record
    messages = tuple(m.id for m in record.messages) if isinstance(record, Record) else ()
    return Verdict(messages=messages, checks=checks, files=case.judged_files())


class _Case:
    """A container taken apart; what cannot be read is the problem that says so."""

    def __init__(self, files: Mapping[str, bytes], differences: tuple[Problem, ...], trusted: tuple[Certificate, ...]) -> None:
        self.files = files
        self.differences = differences
        self.trusted = trusted

    @cached_property
    def seal(self) -> Seal | Problem:
        """Read the seal."""
        return _or_problem(lambda: read_seal(self.files.get(PLACE, b"")))

    @cached_property
    def record(self) -> Record | Problem:
        """Read evidence.json."""
        return _or_problem(lambda: read_record(self.files.get(NAME, b"")))

    @cached_property
    def heads(self) -> Mapping[int, SignedHead]:
        """Give the heads by size; raises NotReadable."""
        record = _known(self.record)
        return {signed.head.size: signed for signed in (read_signed(part.signed) for part in record.heads)}

    @cached_property
    def certificates(self) -> Mapping[str, Certificate]:
        """Give the certificates that came along, by SHA-256; trusted by nothing."""
        found = (certificates.read(content) for name, content in self.files.items() if name.startswith("certificates/"))
        return {c.sha256: c for c in found}

    @cached_property
    def crls(self) -> tuple[x509.CertificateRevocationList, ...]:
        """Give the revocation lists that came along."""
        held = (content for name, content in self.files.items() if name.startswith("revocation/") and name.endswith(".crl"))
        return tuple(crl for content in held for crl in revocation.read_crls(content))

    @cached_property
    def figures(self) -> Mapping[str, str]:
        """Give what texts about passed checks name, as far as it can be read."""
        figures = {"files": str(len(self.files))}
        if isinstance(self.seal, Seal):
            figures |= {"subject": self.seal.chain[0].subject, "at": self.seal.at.isoformat(" ")}
        if isinstance(self.record, Record):
            heads = self.record.heads
            figures |= {"heads": str(len(heads)), "stamps": str(sum(bool(head.stamp) for head in heads))}
            figures["events"] = str(sum(len(message.events) for message in self.record.messages))
            figures["waiting"] = str(sum(message.waiting for message in self.record.messages))
            figures["until"] = ", ".join(head.stamped_at.isoformat(" ") for head in heads if head.stamped_at) or "-"
        return figures

    def digest_holds(self, name: str) -> bool:
        """Say whether a file has the digest that the seal has of it."""
        sealed = self.seal.digests.get(name) if isinstance(self.seal, Seal) else None
        return name in self.files and sealed == hashlib.sha256(self.files[name]).digest()

    def judged_files(self) -> dict[str, bool]:
        """Say of every file that is there or should be whether it is as it was sealed."""
        expected = self.seal.digests if isinstance(self.seal, Seal) else {}
        named = {problem.path for problem in self.differences}
        found = {name: self.digest_holds(name) and name not in named for name in sorted({*self.files, *expected} - _SEALED_OUTSIDE)}
        found[MANIFEST] = self.files.get(MANIFEST) == _manifest(self.files) and MANIFEST not in named
        found[PLACE] = isinstance(self.seal, Seal) and holds(self.seal) and PLACE not in named
        return found

    def trusts(self, certificate: Certificate, at: datetime) -> bool:
        """Say whether a certificate is trusted, or leads to one that is, and could sign at a moment."""
        if certificate in self.trusted:
            return certificate.valid_at(at) and may_sign(certificate)
        issuers = tuple(self.certificates.values()) + (self.seal.chain if isinstance(self.seal, Seal) else ())
        try:
            path = Anchors(certificates=self.trusted).path(certificate, issuers, at=at)
            revocation.check(path, self.crls, at=at)
        except NotProven:
            return False
        return True


# --- the checks, by their numbers in EVIDENCE.md -----------------------------------------------------------------------


def _container(case: _Case) -> Iterator[Problem]:
    # (1) the file is a container in its one form
    yield from case.differences


def _seal_form(case: _Case) -> Iterator[Problem]:
    # (2) there is one seal, in its one form
    _known(case.seal)
    yield from ()


def _signer(case: _Case) -> Iterator[Problem]:
    # (3) who sealed is trusted, and could sign then
    found = _known(case.seal)
    if not case.trusts(found.chain[0], found.at):
        yield Problem(text="container.signer", values={"subject": found.chain[0].subject, "at": found.at.isoformat()})


def _value(case: _Case) -> Iterator[Problem]:
    # (4) the seal's value is right under the signer's key
    if not holds(_known(case.seal)):
        yield Problem(text="container.seal-value", path=PLACE)


def _files(case: _Case) -> Iterator[Problem]:
    # (5) every sealed file is there unchanged, and nothing else is
    sealed = _known(case.seal).digests
    for name in sorted(sealed.keys() - case.files.keys()):
        yield Problem(text="container.file-missing", path=name)
    for name in sorted(case.files.keys() - sealed.keys() - _SEALED_OUTSIDE):
        yield Problem(text="container.file-added", path=name)
    for name in sorted(sealed.keys() & case.files.keys()):
        if not case.digest_holds(name):
            yield Problem(text="container.file-altered", path=name)


def _manifest_form(case: _Case) -> Iterator[Problem]:
    # (6) the manifest lists the files
    if case.files.get(MANIFEST) != _manifest(case.files):
        yield Problem(text="container.manifest", path=MANIFEST)


def _record(case: _Case) -> Iterator[Problem]:
    # (7) evidence.json can be read, and names the files of every message
    record = _known(case.record)
    named = {name for message in record.messages for name in message.files}
    for name in sorted(named ^ {name for name in case.files if name.startswith("messages/")}):
        yield Problem(text="container.not-named", path=name)


def _history(case: _Case) -> Iterator[Problem]:
    # (8) every event leads to the root of a head, and is about the message
    for message in _known(case.record).messages:
        if not message.events:
            yield Problem(text="container.no-event", path=message.id)
        for event in message.events:
            if not _proves(event, message, case.heads):
                yield Problem(text="container.event", path=message.id, values={"position": str(event.position)})


def _heads(case: _Case) -> Iterator[Problem]:
    # (9) every head is signed by a certificate that is trusted and could sign then
    for signed in case.heads.values():
        signer = case.certificates.get(signed.head.key)
        if signer is None or not is_signed_by(signed, case.certificates) or not case.trusts(signer, signed.head.at):
            yield Problem(text="container.head", path=NAME, values={"size": str(signed.head.size)})


def _stamps(case: _Case) -> Iterator[Problem]:
    # (10) every time-stamp is a trusted authority's, over its head
    for part in _known(case.record).heads:
        if not part.stamp:
            continue
        signed = read_signed(part.signed)
        try:
            at = verify_stamp(case.files.get(part.stamp, b""), write_head(signed.head), case.trusted)
        except NotProven as refused:
            yield Problem(text="container.stamp", path=part.stamp, values={"cause": refused.problems[0].text})
            continue
        if at != part.stamped_at:
            yield Problem(text="container.stamp-time", path=part.stamp)


def _documents(case: _Case) -> Iterator[Problem]:
    # (11) each document is the one that the ledger tells of
    for message in _known(case.record).messages:
        leaves = list(map(_leaf, message.events))
        told = [leaf["sha256"] for leaf in leaves if leaf.get("kind") in _TELLS_DIGEST and "sha256" in leaf]
        purged = any(leaf.get("kind") == "message.purged" for leaf in leaves)
        name = f"messages/{message.id}/{'body.bin' if message.state == 'refused' else 'document.xml'}"
        if name in case.files and hashlib.sha256(case.files[name]).hexdigest() not in told:
            yield Problem(text="container.document", path=name)
        elif name not in case.files and not purged:
            yield Problem(text="container.document-missing", path=name)


def _signatures(case: _Case) -> Iterator[Problem]:
    # (12) each document's signatures hold, by the certificates that the ledger tells of
    read_stamp = stamps.reader(Anchors(certificates=case.trusted))
    for message in _known(case.record).messages:
        name = f"messages/{message.id}/document.xml"
        accepted = next((leaf for leaf in map(_leaf, message.events) if leaf.get("kind") == "message.accepted"), {})
        named = str(accepted.get("signers", "")).split()
        signers = [case.certificates[s] for s in named if s in case.certificates]
        if len(signers) != len(named):
            yield Problem(text="container.signer-missing", path=name)
        elif signers and name in case.files:
            question = Question(at=from_micros(int(str(accepted["at"]))), trusted=tuple(signers), read_stamp=read_stamp)
            if not verify_file(case.files[name], question).valid:
                yield Problem(text="container.document-signature", path=name)


_TELLS_DIGEST = frozenset({"message.accepted", "message.refused", "message.written"})
_Step = Callable[[_Case], Iterator[Problem]]
_CHECKS: Mapping[int, tuple[str, _Step]] = {
    1: ("container", _container), 2: ("seal", _seal_form), 3: ("signer", _signer), 4: ("seal-value", _value), 5: ("files", _files),
    6: ("manifest", _manifest_form), 7: ("record", _record), 8: ("history", _history), 9: ("heads", _heads), 10: ("time-stamps", _stamps),
    11: ("documents", _documents), 12: ("document-signatures", _signatures),
}  # fmt: skip


def _judged(step: _Step, case: _Case) -> tuple[Problem, ...]:
    """Take a check; one that cannot be made has failed."""
    try:
        return tuple(islice(step(case), MAX_PROBLEMS))
    except _UnknownError as unknown:
        return (unknown.problem,)
    except GatewayError as refused:
        return refused.problems
    except (ValueError, TypeError, KeyError, RecursionError):
        return (Problem(text="container.not-judged"),)


def _check(number: int, name: str, problems: Sequence[Problem], seen: Mapping[str, str]) -> Check:
    return Check(number=number, name=name, problems=tuple(problems), seen=Problem(text=f"container.passed-{number}", values=seen))


def _proves(event: EventPart, message: MessagePart, heads: Mapping[int, SignedHead]) -> bool:
    signed = heads.get(event.head)
    if signed is None or _leaf(event).get("message") != message.id:
        return False
    path = [bytes.fromhex(step) for step in event.path]
    return proves_inclusion(leaf_hash(event.leaf.encode()), event.position, signed.head.size, path, signed.head.root)


def _leaf(event: EventPart) -> Mapping[str, object]:
    """Read a leaf; raises ValueError where it is no JSON object."""
    found = json.loads(event.leaf)
    if not isinstance(found, dict):
        raise TypeError("a leaf that is no object")
    return found


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return manifest({name: content for name, content in files.items() if name not in _SEALED_OUTSIDE})


class _UnknownError(Exception):
    """What a check needs could not be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def _known(found: T | Problem) -> T:
    """Give what was read; raises _UnknownError with the problem that kept it from being read."""
    if isinstance(found, Problem):
        raise _UnknownError(found)
    return found


def _or_problem(read: Callable[[], T]) -> T | Problem:
    try:
        return read()
    except GatewayError as refused:
        return refused.problems[0]


def _told(problem: Problem, language: str) -> str:
    place = f"{problem.path}: " if problem.path else ""
    return place + explain(problem, language)
