"""A bench for evidence: a database with one message that was accepted, sent and delivered, and the containers made of it."""

import hashlib
import os
from dataclasses import dataclass, replace

from gateway.evidence.gathering import Evidence
from gateway.evidence.ledger import Ledger
from gateway.evidence.report import write_reports
from gateway.evidence.stamping import Stamps
from gateway.lifecycle import Delivered
from gateway.model import Document, MessageId, Request, Signer
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Cipher, Database
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey

from .entries import make_entry
from .settling import Time, claim_one, end
from .signing import Bench


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """Evidence of one gateway, and what it is made of."""

    database: Database
    outbox: SqlOutbox
    evidence: Evidence
    stamps: Stamps
    ledger: Ledger
    key: SigningKey
    time: Time
    bench: Bench

    def deliver(self, *, signed: bool = True) -> MessageId:
        """Accept a message, signed by a person and the portal unless told otherwise, and deliver it to the ministry."""
        content = self.bench.signed() if signed else self.bench.envelope()
        entry = make_entry(key=os.urandom(8), content=content)
        signers = tuple(map(_signer, ("person", "system"), (self.bench.person, self.bench.portal))) if signed else ()
        document = Document(type="P11001", content=content, sha256=hashlib.sha256(content).hexdigest())
        envelope = replace(entry.envelope, document=document, signers=signers)
        self.outbox.record(replace(entry, envelope=envelope, proof="signature" if signed else "network"))
        claim = claim_one(self.outbox)
        self.outbox.note(claim, Request(endpoint="http://x", action="", body=b"<request/>"))
        end(self.outbox, claim, Delivered(reference="BNN-1"), self.time)
        return entry.arrival.id

    def export(self, *messages: str) -> bytes:
        """Write a container."""
        return self.evidence.export(messages, by="test")

    @property
    def anchors(self) -> tuple[Certificate, ...]:
        """The gateway's certificate."""
        return self.key.certificates


def hold_court(database: Database, cipher: Cipher, bench: Bench, time: Time, key: SigningKey) -> Court:
    """Put evidence together over a database."""
    payloads = Payloads(cipher=cipher)
    ledger, stamps = Ledger(database, clock=time), Stamps(database, clock=time)
    outbox = SqlOutbox(database, payloads, clock=time, entropy=os.urandom)
    evidence = Evidence(
        database=database,
        payloads=payloads,
        ledger=ledger,
        stamps=stamps,
        clock=time,
        report=write_reports,
        key=lambda: key,
        own=lambda: key.certificates,
    )
    return Court(database=database, outbox=outbox, evidence=evidence, stamps=stamps, ledger=ledger, key=key, time=time, bench=bench)


def _signer(role: str, key: SigningKey) -> Signer:
    leaf = key.certificates[0]
    return Signer(role=role, subject=leaf.subject, tax_code=leaf.tax_code, certificate_sha256=leaf.sha256, covers=("/Envelope",))  # type: ignore[arg-type]
