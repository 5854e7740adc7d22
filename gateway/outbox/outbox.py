"""The outbox over a SQL database: guarded updates, each with its attempt and ledger entry in the same commit."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from time import sleep
from typing import Any

from sqlalchemy import Executable

from gateway.audit import Event
from gateway.errors import Code, Conflict, NotValid, Problem, StaleClaim, Unavailable
from gateway.lifecycle import ENDED, Accepted, Delivered, Outcome, State, Step, perhaps_taken, public_code, rescued
from gateway.model import Arrival, Attachment, DeliveryId, Document, Envelope, MessageId, PartyCode, Receipt, Refusal, Reply, Request
from gateway.ports import Claim, Clock, Database, DossierMove, Entropy, Entry, Handed, Tx
from gateway.store.leaves import write_leaf
from gateway.store.times import MICROSECOND, from_micros, to_micros
from gateway.xml.likeness import alike

from .attachments.links import Rows, digests_of, link_rows, read_links, write_links
from .destinations import admitted, permitted
from .payloads import Payloads, digest_of, masked
from .purging import imprint
from .records import read_header, read_signers, write_problems
from .rows import accepted_event, accepted_row, answer_row, channel_name, dossier, message_row, refused_row, way
from .sql import collect
from .sql import flow as sql
from .sql.retention import IMPRINT

SET_BACK = 1_000_000  # microseconds; a clock that goes back by less is only being corrected
SETTLE_EVERY = timedelta(seconds=0.25)  # between tries to write an end while the database is away: a failover takes a second or more
LEASE = timedelta(seconds=20)  # what a dead process held waits so long; a living one lengthens it (heartbeat.py)


class SqlOutbox:
    """The durable middle of both stories; every method may be called from any thread."""

    def __init__(
        self, database: Database, payloads: Payloads, *, clock: Clock, entropy: Entropy, wake: Callable[..., None] = lambda *_: None,
        pause: Callable[[float], object] = sleep,
    ) -> None:  # fmt: skip
        """`wake` calls whoever delivers, for those parties; `pause` waits so many seconds."""
        self._database = database
        self._payloads = payloads
        self._clock = clock
        self._entropy = entropy
        self._wake = wake
        self._pause = pause
        self._latest = 0  # microseconds: the latest time seen, by the clock that leases go by

    # --- intake ----------------------------------------------------------------------------------------------------

    def answered(self, arrival: Arrival) -> Reply | None:
        """Give the first answer where the very same bytes came from the same channel and were accepted.

        Raises Conflict where they come under a repeat key that stands for another message.
        """
        digest = self._digest(arrival)
        found = self._database.read(lambda tx: _first(tx, sql.ANSWERED, digest=digest))
        if found is None:
            return None
        self._keep_key(arrival, found[0])
        return self._reply(found)

    def record(self, entry: Entry) -> Reply:
        """Make a message durable; gives the answer to send. Raises Conflict where one of its keys stands for other content."""
        row = message_row(entry.arrival) | accepted_row(entry) | answer_row(entry.answer)
        row["request_digest"] = self._digest(entry.arrival)
        payloads = self._lock(entry.arrival, entry.answer, entry.envelope.document.content)
        links = link_rows(entry.arrival.id, entry.arrival.attachments, self._payloads)
        first = self._database.commit(lambda tx: self._insert(tx, entry, row, payloads, links=links))
        if first is None:
            self._wake({route.party.code for route in entry.routes})
            return entry.answer
        if isinstance(first, Conflict):
            raise first
        answer = self._repeat(entry, first)
        self._keep_key(entry.arrival, first[0])
        return answer

    def refuse(self, arrival: Arrival, refusal: Refusal, answer: Reply) -> None:
        """Keep a refused arrival with its cause."""
        row = message_row(arrival) | refused_row(arrival, refusal) | answer_row(answer)
        payloads = self._lock(arrival, answer, None)
        values = {"code": refusal.code, "sha256": str(row["sha256"]), "answer": digest_of(answer.body)}
        event = Event(kind="message.refused", at=refusal.refused_at, message=arrival.id, values=values)

        def work(tx: Tx) -> None:
            tx.write(sql.INSERT_MESSAGE, **row)
            tx.write(sql.INSERT_PAYLOAD, **payloads)
            write_leaf(tx, event)

        self._database.commit(work)

    # --- delivery --------------------------------------------------------------------------------------------------

    def claim(
        self,
        slots: Mapping[PartyCode, int],
        *,
        probes: frozenset[PartyCode] = frozenset(),
        rates: Mapping[PartyCode, int] | None = None,
        lease: timedelta | None = None,
    ) -> list[Claim]:
        """Take due deliveries, at most so many of each party; of a probed party its earliest one, due or not."""
        limits = rates or {}

        def work(tx: Tx) -> list[Claim]:
            now, room = to_micros(tx.now()), permitted(tx, slots, limits)
            self._latest = max(self._latest, now)
            due = [(p, row) for p, limit in room.items() for row in tx.rows(sql.DUE_HELD, party=p, now=now, limit=limit)]
            due += [(p, row) for p in probes for row in tx.rows(sql.PROBE_HELD, party=p, now=now)]
            found = admitted(tx, due, probes=probes, rates=limits)
            return self._take(tx, [row[0] for _, row in found], lease) if found else []

        return self._database.commit(work)  # without a look before: workers ask only after parties that there is news of

    def due_in(self, parties: Iterable[PartyCode]) -> timedelta | None:
        """Say how long until the next delivery to any of these becomes due; None where none does."""

        def read(tx: Tx) -> list[int]:
            now = to_micros(tx.now())
            found = (tx.rows(sql.NEXT_DUE, party=party, now=now)[0][0] for party in parties)
            return [due - now for due in found if due is not None]

        waits = self._database.read(read)
        return min(waits) * MICROSECOND if waits else None

    def load(self, claim: Claim) -> Envelope:
        """Read what a claim is about; raises Unavailable where its content cannot be decrypted."""
        read, attachments = self._database.read(lambda tx: self._read_message(tx, claim.message))
        if read is None or read[-1] is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="outbox.purged", values={"message": claim.message}))
        header, sender, schema, slots, sha256, signers, received_at, _, document = read
        content = self._payloads.unlock(claim.message, "document", document)
        person, system = slots.split(",")
        return Envelope(
            id=claim.message,
            header=read_header(header),
            sender=PartyCode(sender),
            document=Document(type=schema, content=content, sha256=sha256, slots=(person, system)),
            signers=read_signers(signers),
            received_at=from_micros(received_at),
            attachments=attachments,
        )

    def note(self, claim: Claim, request: Request) -> None:
        """Keep evidence of what is about to leave. Raises StaleClaim."""
        now = self._clock()
        row = {
            "delivery": claim.delivery,
            "number": claim.attempt,
            "token": claim.token,
            "noted_at": to_micros(now),
            "request": self._payloads.lock(claim.delivery, claim.token, request.body),
            "request_sha256": self._payloads.cipher.fingerprint(request.body, *(a.sha256.encode() for a in request.attachments)).hex(),
        }
        values = {"attempt": str(claim.attempt), "party": claim.party, "sha256": digest_of(request.body)}
        event = Event(kind="delivery.sending", at=now, message=claim.message, delivery=claim.delivery, values=values)

        def work(tx: Tx) -> None:
            tx.require(sql.INSERT_ATTEMPT, partial(_stale, claim), held=claim.token, **row)
            write_leaf(tx, event)

        self._database.commit(work)

    def settle(self, claim: Claim, step: Step, outcome: Outcome, reply: Reply | None) -> None:
        """Write what became of an attempt. Raises StaleClaim where another worker took over."""
        now = self._clock()
        what = type(outcome).__name__.lower()
        silent = not step.counts and reply is None and step.due_at is not None
        taken = perhaps_taken(outcome, answered=reply is not None)
        row = {
            "delivery": claim.delivery,
            "token": claim.token,
            "settled_at": to_micros(now),
            "outcome": sql.SILENT if silent else what,
            "code": step.reason,
            "reply_status": reply and reply.status,
            "reply": self._payloads.lock(claim.delivery, f"{claim.token}/reply", reply.body) if reply else None,
        }
        values = {"attempt": str(claim.attempt), "outcome": what, "state": step.to.value, "party": claim.party}
        heard = {"code": public_code(outcome)} | ({"reply": digest_of(reply.body)} if reply else {})
        event = Event(kind="delivery.settled", at=now, message=claim.message, delivery=claim.delivery, values=values | heard)

        def work(tx: Tx) -> None:
            ahead = tx.now() - now  # how far the database's clock is ahead of ours, by which `due_at` was reckoned
            repeats = not step.counts and _repeats(tx, claim, step.reason)
            tx.require(
                sql.SETTLE,
                partial(_stale, claim),
                delivery=claim.delivery,
                held=claim.token,
                to=step.to.value,
                still_open=_open(step.to),
                due=step.due_at and to_micros(step.due_at + ahead),
                partner_reference=partner_reference(outcome) or claim.reference,
                why=step.reason,
                refund=0 if step.counts else 1,
                taken=None if taken is None else int(taken),
                now=to_micros(tx.now()),
            )
            tx.write(sql.INSERT_OUTCOME, **row)
            if not (silent and repeats):  # that a partner is still away was told when it went
                write_leaf(tx, event)

        self._persist(claim, work)

    def _persist(self, claim: Claim, work: Callable[[Tx], None]) -> None:
        """Commit an end; where the database is away, again and again within the claim's patience, for only this process knows of it."""
        until, tries = self._clock() + claim.patience, claim.patience // SETTLE_EVERY
        for left in range(tries, -1, -1):
            try:
                self._database.commit(work)
            except Unavailable:
                if not left or self._clock() >= until:
                    raise
                self._pause(SETTLE_EVERY.total_seconds())
            except StaleClaim:
                if left == tries or not self._is_settled(claim):
                    raise
                return  # it was written before, though nobody heard of it
            else:
                return

    def _is_settled(self, claim: Claim) -> bool:
        return bool(self._database.read(lambda tx: tx.rows(collect.SETTLED_UNDER, delivery=claim.delivery, token=claim.token)))

    def lengthen(self, tokens: Collection[str]) -> int:
        """Keep claims for another lease, those of these tokens whose lease runs; says how many it wrote."""

        def work(tx: Tx) -> int:
            until = tx.now() + LEASE
            return tx.changed(sql.LENGTHEN, held=" ".join(tokens), before=to_micros(until - LEASE / 6), lease=to_micros(until))

        return self._database.commit(work)

    def rescue(self, *, held_until: datetime | None = None, spared: frozenset[PartyCode] = frozenset()) -> int:
        """Return what dead workers held, those whose lease ends by a time or has ended, save deliveries to some parties; says how many."""

        def work(tx: Tx) -> tuple[int, int]:
            now = to_micros(tx.now())
            if now < self._latest - SET_BACK:  # what the clock made wait before would wait for as long again
                tx.changed(sql.CATCH_UP, now=now)
            lost = tx.rows(sql.LOST, now=to_micros(held_until) if held_until else now)
            return now, sum(self._give_back(tx, row) for *row, party in lost if party not in spared)

        self._latest, count = self._database.commit(work)
        return count

    def handed(self, delivery: DeliveryId, token: str) -> Handed | None:
        """Find what a fetcher was handed under a token; None where there is no such delivery."""

        def work(tx: Tx) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]:
            return _first(tx, collect.HANDED, id=delivery), _first(tx, collect.SETTLED_UNDER, delivery=delivery, token=token)

        row, settled = self._database.read(work)
        return None if row is None else _handed(delivery, token, row, settled)

    def hurry(self, party: PartyCode) -> int:
        """Make what waits to be retried due at once and in its first order, for a partner that answers again; says how many."""
        return self._database.commit(lambda tx: tx.changed(sql.HURRY, of=party, now=to_micros(tx.now())))

    # --- inside a transaction --------------------------------------------------------------------------------------

    def _read_message(self, tx: Tx, message: MessageId) -> tuple[tuple[Any, ...] | None, tuple[Attachment, ...]]:
        """Read a message, and what it has beside it; most have nothing, and need no second look."""
        found = _first(tx, sql.MESSAGE, id=message)
        return found, read_links(tx, message, self._payloads) if found and found[-2] else ()

    def _insert(
        self, tx: Tx, entry: Entry, row: dict[str, object], payloads: Mapping[str, object], *, links: Rows
    ) -> tuple[Any, ...] | Conflict | None:
        """Write a message and what follows from it; gives the first message of its key where this is a repeat.

        Gives the Conflict where its repeat key stands for another: raised here, it would undo all that shares the commit.
        """
        if entry.arrival.repeat_key:
            if first := _first(tx, sql.SAME_KEY, key=entry.key):
                return first
            try:
                _check_key(tx, entry.arrival, stands_for=None)
            except Conflict as taken:
                return taken
        while tx.changed(sql.INSERT_FIRST, **row) == 0:
            if first := _first(tx, sql.SAME_KEY, key=entry.key):
                return first  # otherwise it was forgotten since
        tx.write(sql.INSERT_PAYLOAD, **payloads)
        if doubts := _move_dossier(tx, entry):
            tx.write(sql.SET_WARNINGS, message=entry.arrival.id, warnings=write_problems((*entry.warnings, *doubts)))
        write_links(tx, links)
        write_leaf(tx, accepted_event(entry), *_insert_deliveries(tx, entry))
        _insert_keys(tx, entry)
        return None

    def _take(self, tx: Tx, positions: Sequence[int], lease: timedelta | None) -> list[Claim]:
        """Claim deliveries, in this order."""
        now = tx.now()
        until = now + (lease or LEASE)
        patience = LEASE if lease is None else timedelta()  # then others may take it; a fetcher is told to come again
        counts = 1 if lease is None else 0  # a fetcher that does not come back died of nothing
        places = {f"at{n}": position for n, position in enumerate(positions)}
        values = {"new_token": self._entropy(12).hex(), "lease": to_micros(until), "now": to_micros(now), "counts": counts}
        taken = {position: row for position, *row in tx.rows(sql.claim(len(positions)), **places, **values)}
        return [_claim(taken[position], until=until, patience=patience) for position in positions if position in taken]

    def _give_back(self, tx: Tx, row: Sequence[Any]) -> int:
        now = tx.now()
        position, delivery, message, claimed_from, token, attempt, deaths, cause = row
        step = rescued(State(claimed_from), deaths=deaths, now=now, key=delivery)
        moved = tx.changed(
            sql.RESCUE,
            at=position,
            held=token,
            to=step.to.value,
            still_open=_open(step.to),
            due=step.due_at and to_micros(step.due_at),
            why=step.reason or cause,
            now=to_micros(now),
        )
        values = {"attempt": str(attempt), "state": step.to.value, **({"code": step.reason} if step.reason else {})}
        write_leaf(tx, Event(kind="delivery.rescued", at=now, message=message, delivery=delivery, values=values))
        return moved

    # --- around it -------------------------------------------------------------------------------------------------

    def _keep_key(self, arrival: Arrival, message: MessageId) -> None:
        """Let the key of a repeat stand for the first message, where that has none yet; raises Conflict where it stands for another."""

        def work(tx: Tx) -> None:
            if not _check_key(tx, arrival, stands_for=message):
                tx.write(sql.KEEP_KEY, message=message, by=channel_name(arrival), under=arrival.repeat_key)

        if arrival.repeat_key and not self._database.read(lambda tx: _check_key(tx, arrival, stands_for=message)):
            self._database.commit(work)

    def _repeat(self, entry: Entry, first: tuple[Any, ...]) -> Reply:
        """Answer a repeat: the first answer where it tells the same, wrapped as it was asked for; otherwise a refusal."""
        if not self._tells_the_same(first[0], entry):
            raise Conflict(
                Code.CONFLICT, Problem(text="outbox.conflict", path="/Envelope/Header/Reference/messageId", values={"message": first[0]})
            )
        if entry.again is None or first[3] == way(entry):
            return self._reply(first)
        return entry.again(self._first_receipt(entry, first))

    def _tells_the_same(self, message: MessageId, entry: Entry) -> bool:
        """Compare a repeat with the first message, or with the imprint that is left of one that was purged."""
        stored, left, beside = self._database.read(
            lambda tx: (_first(tx, sql.DOCUMENT, message=message), _first(tx, IMPRINT, message=message), digests_of(tx, message))
        )
        content, attached = masked(entry.envelope.document.content), [each.id for each in entry.arrival.attachments]
        if stored is None or stored[0] is None:
            return left is not None and left[0] == imprint(content, attached)
        return beside == attached and alike(self._payloads.unlock(message, "document", stored[0]), content)

    def _first_receipt(self, entry: Entry, first: tuple[Any, ...]) -> Receipt:
        """Promise again what was promised first, to a sender that asks in another protocol or version."""
        message, _, _, _, received_at, sha256 = first
        deliveries = self._database.read(lambda tx: tx.rows(sql.DELIVERIES_OF, message=message))
        ids = tuple(DeliveryId(delivery) for (delivery,) in deliveries)
        return replace(entry.receipt, message=message, sha256=sha256, accepted_at=from_micros(received_at), deliveries=ids)

    def _reply(self, found: tuple[Any, ...]) -> Reply:
        message, status, headers, *_ = found
        ((sealed,),) = self._database.read(lambda tx: tx.rows(sql.ANSWER, message=message))
        return Reply(status=status, body=self._payloads.unlock(message, "answer", sealed), headers=json.loads(headers))

    def _digest(self, arrival: Arrival) -> bytes:
        place = f"{channel_name(arrival)}\n{arrival.path}\n{arrival.media_type.partition(';')[0].strip().lower()}"
        beside = (f"{a.name}\n{a.media_type}\n{a.sha256}".encode() for a in arrival.attachments)
        return self._payloads.cipher.fingerprint(place.encode(), arrival.body, *beside)

    def _lock(self, arrival: Arrival, answer: Reply, document: bytes | None) -> dict[str, object]:
        lock = self._payloads.lock
        return {
            "message": arrival.id,
            "answer": lock(arrival.id, "answer", answer.body),
            "document": None if document is None else lock(arrival.id, "document", document),
            "body": lock(arrival.id, "body", arrival.body),
        }


def _first(tx: Tx, statement: Executable, **values: object) -> tuple[Any, ...] | None:
    rows = tx.rows(statement, **values)
    return rows[0] if rows else None


def _check_key(tx: Tx, arrival: Arrival, *, stands_for: MessageId | None) -> bool:
    """Say whether an arrival's repeat key stands for a message already; raises Conflict where it stands for another than this one."""
    found = _first(tx, sql.REPEATED, channel=channel_name(arrival), repeat_key=arrival.repeat_key) if arrival.repeat_key else None
    if found and found[0] != stands_for:
        raise Conflict(Code.CONFLICT, Problem(text="outbox.repeat-key"))
    return found is not None


def _claim(row: Sequence[Any], *, until: datetime, patience: timedelta) -> Claim:
    delivery, token, state, attempt, party, route, reference, message, corrections = row
    return Claim(
        delivery=delivery, token=token, until=until, state=State(state), attempt=attempt, party=party, route=route,
        reference=reference, message=message, corrections=json.loads(corrections or "{}"), patience=patience,
    )  # fmt: skip


def _handed(delivery: DeliveryId, token: str, row: tuple[Any, ...], settled: tuple[Any, ...] | None) -> Handed:
    party, state, held, until, claimed_from, attempt, route, reference, message = row
    if state != State.SENDING or held != token:
        return Handed(party=party, outcome=settled[0] if settled else "")
    claim = Claim(
        delivery=delivery, token=token, until=from_micros(until), state=State(claimed_from), attempt=attempt, party=party, route=route,
        reference=reference, message=message,
    )  # fmt: skip
    return Handed(party=party, claim=claim)


def _insert_deliveries(tx: Tx, entry: Entry) -> list[Event]:
    """Write a message's deliveries; gives what is to be told of each."""
    now, told = to_micros(tx.now()), []
    for delivery, route in zip(entry.receipt.deliveries, entry.routes, strict=True):
        tx.write(
            sql.INSERT_DELIVERY,
            id=delivery,
            message=entry.arrival.id,
            party=route.party.code,
            route=route.name,
            state=State.QUEUED.value,
            open=1,
            due_at=now,
            attempt=0,
            reference="",
            cause="",
            dossier=dossier(entry) if route.order == "dossier" else None,
            created_at=now,
            updated_at=now,
        )
        values = {"party": route.party.code, "route": route.name}
        at = entry.receipt.accepted_at
        told.append(Event(kind="delivery.routed", at=at, message=entry.arrival.id, delivery=delivery, values=values))
    return told


def _insert_keys(tx: Tx, entry: Entry) -> None:
    for begin in range(0, len(entry.keys), sql.KEYS_AT_ONCE):
        few = entry.keys[begin : begin + sql.KEYS_AT_ONCE]
        columns = ({f"name{n}": name, f"value{n}": value, f"message{n}": entry.arrival.id} for n, (name, value) in enumerate(few))
        tx.write(sql.insert_keys(len(few)), **{column: value for row in columns for column, value in row.items()})


def _move_dossier(tx: Tx, entry: Entry) -> tuple[Problem, ...]:
    """Move a message's dossier; what was not expected is let through and warned of."""
    move = entry.dossier or DossierMove(allowed=frozenset(), to=None, opens=True)
    key, now = dossier(entry), to_micros(entry.receipt.accepted_at)
    ((state, opener),) = tx.rows(sql.TAKE_DOSSIER, id=key, state=move.to, message=entry.arrival.id, updated_at=now)
    if opener == entry.arrival.id:
        return () if move.opens else (Problem(text="outbox.unknown-dossier", values={"dossier": key}),)
    if move.to is not None:
        tx.write(sql.MOVE_DOSSIER, key=key, state=move.to, message=entry.arrival.id, updated_at=now)
    expected = not move.allowed or state is None or state in move.allowed
    return () if expected else (Problem(text="outbox.unexpected-move", values={"dossier": key, "state": str(state)}),)


def _open(state: State) -> int | None:
    return None if state in ENDED else 1


def partner_reference(outcome: Outcome) -> str:
    """Give the partner's own number for what it took; empty where it gave none."""
    return outcome.reference if isinstance(outcome, Delivered | Accepted) else ""


def _repeats(tx: Tx, claim: Claim, cause: str) -> bool:
    """Forget the silent attempt before one that costs nothing either; says whether both have one cause, and nothing came between."""
    before = _first(tx, sql.CAUSE, id=claim.delivery)
    forgotten = tx.rows(sql.FORGET_OUTCOME, of=claim.delivery, attempt=claim.attempt)
    for token, _ in forgotten:
        tx.write(sql.FORGET_ATTEMPT, of=claim.delivery, forgotten=token)
    return before == (cause,) and any(code == cause for _, code in forgotten)


def _stale(claim: Claim) -> StaleClaim:
    return StaleClaim(Code.CONFLICT, Problem(text="outbox.stale", values={"delivery": claim.delivery}))
