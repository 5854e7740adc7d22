"""The examples run as their readers will run them."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.lifecycle import Deferred, Delivered, Failed, Rejected
from gateway.model import Reply
from gateway.security.signer import sign_person, sign_system
from gateway.testing import builders
from gateway.testing.applicant import declarant_key, party_key
from gateway.testing.conformance.adapter_suite import CHECKS, Subject
from gateway.testing.gateway import RunningGateway
from gateway.xml import soap
from gateway.xml.canonical import canonical
from gateway.xml.parse import parse

EXAMPLES = Path(__file__).parents[2] / "examples"


def loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def agency() -> Any:
    return loaded("plain_agency").ADAPTER


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("home")) as running:
        yield running


def sent(gateway: RunningGateway, envelope: Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(EXAMPLES / "send_application.py"), str(envelope), f"{gateway.url}/ws/gateway.wsdl"]
    return subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)


def answered(child: bytes, *, status: int = 200) -> Reply:
    return Reply(status=status, body=soap.wrap(child, version="1.1"))


def test_a_signed_application_is_received(gateway: RunningGateway, tmp_path: Path) -> None:
    plain = canonical(parse((EXAMPLES / "application.xml").read_bytes()))
    signed = tmp_path / "signed.xml"
    signed.write_bytes(sign_system(sign_person(plain, declarant_key(gateway.pki)), party_key(gateway.pki)))

    run = sent(gateway, signed)

    assert (run.returncode, run.stdout[:2]) == (0, "99"), run.stderr


def test_an_unsigned_application_is_refused_with_its_reason(gateway: RunningGateway) -> None:
    run = sent(gateway, EXAMPLES / "application.xml")

    assert (run.returncode, run.stdout[:2]) == (1, "00"), run.stderr
    assert "ERR00_CODE" in run.stdout


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_plain_agency_passes_the_adapter_suite(agency: Any, check: Any) -> None:
    route = builders.route(builders.party("PARTNER", adapter="plain_agency"), endpoint="http://agency.test/ws")

    check(Subject(name="plain_agency", adapter=agency, route=route, envelopes=[builders.envelope(kind) for kind in builders.KINDS]))


def test_the_plain_agency_gets_the_content_alone(agency: Any) -> None:
    request = agency.encode(builders.envelope("21/18"), builders.route())

    assert [child.tag for child in soap.unwrap(request.body).child] == ["PhytosanitaryCer"]


@pytest.mark.parametrize(
    ("child", "outcome"),
    [
        (b'<Taken number="42"/>', Delivered(reference="42")),
        (b"<Refused>no such goods</Refused>", Rejected(reason="no such goods")),
        (b"<Busy/>", Deferred(for_=timedelta(minutes=1))),
        (b"<Thanks/>", Failed(code="reply-unreadable")),
    ],
)
def test_the_plain_agencys_answers_become_outcomes(agency: Any, child: bytes, outcome: object) -> None:
    assert agency.decode(answered(child)) == outcome
