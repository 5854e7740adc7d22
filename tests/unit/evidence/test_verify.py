"""Verification of containers: what was exported passes, and whatever is done to it is named."""

import copy
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import reduce
from operator import getitem
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import NotReadable
from gateway.evidence.record import read_record
from gateway.evidence.seal import PLACE
from gateway.evidence.timestamps import Authorities
from gateway.evidence.verify import Verdict
from gateway.store.viewer import Viewer
from gateway.testing.authority import StampAuthority
from gateway.testing.evidence import Court, packed, sealed, unpacked, verified
from gateway.transport.http import HttpTransport

FLIPS = 300
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def container(court: Court) -> bytes:
    return court.export(court.deliver())


@pytest.fixture(scope="module")
def files(container: bytes) -> Files:
    return unpacked(container)[0]


def failed(verdict: Verdict) -> set[int]:
    return {check.number for check in verdict.checks if not check.passed}


def wrong(verdict: Verdict) -> set[str]:
    return {name for name, passed in verdict.files.items() if not passed}


def document_of(files: Mapping[str, bytes]) -> str:
    return next(name for name in files if name.endswith("document.xml"))


def resealed(files: Mapping[str, bytes], court: Court, **changes: Any) -> bytes:
    """Seal altered files anew, as somebody with the gateway's key could."""
    return sealed({**files, **changes}, court.key, at=court.time())


def test_what_was_exported_holds(court: Court, container: bytes) -> None:
    verdict = verified(container, court.anchors)

    assert verdict.valid
    assert (failed(verdict), wrong(verdict)) == (set(), set())
    assert [check.number for check in verdict.checks] == list(range(1, 16))


def test_the_document_and_all_that_was_exchanged_are_in_it(court: Court) -> None:
    message = court.deliver()
    files = unpacked(court.export(message))[0]

    kept = {name.rpartition("/")[2]: content for name, content in files.items() if name.startswith(f"messages/{message}/")}
    assert kept["document.xml"].startswith(b"<Envelope")
    assert kept["body.bin"].endswith(kept["document.xml"])
    assert (kept["answer.bin"][:2], kept["01-request.bin"], kept["01-reply.bin"]) == (b"99", b"<request/>", b"reply")
    assert {"report-vi.pdf", "report-en.pdf", "report-vi.html", "report-en.html", "evidence.json", "README.txt"} <= files.keys()


def test_many_messages_stand_in_one_container(court: Court) -> None:
    messages = [court.deliver() for _ in range(3)]

    verdict = verified(court.export(*messages, messages[0]), court.anchors)

    assert (verdict.valid, list(verdict.messages)) == (True, messages)


def test_an_unsigned_message_holds_by_its_channel(court: Court) -> None:
    assert verified(court.export(court.deliver(signed=False)), court.anchors).valid


def test_every_byte_flipped_is_seen(court: Court, container: bytes) -> None:
    rng = random.Random(20261012)  # noqa: S311  # the same bytes each time
    unseen = []

    for at in rng.sample(range(len(container)), FLIPS):
        altered = container[:at] + bytes((container[at] ^ (1 << rng.randrange(8)),)) + container[at + 1 :]
        verdict = verified(altered, court.anchors)
        if verdict.valid or not (wrong(verdict) or 1 in failed(verdict)):
            unseen.append(at)

    assert unseen == []


def test_an_altered_file_is_named(court: Court, files: Files) -> None:
    for name in files:
        verdict = verified(packed(files | {name: files[name] + b" "}), court.anchors)

        assert name in wrong(verdict)
        assert not verdict.valid


def test_a_removed_file_is_named(court: Court, files: Files) -> None:
    for name in files:
        verdict = verified(packed({other: content for other, content in files.items() if other != name}), court.anchors)

        assert name in wrong(verdict)
        assert not verdict.valid


def test_an_added_renamed_or_swapped_file_is_named(court: Court, files: Files) -> None:
    document = document_of(files)
    renamed = {("other.xml" if name == document else name): content for name, content in files.items()}
    swapped = files | {document: files["README.txt"], "README.txt": files[document]}

    assert "new.xml" in wrong(verified(packed(files | {"new.xml": b"x"}), court.anchors))
    assert {"other.xml", document} <= wrong(verified(packed(renamed), court.anchors))
    assert {document, "README.txt"} <= wrong(verified(packed(swapped), court.anchors))


def test_a_stranger_who_seals_it_anew_is_refused(court: Court, files: Files) -> None:
    forged = sealed(files, court.bench.relay, at=court.time())

    assert failed(verified(forged, court.anchors)) == {3}


def test_whoever_is_trusted_for_stamps_and_answers_alone_seals_nothing(court: Court, files: Files) -> None:
    forged = sealed(files, court.bench.relay, at=court.time())

    assert failed(verified(forged, court.anchors, also=court.bench.relay.certificates)) == {3}
    assert failed(verified(packed(files), court.bench.relay.certificates, also=court.anchors)) == {3, 9}


def test_nobody_is_trusted_who_is_not_named(court: Court, container: bytes) -> None:
    assert failed(verified(container, ())) == {3, 9}
    assert failed(verified(container, court.bench.portal.certificates)) == {3, 9}


def test_a_seal_from_after_its_certificate_ended_is_refused(fresh: Court) -> None:
    files = unpacked(fresh.export(fresh.deliver()))[0]
    late = resealed(files, fresh)
    fresh.time.pass_(timedelta(days=20_000))

    assert failed(verified(late, fresh.anchors)) == set()
    assert failed(verified(resealed(files, fresh), fresh.anchors)) == {3}


def told(files: Files) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files["evidence.json"])
    return found


def _leaf(record: dict[str, Any]) -> None:
    record["messages"][0]["events"][0]["leaf"] = record["messages"][0]["events"][0]["leaf"].replace("P1", "P2")


def _position(record: dict[str, Any]) -> None:
    record["messages"][0]["events"][0]["position"] += 1


def _id(record: dict[str, Any]) -> None:
    record["messages"][0]["id"] = "01a1fd1e-8c00-7be1-a61d-aa7c9505f9e5"


def _root(record: dict[str, Any]) -> None:
    record["heads"][0]["signed"]["head"]["root"] = "00" * 32


def _no_events(record: dict[str, Any]) -> None:
    record["messages"][0]["events"] = []


def _no_files(record: dict[str, Any]) -> None:
    record["messages"][0]["files"] = []


def _stamped(record: dict[str, Any]) -> None:
    record["heads"][0]["stamp"] = "README.txt"


def _time_of_no_stamp(record: dict[str, Any]) -> None:
    record["heads"][0]["stamped_at"] = "2001-01-01T00:00:00Z"


def _head_beside(record: dict[str, Any]) -> None:
    """Put a head that nobody signed before the one of the same size that the gateway did."""
    first = copy.deepcopy(record["heads"][0])
    first["signed"]["head"]["at"] = "2001-01-01T00:00:00+00:00"
    record["heads"].insert(0, first)


def _message_twice(record: dict[str, Any]) -> None:
    record["messages"].append({**record["messages"][0], "files": [], "receipts": []})


def _event_twice(record: dict[str, Any]) -> None:
    record["messages"][0]["events"].append(record["messages"][0]["events"][0])


LIES: dict[str, tuple[Callable[[dict[str, Any]], None], set[int]]] = {
    "leaf": (_leaf, {8}),
    "position": (_position, {8}),
    "message": (_id, {8, 11}),
    "root": (_root, {8, 9}),
    "no events": (_no_events, {8, 11, 15}),
    "no files": (_no_files, {7}),
    "stamp": (_stamped, {10}),
    "time of no stamp": (_time_of_no_stamp, {10}),
    "head beside another": (_head_beside, {9}),
    "message named twice": (_message_twice, {8}),
    "event told twice": (_event_twice, {8}),
}


@pytest.mark.parametrize("lie", LIES)
def test_the_ledger_contradicts_even_whoever_has_the_key(court: Court, files: Files, lie: str) -> None:
    change, expected = LIES[lie]
    record = told(files)
    change(record)

    verdict = verified(resealed(files, court, **{"evidence.json": json.dumps(record).encode()}), court.anchors)

    assert failed(verdict) == expected


@pytest.mark.parametrize(
    ("change", "texts"), [(_event_twice, {"container.event-twice"}), (_message_twice, {"container.event-twice", "container.message-twice"})]
)
def test_what_is_told_twice_is_named(court: Court, files: Files, change: Callable[[dict[str, Any]], None], texts: set[str]) -> None:
    record = told(files)
    change(record)

    verdict = verified(resealed(files, court, **{"evidence.json": json.dumps(record).encode()}), court.anchors)

    assert {problem.text for problem in verdict.checks[7].problems} == texts


@pytest.mark.parametrize("at", ["1" + "0" * 30, "-" + "9" * 30, "NaN", "Infinity", "[" * 5000, '"\\ud800"', "1" + "0" * 5000])
def test_leaves_that_nobody_would_write_fail_and_end_nothing(court: Court, files: Files, at: str) -> None:
    record = told(files)
    for event in record["messages"][0]["events"]:
        event["leaf"] = re.sub(r'"at":\d+', lambda _: f'"at":{at}', event["leaf"])

    verdict = verified(sealed({**files, "evidence.json": json.dumps(record).encode()}, court.bench.relay, at=court.time()), court.anchors)

    assert {3, 8, 15} <= failed(verdict)


def test_revocation_data_that_nobody_can_read_end_nothing(court: Court, files: Files) -> None:
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Nobody")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(court.time()).next_update(court.time())
    crl = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)
    odd = {"revocation/0.crl": crl.replace(b"\x02\x01\x01", b"\x02\x01\x05", 1), "revocation/1.ors": b"\x30\x00"}

    verdict = verified(sealed({**files, **odd}, court.key, at=court.time()), court.anchors)

    assert verdict.valid


def test_another_document_than_the_ledger_tells_of_is_refused(court: Court, files: Files) -> None:
    name = document_of(files)
    altered = files[name].replace(b"<type>10</type>", b"<type>11</type>")

    verdict = verified(resealed(files, court, **{name: altered}), court.anchors)

    assert hashlib.sha256(altered).digest() != hashlib.sha256(files[name]).digest()
    assert failed(verdict) == {11, 12}


@pytest.mark.parametrize("record", [b"", b"{}", b"[" * 5000, b"\xff", b'{"format": "nsw evidence 2"}'])
def test_a_record_that_cannot_be_read_fails_its_checks(court: Court, files: Files, record: bytes) -> None:
    verdict = verified(resealed(files, court, **{"evidence.json": record}), court.anchors)

    assert failed(verdict) == set(range(7, 16))
    assert verdict.messages == ()


@pytest.mark.parametrize("odd", ["\n", "x\n", "\n✓", "a b", "ả", "\u202e", "../x", "", "x" * 121])
@pytest.mark.parametrize("place", [("id",), ("receipts", 0, "file"), ("files", 0), ("deliveries", 0, "id")], ids=str)
def test_ids_and_file_names_that_no_gateway_writes_are_not_read(files: Files, place: tuple[str | int, ...], odd: str) -> None:
    record = told(files)
    *way, last = place
    reduce(getitem, way, record["messages"][0])[last] = odd

    with pytest.raises(NotReadable):
        read_record(json.dumps(record).encode())


@pytest.mark.parametrize("garbage", [b"", b"PK\3\4", b"<xml/>", bytes(1000), b"PK\3\4" * 1000])
def test_what_is_no_container_fails_the_first_check(court: Court, garbage: bytes) -> None:
    verdict = verified(garbage, court.anchors)

    assert (verdict.valid, failed(verdict), verdict.messages) == (False, {1}, ())
    assert verdict.as_json("vi")["checks"]


def _broken_seals(found: bytes) -> Iterator[bytes]:
    yield b""
    yield b"<a/>"
    yield found.replace(b"<Signature ", b"<Signature  ", 1)
    yield found.replace(b"</Signature>", b"</Signature><Signature></Signature>", 1)
    yield found.replace(b"<SignatureValue>", b"<SignatureValue><!-- -->", 1)
    yield found.replace(b"<Object>", b"<Object><x/>", 1)
    yield b'<?xml version="1.0"?>' + found


def test_a_seal_in_any_other_form_is_refused(court: Court, files: Files) -> None:
    for broken in _broken_seals(files[PLACE]):
        verdict = verified(packed(files | {PLACE: broken}), court.anchors)

        assert {2, 3, 4, 5} <= failed(verdict)


def test_heads_without_a_time_stamp_are_told_of_and_left_to_the_reader(
    court: Court, container: bytes, plain: Court, grown: Files, authority: StampAuthority
) -> None:
    none, one = verified(container, court.anchors), verified(packed(grown), plain.anchors, also=authority.anchors)

    assert (none.valid, one.valid) == (True, True)
    assert (none.checks[9].doubtful, one.checks[9].doubtful) == (True, True)
    assert "The head of 4 leaves has no time-stamp" in none.checks[9].detail("en")
    assert [remark.problem.values["size"] for remark in one.checks[9].remarks] == ["5"]


def test_a_stamped_head_is_proved_in_time(fresh: Court, authority: StampAuthority) -> None:
    message = fresh.deliver()
    fresh.ledger.seal()
    fresh.ledger.sign(fresh.key)
    with authority.serve() as url:
        fresh.stamps.renew(Authorities([url], HttpTransport(), lambda: authority.anchors), every=timedelta(minutes=10))
    container = fresh.export(message)

    trusted = verified(container, fresh.anchors, also=authority.anchors)
    untrusted = verified(container, fresh.anchors)

    assert (trusted.valid, trusted.checks[9].doubtful) == (True, False)
    assert any(name.startswith("stamps/") for name in trusted.files)
    assert "1 time-stamps over 1 heads" in str(trusted.as_json("en"))
    assert "There are no data on whether the certificate of CN=stamps was revoked" in str(trusted.as_json("en"))
    assert failed(untrusted) == {10}


def test_events_after_the_last_stamp_are_proved_under_the_last_head(fresh: Court, authority: StampAuthority) -> None:
    message = fresh.deliver()
    fresh.export(message)
    with authority.serve() as url:
        fresh.stamps.renew(Authorities([url], HttpTransport(), lambda: authority.anchors), every=timedelta(minutes=10))

    container = fresh.export(message)  # the first export is an event itself

    record = told(unpacked(container)[0])
    assert [bool(head["stamp"]) for head in record["heads"]] == [True, False]
    assert [event["head"] for event in record["messages"][0]["events"]] == [4, 4, 4, 4, 5]
    assert verified(container, (*fresh.anchors, *authority.anchors)).valid


@pytest.fixture(scope="module")
def grown(plain: Court, authority: StampAuthority) -> Files:
    """A container with a stamped head, and a later one that is not stamped yet."""
    message = plain.deliver()
    plain.export(message)
    with authority.serve() as url:
        plain.stamps.renew(Authorities([url], HttpTransport(), lambda: authority.anchors), every=timedelta(minutes=10))
    return unpacked(plain.export(message))[0]


def _no_proof(record: dict[str, Any]) -> None:
    del record["heads"][1]["consistency"]


def _other_proof(record: dict[str, Any]) -> None:
    record["heads"][1]["consistency"][0] = "00" * 32


def _proof_at_the_other_head(record: dict[str, Any]) -> None:
    record["heads"][0]["consistency"] = record["heads"][1].pop("consistency")


@pytest.mark.parametrize("change", [_no_proof, _other_proof, _proof_at_the_other_head])
def test_two_heads_without_the_proof_that_one_continues_the_other_are_refused(
    plain: Court, authority: StampAuthority, grown: Files, change: Callable[[dict[str, Any]], None]
) -> None:
    record = told(grown)
    change(record)

    verdict = verified(resealed(grown, plain, **{"evidence.json": json.dumps(record).encode()}), plain.anchors, also=authority.anchors)

    assert failed(verdict) == {9}
    assert [problem.text for problem in verdict.checks[8].problems] == ["container.heads-apart"]


def test_two_ledgers_of_one_key_do_not_stand_in_one_container(fresh: Court, court: Court) -> None:
    """Each half is good by itself: whoever has the key cannot tell of one message out of one history, and of another out of a second."""
    court.deliver()
    one, other = (unpacked(each.export(each.deliver()))[0] for each in (fresh, court))
    record, second = told(one), told(other)
    record["heads"] += second["heads"]
    record["messages"] += second["messages"]

    both = sealed({**other, **one, "evidence.json": json.dumps(record).encode()}, fresh.key, at=fresh.time())

    assert failed(verified(both, fresh.anchors)) == {9}


def test_a_container_of_before_with_one_head_stays_good(court: Court, files: Files) -> None:
    record = told(files)
    del record["heads"][0]["consistency"]

    assert verified(resealed(files, court, **{"evidence.json": json.dumps(record).encode()}), court.anchors).valid


def test_a_party_gets_only_its_own_part_of_what_was_exchanged(court: Court) -> None:
    message = court.deliver()

    def exchanged(party: str) -> int:
        files = unpacked(court.export(message, viewer=Viewer(party=party, content=True)))[0]
        return sum("/deliveries/" in name for name in files)

    assert {party: exchanged(party) for party in ("NSW", "BNN")} == {"NSW": 0, "BNN": 2}
