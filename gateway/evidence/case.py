"""A container taken apart for its checks: what each of them asks for is read once, and what cannot be read is the problem that says so."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import TypeVar

from gateway.errors import GatewayError, NotProven, Problem
from gateway.security import certificates, stamps
from gateway.security.certificates import Certificate
from gateway.security.path import Anchors, may_sign
from gateway.security.properties import ReadStamp

from .heads import SignedHead, read_signed
from .packing import Packed, digest_of
from .record import NAME, EventPart, MessagePart, Record, read_record
from .seal import MANIFEST, PLACE, Seal, holds, manifest, read_seal
from .standing import Standings

T = TypeVar("T")
Leaf = Mapping[str, object]
SEALED_OUTSIDE = frozenset({MANIFEST, PLACE})
MAX_SOURCES = 1000  # lists and answers; each signer has one or two, and most share them


class UnknownError(Exception):
    """What a check needs could not be read."""

    def __init__(self, problem: Problem) -> None:
        """Take the problem that kept it from being read."""
        super().__init__(problem.text)
        self.problem = problem


class Case:
    """A container taken apart; what cannot be read is the problem that says so."""

    def __init__(
        self, files: Packed, differences: tuple[Problem, ...], trusted: tuple[Certificate, ...], also: tuple[Certificate, ...] = ()
    ) -> None:
        """Take the files, where the container is not in its one form, and whom the reader trusts: as the gateway, and for all else."""
        self.files = files
        self.differences = differences
        self.trusted = trusted
        self.vouching = tuple(dict.fromkeys((*trusted, *also)))

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
        record = known(self.record)
        return {signed.head.size: signed for signed in (read_signed(part.signed) for part in record.heads)}

    @cached_property
    def certificates(self) -> Mapping[str, Certificate]:
        """Give the certificates that came along, by SHA-256; trusted by nothing."""
        found = (certificates.read(self.files[name]) for name in self.files if name.startswith("certificates/"))
        return {c.sha256: c for c in found}

    @cached_property
    def standings(self) -> Standings:
        """Give what judges certificates by the revocation data that came along."""
        found = list(islice((name for name in self.files if name.startswith("revocation/")), MAX_SOURCES))
        lists = (self.files[name] for name in found if name.endswith(".crl"))
        answers = (self.files[name] for name in found if name.endswith(".ors"))
        return Standings(self.known_certificates, lists=lists, answers=answers)

    @cached_property
    def known_certificates(self) -> tuple[Certificate, ...]:
        """Give those the reader trusts, and those that came along."""
        sealed = self.seal.chain if isinstance(self.seal, Seal) else ()
        return tuple(dict.fromkeys((*self.vouching, *self.certificates.values(), *sealed)))

    @cached_property
    def read_stamp(self) -> ReadStamp:
        """Give what reads time-stamps of signatures."""
        return stamps.reader(Anchors(certificates=self.vouching))

    @cached_property
    def told(self) -> Sequence[tuple[MessagePart, Sequence[Leaf]]]:
        """Give each message with its events; raises ValueError or TypeError where one is no JSON object."""
        return [(message, list(map(leaf_of, message.events))) for message in known(self.record).messages]

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
            figures["attachments"] = str(sum(len(message.attachments) for message in self.record.messages))
            receipts = [receipt for message in self.record.messages for receipt in message.receipts]
            figures |= {"receipts": str(len(receipts)), "signed": str(sum(bool(receipt.signer) for receipt in receipts))}
            figures["until"] = ", ".join(head.stamped_at.isoformat(" ") for head in heads if head.stamped_at) or "-"
        return figures

    def digest_holds(self, name: str) -> bool:
        """Say whether a file has the digest that the seal has of it."""
        sealed = self.seal.digests.get(name) if isinstance(self.seal, Seal) else None
        return sealed == self.files.digest(name)

    def manifest_holds(self) -> bool:
        """Say whether the manifest is the one that the files give."""
        return self.files.digest(MANIFEST) == digest_of(manifest(name for name in self.files if name not in SEALED_OUTSIDE))

    def judged_files(self) -> dict[str, bool]:
        """Say of every file that is there or should be whether it is as it was sealed."""
        expected = self.seal.digests if isinstance(self.seal, Seal) else {}
        named = {problem.path for problem in self.differences}
        found = {name: self.digest_holds(name) and name not in named for name in sorted({*self.files, *expected} - SEALED_OUTSIDE)}
        found[MANIFEST] = self.manifest_holds() and MANIFEST not in named
        found[PLACE] = isinstance(self.seal, Seal) and holds(self.seal) and PLACE not in named
        return found

    def trusts(self, certificate: Certificate, at: datetime) -> bool:
        """Say whether a certificate is the gateway's to the reader: named or led to, could sign at a moment, was not revoked by then."""
        return self._leads(certificate, at, self.trusted) and self._stands(certificate, at)

    def vouches(self, certificate: Certificate, at: datetime) -> bool:
        """Say the same of anybody's certificate, under all whom the reader named."""
        return self._leads(certificate, at, self.vouching) and self._stands(certificate, at)

    def _stands(self, certificate: Certificate, at: datetime) -> bool:
        return all(standing.word != "revoked" for standing in self.standings.judge(certificate, at))

    def is_gateways(self, certificate: Certificate, at: datetime) -> bool:
        """Say whether a certificate is the gateway's: it sealed or signed a head, which other checks judge, or it is trusted."""
        sealed = isinstance(self.seal, Seal) and certificate == self.seal.chain[0]
        return sealed or any(certificate.sha256 == signed.head.key for signed in self.heads.values()) or self.trusts(certificate, at)

    def _leads(self, certificate: Certificate, at: datetime, anchors: tuple[Certificate, ...]) -> bool:
        if certificate in anchors:
            return certificate.valid_at(at) and may_sign(certificate)
        try:
            Anchors(certificates=anchors).path(certificate, self.standings.issuers(certificate), at=at)
        except NotProven:
            return False
        return True


def leaf_of(event: EventPart) -> Leaf:
    """Read a leaf; raises ValueError or TypeError where it is no JSON object."""
    found = json.loads(event.leaf)
    if not isinstance(found, dict):
        raise TypeError("a leaf that is no object")
    return found


def known(found: T | Problem) -> T:
    """Give what was read; raises UnknownError with the problem that kept it from being read."""
    if isinstance(found, Problem):
        raise UnknownError(found)
    return found


def _or_problem(read: Callable[[], T]) -> T | Problem:
    try:
        return read()
    except GatewayError as refused:
        return refused.problems[0]
