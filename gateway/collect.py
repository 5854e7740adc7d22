"""How a delivery is fetched: a party that collects takes it from its mailbox under a lease, and says what became of it.

1  rescue       a lease that ended                 back to the mailbox
2  claim        due delivery -> Claim              token, lease; set aside instead after its last handing-out
3  encode       Envelope -> Request                the adapter; pure
4  seal         Request -> Request                 signs
5  note         evidence of what is about to be handed out
6  hand out     Claim, Request -> Parcel

   confirm      token -> Delivered                 guarded UPDATE and ledger entry in one commit; a second confirmation is answered alike
   refuse       token -> Rejected                  likewise
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from .delivery import code_of, told
from .errors import Code, Conflict, GatewayError, NotValid, Problem, StaleClaim
from .lifecycle import Accepted, Delivered, Failed, Outcome, Rejected, State, next_step
from .model import Attachment, DeliveryId, PartyCode, Request
from .ports import Adapter, Claim, Clock, Handed, Outbox, Sealer, Watch
from .routing.router import retry_of, route_named
from .routing.rules import RuleSet

MAX_ROUNDS = 200  # deliveries looked at for one hand-out; some may be set aside instead
MAX_BYTES = 16_000_000  # of one hand-out: the largest message, or a few hundred usual ones
SETTLED: Mapping[str, State] = {"delivered": State.DELIVERED, "rejected": State.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One delivery in the hands of its party: `body` as the party's adapter writes it, `claim` with token and end of the lease."""

    claim: Claim
    media_type: str
    body: bytes
    sha256: str
    attachments: tuple[Attachment, ...] = ()  # fetched from the message, one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect:
    """Serves mailboxes; every method may be called from any number of threads."""

    outbox: Outbox
    adapters: Mapping[str, Adapter]
    rules: Callable[[], RuleSet]
    sealer: Sealer
    clock: Clock
    watch: Watch

    def collect(self, party: PartyCode, *, limit: int, lease: timedelta) -> list[Parcel]:
        """Hand out what waits for a party, the longest due first; nothing is handed out twice while its lease runs."""
        self.outbox.rescue(spared=self._others(party))  # 1
        parcels: list[Parcel] = []
        for _ in range(MAX_ROUNDS):
            full = len(parcels) >= limit or sum(len(p.body) for p in parcels) >= MAX_BYTES
            claims = [] if full else self.outbox.claim({party: 1}, lease=lease)  # 2
            if not claims:
                break
            parcels += self._hand_out(claims[0])
        return parcels

    def confirm(self, party: PartyCode, delivery: DeliveryId, token: str, *, reference: str = "") -> State:
        """End a delivery on the party's word that it has it; raises NotValid (not its own) or Conflict (no longer handed out)."""
        return self._end(party, delivery, token, Delivered(reference=reference))

    def refuse(self, party: PartyCode, delivery: DeliveryId, token: str, *, reason: str) -> State:
        """End a delivery that the party will not have; raises NotValid (not its own) or Conflict (no longer handed out)."""
        return self._end(party, delivery, token, Rejected(reason=reason))

    def _others(self, party: PartyCode) -> frozenset[PartyCode]:
        """Name all other parties: whose worker is lost, only those judge who kept their own leases for a while (heartbeat.py)."""
        return frozenset(other.code for other in self.rules().parties) - {party}

    def _hand_out(self, claim: Claim) -> list[Parcel]:
        """Write what a claim is about; what cannot be handed out is settled instead."""
        written = self._kept_back(claim) or self._written(claim)
        if isinstance(written, Request):
            self.watch("delivery.handed-out", {"message": claim.message, "delivery": claim.delivery, "party": claim.party})
            return [_parcel(claim, written)]  # 6
        with suppress(StaleClaim):  # the lease was shorter than the writing took
            self._settle(claim, written, counts=claim.attempt <= retry_of(self.rules(), claim.party).attempts)
        return []

    def _written(self, claim: Claim) -> Request | Outcome:
        """Write and note a request; the only place where a defect is caught, so that one message never stops the others."""
        try:
            route = route_named(self.rules(), claim.party, claim.route)
            adapter = self.adapters[route.party.adapter]
            envelope = self.outbox.load(claim)
            request = replace(self.sealer.seal(adapter.encode(envelope, route)), attachments=envelope.attachments)  # 3, 4
            self.outbox.note(claim, request)  # 5
        except GatewayError as error:
            return Failed(code=code_of(error), final=isinstance(error, NotValid))
        except Exception as error:  # noqa: BLE001  # a defect: set aside after its attempts, with its name, and seen in the metrics
            self.watch("delivery.defect", {"delivery": claim.delivery, "defect": type(error).__name__})
            return Failed(code="defect", detail=type(error).__name__)
        return request

    def _kept_back(self, claim: Claim) -> Outcome | None:
        """Say why a delivery is handed out no more: often enough without an answer, or taken already when it was still sent."""
        if claim.state is State.AWAITING_REPLY:
            return Accepted(reference=claim.reference)  # nobody can be asked; a person settles it with the party
        return Failed(code="not-confirmed", final=True) if claim.attempt > retry_of(self.rules(), claim.party).attempts else None

    def _end(self, party: PartyCode, delivery: DeliveryId, token: str, outcome: Delivered | Rejected) -> State:
        """Settle what is held under the token, or find that it was settled so before."""
        handed = self._handed(party, delivery, token)
        if handed.claim is not None:
            try:
                self._settle(handed.claim, outcome)
            except StaleClaim:
                handed = self._handed(party, delivery, token)  # somebody settled it under the same token, or its lease ended
            else:
                return SETTLED[type(outcome).__name__.lower()]
        if handed.outcome != type(outcome).__name__.lower():
            text = "outbox.settled-otherwise" if handed.outcome in SETTLED else "outbox.lease-ended"
            raise Conflict(Code.CONFLICT, Problem(text=text, values={"delivery": delivery}))
        return SETTLED[handed.outcome]

    def _handed(self, party: PartyCode, delivery: DeliveryId, token: str) -> Handed:
        handed = self.outbox.handed(delivery, token)
        if handed is None or handed.party != party:
            raise NotValid(Code.NOT_FOUND, Problem(text="outbox.no-delivery", values={"delivery": delivery}))
        return handed

    def _settle(self, claim: Claim, outcome: Outcome, *, counts: bool = True) -> None:
        policy = retry_of(self.rules(), claim.party)
        step = next_step(claim.state, outcome, attempt=claim.attempt, policy=policy, now=self.clock(), key=claim.delivery)
        self.outbox.settle(claim, step if counts else replace(step, counts=False), outcome, None)
        self.watch("delivery.settled", told(claim, outcome, step.to, 0.0))


def _parcel(claim: Claim, request: Request) -> Parcel:
    media_type = request.headers.get("content-type", "application/octet-stream")
    return Parcel(
        claim=claim, media_type=media_type, body=request.body, sha256=hashlib.sha256(request.body).hexdigest(),
        attachments=request.attachments,
    )  # fmt: skip
