"""The two spellings of a signature: reads its texts where its elements are exactly the profile's, judging no value.

A signature is read from its canonical bytes, which are the bytes that are verified, so that nothing can be read otherwise than it
was signed. The usual spelling is one pattern; any other is walked element by element, which also finds out what is wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree
from lxml.etree import _Element

from gateway.xml.canonical import canonical
from gateway.xml.namespaces import DS, EXC_C14N, XADES132, XADES_PROPERTIES

from .policy import MAX_CERTIFICATES, Place
from .refusal import refusal

_PARTS = ("SignedInfo", "SignatureValue", "KeyInfo")
_SIGNED_PARTS = ("CanonicalizationMethod", "SignatureMethod", "Reference")
_REFERENCE_PARTS = ("Transforms", "DigestMethod", "DigestValue")
_OBJECT = f"{{{DS}}}Object"
_QUALIFYING = f"{{{XADES132}}}QualifyingProperties"
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_NCNAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")  # ASCII only: an Id is a name that machines give
_PREFIX = re.compile(rb"[ \t\n]*<(?:([A-Za-z_][A-Za-z0-9._-]{0,15}):)?Signature ")
_DS = DS.encode()
_WHITE = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The second reference of a XAdES signature, to its properties in `holder`; `first_id` is the first reference's Id."""

    element: _Element
    uri: str
    digest: str
    digest_value: bytes
    holder: _Element
    first_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The texts of a signature whose elements are the profile's.

    `signed_info` are the canonical bytes of SignedInfo, `rest` what stands around the signature in the bytes it was read from.
    """

    signed_info: bytes
    method: str
    uri: str
    digest: str
    digest_value: bytes
    value: bytes
    certificates: Sequence[bytes]
    prefixes: tuple[str, ...] = ()
    rest: bytes = b""
    second: Second | None = None


def is_ncname(text: str) -> bool:
    """Say whether a text may be an Id."""
    return bool(_NCNAME.fullmatch(text))


def plain(written: bytes, place: Place) -> Texts | None:
    """Read a signature without Ids and prefix lists out of canonical bytes by one pattern; None where it is spelt otherwise or wrong.

    `written` is the signature for a person's, the whole document for the system's, which must be the last thing in it: from where
    the slot begins to the document's end everything is then the pattern's, so that no other place could be meant.
    """
    at = written.rfind(place.begins) if place.begins else 0
    start = _PREFIX.match(written, at + len(place.begins))
    if at < 0 or not start or written.find(b"&", at) >= 0:
        return None
    prefix = start[1] or b""
    found = _pattern(prefix, place).fullmatch(written, at)
    if not found:
        return None
    declaration = b' xmlns:%b="%b">' % (prefix, _DS) if prefix else b' xmlns="%b">' % _DS
    method, uri, digest, digest_value, value, entries = found.group("method", "uri", "digest", "digest_value", "value", "certificates")
    return Texts(
        signed_info=found["info"].replace(b">", declaration, 1),  # as its own canonical form has it
        method=method.decode(), uri=uri.decode(), digest=digest.decode(), digest_value=digest_value, value=value,
        certificates=_inner(entries), rest=written[: found.start("signature")] + written[found.end("signature") :],
    )  # fmt: skip


@lru_cache(maxsize=64)  # prefixes in use: "", "ds", "dsig" and few more, for two places
def _pattern(prefix: bytes, place: Place) -> re.Pattern[bytes]:
    """Write the pattern of a signature's canonical bytes; `{white}` between elements, nothing else free but the captured values."""
    p = f"{re.escape(prefix.decode())}:" if prefix else ""
    white, base64, uri = r"[ \t\n]*", r"[^<]*", r"[!#-%'-;=-~]*"

    def leaf(name: str, algorithm: str) -> str:
        return f'<{p}{name} Algorithm="{algorithm}">{white}</{p}{name}>{white}'

    c14n, method = leaf("CanonicalizationMethod", re.escape(EXC_C14N)), leaf("SignatureMethod", f"(?P<method>{uri})")
    listed, digest = "".join(leaf("Transform", re.escape(t)) for t in place.transforms), leaf("DigestMethod", f"(?P<digest>{uri})")
    pattern = (
        f"{place.begins.decode()}{white}(?P<signature>"
        f'<{p}Signature xmlns{":" if prefix else ""}{p[:-1]}="{re.escape(DS)}">{white}(?P<info><{p}SignedInfo>{white}{c14n}{method}'
        f'<{p}Reference URI="(?P<uri>{uri})">{white}<{p}Transforms>{white}{listed}</{p}Transforms>{white}{digest}'
        f"<{p}DigestValue>(?P<digest_value>{base64})</{p}DigestValue>{white}</{p}Reference>{white}</{p}SignedInfo>){white}"
        f"<{p}SignatureValue>(?P<value>{base64})</{p}SignatureValue>{white}<{p}KeyInfo>{white}<{p}X509Data>{white}"
        f"(?P<certificates>(?:<{p}X509Certificate>{base64}</{p}X509Certificate>{white}){{1,{MAX_CERTIFICATES}}})"
        f"</{p}X509Data>{white}</{p}KeyInfo>{white}</{p}Signature>)"
        f"{''.join(white + end for end in place.ends)}"
    )
    return re.compile(pattern.encode())


def _inner(elements: bytes) -> list[bytes]:
    """Take the texts out of `<a>text</a> <a>text</a>`."""
    return [part.rpartition(b">")[2] for part in elements.split(b"</")[:-1]]


def walk(signature: _Element, place: Place) -> Texts:
    """Read a signature element by element; raises NotProven at the first that is not the profile's."""
    # (4) SignedInfo, SignatureValue and KeyInfo, in this order, an Object with XAdES properties, and nothing else
    children = _elements(signature, 4, attributes=("Id",))
    holder = children.pop() if children[3:] and children[-1].tag == _OBJECT and children[-1].find(_QUALIFYING) is not None else None
    signed_info, value, key_info = _three_of(children, signature, _PARTS)
    references = _references(signed_info, 1 if holder is None else 2)
    c14n, method, *_ = _three_of(_elements(signed_info, 4, attributes=("Id",))[:3], signed_info, _SIGNED_PARTS)
    transforms, digest, digest_value = _three(references[0], _REFERENCE_PARTS, attributes=("URI", "Id"))
    # (5) SignedInfo is canonicalised exclusively, without comments, without parameters
    if _algorithm(c14n, 5) != EXC_C14N:
        raise refusal(5, "canonicalization", c14n, found=_algorithm(c14n, 5), expected=EXC_C14N)
    return Texts(
        signed_info=canonical(signed_info), method=_algorithm(method, 6), uri=_uri(references[0]), prefixes=_transforms(transforms, place),
        digest=_algorithm(digest, 10), digest_value=_text(digest_value, 10, "digest-value"), value=_text(value, 13, "value", ("Id",)),
        certificates=_x509(key_info), second=None if holder is None else _second(references[0], references[1], holder),
    )  # fmt: skip


def _references(signed_info: _Element, count: int) -> list[_Element]:
    # (7) exactly one reference, and with properties a second one, last in SignedInfo
    references = signed_info.findall(f"{{{DS}}}Reference")
    if len(references) != count or len(signed_info) != len(_SIGNED_PARTS) + count - 1:
        raise refusal(7, "references", signed_info, found=str(len(references)), expected=str(count))
    return references


def _second(first: _Element, second: _Element, holder: _Element) -> Second:
    """Read the reference to the properties."""
    transforms, digest, digest_value = _three(second, _REFERENCE_PARTS, attributes=("URI", "Type", "Id"))
    # (27) the second reference is to SignedProperties, by exclusive C14N alone
    children = _elements(transforms, 27)
    if second.get("Type") != XADES_PROPERTIES or [_algorithm(c, 27) for c in children] != [EXC_C14N]:
        raise refusal(27, "second-reference", second)
    if children[0].tag != f"{{{DS}}}Transform":
        raise refusal(27, "second-reference", second)
    return Second(
        element=second, uri=_uri(second), digest=_algorithm(digest, 10), digest_value=_text(digest_value, 10, "digest-value"),
        holder=holder, first_id=first.get("Id"),
    )  # fmt: skip


def _uri(reference: _Element) -> str:
    # (8) a reference that names nothing, or says what it is a reference to, is refused
    uri = reference.get("URI")
    if uri is None:
        raise refusal(8, "uri", reference, found="-", expected="")
    return uri


def _transforms(element: _Element, place: Place) -> tuple[str, ...]:
    # (9) exactly the place's transforms, in their order; the last may list prefixes
    children = _elements(element, 9)
    found = tuple(str(c.get("Algorithm")) for c in children)
    parameters = [_elements(c, 9, attributes=("Algorithm",)) for c in children]
    if found != place.transforms or any(c.tag != f"{{{DS}}}Transform" for c in children) or any(parameters[:-1]):
        raise refusal(9, "transforms", element, found=", ".join(found) or "-", expected=", ".join(place.transforms))
    return _prefixes(parameters[-1], children[-1])


def _prefixes(parameters: list[_Element], transform: _Element) -> tuple[str, ...]:
    if not parameters:
        return ()
    listed = (parameters[0].get("PrefixList") or "").split()
    wrong = len(parameters) > 1 or parameters[0].tag != _INCLUSIVE or not listed or not all(map(is_ncname, listed))
    if wrong or _elements(parameters[0], 9, attributes=("PrefixList",)):
        raise refusal(9, "prefix-list", transform, found=_names(parameters))
    return tuple(listed)


def _x509(key_info: _Element) -> list[bytes]:
    # (11) KeyInfo is one X509Data with one to five certificates, and nothing else
    holders = _elements(key_info, 11, attributes=("Id",))
    if [h.tag for h in holders] != [f"{{{DS}}}X509Data"]:
        raise refusal(11, "key-info", key_info, found=_names(holders))
    entries = _elements(holders[0], 11)
    if not 1 <= len(entries) <= MAX_CERTIFICATES or any(e.tag != f"{{{DS}}}X509Certificate" for e in entries):
        raise refusal(11, "key-info", holders[0], found=_names(entries))
    return [_text(e, 11, "certificate-unreadable") for e in entries]


def _three(parent: _Element, names: tuple[str, ...], attributes: tuple[str, ...] = ("Id",)) -> tuple[_Element, _Element, _Element]:
    return _three_of(_elements(parent, 4, attributes=attributes), parent, names)


def _three_of(children: list[_Element], parent: _Element, names: tuple[str, ...]) -> tuple[_Element, _Element, _Element]:
    if [c.tag for c in children] != [f"{{{DS}}}{name}" for name in names]:
        raise refusal(4, "object" if any(c.tag == _OBJECT for c in children) else "parts", parent, found=_names(children))
    return children[0], children[1], children[2]


def _algorithm(element: _Element, check: int) -> str:
    if parameters := _elements(element, check, attributes=("Algorithm",)):
        raise refusal(check, "parameters", element, found=_names(parameters))
    return element.get("Algorithm", "-")


def _text(element: _Element, check: int, name: str, attributes: tuple[str, ...] = ()) -> bytes:
    if len(element) or any(a not in attributes for a in element.attrib):
        raise refusal(check, name, element, found="-", expected="-")
    return (element.text or "").encode()


def _elements(parent: _Element, check: int, *, attributes: tuple[str, ...] = ()) -> list[_Element]:
    """Give the children of an element that holds nothing but elements and white space, and no attribute but those named."""
    children = list(parent)
    stray = (parent.text or "") + "".join([c.tail or "" for c in children])
    if stray.strip(_WHITE) or not all(isinstance(c.tag, str) for c in children):
        raise refusal(check, "stray", parent, found=stray.strip()[:40])
    if extra := [a for a in parent.attrib if a not in attributes]:
        raise refusal(check, "attributes", parent, found=", ".join(map(str, extra)))
    return children


def _names(elements: list[_Element]) -> str:
    return ", ".join(etree.QName(e).localname if isinstance(e.tag, str) else "?" for e in elements) or "-"
