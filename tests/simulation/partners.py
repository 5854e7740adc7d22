"""The partners and the network to them: what arrives, arrives once, twice, late or never, and is answered well, badly or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.errors import Code, Problem, Unavailable
from gateway.lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected
from gateway.model import Envelope, Party, Reply, Request, Route
from gateway.ports import Profile

from .audit import Auditor
from .papers import PARTNERS, Desk
from .stage import Actor, Stage

MOODS = ("down", "hanging", "slow", "lying")  # of a bad time
ASK_AGAIN = timedelta(seconds=5)
LIES = (b"forged", b"<html>", b"", b"busy", b"no", b"503")


class Misread(Exception):
    """An adapter's own defect, on purpose."""


class Adapter:
    """An agency's two pure functions; `asked` agencies say later what became of a message."""

    def __init__(self, name: str, desk: Desk, auditor: Auditor) -> None:
        """Know the archive, so that what left the store changed is seen."""
        self.profile = Profile(name=name, protocol="vnsw", specification="1")
        self._desk = desk
        self._auditor = auditor

    def encode(self, envelope: Envelope, route: Route) -> Request:
        """Write the message's id, its paper's key, and whether it will be refused."""
        paper = self._desk.archive.get(envelope.document.content)
        if paper is None:
            self._auditor.violation(f"message {envelope.id} came out of the store other than it went in")
            raise Misread
        if paper.deadly:
            self._auditor.stage.end_life()
        body = f"send {envelope.id} {int(paper.refusable)} {paper.key}".encode()
        return Request(endpoint=route.endpoint, action="", body=body)

    def decode(self, reply: Reply) -> Outcome:
        """Read one word and a reference."""
        word, _, rest = reply.body.decode().partition(" ")
        match word:
            case "ok":
                return Delivered(reference=rest)
            case "later":
                return Accepted(reference=rest, ask_again_in=ASK_AGAIN)
            case "never":
                return Accepted(reference=rest)
            case "no":
                return Rejected(reason="refused")
            case "busy":
                return Deferred(for_=timedelta(seconds=3))
            case "503":
                return Failed(code="http-503")
            case "<html>":
                raise Misread
        return Failed(code="reply-unreadable")


class Asked(Adapter):
    """An agency that is asked later."""

    def poll(self, reference: str, route: Route) -> Request:
        """Ask what became of it."""
        return Request(endpoint=route.endpoint, action="", body=f"poll {reference}".encode())

    def signed_part(self, reply: Reply) -> bytes | None:
        """Give what is signed of a reply."""
        return reply.body


@dataclass(slots=True)
class Partner:
    """An agency: keeps what it got, and does each message once."""

    party: Party
    stage: Stage
    auditor: Auditor
    mood: str = "up"
    decided: dict[str, str] = field(default_factory=dict)  # message -> its first answer, which every repeat gets
    polls: dict[str, int] = field(default_factory=dict)  # how often it will still be asked in vain

    def receive(self, body: bytes) -> Reply:
        """Take a request in and answer it."""
        kind, _, rest = body.decode().partition(" ")
        answer = self._polled(rest) if kind == "poll" else self._sent(*rest.split(" ", 2))
        if self.mood == "lying" and self.stage.rng.random() < 0.7:
            lie = self.stage.rng.choice(LIES)
            if lie == b"no":
                self.auditor.refused_by(self.party.code, rest.split(" ")[0])
            return Reply(status=200, body=lie)
        return Reply(status=200, body=answer.encode())

    def _sent(self, message: str, refusable: str, key: str) -> str:
        self.auditor.arrived(self.party.code, message, key)
        if message not in self.decided:
            self.decided[message] = self._decide(message, refusable=refusable == "1")
        return self.decided[message]

    def _decide(self, message: str, *, refusable: bool) -> str:
        if refusable:
            self.auditor.refused_by(self.party.code, message)
            return "no"
        if self.party.adapter == "asked" and (draw := self.stage.rng.random()) < 0.6:
            self.polls[message] = self.stage.rng.randrange(4)
            return f"never {message}" if draw < 0.03 else f"later {message}"
        return f"ok {message}"

    def _polled(self, reference: str) -> str:
        left = self.polls.get(reference, 0)
        self.polls[reference] = left - 1
        if left > 0:
            return f"later {reference}"
        return f"ok {reference}"


@dataclass(slots=True)
class _Flight:
    """A request under way; whoever sent it may be gone when it comes back."""

    request: Request
    partner: Partner
    waiting: Actor | None
    reply: Reply | None = None


class Network:
    """Carries requests to partners, as badly as the run's faults say."""

    def __init__(self, stage: Stage, auditor: Auditor) -> None:
        """Put every partner at its endpoint."""
        self._stage = stage
        self._auditor = auditor
        self.partners: Mapping[str, Partner] = {p.endpoint: Partner(p, stage, auditor) for p in PARTNERS}

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        """Send and wait; raises Unavailable with text "transport.*" for whatever is not an answer."""
        stage, partner = self._stage, self.partners[request.endpoint]
        stage.point("send", request.body.decode())
        self._auditor.leaves(partner.party.code, request.body.decode())
        flight = _Flight(request, partner, stage.current)
        try:
            if partner.mood == "down":
                raise _failed("refused")
            self._fly(flight)
            stage.sleep(timeout.total_seconds())
        finally:
            flight.waiting = None
            self._auditor.back(partner.party.code)
        stage.point("reply", flight.reply.body.decode() if flight.reply else "none")
        if flight.reply is None:
            raise _failed("timeout" if stage.rng.random() < 0.8 else "reset")
        return flight.reply

    def _fly(self, flight: _Flight) -> None:
        """Let a request arrive: never, once, twice, or after everybody gave it up."""
        rng, faults = self._stage.rng, self._stage.faults
        if rng.random() < faults.lost:
            return
        self._stage.later(self._delay(), self._arrival(flight))
        if rng.random() < faults.doubled:
            self._stage.later(self._delay(), self._arrival(flight))

    def _arrival(self, flight: _Flight) -> Callable[[], None]:
        def arrive() -> None:
            partner, stage = flight.partner, self._stage
            stage.note("arrives", f"{partner.party.code} {flight.request.body.decode()}")
            reply = partner.receive(flight.request.body)
            if partner.mood == "hanging" or stage.rng.random() < stage.faults.mute:
                return
            stage.later(stage.rng.uniform(1, 20) if partner.mood == "slow" else self._delay(), lambda: _land(stage, flight, reply))

        return arrive

    def _delay(self) -> float:
        rng, faults = self._stage.rng, self._stage.faults
        return rng.uniform(5, 200) if rng.random() < faults.late else rng.uniform(0.001, 0.2)

    def moods(self) -> None:
        """Let partners have good times and bad ones, from now on."""
        stage = self._stage
        for partner in self.partners.values():
            before = partner.mood
            bad = stage.rng.random() < stage.faults.away
            partner.mood = stage.rng.choice(MOODS) if bad else "up"
            if before != "up" and partner.mood == "up":
                self._auditor.recovered(partner.party.code)
            self._auditor.healthy[partner.party.code] = partner.mood == "up"
        stage.note("moods", " ".join(p.mood for p in self.partners.values()))
        stage.later(stage.rng.uniform(10, 120), self.moods)

    def heal(self) -> None:
        """Let every partner be well, for good: the chance of a bad time is gone by now."""
        for partner in self.partners.values():
            partner.mood = "up"
            self._auditor.healthy[partner.party.code] = True
            self._auditor.recovered(partner.party.code)


def _land(stage: Stage, flight: _Flight, reply: Reply) -> None:
    if flight.waiting is not None and flight.reply is None:
        flight.reply = reply
        stage.wake(flight.waiting)


def _failed(how: str) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text=f"transport.{how}"))


def adapters(desk: Desk, auditor: Auditor) -> Mapping[str, Adapter]:
    """Make the adapters that the partners name."""
    return {"plain": Adapter("plain", desk, auditor), "asked": Asked("asked", desk, auditor)}
