"""Envelopes: their places, the signed view, forwarding and writing."""

import base64
import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import Code, NotReadable
from gateway.model import Header, Identity, Subject
from gateway.testing import builders
from gateway.xml import envelope as envelopes
from gateway.xml.canonical import canonical, digest, value_prefixes
from gateway.xml.header import read_header
from gateway.xml.namespaces import DS, EXC_C14N
from gateway.xml.parse import parse

ZONE = timezone(timedelta(hours=7))
CUSTOMS = Identity(name="Hải quan & Thuế", identity="HQ", country="VN", ministry="BTC", organization="TCHQ")
HEADER = Header(
    id="m-1",
    sender=Identity(name="A", identity="A", country="VN", ministry="M", organization="O"),
    receiver=CUSTOMS,
    subject=Subject(document_type="P&1", type="10", function="01", reference="r", year="2026"),
    sent_at=datetime(2026, 10, 12, 2, 30, tzinfo=UTC),
    version="1.0",
)


def forward(
    payload: bytes,
    *,
    receiver: Identity = CUSTOMS,
    document_type: str | None = None,
    version: str | None = None,
    slots: tuple[str, str] = ("absent", "absent"),
    keep_person: bool = True,
) -> etree._Element:
    written = envelopes.forward(
        payload, receiver=receiver, document_type=document_type, version=version, slots=slots, keep_person=keep_person
    )
    root = parse(written)
    assert root.tag == "Envelope"
    return root


def part(root: etree._Element, path: str) -> etree._Element:
    found = root.find(path)
    assert found is not None
    return found


# --- places -----------------------------------------------------------------------------------------------------------


def test_finds_content_and_the_business_element_in_it(envelope: bytes) -> None:
    content = envelopes.content(parse(envelope))

    assert content is not None
    business = envelopes.business(content)
    assert business is not None
    assert (content.tag, business.tag) == ("Content", "Application")


@pytest.mark.parametrize(
    "data",
    [
        b"<Envelope/>",
        b"<Envelope><Body/></Envelope>",
        b"<Envelope><Content/></Envelope>",
        b"<Envelope><Body><x><Content/></x></Body></Envelope>",
    ],
)
def test_gives_no_content_where_there_is_none_in_its_place(data: bytes) -> None:
    assert envelopes.content(parse(data)) is None


@pytest.mark.parametrize("inside", [b"<Body><Content/><Content/></Body>", b"<Body><Content/></Body><Body/>", b"<Body/><Body/>"])
def test_refuses_several_contents(inside: bytes) -> None:
    with pytest.raises(NotReadable) as caught:
        envelopes.content(parse(b"<Envelope>" + inside + b"</Envelope>"))

    assert caught.value.code is Code.CONTENT_EMPTY


def test_gives_no_business_element_of_an_empty_content() -> None:
    assert envelopes.business(parse(b"<Content> </Content>")) is None


def test_refuses_several_business_elements() -> None:
    with pytest.raises(NotReadable) as caught:
        envelopes.business(parse(b"<Content><a/>\n<b/></Content>"))

    assert (caught.value.code, caught.value.problems[0].line) == (Code.CONTENT_EMPTY, 2)


def test_finds_both_slots(envelope: bytes) -> None:
    root = parse(envelope)

    assert envelopes.person_slot(root) is root.find("Body/Signature")
    assert envelopes.system_slot(root) is root.find("SystemSignature")
    assert envelopes.system_slot(parse(b"<Envelope><Body><SystemSignature/></Body></Envelope>")) is None


@pytest.mark.parametrize("inside", [b"<Body><Signature/><Signature/></Body>", b"<Body><Signature/></Body><Body><Signature/></Body>"])
def test_refuses_several_slots_of_the_person(inside: bytes) -> None:
    with pytest.raises(NotReadable) as caught:
        envelopes.person_slot(parse(b"<Envelope>" + inside + b"</Envelope>"))

    assert caught.value.code is Code.SIGNATURE


def test_refuses_several_slots_of_the_system() -> None:
    with pytest.raises(NotReadable) as caught:
        envelopes.system_slot(parse(b"<Envelope><SystemSignature/><SystemSignature/></Envelope>"))

    assert caught.value.code is Code.SIGNATURE


@pytest.mark.parametrize(
    ("slot", "absent"), [(b"<S/>", True), (b"<S> \n </S>", True), (b"<S>x</S>", False), (b"<S><a/></S>", False), (b"<S>-</S>", False)]
)
def test_a_slot_is_absent_without_element_and_text(slot: bytes, *, absent: bool) -> None:
    assert envelopes.is_absent(parse(slot)) is absent
    assert envelopes.is_absent(None)


# --- the signed view ----------------------------------------------------------------------------------------------------

SIGNED = (
    b"<Envelope><Header/>\n <Body>b<Content Id='c'><a Id='kept'/></Content>1<Signature>x<s/>y</Signature>2</Body>3"
    b"<SystemSignature>\n<s>z</s></SystemSignature>4</Envelope>"
)
BARE = b"<Envelope><Header/>\n <Body>b<Content><a Id='kept'/></Content>12</Body>34</Envelope>"


def view(data: bytes, slots: tuple[str, str]) -> bytes:
    root = parse(data)
    envelopes.make_signed_view(root, slots)
    return canonical(root)


@pytest.mark.parametrize(
    ("slots", "person", "system"),
    [
        (("absent", "absent"), b"", b""),
        (("optional", "absent"), b"<Signature></Signature>", b""),
        (("required", "absent"), b"<Signature>-</Signature>", b""),
        (("absent", "optional"), b"", b"<SystemSignature></SystemSignature>"),
        (("absent", "required"), b"", b"<SystemSignature>-</SystemSignature>"),
        (("required", "optional"), b"<Signature>-</Signature>", b"<SystemSignature></SystemSignature>"),
    ],
)
def test_the_view_holds_each_slot_as_the_schema_declares_it(slots: tuple[str, str], person: bytes, system: bytes) -> None:
    expected = BARE.replace(b"12", b"1" + person + b"2").replace(b"34", b"3" + system + b"4")

    assert view(SIGNED, slots) == canonical(parse(expected))


@pytest.mark.parametrize("slots", [("absent", "absent"), ("optional", "optional")])
def test_the_view_of_an_unsigned_envelope_is_itself(slots: tuple[str, str]) -> None:
    assert view(BARE, slots) == canonical(parse(BARE))


def test_the_view_has_a_demanded_slot_even_where_nobody_signed() -> None:
    expected = b"<Envelope><Body><Content></Content><Signature>-</Signature></Body><SystemSignature>-</SystemSignature></Envelope>"

    assert view(b"<Envelope><Body><Content/></Body></Envelope>", ("required", "required")) == expected


def test_the_view_keeps_text_where_a_slot_comes_first() -> None:
    assert view(b"<Envelope><Body>0<Signature/>1<Content/></Body></Envelope>", ("absent", "absent")) == (
        b"<Envelope><Body>01<Content></Content></Body></Envelope>"
    )


def test_the_view_clears_every_slot_of_a_doubled_one() -> None:
    data = b"<Envelope><Body><Signature><s/></Signature><Signature>x</Signature></Body></Envelope>"

    assert view(data, ("absent", "absent")) == b"<Envelope><Body></Body></Envelope>"
    assert view(data, ("optional", "absent")) == b"<Envelope><Body><Signature></Signature><Signature></Signature></Body></Envelope>"


def test_the_view_leaves_signatures_inside_the_business_element_alone() -> None:
    data = b"<Envelope><Body><Content><a><Signature>x</Signature><SystemSignature>y</SystemSignature></a></Content></Body></Envelope>"

    assert view(data, ("absent", "absent")) == data


# --- forwarding -----------------------------------------------------------------------------------------------------------


def test_forwarding_changes_the_receiver_and_nothing_else_of_the_header(envelope: bytes) -> None:
    before, after = read_header(parse(envelope), zone=ZONE), read_header(forward(envelope), zone=ZONE)

    assert after.receiver == CUSTOMS
    assert (after.id, after.sender, after.subject, after.sent_at, after.version) == (
        before.id, before.sender, before.subject, before.sent_at, before.version,
    )  # fmt: skip


def test_forwarding_keeps_fields_to_the_letter(envelope: bytes) -> None:
    odd = (
        envelope.replace(b"2026-10-12 09:30:00", b"12/10/2026 9:30")
        .replace(b"<type>10<", b"<type> 10 <")
        .replace(b"&amp;", b"&amp;amp;", 1)
    )

    subject = part(forward(odd), "Header/Subject")

    assert [f.text for f in subject] == ["BNN&amp;PTNT0300002", " 10 ", "01", "2026-000123", "2026", None, "12/10/2026 9:30"]


def test_forwarding_spells_document_type_and_version_as_the_receiver_does(envelope: bytes) -> None:
    root = forward(envelope, document_type="BNN&amp;PTNT0300002", version="01")

    assert root.findtext("Header/Subject/documentType") == "BNN&amp;PTNT0300002"
    assert root.findtext("Header/Reference/version") == "01"


@pytest.mark.parametrize("reference", ["", "<Reference/>", "<Reference><messageId>m</messageId></Reference>"])
def test_forwarding_adds_a_version_and_a_receiver_where_there_is_none(reference: str) -> None:
    payload = f"<Envelope><Header>{reference}<From/><Subject><documentType>P</documentType></Subject></Header></Envelope>"

    root = forward(payload.encode(), version="1.0")

    assert [e.tag for e in part(root, "Header")] == ["Reference", "From", "To", "Subject"]
    assert part(root, "Header/Reference")[0].tag == "version"


def test_forwarding_writes_the_receivers_unit_only_where_it_has_one(envelope: bytes) -> None:
    assert part(forward(envelope), "Header/To").find("unitCode") is None
    assert forward(envelope, receiver=HEADER.sender).find("Header/To/unitCode") is None
    assert forward(envelope, receiver=read_header(parse(envelope), zone=ZONE).sender).findtext("Header/To/unitCode") == "NSW"


def test_forwarding_keeps_the_person_and_drops_the_senders_system(envelope: bytes) -> None:
    root = forward(envelope, slots=("optional", "required"))

    assert root.find("SystemSignature") is None
    for path in ("Body/Content", "Body/Signature"):
        assert canonical(part(root, path)) == canonical(part(parse(envelope), path))


def test_forwarding_without_the_person_gives_the_signed_view(envelope: bytes) -> None:
    expected = parse(envelope)
    envelopes.make_signed_view(expected, ("required", "absent"))

    root = forward(envelope, slots=("required", "absent"), keep_person=False)

    assert part(root, "Body/Content").get("Id") is None
    assert canonical(part(root, "Body")) == canonical(part(expected, "Body"))
    assert root.find("SystemSignature") is None


@pytest.mark.parametrize("keep_person", [True, False])
def test_forwarding_writes_canonical_bytes(envelope: bytes, *, keep_person: bool) -> None:
    written = envelopes.forward(
        envelope, receiver=CUSTOMS, document_type=None, version=None, slots=("optional", "optional"), keep_person=keep_person
    )

    assert canonical(parse(written)) == written


def test_forwarding_leaves_instructions_beside_the_root_behind(envelope: bytes) -> None:
    written = envelopes.forward(
        envelope.replace(b"<Envelope>", b"<?xml-stylesheet href='x'?><Envelope>"),
        receiver=CUSTOMS, document_type=None, version=None, slots=("absent", "absent"), keep_person=True,
    )  # fmt: skip

    assert written.startswith(b"<Envelope>")


def test_forwarding_opens_utf_16(envelope: bytes) -> None:
    assert canonical(forward(envelope.decode().encode("utf-16"))) == canonical(forward(envelope))


@pytest.mark.parametrize("payload", [b"", b"<Envelope/>", b"<Envelope><Header/><Header/></Envelope>", b"<!DOCTYPE a><Envelope/>"])
def test_forwarding_refuses_what_is_no_envelope(payload: bytes) -> None:
    with pytest.raises(NotReadable):
        forward(payload)


def test_forwarding_refuses_to_write_a_document_type_into_nothing() -> None:
    with pytest.raises(NotReadable) as caught:
        forward(b"<Envelope><Header/></Envelope>", document_type="P")

    assert caught.value.code is Code.PROCEDURE_UNREADABLE


# Declarations on every level, used by names, by values, by a signature's list, or by nobody.
DECLARED = f"""<Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:t="urn:t" xmlns:no="urn:unused" xmlns:listed="urn:l">
<Header><From/><Subject><documentType>P</documentType></Subject></Header>
<Body xmlns:u="urn:u"><Content Id="c" xmlns:own="urn:own"><a xsi:type="t:Name" xmlns="urn:default"><u:b>own:x</u:b></a></Content>
<Signature><ds:Signature xmlns:ds="{DS}"><ds:Transform><e:InclusiveNamespaces xmlns:e="{EXC_C14N}" PrefixList="listed t"/></ds:Transform>
</ds:Signature></Signature></Body></Envelope>""".encode()


@pytest.mark.parametrize("listed", [(), ("t",), ("listed", "t"), ("own", "listed", "t")])
def test_forwarding_keeps_declarations_that_values_and_lists_need(listed: tuple[str, ...]) -> None:
    root = forward(DECLARED)

    assert canonical(part(root, "Body/Content"), prefixes=listed) == canonical(part(parse(DECLARED), "Body/Content"), prefixes=listed)
    assert value_prefixes(part(root, "Body/Content")) == ("own", "t")


def test_forwarding_leaves_declarations_behind_that_nobody_uses() -> None:
    written = canonical(forward(DECLARED), prefixes=("no",))

    assert b"urn:unused" not in written


def test_a_persons_digest_survives_two_hops(envelope: bytes) -> None:
    def signed(data: bytes) -> str:
        return base64.b64encode(digest(canonical(part(parse(data), "Body/Content")))).decode()

    once = canonical(forward(envelope, document_type="X"))
    twice = canonical(forward(once, receiver=HEADER.sender, version="1"))

    assert signed(envelope) == signed(once) == signed(twice)


NAMES = st.sampled_from(["a", "p:a", "q:b"])
VALUES = st.text(st.sampled_from("aư<>&\"'\n\t :]"), max_size=6) | st.sampled_from(["p:x", "q:y"])


@st.composite
def contents(draw: st.DrawFn, depth: int = 0) -> etree._Element:
    uris: Mapping[str, str] = {"p": draw(st.sampled_from(["urn:1", "urn:2"])), "q": "urn:3"}
    prefix, _, local = draw(NAMES).rpartition(":")
    element = etree.Element(f"{{{uris[prefix]}}}{local}" if prefix else local, nsmap=dict(uris) if draw(st.booleans()) or prefix else None)
    element.text = draw(VALUES)
    if draw(st.booleans()):
        element.set("c", draw(VALUES))
    for _ in range(draw(st.integers(0, 2)) if depth < 3 else 0):
        child = draw(contents(depth + 1))
        child.tail = draw(VALUES)
        element.append(child)
    return element


@given(contents(), st.booleans(), st.booleans())
def test_forwarding_never_changes_content(business: etree._Element, outer: bool, keep_person: bool) -> None:  # noqa: FBT001 - hypothesis passes by position
    declared = ' xmlns:p="urn:outer" xmlns:r="urn:r"' if outer else ""
    held = etree.tostring(business, encoding="unicode")
    payload = (
        f"<Envelope{declared}><Header><From/><Subject><documentType>P</documentType></Subject></Header>"
        f"<Body><Content>{held} r:value</Content></Body></Envelope>"
    ).encode()
    before = part(parse(payload), "Body/Content")

    after = part(forward(payload, keep_person=keep_person), "Body/Content")

    loose = value_prefixes(before)
    assert canonical(after) == canonical(before)
    assert canonical(after, prefixes=loose) == canonical(before, prefixes=loose)
    assert value_prefixes(after) == loose


# --- writing ----------------------------------------------------------------------------------------------------------------


def test_writes_an_envelope_that_is_canonical_and_reads_back() -> None:
    written = envelopes.write(HEADER, b"<ReceiveDate>2026-10-12</ReceiveDate>", zone=ZONE)
    root = parse(written)

    assert canonical(root) == written
    assert read_header(root, zone=ZONE) == HEADER
    assert written.endswith(b"<Body><Content><ReceiveDate>2026-10-12</ReceiveDate></Content></Body></Envelope>")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", b"<Content></Content>"),
        (b"text &amp; more", b"<Content>text &amp; more</Content>"),
        (b"<a b='1' a=\"2\"/><!-- x -->", b'<Content><a a="2" b="1"></a></Content>'),
        (b"<Content Id='c'><a/></Content>", b'<Content Id="c"><a></a></Content>'),
        (b"<a xmlns:t='urn:t'>t:x</a>", b'<Content><a xmlns:t="urn:t">t:x</a></Content>'),
    ],
)
def test_writes_content_in_canonical_form_however_it_was_written(content: bytes, expected: bytes) -> None:
    assert b"<Body>" + expected + b"</Body>" in envelopes.write(HEADER, content, zone=ZONE)


def test_writes_a_persons_signature_behind_the_content() -> None:
    signature = f'<Signature xmlns="{DS}"><SignedInfo/></Signature>'.encode()

    written = envelopes.write(HEADER, b"<Content Id='c'/>", zone=ZONE, person_signature=signature)

    assert canonical(parse(written)) == written
    assert envelopes.person_slot(parse(written)) is not None
    assert b'</Content><Signature><Signature xmlns="' in written


@pytest.mark.parametrize("content", [b"<a>", b"</Content><Content>", b"<!DOCTYPE a>", b"<?pi?>", b"&x;", b"\xff"])
def test_refuses_to_write_content_that_is_not_xml(content: bytes) -> None:
    with pytest.raises(NotReadable):
        envelopes.write(HEADER, content, zone=ZONE)


def test_refuses_to_write_a_signature_that_is_not_xml() -> None:
    with pytest.raises(NotReadable):
        envelopes.write(HEADER, b"", zone=ZONE, person_signature=b"signed")


def test_swaps_sender_and_receiver() -> None:
    swapped = envelopes.swap(HEADER)

    assert (swapped.sender, swapped.receiver, swapped.subject) == (HEADER.receiver, HEADER.sender, HEADER.subject)


def test_tries_a_header_and_gives_none_where_there_is_none(envelope: bytes) -> None:
    header = envelopes.try_header(envelope, zone=ZONE)

    assert header is not None
    assert header.subject.document_type == "BNN&PTNT0300002"


@given(st.binary(max_size=60) | st.sampled_from([b"<Envelope/>", b"<a/>", b"<!DOCTYPE a><a/>", b"<a xmlns='rel'/>"]))
def test_trying_a_header_raises_nothing(payload: bytes) -> None:
    assert envelopes.try_header(payload, zone=ZONE) is None


def test_reading_and_viewing_leave_other_trees_alone(envelope: bytes) -> None:
    root = parse(envelope)
    other = copy.deepcopy(root)

    envelopes.make_signed_view(root, ("absent", "absent"))

    assert canonical(other) == canonical(parse(envelope))


# --- the faster way ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document_type", [None, "BNNPTNT&03"])
@pytest.mark.parametrize("keep_person", [False, True])
@pytest.mark.parametrize("message", sorted(builders.KINDS))
def test_forwards_the_same_bytes_whether_spelt_plainly_or_not(message: str, document_type: str | None, keep_person: bool) -> None:  # noqa: FBT001  # pytest passes by name
    plain = builders.message(message)
    receiver = Identity(name="Hải quan & thuế", identity="TCHQ", country="VN", ministry="BTC", organization="TCHQ")

    def forwarded(payload: bytes) -> bytes:
        return envelopes.forward(
            payload, receiver=receiver, document_type=document_type, version=None, slots=("absent", "absent"), keep_person=keep_person
        )

    slot = b"<SystemSignature> <S xmlns='urn:s' a='1'/> </SystemSignature></Envelope>"
    by_bytes = forwarded(plain)
    assert by_bytes == forwarded(plain.replace(b"<Envelope>", b"<Envelope ><!-- spelt otherwise -->"))
    assert by_bytes == forwarded(plain.replace(b"</Envelope>", slot))
    assert by_bytes == forwarded(plain.replace(b"<Envelope>", b"<Envelope >").replace(b"</Envelope>", slot))
