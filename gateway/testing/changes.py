"""How a signed document is changed: bytes, elements, and the parts that attacks are made of; each draw is repeatable."""

import base64
import random
import re
from collections.abc import Callable, Iterator

from lxml import etree
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.security import der
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
_VALUES = (  # what stands where something else should: null, numbers, names and times that are none, depth
    b"\x05\x00", b"\x02\x00", der.write(der.INTEGER, b"\x7f" + b"\xff" * 30_000), der.write(der.INTEGER, b"\xff" * 40), b"\x06\x01\x80",
    der.write(der.OID, b"\xff" * 200 + b"\x7f"), b"\x30\x80\x00\x00", b"\x30\x84\xff\xff\xff\xff", b"\x1f\x81\x00",
    b"\x18\x0f00010101000000Z", b"\x18\x0f99991231235959Z", b"\x17\x0d991399999999Z",
    b"\x30\x82\x10\x00" + b"\x30\x00" * 2048, b"\xa0\x00", b"\x80\x01x",
)  # fmt: skip
CONSTRUCTED = 0x20  # of a tag whose value holds values
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
    if bearers and draw.random() < 0.6:  # noqa: PLR2004  # a little more than half
        draw.choice(bearers).set(name, draw.choice(values))
        return etree.tostring(root)
    parts = [e for e in root.iter() if str(e.tag).startswith(f"{{{DS}}}")]
    one = draw.choice(parts or list(root.iter()))
    parent = one.getparent()
    if parent is not None:
        twin = parse(etree.tostring(one, with_tail=False))
        parent.insert(draw.randrange(len(parent) + 1), twin)
        if draw.random() < 0.5:  # noqa: PLR2004  # half of them in exchange
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


def by_value(draw: random.Random, data: bytes) -> bytes:
    """Replace, double, wrap, empty or lengthen one value of DER, and write the lengths around it anew."""
    chosen = draw.choice(list(_paths(der.read(data), ())))
    return _replaced(der.read(data), chosen, draw)


def _paths(value: der.Value, path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    yield path
    for number, inner in enumerate(value.children(value.tag) if value.tag & CONSTRUCTED else ()):
        yield from _paths(inner, (*path, number))


def _replaced(value: der.Value, path: tuple[int, ...], draw: random.Random) -> bytes:
    if path:
        first, *rest = path
        inside = value.children(value.tag)
        return der.write(value.tag, *(_replaced(v, tuple(rest), draw) if n == first else v.raw for n, v in enumerate(inside)))
    match draw.randrange(6):
        case 0:
            return draw.choice(_VALUES)
        case 1:
            return value.raw * draw.choice((2, 3, 500))
        case 2:
            return der.write(der.SEQUENCE, value.raw)
        case 3:
            return der.write(value.tag)
        case 4:
            return bytes((value.tag | CONSTRUCTED, 0x80)) + value.content + bytes(2)  # a length that is not stated
    return der.write(value.tag, value.content * 50)


def several(draw: random.Random, data: bytes) -> bytes:
    """Make two to four changes at once."""
    for _ in range(draw.randrange(2, 5)):
        try:
            data = draw.choice((by_byte, by_element, by_signature, by_base64))(draw, data)
        except (GatewayError, ValueError):  # no XML any more
            return data
    return data


OF_DER: tuple[Change, ...] = (by_byte, by_value)
CHANGES: tuple[Change, ...] = (by_byte, by_element, by_signature, by_base64, several)
