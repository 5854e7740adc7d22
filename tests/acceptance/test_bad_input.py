"""Hostile and broken files against the live doors: each gets a clear refusal, and the gateway stays as it was."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from gateway.model import Reply
from gateway.testing import builders
from gateway.testing.vnsw import read_answer

FOLDERS = ("xml-attacks", "signature-wrapping", "wco-dec/not-well-formed", "certex-ics2")
NOT_MESSAGES = frozenset({".txt", ".tsv"})  # licences and tables of results
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MAX_GROWTH = 64 * 1024  # KiB of resident memory over two rounds of all files
SOAP_12 = {"content-type": "application/soap+xml; charset=utf-8"}
VIETNAMESE = re.compile(r"[ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ]", re.IGNORECASE)


def as_it_is(doors: Any, data: bytes) -> None:
    check_fault(doors.soap(data))


def as_it_is_in_soap_12(doors: Any, data: bytes) -> None:
    check_fault(doors.soap(data, headers=SOAP_12))


def as_escaped_payload(doors: Any, data: bytes) -> None:
    check_refused_envelope(doors.soap(builders.soap(as_text(data), client="wcf")))


def as_payload_in_cdata(doors: Any, data: bytes) -> None:
    check_refused_envelope(doors.soap(builders.soap(as_text(data), client="dotnet", version="1.2"), headers=SOAP_12))


def at_the_rest_door(doors: Any, data: bytes) -> None:
    check_problem(doors.rest(data))


WAYS: tuple[Callable[[Any, bytes], None], ...] = (
    as_it_is, as_it_is_in_soap_12, as_escaped_payload, as_payload_in_cdata, at_the_rest_door,
)  # fmt: skip


def as_text(data: bytes) -> bytes:
    """What a client's XML library lets through of a file's bytes."""
    return NOT_XML.sub("?", data.decode("utf-8", "replace")).encode()


def files(outside: Path, folder: str) -> Iterator[Path]:
    found = [path for path in sorted((outside / folder).rglob("*")) if path.is_file() and path.suffix not in NOT_MESSAGES]
    assert found, f"no files under {outside / folder}"
    yield from found


def check_fault(reply: Reply) -> None:
    """SOAP 1.1 demands 500 for a Client fault, SOAP 1.2 400 for a Sender's; the reason is in Vietnamese."""
    root = etree.fromstring(reply.body)
    version = "1.2" if builders.SOAP12 in root.nsmap.values() else "1.1"
    assert reply.status == {"1.1": 500, "1.2": 400}[version], reply
    code = root.findtext(".//faultcode") or root.findtext(f".//{{{builders.SOAP12}}}Value")
    assert code == {"1.1": "soap:Client", "1.2": "soap:Sender"}[version], reply
    assert VIETNAMESE.search(root.findtext(".//faultstring") or root.findtext(f".//{{{builders.SOAP12}}}Text") or ""), reply


def check_refused_envelope(reply: Reply) -> None:
    answer = read_answer(reply.body)
    assert (reply.status, answer.function) == (200, "00"), reply
    for code, reason in answer.errors:
        assert re.fullmatch(r"ERR0[0-5]_CODE", code), reply
        assert VIETNAMESE.search(reason), reply
    assert answer.errors, reply


def check_problem(reply: Reply) -> None:
    assert reply.status in (400, 403, 422), reply
    assert reply.headers["content-type"] == "application/problem+json", reply
    document = json.loads(reply.body)
    assert re.fullmatch(r"ERR0[0-5]_CODE", document["vnsw_code"]), reply
    assert all(VIETNAMESE.search(e["message_vi"]) and e["message_en"] for e in document["errors"]), reply


def resident(pid: int) -> int:
    """Memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.replace("_", "-"))
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_hostile_file_is_refused_and_the_next_good_message_served(
    doors: Any, outside: Path, folder: str, way: Callable[[Any, bytes], None]
) -> None:
    for path in files(outside, folder):
        try:
            way(doors, path.read_bytes())
        except (AssertionError, OSError, etree.XMLSyntaxError) as error:
            pytest.fail(f"{path.name}: {error!r}")

    assert doors.call(doors.application()).function == "99"


def test_every_refusal_is_kept_with_its_cause(doors: Any, outside: Path) -> None:
    since = doors.traveller.world.agencies["portal"].context.clock().isoformat()
    sent = [path.read_bytes() for path in files(outside, "xml-attacks")]
    for data in sent:
        doors.soap(data)
        doors.soap(builders.soap(as_text(data)))

    kept = doors.traveller.messages(state="refused", since=since, limit="100")

    assert len(kept) == 2 * len(sent)
    assert all(row["code"] and row["cause"] for row in kept)


@pytest.mark.slow
def test_the_gateway_does_not_grow_by_hostile_files(doors: Any, outside: Path, record_property: Any) -> None:
    everything = [path.read_bytes() for folder in FOLDERS for path in files(outside, folder)]
    sizes = []
    for _ in range(3):  # the first round fills what is filled once: parsers, name tables, statements
        for data in everything:
            as_escaped_payload(doors, data)
            as_it_is(doors, data)
            at_the_rest_door(doors, data)
        sizes.append(resident(doors.traveller.world.gateway.pid))

    record_property("resident_kib", sizes)
    assert sizes[-1] - sizes[0] < MAX_GROWTH, sizes


# --- what no file of the collections shows -------------------------------------------------------------------------

BOMBS: dict[str, bytes] = {
    "nothing": b"",
    "a byte": b"\x00",
    "ten megabytes of text": b"<Envelope>" + b"x" * 9_900_000 + b"</Envelope>",
    "deep": b"<a>" * 100_000 + b"</a>" * 100_000,
    "wide": b"<Envelope>" + b"<a/>" * 1_000_000 + b"</Envelope>",
    "attributes": b"<Envelope " + b" ".join(b'a%d="1"' % n for n in range(200_000)) + b"/>",
    "namespaces": b"<Envelope " + b" ".join(b'xmlns:a%d="urn:%d"' % (n, n) for n in range(100_000)) + b"/>",
    "long names": b"<Envelope>" + b"".join(b"<%b/>" % (b"n" * 40_000 + b"%d" % n) for n in range(200)) + b"</Envelope>",
    "instructions": b"<Envelope>" + b"<?a b?>" * 500_000 + b"</Envelope>",
    "comments": b"<Envelope>" + b"<!---->" * 1_000_000 + b"</Envelope>",
    "references": b"<Envelope>" + b"&#65;" * 1_900_000 + b"</Envelope>",
    "laughs": b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><Envelope>&b;</Envelope>',
    "DOCTYPE in UTF-16": '\ufeff<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><Envelope/>'.encode("utf-16-le"),
    "DOCTYPE in UTF-7": b"<?xml version='1.0' encoding='UTF-7'?>+ADw-!DOCTYPE a+AD4-<Envelope/>",
    "EBCDIC": '<?xml version="1.0" encoding="cp037"?><Envelope/>'.encode("cp037"),
    "UTF-32": "<Envelope/>".encode("utf-32"),
    "XInclude": b'<Envelope xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="file:///etc/passwd" parse="text"/></Envelope>',
    "schema location": b'<Envelope xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:noNamespaceSchemaLocation="http://127.0.0.1:1/x"/>',
    "style sheet": b'<?xml-stylesheet href="http://127.0.0.1:1/x"?><Envelope/>',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_every_door(doors: Any, name: str) -> None:
    data = BOMBS[name]

    check_fault(doors.soap(data))
    check_problem(doors.rest(data))
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    if not NOT_XML.search(text):
        wrapped = builders.soap(text.encode())
        (check_refused_envelope if len(wrapped) <= 10_000_000 else check_refused_as_too_large)(doors.soap(wrapped))


def check_refused_as_too_large(reply: Reply) -> None:
    assert reply.status == 413
    assert VIETNAMESE.search(etree.fromstring(reply.body).findtext(".//faultstring") or "")


def test_a_body_over_the_limit_is_refused_before_it_is_read(doors: Any) -> None:
    too_large = b"<a>" + b"x" * 10_000_000 + b"</a>"

    check_refused_as_too_large(doors.soap(too_large))
    assert doors.rest(too_large).status == 413
    assert doors.call(doors.application()).function == "99"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"content-type": "text/plain"}, 415), ({"content-type": "text/xml", "content-encoding": "gzip"}, 415)],
)
def test_what_is_not_sent_as_xml_is_refused(doors: Any, headers: dict[str, str], status: int) -> None:
    assert doors.soap(b"<a/>", headers=headers).status == status
    assert doors.rest(b"<a/>", headers=headers).status == status


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "altered": lambda signed: signed.replace(b"<NetWeight>", b"<NetWeight>9", 1),
    "header altered": lambda signed: signed.replace(b"<reference>", b"<reference>X", 1),
    "comment in a value": lambda signed: signed.replace(b"<Uses>", b"<Uses>x<!-- -->", 1),
    "second content": lambda signed: signed.replace(b"<Body>", b"<Body><Content><Phytosanitary/></Content>", 1),
    "second body": lambda signed: signed.replace(b"<Body>", b"<Body><Content><Phytosanitary/></Content></Body><Body>", 1),
    "signed copy aside": lambda signed: signed.replace(b"<Header>", b"<Object>" + inside(signed) + b"</Object><Header>", 1),
    "envelope in an envelope": lambda signed: b"<Envelope><Header/><Body><Content>" + signed + b"</Content></Body></Envelope>",
    "signature of nothing": lambda signed: re.sub(rb"(<SystemSignature>).*(</SystemSignature>)", rb"\1x\2", signed, flags=re.DOTALL),
    "signature taken out": lambda signed: re.sub(rb"<SystemSignature>.*</SystemSignature>", b"", signed, flags=re.DOTALL),
    "signature twice": lambda signed: signed.replace(b"</Envelope>", signed[signed.index(b"<SystemSignature>") :], 1),
    "id twice": lambda signed: signed.replace(b"<Header>", b'<Header Id="x" id="x">', 1),
    "value altered in the digest": lambda signed: re.sub(rb"<DigestValue>....", b"<DigestValue>AAAA", signed, count=1),
}  # fmt: skip


def inside(signed: bytes) -> bytes:
    return signed[signed.index(b"<Content") : signed.index(b"</Content>") + len(b"</Content>")]


@pytest.mark.parametrize("name", WRAPPINGS)
def test_wrapping_attacks_on_a_signed_envelope_are_refused(doors: Any, name: str) -> None:
    signed = doors.application()
    attack = WRAPPINGS[name](signed)
    assert attack != signed

    check_refused_envelope(doors.soap(builders.soap(attack)))
    check_problem(doors.rest(attack))
    assert doors.call(signed).function == "99"
