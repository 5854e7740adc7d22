"""The seams: what the stories call and others implement. A Protocol stands here only where two implementations exist."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
Refuse = Callable[[], Exception]  # makes what is raised
Watch = Callable[[str, "Mapping[str, object]"], None]  # one event a story step: its name, and ids and codes, never content


# --- how a message comes in ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a door found inside the outer wrapper: the payload's bytes, still proven by nothing. Only doors make it.

    `message` is the SOAP message it was in, where that has a security header; `signature` a detached one that came beside the
    payload. The prover judges both.
    """

    wrapper: Wrapper
    payload: bytes
    message: bytes = b""
    signature: bytes = b""


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
    """What an adapter is: `name` is its entry point's name; `protocol` "vnsw", "wsdl" or "as4"; `specification` with version.

    An adapter with `attachments` hands an envelope's attachments on in its requests; for any other such messages are refused.
    """

    name: str
    protocol: str
    specification: str
    replies_signed: bool = False
    attachments: bool = False


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

    def key_of(self, sealed: bytes) -> str:
        """Name the key that a sealed value is under."""

    def fingerprint(self, *parts: bytes) -> bytes:
        """Make a keyed digest, so that equal secrets can be recognised and none can be guessed from it."""


# --- the durable middle --------------------------------------------------------------------------------------------


class ChunkStore(Protocol):
    """Holds sealed chunks: under their upload's id while they come, for good under that id and their content's digest."""

    name: str

    def add(self, upload: str, number: int, sealed: bytes) -> None:
        """Take the next chunk; raises Unavailable where there is no room, or the upload was given up."""

    def keep(self, upload: str, digest: str) -> None:
        """Make an upload's chunks durable where they will be found; raises Unavailable."""

    def chunks(self, upload: str, digest: str, count: int) -> Iterator[bytes]:
        """Give the chunks in their order; raises Unavailable where one is missing."""

    def remove(self, upload: str, digest: str) -> None:
        """Remove whatever is there, kept or not; nothing is fine too. Raises Unavailable."""


class Tx(Protocol):
    """A transaction: runs Core statements, compiled once for the database at hand."""

    def rows(self, statement: Executable, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""

    def changed(self, statement: Executable, **values: object) -> int:
        """Run a statement and say how many rows it changed."""

    def write(self, statement: Executable, **values: object) -> None:
        """Run a statement of which nothing is asked, some time before the next one that is asked for something, or the commit.

        What it raises is raised there; so several of them may travel together.
        """

    def require(self, statement: Executable, otherwise: Refuse, /, **values: object) -> None:
        """Run, as write() does, a statement that has to change something; where it does not, what `otherwise` makes is raised."""

    def now(self) -> datetime:
        """Give the database's time, the same throughout a transaction: processes on machines whose clocks differ agree on it."""


class Database(Protocol):
    """Where everything durable lives; every method may be called from any thread and raises Unavailable where it is away."""

    @property
    def kind(self) -> str:
        """Name its kind: "sqlite" or "postgresql"."""

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Run work and return when it is durable; raises what work raises, of which nothing is then kept.

        Concurrent works may share a commit, and a work may be run again where others were in its way: it has no effect but through Tx.
        """

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run work that only reads; each statement sees one consistent state."""

    def close(self) -> None:
        """Let what is under way finish, then close; whoever comes later gets Unavailable. A second close does nothing."""


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
    corrections: Mapping[str, str] = field(default_factory=dict)  # what staff corrected in the gateway's own header
    patience: timedelta = field(default=timedelta(), compare=False)  # how long its settling waits for a database that is away


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A delivery that was handed out under a token: `claim` while the token holds it, `outcome` once it was settled under it."""

    party: PartyCode
    claim: Claim | None = None
    outcome: str = ""  # "delivered", "rejected"; empty with no claim: the lease ended, or the token is none of this delivery's


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
        """Give the first answer where the very same bytes came from the same channel and were accepted. Raises Conflict."""

    def record(self, entry: Entry) -> Reply:
        """Make a message durable; gives the answer to send: this entry's, or the first one's where it is a repeat. Raises Conflict."""

    def refuse(self, arrival: Arrival, refusal: Refusal, answer: Reply) -> None:
        """Keep a refused arrival with its cause."""

    def claim(
        self,
        slots: Mapping[PartyCode, int],
        *,
        probes: frozenset[PartyCode] = frozenset(),
        rates: Mapping[PartyCode, int] | None = None,
        lease: timedelta | None = None,
    ) -> list[Claim]:
        """Take due deliveries, at most so many of each party; of a probed party its earliest one, due or not.

        `rates` are what parties take in any minute from all processes together. `lease` is how long they are held; a worker's own
        time unless a fetcher asks for another.
        """

    def due_in(self, parties: Iterable[PartyCode]) -> timedelta | None:
        """Say how long until the next delivery to any of these becomes due; None where none does."""

    def load(self, claim: Claim) -> Envelope:
        """Read what a claim is about."""

    def note(self, claim: Claim, request: Request) -> None:
        """Keep evidence of what is about to leave. Raises StaleClaim."""

    def settle(self, claim: Claim, step: Step, outcome: Outcome, reply: Reply | None) -> None:
        """Write what became of an attempt. Raises StaleClaim where another worker took over."""

    def lengthen(self, tokens: Collection[str]) -> int:
        """Keep claims for another lease, those of these tokens whose lease runs; says how many it wrote."""

    def rescue(self, *, held_until: datetime | None = None, spared: frozenset[PartyCode] = frozenset()) -> int:
        """Return what dead workers held, those whose lease ends by a time or has ended, save deliveries to some parties; says how many."""

    def handed(self, delivery: DeliveryId, token: str) -> Handed | None:
        """Find what a fetcher was handed under a token; None where there is no such delivery."""

    def hurry(self, party: PartyCode) -> int:
        """Make what waits to be retried due at once and in its first order, for a partner that answers again; says how many."""
