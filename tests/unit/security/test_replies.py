"""What a partner answered: proved where it is signed, and held to what was sent."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import NotProven
from gateway.lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected
from gateway.model import Envelope, Reply, Request, Route
from gateway.ports import Profile
from gateway.protocols.vnsw import client
from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.security import beside, cms
from gateway.security.prover import Prover
from gateway.security.replies import Sent, check_signed, prove_reply
from gateway.testing import builders
from gateway.testing.evidence import receipt
from gateway.testing.signing import NOW, ZONE, Bench

PORTAL = builders.party("NSW")
ROUTE = builders.route(PORTAL)


class Agency:
    """An adapter that counts how often it is asked for what was sent, and for what is signed."""

    def __init__(self, *, replies_signed: bool = False) -> None:
        self.profile = Profile(name="agency", protocol="vnsw", specification="", replies_signed=replies_signed)
        self.asked: list[str] = []

    def encode(self, envelope: Envelope, route: Route) -> Request:
        self.asked.append("encode")
        return client.encode(GATEWAY, envelope, route)

    def decode(self, reply: Reply) -> Outcome:
        return client.decode(GATEWAY, reply)

    def signed_part(self, reply: Reply) -> bytes | None:
        self.asked.append("signed_part")
        return client.signed_part(GATEWAY, reply)


def what_was_sent(agency: Agency) -> Sent:
    return Sent(to=PORTAL, adapter=agency, message=lambda: agency.encode(builders.envelope(), ROUTE))


def proved(bench: Bench, agency: Agency, answer: bytes) -> tuple[bytes, bool]:
    prover = Prover(bench.trust, lambda: NOW, ZONE)
    read, signed = prove_reply(Reply(status=200, body=answer), what_was_sent(agency), prover)
    return read.body, signed


def answered(bench: Bench, *, signed: bool = True, reference: str = "") -> bytes:
    sent = builders.envelope().document.content
    return receipt(sent, bench.portal if signed else None, number="7", at=NOW, reference=reference)


def test_reply_that_nobody_signed_is_passed_on_without_a_look_inside(bench: Bench) -> None:
    agency, answer = Agency(), answered(bench, signed=False)

    assert proved(bench, agency, answer) == (answer, False)
    assert agency.asked == []


def test_signed_reply_is_compared_with_what_was_sent_which_is_written_once(bench: Bench) -> None:
    agency, answer = Agency(), answered(bench)

    assert proved(bench, agency, answer) == (answer, True)
    assert agency.asked == ["signed_part", "encode"]


def test_sig_33_signed_reply_about_another_message_is_refused_by_that_number(bench: Bench) -> None:
    with pytest.raises(NotProven) as refused:
        proved(bench, Agency(), answered(bench, reference="another"))

    assert (refused.value.problems[0].values["check"], refused.value.problems[0].values["found"]) == ("33", "reference")


def test_document_beside_its_signature_is_what_the_adapter_reads(bench: Bench) -> None:
    agency, answer = Agency(), b'{"state": "accepted"}'

    assert proved(bench, agency, beside.write(answer, cms.sign(answer, bench.portal, at=NOW))) == (answer, True)
    assert agency.asked == ["signed_part"]


@pytest.mark.parametrize("verdict", [Delivered(), Accepted(reference="T"), Rejected(reason="x")])
@pytest.mark.parametrize("by", ["adapter", "party"])
def test_sig_26_verdict_that_nobody_signed_is_refused_by_that_number(verdict: Outcome, by: str) -> None:
    sent = what_was_sent(Agency(replies_signed=by == "adapter"))
    sent = replace(sent, to=replace(PORTAL, sends=replace(PORTAL.sends, replies_signed=by == "party")))

    with pytest.raises(NotProven) as refused:
        check_signed(verdict, sent, signed=False)

    assert refused.value.problems[0].values == {"check": "26", "sender": "NSW"}


@pytest.mark.parametrize(
    ("outcome", "demanded", "signed"),
    [
        (Delivered(), True, True),
        (Delivered(), False, False),
        (Failed(code="x"), True, False),
        (Deferred(for_=timedelta(seconds=3)), True, False),
    ],
)
def test_what_is_signed_not_demanded_or_no_verdict_stands(outcome: Outcome, *, demanded: bool, signed: bool) -> None:
    agency = Agency(replies_signed=demanded)

    check_signed(outcome, what_was_sent(agency), signed=signed)

    assert agency.asked == []
