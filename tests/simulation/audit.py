"""The auditor: sees every change of a row when it is durable, every request that leaves or arrives, every answer; says what must not be."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.lifecycle import DUE, ENDED, MAX_DEATHS, TRANSITIONS, State
from gateway.model import Arrival, PartyCode, Reply
from gateway.ports import Claim

from .papers import PARTNERS, Desk, Paper
from .stage import SECOND, Actor, Process, Stage

PATIENCE = 90 * SECOND  # in which a partner that is well gets something of what is due to it, whatever became of the others
PROBES = 5  # that may hang at a partner, one for every few seconds of the longest timeout
CONCURRENCY = {p.code: p.limits.concurrency for p in PARTNERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What can be seen of a delivery's row."""

    state: State
    token: str
    due_at: datetime | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A durable change of a row: what it was, None where it is new, and what it is, None where it is gone."""

    delivery: str
    message: str
    party: PartyCode
    dossier: str | None
    was: Look | None
    now: Look | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Who made a claim, and when in true time."""

    process: Process | None
    since: int


@dataclass(slots=True)
class Sent:
    """The last request of a delivery that left; `excuse` is why another may follow."""

    token: str
    process: Process | None
    excuse: str = ""


@dataclass(slots=True)
class Case:
    """What the auditor knows of one delivery."""

    message: str
    party: PartyCode
    dossier: str | None
    state: State
    token: str = ""
    free_since: int = 0  # true time at which nothing earlier of its dossier stood before it
    taken: bool = False  # the partner took it and is only asked now
    sent: Sent | None = None
    cancelled: bool = False
    unsettled: int = 0  # claims since the last that was settled


@dataclass(slots=True)
class Auditor:
    """Keeps its own books, and compares."""

    stage: Stage
    desk: Desk
    cases: dict[str, Case] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    arrivals: dict[str, tuple[Arrival, Paper]] = field(default_factory=dict)
    recorded: dict[str, str] = field(default_factory=dict)  # paper's key -> message
    repeat_keys: dict[tuple[str, str], str] = field(default_factory=dict)  # -> message
    first: dict[str, Reply] = field(default_factory=dict)  # message -> its first answer to its very bytes
    promised: dict[str, None] = field(default_factory=dict)
    reached: dict[tuple[str, str], None] = field(default_factory=dict)  # partner, message
    effects: dict[tuple[str, str], str] = field(default_factory=dict)  # partner, paper's key -> message
    refusals: dict[tuple[str, str], None] = field(default_factory=dict)  # partner, message
    noted: dict[str, None] = field(default_factory=dict)  # tokens
    healthy: dict[str, bool] = field(default_factory=dict)
    served_at: dict[str, int] = field(default_factory=dict)  # true time of a partner's last claim, or of its recovery
    under_way: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    queues: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # partner, dossier -> deliveries in order
    held: dict[str, Held] = field(default_factory=dict)  # by token
    time_fault_at: int = -1  # true time
    open: int = 0  # deliveries that have not ended

    def violation(self, what: str) -> None:
        """Write down what must not be."""
        self.stage.violation(what)

    def _unless(self, holds: bool, what: str) -> None:  # noqa: FBT001  # reads as a sentence
        if not holds:
            self.violation(what)

    # --- rows ------------------------------------------------------------------------------------------------------

    def moved(self, move: Move) -> None:
        """See a change of a row."""
        doing = self.stage.current.doing
        if move.now is None:
            self.violation(f"delivery {move.delivery} disappeared while {doing}")
        elif move.was is None:
            self._born(move, move.now, doing)
        else:
            self._changed(move, move.was, move.now, doing)

    def _born(self, move: Move, now: Look, doing: str) -> None:
        self._unless(doing == "record" and now.state is State.QUEUED, f"delivery {move.delivery} came from {doing} as {now.state}")
        case = Case(message=move.message, party=move.party, dossier=move.dossier, state=now.state, free_since=self.stage.elapsed)
        self.cases[move.delivery] = case
        self.open += 1
        if move.dossier is not None:
            self.queues.setdefault((move.party, move.dossier), []).append(move.delivery)
        if move.message not in self.messages:
            self._recorded(move.message)
        self.messages.setdefault(move.message, []).append(move.delivery)

    def _recorded(self, message: str) -> None:
        arrival, paper = self.arrivals[message]
        self._unless(paper.key not in self.recorded, f"{paper.key} was recorded twice: {self.recorded.get(paper.key)} and {message}")
        self._unless(paper.key in self.desk.judged_good, f"{paper.key} was recorded, and never judged good")
        self.recorded[paper.key] = message
        if arrival.repeat_key:
            self.repeat_keys[arrival.channel.name, arrival.repeat_key] = message

    def _changed(self, move: Move, was: Look, now: Look, doing: str) -> None:
        case = self.cases[move.delivery]
        self._unless(was.state is case.state, f"delivery {move.delivery} changed unseen from {case.state} to {was.state}")
        if now.state is was.state:
            extended = doing != "claim" and was.token == now.token
            self._unless(extended, f"delivery {move.delivery} was claimed while it was held")
        else:
            self._unless(now.state in TRANSITIONS[was.state], f"no transition leads from {was.state} to {now.state} ({doing})")
        self.open += (now.state not in ENDED) - (was.state not in ENDED)
        case.state, case.token = now.state, now.token
        check = {
            "claim": self._claimed,
            "settle": self._settled,
            "rescue": self._rescued,
            "replay": self._replayed,
            "cancel": self._cancelled,
        }
        if doing in check:
            check[doing](move, case, was)
        elif doing == "lengthen":
            self._lengthened(move, was)
        elif doing != "hurry":
            self.violation(f"delivery {move.delivery} became {now.state} by {doing or 'nobody'}")
        if now.state in ENDED:
            self._freed(case)

    def _claimed(self, move: Move, case: Case, was: Look) -> None:
        polled_early = was.state is State.AWAITING_REPLY and was.due_at is not None and was.due_at > self.stage.wall()
        self._unless(not polled_early, f"delivery {move.delivery} was asked about before its time")
        self._unless(not self._before(move.delivery, case), f"delivery {move.delivery} overtook an earlier one of its dossier")
        self._check_patience(move, case, was)
        case.unsettled += 1
        self._unless(case.unsettled <= MAX_DEATHS, f"delivery {move.delivery} was claimed though it had died {MAX_DEATHS} times")
        self.held[case.token] = Held(process=self.stage.current.process, since=self.stage.elapsed)
        self.served_at[case.party] = self.stage.elapsed

    def _check_patience(self, move: Move, case: Case, was: Look) -> None:
        if not self.healthy.get(case.party, True) or was.due_at is None:
            return
        late = (self.stage.wall() - was.due_at) // timedelta(microseconds=1)
        since = max(self.served_at.get(case.party, 0), self.stage.disturbed_at, case.free_since)
        waited = min(late, self.stage.elapsed - since)
        self._unless(waited <= PATIENCE, f"delivery {move.delivery} to {case.party} waited {waited / SECOND:.0f} s though it was due")

    def _before(self, delivery: str, case: Case) -> list[str]:
        """Name what stands before a delivery in its dossier."""
        if case.dossier is None:
            return []
        queue = self.queues[case.party, case.dossier]
        return [d for d in queue[: queue.index(delivery)] if self.cases[d].state not in ENDED]

    def _freed(self, case: Case) -> None:
        if case.dossier is not None:
            for delivery in self.queues[case.party, case.dossier]:
                self.cases[delivery].free_since = self.stage.elapsed

    def _settled(self, move: Move, case: Case, was: Look) -> None:
        claim = self.stage.current.claim
        self._unless(claim is not None and was.token == claim.token, f"delivery {move.delivery} was settled by a stale claim")
        self._unless(claim is None or claim.delivery == move.delivery, f"delivery {move.delivery} was settled for another")
        case.unsettled = 0
        case.taken = case.taken or case.state is State.AWAITING_REPLY
        if case.sent and case.state not in {State.DELIVERED, State.AWAITING_REPLY}:
            case.sent.excuse = "failed"

    def _rescued(self, move: Move, case: Case, was: Look) -> None:
        if not was.token:  # nobody held it: it waited by a clock that was set back
            due = move.now.due_at if move.now else None
            sooner = case.state is was.state and due is not None and was.due_at is not None and due < was.due_at
            self._unless(sooner, f"delivery {move.delivery} was rescued from nobody")
            return
        holder = self.held[was.token].process
        ended = was.lease_until is not None and was.lease_until <= self.stage.wall()
        dead = holder is not None and not holder.alive
        self._unless(ended or dead, f"delivery {move.delivery} was taken from a living worker within its lease")
        if case.state is State.DEAD:
            self.stage.counts["died of it" if self.arrivals[case.message][1].deadly else "died by chance"] += 1
            self._unless(case.unsettled == MAX_DEATHS, f"delivery {move.delivery} was set aside after {case.unsettled} deaths")

    def _lengthened(self, move: Move, was: Look) -> None:
        self._unless(self.held[was.token].process is self.stage.current.process, f"the lease of {move.delivery} was lengthened by another")

    def _replayed(self, move: Move, case: Case, was: Look) -> None:
        _ = move, was
        self.stage.counts["replayed"] += 1
        case.unsettled = 0
        if case.state is State.QUEUED:
            case.taken = False
        if case.sent:
            case.sent.excuse = "replay"

    def _cancelled(self, move: Move, case: Case, was: Look) -> None:
        _ = move, was
        case.cancelled = True
        self.stage.counts["cancelled"] += 1

    # --- requests --------------------------------------------------------------------------------------------------

    def note(self, claim: Claim) -> None:
        """See that evidence of a request was kept."""
        self.noted[claim.token] = None

    def unsettled(self, claim: Claim) -> None:
        """See that a worker could not write its end."""
        case = self.cases[claim.delivery]
        if case.sent and case.sent.token == claim.token:
            case.sent.excuse = case.sent.excuse or "unsettled"

    def time_fault(self) -> None:
        """See that leases may now end in honest hands."""
        self.time_fault_at = self.stage.elapsed

    def leaves(self, party: PartyCode, body: str) -> None:
        """See a request leave."""
        actor = self.stage.current
        claim = actor.claim
        if claim is None:
            self.violation(f"a request left for {party} without a claim")
            return
        case, kind = self.cases[claim.delivery], body.partition(" ")[0]
        self._count(actor, party)
        self._unless(claim.token in self.noted, f"delivery {claim.delivery} left before it was noted")
        self._unless((kind == "poll") is (claim.state is State.AWAITING_REPLY), f"delivery {claim.delivery}: {kind} from {claim.state}")
        self._unless(claim.message in body, f"delivery {claim.delivery} left with another message")
        if claim.token != case.token:
            self._unless(self._time_failed(claim.token), f"delivery {claim.delivery} left by a claim that is no more")
        elif kind == "send":
            self._sent(claim, case, actor.process)

    def _sent(self, claim: Claim, case: Case, process: Process | None) -> None:
        self._unless(not case.taken, f"delivery {claim.delivery} was sent again though the partner had taken it")
        before = case.sent
        if before is not None:
            self.stage.counts["repeated"] += 1
            died = before.process is not None and not before.process.alive
            self._unless(
                bool(before.excuse) or died or self._time_failed(before.token), f"delivery {claim.delivery} was sent again without a cause"
            )
        case.sent = Sent(claim.token, process)

    def _time_failed(self, token: str) -> bool:
        """Say whether a claim may have ended in honest hands."""
        return self.time_fault_at >= self.held[token].since

    def _count(self, actor: Actor, party: PartyCode) -> None:
        place = (actor.process.name if actor.process else "", party, actor.probe)
        self.under_way[place] += 1
        bears = PROBES if actor.probe else CONCURRENCY[party]
        self._unless(self.under_way[place] <= bears, f"{party} has more requests under way than it bears")

    def back(self, party: PartyCode) -> None:
        """See that a request is no longer waited for."""
        actor = self.stage.current
        self.under_way[actor.process.name if actor.process else "", party, actor.probe] -= 1

    def arrived(self, party: PartyCode, message: str, key: str) -> None:
        """See a message arrive."""
        self.stage.counts["arrived"] += 1
        self._unless(message in self.messages, f"message {message} arrived at {party} and was never recorded")
        first = self.effects.setdefault((party, key), message)
        self._unless(first == message, f"{key} has two effects at {party}: {first} and {message}")
        self.reached[party, message] = None

    def refused_by(self, party: PartyCode, message: str) -> None:
        """See a partner say no."""
        self.refusals[party, message] = None

    def recovered(self, party: PartyCode) -> None:
        """See that a partner is well again."""
        self.served_at[party] = self.stage.elapsed

    # --- answers ---------------------------------------------------------------------------------------------------

    def begins(self, arrival: Arrival, paper: Paper) -> None:
        """See a sender come."""
        actor = self.stage.current
        self.arrivals[arrival.id] = (arrival, paper)
        actor.opened, actor.known = False, self.recorded.get(paper.key, "")

    def answered(self, arrival: Arrival, paper: Paper, reply: Reply) -> None:
        """See what a sender is answered."""
        word, _, rest = reply.body.decode().partition(" ")
        if word == "99":
            self._accepted(arrival, paper, reply, rest.split(" "))
        elif rest != "unavailable":
            self._refused(arrival, paper, rest)

    def _accepted(self, arrival: Arrival, paper: Paper, reply: Reply, told: list[str]) -> None:
        self.stage.counts["accepted"] += 1
        message, deliveries = told[0], told[1:]
        if self.recorded.get(paper.key) != message or self.messages.get(message) != deliveries:
            self.violation(f"{paper.key} was acknowledged as {message}, which is not what is durable")
            return
        first_arrival, first_paper = self.arrivals[message]
        self._unless(first_paper.content == paper.content, f"{paper.key} was acknowledged with other content than the first")
        if _same_request(first_arrival, arrival):
            first = self.first.setdefault(message, reply)
            self._unless(first == reply, f"{paper.key} was answered otherwise than the first time")
        self.promised[message] = None

    def _refused(self, arrival: Arrival, paper: Paper, code: str) -> None:
        self.stage.counts["refused"] += 1
        self._unless(self.stage.current.opened, f"{paper.key} was refused without being judged")
        message = self.recorded.get(paper.key)
        if message is not None and message == self.stage.current.known and _same_request(self.arrivals[message][0], arrival):
            self.violation(f"{paper.key} was refused ({code}) though these very bytes had been accepted")
        allowed = {
            "schema": paper.good_from > 0 or paper.good_until < 1e12,
            "conflict": self._in_conflict(arrival, paper, message),
        }
        self._unless(allowed.get(code, False), f"{paper.key} was refused for no reason: {code}")

    def _in_conflict(self, arrival: Arrival, paper: Paper, message: str | None) -> bool:
        other = message is not None and self.arrivals[message][1].content != paper.content
        return other or (arrival.channel.name, arrival.repeat_key or "") in self.repeat_keys

    # --- the end ---------------------------------------------------------------------------------------------------

    def close(self, stored: dict[str, tuple[str, str]]) -> None:
        """Look at everything once more, when nothing is due any longer; `stored` gives each delivery's state and cause."""
        self._unless(list(stored) == list(self.cases), "the store holds other deliveries than were recorded")
        for delivery, case in self.cases.items():
            state, cause = stored.get(delivery, ("gone", ""))
            self._unless(state == case.state, f"delivery {delivery} is {state} in store and was last seen {case.state}")
            self._check_end(delivery, case, cause)
        for message, deliveries in self.messages.items():
            wanted = self.arrivals[message][1].to
            self._unless(tuple(self.cases[d].party for d in deliveries) == wanted, f"message {message} has not all of its deliveries")

    def _check_end(self, delivery: str, case: Case, cause: str) -> None:
        match case.state:
            case State.DELIVERED:
                there = (case.party, case.message) in self.reached
                self._unless(there, f"delivery {delivery} is delivered, and {case.party} never got it: lost")
            case State.REJECTED:
                self._unless(
                    (case.party, case.message) in self.refusals, f"delivery {delivery} is rejected, and {case.party} never said no"
                )
            case State.DEAD:
                self._unless(bool(cause), f"delivery {delivery} is dead without a reason")
            case State.CANCELLED:
                self._unless(case.cancelled, f"delivery {delivery} was cancelled by nobody")
            case _:
                held = "due" if case.state in DUE else "held"
                self.violation(f"delivery {delivery} to {case.party} never ended: {case.state}, {held} still")


def _same_request(one: Arrival, other: Arrival) -> bool:
    return (one.body, one.path, one.channel) == (other.body, other.path, other.channel)
