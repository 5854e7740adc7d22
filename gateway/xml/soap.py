"""Takes SOAP 1.1 and 1.2 wrappers off and puts them on."""

import re
from dataclasses import dataclass
from types import MappingProxyType

from lxml import etree

from gateway.errors import Code, NotReadable, Problem

from .namespaces import SOAP11, SOAP12, WSA, WSA_2004, WSA_NONE, WSSE
from .parse import line_of, parse

MEDIA_TYPES = MappingProxyType({"1.1": "text/xml; charset=utf-8", "1.2": "application/soap+xml; charset=utf-8"})

_NAMESPACES = MappingProxyType({"1.1": SOAP11, "1.2": SOAP12})
_VERSIONS = MappingProxyType({f"{{{namespace}}}Envelope": version for version, namespace in _NAMESPACES.items()})
_ADDRESSING = frozenset({WSA, WSA_2004, WSA_NONE})  # the door dispatches on the body, so an address may be left unread
_SECURITY = f"{{{WSSE}}}Security"  # judged by whoever proves the message
_SECURITY_PATH = MappingProxyType({version: f"{{{namespace}}}Header/{_SECURITY}" for version, namespace in _NAMESPACES.items()})
_PLAIN = re.compile(r"[\w .,:/@+-]*", re.ASCII)  # nothing to escape: codes, numbers, times, most words
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoapBody:
    """What stands in a SOAP body; `version` is "1.1" or "1.2", `secured` says that the message has a security header."""

    version: str
    child: etree._Element
    secured: bool = False


def unwrap(data: bytes) -> SoapBody:
    """Find the one element in the body of a SOAP message; raises NotReadable with NOT_SOAP for everything else, bad XML included."""
    try:
        root = parse(data)
    except NotReadable as refusal:
        raise NotReadable(Code.NOT_SOAP, *refusal.problems) from refusal
    version = _VERSIONS.get(root.tag)
    if version is None:
        raise _not_soap("soap-root", root, found=root.tag)
    child = _child(root, _NAMESPACES[version])
    return SoapBody(version=version, child=child, secured=root.find(_SECURITY_PATH[version]) is not None)


def wrap(body_child: bytes, *, version: str) -> bytes:
    """Put an element, written as XML that stands by itself, into a SOAP message."""
    return b'<?xml version="1.0" encoding="UTF-8"?>\n<soap:Envelope xmlns:soap="%b"><soap:Body>%b</soap:Body></soap:Envelope>' % (
        _NAMESPACES[version].encode(),
        body_child,
    )


def fault(version: str, *, sender: bool, text: str, language: str) -> bytes:
    """Write a whole fault message: the sender's fault (Client, Sender), or ours (Server, Receiver)."""
    words, spoken = escape_text(text), language.encode()
    if version == "1.1":
        code = b"Client" if sender else b"Server"
        body = b'<soap:Fault><faultcode>soap:%b</faultcode><faultstring xml:lang="%b">%b</faultstring></soap:Fault>' % (code, spoken, words)
        return wrap(body, version=version)
    code = b"Sender" if sender else b"Receiver"
    reason = b'<soap:Reason><soap:Text xml:lang="%b">%b</soap:Text></soap:Reason>' % (spoken, words)
    return wrap(b"<soap:Fault><soap:Code><soap:Value>soap:%b</soap:Value></soap:Code>%b</soap:Fault>" % (code, reason), version=version)


def media_type(version: str) -> str:
    """Name a SOAP version's media type, with its charset."""
    return MEDIA_TYPES[version]


def escape_text(text: str | bytes) -> bytes:
    """Escape text as canonical XML does; in a string, a character that XML cannot hold becomes U+FFFD.

    Bytes are taken for UTF-8 that came out of XML, and are not looked at.
    """
    if isinstance(text, str):
        if _PLAIN.fullmatch(text):
            return text.encode()
        text = _NOT_XML.sub("\ufffd", text).encode()
    return text.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;").replace(b"\r", b"&#xD;")


def _child(root: etree._Element, namespace: str) -> etree._Element:
    bodies = list(root.iterchildren(f"{{{namespace}}}Body"))
    if len(bodies) != 1:
        raise _not_soap("soap-body", root, found=str(len(bodies)))
    if len(bodies[0]) != 1:
        raise _not_soap("soap-child", bodies[0], found=str(len(bodies[0])))
    for headers in root.iterchildren(f"{{{namespace}}}Header"):
        for header in headers:
            _check_understood(header, namespace)
    return bodies[0][0]


def _check_understood(header: etree._Element, namespace: str) -> None:
    demanded = header.get(f"{{{namespace}}}mustUnderstand", "").strip() in ("1", "true")
    if demanded and etree.QName(header).namespace not in _ADDRESSING and header.tag != _SECURITY:
        raise _not_soap("soap-must-understand", header, found=etree.QName(header).text)


def _not_soap(text: str, at: etree._Element, *, found: str) -> NotReadable:
    return NotReadable(Code.NOT_SOAP, Problem(text=f"xml.{text}", line=line_of(at), values={"found": found[:120]}))
