"""Signature wrapping: each published attack rebuilt on a signed envelope, whose signature still verifies while the envelope lies."""

import copy

import pytest
from lxml import etree
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.testing.signing import Bench, People, unsigned
from gateway.xml.envelope import content
from gateway.xml.parse import parse

DS = "{http://www.w3.org/2000/09/xmldsig#}"
URIS = ["#nothing", "", "#", "http://example.org/a.xml", "file:///etc/passwd", "#x'] or /*[@Id='content", "#xpointer(/)"]
EVIL = "<Content Id='{id}'><Phytosanitary><Forged/></Phytosanitary></Content>"
BY_CHANNEL = People(unsigned("NSW"))  # so that only the person's signature stands between the attack and success


@pytest.fixture(scope="module")
def person_signed(bench: Bench) -> bytes:
    return bench.signed(bare=True)


@pytest.fixture(scope="module")
def system_signed(bench: Bench) -> bytes:
    return bench.signed(person=False)


def evil(identifier: str = "content") -> _Element:
    return etree.fromstring(EVIL.format(id=identifier))


def find(root: _Element, path: str) -> _Element:
    found = root.find(path)
    assert found is not None
    return found


def refusal_of(bench: Bench, root: _Element, *, people: People | None = None) -> str:
    return bench.refused(etree.tostring(root), people=people).problems[0].values.get("check", "-")


# --- the signed part is moved away, and another one takes its place --------------------------------------------------


@pytest.mark.parametrize("holder", ["Header", "Body", "Body/Signature", "."])
def test_content_moved_into_a_wrapper_is_refused(bench: Bench, person_signed: bytes, holder: str) -> None:
    root = parse(person_signed)
    body, signed = find(root, "Body"), find(root, "Body/Content")
    body.replace(signed, evil("other"))
    wrapper = etree.SubElement(find(root, holder), "Wrapper")
    wrapper.append(signed)

    assert refusal_of(bench, root, people=BY_CHANNEL) in {"1", "2", "8"}


def test_content_moved_into_the_signature_as_an_object_is_refused(bench: Bench, person_signed: bytes) -> None:
    root = parse(person_signed)
    body, signed = find(root, "Body"), find(root, "Body/Content")
    body.replace(signed, evil("other"))
    etree.SubElement(find(root, f"Body/Signature/{DS}Signature"), f"{DS}Object").append(signed)

    assert refusal_of(bench, root, people=BY_CHANNEL) == "4"


def test_content_moved_into_key_info_is_refused(bench: Bench, person_signed: bytes) -> None:
    root = parse(person_signed)
    body, signed = find(root, "Body"), find(root, "Body/Content")
    body.replace(signed, evil("other"))
    find(root, f"Body/Signature/{DS}Signature/{DS}KeyInfo").append(signed)

    assert refusal_of(bench, root, people=BY_CHANNEL) == "11"


def test_signed_envelope_inside_the_content_of_another_is_refused(bench: Bench, system_signed: bytes) -> None:
    outer = parse(bench.envelope())
    find(outer, "Body/Content").append(parse(system_signed))

    assert refusal_of(bench, outer) == "1"


def test_signed_envelope_inside_another_with_its_signature_moved_out_is_refused(bench: Bench, system_signed: bytes) -> None:
    outer, inner = parse(bench.envelope()), parse(system_signed)
    find(outer, "Body/Content").append(inner)
    outer.append(find(inner, "SystemSignature"))

    assert refusal_of(bench, outer) == "16"


# --- two elements of one name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1])
def test_second_content_is_refused(bench: Bench, person_signed: bytes, at: int) -> None:
    root = parse(person_signed)
    find(root, "Body").insert(at, evil("other"))

    assert refusal_of(bench, root, people=BY_CHANNEL) == "1"


@pytest.mark.parametrize("at", [1, 2])
def test_second_body_is_refused(bench: Bench, person_signed: bytes, at: int) -> None:
    root = parse(person_signed)
    body = etree.Element("Body")
    body.append(evil("other"))
    root.insert(at, body)

    assert refusal_of(bench, root, people=BY_CHANNEL) == "1"


def test_doubled_identifier_is_refused(bench: Bench, person_signed: bytes) -> None:
    root = parse(person_signed)
    etree.SubElement(find(root, "Header"), "Extra").append(evil("content"))

    assert refusal_of(bench, root, people=BY_CHANNEL) == "3"


@pytest.mark.parametrize("name", ["ID", "id", "{http://www.w3.org/XML/1998/namespace}id"])
def test_doubled_identifier_under_another_attribute_is_refused(bench: Bench, person_signed: bytes, name: str) -> None:
    root = parse(person_signed)
    find(root, "Header").set(name, "content")

    assert refusal_of(bench, root, people=BY_CHANNEL) == "3"


def test_second_header_is_refused(bench: Bench, person_signed: bytes) -> None:
    root = parse(person_signed)
    root.insert(1, copy.deepcopy(find(root, "Header")))

    with pytest.raises(GatewayError):
        bench.prove(etree.tostring(root), people=BY_CHANNEL)


# --- the signature stands elsewhere ----------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", [".", "Header", "Body", "Body/Content"])
def test_signature_in_another_place_is_refused(bench: Bench, system_signed: bytes, holder: str) -> None:
    root = parse(system_signed)
    find(root, holder).append(find(root, f"SystemSignature/{DS}Signature"))

    assert refusal_of(bench, root) == "1"


def test_person_signature_in_the_place_of_the_system_is_refused(bench: Bench, person_signed: bytes) -> None:
    root = parse(person_signed)
    find(root, "Body/Signature").tag = "SystemSignature"
    root.append(find(root, "Body/SystemSignature"))

    assert refusal_of(bench, root) in {"8", "9"}


def test_system_signature_in_the_place_of_the_person_is_refused(bench: Bench, system_signed: bytes) -> None:
    root = parse(system_signed)
    slot = find(root, "SystemSignature")
    slot.tag = "Signature"
    find(root, "Body").append(slot)

    assert refusal_of(bench, root, people=BY_CHANNEL) in {"8", "9"}


def test_system_signature_nested_in_the_slot_is_refused(bench: Bench, system_signed: bytes) -> None:
    root = parse(system_signed)
    slot, signature = find(root, "SystemSignature"), find(root, f"SystemSignature/{DS}Signature")
    etree.SubElement(slot, "Wrapper").append(signature)

    assert refusal_of(bench, root) == "2"


def test_two_signatures_in_one_slot_are_refused(bench: Bench, system_signed: bytes) -> None:
    root = parse(system_signed)
    slot = find(root, "SystemSignature")
    slot.append(copy.deepcopy(slot[0]))

    assert refusal_of(bench, root) == "2"


def test_signature_of_another_namespace_counts_as_none(bench: Bench, system_signed: bytes) -> None:
    payload = system_signed.replace(b"http://www.w3.org/2000/09/xmldsig#", b"urn:xmldsig")

    assert bench.refused(payload).problems[0].values["check"] == "2"


def test_signature_taken_from_another_message_is_refused(bench: Bench, system_signed: bytes) -> None:
    other = parse(bench.envelope().replace(b"<reference>", b"<reference>X"))
    other.append(find(parse(system_signed), "SystemSignature"))

    assert refusal_of(bench, other) == "16"


# --- what is read is not what was signed -----------------------------------------------------------------------------


def test_comment_inside_a_text_is_not_seen_by_any_reader(bench: Bench, system_signed: bytes) -> None:
    payload = system_signed.replace(b"<identity>NSW</identity>", b"<identity>N<!-- -->SW</identity>")

    proven = bench.prove(payload)

    assert proven.header.sender.identity == "NSW"
    assert not list(proven.root.iter(etree.Comment))


def test_comment_that_cuts_a_signed_text_leaves_the_text_whole(bench: Bench, system_signed: bytes) -> None:
    root = content(bench.prove(system_signed.replace(b"BNN260", b"BNN<!--x-->260")).root)

    assert root is not None
    assert etree.tostring(root) == etree.tostring(find(parse(system_signed), "Body/Content"))


def test_processing_instruction_inside_is_refused(bench: Bench, system_signed: bytes) -> None:
    with pytest.raises(GatewayError):
        bench.prove(system_signed.replace(b"<Body>", b"<?x y?><Body>"))


def test_processing_instruction_before_the_root_is_refused(bench: Bench, system_signed: bytes) -> None:
    assert bench.refused(b"<?x y?>" + system_signed).problems[0].values["check"] == "16"


@pytest.mark.parametrize(
    "opening",
    [b"<!DOCTYPE Envelope>", b'<!DOCTYPE Envelope [<!ENTITY a "NSW">]>', b"<!DOCTYPE Envelope [<!ATTLIST Content Id ID #IMPLIED>]>"],
)
def test_doctype_is_refused(bench: Bench, system_signed: bytes, opening: bytes) -> None:
    with pytest.raises(GatewayError):
        bench.prove(opening + system_signed)


def test_entity_in_a_signed_value_is_refused(bench: Bench, system_signed: bytes) -> None:
    with pytest.raises(GatewayError):
        bench.prove(system_signed.replace(b"<identity>NSW", b"<identity>&nsw;"))


def test_character_reference_is_read_as_it_was_signed(bench: Bench, system_signed: bytes) -> None:
    proven = bench.prove(system_signed.replace(b"<identity>NSW", b"<identity>&#78;SW"))

    assert proven.header.sender.identity == "NSW"


def test_content_in_another_namespace_is_refused(bench: Bench, person_signed: bytes) -> None:
    payload = person_signed.replace(b"<Envelope>", b'<Envelope xmlns="urn:x">')

    with pytest.raises(GatewayError):
        bench.prove(payload, people=BY_CHANNEL)


# --- what the signature refers to ------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", URIS)
def test_reference_to_anything_but_content_is_refused(bench: Bench, person_signed: bytes, uri: str) -> None:
    root = parse(person_signed)
    find(root, f".//{DS}Reference").set("URI", uri)

    assert refusal_of(bench, root, people=BY_CHANNEL) == "8"


def test_person_reference_to_the_header_is_refused(bench: Bench, person_signed: bytes) -> None:
    root = parse(person_signed)
    find(root, "Header").set("Id", "header")
    find(root, f".//{DS}Reference").set("URI", "#header")

    assert refusal_of(bench, root, people=BY_CHANNEL) == "8"


@pytest.mark.parametrize("target", ["#key", "http://example.org/key", "file:///etc/passwd", ""])
def test_retrieval_method_is_refused(bench: Bench, system_signed: bytes, target: str) -> None:
    root = parse(system_signed)
    etree.SubElement(find(root, f".//{DS}KeyInfo"), f"{DS}RetrievalMethod").set("URI", target)

    assert refusal_of(bench, root) == "11"


@pytest.mark.parametrize("algorithm", [
    "http://www.w3.org/TR/1999/REC-xpath-19991116", "http://www.w3.org/TR/1999/REC-xslt-19991116",
    "http://www.w3.org/2002/06/xmldsig-filter2", "http://www.w3.org/2000/09/xmldsig#base64",
])  # fmt: skip
def test_transform_that_could_choose_what_is_signed_is_refused(bench: Bench, system_signed: bytes, algorithm: str) -> None:
    root = parse(system_signed)
    transforms = find(root, f".//{DS}Transforms")
    etree.SubElement(transforms, f"{DS}Transform").set("Algorithm", algorithm)

    assert refusal_of(bench, root) == "9"


# --- what no signature covers ----------------------------------------------------------------------------------------


def test_header_changed_under_a_person_signature_alone_is_the_channels_word(bench: Bench, person_signed: bytes) -> None:
    proven = bench.prove(person_signed.replace(b"<type>10</type>", b"<type>11</type>"), people=BY_CHANNEL)

    assert proven.proof == "network"
    assert [w.text for w in proven.warnings] == ["signature.header-by-channel"]


def test_what_is_proved_holds_no_system_signature_any_more(bench: Bench) -> None:
    proven = bench.prove(bench.signed())

    assert len(find(proven.root, "SystemSignature")) == 0
    assert len(find(proven.root, "Body/Signature")) == 1
