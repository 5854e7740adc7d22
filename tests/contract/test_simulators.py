"""Each adapter meets the simulated agency of its name: what one writes the other takes, over a real connection."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Unavailable
from gateway.lifecycle import Accepted, Delivered, Failed, Outcome, Rejected
from gateway.model import Request
from gateway.security.devpki import generate
from gateway.security.keys import load_key
from gateway.security.sealer import EnvelopeSealer
from gateway.testing import applicant, builders, simulate
from gateway.testing.contents import Consignment
from gateway.testing.simulator import RunningSimulator
from gateway.transport.http import HttpTransport

AGENCIES = simulate.names()
SIGNED = {"portal": "NSW", "customs": "TCHQ"}  # agencies whose party accepts signatures
TIMEOUT = timedelta(seconds=10)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("pki")
    generate(folder, now=datetime.now(UTC))
    return folder


@pytest.fixture
def agency(request: pytest.FixtureRequest, pki: Path) -> Iterator[RunningSimulator]:
    with simulate.load(request.param).start(pki=pki) as running:
        yield running


def encoded(agency: RunningSimulator, *, kind: str = "", payload: bytes | None = None) -> Request:
    """What the agency's adapter writes for it."""
    name = agency.simulator.name
    adapter = entry_points(group="nsw_gateway.adapters")[name].load()
    party = builders.party(SIGNED.get(name, name), adapter=name, signature="xmldsig" if name in SIGNED else "none")
    accepted = builders.envelope(kind or ("10/01" if name == "agriculture" else "21/18"), payload=payload)
    request: Request = adapter.encode(accepted, builders.route(party, endpoint=agency.url + "/ws"))
    return request


def delivered(agency: RunningSimulator, request: Request, pki: Path) -> Outcome:
    sealer = EnvelopeSealer(load_key(pki / "gateway.key.pem", pki / "gateway.cert.pem"), lambda: datetime.now(UTC))
    adapter = entry_points(group="nsw_gateway.adapters")[agency.simulator.name].load()
    with HttpTransport() as transport:
        outcome: Outcome = adapter.decode(transport.send(sealer.seal(request), timeout=TIMEOUT))
    return outcome


@pytest.mark.parametrize("agency", AGENCIES, indirect=True)
def test_an_agency_takes_what_its_adapter_writes(agency: RunningSimulator, pki: Path) -> None:
    outcome = delivered(agency, encoded(agency), pki)

    assert isinstance(outcome, Delivered | Accepted)
    assert len(agency.context.journal.effects()) == 1


@pytest.mark.parametrize("agency", AGENCIES, indirect=True)
def test_a_repeat_gets_the_same_outcome_and_one_effect(agency: RunningSimulator, pki: Path) -> None:
    first, second = (delivered(agency, encoded(agency), pki) for _ in range(2))

    assert first == second
    assert len(agency.context.journal.effects()) == 1
    assert len(agency.context.journal.arrivals()) == 2


@pytest.mark.parametrize("agency", AGENCIES, indirect=True)
def test_a_wrong_answer_is_a_failure_that_is_tried_again(agency: RunningSimulator, pki: Path) -> None:
    agency.control(mode="wrong")

    assert isinstance(delivered(agency, encoded(agency), pki), Failed)

    agency.control(mode="up")
    assert isinstance(delivered(agency, encoded(agency), pki), Delivered | Accepted)


@pytest.mark.parametrize("agency", AGENCIES, indirect=True)
def test_a_dead_agency_is_unavailable(agency: RunningSimulator, pki: Path) -> None:
    agency.control(mode="down")

    with pytest.raises(Unavailable):
        delivered(agency, encoded(agency), pki)


@pytest.mark.parametrize("agency", AGENCIES, indirect=True)
@pytest.mark.parametrize("body", [b"", b"<a/>", b"\xff\xfe", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", builders.soap(b"<Envelope/>")])
def test_what_is_no_message_has_no_effect(agency: RunningSimulator, body: bytes, pki: Path) -> None:
    outcome = delivered(agency, replace(encoded(agency), body=body, seal=None), pki)

    assert not isinstance(outcome, Delivered | Accepted)
    assert agency.context.journal.effects() == []


@pytest.mark.parametrize("agency", sorted(SIGNED), indirect=True)
def test_an_agency_that_accepts_signatures_refuses_an_unsigned_envelope(agency: RunningSimulator, pki: Path) -> None:
    request = encoded(agency)
    assert request.seal is not None

    outcome = delivered(agency, replace(request, body=request.seal.wrap(request.seal.document), seal=None), pki)

    assert isinstance(outcome, Rejected)
    assert "ERR00_CODE" in outcome.reason


@pytest.mark.parametrize("agency", sorted(SIGNED), indirect=True)
def test_an_agency_that_accepts_signatures_refuses_an_altered_envelope(agency: RunningSimulator, pki: Path) -> None:
    sealer = EnvelopeSealer(load_key(pki / "gateway.key.pem", pki / "gateway.cert.pem"), lambda: datetime.now(UTC))
    sealed = sealer.seal(encoded(agency))
    altered = replace(sealed, body=sealed.body.replace(b"Rotterdam", b"Antwerpen"))
    assert altered.body != sealed.body

    assert isinstance(delivered(agency, altered, pki), Rejected)


@pytest.mark.parametrize("agency", ["portal"], indirect=True)
def test_the_declarants_signature_survives_being_forwarded(agency: RunningSimulator, pki: Path) -> None:
    application = applicant.signed_application(pki, Consignment(), sent_at=builders.SENT_AT)

    outcome = delivered(agency, encoded(agency, kind="10/01", payload=application), pki)

    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize("agency", ["agriculture"], indirect=True)
def test_the_ministry_refuses_what_its_schemas_do_not_know(agency: RunningSimulator, pki: Path) -> None:
    application = applicant.signed_application(pki, Consignment(), sent_at=builders.SENT_AT)
    plain: Any = encoded(agency)
    signed = replace(plain, body=plain.body.replace(b"&lt;/Envelope&gt;", b"&lt;SystemSignature/&gt;&lt;/Envelope&gt;"))

    assert isinstance(delivered(agency, signed, pki), Rejected)
    assert isinstance(delivered(agency, encoded(agency, payload=application), pki), Delivered)
