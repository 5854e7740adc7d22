import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import NotReadable
from gateway.xml.parse import MAX_TAGS, parse
from gateway.xml.payload import payload_bytes, payload_of

ENVELOPE = "<Envelope><Header/><Body>Giấy chứng nhận &amp; hồ sơ</Body></Envelope>"
BYTES = ENVELOPE.encode()


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.parametrize(
    "text",
    [
        ENVELOPE,
        f"\n   \t{ENVELOPE}\r\n",
        f"\ufeff{ENVELOPE}",
        f"\n\ufeff {ENVELOPE}",
        f"\u00ef\u00bb\u00bf{ENVELOPE}",
        escaped(ENVELOPE),
        escaped("\ufeff" + ENVELOPE),
        f"<![CDATA[{ENVELOPE}]]>",
        f"\n <![CDATA[\n{ENVELOPE}\n]]> ",
        f"<![CDATA[{escaped(ENVELOPE)}]]>",
        escaped(f"<![CDATA[{ENVELOPE}]]>"),
    ],
)
def test_every_wrapping_of_the_field_comes_off(text: str) -> None:
    assert payload_bytes(text.encode()) == BYTES


@pytest.mark.parametrize(
    "declaration",
    [
        '<?xml version="1.0"?>',
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<?xml version='1.0' encoding='utf-16' standalone='yes' ?>",
        '<?xml version="1.0" encoding="unicode"?>',
        '<?xml\n  version="1.0"\n  encoding="windows-1258"?>',
    ],
)
def test_a_declaration_says_nothing_about_a_string(declaration: str) -> None:
    assert payload_bytes((declaration + ENVELOPE).encode()) == BYTES


def test_a_line_keeps_its_number_without_the_declaration() -> None:
    assert payload_bytes(b'<?xml version="1.0"?>\n' + BYTES) == b"\n" + BYTES


@pytest.mark.parametrize("text", ["", " \n\t ", "\ufeff", "<![CDATA[]]>", "<![CDATA[ \n]]>"])
def test_nothing_stays_nothing(text: str) -> None:
    assert payload_bytes(text.encode()) == b""


def test_text_that_is_no_xml_is_left_for_the_parser_to_refuse() -> None:
    assert payload_bytes("hồ sơ & giấy tờ".encode()) == "hồ sơ & giấy tờ".encode()


def test_an_escape_inside_an_envelope_is_not_touched() -> None:
    inner = "<Envelope><a>BNN&amp;amp;PTNT &lt;b&gt;</a></Envelope>"

    assert payload_bytes(inner.encode()) == inner.encode()
    assert payload_bytes(escaped(inner).encode()) == inner.encode()


def test_only_the_outermost_marker_comes_off() -> None:
    inner = "<Envelope><a><![CDATA[x]]></a></Envelope>"

    assert payload_bytes(f"<![CDATA[{inner}]]>".encode()) == inner.encode()


def test_three_escapes_are_not_peeled() -> None:
    assert payload_bytes(escaped(escaped(ENVELOPE)).encode()).startswith(b"&amp;lt;")


@pytest.mark.parametrize(
    ("reference", "character"), [("&#13;", "\r"), ("&#xD;", "\r"), ("&#7879;", "ệ"), ("&#x1EC7;", "ệ"), ("&quot;", '"')]
)
def test_an_escaped_document_may_use_any_reference(reference: str, character: str) -> None:
    assert payload_bytes(f"&lt;a&gt;{reference}&lt;/a&gt;".encode()) == f"<a>{character}</a>".encode()


def test_no_reference_is_resolved_twice() -> None:
    assert payload_bytes(b"&lt;a&gt;&amp;lt;&amp;#65;&#38;amp;&lt;/a&gt;") == b"<a>&lt;&#65;&amp;</a>"


@pytest.mark.parametrize("reference", ["&#0;", "&#xD800;", "&#x110000;", "&#9999999;", "&nbsp;", "&#xFFFE;"])
def test_a_reference_to_no_character_is_left_for_the_parser_to_refuse(reference: str) -> None:
    assert payload_bytes(f"&lt;a&gt;{reference}&lt;/a&gt;".encode()) == f"<a>{reference}</a>".encode()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_becomes_bytes(text: str) -> None:
    found = payload_bytes(text.encode())

    assert len(found.decode().encode()) <= len(text.encode())  # layers are taken off, never put on


def test_an_envelope_given_as_elements_is_taken_canonically() -> None:
    element = etree.fromstring(b"<p xmlns:x='urn:x'>\n <Envelope><b a='1'/></Envelope>\n</p>")

    assert payload_of(element) == b'<Envelope><b a="1"></b></Envelope>'


def test_an_envelope_given_as_elements_keeps_the_prefixes_its_values_use() -> None:
    element = etree.fromstring(b"<p xmlns:x='urn:x'><Envelope><b>x:T</b></Envelope></p>")

    assert payload_of(element) == b'<Envelope xmlns:x="urn:x"><b>x:T</b></Envelope>'


def test_text_around_a_comment_is_one_text() -> None:
    element = etree.fromstring(b"<p>&lt;a&gt;<!-- c -->&lt;/a&gt;</p>")

    assert payload_of(element) == b"<a></a>"


def test_text_beside_elements_is_not_taken_for_an_envelope() -> None:
    element = etree.fromstring(b"<p>x<Envelope/></p>")

    assert payload_of(element) == b"x"


def test_two_elements_are_no_envelope() -> None:
    element = etree.fromstring(b"<p><Envelope/><Envelope/></p>")

    assert payload_of(element) == b""


def test_a_child_that_no_parser_opens_is_given_without_a_look_at_its_values() -> None:
    root = parse(b"<p xmlns:t='urn:t'><E>" + b"<a b='t:x'/>" * (MAX_TAGS // 2) + b"</E></p>")

    payload = payload_of(root)

    assert payload.startswith(b'<E><a b="t:x"></a>')
    with pytest.raises(NotReadable) as caught:
        parse(payload)
    assert caught.value.problems[0].text == "xml.limit-tags"
