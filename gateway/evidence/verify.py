"""Verifies a container with nothing but its bytes and trust anchors: no gateway, no database, no network (docs/protocol/EVIDENCE.md)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import BinaryIO, TypeVar

from gateway.errors import GatewayError, NotProven, Problem, explain
from gateway.security.certificates import Certificate

from . import exchanged
from .case import SEALED_OUTSIDE, Case, UnknownError, known, leaf_of
from .findings import Finding, Remark, remark
from .heads import SignedHead, is_signed_by, read_signed, write_head
from .merkle import leaf_hash, proves_consistency, proves_inclusion
from .packing import unpack
from .record import NAME, EventPart, MessagePart, Record
from .seal import MANIFEST, PLACE, holds
from .timestamps import verify_stamp

T = TypeVar("T")
MAX_FINDINGS = 50  # told of, of one check


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One numbered check: what is wrong, empty where it passed, then what was seen, and what else there is to say of it."""

    number: int
    name: str
    problems: tuple[Problem, ...]
    seen: Problem
    remarks: tuple[Remark, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def doubtful(self) -> bool:
        """Whether something is left for the reader to judge."""
        return any(remark.doubtful for remark in self.remarks)

    def detail(self, language: str) -> str:
        """Say what was seen, or what is wrong, and what else there is to say."""
        remarks = (remark.problem for remark in self.remarks)
        return " ".join(_told(p, language) for p in (*(self.problems or (self.seen,)), *remarks))


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


def verify_container(file: BinaryIO, trusted: Sequence[Certificate], also: Sequence[Certificate] = ()) -> Verdict:
    """Judge a container; `trusted` are the gateway's certificate or an authority above it: they alone may seal and sign heads.

    Time-stamp authorities and partners are named in `also`, who vouch for time-stamps and answers.
    Whatever is wrong is in the verdict, so nothing is raised but what the file itself raises.
    """
    try:
        files, differences = unpack(file)
    except GatewayError as refused:
        return Verdict(messages=(), checks=(_check(1, "container", refused.problems, {}),), files={})
    case = Case(files, differences, tuple(dict.fromkeys(trusted)), tuple(also))
    checks = tuple(_check(number, name, _judged(step, case), case.figures) for number, (name, step) in _CHECKS.items())
    record = case.record
    messages = tuple(m.id for m in record.messages) if isinstance(record, Record) else ()
    return Verdict(messages=messages, checks=checks, files=case.judged_files())


# --- the checks, by their numbers in EVIDENCE.md -----------------------------------------------------------------------


def _container(case: Case) -> Iterator[Finding]:
    # (1) the file is a container in its one form
    yield from case.differences


def _seal_form(case: Case) -> Iterator[Finding]:
    # (2) there is one seal, in its one form
    known(case.seal)
    yield from ()


def _signer(case: Case) -> Iterator[Finding]:
    # (3) who sealed is trusted, and could sign then
    found = known(case.seal)
    if not case.trusts(found.chain[0], found.at):
        yield Problem(text="container.signer", values={"subject": found.chain[0].subject, "at": found.at.isoformat()})


def _value(case: Case) -> Iterator[Finding]:
    # (4) the seal's value is right under the signer's key
    if not holds(known(case.seal)):
        yield Problem(text="container.seal-value", path=PLACE)


def _files(case: Case) -> Iterator[Finding]:
    # (5) every sealed file is there unchanged, and nothing else is
    sealed = known(case.seal).digests
    for name in sorted(sealed.keys() - case.files.keys()):
        yield Problem(text="container.file-missing", path=name)
    for name in sorted(case.files.keys() - sealed.keys() - SEALED_OUTSIDE):
        yield Problem(text="container.file-added", path=name)
    for name in sorted(sealed.keys() & case.files.keys()):
        if not case.digest_holds(name):
            yield Problem(text="container.file-altered", path=name)


def _manifest_form(case: Case) -> Iterator[Finding]:
    # (6) the manifest lists the files
    if not case.manifest_holds():
        yield Problem(text="container.manifest", path=MANIFEST)


def _record(case: Case) -> Iterator[Finding]:
    # (7) evidence.json can be read, and names the files of every message
    record = known(case.record)
    named = {name for message in record.messages for name in message.files}
    for name in sorted(named ^ {name for name in case.files if name.startswith("messages/")}):
        yield Problem(text="container.not-named", path=name)


def _history(case: Case) -> Iterator[Finding]:
    # (8) every event leads to the root of a head, and is about the message; no message and no position stands there twice
    messages = known(case.record).messages
    for twice in _doubled(message.id for message in messages):
        yield Problem(text="container.message-twice", path=twice)
    for position in _doubled(event.position for message in messages for event in message.events):
        yield Problem(text="container.event-twice", path=NAME, values={"position": str(position)})
    for message in messages:
        if not message.events:
            yield Problem(text="container.no-event", path=message.id)
        for event in message.events:
            if not _proves(event, message, case.heads):
                yield Problem(text="container.event", path=message.id, values={"position": str(event.position)})


def _heads(case: Case) -> Iterator[Finding]:
    # (9) every head is signed by a certificate that is trusted and could sign then, of one size there is one, and all are of one tree
    parts = known(case.record).heads
    for part in parts:
        signed = read_signed(part.signed)
        signer = case.certificates.get(signed.head.key)
        only = signed == case.heads[signed.head.size]  # events are proved under this one
        if not only or signer is None or not is_signed_by(signed, case.certificates) or not case.trusts(signer, signed.head.at):
            yield Problem(text="container.head", path=NAME, values={"size": str(signed.head.size)})
    told = ((read_signed(part.signed).head, [bytes.fromhex(step) for step in part.consistency]) for part in parts)
    for (first, _), (second, path) in pairwise(sorted(told, key=lambda each: each[0].size)):
        if not proves_consistency(first.size, second.size, path, first.root, second.root):
            yield Problem(text="container.heads-apart", path=NAME, values={"first": str(first.size), "second": str(second.size)})


def _stamps(case: Case) -> Iterator[Finding]:
    # (10) every time-stamp is a trusted authority's, over its head, and no other time is told of; a head without one is said to be so
    for part in known(case.record).heads:
        signed = read_signed(part.signed)
        if not part.stamp and part.stamped_at is None:
            yield remark("no-stamp", size=str(signed.head.size))
            continue
        try:
            at = verify_stamp(case.files.get(part.stamp, b""), write_head(signed.head), case.vouching)
        except NotProven as refused:
            yield Problem(text="container.stamp", path=part.stamp, values={"cause": refused.problems[0].text})
            continue
        if at != part.stamped_at:
            yield Problem(text="container.stamp-time", path=part.stamp)


_Step = Callable[[Case], Iterator[Finding]]
_CHECKS: Mapping[int, tuple[str, _Step]] = {
    1: ("container", _container), 2: ("seal", _seal_form), 3: ("signer", _signer), 4: ("seal-value", _value), 5: ("files", _files),
    6: ("manifest", _manifest_form), 7: ("record", _record), 8: ("history", _history), 9: ("heads", _heads), 10: ("time-stamps", _stamps),
    11: ("documents", exchanged.documents), 12: ("document-signatures", exchanged.signatures), 13: ("attachments", exchanged.attachments),
    14: ("revocation", exchanged.revocation), 15: ("receipts", exchanged.receipts),
}  # fmt: skip


def _judged(step: _Step, case: Case) -> tuple[Finding, ...]:
    """Take a check; one that cannot be made has failed."""
    try:
        return tuple(islice(step(case), MAX_FINDINGS))
    except UnknownError as unknown:
        return (unknown.problem,)
    except GatewayError as refused:
        return refused.problems
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return (Problem(text="container.not-judged"),)


def _check(number: int, name: str, findings: Sequence[Finding], seen: Mapping[str, str]) -> Check:
    return Check(
        number=number,
        name=name,
        problems=tuple(found for found in findings if isinstance(found, Problem)),
        remarks=tuple(found for found in findings if isinstance(found, Remark)),
        seen=Problem(text=f"container.passed-{number}", values=seen),
    )


def _doubled(found: Iterable[T]) -> list[T]:
    return [each for each, count in Counter(found).items() if count > 1]


def _proves(event: EventPart, message: MessagePart, heads: Mapping[int, SignedHead]) -> bool:
    signed = heads.get(event.head)
    if signed is None or leaf_of(event).get("message") != message.id:
        return False
    path = [bytes.fromhex(step) for step in event.path]
    return proves_inclusion(leaf_hash(event.leaf.encode()), event.position, signed.head.size, path, signed.head.root)


def _told(problem: Problem, language: str) -> str:
    place = f"{problem.path}: " if problem.path else ""
    return place + explain(problem, language)
