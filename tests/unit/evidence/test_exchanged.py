"""What a container has of messages: attachments as they came, and the answers of both sides, each held to what the ledger says."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.audit import Event
from gateway.errors import NotValid, Unavailable
from gateway.evidence import packing
from gateway.evidence.seal import MANIFEST, PLACE
from gateway.evidence.verify import Check, Verdict
from gateway.lifecycle import Failed
from gateway.outbox import outbox
from gateway.outbox.sql import attachments as sql
from gateway.ports import Tx
from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.protocols.vnsw.wrapping import request
from gateway.security import beside, cms, wss
from gateway.store.leaves import write_leaf
from gateway.testing.evidence import Court, packed, receipt, sealed, unpacked, verified
from gateway.xml import soap

Files = dict[str, bytes]
CHUNK = 1_048_576


def failed(verdict: Verdict) -> set[int]:
    return {check.number for check in verdict.checks if not check.passed}


def wrong(verdict: Verdict) -> set[str]:
    return {name for name, passed in verdict.files.items() if not passed}


def check(verdict: Verdict, number: int) -> Check:
    return next(check for check in verdict.checks if check.number == number)


def told(files: Mapping[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files["evidence.json"])
    return found


def named(files: Mapping[str, bytes], ending: str) -> str:
    return next(name for name in files if name.endswith(ending))


def resealed(court: Court, files: Files, record: dict[str, Any] | None = None) -> Verdict:
    """Verify what somebody with the gateway's key made of altered files."""
    changed = files | ({"evidence.json": json.dumps(record).encode()} if record else {})
    return verified(sealed(changed, court.key, at=court.time()), court.anchors)


@pytest.fixture(scope="module")
def court(plain: Court) -> Court:
    """Evidence without the report for people: nothing here looks at it."""
    return plain


# --- attachments -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attached(court: Court) -> Files:
    """A container of a message with two attachments, one of them in several chunks."""
    beside_it = court.attach(b"%PDF " * 300_000, b"end"), court.attach(b"PK", name="tờ khai.xlsx")
    return unpacked(court.export(court.deliver(attachments=beside_it)))[0]


def test_attachments_are_inside_with_their_names_and_digests(court: Court, attached: Files) -> None:
    message = told(attached)["messages"][0]
    verdict = verified(packed(attached), court.anchors)

    first, second = message["attachments"]
    assert (attached[first["file"]], attached[second["file"]]) == (b"%PDF " * 300_000 + b"end", b"PK")
    assert [first["name"], second["name"], first["media_type"]] == ["ảnh chụp.pdf", "tờ khai.xlsx", "application/pdf"]
    assert {first["file"], second["file"]} <= set(message["files"])
    assert (verdict.valid, check(verdict, 13).detail("en")) == (True, "2 attachments, as the ledger tells of them.")


def test_an_attachment_flipped_removed_added_or_swapped_is_named(court: Court, attached: Files) -> None:
    first, second = (part["file"] for part in told(attached)["messages"][0]["attachments"])
    other = first.replace("001", "003")
    cases = {
        first: attached | {first: b"\0" + attached[first][1:]},
        second: {name: content for name, content in attached.items() if name != second},
        other: attached | {other: b"new"},
    }
    swapped = verified(packed(attached | {first: attached[second], second: attached[first]}), court.anchors)

    for name, files in cases.items():
        verdict = verified(packed(files), court.anchors)
        assert (name in wrong(verdict), 13 in failed(verdict), verdict.valid) == (True, True, False)
    assert {first, second} <= wrong(swapped)
    assert 13 in failed(swapped)


def test_the_ledger_holds_attachments_even_against_whoever_has_the_key(court: Court, attached: Files) -> None:
    record = told(attached)
    first, second = (part["file"] for part in record["messages"][0]["attachments"])
    swapped = attached | {first: attached[second], second: attached[first]}
    fewer, none, lying = told(attached), told(attached), told(attached)
    fewer["messages"][0]["attachments"].pop()
    none["messages"][0]["attachments"] = []
    lying["messages"][0]["attachments"][0]["sha256"] = "00" * 32

    assert failed(resealed(court, swapped)) == {13}
    assert failed(resealed(court, attached | {second: b"PQ"})) == {13}
    assert [failed(resealed(court, attached, record)) for record in (fewer, none, lying)] == [{13}] * 3


def test_attachments_that_were_left_out_are_told_with_their_digests(court: Court) -> None:
    container = court.export(court.deliver(attachments=(court.attach(b"beside"),)), attachments=False)

    verdict, found = verified(container, court.anchors), check(verified(container, court.anchors), 13)

    assert (verdict.valid, found.doubtful) == (True, True)
    assert told(unpacked(container)[0])["messages"][0]["attachments"][0]["sha256"] in found.detail("en")
    assert not any("/attachments/" in name for name in verdict.files)


def test_a_message_whose_attachment_is_lost_is_refused(court: Court) -> None:
    attachment = court.attach(b"soon lost")
    message = court.deliver(attachments=(attachment,))
    ((upload, *_),) = court.database.read(lambda tx: tx.rows(sql.CONTENT, digest=attachment.id))
    court.database.commit(lambda tx: tx.changed(sql.REMOVE_CHUNKS, bringer=upload, limit=10))

    with pytest.raises(Unavailable) as refused:
        court.export(message)

    assert refused.value.problems[0].text == "attachments.missing"
    assert verified(court.export(message, attachments=False), court.anchors).valid


def test_a_container_that_would_be_too_large_is_refused_before_it_is_written(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    message = court.deliver(attachments=(court.attach(bytes(300_000)),))
    monkeypatch.setattr(packing, "MAX_BYTES", 250_000)
    into = io.BytesIO()

    with pytest.raises(NotValid) as refused:
        court.evidence.export([message], into, by="test")

    assert (refused.value.problems[0].text, into.getvalue()) == ("container.too-large", b"")


# --- receipts ----------------------------------------------------------------------------------------------------------

PROFILES = ["xmldsig", "xades-b-b", "wss-x509", "cms-detached"]


def exchanged(court: Court, *, profile: str = "xmldsig", **changes: Any) -> Files:
    """Deliver a message whose answers are both signed by a profile, by the gateway and by the relay as its receiver."""
    content, at = court.bench.signed(), court.time()
    sent = soap.wrap(request(GATEWAY, content), version="1.1")
    answers = {
        "request": sent,
        "reply": receipt(content, court.bench.relay, number="BNN-1", at=at, profile=profile),
        "answer": lambda number: receipt(content, court.key, number=number, at=at, profile=profile),
    }
    return unpacked(court.export(court.deliver(content=content, **{**answers, **changes})))[0]


@pytest.fixture(scope="module")
def answered(court: Court) -> Files:
    return exchanged(court)


@pytest.mark.parametrize("profile", PROFILES)
def test_receipts_of_both_sides_hold_and_their_signers_are_told(court: Court, profile: str) -> None:
    container = packed(exchanged(court, profile=profile))

    alone, vouched = verified(container, court.anchors), verified(container, court.anchors, also=court.bench.relay.certificates)

    assert (alone.valid, vouched.valid) == (True, True)
    detail = check(alone, 15).detail("en")
    assert "2 answers, 2 of them signed" in detail
    assert "answer.bin: Signed by CN=NSW Gateway (development),C=VN, who is trusted." in detail
    assert "reply.bin: Signed by CN=HQ (development),C=VN, for whom nobody named with --trust or --also vouches." in detail
    assert [check(verdict, 15).doubtful for verdict in (alone, vouched)] == [True, False]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("ending", ["answer.bin", "-reply.bin"])
def test_a_receipt_that_was_altered_is_refused(court: Court, profile: str, ending: str) -> None:
    files = exchanged(court, profile=profile)
    name = named(files, ending)
    altered = files[name].replace(b"ReceiveDate", b"ReceivedAt")

    verdict = resealed(court, files | {name: altered})

    assert altered != files[name]
    assert failed(verdict) == {15}
    assert name in check(verdict, 15).detail("vi")


def test_a_receipt_for_something_else_is_refused(court: Court) -> None:
    content, at = court.bench.signed(), court.time()
    other = receipt(content, court.bench.relay, number="BNN-1", at=at, reference="another")

    partner = resealed(court, exchanged(court, reply=other))
    ours = resealed(court, exchanged(court, answer=lambda _: receipt(content, court.key, number="other-id", at=at)))

    assert (failed(partner), failed(ours)) == ({15}, {15})
    assert "(reference)" in check(partner, 15).detail("en")
    assert "(id)" in check(ours, 15).detail("en")


def test_an_answer_of_the_gateway_that_a_stranger_signed_is_refused(court: Court) -> None:
    content, at = court.bench.signed(), court.time()
    forged = exchanged(court, answer=lambda number: receipt(content, court.bench.relay, number=number, at=at))

    assert failed(resealed(court, forged)) == {15}


def test_a_signature_that_is_taken_away_is_missed(court: Court, answered: Files) -> None:
    name = named(answered, "-reply.bin")
    bare = receipt(court.bench.signed(), None, number="BNN-1", at=court.time())

    assert failed(resealed(court, answered | {name: bare})) == {15}


@pytest.mark.parametrize(
    "lie",
    [{"at": "2026-11-21T09:00:00Z"}, {"signer": ""}, {"signer": "00" * 32}, {"delivery": "no-such"}, {"file": "messages/other.bin"}],
    ids=lambda lie: next(iter(lie)),
)
def test_what_is_told_of_a_receipt_is_held_to_the_ledger(court: Court, answered: Files, lie: dict[str, str]) -> None:
    record = told(answered)
    record["messages"][0]["receipts"][1].update(lie)

    assert 15 in failed(resealed(court, answered, record))


def test_a_receipt_that_is_not_told_of_is_refused(court: Court, answered: Files) -> None:
    record = told(answered)
    record["messages"][0]["receipts"] = []

    assert failed(resealed(court, answered, record)) == {15}


def test_answers_that_nobody_signed_are_said_to_be_so(court: Court) -> None:
    verdict = verified(court.export(court.deliver()), court.anchors)

    assert (verdict.valid, check(verdict, 15).doubtful) == (True, False)
    assert check(verdict, 15).detail("en").count("Unsigned: proved by the channel.") == 2


def test_an_answer_that_the_gateway_did_not_take_is_nobodys_receipt(court: Court) -> None:
    content = court.bench.signed()
    bad = receipt(content, court.bench.relay, number="BNN-1", at=court.time()).replace(b"ReceiveDate", b"ReceivedAt")
    files = exchanged(court, reply=bad, outcome=Failed(code="signed-info"))

    verdict = verified(packed(files), court.anchors)

    assert verdict.valid
    assert "reply.bin: The gateway did not take this answer" in check(verdict, 15).detail("en")


def test_the_ledger_holds_a_partners_answer_even_against_whoever_has_the_key(court: Court) -> None:
    files = unpacked(court.export(court.deliver()))[0]
    name = named(files, "-reply.bin")

    verdict = resealed(court, files | {name: b"what it never said"})

    assert failed(verdict) == {15}
    assert f"{name}: This answer is not the one that the ledger tells of." in check(verdict, 15).detail("en")


def test_a_partners_answer_that_is_not_here_is_told_of(court: Court) -> None:
    files = unpacked(court.export(court.deliver()))[0]
    name, record = named(files, "-reply.bin"), told(files)
    message = record["messages"][0]
    message["receipts"] = [part for part in message["receipts"] if part["file"] != name]
    message["files"].remove(name)

    verdict = resealed(court, {other: content for other, content in files.items() if other != name}, record)

    assert verdict.valid
    assert "and that are not in this file: 1." in check(verdict, 15).detail("en")
    assert "not in this file" not in check(verified(packed(files), court.anchors), 15).detail("en")


def test_an_event_from_before_answers_were_digested_still_proves(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    def older(tx: Tx, *events: Event) -> None:
        write_leaf(tx, *(replace(e, values={name: value for name, value in e.values.items() if name != "reply"}) for e in events))

    monkeypatch.setattr(outbox, "write_leaf", older)
    message = court.deliver()

    verdict = verified(court.export(message), court.anchors)

    assert (verdict.valid, "not in this file" in check(verdict, 15).detail("en")) == (True, False)


def test_an_answer_in_json_is_held_to_the_message(court: Court) -> None:
    good = court.deliver(answer=lambda number: json.dumps({"id": number}).encode())
    bad = court.deliver(answer=lambda _: b'{"id": "other"}')

    assert verified(court.export(good), court.anchors).valid
    assert failed(verified(court.export(bad), court.anchors)) == {15}


# --- signatures around a document --------------------------------------------------------------------------------------


def around(court: Court, profile: str) -> tuple[bytes, bytes]:
    """Give a document that is not signed, and a request with it that is."""
    content, key, at = court.bench.envelope(), court.bench.portal, court.time()
    wrapped = soap.wrap(request(GATEWAY, content), version="1.1")
    if profile == "wss-x509":
        return content, wss.sign(wrapped, key, at=at)
    return content, beside.write(content, cms.sign(content, key, at=at))


@pytest.mark.parametrize("profile", ["wss-x509", "cms-detached"])
def test_a_signature_around_the_document_is_verified(court: Court, profile: str) -> None:
    content, body = around(court, profile)
    files = unpacked(court.export(court.deliver(content=content, body=body, signers=[("system", court.bench.portal)])))[0]
    name = named(files, "body.bin")

    assert verified(packed(files), court.anchors).valid
    assert [signer["name"] for signer in told(files)["messages"][0]["signers"]] == ["NSW (development)"]
    assert failed(resealed(court, files | {name: body.replace(b"messageId", b"messageID")})) == {12}
    assert failed(resealed(court, files | {name: content})) == {12}


def test_a_document_without_the_signature_it_is_told_to_have_is_refused(court: Court) -> None:
    files = unpacked(court.export(court.deliver(content=court.bench.envelope(), signers=[("system", court.bench.portal)])))[0]

    assert failed(verified(packed(files), court.anchors)) == {12}


def test_the_seal_and_the_manifest_stand_outside_of_what_is_sealed(attached: Files) -> None:
    assert {MANIFEST, PLACE} <= attached.keys()


@pytest.mark.parametrize(("ending", "number"), [("-request.bin", 11), ("answer.bin", 15)])
def test_what_the_gateway_sent_is_held_to_the_ledger_even_by_its_own_key(court: Court, ending: str, number: int) -> None:
    files = unpacked(court.export(court.deliver()))[0]
    name = named(files, ending)

    verdict = resealed(court, files | {name: files[name] + b"\n"})

    assert not check(verdict, number).passed
    assert name in check(verdict, number).detail("en")
