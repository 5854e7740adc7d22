"""From the text a client put into its payload element to the envelope's bytes in UTF-8.

Clients escape, wrap in CDATA, do both, or write the CDATA markers as plain text (SAAJ's addTextNode); they copy the byte
order mark and the XML declaration of the file they read. All of that is taken off here; nothing inside the envelope is touched.
"""

import re
import sys

from lxml import etree

from .canonical import canonical, value_prefixes
from .parse import MAX_TAGS

MAX_LAYERS = 3  # CDATA markers as text around escaped text is two; one more costs nothing, an endless peel would
MAX_NUMBERS = 300_000  # references by number that are resolved, one a line of 10 MB; the envelope's own parser reads any further one
BYTE_ORDER_MARKS = ("\ufeff".encode(), "\u00ef\u00bb\u00bf".encode())  # the mark itself, and its UTF-8 bytes read as Latin-1
WHITE = b" \t\r\n"
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2

_CDATA_OPEN, _CDATA_CLOSE = b"<![CDATA[", b"]]>"
_ESCAPED = b"&lt;"
_DECLARATION = re.compile(rb"<\?xml[ \t\r\n][^<>]{0,200}?\?>")  # says an encoding that the text no longer has
_NUMBER = re.compile(rb"&#(?:([0-9]{1,7})|x([0-9A-Fa-f]{1,6}));")
_NAMED = ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&quot;", b'"'), (b"&apos;", b"'"), (b"&amp;", b"&"))  # the last would make new ones


def payload_of(element: etree._Element) -> bytes:
    """Give the envelope a payload element holds, as UTF-8 bytes without an XML declaration; empty where it holds none.

    An envelope given as real child elements is taken in its canonical form. Whether the bytes are XML is not asked here.
    """
    if len(element) == 0:
        return payload_bytes(etree.tostring(element, method="text", encoding="utf-8", with_tail=False))  # never a Python string
    children = [child for child in element if isinstance(child.tag, str)]
    text = "".join([element.text or "", *(child.tail or "" for child in element)]).encode()
    if len(children) == 1 and not text.strip(WHITE):
        written = canonical(children[0])
        if written.count(b"<") > MAX_TAGS:  # no parser opens it: what it lacks is not looked for
            return written
        prefixes = value_prefixes(children[0], written=written)
        return canonical(children[0], prefixes=prefixes) if prefixes else written
    return payload_bytes(text)


def payload_bytes(text: bytes) -> bytes:
    """Take escaping, CDATA markers, byte order mark and XML declaration off UTF-8 text, each as often as clients do."""
    text = _trimmed(text)
    for _ in range(MAX_LAYERS):
        if text.startswith(_CDATA_OPEN) and text.endswith(_CDATA_CLOSE):
            text = _trimmed(text[len(_CDATA_OPEN) : -len(_CDATA_CLOSE)])
        elif text.startswith(_ESCAPED):
            text = _trimmed(_unescaped(text))
        else:
            break
    declared = _DECLARATION.match(text)
    return text[declared.end() :] if declared else text


def _trimmed(text: bytes) -> bytes:
    text = text.strip(WHITE)
    for mark in BYTE_ORDER_MARKS:
        text = text.removeprefix(mark)
    return text.strip(WHITE)


def _unescaped(text: bytes) -> bytes:
    text = _NUMBER.sub(_character, text, count=MAX_NUMBERS)
    for reference, character in _NAMED:
        text = text.replace(reference, character)
    return text


def _character(match: re.Match[bytes]) -> bytes:
    """A number's character, an ampersand still escaped; what is no XML character stays as it is, for the parser to refuse."""
    number = int(match[1]) if match[1] else int(match[2], 16)
    character = chr(number) if number <= sys.maxunicode else "\0"
    return match[0] if NOT_XML.match(character) else character.replace("&", "&amp;").encode()
