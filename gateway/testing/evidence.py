"""A bench for evidence: a database with one message that was accepted, sent and delivered, and the containers made of it."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path

from gateway.errors import Problem
from gateway.evidence.container import Report
from gateway.evidence.gathering import Evidence
from gateway.evidence.ledger import Ledger
from gateway.evidence.packing import Content, digest_of, pack, unpack
from gateway.evidence.report import write_reports
from gateway.evidence.seal import MANIFEST, PLACE, manifest, seal
from gateway.evidence.stamping import Stamps
from gateway.evidence.verify import Verdict, verify_container
from gateway.lifecycle import Delivered, Outcome
from gateway.model import ON_MESSAGE, Attachment, Document, MessageId, Request, Signer
from gateway.outbox.attachments.keeping import Attachments
from gateway.outbox.attachments.rows import RowStore
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Cipher, Database
from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.protocols.vnsw.wrapping import response
from gateway.security import beside
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.security.sealer import EnvelopeSealer
from gateway.security.statuses import held
from gateway.store.viewer import STAFF, Viewer
from gateway.xml import soap
from gateway.xml.envelope import read_header, swap, write
from gateway.xml.parse import parse

from . import builders
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
    keeping: Attachments

    def deliver(  # what may be different about a message, each by name
        self,
        *,
        signed: bool = True,
        attachments: tuple[Attachment, ...] = (),
        content: bytes | None = None,
        body: bytes | None = None,
        signers: Iterable[tuple[str, SigningKey]] | None = None,
        request: bytes = b"<request/>",
        reply: bytes = b"reply",
        outcome: Outcome | None = None,
        answer: Callable[[MessageId], bytes] | None = None,
    ) -> MessageId:
        """Accept a message, signed by a person and the portal unless told otherwise, and deliver it to the ministry, or end otherwise."""
        whole = content or (self.bench.signed() if signed else self.bench.envelope())
        entry = make_entry(key=os.urandom(8), content=whole, body=body, attachments=attachments)
        usual = (("person", self.bench.person), ("system", self.bench.portal)) if signed else ()
        who = tuple(_signer(role, key) for role, key in (usual if signers is None else signers))
        document = Document(type="P11001", content=whole, sha256=hashlib.sha256(whole).hexdigest())
        envelope = replace(entry.envelope, document=document, signers=who)
        answered = replace(entry.answer, body=answer(entry.arrival.id)) if answer else entry.answer
        self.outbox.record(replace(entry, envelope=envelope, proof="signature" if who else "network", answer=answered))
        claim = claim_one(self.outbox)
        self.outbox.note(claim, Request(endpoint="http://x", action="", body=request))
        end(self.outbox, claim, outcome or Delivered(reference="BNN-1"), self.time, reply=reply)
        return entry.arrival.id

    def export(self, *messages: str, viewer: Viewer = STAFF, attachments: bool = True) -> bytes:
        """Write a container."""
        into = BytesIO()
        self.evidence.export(messages, into, by="test", viewer=viewer, attachments=attachments)
        return into.getvalue()

    def attach(self, *pieces: bytes, name: str = "ảnh chụp.pdf") -> Attachment:
        """Take an attachment in."""
        upload = self.keeping.upload(name=name, media_type="application/pdf")
        for piece in pieces:
            upload.write(piece)
        return upload.finish()

    @property
    def anchors(self) -> tuple[Certificate, ...]:
        """The gateway's certificate."""
        return self.key.certificates


def hold_court(  # what it is made of, each by name
    database: Database,
    cipher: Cipher,
    bench: Bench,
    *,
    time: Time,
    key: SigningKey,
    revocation: Path = Path("nowhere"),
    issuers: tuple[Certificate, ...] = (),
    report: Report = write_reports,
) -> Court:
    """Put evidence together over a database; lists and answers lie in `revocation`, `issuers` are known beside those of persons."""
    payloads = Payloads(cipher=cipher)
    ledger, stamps = Ledger(database, clock=time), Stamps(database, clock=time)
    outbox = SqlOutbox(database, payloads, clock=time, entropy=os.urandom)
    keeping = Attachments(database, cipher, stores=[RowStore(database)], entropy=os.urandom)
    evidence = Evidence(
        database=database,
        payloads=payloads,
        ledger=ledger,
        stamps=stamps,
        clock=time,
        report=report,
        key=lambda: key,
        own=lambda: key.certificates,
        issuers=lambda: (*bench.trust.anchors("person").certificates, *issuers),
        statuses=partial(held, revocation),
        beside=lambda: keeping,
    )
    return Court(
        database=database, outbox=outbox, evidence=evidence, stamps=stamps, ledger=ledger, key=key, time=time, bench=bench, keeping=keeping
    )


def receipt(document: bytes, key: SigningKey | None, *, number: str, at: datetime, profile: str = "xmldsig", reference: str = "") -> bytes:
    """Answer a document with 99 over SOAP, signed by a profile, or by nobody; about another reference where one is given."""
    header = swap(read_header(parse(document), zone=builders.ZONE))
    subject = replace(header.subject, function="99", reference=reference or header.subject.reference)
    envelope = write(replace(header, id=number, subject=subject), b"<ReceiveDate>-</ReceiveDate>", zone=builders.ZONE)
    sealer = EnvelopeSealer(key, lambda: at) if key else None
    if sealer and profile not in ON_MESSAGE:
        envelope = sealer.sign(envelope, profile)
    body = soap.wrap(response(GATEWAY, envelope), version="1.1")
    if profile == "cms-detached" and sealer:
        return beside.write(body, sealer.sign(body, profile))
    return sealer.sign(body, profile) if sealer and profile in ON_MESSAGE else body


# --- containers taken apart and put together ---------------------------------------------------------------------------


def unpacked(data: bytes) -> tuple[dict[str, bytes], tuple[Problem, ...]]:
    """Take a container apart, and say where it is not in the one form; raises NotReadable."""
    files, differences = unpack(BytesIO(data))
    return dict(files), differences


def packed(files: Mapping[str, Content]) -> bytes:
    """Put a container together as it is, sealed by nobody."""
    into = BytesIO()
    pack(files, into)
    return into.getvalue()


def sealed(files: Mapping[str, bytes], key: SigningKey, *, at: datetime) -> bytes:
    """Put a container together and seal it, as whoever has a key could."""
    inside = {name: content for name, content in files.items() if name not in (MANIFEST, PLACE)}
    digests = {name: digest_of(content) for name, content in inside.items()}
    return packed({**inside, MANIFEST: manifest(inside), PLACE: seal(digests, key, at=at)})


def verified(data: bytes, trusted: Iterable[Certificate], *, also: Iterable[Certificate] = ()) -> Verdict:
    """Verify a container."""
    return verify_container(BytesIO(data), tuple(trusted), tuple(also))


def _signer(role: str, key: SigningKey) -> Signer:
    leaf = key.certificates[0]
    return Signer(role=role, subject=leaf.subject, tax_code=leaf.tax_code, certificate_sha256=leaf.sha256, covers=("/Envelope",))  # type: ignore[arg-type]
