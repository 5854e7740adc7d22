"""How a message comes in: from raw bytes at a door to an answer that is only given once everything is durable.

1 door      bytes -> Opened       the protocol's outer wrapper
2 prove     Opened -> Proven      numbered signature checks
3 validate  Proven -> Document    schema, then business rules
4 route     Envelope -> Routes    rules are data
5 record    -> Receipt            message, deliveries, dossier and ledger entry in one commit; then the answer
"""

import hashlib
from collections.abc import Callable
from time import perf_counter

from .errors import GatewayError, Unavailable
from .model import Arrival, DeliveryId, Envelope, MessageId, Party, Receipt, Refusal, Reply, Route, uuid7
from .ports import Clock, DossierMove, Entropy, Entry, Inbound, Opened, Outbox, Proven, Watch
from .routing.judge import Judge, Judgement
from .routing.router import route
from .routing.rules import RuleSet
from .security.prover import Prover
from .xml.envelope import try_header
from .xml.likeness import content_digest


class Intake:
    """Receives messages; `receive` may be called from any number of threads."""

    def __init__(
        self,
        *,
        prover: Prover,
        judge: Judge,
        rules: Callable[[], RuleSet],
        outbox: Outbox,
        clock: Clock,
        entropy: Entropy,
        watch: Watch,
        carries: Callable[[Party], bool] = lambda _: False,
    ) -> None:
        """`carries` says whether a party can be given attachments."""
        self._prover = prover
        self._judge = judge
        self._rules = rules
        self._outbox = outbox
        self._clock = clock
        self._entropy = entropy
        self._watch = watch
        self._carries = carries

    def receive(self, arrival: Arrival, door: Inbound) -> Reply:
        """Bring one message in and say what to answer; a refusal is an answer too. Only defects leave as exceptions."""
        started = perf_counter()
        opened = None
        try:
            first = self._outbox.answered(arrival)
            if first is not None:
                return self._told("message.repeated", arrival, first, started)
            opened = door.open(arrival)  # 1
            answer, proof = self._accept(arrival, opened, door)
            return self._told("message.accepted", arrival, answer, started, proof=proof)
        except GatewayError as error:
            answer = self._refuse(arrival, opened, door, error)
            return self._told("message.refused", arrival, answer, started, code=error.code)

    def _accept(self, arrival: Arrival, opened: Opened, door: Inbound) -> tuple[Reply, str]:
        rules = self._rules()
        proven = self._prover.prove(opened, arrival.channel, rules)  # 2
        judgement = self._judge.judge(proven, rules, at=arrival.received_at)  # 3
        envelope = _envelope(arrival, proven, judgement)
        routes = route(envelope, judgement, rules, carries=self._carries)  # 4
        receipt = self._receipt(envelope, proven, judgement, routes)
        answer = self._outbox.record(  # 5
            Entry(
                arrival=arrival,
                envelope=envelope,
                wrapper=opened.wrapper,
                judged=judgement.judged,
                receipt=receipt,
                answer=door.answer(opened, receipt),
                proof=proven.proof,
                routes=routes,
                key=_key(envelope, proven),
                keys=judgement.keys,
                dossier=DossierMove(allowed=judgement.dossier_from, to=judgement.dossier_state, opens=judgement.opens_dossier),
                warnings=receipt.warnings,
                again=lambda first: door.answer(opened, first),
            )
        )
        return answer, proven.proof

    def _receipt(self, envelope: Envelope, proven: Proven, judgement: Judgement, routes: tuple[Route, ...]) -> Receipt:
        now = self._clock()
        return Receipt(
            message=envelope.id,
            header=envelope.header,
            sender=envelope.sender,
            sha256=envelope.document.sha256,
            accepted_at=now,
            deliveries=tuple(DeliveryId(uuid7(now, self._entropy(10))) for _ in routes),
            warnings=(*proven.warnings, *judgement.warnings),
            seal=proven.sender.accepts.signature,
            attachments=envelope.attachments,
        )

    def _refuse(self, arrival: Arrival, opened: Opened | None, door: Inbound, error: GatewayError) -> Reply:
        """Keep what was refused and say why; where it cannot be kept, ask the sender to come again."""
        refusal = self._refusal(arrival, opened, error)
        answer = door.answer(opened, refusal)
        if isinstance(error, Unavailable):
            return answer
        try:
            self._outbox.refuse(arrival, refusal, answer)
        except Unavailable as away:
            return door.answer(opened, self._refusal(arrival, opened, away))
        return answer

    def _refusal(self, arrival: Arrival, opened: Opened | None, error: GatewayError) -> Refusal:
        rules = self._rules()
        header = try_header(opened.payload, zone=rules.zone) if opened else None
        party = rules.party(header.sender.identity) if header else None
        if party is None and arrival.channel.party:
            party = rules.party(arrival.channel.party)
        return Refusal(
            message=arrival.id,
            refused_at=self._clock(),
            code=error.code,
            problems=error.problems,
            header=header,
            sender=party.code if party else None,
            seal=party.accepts.signature if party else "none",
        )

    def _told(self, event: str, arrival: Arrival, answer: Reply, started: float, **codes: str) -> Reply:
        seconds = perf_counter() - started
        self._watch(event, {"message": arrival.id, "door": arrival.door, "channel": arrival.channel.kind, "seconds": seconds, **codes})
        return answer


def _envelope(arrival: Arrival, proven: Proven, judgement: Judgement) -> Envelope:
    return Envelope(
        id=MessageId(arrival.id),
        header=proven.header,
        sender=proven.sender.code,
        document=judgement.document,
        signers=proven.signers,
        received_at=arrival.received_at,
        attachments=arrival.attachments,
    )


def _key(envelope: Envelope, proven: Proven) -> bytes:
    """Make what a repeat has in common with the first: sender and messageId, or all that identifies it where it has none."""
    header, subject = envelope.header, envelope.header.subject
    if header.id:
        parts: tuple[str, ...] = ("id", envelope.sender, header.id)
    else:
        content = content_digest(proven.root).hex()
        parts = (
            "content",
            envelope.sender,
            subject.document_type,
            subject.type,
            subject.function,
            subject.reference,
            subject.year,
            content,
        )
    return hashlib.sha256("\0".join(parts).encode()).digest()
