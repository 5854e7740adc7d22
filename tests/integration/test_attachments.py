"""Attachments through a whole gateway: in at the REST door, kept, out to an agency, and read by staff."""

import hashlib
import http.client
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from gateway.model import Reply
from gateway.testing import carrier
from gateway.testing.applicant import signed_application
from gateway.testing.carrier import Agency
from gateway.testing.client import ask
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.storage import BUCKET, KEYS, serving_s3
from gateway.testing.world import until

pytestmark = pytest.mark.slow

DOCUMENTS = "/api/v1/documents"
MIB = 1_048_576
Part = tuple[str, str, bytes]  # headers, media type, content


@pytest.fixture(scope="module")
def agency() -> Iterator[Agency]:
    with carrier.serving() as served:
        yield served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def gateway(home: Path, agency: Agency) -> Iterator[RunningGateway]:
    running = RunningGateway(home, environment=carrier.install(home))
    running.reach({"BNN": agency.url})
    with running:
        yield running


_numbers = iter(range(1, 1000))


def document(gateway: RunningGateway, *, message_id: str = "") -> bytes:
    about = Consignment(number=next(_numbers))
    return signed_application(gateway.pki, about, sent_at=datetime.now(UTC), message_id=message_id or str(uuid4()))


def form(*parts: Part, boundary: str = "b0undary") -> tuple[bytes, dict[str, str]]:
    lines = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\nContent-Type: {media_type}\r\n\r\n".encode() + content + b"\r\n"
        for head, media_type, content in parts
    )
    return lines + f"--{boundary}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={boundary}"}


def send(gateway: RunningGateway, *parts: Part, boundary: str = "b0undary", **headers: str) -> Reply:
    body, said = form(*parts, boundary=boundary)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.url + DOCUMENTS, method="POST", body=body, headers=said | named)


def of_document(content: bytes) -> Part:
    return 'name="document"', "application/xml", content


def of_file(name: str, content: bytes) -> Part:
    return f'name="attachment"; filename="{name}"', "application/pdf", content


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def reached(agency: Agency, *digests: str) -> Callable[[], bool]:
    return lambda: list(digests) in [parts[1:] for parts in agency.parts]


def test_attachments_reach_the_agency_byte_for_byte_and_in_order(gateway: RunningGateway, agency: Agency) -> None:
    files = [os.urandom(3 * MIB + 17), b"", b"\r\n--b0undar\r\n"]

    answer = send(gateway, of_document(document(gateway)), *(of_file(f"tệp {n}.pdf", f) for n, f in enumerate(files)))

    assert answer.status == 202, answer.body
    until(reached(agency, *map(sha256, files)), "the delivery")
    head = next(heads for parts, heads in zip(agency.parts, agency.heads, strict=True) if sha256(files[0]) in parts)[1]
    assert b"Content-Type: application/pdf" in head
    assert b"filename*=UTF-8''t%E1%BB%87p%200.pdf" in head


def test_staff_read_what_came_beside_a_message(gateway: RunningGateway) -> None:
    content = os.urandom(2 * MIB)
    sent = send(gateway, of_document(document(gateway)), of_file("../../hoá đơn.pdf", content))
    message = gateway.get(DOCUMENTS.replace("documents", "messages"))["items"][0]["id"]

    listed = gateway.get(f"/api/v1/messages/{message}/attachments")["items"]
    got = gateway.ask("GET", f"/api/v1/messages/{message}/attachments/1")
    none = gateway.ask("GET", f"/api/v1/messages/{message}/attachments/2")

    assert sent.status == 202
    assert listed == [
        {"number": 1, "name": "hoá đơn.pdf", "media_type": "application/pdf", "size": len(content), "sha256": sha256(content)}
    ]
    assert (got.status, got.body, got.headers["content-type"]) == (200, content, "application/pdf")
    assert got.headers["content-disposition"].startswith("attachment;")
    assert (none.status, got.headers["x-content-type-options"]) == (404, "nosniff")


def test_repeat_in_another_wrapping_gets_the_first_answer_and_is_delivered_once(gateway: RunningGateway, agency: Agency) -> None:
    parts = [of_document(document(gateway)), of_file("a.pdf", os.urandom(MIB + 3))]

    answers = [send(gateway, *parts, boundary=boundary).body for boundary in ("one", "two", "three")]

    assert len(set(answers)) == 1
    until(reached(agency, sha256(parts[1][2])), "the delivery")
    assert sum(sha256(parts[1][2]) in reaching for reaching in agency.parts) == 1


def test_repeat_with_another_attachment_is_refused(gateway: RunningGateway) -> None:
    named = str(uuid4())
    envelope = document(gateway, message_id=named)
    first = send(gateway, of_document(envelope), of_file("a.pdf", b"one"))

    other = send(gateway, of_document(envelope), of_file("a.pdf", b"two"))
    without = ask(gateway.url + DOCUMENTS, method="POST", body=envelope, headers={"content-type": "application/xml"})

    assert (first.status, other.status, without.status) == (202, 409, 409)


def test_key_of_a_repeat_covers_attachments(gateway: RunningGateway) -> None:
    first = send(gateway, of_document(document(gateway)), of_file("a.pdf", b"one"), idempotency_key="k-att")
    other = send(gateway, of_document(document(gateway)), of_file("a.pdf", b"two"), idempotency_key="k-att")

    assert (first.status, other.status) == (202, 409)


def test_trouble_at_the_agency_sends_everything_again(gateway: RunningGateway, agency: Agency) -> None:
    content = os.urandom(MIB)
    agency.trouble = 1

    send(gateway, of_document(document(gateway)), of_file("a.pdf", content))

    until(reached(agency, sha256(content)), "the second attempt")
    assert not agency.trouble  # the first was not taken


def test_refused_message_leaves_no_attachment_behind(gateway: RunningGateway, home: Path) -> None:
    before = kept(home)

    answer = send(gateway, of_document(b"<Envelope/>"), of_file("a.pdf", os.urandom(MIB + 1)))

    assert answer.status == 422
    assert kept(home) == before


def test_broken_upload_leaves_nothing_behind(gateway: RunningGateway, home: Path) -> None:
    before = kept(home)
    body, headers = form(of_document(document(gateway)), of_file("a.pdf", os.urandom(4 * MIB)))
    place = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0)
    connection.request("POST", DOCUMENTS, headers=headers | {"content-length": str(len(body))})
    connection.send(body[: 3 * MIB])
    until(lambda: kept(home) != before, "the beginning of the upload")

    connection.close()

    until(lambda: kept(home) == before, "its removal")
    assert send(gateway, of_document(document(gateway)), of_file("a.pdf", b"x")).status == HTTPStatus.ACCEPTED  # and the next is taken


def test_party_that_cannot_take_attachments_is_not_sent_a_part_of_the_message(gateway: RunningGateway, home: Path) -> None:
    parties = home / "rules" / "parties.toml"
    text = parties.read_text("utf-8")
    parties.write_text(text.replace('adapter = "carrier"', 'adapter = "agriculture"'), "utf-8")
    try:
        refused = until(lambda: _refused(send(gateway, of_document(document(gateway)), of_file("a.pdf", b"x"))), "the rules' reload")
    finally:
        parties.write_text(text, "utf-8")

    assert b"attachments.not-carried" in refused.body
    until(lambda: send(gateway, of_document(document(gateway)), of_file("a.pdf", b"x")).status == 202, "the rules' reload")


def test_restart_keeps_what_was_taken_in(gateway: RunningGateway, agency: Agency) -> None:
    agency.trouble = 1
    content = os.urandom(MIB)
    send(gateway, of_document(document(gateway)), of_file("a.pdf", content))
    until(lambda: not agency.trouble, "the first attempt")

    gateway.restart()

    until(reached(agency, sha256(content)), "the delivery after the restart")
    assert [parts[1:] for parts in agency.parts].count([sha256(content)]) == 1


def test_s3_keeps_attachments_of_a_whole_gateway(tmp_path: Path, agency: Agency) -> None:
    content = os.urandom(2 * MIB)
    credentials = tmp_path / "s3.keys"
    credentials.write_text(f"{KEYS.access_key}\n{KEYS.secret_key}\n", "ascii")
    with serving_s3(tmp_path) as endpoint:
        settings = {
            "NSW_ATTACHMENTS": f"s3://{BUCKET}/att", "NSW_S3_ENDPOINT": endpoint, "NSW_S3_REGION": KEYS.region,
            "NSW_S3_CREDENTIALS": str(credentials), **carrier.install(tmp_path),
        }  # fmt: skip
        running = RunningGateway(tmp_path, environment=settings)
        running.reach({"BNN": agency.url})
        with running:
            answer = send(running, of_document(document(running)), of_file("a.pdf", content))
            until(reached(agency, sha256(content)), "the delivery")

    assert answer.status == 202
    assert not (tmp_path / "attachments").exists()


def _refused(reply: Reply) -> Reply | None:
    return reply if reply.status == 422 else None


def kept(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "attachments").rglob("*") if path.is_file())
