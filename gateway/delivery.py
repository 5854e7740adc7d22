"""How a delivery goes out: from a due row to a settled one. Whatever happens on the way ends as an Outcome.

6  claim        due delivery -> Claim              token, lease
7  encode       Envelope -> Request                the adapter; pure
8  seal         Request -> Request                 signs
9  note         evidence of what is about to leave
10 send         Request -> Reply                   libcurl
11 prove reply  a signed reply is verified, and is about what was sent; an unsigned one is proved by the channel
12 decode       Reply -> Outcome                   the adapter; pure
13 next_step    State x Outcome -> Step            pure
14 settle       guarded UPDATE, attempt and ledger entry in one commit
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter

from .errors import Code, GatewayError, NotValid, Problem, StaleClaim
from .lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected, State, next_step
from .model import Envelope, PartyCode, Reply, Request, RetryPolicy, Route
from .outbox.circuit import Carried
from .outbox.corrections import corrected
from .ports import Adapter, Claim, Clock, Outbox, Pollable, Sealer, SignsReplies, Transport, Watch
from .routing.router import route_named
from .routing.rules import RuleSet
from .security import beside
from .security.prover import Prover
from .security.replies import check_about, unsigned
from .xml.receipts import envelope_in

SIGNATURE_MARK = b"SignatureValue"  # what every XML signature holds, escaped or not
SECURITY_MARK = b"wss-wssecurity-secext"  # what every message with a WS-Security header holds
NO_ADDRESS_PAUSE = timedelta(seconds=10)  # until somebody writes the party's address; nobody's failure
DATABASE_PAUSE = timedelta(seconds=1)  # the database was away before anything left; nobody's failure either
VERDICTS = (Delivered, Accepted, Rejected)  # what only the partner can say; that it did not work needs no signature, and is tried again
PROBE_PAUSE = timedelta(seconds=1)  # a failed probe costs no attempt and soon waits again in the queue

UNCOUNTED: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Carries claimed deliveries out; `carry` may be called from any number of threads."""

    outbox: Outbox
    adapters: Mapping[str, Adapter]
    rules: Callable[[], RuleSet]
    sealer: Sealer
    transport: Transport
    prover: Prover
    clock: Clock
    watch: Watch

    def carry(
        self, claim: Claim, *, probe: bool = False, within: timedelta | None = None, asking: AbstractContextManager[None] = UNCOUNTED
    ) -> Carried:
        """Carry one claim out, to its settling; the request has what its route allows, or `within`, and is sent inside of `asking`.

        Raises StaleClaim, or Unavailable where the end could not be written.
        """
        started = perf_counter()
        outcome, reply, took = self._attempt(claim, within, asking)  # 7 to 12
        carried = Carried(outcome=outcome, heard=reply is not None, took=took)
        counted: Outcome = Deferred(for_=PROBE_PAUSE) if probe and carried.away else outcome
        policy = self._policy(claim.party)
        step = next_step(claim.state, counted, attempt=claim.attempt, policy=policy, now=self.clock(), key=claim.delivery)  # 13
        self.outbox.settle(claim, step, outcome, reply)  # 14
        self.watch("delivery.settled", told(claim, outcome, step.to, perf_counter() - started))
        return carried

    def _attempt(
        self, claim: Claim, within: timedelta | None, asking: AbstractContextManager[None]
    ) -> tuple[Outcome, Reply | None, timedelta]:
        """Make one attempt; the only place where a defect is caught, so that one message never stops the others."""
        reply, took = None, timedelta()
        try:
            route = corrected(route_named(self.rules(), claim.party, claim.route), claim.corrections)
            if not route.endpoint:
                return Deferred(for_=NO_ADDRESS_PAUSE), reply, took
            adapter = self.adapters[route.party.adapter]
            written = self._request(claim, adapter, route)  # 7
            request = replace(self.sealer.seal(written), reply_bytes=route.party.limits.reply_bytes)  # 8
            self.outbox.note(claim, request)  # 9
            asked_at = self.clock()
            with asking:
                reply = self.transport.send(request, timeout=min(route.timeout, within or route.timeout))  # 10
            took = self.clock() - asked_at
            return self._heard(reply, claim, adapter, route, written), reply, took
        except StaleClaim:
            raise
        except GatewayError as error:
            return failed(error, answered=reply is not None), reply, took
        except Exception as error:  # noqa: BLE001  # a defect: set aside after its attempts, with its name, and seen in the metrics
            self.watch("delivery.defect", {"delivery": claim.delivery, "defect": type(error).__name__})
            return Failed(code="defect", detail=type(error).__name__), reply, took

    def _request(self, claim: Claim, adapter: Adapter, route: Route) -> Request:
        """Ask about what the partner already took, send anything else; what was taken is never sent again."""
        if claim.state is not State.AWAITING_REPLY:
            return adapter.encode(whole(self.outbox.load(claim), adapter), route)
        if not isinstance(adapter, Pollable):
            raise NotValid(Code.NOT_ALLOWED, Problem(text="outbox.cannot-ask", values={"adapter": adapter.profile.name}))
        return adapter.poll(claim.reference, route)

    def _heard(self, reply: Reply, claim: Claim, adapter: Adapter, route: Route, written: Request) -> Outcome:
        """Prove a reply and read it; of a partner that signs its answers, only what is proved counts as its word. Raises NotProven."""
        parted = beside.read(reply.body)
        inner = replace(reply, body=parted[0]) if parted else reply
        proved = self._prove(inner, parted, claim, adapter, route, written)  # 11
        outcome = adapter.decode(inner)  # 12
        if not proved and isinstance(outcome, VERDICTS) and (adapter.profile.replies_signed or route.party.sends.replies_signed):
            raise unsigned(route.party.code)
        return outcome

    def _prove(
        self, reply: Reply, parted: tuple[bytes, bytes] | None, claim: Claim, adapter: Adapter, route: Route, written: Request
    ) -> bool:
        """Prove what is signed of a reply, and that it is about what was sent; says whether anything is. Raises NotProven."""
        if not parted and SIGNATURE_MARK not in reply.body:
            return False  # without a look inside: most replies show that nobody signed them
        signed = adapter.signed_part(reply) if isinstance(adapter, SignsReplies) else None
        secured = reply.body if SECURITY_MARK in reply.body else b""
        proof = self.prover.prove_reply(signed, route.party, message=secured, beside=parted)
        if signed and proof:
            self._match(signed, claim, adapter, route, written)
        return proof is not None

    def _match(self, signed: bytes, claim: Claim, adapter: Adapter, route: Route, written: Request) -> None:
        """Hold a proved reply to what was sent, which after a poll is written once more; raises NotProven where it is about another."""
        if claim.state is State.AWAITING_REPLY:
            written = adapter.encode(whole(self.outbox.load(claim), adapter), route)
        sent = written.seal.document if written.seal else envelope_in(written.body)
        check_about(signed, sent=sent, sender=route.party.code)

    def _policy(self, party: PartyCode) -> RetryPolicy:
        found = self.rules().party(party)
        return found.retry if found else RetryPolicy()


def whole(envelope: Envelope, adapter: Adapter) -> Envelope:
    """Give a message that the adapter can hand on whole; raises NotValid where it would drop attachments, such as after a redirect."""
    if envelope.attachments and not adapter.profile.attachments:
        raise NotValid(Code.NO_ROUTE, Problem(text="attachments.not-carried", values={"party": adapter.profile.name}))
    return envelope


def failed(error: GatewayError, *, answered: bool) -> Failed | Deferred:
    """Say what an error makes of an attempt; a database that is away before anything left is nobody's failure."""
    if not answered and any(problem.text.startswith("store.") for problem in error.problems):
        return Deferred(for_=DATABASE_PAUSE)
    return Failed(code=code_of(error), final=isinstance(error, NotValid), unproven=answered)


def code_of(error: GatewayError) -> str:
    """Name a failure by its text without the area: transport.timeout is "timeout"."""
    return error.problems[0].text.partition(".")[2] if error.problems else error.code


def told(claim: Claim, outcome: Outcome, state: State, seconds: float) -> Mapping[str, object]:
    """Tell an attempt as an event: ids and codes only."""
    return {
        "message": claim.message,
        "delivery": claim.delivery,
        "party": claim.party,
        "attempt": claim.attempt,
        "outcome": type(outcome).__name__.lower(),
        "code": outcome.code if isinstance(outcome, Failed) else "",
        "state": state.value,
        "seconds": seconds,
    }
