"""The places of signatures, read from schemas in the shapes of the field."""

import pytest

from gateway.xml.slots import slots_of
from gateway.xml.sources import Sources

HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
STRING = 'type="xs:string"'


def slots(*, body: str = "", envelope: str = "", more: str = "") -> tuple[str, str]:
    text = (
        f'{HEAD}<xs:element name="Envelope"><xs:complexType><xs:sequence><xs:element name="Header" {STRING}/>'
        f'<xs:element name="Body"><xs:complexType><xs:sequence><xs:element name="Content" {STRING}/>{body}</xs:sequence></xs:complexType>'
        f"</xs:element>{envelope}</xs:sequence></xs:complexType></xs:element>{more}</xs:schema>"
    )
    return of(s=text)


def of(**files: str) -> tuple[str, str]:
    return slots_of(Sources({f"{name}.xsd": text.encode() for name, text in files.items()}.__getitem__).closure("s.xsd"))


@pytest.mark.parametrize(
    ("occurs", "state"),
    [("", "required"), ('minOccurs="0"', "optional"), ('minOccurs="1"', "required"), ('minOccurs="0" maxOccurs="0"', "absent")],
)
def test_a_declared_slot_is_required_or_optional(occurs: str, state: str) -> None:
    assert slots(body=f'<xs:element name="Signature" {STRING} {occurs}/>') == (state, "absent")
    assert slots(envelope=f'<xs:element name="SystemSignature" {STRING} {occurs}/>') == ("absent", state)


def test_a_schema_that_declares_neither_has_neither() -> None:
    assert slots() == ("absent", "absent")


def test_a_slot_inside_an_optional_group_is_optional() -> None:
    assert slots(body=f'<xs:sequence minOccurs="0"><xs:element name="Signature" {STRING}/></xs:sequence>')[0] == "optional"


def test_a_slot_inside_a_choice_is_optional() -> None:
    inside = f'<xs:choice><xs:element name="Signature" {STRING}/><xs:element name="Other" {STRING}/></xs:choice>'

    assert slots(body=inside)[0] == "optional"


def test_slots_are_found_through_references_groups_and_extensions() -> None:
    more = (
        f'<xs:element name="Signature" {STRING}/>'
        f'<xs:group name="End"><xs:sequence><xs:element name="SystemSignature" {STRING} minOccurs="0"/></xs:sequence></xs:group>'
    )

    assert slots(body='<xs:element ref="Signature"/>', envelope='<xs:group ref="End"/>', more=more) == ("required", "optional")


def test_slots_are_found_in_named_types_of_included_files() -> None:
    main = (
        f'{HEAD}<xs:include schemaLocation="types.xsd"/><xs:element name="Envelope"><xs:complexType><xs:complexContent>'
        f'<xs:extension base="Base"><xs:sequence><xs:element name="SystemSignature" {STRING}/></xs:sequence></xs:extension>'
        "</xs:complexContent></xs:complexType></xs:element></xs:schema>"
    )
    types = (
        f'{HEAD}<xs:complexType name="Base"><xs:sequence><xs:element name="Body" type="Body"/></xs:sequence></xs:complexType>'
        f'<xs:complexType name="Body"><xs:all><xs:element name="Signature" {STRING} minOccurs="0"/></xs:all></xs:complexType></xs:schema>'
    )

    assert of(s=main, types=types) == ("optional", "required")


def test_a_group_that_holds_itself_ends() -> None:
    more = '<xs:group name="Loop"><xs:sequence><xs:group ref="Loop"/></xs:sequence></xs:group>'

    assert slots(body='<xs:group ref="Loop"/>', more=more) == ("absent", "absent")


def test_a_bare_document_has_no_slots() -> None:
    assert of(s=f'{HEAD}<xs:element name="Signature" {STRING}/></xs:schema>') == ("absent", "absent")
