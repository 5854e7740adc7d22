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
from .lifecycle import DATABASE_AWAY, NO_ADDRESS, Deferred, Failed, Outcome, State, next_step, public_code
from .model import Envelope, Reply, Request, Route
from .outbox.circuit import Carried
from .outbox.corrections import corrected
from .ports import Adapter, Claim, Clock, Outbox, Pollable, Sealer, Transport, Watch
from .routing.router import retry_of, route_named
from .routing.rules import RuleSet
from .security.prover import Prover
from .security.replies import Sent, check_signed, prove_reply

NO_ADDRESS_PAUSE = timedelta(seconds=10)  # until somebody writes the party's address; nobody's failure
DATABASE_PAUSE = timedelta(seconds=1)  # the database was away before anything left; nobody's failure either
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
        counted: Outcome = Deferred(for_=PROBE_PAUSE, reason=public_code(outcome)) if probe and carried.away else outcome
        policy = retry_of(self.rules(), claim.party)
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
                return Deferred(for_=NO_ADDRESS_PAUSE, reason=NO_ADDRESS), reply, took
            adapter = self.adapters[route.party.adapter]
            taken = claim.state is State.AWAITING_REPLY
            written = question(claim, adapter, route) if taken else self._message(claim, adapter, route)  # 7
            request = replace(self.sealer.seal(written), reply_bytes=route.party.limits.reply_bytes)  # 8
            self.outbox.note(claim, request)  # 9
            asked_at = self.clock()
            with asking:
                reply = self.transport.send(request, timeout=min(route.timeout, within or route.timeout))  # 10
            took = self.clock() - asked_at
            sent = Sent(to=route.party, adapter=adapter, message=lambda: self._message(claim, adapter, route) if taken else written)
            proved, signed = prove_reply(reply, sent, self.prover)  # 11
            outcome = adapter.decode(proved)  # 12
            check_signed(outcome, sent, signed=signed)
        except StaleClaim:
            raise
        except GatewayError as error:
            return failed(error, answered=reply is not None), reply, took
        except Exception as error:  # noqa: BLE001  # a defect: set aside after its attempts, with its name, and seen in the metrics
            self.watch("delivery.defect", {"delivery": claim.delivery, "defect": type(error).__name__})
            return Failed(code="defect", detail=type(error).__name__), reply, took
        return outcome, reply, took

    def _message(self, claim: Claim, adapter: Adapter, route: Route) -> Request:
        return adapter.encode(whole(self.outbox.load(claim), adapter), route)


def question(claim: Claim, adapter: Adapter, route: Route) -> Request:
    """Ask about what the partner already took, which is never sent again; raises NotValid where its adapter cannot ask."""
    if not isinstance(adapter, Pollable):
        raise NotValid(Code.NOT_ALLOWED, Problem(text="outbox.cannot-ask", values={"adapter": adapter.profile.name}))
    return adapter.poll(claim.reference, route)


def whole(envelope: Envelope, adapter: Adapter) -> Envelope:
    """Give a message that the adapter can hand on whole; raises NotValid where it would drop attachments, such as after a redirect."""
    if envelope.attachments and not adapter.profile.attachments:
        raise NotValid(Code.NO_ROUTE, Problem(text="attachments.not-carried", values={"party": adapter.profile.name}))
    return envelope


def failed(error: GatewayError, *, answered: bool) -> Failed | Deferred:
    """Say what an error makes of an attempt; a database that is away before anything left is nobody's failure."""
    if not answered and any(problem.text.startswith("store.") for problem in error.problems):
        return Deferred(for_=DATABASE_PAUSE, reason=DATABASE_AWAY)
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
        "code": public_code(outcome),
        "state": state.value,
        "seconds": seconds,
    }
