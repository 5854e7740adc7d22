"""The outbox in memory: the same promises within one process, for tests, simulation and benchmarks."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.audit import Event
from gateway.errors import Code, Conflict, NotValid, Problem, StaleClaim
from gateway.lifecycle import DUE, ENDED, Outcome, State, Step, rescued, revived
from gateway.model import Arrival, DeliveryId, Envelope, MessageId, PartyCode, Refusal, Reply, Request
from gateway.ports import Claim, Clock, Entropy, Entry, Handed
from gateway.xml.likeness import alike

from . import rate
from .acts import KINDS
from .orders import POSSIBLE, Act
from .outbox import LEASE, partner_reference
from .rows import accepted_event, channel_name, dossier


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One delivery; changed by replacing it."""

    id: DeliveryId
    message: MessageId
    party: PartyCode
    route: str
    state: State
    due_at: datetime | None
    dossier: str | None
    attempt: int = 0
    unsettled: int = 0
    claimed_from: State | None = None
    token: str = ""
    lease_until: datetime | None = None
    reference: str = ""
    cause: str = ""
    created_at: datetime | None = None


@dataclass(slots=True)
class Shelf:
    """What the outbox holds; guarded by its lock."""

    requests: dict[tuple[object, ...], Entry] = field(default_factory=dict)
    keys: dict[bytes, MessageId] = field(default_factory=dict)
    repeat_keys: dict[tuple[str, str], MessageId] = field(default_factory=dict)
    entries: dict[MessageId, Entry] = field(default_factory=dict)
    refused: dict[MessageId, Refusal] = field(default_factory=dict)
    rows: dict[DeliveryId, Row] = field(default_factory=dict)  # in commit order
    notes: dict[tuple[DeliveryId, str], Request] = field(default_factory=dict)
    outcomes: dict[tuple[DeliveryId, str], str] = field(default_factory=dict)
    full_at: dict[PartyCode, datetime] = field(default_factory=dict)  # when a party's rate allows the whole burst again
    ledger: list[Event] = field(default_factory=list)


class MemoryOutbox:
    """Keeps everything in dictionaries under one lock."""

    def __init__(self, *, clock: Clock, entropy: Entropy, wake: Callable[..., None] = lambda *_: None) -> None:
        self._clock = clock
        self._entropy = entropy
        self._wake = wake
        self._lock = threading.RLock()
        self._latest: datetime | None = None
        self.shelf = Shelf()

    def answered(self, arrival: Arrival) -> Reply | None:
        """Give the first answer where the very same bytes came from the same channel and were accepted.

        Raises Conflict where they come under a repeat key that stands for another message.
        """
        with self._lock:
            first = self.shelf.requests.get(_request(arrival))
            if first is None:
                return None
            self._keep_key(arrival, first.arrival)
            return first.answer

    def record(self, entry: Entry) -> Reply:
        """Keep a message; gives the answer to send. Raises Conflict where one of its keys stands for other content."""
        with self._lock:
            known = self.shelf.keys.get(entry.key)
            if known is not None:
                first = self.shelf.entries[known]
                answer = self._repeat(entry, first)
                self._keep_key(entry.arrival, first.arrival)
                return answer
            self._keep_key(entry.arrival, entry.arrival)
            self._keep(entry)
        self._wake({route.party.code for route in entry.routes})
        return entry.answer

    def refuse(self, arrival: Arrival, refusal: Refusal, answer: Reply) -> None:  # noqa: ARG002  # the port's; nobody asks for it here
        """Keep a refused arrival with its cause."""
        with self._lock:
            self.shelf.refused[arrival.id] = refusal
            self._tell("message.refused", message=arrival.id)

    def claim(
        self,
        slots: Mapping[PartyCode, int],
        *,
        probes: frozenset[PartyCode] = frozenset(),
        rates: Mapping[PartyCode, int] | None = None,
        lease: timedelta | None = None,
    ) -> list[Claim]:
        """Take due deliveries, at most so many of each party; of a probed party its earliest one, due or not."""
        now, limits = self._clock(), rates or {}
        with self._lock:
            self._latest = max(self._latest or now, now)
            due = [row for party, limit in slots.items() for row in self._due(party, now)[:limit]]
            due += [row for party in probes for row in self._due(party, now, probe=True)[:1]]
            return [self._take(row, now, lease) for row in due if self._permitted(row.party, limits.get(row.party), now)]

    def due_in(self, parties: Iterable[PartyCode]) -> timedelta | None:
        """Say how long until the next delivery to any of these becomes due; None where none does."""
        now, asked = self._clock(), set(parties)
        with self._lock:
            dues = [r.due_at - now for r in self.shelf.rows.values() if r.party in asked and r.due_at and r.due_at > now]
        return min(dues, default=None)

    def load(self, claim: Claim) -> Envelope:
        """Read what a claim is about."""
        return self.shelf.entries[claim.message].envelope

    def note(self, claim: Claim, request: Request) -> None:
        """Keep evidence of what is about to leave. Raises StaleClaim."""
        with self._lock:
            self._held(claim)
            self.shelf.notes[claim.delivery, claim.token] = request

    def settle(self, claim: Claim, step: Step, outcome: Outcome, reply: Reply | None) -> None:  # noqa: ARG002  # the port's; nobody asks for it here
        """Write what became of an attempt. Raises StaleClaim where another worker took over."""
        with self._lock:
            row = self._held(claim)
            self._put(
                row,
                step.to,
                due_at=step.due_at,
                cause=step.reason,
                attempt=row.attempt - (0 if step.counts else 1),
                reference=partner_reference(outcome) or row.reference,
            )
            self.shelf.outcomes[row.id, claim.token] = type(outcome).__name__.lower()
            self._tell("delivery.settled", message=row.message, delivery=row.id)

    def handed(self, delivery: DeliveryId, token: str) -> Handed | None:
        """Find what a fetcher was handed under a token; None where there is no such delivery."""
        with self._lock:
            row = self.shelf.rows.get(delivery)
            if row is None:
                return None
            if row.state is State.SENDING and row.token == token:
                return Handed(party=row.party, claim=_claim(row))
            return Handed(party=row.party, outcome=self.shelf.outcomes.get((delivery, token), ""))

    def lengthen(self, tokens: Collection[str]) -> int:
        """Keep claims for another lease, those of these tokens whose lease runs; says how many it wrote."""
        until = self._clock() + LEASE
        with self._lock:
            held = [r for r in self.shelf.rows.values() if r.lease_until is not None and r.token in tokens]
            held = [r for r in held if r.lease_until is not None and r.lease_until < until - LEASE / 6]
            self.shelf.rows.update({r.id: replace(r, lease_until=until) for r in held})
            return len(held)

    def rescue(self, *, held_until: datetime | None = None, spared: frozenset[PartyCode] = frozenset()) -> int:
        """Return what dead workers held, those whose lease ends by a time or has ended, save deliveries to some parties; says how many."""
        with self._lock:
            self._catch_up()
            held = [r for r in self.shelf.rows.values() if r.lease_until is not None and r.party not in spared]
            lost = [r for r in held if r.lease_until is not None and r.lease_until <= (held_until or self._clock())]
            for row in lost:
                step = rescued(row.claimed_from or State.QUEUED, deaths=row.unsettled, now=self._clock(), key=row.id)
                self._put(row, step.to, due_at=step.due_at, cause=step.reason or row.cause, unsettled=row.unsettled)
                self._tell("delivery.rescued", message=row.message, delivery=row.id)
            return len(lost)

    def _catch_up(self) -> None:
        """Make due what waits by a clock that was ahead and was set back."""
        before, now = self._latest, self._clock()
        self._latest = now
        if before is not None and now < before:
            waiting = [r for r in self.shelf.rows.values() if r.due_at is not None and r.due_at > now]
            self.shelf.rows |= {r.id: replace(r, due_at=now) for r in waiting}

    def hurry(self, party: PartyCode) -> int:
        """Make what waits to be retried due at once and in its first order; says how many."""
        with self._lock:
            waiting = [r for r in self.shelf.rows.values() if r.party == party and r.state is State.RETRYING]
            for row in waiting:
                self.shelf.rows[row.id] = replace(row, due_at=row.created_at or self._clock())
            return len(waiting)

    def replay(self, delivery: DeliveryId, *, by: str) -> None:  # noqa: ARG002  # the ledger of a database names the person
        """Give a delivery a new life, as Acts does over a database. Raises NotValid (not found) or Conflict."""
        self._act(delivery, Act.REPLAY, lambda row: revived(row.state, reference=row.reference, cause=row.cause))

    def cancel(self, delivery: DeliveryId, *, by: str, reason: str) -> None:  # noqa: ARG002  # the same
        """End a delivery that was not made yet, as Acts does over a database. Raises NotValid (not found) or Conflict."""
        self._act(delivery, Act.CANCEL, lambda _: State.CANCELLED, reason=reason)

    def _keep(self, entry: Entry) -> None:
        shelf, now = self.shelf, self._clock()
        shelf.requests[_request(entry.arrival)] = entry
        shelf.keys[entry.key] = entry.arrival.id
        shelf.entries[entry.arrival.id] = entry
        shelf.ledger.append(accepted_event(entry))
        for delivery, route in zip(entry.receipt.deliveries, entry.routes, strict=True):
            shelf.rows[delivery] = Row(
                id=delivery, message=entry.arrival.id, party=route.party.code, route=route.name, state=State.QUEUED, due_at=now,
                dossier=dossier(entry) if route.order == "dossier" else None, created_at=now,
            )  # fmt: skip

    def _keep_key(self, arrival: Arrival, first: Arrival) -> None:
        """Let a repeat key stand for a message that has none yet; raises Conflict where it stands for another."""
        if not arrival.repeat_key:
            return
        kept, again = self.shelf.repeat_keys, (channel_name(arrival), arrival.repeat_key)
        if kept.get(again, first.id) != first.id:
            raise Conflict(Code.CONFLICT, Problem(text="outbox.repeat-key"))
        if channel_name(first) == again[0] and first.id not in kept.values():
            kept[again] = first.id

    def _repeat(self, entry: Entry, first: Entry) -> Reply:
        same = [a.id for a in first.arrival.attachments] == [a.id for a in entry.arrival.attachments]
        if not same or not alike(first.envelope.document.content, entry.envelope.document.content):
            raise Conflict(Code.CONFLICT, Problem(text="outbox.conflict", values={"message": first.arrival.id}))
        return first.answer if entry.again is None or first.wrapper == entry.wrapper else entry.again(first.receipt)

    def _due(self, party: PartyCode, now: datetime, *, probe: bool = False) -> list[Row]:
        waiting = [r for r in self.shelf.rows.values() if r.party == party and r.state in DUE and not self._behind(r)]
        due = [r for r in waiting if r.due_at is not None and (r.due_at <= now or (probe and r.state is not State.AWAITING_REPLY))]
        return sorted(due, key=lambda r: r.due_at or now)

    def _permitted(self, party: PartyCode, per_minute: int | None, now: datetime) -> bool:
        if per_minute is None:
            return True
        full_at = max(self.shelf.full_at.get(party, now), now)
        if rate.allowed(full_at, per_minute=per_minute, now=now) < 1:
            return False
        self.shelf.full_at[party] = full_at + rate.every(per_minute)
        return True

    def _behind(self, row: Row) -> bool:
        """Say whether an earlier delivery of the same dossier to the same party has not ended."""
        if row.dossier is None:
            return False
        same = [r for r in self.shelf.rows.values() if r.party == row.party and r.dossier == row.dossier and r.state not in ENDED]
        return same[0].id != row.id

    def _take(self, row: Row, now: datetime, lease: timedelta | None) -> Claim:
        taken = replace(
            row, state=State.SENDING, claimed_from=row.state, token=self._entropy(12).hex(), lease_until=now + (lease or LEASE),
            due_at=None, attempt=row.attempt + 1, unsettled=row.unsettled + (lease is None),
        )  # fmt: skip
        self.shelf.rows[row.id] = taken
        return _claim(taken)

    def _held(self, claim: Claim) -> Row:
        row = self.shelf.rows[claim.delivery]
        if row.token != claim.token or row.state is not State.SENDING:
            raise StaleClaim(Code.CONFLICT, Problem(text="outbox.stale", values={"delivery": claim.delivery}))
        return row

    def _act(self, delivery: DeliveryId, act: Act, choose: Callable[[Row], State], *, reason: str = "") -> None:
        with self._lock:
            row = self.shelf.rows.get(delivery)
            if row is None:
                raise NotValid(Code.NOT_FOUND, Problem(text="outbox.no-delivery", values={"delivery": delivery}))
            if row.state not in POSSIBLE[act]:
                raise Conflict(Code.CONFLICT, Problem(text="mending.wrong-state", values={"delivery": delivery, "state": row.state}))
            to = choose(row)
            called = "" if to is State.QUEUED else None  # what is sent again gets a new number from the partner
            self._put(row, to, due_at=None if to in ENDED else self._clock(), attempt=0, cause=reason, reference=called)
            self._tell(KINDS[act], message=row.message, delivery=delivery)
        self._wake()

    def _put(
        self, row: Row, to: State, *, due_at: datetime | None, cause: str = "", attempt: int | None = None, reference: str | None = None,
        unsettled: int = 0,
    ) -> None:  # fmt: skip
        self.shelf.rows[row.id] = replace(
            row,
            state=to,
            due_at=due_at,
            cause=cause,
            token="",
            lease_until=None,
            claimed_from=None,
            unsettled=unsettled,
            attempt=row.attempt if attempt is None else attempt,
            reference=row.reference if reference is None else reference,
        )

    def _tell(self, kind: str, *, message: str, delivery: str = "") -> None:
        self.shelf.ledger.append(Event(kind=kind, at=self._clock(), message=message, delivery=delivery))


def _claim(row: Row) -> Claim:
    """Give the claim that a row is held by."""
    assert row.lease_until is not None  # noqa: S101  # as every row that is held has
    return Claim(
        delivery=row.id, token=row.token, until=row.lease_until, state=row.claimed_from or State.QUEUED, attempt=row.attempt,
        party=row.party, route=row.route, reference=row.reference, message=row.message,
    )  # fmt: skip


def _request(arrival: Arrival) -> tuple[object, ...]:
    beside = tuple((a.name, a.media_type, a.sha256) for a in arrival.attachments)
    return (channel_name(arrival), arrival.path, arrival.media_type.partition(";")[0], arrival.body, beside)
