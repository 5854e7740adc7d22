"""Exclusive C14N against a second implementation, against digests that others computed, and the prefixes it does not bind."""

import base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from xml.dom import minidom  # the oracle reads what the tests wrote themselves

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import Code, NotReadable
from gateway.xml.canonical import MAX_PREFIXES, MAX_QNAMES, canonical, digest, is_canonical, needed_prefixes, value_prefixes
from gateway.xml.namespaces import DS, ENVELOPED, EXC_C14N
from gateway.xml.parse import parse

# --- the oracle: exclusive C14N 1.0 without comments on expat's tree, straight from the recommendation ------------------

XMLNS = "http://www.w3.org/2000/xmlns/"
IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
IN_ATTRIBUTE = str.maketrans({"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"})


def in_scope(node: minidom.Node | None) -> Mapping[str, str]:
    found: dict[str, str] = {}
    while isinstance(node, minidom.Element):
        for attribute in node.attributes.values():
            if attribute.namespaceURI == XMLNS:
                found.setdefault("" if attribute.name == "xmlns" else attribute.localName, attribute.value)
        node = node.parentNode
    return found


def oracle(node: minidom.Node, listed: tuple[str, ...] = (), rendered: Mapping[str, str] | None = None) -> str:
    if isinstance(node, minidom.Text):
        return node.data.translate(IN_TEXT)
    if not isinstance(node, minidom.Element):
        return ""
    scope, now, written = in_scope(node), dict(rendered or {}), []
    attributes = [a for a in node.attributes.values() if a.namespaceURI != XMLNS]
    used = {node.prefix or ""} | {a.prefix for a in attributes if a.prefix and a.prefix != "xml"}
    used |= {p for p in listed if p in scope}
    for prefix in sorted(used):
        uri = scope.get(prefix, "")
        if now.get(prefix, "") != uri:
            written.append(f' xmlns{":" if prefix else ""}{prefix}="{uri.translate(IN_ATTRIBUTE)}"')
            now[prefix] = uri
    attributes.sort(key=lambda a: (a.namespaceURI or "", a.localName))
    written.extend(f' {a.name}="{a.value.translate(IN_ATTRIBUTE)}"' for a in attributes)
    inside = "".join(oracle(child, listed, now) for child in node.childNodes)
    return f"<{node.tagName}{''.join(written)}>{inside}</{node.tagName}>"


def expats(document: str) -> list[minidom.Element]:
    """Every element of a document, in order, as expat sees it."""
    root = minidom.parseString(document.encode()).documentElement  # noqa: S318 - the document was written in this file
    assert root is not None
    return [root, *root.getElementsByTagName("*")]


# --- documents to write --------------------------------------------------------------------------------------------------

PREFIXES = ["", "p", "q", "r"]
TEXTS = st.text(st.sampled_from("ab:ư<>&\"'\t\n\r ]p"), max_size=8)
LISTS = st.lists(st.sampled_from(["p", "q", "r", "none"]), max_size=3, unique=True).map(tuple)


@st.composite
def trees(draw: st.DrawFn, scope: Mapping[str, str] | None = None, depth: int = 0) -> str:
    declared = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(["urn:1", "urn:2", "http://x/?a='b'"]), max_size=2))
    now = {**(scope or {}), **declared}
    prefixes = [p for p in PREFIXES if p == "" or p in now]
    tag = _name(draw(st.sampled_from(prefixes)), draw(st.sampled_from("ab")))
    attributes = {_name(draw(st.sampled_from(prefixes)), "c"): draw(TEXTS) for _ in range(draw(st.integers(0, 1)))} | {"d": draw(TEXTS)}
    written = "".join(f' xmlns{":" if p else ""}{p}="{uri.translate(IN_ATTRIBUTE)}"' for p, uri in declared.items())
    written += "".join(f' {name}="{value.translate(IN_ATTRIBUTE)}"' for name, value in attributes.items())
    inside = "".join(
        draw(trees(now, depth + 1)) + draw(TEXTS).translate(IN_TEXT) for _ in range(draw(st.integers(0, 2)) if depth < 3 else 0)
    )
    return f"<{tag}{written}>{draw(TEXTS).translate(IN_TEXT)}{inside}</{tag}>"


def _name(prefix: str, local: str) -> str:
    return f"{prefix}:{local}" if prefix else local


# --- the form --------------------------------------------------------------------------------------------------------------


@given(trees(), LISTS)
def test_whole_documents_are_written_as_the_oracle_writes_them(document: str, listed: tuple[str, ...]) -> None:
    written = canonical(parse(document.encode()), prefixes=listed)

    assert written.decode() == oracle(expats(document)[0], listed)


@given(trees(), LISTS, st.data())
def test_elements_inside_a_document_are_written_as_the_oracle_writes_them(
    document: str, listed: tuple[str, ...], data: st.DataObject
) -> None:
    ours, theirs = list(parse(document.encode()).iter()), expats(document)
    at = data.draw(st.integers(0, len(ours) - 1))

    assert canonical(ours[at], prefixes=listed).decode() == oracle(theirs[at], listed)


@given(trees(), LISTS)
def test_the_form_is_its_own_canonical_form(document: str, listed: tuple[str, ...]) -> None:
    once = canonical(parse(document.encode()), prefixes=listed)

    assert canonical(parse(once), prefixes=listed) == once


@given(trees())
def test_writing_an_element_leaves_the_document_as_it_was(document: str) -> None:
    root = parse(document.encode())
    before = etree.tostring(root)

    for element in root.iter():
        canonical(element)

    assert etree.tostring(root) == before


# --- what is canonical as it stands -----------------------------------------------------------------------------------

PIECES = [
    "<a>", "</a>", "<b>", "</b>", "<a/>", "<b ></b>", "<b>\n</b\n>", "<a x='1'></a>", '<a xmlns="urn:x"></a>', "chữ", " ", "\n", "\t", "\r",
    "=", '"', "'", ">", "/", "/>", "!", "?", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#13;", "&#65;", "<!-- c -->", "<?p i?>",
    "<![CDATA[x]]>",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_what_is_called_canonical_is_what_would_be_written(inside: str) -> None:
    data = f"<r>{inside}</r>".encode()
    try:
        root = parse(data)
    except NotReadable:
        return

    assert not is_canonical(data) or canonical(root) == data


def test_calls_canonical_what_machines_write() -> None:
    assert is_canonical("<r>\n <a>chữ = 'x' &amp; \"y\"! /?</a><b></b></r>".encode())


@pytest.mark.parametrize("data", [b"", b" <r></r>", b"<r></r>\n", b"<r/>", b"<r a='1'></r>", b"<r>\r</r>", b"<r>&#65;</r>", b"<r>></r>"])
def test_suspects_what_could_be_spelt_otherwise(data: bytes) -> None:
    assert not is_canonical(data)


def test_leaves_comments_out_even_of_a_tree_that_has_them() -> None:
    root = etree.fromstring(b"<a>x<!-- c -->y<b/><!-- d --></a>")

    assert canonical(root) == b"<a>xy<b></b></a>"


def test_writes_instructions_beside_a_root_but_not_beside_an_inner_element() -> None:
    root = parse(b"<?one?><a><b/></a><?two x?>")

    assert canonical(root) == b"<?one?>\n<a><b></b></a>\n<?two x?>"
    assert canonical(root[0]) == b"<b></b>"


def test_leaves_out_the_text_behind_an_element() -> None:
    assert canonical(parse(b"<a><b>1</b>2</a>")[0]) == b"<b>1</b>"


def test_refuses_a_tree_whose_namespace_has_a_relative_name() -> None:
    root = etree.fromstring(b"<a xmlns:p='rel'/>")

    with pytest.raises(NotReadable) as caught:
        canonical(root)

    assert (caught.value.code, caught.value.problems[0].text) == (Code.NOT_XML, "xml.not-canonical")


# --- digests that others computed ---------------------------------------------------------------------------------------------

RIGHT = 57  # the others were altered or re-indented after signing, and the oracle writes them as we do
DIGESTS = {
    "http://www.w3.org/2000/09/xmldsig#sha1": "sha1",
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
IDS = ("Id", "ID", "id", "AssertionID", "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id")
REFERENCE, TRANSFORM, SIGNATURE = f"{{{DS}}}Reference", f"{{{DS}}}Transform", f"{{{DS}}}Signature"


def recomputed(root: etree._Element, reference: etree._Element) -> str | None:
    """The digest of what a reference names, where that is one element by Id under (enveloped and) exclusive C14N."""
    transforms = list(reference.iter(TRANSFORM))
    uri = reference.get("URI") or ""
    targets = [e for e in root.iter() if uri[1:] and uri[1:] in (e.get(name) for name in IDS)]
    if [t.get("Algorithm") for t in transforms] not in ([EXC_C14N], [ENVELOPED, EXC_C14N]) or len(targets) != 1:
        return None
    inclusive = transforms[-1].find(f"{{{EXC_C14N}}}InclusiveNamespaces")
    listed = "" if inclusive is None else inclusive.get("PrefixList", "")
    algorithm = DIGESTS.get(next(reference.iter(f"{{{DS}}}DigestMethod")).get("Algorithm", ""))
    if algorithm is None:
        return None
    if len(transforms) > 1:
        take_out(next(reference.iterancestors(SIGNATURE)))
    return base64.b64encode(digest(canonical(targets[0], prefixes=listed.split()), algorithm)).decode()


def take_out(signature: etree._Element) -> None:
    parent, before = signature.getparent(), signature.getprevious()
    assert parent is not None
    if before is None:
        parent.text = (parent.text or "") + (signature.tail or "")
    else:
        before.tail = (before.tail or "") + (signature.tail or "")
    parent.remove(signature)


def outside_references(folder: Path) -> Iterator[tuple[etree._Element, etree._Element]]:
    """Each reference of each outside document that can be opened, in a fresh tree."""
    for path in sorted(folder.rglob("*.xml")):
        data = path.read_bytes()
        try:
            count = len(list(parse(data).iter(REFERENCE))) if EXC_C14N.encode() in data else 0
        except NotReadable:
            continue
        for at in range(count):
            root = parse(data)
            yield root, list(root.iter(REFERENCE))[at]


def test_digests_are_those_that_outside_signers_computed(outside: Path) -> None:
    """Documents that were altered after signing stand among them, so that not every digest can be right."""
    right = 0
    for folder in ("as4/messages", "certex-ics2", "signature-wrapping", "wss", "xades", "xmldsig"):
        for root, reference in outside_references(outside / folder):
            stated = "".join((next(reference.iter(f"{{{DS}}}DigestValue")).text or "").split())
            right += recomputed(root, reference) == stated

    assert right >= RIGHT


# --- prefixes that only values use --------------------------------------------------------------------------------------------

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def loose(document: str, path: str = ".") -> tuple[str, ...]:
    element = parse(document.encode()).find(path)
    assert element is not None
    prefixes = value_prefixes(element)
    assert value_prefixes(element, written=canonical(element)) == prefixes
    return prefixes


@pytest.mark.parametrize(
    "document",
    [
        f'<a {XSI} xmlns:t="urn:t" xsi:type="t:Name"/>',
        '<a xmlns:t="urn:t">t:Name</a>',
        '<a xmlns:t="urn:t">\n  t:Name\n</a>',
        '<a xmlns:t="urn:t"><b/>t:Name</a>',
        '<a xmlns:t="urn:t"><b><c/></b>t:Name</a>',
        '<a xmlns:t="urn:t" b="x:y t:Name"/>',
        '<a xmlns:t="urn:t" b="&#10;t:Name"/>',
        '<a xmlns:t="urn:t">&#13;t:Name</a>',
        '<a xmlns:t="urn:t">one t:1 t:Name</a>',
        '<a><b xmlns:t="urn:t">t:Name</b></a>',
        '<a xmlns:t="urn:t"><t:b/><c>t:Name</c></a>',
        '<t:a xmlns:t="urn:other"><b xmlns:t="urn:t">t:Name</b></t:a>',
        '<u:a xmlns:t="urn:t" xmlns:u="urn:t">t:Name</u:a>',
        '<a xmlns:t="urn:t" xmlns:u="urn:t" u:b="1">t:Name</a>',
    ],
)
def test_finds_a_prefix_that_only_a_value_uses(document: str) -> None:
    assert loose(document) == ("t",)


@pytest.mark.parametrize(
    "document",
    [
        "<a>t:Name</a>",
        '<a xmlns:t="urn:t">2026-10-12 09:30:00 http://t:80/ t: :t t</a>',
        '<t:a xmlns:t="urn:t"><b>t:Name</b></t:a>',
        '<a xmlns:t="urn:t" t:b="1"><c>t:Name</c></a>',
        f'<t:a xmlns:t="urn:t" {XSI} xsi:type="t:Name"/>',
        '<a xmlns:t="urn:t"><b/></a>',
    ],
)
def test_finds_nothing_where_names_bind_the_prefix_or_no_value_uses_it(document: str) -> None:
    assert loose(document) == ()


def test_finds_prefixes_that_are_declared_outside_the_element() -> None:
    assert loose('<t:a xmlns:t="urn:t" xmlns:u="urn:u"><b>u:Name <c>t:Name</c></b></t:a>', "b") == ("t", "u")


def test_finds_nothing_where_the_written_binding_is_the_same_again() -> None:
    assert loose('<t:a xmlns:t="urn:t"><b xmlns:t="urn:u"><c xmlns:t="urn:t">t:Name</c></b></t:a>') == ()
    assert loose('<t:a xmlns:t="urn:t"><t:b xmlns:t="urn:u"><c xmlns:t="urn:t">t:Name</c></t:b></t:a>') == ("t",)
    assert loose('<t:a xmlns:t="urn:t"><b xmlns:t="urn:u"><c xmlns:t="urn:t"/>t:Name</b></t:a>') == ("t",)


def test_finds_a_prefix_too_long_to_look_back_over() -> None:
    prefix = "t" * 200

    assert loose(f'<a xmlns:{prefix}="urn:t">{prefix}:Name</a>') == (prefix,)


QNAMES = st.sampled_from(["p:x", "q:y r:z", " p:x ", "none:x", "12:30", "p:", "text"])


@given(trees(), st.data())
def test_loose_prefixes_are_those_that_lose_their_binding(document: str, data: st.DataObject) -> None:
    root = parse(document.encode())
    for element in root.iter():
        element.text = data.draw(QNAMES)
        element.set("d", data.draw(QNAMES))

    again = parse(canonical(root))

    assert value_prefixes(root) == tuple(sorted(_lost(root, again)))
    assert value_prefixes(root, written=canonical(root)) == value_prefixes(root)
    assert _lost(root, parse(canonical(root, prefixes=value_prefixes(root)))) == set()


def _lost(root: etree._Element, again: etree._Element) -> set[str]:
    return {
        token.partition(":")[0]
        for one, other in zip(root.iter(), again.iter(), strict=True)
        for token in f"{one.text} {one.get('d')}".split()
        if token[-1] != ":" and one.nsmap.get(token.partition(":")[0]) != other.nsmap.get(token.partition(":")[0])
    }


def test_finds_a_prefix_again_behind_an_element_that_binds_it() -> None:
    assert loose('<a xmlns:t="urn:t"><t:b>t:Name</t:b>t:Name</a>') == ("t",)
    assert loose('<a xmlns:t="urn:t"><b t:c="1">t:Name</b><c d="t:Name"/></a>') == ("t",)


def test_finds_which_of_two_prefixes_of_one_namespace_an_attribute_binds() -> None:
    assert loose('<a xmlns:t="urn:t" xmlns:u="urn:t" x="1" t:b="1">t:Name u:Name</a>') == ("u",)


def around(inner: str, *, prefixes: int = 60, bind: bool = True) -> etree._Element:
    declared = " ".join(f'xmlns:p{n}="u:{n}"' for n in range(prefixes))
    names = [f"p{n}:w" if bind else "w" for n in range(prefixes)]
    opened, closed = "".join(f"<{name}>" for name in names), "".join(f"</{name}>" for name in reversed(names))
    return parse(f"<a {declared}>{opened}{inner}{closed}</a>".encode())


QNAMES_OF_ALL = " ".join(f"p{n}:a" for n in range(60))


@pytest.mark.parametrize(
    "inner",
    [
        f"<v>{QNAMES_OF_ALL}</v>" * 25_000,
        f"<v b='{QNAMES_OF_ALL}'/>" * 25_000,
        "<v>p0:a</v>" * 190_000,
        "<d>" * 190 + f"<v>{QNAMES_OF_ALL}</v>" * 25_000 + "</d>" * 190,
    ],
    ids=["texts", "attributes", "elements", "deep down"],
)
def test_looks_at_no_value_where_names_bind_every_prefix(inner: str) -> None:
    """Each of these takes minutes where every prefix of every value is asked about by itself."""
    assert value_prefixes(around(inner)[0]) == ()


def test_looks_at_no_more_names_in_values_than_the_limit() -> None:
    enough = "p0:a " * MAX_QNAMES

    assert value_prefixes(around(f"<v b='{enough}'/>", prefixes=1, bind=False)) == ("p0",)
    assert refused(lambda: value_prefixes(around(f"<v b='x:a {enough}'/>", prefixes=1, bind=False))) == "xml.limit-qnames"


def test_suspects_what_has_too_many_colons_to_look_at() -> None:
    root = parse(("<a xmlns:t='http://t'>" + "/:a" * 200_000 + " t:Name</a>").encode())

    assert value_prefixes(root, written=canonical(root)) == ("t",)


def scattered(count: int) -> etree._Element:
    return parse(("<a>" + "".join(f"<b xmlns:p{n}='urn:p'>p{n}:x</b>" for n in range(count)) + "</a>").encode())


def test_lists_no_more_prefixes_than_the_limit() -> None:
    """libxml2 would look for each of them at each element."""
    assert len(value_prefixes(scattered(MAX_PREFIXES))) == MAX_PREFIXES
    assert refused(lambda: value_prefixes(scattered(MAX_PREFIXES + 1))) == "xml.limit-prefixes"
    assert refused(lambda: canonical(parse(b"<a/>"), prefixes=["p"] * (MAX_PREFIXES + 1))) == "xml.limit-prefixes"


def test_needs_no_more_prefixes_than_the_limit() -> None:
    listed = " ".join(f"p{n}" for n in range(MAX_PREFIXES + 1))
    root = parse(f'<a><InclusiveNamespaces xmlns="{EXC_C14N}" PrefixList="{listed}"/></a>'.encode())

    assert refused(lambda: needed_prefixes(root)) == "xml.limit-prefixes"


def test_refuses_a_list_that_is_long_for_a_large_document() -> None:
    many, deep = "<b/>" * 100_000, "<b>" * 250 + "<b/>" * 20_000 + "</b>" * 250

    assert canonical(parse(f"<a xmlns:p='urn:p'>{many}</a>".encode()), prefixes=["p", "q"]).startswith(b'<a xmlns:p="urn:p">')
    assert refused(lambda: canonical(around(many), prefixes=[f"p{n}" for n in range(60)])) == "xml.limit-prefix-looks"
    assert refused(lambda: canonical(around(deep, prefixes=1), prefixes=[f"p{n}" for n in range(20)])) == "xml.limit-prefix-looks"


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(NotReadable) as caught:
        call()
    assert caught.value.code is Code.LIMIT
    return caught.value.problems[0].text


def test_needs_the_prefixes_that_a_signature_inside_lists() -> None:
    document = f'<a><InclusiveNamespaces xmlns="{EXC_C14N}" PrefixList="xs #default soap"/><b xmlns:t="urn:t">t:x</b></a>'
    root = parse(document.encode())

    assert needed_prefixes(root) == ("soap", "t", "xs")
    assert needed_prefixes(root, written=canonical(root)) == ("soap", "t", "xs")


def test_needs_no_prefix_of_a_plain_document() -> None:
    root = parse(b"<a><b>2026-10-12 09:30:00</b></a>")

    assert needed_prefixes(root, written=canonical(root)) == ()


def test_digests_by_the_name_of_the_algorithm() -> None:
    assert digest(b"").hex().startswith("e3b0c442")
    assert len(digest(b"", "sha384")) == 48
