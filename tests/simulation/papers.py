"""What senders send, and the desk that opens, proves and judges it: trivially, so that the story around it is what runs."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import cast

from lxml.etree import _Element

from gateway.errors import Code, NotProven, NotReadable, NotValid, Problem, Unavailable
from gateway.model import (
    Arrival,
    Channel,
    Document,
    Header,
    Judged,
    Limits,
    Party,
    PartyCode,
    Receipt,
    Refusal,
    Reply,
    RetryPolicy,
    Route,
    SealProfile,
    Subject,
    Wrapper,
)
from gateway.ports import Directory, Opened, Proven
from gateway.routing.judge import Judgement
from gateway.routing.procedures import MessageRule
from gateway.routing.ruleset import RuleSet
from gateway.testing.entries import identity
from gateway.xml.parse import parse

from .stage import SECOND, Stage

UNSIGNED = SealProfile(signature="none")
SENDER = Party(code=PartyCode("NSW"), identity=identity("NSW"), sends=UNSIGNED, accepts=UNSIGNED)
SHORT = RetryPolicy(first=timedelta(seconds=2), longest=timedelta(seconds=30), attempts=4)
LONG = RetryPolicy(first=timedelta(seconds=1), longest=timedelta(minutes=2), attempts=40)


def _partner(code: str, adapter: str, limits: Limits, retry: RetryPolicy) -> Party:
    return Party(
        code=PartyCode(code), identity=identity(code), adapter=adapter, sends=UNSIGNED, accepts=UNSIGNED,
        endpoint=f"http://{code}", limits=limits, retry=retry,
    )  # fmt: skip


PARTNERS = (  # code, its adapter, what it bears, how its deliveries are repeated
    _partner("P1", "plain", Limits(concurrency=1, timeout=timedelta(seconds=15)), LONG),
    _partner("P2", "plain", Limits(concurrency=4, timeout=timedelta(seconds=60)), SHORT),
    _partner("P3", "asked", Limits(concurrency=2, timeout=timedelta(seconds=15)), LONG),
    _partner("P4", "asked", Limits(concurrency=3, timeout=timedelta(seconds=5)), SHORT),
)
ORDERED = frozenset({"P1", "P2", "P3"})  # whose routes keep a dossier's order
ROUTES = {
    p.code: Route(
        name=f"to-{p.code}", party=p, transport="http", endpoint=p.endpoint, timeout=p.limits.timeout,
        order="dossier" if p.code in ORDERED else "none",
    )
    for p in PARTNERS
}  # fmt: skip
RULES = RuleSet(
    version="1",
    stamp="1",
    own=SENDER,
    zone=UTC,
    parties=(SENDER, *PARTNERS),
    procedures=(),
    spellings=MappingProxyType({p.code: p for p in (SENDER, *PARTNERS)}),
    catalogue=MappingProxyType({}),
    routes=MappingProxyType({r.name: r for r in ROUTES.values()}),
)
ROOT = parse(b"<Envelope/>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One way of writing a message: the same `number` again is a repeat, signed again or altered.

    It is judged good from `good_from` until `good_until`, in seconds of true time; `refusable` partners refuse it for good;
    `deadly`, it kills whoever writes it for one.
    """

    number: str
    content: str
    dossier: str
    to: tuple[PartyCode, ...]
    numbered: bool = True  # says its number as messageId
    signature: int = 1
    good_from: float = 0.0
    good_until: float = 1e12
    refusable: bool = False
    deadly: bool = False
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Write its bytes, once."""
        message_id = f"<messageId>{self.number}</messageId>" if self.numbered else ""
        text = (
            f"<Envelope><Header><Reference>{message_id}</Reference><From><identity>NSW</identity></From><To><identity>P1</identity></To>"
            f"<Subject><documentType>P1</documentType><type>10</type><function>01</function><reference>{self.dossier}</reference>"
            f"<documentYear>2026</documentYear><sendDate>2026-11-21 08:00:{self.signature:02}</sendDate></Subject></Header>"
            f"<Body><Content><Paper>{self.number} {self.content}</Paper></Content></Body></Envelope>"
        )
        object.__setattr__(self, "body", text.encode())

    @property
    def key(self) -> str:
        """Name the message that it is: by its number, or by its content where it does not say one."""
        return self.number if self.numbered else f"{self.number} {self.content}"

    @property
    def header(self) -> Header:
        """Give its header as it would be read."""
        subject = Subject(document_type="P1", type="10", function="01", reference=self.dossier, year="2026")
        own = self.number if self.numbered else None
        return Header(id=own, sender=SENDER.identity, receiver=identity("P1"), subject=subject, sent_at=datetime(2026, 11, 21, tzinfo=UTC))

    def signed_again(self) -> "Paper":
        """Say the same in other bytes."""
        return replace(self, signature=self.signature + 1)

    def altered(self) -> "Paper":
        """Say something else under the same number."""
        return replace(self, content=self.content + "x", signature=self.signature + 1)


class Desk:
    """Door, prover and judge in one: it knows every paper by its bytes, and what it is told when it comes from elsewhere."""

    def __init__(self, stage: Stage) -> None:
        """Open an empty archive."""
        self._stage = stage
        self.archive: dict[bytes, Paper] = {}
        self.judged_good: dict[str, None] = {}

    def open(self, arrival: Arrival) -> Opened:
        """Take the wrapper off; what is not in the archive cannot be read."""
        self._stage.current.opened = True
        self._stage.point("door", arrival.path)
        if arrival.body not in self.archive:
            raise NotReadable(Code.NOT_SOAP, Problem(text="xml.not-xml"))
        return Opened(wrapper=Wrapper(protocol=arrival.path, operation="send"), payload=arrival.body)

    def answer(self, opened: Opened | None, result: Receipt | Refusal) -> Reply:
        """Say which message was accepted with which deliveries, or why not; the wrapper's protocol stands in a header."""
        way = {"protocol": opened.wrapper.protocol if opened else "none"}
        if isinstance(result, Refusal):
            return Reply(status=200, body=f"00 {result.code}".encode(), headers=way)
        return Reply(status=200, body=f"99 {result.message} {' '.join(result.deliveries)}".encode(), headers=way)

    def prove(self, opened: Opened, channel: Channel, directory: Directory) -> Proven:
        """Believe everybody; now and then a check cannot be made."""
        self._stage.point("prove")
        self._doubt()
        paper = self.archive[opened.payload]
        root: _Element = ROOT if paper.numbered else parse(opened.payload)
        _ = directory
        return Proven(payload=opened.payload, root=root, header=paper.header, sender=SENDER, signers=(), proof=channel.kind)

    def judge(self, proven: Proven, rules: RuleSet, *, at: datetime) -> Judgement:
        """Judge by the hour: schemas come and certificates go."""
        self._stage.point("judge")
        paper = self.archive[proven.payload]
        if not paper.good_from <= self._stage.elapsed / SECOND < paper.good_until:
            raise NotValid(Code.SCHEMA, Problem(text="schema.value", values={"found": "x"}))
        self.judged_good[paper.key] = None
        _ = rules, at
        return Judgement(
            document=Document(type="P11001", content=proven.payload, sha256="ab" * 32),
            rule=cast("MessageRule", None),  # named in refusals for want of a route only
            keys=(("paper", paper.number),),
            facts={},
            opens_dossier=True,
            dossier_from=frozenset(),
            dossier_state="1",
            routes=tuple(ROUTES[code] for code in paper.to),
            judged=Judged(schema_pack="s", rule_set="r", procedure="p"),
            warnings=(),
        )

    def prove_reply(self, payload: bytes | None, party: Party, **_about: object) -> None:
        """Believe partners that write the word, and no other."""
        self._stage.point("prove reply")
        _ = party
        if payload == b"forged":
            raise NotProven(Code.SIGNATURE, Problem(text="signature.digest"))
        self._doubt()

    def _doubt(self) -> None:
        if self._stage.rng.random() < self._stage.faults.doubt:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="security.revocation-away"))
