import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.errors import Problem
from gateway.model import Header, Identity, Signer, Subject
from gateway.outbox.records import (
    read_header,
    read_signers,
    write_header,
    write_map,
    write_pairs,
    write_problems,
    write_signers,
)

SENDER = Identity(name="Bộ Nông nghiệp & Môi trường", identity="BNN", country="VN", ministry="BNN", organization="BNN", unit="")
RECEIVER = Identity(name="NSW", identity="NSW", country="VN", ministry="BTC", organization="TCHQ", unit="NSW")
SUBJECT = Subject(document_type="BNN&PTNT0300002", type="10", function="01", reference='R"1\\', year="2026", previous="R0")


@pytest.mark.parametrize(
    "sent_at", [None, datetime(2026, 10, 12, 9, 30, tzinfo=timezone(timedelta(hours=7))), datetime.max.replace(tzinfo=UTC)]
)
@pytest.mark.parametrize("number", [None, "m-1"])
def test_a_header_is_read_as_it_was_written(sent_at: datetime | None, number: str | None) -> None:
    header = Header(id=number, sender=SENDER, receiver=RECEIVER, subject=SUBJECT, sent_at=sent_at, version="1.0")

    assert read_header(write_header(header)) == header


def test_signers_are_read_as_they_were_written() -> None:
    signers = (
        Signer(
            role="person", subject="CN=Nguyễn Văn An", tax_code="0101234567", certificate_sha256="ab", covers=("/Envelope/Body/Content",)
        ),
        Signer(role="system", subject="CN=NSW", tax_code=None, certificate_sha256="cd", covers=("/Envelope",)),
    )

    assert read_signers(write_signers(signers)) == signers
    assert read_signers(write_signers(())) == ()


def test_problems_are_kept_without_the_values_that_may_quote_a_document() -> None:
    problem = Problem(text="schema.value", path="/Envelope/Body", line=3, values={"found": "bí mật"})

    written = write_problems([problem])

    assert "bí mật" not in written
    assert json.loads(written) == [{"text": "schema.value", "path": "/Envelope/Body", "line": 3}]


def test_equal_maps_are_written_alike() -> None:
    assert write_map({"b": "2", "a": "1"}) == write_map({"a": "1", "b": "2"}) == '{"a":"1","b":"2"}'


def test_pairs_keep_their_order_and_repeated_names() -> None:
    assert json.loads(write_pairs([("b", "1"), ("a", "2"), ("b", "3")])) == [["b", "1"], ["a", "2"], ["b", "3"]]


def test_only_a_check_s_number_is_kept_of_what_a_problem_quotes() -> None:
    problem = Problem(text="signature.digest", path="/Envelope", line=3, values={"check": "16", "found": "content"})

    (kept,) = json.loads(write_problems([problem]))

    assert kept == {"text": "signature.digest", "path": "/Envelope", "line": 3, "values": {"check": "16"}}
