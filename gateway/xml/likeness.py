"""Says whether two envelopes tell the same: what a sender that signs again on retry does not change."""

import hashlib

from lxml import etree

from .canonical import canonical, value_prefixes
from .envelope import content
from .parse import parse


def content_digest(root: etree._Element) -> bytes:
    """Digest an envelope's Content under exclusive C14N, its Id left out: signing gives it one."""
    found = content(root)
    if found is None:
        return b""
    name = found.attrib.pop("Id", None)  # type: ignore[call-overload]  # the stubs forget that None may be the default
    written = canonical(found, prefixes=value_prefixes(found))  # where it stands: a copy would lose declarations around it
    if name is not None:
        found.set("Id", name)
    return hashlib.sha256(written).digest()


def alike(first: bytes, second: bytes) -> bool:
    """Compare two accepted envelopes by Content and by Subject without its sendDate; signatures do not count."""
    one, other = parse(first), parse(second)
    return content_digest(one) == content_digest(other) and _subject(one) == _subject(other)


def imprint(envelope: bytes) -> bytes:
    """Digest what alike() compares, so that a repeat is recognised when the envelope itself is gone."""
    root = parse(envelope)
    told = "\0".join(f"{tag}={text}" for tag, text in sorted(_subject(root)))
    return hashlib.sha256(content_digest(root) + told.encode()).digest()


def _subject(root: etree._Element) -> frozenset[tuple[str, str]]:
    fields = root.iterfind("Header/Subject/*")
    return frozenset((str(f.tag), (f.text or "").strip()) for f in fields if f.tag != "sendDate")
