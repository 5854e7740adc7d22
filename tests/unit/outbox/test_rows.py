import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.errors import Code, Problem
from gateway.model import Channel, Header, Judged, Receipt, Refusal, Reply, Signer, Wrapper
from gateway.outbox.rows import accepted_event, accepted_row, answer_row, channel_name, dossier, message_row, refused_row, way
from gateway.ports import Entry
from gateway.store.tables import MESSAGES
from gateway.testing import builders

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ARRIVAL = builders.arrival("<Envelope>bí mật</Envelope>".encode())
SIGNER = Signer(role="person", subject="CN=Nguyễn Văn An", tax_code="0101234567", certificate_sha256="ab" * 32, covers=("/",))


def entry(header: Header | None = None) -> Entry:
    envelope = replace(builders.envelope(), signers=(SIGNER,))
    named = replace(envelope, header=header) if header else envelope
    receipt = Receipt(message=ARRIVAL.id, header=named.header, sender=named.sender, sha256=named.document.sha256, accepted_at=NOW)
    return Entry(
        arrival=ARRIVAL, envelope=named, wrapper=Wrapper(protocol="vnsw", operation="{urn:x}receive", version="1.2"),
        judged=Judged(schema_pack="s", rule_set="r", procedure="p"), receipt=receipt, answer=Reply(status=200, body=b"99"),
        proof="signature", routes=(), key=b"k", keys=(("file", "F1"),),
    )  # fmt: skip


def test_every_arrival_fills_a_row_of_the_table_before_anything_is_parsed() -> None:
    row = message_row(ARRIVAL)

    assert set(row) == {column.name for column in MESSAGES.c}
    assert (row["channel"], row["path"]) == ("network:127.0.0.1", "/ws")
    assert row["state"] is row["message_key"] is row["request_digest"] is None


def test_what_is_written_of_an_accepted_message_are_columns_of_the_table() -> None:
    row = message_row(ARRIVAL) | accepted_row(entry()) | answer_row(Reply(status=200, body=b"", headers={"content-type": "text/xml"}))

    assert set(row) == {column.name for column in MESSAGES.c}
    missing = {column.name for column in MESSAGES.c if not column.nullable and row[column.name] is None}
    assert missing == set()
    assert (row["state"], row["sender"], row["slots"], row["way"]) == ("accepted", "NSW", "absent,absent", "vnsw 1.2 {urn:x}receive")


@pytest.mark.parametrize("header", [None, builders.header("10/01")])
def test_what_is_written_of_a_refused_message_are_columns_of_the_table(header: Header | None) -> None:
    problem = Problem(text="schema.value", path="/Envelope", values={"found": "bí mật"})
    refusal = Refusal(message=ARRIVAL.id, refused_at=NOW, code=Code.SCHEMA, problems=(problem,), header=header)

    row = message_row(ARRIVAL) | refused_row(ARRIVAL, refusal) | answer_row(Reply(status=200, body=b""))

    assert set(row) == {column.name for column in MESSAGES.c}
    assert (row["state"], row["code"], row["message_key"]) == ("refused", "schema", None)
    assert row["reference"] == (header.subject.reference if header else None)
    assert row["sha256"] == hashlib.sha256(ARRIVAL.body).hexdigest()
    assert "bí mật" not in str(row)


@pytest.mark.parametrize("kind", ["key", "certificate", "network", "open"])
def test_a_channel_is_named_with_its_kind_so_that_no_key_passes_for_an_address(kind: str) -> None:
    channel = Channel(kind=kind, name="127.0.0.1")  # type: ignore[arg-type]

    assert channel_name(replace(ARRIVAL, channel=channel)) == f"{kind}:127.0.0.1"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"previous": ""}, "P/R1/2026"),
        ({"previous": "R0", "previous_year": "2025"}, "P/R0/2025"),
        ({"previous": "R0", "previous_year": ""}, "P/R0/2026"),
    ],
)
def test_a_dossier_is_named_by_the_earlier_reference_where_there_is_one(changes: dict[str, str], named: str) -> None:
    header = builders.header("10/01")
    subject = replace(header.subject, document_type="P", reference="R1", **changes)

    assert dossier(entry(replace(header, subject=subject))) == named


def test_the_ledger_is_told_ids_codes_and_digests_and_never_who_or_what() -> None:
    event = accepted_event(entry())

    assert (event.kind, event.message, event.at) == ("message.accepted", ARRIVAL.id, NOW)
    assert event.values["signers"] == "ab" * 32
    told = " ".join(event.values.values())
    assert all(secret not in told for secret in ("Nguyễn", "0101234567", "bí mật", "BNN26"))


def test_two_ways_in_are_told_apart() -> None:
    first = entry()

    assert way(first) != way(replace(first, wrapper=replace(first.wrapper, version="1.1")))
    assert way(first) != way(replace(first, wrapper=replace(first.wrapper, operation="{urn:y}receive")))
