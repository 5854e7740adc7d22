import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import pytest

from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.security.devpki import generate
from gateway.testing import builders, simulate, vnsw
from gateway.testing.client import post
from gateway.testing.contents import Consignment
from gateway.testing.journal import SimReply, SimRequest
from gateway.testing.simulator import RunningSimulator, SimContext, Simulator

MARD = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><receive xmlns="http://mard.gov.vn/nsw/services">'
    '<receiveRequest xmlns:a="http://mard.gov.vn/nsw/data/contract"><a:requestPayload>{}</a:requestPayload></receiveRequest>'
    "</receive></s:Body></s:Envelope>"
)
DECISIONS = ["13/07", "18/14", "21/18"]


class StandIn:
    """A gateway's door: notes which message came and answers as the test says."""

    def __init__(self, answers: Callable[[str, int], SimReply]) -> None:
        self.came: Queue[vnsw.Call] = Queue()
        self._answers, self._count = answers, 0
        self.partner = vnsw.Partner(GATEWAY, self.wrap, lambda _call, _context: None)

    def wrap(self, envelope: bytes) -> bytes:
        text = envelope.decode().replace("&", "&amp;").replace("<", "&lt;")
        return (
            f'<s:Envelope xmlns:s="{builders.SOAP11}"><s:Body><receiveResponse xmlns="{builders.GATEWAY_NS}">'
            f"<responsePayload>{text}</responsePayload></receiveResponse></s:Body></s:Envelope>"
        ).encode()

    def handle(self, request: SimRequest, context: SimContext) -> SimReply:
        call = vnsw.read_call(request, GATEWAY)
        self._count += 1
        reply = self._answers(f"{call.header.subject.type}/{call.header.subject.function}", self._count)
        if reply.effect:
            self.came.put(call)
            return self.partner.handle(request, context)
        return reply

    def next(self) -> vnsw.Call:
        return self.came.get(timeout=10)


def taking(_kind: str, _count: int) -> SimReply:
    return SimReply()


@pytest.fixture
def door() -> Iterator[tuple[StandIn, RunningSimulator]]:
    stand_in = StandIn(taking)
    with Simulator("gateway", stand_in.handle).start() as running:
        yield stand_in, running


def apply(agency: RunningSimulator, consignment: Consignment, kind: str = "10/01") -> vnsw.Answer:
    text = builders.message(kind, consignment).decode().replace("&", "&amp;").replace("<", "&lt;")
    return vnsw.read_answer(post(agency.url, MARD.format(text).encode(), vnsw.SOAP_REQUEST, timeout=5).body)


def kind_of(call: vnsw.Call) -> str:
    return f"{call.header.subject.type}/{call.header.subject.function}"


def test_the_ministry_takes_an_application_and_sends_three_decisions_in_order(door: tuple[StandIn, RunningSimulator]) -> None:
    stand_in, gateway = door
    with simulate.load("agriculture").start(gateway=gateway.url) as ministry:
        assert apply(ministry, Consignment(number=5, goods=2)).function == "99"
        calls = [stand_in.next() for _ in DECISIONS]

    assert [kind_of(call) for call in calls] == DECISIONS
    assert {call.header.subject.reference for call in calls} == {Consignment(number=5).file_code}
    assert {(call.header.sender.identity, call.header.receiver.identity) for call in calls} == {("BNN", "NSW")}
    assert len({call.header.id for call in calls}) == 3


def test_the_decisions_are_about_what_was_applied_for(door: tuple[StandIn, RunningSimulator]) -> None:
    stand_in, gateway = door
    with simulate.load("agriculture").start(gateway=gateway.url) as ministry:
        apply(ministry, Consignment(number=5, goods=2))
        certificate = [stand_in.next() for _ in DECISIONS][-1]

    products = [product.text for product in certificate.root.iter("ProductName")]
    assert products == ["Quả thanh long ruột trắng tươi", "Quả xoài cát Hòa Lộc tươi"]


def test_a_repeated_application_draws_no_second_decision(door: tuple[StandIn, RunningSimulator]) -> None:
    stand_in, gateway = door
    with simulate.load("agriculture").start(gateway=gateway.url) as ministry:
        first, second = apply(ministry, Consignment(number=5)), apply(ministry, Consignment(number=5))
        apply(ministry, Consignment(number=6))
        references = [stand_in.next().header.subject.reference for _ in range(6)]

    assert first == second
    assert sorted(references) == [Consignment(number=5).file_code] * 3 + [Consignment(number=6).file_code] * 3


def test_a_decision_is_sent_until_it_is_received_and_keeps_its_id() -> None:
    ids: list[str] = []

    def refusing_twice(kind: str, count: int) -> SimReply:
        ids.append(kind)
        return SimReply(effect=count > 2, status=200 if count > 2 else 503)

    stand_in = StandIn(refusing_twice)
    with (
        Simulator("gateway", stand_in.handle).start() as gateway,
        simulate.load("agriculture").start(gateway=gateway.url) as ministry,
    ):
        apply(ministry, Consignment(number=5))
        calls = [stand_in.next() for _ in DECISIONS]

        assert ids == ["13/07", "13/07", "13/07", "18/14", "21/18"]
        assert [kind_of(call) for call in calls] == DECISIONS


def test_a_restarted_ministry_takes_up_what_it_owes_under_the_same_ids(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []

    def run(stand_in: StandIn, wait: int) -> None:
        with (
            Simulator("gateway", stand_in.handle).start() as gateway,
            simulate.load("agriculture").start(gateway=gateway.url, folder=tmp_path) as ministry,
        ):
            apply(ministry, Consignment(number=5))
            for _ in range(wait):
                call = stand_in.next()
                seen.append((kind_of(call), call.header.id))

    run(StandIn(lambda kind, _count: SimReply(effect=kind == "13/07", status=503)), 1)
    run(StandIn(taking), 3)

    assert [kind for kind, _ in seen] == ["13/07", *DECISIONS]
    assert seen[0] == seen[1]


def test_other_messages_are_taken_and_decided_by_nobody(door: tuple[StandIn, RunningSimulator]) -> None:
    stand_in, gateway = door
    with simulate.load("agriculture").start(gateway=gateway.url) as ministry:
        assert apply(ministry, Consignment(number=5), kind="18/14").function == "99"
        apply(ministry, Consignment(number=6))

        assert stand_in.next().header.subject.reference == Consignment(number=6).file_code


def test_the_portal_submits_a_signed_application_when_told_to(tmp_path: Path, door: tuple[StandIn, RunningSimulator]) -> None:
    stand_in, gateway = door
    generate(tmp_path, now=datetime.now(UTC))
    with simulate.load("portal").start(gateway=gateway.url, pki=tmp_path) as portal:
        done = post(portal.url + "/_do/send-application", b'{"number": 8, "goods": 1}', {}, timeout=10)
        sent = portal.report()["sent"]

    call = stand_in.next()
    told = json.loads(done.body)
    assert (done.status, told["function"], told["message_id"]) == (200, "99", call.header.id)
    assert call.root.find("Body/Signature/*") is not None
    assert call.root.find("SystemSignature/*") is not None
    assert isinstance(sent, list)
    assert [line["id"] for line in sent] == [call.header.id]


@pytest.mark.parametrize("order", [b'{"number": -1}', b'{"number": "eight"}', b"[]", b"{"])
def test_the_portal_refuses_an_order_it_cannot_follow(order: bytes, tmp_path: Path) -> None:
    generate(tmp_path, now=datetime.now(UTC))
    with simulate.load("portal").start(gateway="http://127.0.0.1:1", pki=tmp_path) as portal:
        assert post(portal.url + "/_do/send-application", order, {}, timeout=10).status == 400


def test_the_portal_says_when_it_has_no_keys() -> None:
    with simulate.load("portal").start(gateway="http://127.0.0.1:1") as portal:
        assert post(portal.url + "/_do/send-application", b"{}", {}, timeout=10).status == 400


def test_the_portal_says_when_nobody_answers(tmp_path: Path) -> None:
    generate(tmp_path, now=datetime.now(UTC))
    with Simulator("closed", lambda _request, _context: SimReply()).start() as closed:
        closed.control(mode="down")
        with simulate.load("portal").start(gateway=closed.url, pki=tmp_path) as portal:
            assert post(portal.url + "/_do/send-application", b"{}", {}, timeout=10).status == 502
