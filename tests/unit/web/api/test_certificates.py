import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import Code, NotProven, Problem
from gateway.model import PartyCode
from gateway.security.certificates import Certificate
from gateway.security.enrolment import Asked
from gateway.testing.signing import self_signed
from gateway.web.keys import hash_key

Call = Callable[..., Any]

CERTIFICATES = "/api/v1/certificates"
REQUEST = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
CERTIFICATE = self_signed(ec.generate_private_key(ec.SECP256R1()))
NEXT = {"certificate": "-----BEGIN CERTIFICATE-----\n", "signature": b64encode(b"signed").decode()}
ASKED = Asked(
    id=REQUEST, party=PartyCode("BNN"), csr="pem", sha256="ab" * 32, state="waiting",
    requested_at=datetime(2026, 12, 31, tzinfo=UTC), requested_by="key:bnn",
)  # fmt: skip


@dataclass
class FakeCertificates:
    """Remembers what it was told."""

    acts: list[tuple[object, ...]] = field(default_factory=list)

    def renew(self, party: PartyCode, pem: bytes, signature: bytes, *, by: str) -> Certificate:
        self.acts.append(("renew", party, pem, signature, by))
        if signature == b"wrong":
            raise NotProven(Code.SIGNATURE, Problem(text="certificates.not-signed", values={"party": party}))
        return CERTIFICATE

    def ask(self, party: PartyCode, csr: str, *, by: str) -> Asked:
        self.acts.append(("ask", party, csr, by))
        return replace(ASKED, party=party)

    def requests(self, *, party: str = "") -> tuple[Asked, ...]:
        return (ASKED,) if party in ("", ASKED.party) else ()

    def request(self, _request: str) -> Asked:
        return ASKED

    def approve(self, request: str, pem: bytes | None, *, by: str) -> Asked:
        self.acts.append(("approve", request, pem, by))
        return replace(ASKED, state="approved")

    def decline(self, request: str, *, by: str, reason: str) -> Asked:
        self.acts.append(("decline", request, by, reason))
        return replace(ASKED, state="declined", reason=reason)


@pytest.fixture
def call(tmp_path: Path, rehub: Callable[..., Any], calling: Callable[[Any], Call], acts: FakeCertificates) -> Call:
    """Call with one of several keys."""
    lines = [("bnn", "BNN", "sender,reader"), ("nsw", "NSW", "sender,reader"), ("reader", "", "reader"), ("operator", "", "operator")]
    path = tmp_path / "keys"
    path.write_text("\n".join(f"{n}:{party}:{roles}:{hash_key(n, salt=bytes(16))}" for n, party, roles in lines), "utf-8")
    hub = rehub(api_keys=path)
    hub.certificates = acts
    hub.trust = SimpleNamespace(registry=SimpleNamespace(parties={"BNN": (CERTIFICATE,), "NSW": (CERTIFICATE, CERTIFICATE)}))
    inner = calling(hub)

    def one(key: str, method: str, path: str, document: object = None) -> Any:
        body = b"" if document is None else json.dumps(document).encode()
        return inner(method, CERTIFICATES + path, headers=[("x-api-key", key), ("content-type", "application/json")], body=body)

    return one


@pytest.fixture
def acts() -> FakeCertificates:
    return FakeCertificates()


def test_party_sees_its_own_certificates_and_staff_all(call: Call) -> None:
    assert [len(call(key, "GET", "").json["items"]) for key in ("bnn", "nsw", "reader")] == [1, 2, 3]
    assert call("bnn", "GET", "?party=NSW").status == 403


def test_next_certificate_goes_on_as_it_came(call: Call, acts: FakeCertificates) -> None:
    answer = call("bnn", "POST", "/next", NEXT)

    assert (answer.status, answer.json["sha256"]) == (201, CERTIFICATE.sha256)
    assert acts.acts == [("renew", "BNN", NEXT["certificate"].encode(), b"signed", "key:bnn")]


def test_next_certificate_that_the_present_key_did_not_sign_is_refused(call: Call) -> None:
    answer = call("bnn", "POST", "/next", NEXT | {"signature": b64encode(b"wrong").decode()})

    assert (answer.status, answer.json["errors"][0]["code"]) == (422, "certificates.not-signed")


@pytest.mark.parametrize(
    ("change", "status"),
    [({"signature": "?"}, 422), ({"certificate": "ký"}, 400), ({"certificate": ""}, 400), ({"more": 1}, 400), ({"signature": 1}, 400)],
)
def test_next_certificate_that_is_not_in_its_form_is_refused(
    call: Call, acts: FakeCertificates, change: dict[str, object], status: int
) -> None:
    assert call("bnn", "POST", "/next", NEXT | change).status == status
    assert acts.acts == []


def test_request_waits_and_staff_decide(call: Call, acts: FakeCertificates) -> None:
    asked = call("bnn", "POST", "/requests", {"csr": "pem"})
    approved = call("operator", "POST", f"/requests/{REQUEST}/approve", {"certificate": "pem"})
    declined = call("operator", "POST", f"/requests/{REQUEST}/decline", {"reason": "không đúng"})

    assert [(a.status, a.json["state"]) for a in (asked, approved, declined)] == [(202, "waiting"), (200, "approved"), (200, "declined")]
    assert acts.acts == [
        ("ask", "BNN", "pem", "key:bnn"),
        ("approve", REQUEST, b"pem", "key:operator"),
        ("decline", REQUEST, "key:operator", "không đúng"),
    ]


def test_parties_decide_nothing_and_see_no_other_party(call: Call, acts: FakeCertificates) -> None:
    refused = [call(key, "POST", f"/requests/{REQUEST}/approve", {}).status for key in ("bnn", "reader")]
    seen = [call(key, "GET", f"/requests/{REQUEST}").status for key in ("bnn", "nsw", "operator")]

    assert (refused, seen) == ([403, 403], [200, 404, 200])
    assert [len(call(key, "GET", "/requests").json["items"]) for key in ("bnn", "nsw", "operator")] == [1, 0, 1]
    assert acts.acts == []


def test_staff_send_nothing_for_a_party(call: Call) -> None:
    answers = [call("operator", "POST", path, document) for path, document in (("/next", NEXT), ("/requests", {"csr": "x"}))]

    assert [answer.status for answer in answers] == [403, 403]
