"""Opens XML: the only parser. No DOCTYPE, no entities, no network, and limits on everything that grows.

What comes out is what a signature covers: comments are gone (exclusive C14N drops them too, and a comment inside a value
would let two readers read two values), and inside the root stands nothing but elements and text.
"""

import re
from types import MappingProxyType
from typing import cast

from lxml import etree

from gateway.errors import Code, NotReadable, Problem

from .memory import drop_names_in_time
from .wellformed import syntax_problem

MAX_BYTES = 10_000_000  # a tree costs 7 to 12 times its document
MAX_DEPTH = 256  # libxml2 holds it; a WCO declaration needs 12, and whatever recurses stays far from the end of its stack
MAX_ATTRIBUTES = 64  # of one element; C14N sorts them in quadratic time
MAX_NAMESPACES = 64  # declared on an element and those around it, for the same reason
MAX_ATTRIBUTES_IN_ALL = 400_000  # with the declarations: two an element; sorting them is what costs most in a document of attributes
MAX_NAMESPACE_NAME = 2_000  # characters; names are compared all the time, and real ones have a hundred
MAX_TAGS = 400_000  # start and end tags: 200,000 elements, ten times the largest real declaration
MAX_TEXT = MAX_BYTES  # of one text or attribute; libxml2 holds it, and 50,000 for one name

_ENCODINGS = frozenset({"utf-8", "utf8", "utf-16", "utf16", "utf-16le", "utf-16be", "us-ascii", "ascii"})
_UTF8_MARK = b"\xef\xbb\xbf"
_ENCODING_OF = MappingProxyType({b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"<\0": "utf-16-le", b"\0<": "utf-16-be"})
_DECLARED = re.compile(rb"<\?xml\s[^>]*?\sencoding\s*=\s*[\"']([^\"'>]*)[\"']")
_PROLOG = re.compile(rb"(?s:[ \t\r\n]++|<\?.*?\?>|<!--.*?-->)*+")
_URI = rb"(?:[A-Za-z][A-Za-z0-9+.\-]{0,99}+:[^%b&<]{0,900}+)?+"
_PLAIN_BINDING = rb"""(?::[^\s<>="']{1,999}+)?+=(?:"%b"|'%b')""" % (_URI % b'"', _URI % b"'")
_PLAIN_NAMESPACE = re.compile(rb"xmlns" + _PLAIN_BINDING)
_ODD_NAMESPACE = re.compile(rb"xmlns(?!%b)" % _PLAIN_BINDING)
_ROOT = re.compile(rb"<[^?!]")  # where the document has begun, no DOCTYPE can come
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_QUOTED = 120  # characters of the document that a problem repeats
_DECLARED_WITHIN = 256  # bytes in which an encoding is looked for; what stands later changes nothing, the parser reads UTF-8
_SHORTEST_TAG = 3  # bytes
_TAG_WITHIN = 16_384  # bytes before an equals sign in which its tag is looked for; whatever is longer is judged in the tree
_TOO_MANY_ATTRIBUTES = etree.XPath(f"boolean(/descendant::*/@*[{MAX_ATTRIBUTES + 1}])", regexp=False)
_ATTRIBUTES_IN_ALL = etree.XPath("count(/descendant::*/@*)", regexp=False)
_FIRST_INSTRUCTION = etree.XPath("/*/descendant::processing-instruction()[1]", regexp=False)  # all of them would be compared in pairs


def parse(data: bytes) -> etree._Element:
    """Open a document and give its root.

    Raises NotReadable: NOT_XML where it is not well-formed, has a DOCTYPE, a processing instruction inside the root, an
    encoding other than UTF-8 or UTF-16, or a namespace that has no canonical form; LIMIT where it is too large in any way.
    """
    if len(data) > MAX_BYTES:
        raise _over("bytes", MAX_BYTES)
    text = _utf8(data)
    begins = _begin(text)
    if len(text) > _SHORTEST_TAG * MAX_TAGS and text.count(b"<") > MAX_TAGS:
        raise _over("tags", MAX_TAGS)
    root = _opened(text)
    _check_shape(root, text, begins)
    return root


def judging_parser(schema: etree.XMLSchema) -> etree.XMLParser:
    """Make a parser that judges by a schema what it is fed: for a document that parse() has opened before, written out again."""
    return etree.XMLParser(
        schema=schema, resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, collect_ids=False
    )


def line_of(element: etree._Element) -> int | None:
    """Say in which line of its document an element stands; None where it was not parsed."""
    return cast("int | None", element.sourceline)  # the stubs leave its type open


def _utf8(data: bytes) -> bytes:
    """Recode by what the first bytes show; a declaration may be wrong about it (.NET's string writers are)."""
    encoding = _ENCODING_OF.get(data[:2])
    if encoding is None:
        return data.removeprefix(_UTF8_MARK)
    try:
        return data.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeDecodeError as error:
        raise NotReadable(Code.NOT_XML, Problem(text="xml.encoding", values={"found": encoding})) from error


def _begin(text: bytes) -> int:
    """Say where the root may begin; what comes before it is judged here, before libxml2 sees it."""
    if _ROOT.match(text):
        return 0
    declared = _DECLARED.match(text, 0, _DECLARED_WITHIN)
    if declared and (encoding := declared[1].decode("ascii", "replace")).lower() not in _ENCODINGS:
        raise NotReadable(Code.NOT_XML, Problem(text="xml.encoding", line=1, values={"found": encoding}))
    prolog = _PROLOG.match(text)
    begins = prolog.end() if prolog else 0
    if text.startswith(b"<!DOCTYPE", begins):
        raise _doctype(text.count(b"\n", 0, begins) + 1)
    return begins


def _opened(text: bytes) -> etree._Element:
    # A parser of its own costs a few microseconds; a shared one would be waited for.
    drop_names_in_time(len(text))
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, collect_ids=False
    )
    try:
        return etree.fromstring(text, parser)
    except etree.XMLSyntaxError as error:
        code, problem = syntax_problem(error)
        raise NotReadable(code, problem) from error


def _check_shape(root: etree._Element, text: bytes, begins: int) -> None:
    """Refuse what libxml2 lets pass; each look at the whole tree is one XPath, and made only where the bytes give cause."""
    if not _ROOT.match(text, begins) and root.getroottree().docinfo.internalDTD is not None:
        raise _doctype(None)
    if text.find(b"?", begins) >= 0:
        _check_instructions(root)
    if not _has_plain_attributes(text, begins):
        _check_attributes(root)


def _check_instructions(root: etree._Element) -> None:
    found = _FIRST_INSTRUCTION(root)
    if isinstance(found, list) and found:
        raise NotReadable(Code.NOT_XML, Problem(text="xml.instruction", line=getattr(found[0], "sourceline", None)))


def _has_plain_attributes(text: bytes, begins: int) -> bool:
    """Say from the bytes alone whether there are few attributes in all and each namespace has a scheme and no reference, or is empty."""
    few = text.count(b"=", begins) <= MAX_ATTRIBUTES  # each attribute has one
    return (few and not _ODD_NAMESPACE.search(text, begins)) or _has_plain_tags(text, begins)


def _has_plain_tags(text: bytes, begins: int) -> bool:
    """Say the same tag by tag, for what only looks odd because it stands in text.

    An attribute has an equals sign, and the `<` before that is its tag's, because none may stand in a value; where that tag was
    closed before the sign and holds none itself, the sign stands in text.
    """
    equals = text.find(b"=", begins)
    for _ in range(MAX_ATTRIBUTES):
        if equals < 0:
            return True
        opens = text.rfind(b"<", max(0, equals - _TAG_WITHIN), equals)
        if opens < 0:
            return False
        closes = text.find(b">", opens, equals)
        if closes < 0 or text.find(b"=", opens, closes) >= 0:
            name = text.rfind(b"xmlns", opens, equals)
            if name >= 0 and not _PLAIN_NAMESPACE.match(text, name):
                return False
        equals = text.find(b"=", equals + 1)
    return equals < 0


def _check_attributes(root: etree._Element) -> None:
    if _TOO_MANY_ATTRIBUTES(root):
        raise _over("attributes", MAX_ATTRIBUTES)
    in_all, in_scope = cast("float", _ATTRIBUTES_IN_ALL(root)), 0
    if in_all > MAX_ATTRIBUTES_IN_ALL:
        raise _over("attributes-in-all", MAX_ATTRIBUTES_IN_ALL)
    for event, declared in etree.iterwalk(root, events=("start-ns", "end-ns")):
        if event == "end-ns":
            in_scope -= 1
            continue
        in_scope, in_all = in_scope + 1, in_all + 1
        if in_scope > MAX_NAMESPACES:
            raise _over("namespaces", MAX_NAMESPACES)
        if in_all > MAX_ATTRIBUTES_IN_ALL:
            raise _over("attributes-in-all", MAX_ATTRIBUTES_IN_ALL)
        _check_namespace(declared[1])


def _check_namespace(uri: str) -> None:
    """Refuse what libxml2's C14N cannot write: it stops at a relative URI, and writes an ampersand without escaping it."""
    if len(uri) > MAX_NAMESPACE_NAME:
        raise _over("namespace-name", MAX_NAMESPACE_NAME)
    if "&" in uri or (uri and not _SCHEME.match(uri)):
        raise NotReadable(Code.NOT_XML, Problem(text="xml.namespace", values={"found": uri[:_QUOTED]}))


def _doctype(line: int | None) -> NotReadable:
    return NotReadable(Code.NOT_XML, Problem(text="xml.doctype", line=line))


def _over(what: str, limit: int) -> NotReadable:
    return NotReadable(Code.LIMIT, Problem(text=f"xml.limit-{what}", values={"limit": f"{limit:,}"}))
