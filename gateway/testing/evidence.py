"""A bench for evidence: a database with one message that was accepted, sent and delivered, and the containers made of it."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path

from gateway.errors import Problem
from gateway.evidence.gathering import Evidence
from gateway.evidence.ledger import Ledger
from gateway.evidence.packing import Content, digest_of, pack, unpack
from gateway.evidence.report import write_reports
from gateway.evidence.seal import MANIFEST, PLACE, manifest, seal
from gateway.evidence.stamping import Stamps
from gateway.evidence.verify import Verdict, verify_container
from gateway.lifecycle import Delivered
from gateway.model import Attachment, Document, MessageId, Request, Signer
from gateway.outbox.attachments.keeping import Attachments
from gateway.outbox.attachments.rows import RowStore
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Cipher, Database
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.security.statuses import held
from gateway.store.viewer import STAFF, Viewer

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
        signers: tuple[SigningKey, ...] = (),
        request: bytes = b"<request/>",
        reply: bytes = b"reply",
        answer: bytes | None = None,
    ) -> MessageId:
        """Accept a message, signed by a person and the portal unless told otherwise, and deliver it to the ministry."""
        whole = content or (self.bench.signed() if signed else self.bench.envelope())
        entry = make_entry(key=os.urandom(8), content=whole, attachments=attachments)
        keys = signers or ((self.bench.person, self.bench.portal) if signed else ())
        who = tuple(_signer(role, key) for role, key in zip(("person", "system"), keys, strict=False))
        document = Document(type="P11001", content=whole, sha256=hashlib.sha256(whole).hexdigest())
        envelope = replace(entry.envelope, document=document, signers=who)
        answered = entry.answer if answer is None else replace(entry.answer, body=answer.replace(b"MESSAGE", entry.arrival.id.encode()))
        self.outbox.record(replace(entry, envelope=envelope, proof="signature" if keys else "network", answer=answered))
        claim = claim_one(self.outbox)
        self.outbox.note(claim, Request(endpoint="http://x", action="", body=request))
        end(self.outbox, claim, Delivered(reference="BNN-1"), self.time, reply=reply)
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
        report=write_reports,
        key=lambda: key,
        own=lambda: key.certificates,
        issuers=lambda: (*bench.trust.anchors("person").certificates, *issuers),
        statuses=partial(held, revocation),
        beside=lambda: keeping,
    )
    return Court(
        database=database, outbox=outbox, evidence=evidence, stamps=stamps, ledger=ledger, key=key, time=time, bench=bench, keeping=keeping
    )


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


def verified(data: bytes, trusted: Iterable[Certificate]) -> Verdict:
    """Verify a container."""
    return verify_container(BytesIO(data), tuple(trusted))


def _signer(role: str, key: SigningKey) -> Signer:
    leaf = key.certificates[0]
    return Signer(role=role, subject=leaf.subject, tax_code=leaf.tax_code, certificate_sha256=leaf.sha256, covers=("/Envelope",))  # type: ignore[arg-type]
