from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.lifecycle import Delivered, Failed, Outcome, Rejected
from gateway.model import Reply, Request
from gateway.protocols.vnsw import client
from gateway.protocols.vnsw.dialects import ANY_NS, DIALECTS, GATEWAY, MARD, Dialect
from gateway.protocols.vnsw.wrapping import response
from gateway.testing import builders
from gateway.testing.journal import Journal, SimRequest
from gateway.testing.simulator import SimContext
from gateway.testing.vnsw import Call, Partner
from gateway.xml import soap

DOSSIER = replace(GATEWAY, name="health-ministry", namespace="urn:health", payload="dossierXml", result="resultXml")
AGREED = [replace(dialect, namespace="urn:agreed") if dialect.namespace == ANY_NS else dialect for dialect in DIALECTS]
every = pytest.mark.parametrize("dialect", [*AGREED, DOSSIER], ids=lambda dialect: dialect.name)


@pytest.fixture
def context() -> SimContext:
    return SimContext(gateway="", pki=None, journal=Journal(None), clock=lambda: builders.SENT_AT)


def nothing(_call: Call, _context: SimContext) -> None:
    return None


def partner(dialect: Dialect, objection: Callable[[Call, SimContext], str | None] = nothing) -> Partner:
    return Partner(dialect, lambda envelope: soap.wrap(response(dialect, envelope), version="1.1"), objection)


def asked(request: Request) -> SimRequest:
    return SimRequest(method="POST", path="/ws", headers={}, body=request.body)


def request(dialect: Dialect) -> SimRequest:
    return asked(client.encode(dialect, builders.envelope("21/18"), builders.route()))


def outcome(dialect: Dialect, to: Partner, context: SimContext) -> Outcome:
    reply = to.handle(request(dialect), context)
    return client.decode(dialect, Reply(status=reply.status, body=reply.body))


@every
def test_an_agency_takes_what_is_written_in_its_dialect(dialect: Dialect, context: SimContext) -> None:
    assert isinstance(outcome(dialect, partner(dialect), context), Delivered)


@every
def test_an_agency_recognises_a_message_in_its_dialect(dialect: Dialect) -> None:
    assert partner(dialect).mark(request(dialect)).id == builders.envelope("21/18").header.id


@every
def test_an_agency_says_its_reason_in_its_own_names(dialect: Dialect, context: SimContext) -> None:
    refusing = partner(dialect, lambda _call, _context: "ERR05_CODE Nội dung trống")

    assert outcome(dialect, refusing, context) == Rejected(reason="ERR05_CODE: Nội dung trống")
    assert dialect.answers.code.encode() in refusing.handle(request(dialect), context).body


@pytest.mark.parametrize(
    ("served", "missing"), [(replace(DOSSIER, payload="otherXml"), "otherXml"), (MARD, "receiveRequest")], ids=["payload", "operation"]
)
def test_a_call_in_another_dialect_is_a_fault_that_names_what_was_missed(served: Dialect, missing: str, context: SimContext) -> None:
    found = outcome(DOSSIER, partner(served), context)

    assert isinstance(found, Failed)
    assert missing in found.detail
    assert not partner(served).mark(request(DOSSIER)).id
