"""Signatures of any profile, as `nsw verify` meets them: what they refer to, and the bytes that stand behind each reference."""

import base64
import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element

from gateway.xml.canonical import canonical
from gateway.xml.namespaces import DS, ENVELOPED, EXC_C14N
from gateway.xml.parse import parse

from .policy import MAX_REFERENCES, MAX_TRANSFORMS, Policy
from .refusal import refusal
from .shape import SIGNATURE

C14N_10 = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
C14N_11 = "http://www.w3.org/2006/12/xml-c14n11"
BASE64 = f"{DS}base64"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
_CANONICALIZATIONS = (EXC_C14N, C14N_10, C14N_11)
_COMMENTS = ("#WithComments", "WithComments")  # the exclusive one's URI ends in # already
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_ID_NAMES = ("Id", "ID", "id")
_WHOLE = ("", "#xpointer(/)")
_POINTER = re.compile(r"#xpointer\(id\(['\"]([^'\"]+)['\"]\)\)")
_NO_SIGNATURES = re.compile(r"\s*not\(\s*ancestor-or-self::[A-Za-z_][\w.-]*:Signature\s*\)\s*")  # the one XPath that real signers use


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One reference as written; nothing about it is verified."""

    element: _Element
    uri: str | None
    transforms: tuple[_Element, ...]
    digest: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A signature as written; nothing about it is verified."""

    element: _Element
    signed_info: _Element
    canonicalization: _Element
    method: str
    references: tuple[Reference, ...]
    value: bytes
    key_info: _Element | None


def read(signature: _Element) -> Foreign:
    """Take a signature apart; raises NotProven where a part is missing or doubled."""
    signed_info = _one(signature, "SignedInfo")
    references = signed_info.findall(f"{{{DS}}}Reference")
    # (7) at least one reference, and no more than can be meant
    if not 1 <= len(references) <= MAX_REFERENCES:
        raise refusal(7, "references-any", signed_info, found=str(len(references)), maximum=str(MAX_REFERENCES))
    return Foreign(
        element=signature,
        signed_info=signed_info,
        canonicalization=_one(signed_info, "CanonicalizationMethod"),
        method=_one(signed_info, "SignatureMethod").get("Algorithm", "-"),
        references=tuple(map(_reference, references)),
        value=decode(_one(signature, "SignatureValue"), 13, "value"),
        key_info=next(iter(signature.findall(f"{{{DS}}}KeyInfo")), None),
    )


def signed_info_bytes(foreign: Foreign) -> bytes:
    """Write SignedInfo as its CanonicalizationMethod says; raises NotProven where that is none we know (SIG-5)."""
    # (5) a canonicalisation that we know
    algorithm = foreign.canonicalization.get("Algorithm", "-")
    written = _canonicalized(foreign.signed_info, foreign.canonicalization)
    if written is None:
        raise refusal(5, "canonicalization", foreign.canonicalization, found=algorithm, expected=", ".join(_CANONICALIZATIONS))
    return written


def target(reference: Reference, root: _Element, id_names: Sequence[str]) -> _Element:
    """Find the one element that a reference names; raises NotProven where it is none, several, or outside the document (SIG-3, SIG-8)."""
    if reference.uri in _WHOLE:
        return root
    pointer = _POINTER.fullmatch(reference.uri or "")
    name = pointer[1] if pointer else (reference.uri or "").removeprefix("#")
    # (8) a reference stays inside the document
    if reference.uri is None or not name or (not pointer and not reference.uri.startswith("#")):
        raise refusal(8, "uri-outside", reference.element, found="-" if reference.uri is None else reference.uri)
    found = elements_with_id(root, name, id_names)
    # (3) what it names is one element, whatever attribute names it
    if len(found) > 1:
        raise refusal(3, "id-doubled", reference.element, id=name)
    if not found:
        raise refusal(8, "uri-nothing", reference.element, found=reference.uri)
    return found[0]


def elements_with_id(root: _Element, name: str, id_names: Sequence[str]) -> list[_Element]:
    """Give the elements that bear an identifier in any attribute that may hold one: Id, ID, id in any namespace, and the names given."""
    allowed = (*_ID_NAMES, *id_names)
    return [
        e for e in root.iter(etree.Element) if any(value == name and etree.QName(str(key)).localname in allowed for key, value in e.items())
    ]


def referenced_bytes(reference: Reference, found: _Element, foreign: Foreign) -> bytes:
    """Apply a reference's transforms to what it names; raises NotProven for a transform that we do not apply (SIG-9)."""
    # (9) few transforms, each of which we know
    if len(reference.transforms) > MAX_TRANSFORMS:
        raise refusal(9, "transform-unknown", reference.element, found=f"{len(reference.transforms)} > {MAX_TRANSFORMS}")
    copied, own = _copied(found, foreign.element)
    present: _Element | bytes = copied
    for transform in reference.transforms:
        present = _transformed(present, transform, own)
    return present if isinstance(present, bytes) else _inclusive(present)


def allowed_transforms(reference: Reference, policy: Policy) -> bool:
    """Say whether a policy takes a reference's transforms: the permissive one takes all that we apply."""
    plain = {ENVELOPED, *_CANONICALIZATIONS}
    return policy.bare_keys or all(t.get("Algorithm") in plain for t in reference.transforms)


def decode(element: _Element, check: int, name: str) -> bytes:
    """Decode the base64 of an element as other stacks write it: padded, white space anywhere; raises NotProven."""
    return _decoded(element.text or "", element, check, name)


def _decoded(text: str, at: _Element, check: int, name: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise refusal(check, name, at, found="-", expected="-") from error


def _reference(element: _Element) -> Reference:
    transforms = element.find(f"{{{DS}}}Transforms")
    return Reference(
        element=element,
        uri=element.get("URI"),
        transforms=() if transforms is None else tuple(transforms.findall(f"{{{DS}}}Transform")),
        digest=_one(element, "DigestMethod").get("Algorithm", "-"),
        value=decode(_one(element, "DigestValue"), 10, "digest-value"),
    )


def _one(parent: _Element, name: str) -> _Element:
    # (4) each part is there once
    found = parent.findall(f"{{{DS}}}{name}")
    if len(found) != 1:
        raise refusal(4, "part", parent, part=name, found=str(len(found)))
    return found[0]


def _copied(found: _Element, signature: _Element) -> tuple[_Element, _Element]:
    """Copy the document, and give in the copy what is meant and the signature itself."""
    root = found.getroottree().getroot()
    originals, copies = list(root.iter()), list(copy.deepcopy(root).iter())
    return copies[originals.index(found)], copies[originals.index(signature)]


def _transformed(present: _Element | bytes, transform: _Element, own: _Element) -> _Element | bytes:
    algorithm = transform.get("Algorithm", "-")
    if algorithm == ENVELOPED and not isinstance(present, bytes):
        return _without([own], present)
    element = parse(present) if isinstance(present, bytes) else present
    if algorithm == XPATH and _NO_SIGNATURES.fullmatch(transform.findtext(f"{{{DS}}}XPath", "")):
        return _without(list(element.iter(SIGNATURE)), element)
    if algorithm == BASE64:
        return _decoded("".join(map(str, element.itertext())), transform, 9, "transform-unknown")
    written = _canonicalized(element, transform)
    if written is None:
        raise refusal(9, "transform-unknown", transform, found=algorithm)
    return written


def _without(signatures: Sequence[_Element], top: _Element) -> _Element:
    """Take signatures out of a copy, keeping the text behind each."""
    for signature in signatures:
        parent, before = signature.getparent(), signature.getprevious()
        if parent is None or signature is top:
            continue
        if before is not None:
            before.tail = (before.tail or "") + (signature.tail or "")
        else:
            parent.text = (parent.text or "") + (signature.tail or "")
        parent.remove(signature)
    return top


def _canonicalized(element: _Element, method: _Element) -> bytes | None:
    """Write an element by a canonicalisation method; None where it is none we know. Comments are not in the tree."""
    algorithm = method.get("Algorithm", "-")
    bare = next((c for c in _CANONICALIZATIONS if algorithm in (c, *(c + end for end in _COMMENTS))), None)
    if bare is None:
        return None
    if bare != EXC_C14N:
        return _inclusive(element)
    listed = method.find(_INCLUSIVE)
    return canonical(element, prefixes=() if listed is None else listed.get("PrefixList", "").split())


def _inclusive(element: _Element) -> bytes:
    """Write an element by inclusive C14N; it is parsed anew, because only then its ancestors' declarations are its own."""
    alone = parse(etree.tostring(element, encoding="utf-8", with_tail=False))
    return etree.tostring(alone, method="c14n", exclusive=False, with_comments=False)
