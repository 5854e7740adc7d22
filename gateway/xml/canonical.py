"""Writes XML in its one canonical form, exclusive C14N 1.0 without comments, and digests it."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from lxml import etree

from gateway.errors import Code, NotReadable, Problem

from .namespaces import EXC_C14N
from .parse import MAX_ATTRIBUTES, MAX_DEPTH, line_of

MAX_QNAMES = 100_000  # in values, looked at for a prefix that no name binds; five for each element of the largest real declaration
MAX_PREFIXES = 64  # listed for one canonical form: libxml2 looks for each at each element, on it and all around it
MAX_LOOKS = 50_000_000  # at one element or declaration, for all of the list: a quarter of a second

_LOOK_BACK = 64  # bytes before a colon that are looked at; a longer token only costs the slower look
_NAME_START = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") | frozenset(range(0x80, 0x100))
_TOKEN_END = re.compile(rb"(?:^|[\s>\";])(?!xmlns$)[^\s<>\"/=&;:]+$")  # a ';' ends a reference to a line break
_MOST_COLONS = 100_000  # that are looked at one by one; with more of them the document is suspect
_QNAME = re.compile(r"(?<!\S)([^\s:]++):[^\s:]++(?!\S)")
_IN_NO_MARK = bytes(set(range(256)) - set(b"<>/!?= \t\r\n"))  # what stands in names and texts; without it a tag is `<>` or `</>`
_WRITTEN_REFERENCES = (b"&amp;", b"&lt;", b"&gt;")
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_NAMES = tuple(etree.XPath(f"name(@*[{at}])", regexp=False, smart_strings=False) for at in range(1, MAX_ATTRIBUTES + 1))
_COUNT = etree.XPath("count(descendant-or-self::*)", regexp=False)
_QUALIFIED = "{"  # stands in the name that lxml gives an attribute in a namespace
_Binding = tuple[str, str | None]  # what a prefix is bound to in the document, and in its canonical form
_Change = tuple[str, _Binding | None, bool]  # a prefix, its binding before, and whether it was loose
_DECLARATIONS = 32  # that are looked at for a prefix beside the elements, on average


def canonical(element: etree._Element, *, prefixes: Sequence[str] = ()) -> bytes:
    """Write an element canonically; `prefixes` is the InclusiveNamespaces PrefixList. Of a root, the whole document is written.

    The whole document is what a signature's URI="" means: processing instructions beside the root belong to it. A list's
    #default is not known: libxml2 leaves it out, so a digest made with it does not match.
    Raises NotReadable: NOT_XML where the form does not exist, because a namespace is named by a relative URI; LIMIT where the list is
    too long for the document.
    """
    _check_list(element, prefixes)
    whole = element.getroottree() if element.getparent() is None else element
    try:
        return etree.tostring(whole, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=list(prefixes) or None)
    except etree.C14NError as error:
        raise NotReadable(Code.NOT_XML, Problem(text="xml.not-canonical", line=line_of(element))) from error


def is_canonical(data: bytes) -> bool:
    """Say whether a well-formed document is its own canonical form because nothing in it could be spelt otherwise; no is a suspicion.

    Yes means: elements without attributes and so without namespaces, no empty-element tag, nothing but elements and text, the text's
    references those that canonical XML writes. Machines write nearly all messages so, and looking is a tenth of writing them again.
    """
    marks = data.translate(None, _IN_NO_MARK)
    tags = marks.count(b"<")
    if not (data.startswith(b"<") and data.endswith(b">")) or b"\r" in marks:
        return False
    # each tag is `<>` or `</>`, as many close as open, and no `>` stands in text
    if not marks.count(b"<>") + marks.count(b"</>") == marks.count(b">") == tags == 2 * marks.count(b"</"):
        return False
    at = data.find(b"&")
    while at >= 0:
        if not data.startswith(_WRITTEN_REFERENCES, at):
            return False
        at = data.find(b"&", at + 1)
    return True


def value_prefixes(element: etree._Element, *, written: bytes | None = None) -> tuple[str, ...]:
    """Find the prefixes that only values use (xsi:type="p:T", <a>p:name</a>), sorted: exclusive C14N leaves them unbound.

    `written` is the element's canonical form, where the caller has it: it answers for most documents at once.
    Raises NotReadable (LIMIT) where there are too many of them, or too many QNames to look at.
    """
    if written is not None and not _may_hold_qnames(written):
        return ()
    found: set[str] = set()
    looks = 0
    for value, loose in _values(element):
        for qname in _QNAME.finditer(value):
            looks += 1
            if looks > MAX_QNAMES:
                raise _over("qnames", MAX_QNAMES)
            if qname[1] in loose:
                found.add(qname[1])
                loose.remove(qname[1])
    return _sorted(found)


def needed_prefixes(element: etree._Element, *, written: bytes | None = None) -> tuple[str, ...]:
    """Find the prefixes to list so that an element can be written anew: those only values use, and those a signature inside it lists."""
    if written is not None and b"PrefixList" not in written:
        return value_prefixes(element, written=written)
    listed = {prefix for holder in element.iter(_INCLUSIVE) for prefix in holder.get("PrefixList", "").split()}
    return _sorted(listed.difference(["#default"]).union(value_prefixes(element, written=written)))


def digest(data: bytes, algorithm: str = "sha256") -> bytes:
    """Digest bytes; `algorithm` is hashlib's name."""
    return hashlib.new(algorithm, data).digest()


def _may_hold_qnames(written: bytes) -> bool:
    """Say whether canonical bytes hold `token:Name` where a value may stand: no is sure, yes is a suspicion."""
    begins, colon = 0, written.find(b":")  # from colon to colon, because nothing else goes over bytes as fast
    for _ in range(_MOST_COLONS):
        if colon < 0:
            return False
        if written[colon + 1] in _NAME_START and _TOKEN_END.search(written[max(begins, colon - _LOOK_BACK) : colon]):
            return True
        begins, colon = colon + 1, written.find(b":", colon + 1)
    return colon >= 0


def _values(element: etree._Element) -> Iterator[tuple[str, set[str]]]:
    """Give texts and attributes with a colon in them, each with the prefixes in scope there, if any, that exclusive C14N leaves unbound.

    One walk, which changes the scope at the few elements that do and changes it back; inside are nothing but elements and text.
    Whoever takes a prefix out of the set has found it, and need not be asked about it again.
    """
    scope: dict[str, _Binding] = {prefix: (uri, None) for prefix, uri in element.nsmap.items() if prefix}
    loose = set(scope)
    declared: dict[str, str] = {}
    changes: list[Sequence[_Change]] = []
    for event, what in etree.iterwalk(element, events=("start-ns", "start", "end")):
        if event == "start-ns":
            declared[what[0]] = what[1]
        elif event == "start" and not loose and not declared:
            changes.append(())
        elif event == "start":
            attributes, text = what.values(), what.text
            values = [value for value in attributes if ":" in value] if attributes else []
            if text and ":" in text:
                values.append(text)
            asked = values or len(what)
            changing = asked and (declared or what.prefix in loose or (attributes and _QUALIFIED in "".join(what.keys())))
            changes.append(_entered(what, declared, scope, loose) if changing else ())
            declared = {}
            for value in values:
                yield value, loose
        else:
            if changed := changes.pop():
                _left(changed, scope, loose)
            if loose and (tail := what.tail) and ":" in tail and what is not element:
                yield tail, loose


def _entered(element: etree._Element, declared: Mapping[str, str], scope: dict[str, _Binding], loose: set[str]) -> list[_Change]:
    """Change the scope to that inside an element: what is declared anew is loose until a name uses it, or it was written so around it.

    Gives what was before.
    """
    changes: list[_Change] = []
    for prefix, uri in declared.items():
        before = scope.get(prefix)
        if prefix and (before is None or before[0] != uri):
            changes.append((prefix, before, prefix in loose))
            scope[prefix] = (uri, before[1] if before else None)
            (loose.add if scope[prefix][1] != uri else loose.discard)(prefix)
    for prefix in loose.intersection(_used(element)) if loose else ():
        changes.append((prefix, scope[prefix], True))
        scope[prefix] = (scope[prefix][0], scope[prefix][0])
        loose.remove(prefix)
    return changes


def _used(element: etree._Element) -> Sequence[str | None]:
    """Give the prefixes that an element's name and its attributes' names use; of an attribute, lxml itself tells the namespace only."""
    used = [element.prefix]
    for attribute, name_of in zip(element.keys(), _NAMES, strict=False):
        if _QUALIFIED in attribute:
            used.append(cast("str", name_of(element)).partition(":")[0])
    return used


def _left(changes: Sequence[_Change], scope: dict[str, _Binding], loose: set[str]) -> None:
    """Change the scope back to that around an element."""
    for prefix, before, was_loose in reversed(changes):
        if before is None:
            del scope[prefix]
        else:
            scope[prefix] = before
        (loose.add if was_loose else loose.discard)(prefix)


def _check_list(element: etree._Element, prefixes: Sequence[str]) -> None:
    """Refuse a list for which libxml2 would look too long: it looks for each prefix at each element, from there up to the root."""
    if not prefixes:
        return
    if len(prefixes) > MAX_PREFIXES:
        raise _over("prefixes", MAX_PREFIXES)
    if cast("float", _COUNT(element)) * len(prefixes) * (MAX_DEPTH + _DECLARATIONS) <= MAX_LOOKS:
        return
    depth, looks = len(list(element.iterancestors())), 0
    for event, _ in etree.iterwalk(element, events=("start", "end")):
        depth += 1 if event == "start" else -1
        looks += depth + _DECLARATIONS
    if looks * len(prefixes) > 2 * MAX_LOOKS:  # each element begins and ends
        raise NotReadable(Code.LIMIT, Problem(text="xml.limit-prefix-looks", values={"found": str(len(prefixes))}))


def _sorted(prefixes: set[str]) -> tuple[str, ...]:
    if len(prefixes) > MAX_PREFIXES:
        raise _over("prefixes", MAX_PREFIXES)
    return tuple(sorted(prefixes))


def _over(what: str, limit: int) -> NotReadable:
    return NotReadable(Code.LIMIT, Problem(text=f"xml.limit-{what}", values={"limit": f"{limit:,}"}))
