"""The child of the SOAP Body in a dialect: written strictly, read by local names at any of the depths clients put things."""

from html import escape

from lxml import etree

from gateway.errors import Code, NotReadable, Problem
from gateway.xml.parse import line_of
from gateway.xml.soap import escape_text

from .dialects import Dialect

MAX_HOLDERS = 3  # elements between the operation and its fields: a data contract and `GatewayData` make two
OPTIONAL_WRAPPER = "GatewayData"


def request(dialect: Dialect, envelope: bytes, *, office: str = "", document_type: str = "") -> bytes:
    """Write what asks in a dialect, the envelope as escaped text."""
    hints = ((dialect.office, office), (dialect.document_type, document_type))
    fields = [_field(dialect, name, escape_text(value)) for name, value in hints if name]
    inner = b"".join([*fields, _field(dialect, dialect.payload, escape_text(envelope))])
    return _operation(dialect, dialect.request, dialect.holder, inner)


def response(dialect: Dialect, envelope: bytes) -> bytes:
    """Write what answers in a dialect; escaped text, because clients search the reply for `&lt;Envelope&gt;`."""
    return _operation(dialect, dialect.response, dialect.result_holder, _field(dialect, dialect.result, escape_text(envelope)))


def local_name(element: etree._Element) -> str:
    """Give an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def split(name: str) -> tuple[str, str]:
    """Take a name in Clark's notation, `{namespace}local`, apart."""
    namespace, _, local = name.rpartition("}")
    return namespace[1:], local


def operation_of(child: etree._Element) -> etree._Element:
    """Give the operation's element: the Body child, or what stands alone inside the optional wrapper."""
    if local_name(child) != OPTIONAL_WRAPPER:
        return child
    children = _elements(child)
    return children[0] if len(children) == 1 else child


def field_of(operation: etree._Element, name: str) -> etree._Element | None:
    """Find a field by local name, qualified or not, directly under the operation or inside its holders.

    Raises NotReadable where it stands there twice: which of them was meant, nobody can say.
    """
    level = _elements(operation)
    for _ in range(MAX_HOLDERS):
        found = [element for element in level if local_name(element) == name]
        if len(found) > 1:
            raise NotReadable(Code.NOT_SOAP, Problem(text="vnsw.field-twice", line=line_of(found[1]), values={"field": name}))
        if found:
            return found[0]
        level = [child for element in level for child in _elements(element)]
    return None


def hint_of(holder: etree._Element, name: str) -> str:
    """Read a hint that stands beside the payload; empty where it is missing."""
    found = next(holder.iterchildren(f"{{*}}{name}"), None) if name else None
    return "" if found is None else (found.text or "").strip()


def _elements(parent: etree._Element) -> list[etree._Element]:
    return [child for child in parent if isinstance(child.tag, str)]


def _operation(dialect: Dialect, name: str, holder: str, inner: bytes) -> bytes:
    held = _tagged(holder, None, inner) if holder else inner
    return _tagged(name, dialect.namespace, held)


def _field(dialect: Dialect, name: str, text: bytes) -> bytes:
    return _tagged(name, None if dialect.fields == dialect.namespace else dialect.fields, text)


def _tagged(name: str, namespace: str | None, inner: bytes) -> bytes:
    """One element; `namespace` None leaves the default namespace as it is."""
    declared = b"" if namespace is None else b' xmlns="%b"' % escape(namespace).encode()
    tag = name.encode()
    return b"<%b%b>%b</%b>" % (tag, declared, inner, tag)
