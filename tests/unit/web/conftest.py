"""A small hub without database, and a caller that speaks ASGI."""

import asyncio
import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from gateway.collect import Parcel
from gateway.config import Settings
from gateway.errors import Code, Conflict, GatewayError, NotValid, Problem
from gateway.evidence.stamping import Gap, Stamped
from gateway.lifecycle import State
from gateway.model import (
    Arrival,
    DeliveryId,
    Header,
    Identity,
    MessageId,
    Party,
    PartyCode,
    Receipt,
    Refusal,
    Reply,
    SealProfile,
    Subject,
    uuid7,
)
from gateway.outbox.circuit import Standing
from gateway.outbox.history import Attempt
from gateway.outbox.holds import Hold, Kind
from gateway.outbox.orders import Act, Order
from gateway.ports import Claim, Inbound
from gateway.protocols.vnsw.door import VnswDoor
from gateway.security.holdings import Holding
from gateway.security.trust import Trust
from gateway.store.queries import Backlog, Counts, DeliveryRow, Mailbox, MessageRow, Moment, Page
from gateway.testing.signing import self_signed
from gateway.web.app import create_app
from gateway.web.server import serve
from gateway.xml.parse import parse

if TYPE_CHECKING:
    from gateway.hub import Hub

NOW = datetime(2026, 12, 31, 1, 0, tzinfo=UTC)
ZONE = timezone(timedelta(hours=7))
NSW = Party(
    code=PartyCode("NSW"),
    identity=Identity(name="NSW", identity="NSW", country="VN", ministry="BTC", organization="TCHQ"),
)
BNN = Party(
    code=PartyCode("BNN"),
    identity=Identity(name="BNN", identity="BNN", country="VN", ministry="BNN", organization="BVTV"),
    aliases=frozenset({"MARD"}),
    adapter="agriculture",
)
PORT = Party(
    code=PartyCode("PORT"),
    identity=Identity(name="PORT", identity="PORT", country="VN", ministry="CL", organization="CL"),
    collects=True,
    sends=SealProfile(signature="none", until=NOW + timedelta(days=20), bound_to=("network:127.0.0.0/8",)),
)
MESSAGE = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
HOLD = Hold(id=MESSAGE, kind="message", value=MESSAGE, reason="Vụ án 12", placed_by="key:o", placed_at=NOW)
OTHER_MESSAGE = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e7"
DELIVERY = "0198f3c2-6b20-7d01-8e77-52b1c9f0a3d4"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Caller:
    """Calls an application in process; `peer` is its address, `state` what the connection knows of it."""

    app: FastAPI
    peer: tuple[str, int] | None = ("127.0.0.1", 50000)
    state: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        method: str,
        target: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        parts: Iterable[bytes] | None = None,
        host: str | None = "127.0.0.1:8080",
        broken: bool = False,
    ) -> Answer:
        """`parts` sends the body in pieces without its length; `broken` leaves before the last of them."""
        pieces = [body] if parts is None else list(parts)
        sent: list[tuple[bytes, bytes]] = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if host is not None:
            sent.insert(0, (b"host", host.encode()))
        if parts is None and not any(name == b"content-length" for name, _ in sent):
            sent.append((b"content-length", b"%d" % len(body)))
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "headers": sent, "client": self.peer,
            "server": ("127.0.0.1", 8080), "state": dict(self.state),
        }  # fmt: skip
        return asyncio.run(_exchange(self.app, scope, pieces, broken=broken))


async def _exchange(app: FastAPI, scope: dict[str, Any], pieces: list[bytes], *, broken: bool) -> Answer:
    messages = [{"type": "http.request", "body": piece, "more_body": n < len(pieces) - 1 or broken} for n, piece in enumerate(pieces)]
    given: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        given.append(message)

    await app(scope, receive, send)
    if not given:
        return Answer(0, {}, b"")
    headers = {name.decode(): value.decode("latin-1") for name, value in given[0]["headers"]}
    assert len(headers) == len(given[0]["headers"]), "an answer's headers stand once"
    return Answer(given[0]["status"], headers, b"".join(m.get("body", b"") for m in given[1:]))


@dataclass
class FakeIntake:
    """Takes in whatever parses; keeps the arrivals."""

    arrivals: list[Arrival] = field(default_factory=list)
    error: Exception | None = None

    def receive(self, arrival: Arrival, door: Inbound) -> Reply:
        self.arrivals.append(arrival)
        if self.error:
            raise self.error
        opened = None
        try:
            opened = door.open(arrival)
            parse(opened.payload)
        except GatewayError as error:
            refusal = Refusal(message=arrival.id, refused_at=NOW, code=error.code, problems=error.problems)
            return door.answer(opened, refusal)
        return door.answer(opened, _receipt(arrival, opened.payload))


def _receipt(arrival: Arrival, payload: bytes) -> Receipt:
    subject = Subject(document_type="BNN&PTNT0300002", type="10", function="01", reference="R1", year="2026")
    header = Header(id="m1", sender=NSW.identity, receiver=BNN.identity, subject=subject, sent_at=NOW)
    digest = hashlib.sha256(payload).hexdigest()
    return Receipt(
        message=arrival.id,
        header=header,
        sender=NSW.code,
        sha256=digest,
        accepted_at=NOW,
        deliveries=(DeliveryId(DELIVERY),),
        warnings=(Problem(text="web.busy"),),
    )


class FakeQueries:
    """Holds rows; filters as the real one does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.rows = [message_row(MESSAGE), message_row(OTHER_MESSAGE, sender="IPPC", state="refused")]
        self.delivery_rows = [delivery_row()]
        self.asked: dict[str, Any] = {}

    def messages(self, *, cursor: str | None = None, limit: int = 50, **asked: Any) -> Page[MessageRow]:
        self.asked = asked | {"cursor": cursor, "limit": limit}
        if cursor == "0.0":
            raise NotValid(Code.NOT_FOUND, Problem(text="store.cursor"))
        found = [row for row in self.rows if asked["party"] in (None, row.sender)]
        return Page(items=tuple(found[:limit]), next_cursor="123.abc" if len(found) > limit else None)

    def message(self, message: str) -> MessageRow | None:
        return next((row for row in self.rows if row.id == message), None)

    def timeline(self, message: str) -> tuple[Moment, ...]:
        return (Moment(at=NOW, kind="message.accepted", delivery=None, values={"sha256": message}),)

    def deliveries(
        self, *, message: str | None = None, party: str | None = None, state: str | None = None, **more: Any
    ) -> Page[DeliveryRow]:
        self.asked = {n: v for n, v in {"message": message, "party": party, "state": state, **more}.items() if v is not None}
        wanted = {"message": message, "party": party, "state": state}
        found = [r for r in self.delivery_rows if all(v in (None, getattr(r, n)) for n, v in wanted.items())]
        return Page(items=tuple(found), next_cursor=None)

    def delivery(self, delivery: str) -> DeliveryRow | None:
        return next((row for row in self.delivery_rows if row.id == delivery), None)

    def content(self, message: str, part: str = "document") -> bytes | None:
        return {"document": b"<Envelope/>", "body": b"\xff\x00"}.get(part) if message == MESSAGE else None

    def backlogs(self) -> Mapping[str, Backlog]:
        return {"BNN": Backlog(waiting=6, under_way=1, oldest_due=NOW - timedelta(seconds=90))}

    def counts(self) -> Counts:
        return Counts(
            messages={"accepted": 7, "refused": 2},
            deliveries={("BNN", "delivered"): 6, ('ODD"\n', "dead"): 1},
            oldest_due=NOW - timedelta(seconds=90),
        )

    def mailbox(self, party: str) -> Mailbox:
        return Mailbox(waiting=len(party), held=2, set_aside=1, oldest=NOW - timedelta(minutes=5))


@dataclass
class FakeMending:
    """Does what is ordered to the rows of the fake queries."""

    queries: FakeQueries
    acts: list[tuple[str, str, str, str]] = field(default_factory=list)

    def once(self, order: Order, delivery: DeliveryId, *, by: str) -> None:
        row = self.queries.delivery_rows[0]
        if row.state == State.DELIVERED:
            raise Conflict(Code.CONFLICT, Problem(text="mending.wrong-state", values={"delivery": delivery, "state": row.state}))
        self.acts.append((order.act, delivery, by, order.reason))
        to = State.QUEUED if order.act is Act.REPLAY else State.CANCELLED
        self.queries.delivery_rows[0] = replace(row, state=to)


class FakeHistory:
    """Knows of one attempt; keeps who looked at contents."""

    def __init__(self, queries: FakeQueries) -> None:
        self.delivery = queries.delivery
        self.message = queries.message
        self.looked: list[tuple[str, str, str, int | None]] = []
        self.read: list[tuple[str, str, str]] = []

    def attempts(self, _delivery: str) -> tuple[Attempt, ...]:
        made = Attempt(number=1, sent_at=NOW, ended_at=NOW, outcome="failed", code="timeout", status=None, request_digest="ab")
        return (made,)

    def exchanged(self, delivery: DeliveryId, part: str, *, by: str, number: int | None = None) -> bytes:
        self.looked.append((delivery, part, by, number))
        return b"\xff" + part.encode()

    def record_look(self, message: str, part: str, *, by: str) -> None:
        self.read.append((message, part, by))


@dataclass
class FakeMailboxes:
    """Hands out one delivery, and remembers what it was asked."""

    acts: list[tuple[object, ...]] = field(default_factory=list)

    def collect(self, party: PartyCode, *, limit: int, lease: timedelta) -> list[Parcel]:
        self.acts.append(("collect", party, limit, lease))
        claim = Claim(
            delivery=DeliveryId(DELIVERY), token="ab" * 12, until=NOW + lease, state=State.QUEUED, attempt=2, party=party, route="port",
            reference="", message=MessageId(MESSAGE),
        )  # fmt: skip
        return [Parcel(claim=claim, media_type="text/xml", body=b"<Envelope/>", sha256="cd" * 32)]

    def confirm(self, party: PartyCode, delivery: DeliveryId, token: str, *, reference: str = "") -> State:
        self.acts.append(("confirm", party, delivery, token, reference))
        return State.DELIVERED

    def refuse(self, party: PartyCode, delivery: DeliveryId, token: str, *, reason: str) -> State:
        self.acts.append(("refuse", party, delivery, token, reason))
        return State.REJECTED


@dataclass
class FakeHolds:
    """Holds one message, and remembers what it was told."""

    acts: list[tuple[object, ...]] = field(default_factory=list)

    def listed(self, *, released: bool = False) -> tuple[Hold, ...]:
        return (HOLD, replace(HOLD, released_by="key:o", released_at=NOW, release_reason="xong")) if released else (HOLD,)

    def place(self, kind: Kind, value: str, *, by: str, reason: str) -> Hold:
        self.acts.append(("place", kind, value, by, reason))
        return replace(HOLD, kind=kind, value=value, placed_by=by, reason=reason)

    def release(self, hold: str, *, by: str, reason: str) -> Hold:
        self.acts.append(("release", hold, by, reason))
        return replace(HOLD, released_by=by, released_at=NOW, release_reason=reason)


@dataclass
class FakeDestinations:
    """Knows that a party is away, and remembers what it was told."""

    acts: list[tuple[object, ...]] = field(default_factory=list)
    known: tuple[Standing, ...] = (Standing(party=PartyCode("BNN"), open_since=NOW - timedelta(minutes=5), probe_at=NOW),)

    def standings(self) -> tuple[Standing, ...]:
        return self.known

    def pause(self, party: PartyCode, *, until: datetime, by: str, reason: str) -> None:
        self.acts.append(("pause", party, until, by, reason))
        self.known = (Standing(party=party, paused_until=until, paused_by=by, reason=reason),)

    def resume(self, party: PartyCode, *, by: str) -> None:
        if not any(standing.paused_until for standing in self.known):
            raise Conflict(Code.CONFLICT, Problem(text="outbox.not-paused", values={"party": party}))
        self.acts.append(("resume", party, by))
        self.known = ()


class FakeRules:
    """Knows three parties; the gateway's own is the first."""

    own = NSW
    parties = (NSW, BNN, PORT)

    @property
    def current(self) -> "FakeRules":
        return self

    def party(self, spelling: str) -> Party | None:
        return next((p for p in self.parties if spelling == p.code or spelling in p.aliases), None)


@dataclass
class FakeHub:
    """What the web application uses of a hub."""

    settings: Settings
    queries: FakeQueries = field(default_factory=FakeQueries)
    intake: FakeIntake = field(default_factory=FakeIntake)
    rules: FakeRules = field(default_factory=FakeRules)
    problems: list[Problem] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    drained: int = 0
    stopped: int = 0
    learnt: int = 0

    def __post_init__(self) -> None:
        self.mending: Any = FakeMending(self.queries)
        self.history: Any = FakeHistory(self.queries)
        self.mailboxes = FakeMailboxes()
        self.destinations = FakeDestinations()
        self.holds = FakeHolds()
        gap = Gap(since=NOW - timedelta(seconds=40), cause="stamping.refused")
        self.stamps = SimpleNamespace(standing=lambda: Stamped(size=7, until=None, gap=gap))
        self.publications: tuple[Any, ...] = (SimpleNamespace(place=SimpleNamespace(name="witness"), gap=gap),)
        self.doors = {"vnsw": VnswDoor(rules=lambda: self.rules, zone=ZONE, sign=lambda envelope, _: envelope)}
        self.trust = Trust(self.settings.pki)
        self.metrics = CollectorRegistry()
        Counter("nsw_events", "Events.", ("event",), registry=self.metrics).labels("message.accepted").inc()

    def new_id(self) -> MessageId:
        return MessageId(uuid7(NOW, b"0123456789"))

    def clock(self) -> datetime:
        return NOW

    def watch(self, event: str, fields: Mapping[str, object]) -> None:
        self.events.append((event, fields))

    def ready(self) -> list[Problem]:
        return self.problems

    def learn(self) -> None:
        self.learnt += 1

    def held(self) -> tuple[Holding, ...]:
        certificate = self_signed(ec.generate_private_key(ec.SECP256R1()))
        return (Holding(use="party", party="BNN", certificate=certificate, days=12, valid=True),)

    def notices(self) -> list[Problem]:
        return [Problem(text="outbox.party-away", values={"party": "BNN", "since": "2026-12-31 07:55:00"})]

    def drain(self) -> None:
        self.drained += 1

    def stop(self) -> None:
        self.stopped += 1


def message_row(message: str, *, sender: str = "NSW", state: str = "accepted") -> MessageRow:
    refused = state == "refused"
    return MessageRow(
        id=message, state=state, received_at=NOW, door="vnsw", channel="key:portal", sender=sender, receiver="BNN", message_id="m1",
        procedure="BNN&PTNT0300002", type="10", function="01", reference="R1", year="2026", previous="", sha256="ab" * 32,
        schema=None if refused else "BNN&PTNT03000021001", proof=None if refused else "signature",
        signers=({"role": "system", "subject": "CN=NSW"},), schema_pack="1", rule_set="1", procedure_version="1",
        code="not-allowed" if refused else None,
        cause=({"text": "web.origin", "path": "/Envelope", "line": 3},) if refused else (), warnings=(),
    )  # fmt: skip


def delivery_row(*, party: str = "BNN", state: str = "dead") -> DeliveryRow:
    return DeliveryRow(
        id=DELIVERY, message=MESSAGE, party=party, route="ministry", state=state, attempt=3, due_at=None, reference="", cause="timeout",
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, intake_threads=2)


@pytest.fixture
def hub(settings: Settings) -> FakeHub:
    return FakeHub(settings)


@pytest.fixture
def rehub(hub: FakeHub) -> Callable[..., FakeHub]:
    """Make a hub with other settings."""

    def make(**changes: object) -> FakeHub:
        return FakeHub(hub.settings.model_copy(update=changes))

    return make


@pytest.fixture
def calling() -> Iterator[Callable[[FakeHub], Caller]]:
    """Make callers of a hub's application; its threads end with the test."""
    opened: list[FastAPI] = []

    def make(hub: FakeHub) -> Caller:
        app = create_app(cast("Hub", hub))
        opened.append(app)
        return Caller(app)

    yield make
    for app in opened:
        with closing(asyncio.new_event_loop()) as loop:
            loop.run_until_complete(_lifespan_over(app))


async def _lifespan_over(app: FastAPI) -> None:
    async with app.router.lifespan_context(app):
        pass


@pytest.fixture
def call(hub: FakeHub, calling: Callable[[FakeHub], Caller]) -> Caller:
    return calling(hub)


@pytest.fixture
def served(hub: FakeHub) -> Callable[..., list[Any]]:
    """Serve a hub in this thread while clients, one after the other, call it from another; then stop it by a signal."""

    def run(*clients: Callable[[str, int], Any], over: Any = None, host: str = "127.0.0.1") -> list[Any]:
        results: list[Any] = []

        def call(url: str) -> None:
            port = int(url.rpartition(":")[2])
            try:
                results.extend(client(host, port) for client in clients)
            except BaseException as error:  # noqa: BLE001  # told to the test below
                results.append(error)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        serve(cast("Hub", over or hub), host=host, port=0, on_ready=lambda url: threading.Thread(target=call, args=(url,)).start())
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    return run
