"""The seams: what the stories call and others implement. A Protocol stands here only where two implementations exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from lxml.etree import _Element
    from sqlalchemy import Executable

    from .errors import Problem
    from .lifecycle import Outcome, State, Step
    from .model import (
        Arrival,
        DeliveryId,
        Envelope,
        Header,
        Judged,
        MessageId,
        Party,
        PartyCode,
        Receipt,
        Refusal,
        Reply,
        Request,
        Route,
        Signer,
        Wrapper,
    )

T = TypeVar("T")


# --- time and chance, passed in ------------------------------------------------------------------------------------

Clock = Callable[[], "datetime"]  # the present, aware, UTC
Entropy = Callable[[int], bytes]  # n random bytes
Watch = Callable[[str, "Mapping[str, object]"], None]  # one event a story step: its name, and ids and codes, never content


# --- how a message comes in ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a door found inside the outer wrapper: the payload's bytes, still proven by nothing. Only doors make it."""

    wrapper: Wrapper
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """An opened payload whose sender is proved; only the prover makes it, and after it only `root` is used.

    `root` is the parsed envelope, limited to what was signed or what the channel vouches for; `proof` is "signature" or the
    channel's kind; `warnings` say what no signature covers.
    """

    payload: bytes
    root: _Element
    header: Header
    sender: Party
    signers: tuple[Signer, ...]
    proof: str
    warnings: tuple[Problem, ...] = ()


class Inbound(Protocol):
    """A protocol's or an agency's own way of calling us. Pure."""

    def open(self, arrival: Arrival) -> Opened:
        """Take the outer wrapper off; raises NotReadable where there is none to take off."""

    def answer(self, opened: Opened | None, result: Receipt | Refusal) -> Reply:
        """Say what became of it in the caller's dialect; `opened` is None where open() failed."""


class Directory(Protocol):
    """Who is who, by any spelling; one consistent set for the whole of one message."""

    def party(self, spelling: str) -> Party | None:
        """Find a party by its code or an alias."""

    @property
    def own(self) -> Party:
        """The gateway's own party."""


# --- how a delivery goes out ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an adapter is: `name` is its entry point's name; `protocol` "vnsw", "wsdl" or "as4"; `specification` with version."""

    name: str
    protocol: str
    specification: str
    replies_signed: bool = False


class Adapter(Protocol):
    """One agency: two pure functions and a profile. No network, clock, database or logging."""

    profile: Profile

    def encode(self, envelope: Envelope, route: Route) -> Request:
        """Write a message as the agency wants it."""

    def decode(self, reply: Reply) -> Outcome:
        """Read what the agency answered; an answer that cannot be read is Failed, never an exception."""


@runtime_checkable
class Pollable(Protocol):
    """An adapter whose agency says later what became of a message."""

    def poll(self, reference: str, route: Route) -> Request:
        """Ask what became of it; the reply goes to the same decode()."""


@runtime_checkable
class SignsReplies(Protocol):
    """An adapter whose agency may sign what it answers."""

    def signed_part(self, reply: Reply) -> bytes | None:
        """Give the envelope inside a reply; None where there is none to be found."""


class Transport(Protocol):
    """Carries one request over the network."""

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        """Send and wait; raises Unavailable with text "transport.*" for whatever is not an HTTP answer."""


class Sealer(Protocol):
    """Signs what leaves."""

    def seal(self, request: Request) -> Request:
        """Sign the request's document and wrap it; a request without a Seal passes unchanged."""


class Cipher(Protocol):
    """Encryption at rest under named keys."""

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """Encrypt under the present key; the result names the key. `context` must be given again to decrypt."""

    def decrypt(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt under the key the bytes name; raises Unavailable where that key is not here or the bytes were changed."""

    def fingerprint(self, *parts: bytes) -> bytes:
        """Make a keyed digest, so that equal secrets can be recognised and none can be guessed from it."""


# --- the durable middle --------------------------------------------------------------------------------------------


class Committer(Protocol):
    """Runs work in a transaction; returns when it is durable."""

    def __call__(self, work: Callable[[Tx], T]) -> T:
        """Run and commit; concurrent callers may share one commit. Raises Unavailable where the database is away."""


class Tx(Protocol):
    """A transaction: runs Core statements, compiled once for the database at hand."""

    def rows(self, statement: Executable, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""

    def changed(self, statement: Executable, **values: object) -> int:
        """Run a statement and say how many rows it changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A due delivery in the hands of one worker until `until`; `token` guards every later write."""

    delivery: DeliveryId
    token: str
    until: datetime
    state: State  # the one it was claimed from
    attempt: int  # counts from 1, this one included
    party: PartyCode
    route: str
    reference: str  # the partner's own number, for a poll
    message: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierMove:
    """How a message moves its dossier: `to` is None where it stays; a move from elsewhere than `allowed` is warned of."""

    allowed: frozenset[str]
    to: str | None
    opens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What intake asks the outbox to make durable in one commit: the message, its answer, and what follows from it."""

    arrival: Arrival
    envelope: Envelope
    wrapper: Wrapper
    judged: Judged
    receipt: Receipt
    answer: Reply
    proof: str  # "signature" or the channel's kind: what proves the header
    routes: tuple[Route, ...]  # one delivery each, with the ids of receipt.deliveries in the same order
    key: bytes  # what makes a repeat the same message
    keys: tuple[tuple[str, str], ...] = ()  # business keys: name, value
    dossier: DossierMove | None = None
    warnings: tuple[Problem, ...] = ()
    again: Callable[[Receipt], Reply] | None = None  # answers for the first message of a repeat that came wrapped otherwise


class Outbox(Protocol):
    """The durable middle of both stories."""

    def answered(self, arrival: Arrival) -> Reply | None:
        """Give the first answer where the very same bytes came from the same channel and were accepted."""

    def record(self, entry: Entry) -> Reply:
        """Make a message durable; gives the answer to send: this entry's, or the first one's where it is a repeat. Raises Conflict."""

    def refuse(self, arrival: Arrival, refusal: Refusal, answer: Reply) -> None:
        """Keep a refused arrival with its cause."""

    def claim(self, slots: Mapping[PartyCode, int], *, probes: frozenset[PartyCode] = frozenset()) -> list[Claim]:
        """Take due deliveries, at most so many of each party; of a probed party its earliest one, due or not."""

    def load(self, claim: Claim) -> Envelope:
        """Read what a claim is about."""

    def note(self, claim: Claim, request: Request) -> None:
        """Keep evidence of what is about to leave. Raises StaleClaim."""

    def settle(self, claim: Claim, step: Step, outcome: Outcome, reply: Reply | None) -> None:
        """Write what became of an attempt. Raises StaleClaim where another worker took over."""

    def rescue(self, *, held_until: datetime) -> int:
        """Return what dead workers held, those whose lease ends by a time; says how many."""

    def hurry(self, party: PartyCode) -> int:
        """Make what waits to be retried due at once, for a partner that answers again; says how many."""

    def replay(self, delivery: DeliveryId, *, by: str) -> State:
        """Give a dead or rejected delivery a new life, on a person's word. Raises NotValid (not found) or Conflict."""

    def cancel(self, delivery: DeliveryId, *, by: str, reason: str) -> State:
        """End a delivery that was not made yet, on a person's word. Raises NotValid (not found) or Conflict."""
