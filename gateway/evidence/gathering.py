"""Gathers what proves messages out of a gateway's database: content as kept, what was exchanged, leaves, heads, stamps."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.audit import Event
from gateway.errors import Code, NotValid, Problem
from gateway.outbox.payloads import Payloads
from gateway.ports import Clock, Database, Tx
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.store.leaves import write_leaf
from gateway.store.queries import DeliveryRow, MessageRow, Queries

from . import sql
from .container import Exhibit, Gathered, Report, Tree, write_container
from .ledger import Ledger, ProvedLeaf
from .record import DeliveryPart, MessagePart, SignerPart
from .signers import signers_in
from .stamping import Stamps

MAX_MESSAGES = 100  # in one container
MAX_DELIVERIES = 200  # of one message; real routes have one to three
MAX_ATTEMPTS = 20  # of one delivery whose contents come along, the latest; the ledger tells of every one
_PARTS = {"document": "document.xml", "body": "body.bin", "answer": "answer.bin"}


def all_parties(_: str) -> bool:
    """Show what was exchanged with everybody."""
    return True


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

    def export(self, messages: Sequence[str], *, by: str, shows: Callable[[str], bool] = all_parties) -> bytes:
        """Write one container of messages; the ledger is told who asked for it.

        What was exchanged with receivers comes along of those parties that `shows` says. Raises NotValid where a message is not known,
        or there are too many.
        """
        if not 0 < len(messages) <= MAX_MESSAGES:
            raise NotValid(Code.LIMIT, Problem(text="container.messages", values={"limit": str(MAX_MESSAGES)}))
        key = self.key()
        self.ledger.seal()
        self.ledger.sign(key)
        gathered = self._gather(dict.fromkeys(messages), key, shows)
        at = self.clock()
        container = write_container(gathered, key, at=at, report=self.report)
        digest = hashlib.sha256(container).hexdigest()
        self.database.commit(lambda tx: _tell(tx, messages, by=by, digest=digest))
        return container

    def _gather(self, messages: Iterable[str], key: SigningKey, shows: Callable[[str], bool]) -> Gathered:
        found = [self._message(message) for message in messages]
        proofs = [self.ledger.proof_of(row.id) for row, _ in found]
        trees = self._trees([leaf.position for proof in proofs for leaf in proof.leaves])
        exhibits, certificates = [], {*key.certificates, *self.own()}
        for (row, contents), proof in zip(found, proofs, strict=True):
            signers, held = signers_in(contents.get(_PARTS["document"], b""), row.signers)
            certificates |= held
            deliveries = self._queries.deliveries(message=row.id, limit=MAX_DELIVERIES).items
            shown = [delivery.id for delivery in deliveries if shows(delivery.party)]
            exchanged = {name: content for delivery in shown for name, content in self._exchanged(delivery)}
            leaves = self._leaves(row.id, trees)
            waiting = len(proof.leaves) + proof.waiting - len(leaves)
            told = _told(row, signers, deliveries)
            exhibits.append(Exhibit(told=told, files=contents | exchanged, leaves=leaves, waiting=waiting))
        return Gathered(exhibits=exhibits, trees=trees, certificates=frozenset(certificates))

    @property
    def _queries(self) -> Queries:
        return Queries(self.database, self.payloads.unlock)

    def _message(self, message: str) -> tuple[MessageRow, dict[str, bytes]]:
        """Read a message and its content, as far as it is still kept."""
        row = self._queries.message(message)
        if row is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="container.no-message", values={"message": message}))
        contents = {name: self._queries.content(message, part) for part, name in _PARTS.items()}
        return row, {name: content for name, content in contents.items() if content}

    def _exchanged(self, delivery: str) -> Iterator[tuple[str, bytes]]:
        """Give what left and what came back, attempt by attempt; the latest attempt has the highest number."""

        def work(tx: Tx) -> list[tuple[str, bytes, bytes | None]]:
            requests = tx.rows(sql.REQUESTS, delivery=delivery, most=MAX_ATTEMPTS)
            replies = [tx.rows(sql.REPLY, delivery=delivery, token=token) for token, *_ in requests]
            return [(token, request, reply[0][0] if reply else None) for (token, _, request), reply in zip(requests, replies, strict=True)]

        for number, (token, request, reply) in enumerate(reversed(self.database.read(work)), start=1):
            place = f"deliveries/{delivery}/{number:02}"
            yield f"{place}-request.bin", self.payloads.unlock(delivery, token, request)
            if reply is not None:
                yield f"{place}-reply.bin", self.payloads.unlock(delivery, f"{token}/reply", reply)

    def _trees(self, positions: Sequence[int]) -> list[Tree]:
        """Choose the heads to prove under: the first stamped one that covers every leaf; else the last stamped, and the last signed."""
        covering = self.stamps.over(max(positions)) if positions else None
        stamped, signed = covering or self.stamps.last(), self.ledger.standing().head
        trees = []
        if stamped and (under := self.ledger.head(stamped[0])):
            trees.append(Tree(signed=under, stamp=stamped[1]))
        if signed and covering is None:
            trees.append(Tree(signed=signed))
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
        events=(), waiting=0, files=(),
    )  # fmt: skip


def _delivery(row: DeliveryRow) -> DeliveryPart:
    return DeliveryPart(
        id=row.id, party=row.party, state=row.state, attempts=row.attempt, reference=row.reference, created_at=row.created_at,
        updated_at=row.updated_at,
    )  # fmt: skip


def _tell(tx: Tx, messages: Iterable[str], *, by: str, digest: str) -> None:
    for message in dict.fromkeys(messages):
        write_leaf(tx, Event(kind="evidence.exported", at=tx.now(), message=message, values={"by": by, "sha256": digest}))
