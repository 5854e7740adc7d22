"""Gathers what proves messages out of a gateway's database: content as kept, what was exchanged, leaves, heads, stamps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from gateway.audit import Event
from gateway.errors import Code, NotValid, Problem
from gateway.model import Attachment
from gateway.outbox.attachments.keeping import Attachments
from gateway.outbox.attachments.links import read_links
from gateway.outbox.payloads import Payloads
from gateway.ports import Clock, Database, Tx
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.store.leaves import write_leaf
from gateway.store.queries import DeliveryRow, MessageRow, Queries
from gateway.store.times import from_micros
from gateway.store.viewer import STAFF, Viewer, tells_leaf

from . import sql
from .answers import ANSWER, BODY, DOCUMENT, Exchange, answer_of, exchange
from .container import Exhibit, Gathered, Report, Tree, write_container
from .ledger import Ledger, Proof, ProvedLeaf
from .packing import Content, Streamed, digest_of_file
from .record import AttachmentPart, DeliveryPart, MessagePart, SignerPart
from .signers import signers_in
from .stamping import Stamps
from .vouching import Statuses, certificates_of, vouched

MAX_MESSAGES = 100  # in one container
MAX_DELIVERIES = 200  # of one message; real routes have one to three
MAX_ATTEMPTS = 20  # of one delivery whose contents come along, the latest; the ledger tells of every one
_PARTS = {"document": DOCUMENT, "body": BODY, "answer": ANSWER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Makes containers of one gateway's messages; every method raises Unavailable where the database or the key is away."""

    database: Database
    payloads: Payloads
    ledger: Ledger
    stamps: Stamps
    clock: Clock
    key: Callable[[], SigningKey]
    report: Report
    own: Callable[[], Iterable[Certificate]]  # the certificates the gateway signs and signed with
    issuers: Callable[[], Iterable[Certificate]]  # the authorities that it knows
    statuses: Statuses  # what is held of a certificate and its issuer
    beside: Callable[[], Attachments]

    def export(self, messages: Sequence[str], into: BinaryIO, *, by: str, viewer: Viewer = STAFF, attachments: bool = True) -> None:
        """Write one container of messages to a file that can be searched; the ledger is told who asked for it.

        Of each there is what `viewer` sees; without `attachments` their digests alone. Raises NotValid where a message is not known, there
        are too many, or all is too large, Unavailable where an attachment is not what was taken in.
        """
        if not 0 < len(messages) <= MAX_MESSAGES:
            raise NotValid(Code.LIMIT, Problem(text="container.messages", values={"limit": str(MAX_MESSAGES)}))
        key = self.key()
        self.ledger.seal()
        self.ledger.sign(key)
        gathered = self._gather(dict.fromkeys(messages), key, viewer, attachments=attachments)
        write_container(gathered, key, into, at=self.clock(), report=self.report)
        digest = digest_of_file(into)  # leaves the file at its end
        self.database.commit(lambda tx: _tell(tx, messages, by=by, digest=digest))

    def _gather(self, messages: Iterable[str], key: SigningKey, viewer: Viewer, *, attachments: bool) -> Gathered:
        rows = [self._message(message) for message in messages]
        proofs = [self.ledger.proof_of(row.id) for row in rows]
        trees = self._trees([leaf.position for proof in proofs for leaf in proof.leaves])
        exhibits, certificates = [], {*key.certificates, *self.own()}
        for row, proof in zip(rows, proofs, strict=True):
            exhibit, held = self._exhibit(row, proof, viewer, trees, attachments=attachments)
            exhibits.append(exhibit)
            certificates |= held
        certificates |= {c for tree in trees if tree.stamp for c in certificates_of(tree.stamp.token)}
        chains, revocations = vouched(certificates, tuple(self.issuers()), self.statuses)
        return Gathered(exhibits=exhibits, trees=trees, certificates=chains, revocations=revocations)

    def _exhibit(
        self, row: MessageRow, proof: Proof, viewer: Viewer, trees: Sequence[Tree], *, attachments: bool
    ) -> tuple[Exhibit, frozenset[Certificate]]:
        """Put together what there is of one message; gives the certificates in it too."""
        contents = self._contents(row, viewer)
        signers, certificates = signers_in(contents.get(DOCUMENT, b""), contents.get(BODY, b""), row.signers)
        deliveries = self._queries.deliveries(message=row.id, limit=MAX_DELIVERIES).items
        exchanges = [each for delivery in deliveries if viewer.owns(delivery) for each in self._exchanges(delivery)]
        leaves, tells = self._leaves(row.id, trees), viewer.tells(row, deliveries)
        shown = [(size, leaf) for size, leaf in leaves if tells_leaf(tells, leaf.leaf)]
        answers = [*answer_of(row, contents, (leaf.leaf for _, leaf in shown)), *exchanges]
        parts, streams = self._attachments(row, viewer, inside=attachments)
        files: dict[str, Content] = {**contents, **{name: content for each in exchanges for name, content in each.files.items()}, **streams}
        told = _told(viewer.message(row), signers, viewer.deliveries(row, deliveries)).model_copy(
            update={"attachments": parts, "receipts": tuple(part for each in answers for part in each.receipts)}
        )
        waiting = len(proof.leaves) + proof.waiting - len(leaves)
        return Exhibit(told=told, files=files, leaves=shown, waiting=waiting), certificates | {
            c for each in answers for c in each.certificates
        }

    @property
    def _queries(self) -> Queries:
        return Queries(self.database, self.payloads.unlock)

    def _message(self, message: str) -> MessageRow:
        row = self._queries.message(message)
        if row is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="container.no-message", values={"message": message}))
        return row

    def _contents(self, row: MessageRow, viewer: Viewer) -> dict[str, bytes]:
        """Read a message's content, as far as it is still kept and the viewer may have it."""
        contents = {name: self._queries.content(row.id, part) for part, name in _PARTS.items() if part in viewer.parts(row)}
        return {name: content for name, content in contents.items() if content}

    def _attachments(self, row: MessageRow, viewer: Viewer, *, inside: bool) -> tuple[tuple[AttachmentPart, ...], Mapping[str, Streamed]]:
        """Tell what came beside a message, and where its bytes are read from, for whoever may have the document."""
        if "document" not in viewer.parts(row):
            return (), {}
        beside = self.database.read(lambda tx: read_links(tx, row.id, self.payloads))
        named = [(f"attachments/{number:03}.bin" if inside else "", number, each) for number, each in enumerate(beside, start=1)]
        return (
            tuple(_attachment(row.id, *each) for each in named),
            {name: self._streamed(attachment) for name, _, attachment in named if name},
        )

    def _streamed(self, attachment: Attachment) -> Streamed:
        return Streamed(size=attachment.size, sha256=bytes.fromhex(attachment.sha256), chunks=lambda: self.beside().read(attachment))

    def _exchanges(self, delivery: DeliveryRow) -> Iterator[Exchange]:
        """Give what left and what came back, attempt by attempt; the latest attempt has the highest number."""

        def work(tx: Tx) -> list[tuple[str, bytes, tuple[bytes | None, int] | None]]:
            requests = tx.rows(sql.REQUESTS, delivery=delivery.id, most=MAX_ATTEMPTS)
            outcomes = [tx.rows(sql.REPLY, delivery=delivery.id, token=token) for token, *_ in requests]
            return [(token, request, found[0] if found else None) for (token, _, request), found in zip(requests, outcomes, strict=True)]

        for number, (token, request, outcome) in enumerate(reversed(self.database.read(work)), start=1):
            reply, settled_at = outcome or (None, 0)
            opened = None if reply is None else self.payloads.unlock(delivery.id, f"{token}/reply", reply)
            yield exchange(delivery, number, self.payloads.unlock(delivery.id, token, request), opened, at=from_micros(settled_at))

    def _trees(self, positions: Sequence[int]) -> list[Tree]:
        """Choose the heads to prove under: the first stamped one that covers every leaf; else the last stamped, and the last signed."""
        covering = self.stamps.over(max(positions)) if positions else None
        stamped, signed = covering or self.stamps.last(), self.ledger.standing().head
        under = self.ledger.head(stamped[0]) if stamped else None
        trees = []
        if stamped and under:
            trees.append(Tree(signed=under, stamp=stamped[1]))
        if signed and covering is None:
            trees.append(Tree(signed=signed, consistency=self.ledger.consistency(under.head.size, signed.head.size) if under else ()))
        return trees

    def _leaves(self, message: str, trees: Sequence[Tree]) -> list[tuple[int, ProvedLeaf]]:
        """Prove each leaf under the first tree that has it."""
        placed: dict[int, tuple[int, ProvedLeaf]] = {}
        for tree in trees:
            size = tree.signed.head.size
            for leaf in self.ledger.proof_of(message, under=size).leaves:
                placed.setdefault(leaf.position, (size, leaf))
        return list(placed.values())


def _told(row: MessageRow, signers: Sequence[SignerPart], deliveries: Sequence[DeliveryRow]) -> MessagePart:
    return MessagePart(
        id=row.id, state=row.state, received_at=row.received_at, channel=row.channel, proof=row.proof or "", sender=row.sender or "",
        receiver=row.receiver or "", procedure=row.procedure or "", type=row.type or "", function=row.function or "",
        reference=row.reference or "", code=row.code or "", signers=tuple(signers), deliveries=tuple(map(_delivery, deliveries)),
        attachments=(), receipts=(), events=(), waiting=0, files=(),
    )  # fmt: skip


def _attachment(message: str, name: str, number: int, attachment: Attachment) -> AttachmentPart:
    return AttachmentPart(
        number=number, name=attachment.name, media_type=attachment.media_type, size=attachment.size, sha256=attachment.sha256,
        file=f"messages/{message}/{name}" if name else "",
    )  # fmt: skip


def _delivery(row: DeliveryRow) -> DeliveryPart:
    return DeliveryPart(
        id=row.id, party=row.party, state=row.state, attempts=row.attempt, reference=row.reference, created_at=row.created_at,
        updated_at=row.updated_at,
    )  # fmt: skip


def _tell(tx: Tx, messages: Iterable[str], *, by: str, digest: str) -> None:
    for message in dict.fromkeys(messages):
        write_leaf(tx, Event(kind="evidence.exported", at=tx.now(), message=message, values={"by": by, "sha256": digest}))
