"""The only parser: what it opens, and what it refuses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import Code, NotReadable
from gateway.xml.canonical import canonical
from gateway.xml.parse import (
    MAX_ATTRIBUTES,
    MAX_ATTRIBUTES_IN_ALL,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NAMESPACE_NAME,
    MAX_NAMESPACES,
    MAX_TAGS,
    MAX_TEXT,
    line_of,
    parse,
)

UTF8_MARK = b"\xef\xbb\xbf"
HARMLESS = ("schema-include.xsd", "simple.xml", "xalan_exec.xsl", "xalan_write.xsl")  # as long as nobody runs what they ask for
RELATIVE = "simple-ns.xml"  # its namespace is "namespace"


def refused(data: bytes) -> NotReadable:
    with pytest.raises(NotReadable) as caught:
        parse(data)
    return caught.value


def opened_or_refused(data: bytes) -> bool:
    """Whatever is opened has a canonical form; whatever is not is refused with a problem."""
    try:
        return canonical(parse(data)) != b""
    except NotReadable as refusal:
        return len(refusal.problems) == 1


def text_of(data: bytes) -> str:
    return refused(data).problems[0].text


# --- encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "declared", ["", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-8"?>', '<?xml version="1.0" encoding="utf-16"?>\n']
)
def test_opens_utf_8_and_utf_16_whatever_the_declaration_says(encoding: str, declared: str) -> None:
    assert parse(f"{declared}<a>Quả ướt</a>".encode(encoding)).text == "Quả ướt"


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_opens_utf_16_by_its_byte_order_mark(mark: bytes) -> None:
    encoding = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"

    assert parse(mark + "<a>ư</a>".encode(encoding)).text == "ư"


@pytest.mark.parametrize("name", ["ISO-8859-1", "windows-1258", "UTF-7", "IBM037", "utf-32", "no-such-thing", ""])
def test_refuses_a_declared_encoding_other_than_utf(name: str) -> None:
    refusal = refused(f"<?xml version='1.0' encoding='{name}'?><a/>".encode())

    assert (refusal.code, refusal.problems[0].text) == (Code.NOT_XML, "xml.encoding")
    assert refusal.problems[0].values["found"] == name


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe<\0a\0",
        b"\xff\xfe\x00\xd8\x00\xd8",
        b"<\0a\0/\0>\0\0",
        "<a>x</a>".encode("utf-32"),
        "<?xml version='1.0'?><a/>".encode("cp037"),
    ],
)
def test_refuses_bytes_that_are_not_what_they_begin_as(data: bytes) -> None:
    assert refused(data).code is Code.NOT_XML


@pytest.mark.parametrize("data", [b"<a>\xff</a>", b"<a>\xc3</a>", b"<a>\xed\xa0\x80</a>", b"<a>\xc0\x80</a>", b"<a b='\xf8'/>"])
def test_refuses_bytes_that_are_not_utf_8(data: bytes) -> None:
    assert text_of(data) == "xml.bytes"


@pytest.mark.parametrize(
    "data", [b"<a>\0</a>", b"<a/>\0", b"\0<a/>", b"<a\0/>", b"<a b='\0'/>", b"<a>\x01</a>", b"<a>&#0;</a>", b"<a>&#xFFFF;</a>"]
)
def test_refuses_characters_that_xml_does_not_have(data: bytes) -> None:
    assert refused(data).code is Code.NOT_XML


# --- DOCTYPE and entities --------------------------------------------------------------------------------------------

PROLOGS = [
    "",
    "<?xml version='1.0'?>",
    "<?xml version='1.0'?>\n<!-- a comment -->\n",
    "<!-- <!DOCTYPE a> --><?pi <a/> ?>",
    "<!---->" * 50,
]


@pytest.mark.parametrize("prolog", PROLOGS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_refuses_a_doctype_wherever_it_may_stand(prolog: str, encoding: str) -> None:
    assert text_of(f"{prolog}<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>".encode(encoding)) == "xml.doctype"


def test_refuses_a_doctype_after_white_space() -> None:
    assert text_of(b" \t\r\n<!DOCTYPE a><a/>") == "xml.doctype"


def test_names_the_line_of_a_doctype() -> None:
    assert refused(b"<?xml version='1.0'?>\n\n<!DOCTYPE a>\n<a/>").problems[0].line == 3


@pytest.mark.parametrize(
    "data", [b"<a><!DOCTYPE a></a>", b"<a/><!DOCTYPE a>", b"<!doctype a><a/>", b"<!ENTITY e 'x'><a/>", b"<![CDATA[x]]><a/>"]
)
def test_refuses_declarations_out_of_place(data: bytes) -> None:
    assert refused(data).code is Code.NOT_XML


def test_takes_a_doctype_inside_cdata_for_text() -> None:
    assert parse(b"<a><![CDATA[<!DOCTYPE a><a/>]]></a>").text == "<!DOCTYPE a><a/>"


def test_refuses_an_entity_that_nobody_declared() -> None:
    problem = refused(b"<a>&eacute;</a>").problems[0]

    assert (problem.text, problem.values["name"]) == ("xml.entity", "eacute")


def test_refuses_every_attack_with_a_doctype(outside: Path) -> None:
    attacks = sorted(p for p in (outside / "xml-attacks" / "defusedxml").iterdir() if p.suffix in (".xml", ".xsd", ".xsl"))

    texts = {p.name: text_of(p.read_bytes()) for p in attacks if p.name not in (*HARMLESS, RELATIVE)}

    assert len(texts) == 8
    assert set(texts.values()) == {"xml.doctype"}


@pytest.mark.parametrize("name", HARMLESS)
def test_does_nothing_that_an_attack_without_a_doctype_asks_for(outside: Path, name: str) -> None:
    assert canonical(parse((outside / "xml-attacks" / "defusedxml" / name).read_bytes()))


def test_refuses_the_attack_whose_namespace_is_relative(outside: Path) -> None:
    assert text_of((outside / "xml-attacks" / "defusedxml" / RELATIVE).read_bytes()) == "xml.namespace"


def test_refuses_every_published_document_that_is_not_well_formed(outside: Path) -> None:
    documents = sorted((outside / "wco-dec" / "not-well-formed").iterdir())

    refusals = [refused(p.read_bytes()) for p in documents]

    assert len(refusals) == 21
    assert {r.code for r in refusals} == {Code.NOT_XML}
    assert all(r.problems[0].line for r in refusals)
    assert {r.problems[0].text for r in refusals} == {"xml.tag-mismatch", "xml.after-end", "xml.comment"}


# --- limits --------------------------------------------------------------------------------------------------------


def test_refuses_more_bytes_than_the_limit() -> None:
    problem = refused(b"<a>" + b" " * MAX_BYTES + b"</a>").problems[0]

    assert (problem.text, problem.values["limit"]) == ("xml.limit-bytes", "10,000,000")


def test_holds_depth_to_the_limit() -> None:
    assert len(list(parse(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH).iter())) == MAX_DEPTH
    assert text_of(b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1)) == "xml.limit-depth"


@pytest.mark.parametrize("depth", [257, 1_000, 100_000])
def test_refuses_a_depth_beyond_the_limit(depth: int) -> None:
    assert refused(b"<a>" * depth + b"</a>" * depth).code is Code.LIMIT
    assert text_of(b"<a>" * depth + b"</a>" * depth) == "xml.limit-depth"


def test_finds_depth_below_many_shallow_siblings() -> None:
    data = b"<r>" + b"<x><y/></x>" * 500 + b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH + b"<z/>" * 500 + b"</r>"

    assert text_of(data) == "xml.limit-depth"


def attributes(count: int) -> bytes:
    return b" ".join(b"a%d='%d'" % (n, n) for n in range(count))


def test_holds_attributes_of_one_element_to_the_limit() -> None:
    assert len(parse(b"<r><a " + attributes(MAX_ATTRIBUTES) + b"/></r>")[0].attrib) == MAX_ATTRIBUTES
    assert text_of(b"<r><b/><a " + attributes(MAX_ATTRIBUTES + 1) + b"/></r>") == "xml.limit-attributes"


def test_opens_many_elements_with_few_attributes_each() -> None:
    assert len(parse(b"<r>" + b"<a b='1' c='2'/>" * 500 + b"</r>")) == 500


def declarations(count: int, uri: str = "urn:n:%d") -> bytes:
    return " ".join(f"xmlns:n{n}='{uri % n}'" for n in range(count)).encode()


def test_holds_namespaces_in_scope_to_the_limit() -> None:
    assert parse(b"<a " + declarations(MAX_NAMESPACES) + b"/>").tag == "a"
    assert text_of(b"<a " + declarations(MAX_NAMESPACES + 1) + b"/>") == "xml.limit-namespaces"
    assert text_of(b"<a " + declarations(MAX_NAMESPACES) + b"><b xmlns='urn:b'/></a>") == "xml.limit-namespaces"


def test_opens_many_declarations_that_are_not_in_scope_together() -> None:
    assert len(parse(b"<r>" + b"<n:a xmlns:n='urn:n'/>" * 500 + b"</r>")) == 500


def test_holds_the_attributes_of_all_elements_to_the_limit() -> None:
    row = b"<a " + attributes(50) + b"/>"

    assert len(parse(b"<r>" + row * 1_000 + b"</r>")) == 1_000
    assert text_of(b"<r>" + row * (MAX_ATTRIBUTES_IN_ALL // 50) + b"<a b='1'/></r>") == "xml.limit-attributes-in-all"


def test_counts_declarations_among_the_attributes_of_all_elements() -> None:
    data = b"<r>" + (b"<a " + declarations(25, "u:%d") + b" " + attributes(25) + b"/>") * (MAX_ATTRIBUTES_IN_ALL // 50) + b"<a b='1'/></r>"

    assert text_of(data) == "xml.limit-attributes-in-all"


@pytest.mark.parametrize("longest", ["urn:".ljust(MAX_NAMESPACE_NAME, "="), ":x".rjust(MAX_NAMESPACE_NAME, "u")])
def test_holds_the_name_of_a_namespace_to_the_limit(longest: str) -> None:
    assert parse(f"<a xmlns:p='{longest}'/>".encode()).nsmap == {"p": longest}
    assert text_of(f"<a xmlns:p='{longest}x'/>".encode()) == "xml.limit-namespace-name"


@pytest.mark.parametrize("name", ["rel", "urn:a&amp;b"])
def test_judges_a_namespace_far_behind_the_beginning_of_its_tag(name: str) -> None:
    assert text_of(f"<a b='{'x' * 50_000}' xmlns:p='{name}'/>".encode()) == "xml.namespace"


def test_holds_tags_to_the_limit() -> None:
    assert text_of(b"<r>" + b"<a/>" * MAX_TAGS + b"</r>") == "xml.limit-tags"


def test_opens_one_text_as_long_as_the_limit_allows() -> None:
    assert len(parse(b"<a>" + b"x" * (MAX_TEXT - 7) + b"</a>").text or "") == MAX_TEXT - 7


@pytest.mark.parametrize("data", [b"<" + b"a" * 60_000 + b"/>", b"<a " + b"b" * 60_000 + b"='1'/>"])
def test_refuses_names_that_are_too_long(data: bytes) -> None:
    assert (refused(data).code, text_of(data)) == (Code.LIMIT, "xml.name-too-long")


@pytest.mark.parametrize(
    "data",
    [
        b"<?a?>" * 390_000 + b"<r/>",
        b"<!---->" * 390_000 + b"<r/>",
        b"<r>" + b"<?a?>" * 390_000 + b"</r>",
        b"<?xml" + b" " * 9_000_000 + b"<r/>",
        b"<r " + b" ".join(b"a%d=''" % n for n in range(200_000)) + b"/>",
        b"<r " + b" ".join(b"xmlns:a%d='urn:a'" % n for n in range(200_000)) + b"/>",
        b"<" * 9_000_000,
        b"<!--" * 300_000,
        b"<?a " * 300_000,
        b"&" * 1_000_000,
        b"<r xmlns:a='http://" + b"=" * 70 + b"x" * 9_000_000 + b"'/>",
        b"<r b='" + b"mlns" * 2_000_000 + b"=" * 70 + b"'/>",
    ],
    ids=[
        "instructions before",
        "comments before",
        "instructions",
        "white space",
        "attributes",
        "namespaces",
        "brackets",
        "open comments",
        "open instructions",
        "ampersands",
        "a namespace full of equals signs",
        "equals signs far behind their tag",
    ],
)
def test_answers_floods_without_pairwise_work(data: bytes) -> None:
    """Each of these takes minutes where anything compares each with each; here it is milliseconds."""
    assert opened_or_refused(data)


# --- what comes out ------------------------------------------------------------------------------------------------


def test_leaves_comments_out_so_that_a_value_is_read_in_one_way() -> None:
    root = parse(b"<!-- x --><a>BNN<!-- x -->2026<b/><!-- y -->tail</a>")

    assert root.text == "BNN2026"
    assert root[0].tail == "tail"
    assert root.getprevious() is None


def test_merges_cdata_with_the_text_around_it() -> None:
    assert parse(b"<a>x<![CDATA[<y>]]>z</a>").text == "x<y>z"


@pytest.mark.parametrize("data", [b"<a><?pi x?></a>", b"<a>BNN<?pi?>2026</a>", b"<a><b><c/><?xml-stylesheet href='x'?></b></a>"])
def test_refuses_processing_instructions_inside_the_root(data: bytes) -> None:
    problem = refused(data).problems[0]

    assert (problem.text, problem.line) == ("xml.instruction", 1)


def test_keeps_processing_instructions_beside_the_root_which_signatures_cover() -> None:
    root = parse(b"<?xml version='1.0'?>\n<?xml-stylesheet href='x'?><a/><?end?>")

    assert canonical(root) == b"<?xml-stylesheet href='x'?>\n<a></a>\n<?end?>"


@pytest.mark.parametrize(
    "data",
    [
        b"<a xmlns='rel'/>",
        b"<a xmlns:p='rel'/>",
        b'<a xmlns:p = "../x"/>',
        b"<a><b c='1'\n\txmlns:p\n=\n'//host/x'/></a>",
        b"<a xmlns:p='&#104;ttp'/>",
        b"<a xmlns:p='urn:a&amp;b'/>",
        b'<a xmlns:p="urn:it\'s&amp;b"/>',
        b"<a xmlns:p='urn:a&#38;b'/>",
        b"<a b='>' xmlns:p='rel'/>",
        b"<a b=\"<x xmlns:q='urn:q'\" xmlns:p='rel'/>".replace(b"<x", b"&lt;x"),
        b'<a b=\'xmlns="urn:a\' xmlns:p="rel"/>',
        b"<a>xmlns=\"urn:a<b xmlns:p='rel'/>\"</a>",
        b"<a " + b"b" * 2000 + b"='1' xmlns:p='rel'/>",
        b"<a>" + b"<x y='1'/>" * 100 + b"<b xmlns:p='rel'/></a>",
    ],
)
def test_refuses_a_namespace_that_has_no_canonical_form(data: bytes) -> None:
    refusal = refused(data)

    assert (refusal.code, refusal.problems[0].text) == (Code.NOT_XML, "xml.namespace")


@pytest.mark.parametrize(
    "data",
    [
        b"<a xmlns='urn:a'/>",
        b"<a xmlns=''/>",
        b"<a xmlns:p='http://com/vnsw/ws/generated'/>",
        b"<a xmlns:p='&#104;ttp://x'/>",
        b"<a>xmlns:p='rel'</a>",
        b"<a b=\"xmlns:p='rel'\"/>",
        b"<a><![CDATA[<b xmlns='rel'/>]]></a>",
        b"<a xmlnsx='rel'/>",
    ],
)
def test_opens_what_only_looks_like_a_relative_namespace(data: bytes) -> None:
    assert canonical(parse(data))


@pytest.mark.parametrize(
    "data",
    [b"<a:b/>", b"<a x:b='1'/>", b"<a xmlns:x=''/>", b"<1a/>", b"<a:b:c xmlns:a='urn:a'/>", b"<a b='1' b='2'/>", b"<a xmlns:xml='urn:x'/>"],
)
def test_refuses_names_that_are_none(data: bytes) -> None:
    assert refused(data).code is Code.NOT_XML


def test_refuses_two_attributes_of_one_expanded_name() -> None:
    assert text_of(b"<a xmlns:p='urn:u' xmlns:q='urn:u' p:b='1' q:b='2'/>") == "xml.attribute-twice"


def test_keeps_document_content_out_of_the_exception_text() -> None:
    assert "secret" not in str(refused(b"<a>&secret;</a>"))


def test_says_the_line_of_an_element_that_was_parsed() -> None:
    assert line_of(parse(b"<a>\n<b/></a>")[0]) == 2
    assert line_of(etree.Element("a")) is None


# --- nothing escapes -------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_opened_or_refused(data: bytes) -> None:
    assert opened_or_refused(data)


TAGS = ["<a>", "</a>", "<b x='1'>", "</b>", "<c/>", "<p:a xmlns:p='urn:p'>", "</p:a>", "xmlns:p='rel'"]
MARKUP = st.sampled_from([*TAGS, "<!--", "-->", "<![CDATA[", "]]>", "<?p", "?>", "<!DOCTYPE a>", "&amp;", "&x;", *"&<>'= \n\0ư"])


@given(st.lists(MARKUP, max_size=30).map("".join), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_any_pile_of_markup_is_opened_or_refused(text: str, encoding: str) -> None:
    assert opened_or_refused(text.encode(encoding))


@given(st.data())
def test_any_damaged_envelope_is_opened_or_refused(data: st.DataObject) -> None:
    good = b"<?xml version='1.0'?><Envelope><Header a='1'><x>\xc6\xb0</x></Header><p:b xmlns:p='urn:p'/></Envelope>"
    at = data.draw(st.integers(0, len(good)))
    damaged = good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 4)) :]

    assert opened_or_refused(damaged)
