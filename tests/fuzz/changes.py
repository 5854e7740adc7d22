"""How a signed document is changed: bytes, elements, and the parts that attacks are made of; each draw is repeatable."""

import base64
import random
import re
from collections.abc import Callable

from lxml import etree
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.xml.namespaces import DS, ENVELOPED, EXC_C14N
from gateway.xml.parse import parse

Change = Callable[[random.Random, bytes], bytes]

_SCRAPS = (
    b"<", b">", b"&", b'"', b"'", b"/", b"]]>", b"<!--", b"-->", b"<![CDATA[", b"\0", b"\xff", b" ", b"\n", b"&#13;", b"&amp;", b"<a/>",
    b"xmlns=''", b"Id='content'", b"<!DOCTYPE a>", b"<?x y?>", b"xml:id='a'", b"xmlns:ds='urn:x'",
)  # fmt: skip
_ALGORITHMS = (
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", f"{DS}rsa-sha1",
    f"{DS}hmac-sha1", "http://www.w3.org/2001/04/xmlenc#sha256", f"{DS}sha1", "http://www.w3.org/2001/04/xmldsig-more#sha384", EXC_C14N,
    ENVELOPED, f"{EXC_C14N}WithComments", "http://www.w3.org/TR/1999/REC-xslt-19991116", "http://www.w3.org/2002/06/xmldsig-filter2",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "",
)  # fmt: skip
_URIS = ("", "#", "#content", "#x", "#xpointer(/)", "#xpointer(id('content'))", "file:///etc/passwd", "http://127.0.0.1:9/a", "cid:a")
_BASE64 = re.compile(rb">([A-Za-z0-9+/=]{16,})<")


def by_byte(draw: random.Random, data: bytes) -> bytes:
    """Flip, cut, double, insert or move bytes anywhere."""
    at, length = draw.randrange(len(data)), draw.randrange(1, 40)
    match draw.randrange(6):
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + data[at : at + length] * 2 + data[at + length :]
        case 3:
            return data[:at] + draw.choice(_SCRAPS) + data[at:]
        case 4:
            other = draw.randrange(len(data))
            return data[:at] + data[other : other + length] + data[at + length :]
    return data[:at]


def by_element(draw: random.Random, data: bytes) -> bytes:
    """Remove, double, move, rename or decorate an element."""
    root = parse(data)
    elements = list(root.iter())
    one, other = draw.choice(elements), draw.choice(elements)
    parent = one.getparent()
    if parent is None:
        return b"<a>" + data[data.find(b"<", 1) if data.startswith(b"<?") else 0 :] + b"</a>"
    _change(draw, one, other, parent)
    return etree.tostring(root)


def _change(draw: random.Random, one: _Element, other: _Element, parent: _Element) -> None:
    match draw.randrange(7):
        case 0:
            parent.remove(one)
        case 1:
            parent.insert(draw.randrange(len(parent) + 1), parse(etree.tostring(one, with_tail=False)))
        case 2 if one is not other and one not in other.iterancestors():
            other.append(one)
        case 3:
            one.tag = other.tag
        case 4:
            one.set(draw.choice(("Id", "ID", "id", "URI", "Algorithm", "Type", "Target", "x")), draw.choice(("content", "", *_URIS)))
        case 5:
            one.text = (one.text or "") + draw.choice((" ", "x", "\n", "A", "="))
        case _:
            one.tail = draw.choice((" ", "x", "\n"))


def by_signature(draw: random.Random, data: bytes) -> bytes:
    """Change what signatures are made of: algorithms, references, digests, values, certificates, transforms."""
    root = parse(data)
    name, values = draw.choice(
        (("Algorithm", _ALGORITHMS), ("URI", _URIS), ("Id", ("content", "other", "")), ("PrefixList", ("a", "#default")))
    )
    bearers = [e for e in root.iter() if e.get(name) is not None]
    if bearers and draw.random() < 0.6:  # a little more than half
        draw.choice(bearers).set(name, draw.choice(values))
        return etree.tostring(root)
    parts = [e for e in root.iter() if str(e.tag).startswith(f"{{{DS}}}")]
    one = draw.choice(parts or list(root.iter()))
    parent = one.getparent()
    if parent is not None:
        twin = parse(etree.tostring(one, with_tail=False))
        parent.insert(draw.randrange(len(parent) + 1), twin)
        if draw.random() < 0.5:  # half of them in exchange
            parent.remove(one)
    return etree.tostring(root)


def by_base64(draw: random.Random, data: bytes) -> bytes:
    """Flip a bit inside a digest, a signature value, a certificate, a time-stamp or a list."""
    found = list(_BASE64.finditer(data))
    if not found:
        return by_byte(draw, data)
    chosen = draw.choice(found)
    try:
        inner = bytearray(base64.b64decode(chosen[1], validate=True))
    except ValueError:
        return by_byte(draw, data)
    inner[draw.randrange(len(inner))] ^= 1 << draw.randrange(8)
    return data[: chosen.start(1)] + base64.b64encode(bytes(inner)) + data[chosen.end(1) :]


def several(draw: random.Random, data: bytes) -> bytes:
    """Make two to four changes at once."""
    for _ in range(draw.randrange(2, 5)):
        try:
            data = draw.choice((by_byte, by_element, by_signature, by_base64))(draw, data)
        except (GatewayError, ValueError):  # no XML any more
            return data
    return data


CHANGES: tuple[Change, ...] = (by_byte, by_element, by_signature, by_base64, several)
