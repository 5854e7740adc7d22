"""Whatever comes in, intake answers it: real door, prover, judge and rules, in process, over the outbox in memory.

Envelopes are broken as bytes and as trees, unsigned ones of the ministry and ones that the portal signed after they were broken, so
that strangeness reaches the judge and the router instead of ending at the first check.
"""

import copy
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.installed import discover, load_rules, load_schemas, open_door
from gateway.intake import Intake
from gateway.model import Arrival, Channel, MessageId, Reply, uuid7
from gateway.outbox.memory import MemoryOutbox
from gateway.ports import Inbound
from gateway.routing.judge import Judge
from gateway.security.devpki import generate
from gateway.security.keys import SigningKey
from gateway.security.prover import Prover
from gateway.security.sealer import EnvelopeSealer
from gateway.security.signer import sign_person, sign_system
from gateway.security.trust import Trust
from gateway.testing import builders
from gateway.testing.applicant import declarant_key, party_key
from gateway.testing.contents import Consignment
from gateway.testing.vnsw import read_answer
from gateway.web.doors.rest import RestDoor
from gateway.xml.canonical import canonical

NOW = datetime(2026, 10, 12, 2, 30, tzinfo=UTC)
LOOPBACK = Channel(kind="network", name="127.0.0.1")
KINDS = tuple(builders.KINDS)
MEDIA_TYPES = {"1.1": "text/xml; charset=utf-8", "1.2": "application/soap+xml; charset=utf-8"}
WAYS = ("1.1", "1.2", "rest")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what no client's XML library lets through
NAMES = ("X", "{urn:x}Content", "{http://www.w3.org/2000/09/xmldsig#}Signature", "Lỗi")
ATTRIBUTES = ("Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id", "{http://www.w3.org/2001/XMLSchema-instance}nil")
ANY_PACE = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
A_FEW = settings(ANY_PACE, max_examples=150, derandomize=True)
TEN_THOUSAND = settings(ANY_PACE, max_examples=10_000)
TOKENS = (
    b"<", b">", b"&", b"]]>", b"<![CDATA[", b"<!--", b"--><", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<?xml version='1.0' encoding='UTF-16'?>",
    b"<?x y?>", b"&lt;", b"&amp;lt;", b"&#0;", b"&#xD800;", b"&#10;", b"&unknown;", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\r\n",
    b"</Body>", b"</Envelope>", b"<Content>", b"<Signature>x</Signature>", b"<SystemSignature/>", b' Id="x"', b' xml:id="x"',
    b' xmlns="urn:x"', b' xmlns:a="urn:a"', b' xmlns="relative"', b' xsi:type="a:b"', "Giấy phép \u0301 \U0001f4a5".encode(), b"9" * 40,
)  # fmt: skip
TEXTS = (
    "", " ", "-1", "0", "00", "1", "999", "1e400", "NaN", "٣", "2026-02-30", "2026-13-01 25:61:61", "0001-01-01", "9999-12-31T23:59:59",
    "99999-01-01", "BNN", "NSW", "VNSW-GW", "bnn", "BNN&PTNT0300002", "BNN&amp;amp;PTNT0300002", "../../etc/passwd", "${jndi:ldap://x}",
    "' OR 1=1 --", "%s%n", "{0.__class__}", "a" * 300, "a" * 2_000, "\u200b\u202e", "ả\u0309", "\n\t\n", "]]>", "<a/>",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Intake put together as bootstrap does it, but without a disk."""

    intake: Intake
    soap: Inbound
    portal: SigningKey
    declarant: SigningKey
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def receive(self, door: Inbound, body: bytes, media_type: str) -> Reply:
        """Bring bytes in at a door, from loopback."""
        number = MessageId(uuid7(NOW, next(self.numbers).to_bytes(10)))
        arrival = Arrival(
            id=number, received_at=NOW, channel=LOOPBACK, door="test", path="/ws", media_type=media_type, body=body
        )  # fmt: skip
        return self.intake.receive(arrival, door)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    chosen = Settings(home=tmp_path_factory.mktemp("bench"))
    generate(chosen.pki, now=datetime.now(UTC), parties=("NSW", "BNN"))
    adapters, schemas = discover(), load_schemas(chosen)
    rules = load_rules(chosen, schemas, adapters)
    trust = Trust(chosen.pki)
    sealer = EnvelopeSealer(trust.own_key(), lambda: NOW)
    outbox = MemoryOutbox(clock=lambda: NOW, entropy=os.urandom)
    intake = Intake(
        prover=Prover(trust, lambda: datetime.now(UTC), rules.current.zone),
        judge=Judge(schemas),
        rules=lambda: rules.current,
        outbox=outbox,
        clock=lambda: NOW,
        entropy=os.urandom,
        watch=lambda _event, _fields: None,
    )
    door = open_door(lambda: rules.current, adapters, sign=sealer.sign)
    return Bench(intake=intake, soap=door, portal=party_key(chosen.pki), declarant=declarant_key(chosen.pki))


# --- strange envelopes ---------------------------------------------------------------------------------------------

Cut = tuple[int, int, bytes | None]  # where (in thousandths), how much is taken out, and what is put in (None: twice what was there)
Change = Callable[[st.DrawFn, Any, Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strange:
    """A strange call: an envelope, who signs it, what is done to the signed bytes, and which way they come in."""

    envelope: bytes
    signers: tuple[str, ...]
    cuts: tuple[Cut, ...]
    way: str


@st.composite
def strange(draw: st.DrawFn) -> Strange:
    """Break a good message as a tree, as bytes, both or not at all."""
    kind, way = draw(st.sampled_from(KINDS)), draw(st.sampled_from(WAYS))
    number = 1_000 * WAYS.index(way) + draw(st.integers(0, 50))  # a repeat comes the way the first came
    good = builders.message(kind, Consignment(number=number))
    signers = draw(st.sampled_from([(), ("system",), ("person",), ("person", "system")])) if kind == "10/01" else ()
    return Strange(
        envelope=draw(st.one_of(st.just(good), broken_tree(good), broken_tree(good))),
        signers=signers,
        cuts=tuple(draw(st.one_of(st.just([]), st.lists(CUTS, max_size=4)))),
        way=way,
    )


@st.composite
def broken_tree(draw: st.DrawFn, data: bytes) -> bytes:
    """Change up to four elements."""
    root = etree.fromstring(data)
    for _ in range(draw(st.integers(1, 4))):
        elements = list(root.iter())
        draw(st.sampled_from(CHANGES))(draw, root, elements[draw(st.integers(0, len(elements) - 1))])
    return canonical(root)


def never(_document: bytes, profile: str) -> bytes:
    """Stand for what signs beside an answer: no party here takes such signatures."""
    raise AssertionError(profile)


REST = RestDoor(sign=never)


def drop(_draw: st.DrawFn, root: Any, element: Any) -> None:
    if element is not root:
        element.getparent().remove(element)


def double(_draw: st.DrawFn, root: Any, element: Any) -> None:
    if element is not root:
        element.addnext(copy.deepcopy(element))


def move(draw: st.DrawFn, root: Any, element: Any) -> None:
    places = [e for e in root.iter() if e is not element and element not in e.iterancestors()]
    if element is not root and places:
        places[draw(st.integers(0, len(places) - 1))].append(element)


def rename(draw: st.DrawFn, root: Any, element: Any) -> None:
    element.tag = draw(st.sampled_from([*(e.tag for e in root.iter()), *NAMES]))


def mark(draw: st.DrawFn, _root: Any, element: Any) -> None:
    element.set(draw(st.sampled_from(ATTRIBUTES)), draw(st.sampled_from(["x", "", "a b", "1", "true", "#"])))


def write(draw: st.DrawFn, _root: Any, element: Any) -> None:
    element.text = draw(st.one_of(st.sampled_from(TEXTS), FREE_TEXT))


CHANGES: tuple[Change, ...] = (drop, double, move, rename, mark, write, write, write)
CUTS = st.tuples(st.integers(0, 1000), st.integers(0, 40), st.one_of(st.none(), st.sampled_from(TOKENS), st.binary(max_size=6)))
FREE_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=30)


def written(bench: Bench, call: Strange) -> bytes:
    """Sign what can still be signed, then cut."""
    data = call.envelope
    with suppress(GatewayError):  # what the signer refuses goes unsigned
        data = sign_person(data, bench.declarant) if "person" in call.signers else data
        data = sign_system(data, bench.portal) if "system" in call.signers else data
    return cut(data, call.cuts)


def cut(data: bytes, cuts: Iterable[Cut]) -> bytes:
    """Cut, double or overwrite places."""
    for place, length, filling in cuts:
        start = len(data) * place // 1000
        taken = data[start : start + length]
        data = data[:start] + (taken * 2 if filling is None else filling) + data[start + length :]
    return data


# --- what every answer must be ---------------------------------------------------------------------------------------


def check_soap(reply: Reply, version: str) -> str:
    """A 99 or 00 envelope, or the caller's own fault; never the gateway's."""
    root = etree.fromstring(reply.body)
    if reply.status == 200:
        answer = read_answer(reply.body)
        assert answer.function in ("99", "00"), reply.body
        assert (answer.function == "99") != bool(answer.errors), reply.body
        for code, reason in answer.errors:
            assert re.fullmatch(r"ERR0[0-5]_CODE", code), reply.body
            assert reason.strip(), reply.body
            assert len(reason) < 2000, reply.body
        return answer.function
    namespace = {"1.1": builders.SOAP11, "1.2": builders.SOAP12}[version]
    codes = [e.text for e in root.iter("faultcode", f"{{{namespace}}}Value")]
    assert (reply.status, *codes) == {"1.1": (500, "soap:Client"), "1.2": (400, "soap:Sender")}[version], reply.body
    return "fault"


def check_rest(reply: Reply) -> str:
    """A receipt, or a problem that says in both languages what is wrong."""
    document = json.loads(reply.body)
    if reply.status == 202:
        return "99"
    assert reply.status in (400, 403, 409, 422), reply.body
    assert all(problem["message_vi"] and problem["message_en"] for problem in document["errors"]), reply.body
    assert re.fullmatch(r"ERR0[0-5]_CODE", document["vnsw_code"]), reply.body
    return "00"


def answered(bench: Bench, call: Strange) -> str:
    """Bring a strange call in; says what came of it."""
    envelope = written(bench, call)
    if call.way == "rest":
        return check_rest(bench.receive(REST, envelope, "application/xml"))
    return check_soap(bench.receive(bench.soap, wrapped(envelope, call.way), MEDIA_TYPES[call.way]), call.way)


def wrapped(envelope: bytes, version: str) -> bytes:
    """Wrap an envelope as a client does whose XML library lets no impossible character through."""
    text = NOT_XML.sub("?", envelope.decode("utf-8", "replace")).encode()
    return builders.soap(text, client=builders.CLIENTS[len(envelope) % len(builders.CLIENTS)], version=version)


@A_FEW
@given(call=strange())
def test_every_strange_envelope_is_answered(bench: Bench, call: Strange) -> None:
    assert answered(bench, call)


@pytest.mark.slow
@TEN_THOUSAND
@given(call=strange())
def test_ten_thousand_strange_envelopes_are_answered(bench: Bench, call: Strange) -> None:
    assert answered(bench, call)


@A_FEW
@given(call=strange(), cuts=st.lists(CUTS, min_size=1, max_size=4))
def test_every_strange_soap_message_is_answered(bench: Bench, call: Strange, cuts: list[Cut]) -> None:
    version = "1.2" if call.way == "1.2" else "1.1"

    reply = bench.receive(bench.soap, cut(wrapped(call.envelope, version), cuts), MEDIA_TYPES[version])

    assert check_soap(reply, "1.2" if b"soap-envelope" in reply.body else "1.1")


@pytest.mark.parametrize("kind", KINDS)
def test_the_messages_that_are_broken_here_are_good_before(bench: Bench, kind: str) -> None:
    signers = ("person", "system") if kind == "10/01" else ()
    call = Strange(envelope=builders.message(kind, Consignment(number=99)), signers=signers, cuts=(), way="1.1")

    assert answered(bench, call) == "99"


def test_strange_envelopes_are_of_every_kind(bench: Bench) -> None:
    outcomes = set()

    @A_FEW
    @given(call=strange())
    def collect(call: Strange) -> None:
        outcomes.add(answered(bench, call))

    collect()

    assert outcomes == {"99", "00"}
