"""Reads and writes DER: lengths in their one form, each value whole, nothing left over."""

from dataclasses import dataclass

INTEGER, BIT_STRING, OCTET_STRING, OID = 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31
MAX_VALUES = 1024  # inside one; whatever is read here has a few dozen
_MULTIPLE = 0x1F  # a tag's low bits where more tag bytes follow; nothing of ours has such
_LONG = 0x80  # set in a length's first byte where the number of its bytes stands there
_MAX_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value: its tag, its content, and its bytes as they stood."""

    tag: int
    content: bytes
    raw: bytes

    def children(self, tag: int = SEQUENCE) -> list["Value"]:
        """Read the values inside; raises ValueError where the tag is another, or the content is not whole values."""
        if self.tag != tag:
            raise ValueError("not what holds values here")
        return read_all(self.content)


def read(data: bytes) -> Value:
    """Read exactly one value; raises ValueError."""
    found = _at(data, 0)
    if len(found.raw) != len(data):
        raise ValueError("not one value")
    return found


def read_all(data: bytes) -> list[Value]:
    """Read the values that stand one behind the other; raises ValueError."""
    found: list[Value] = []
    at = 0
    while at < len(data):
        if len(found) == MAX_VALUES:
            raise ValueError("more values than are meant")
        found.append(_at(data, at))
        at += len(found[-1].raw)
    return found


def _at(data: bytes, at: int) -> Value:
    """Read the value that begins at a place."""
    begins, size = _header(data, at)
    if begins + size > len(data):
        raise ValueError("cut off")
    return Value(tag=data[at], content=data[begins : begins + size], raw=data[at : begins + size])


def write(tag: int, *parts: bytes) -> bytes:
    """Write a value of these parts."""
    content = b"".join(parts)
    size = len(content)
    if size < _LONG:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, _LONG | len(length))) + length + content


def write_integer(number: int) -> bytes:
    """Write an INTEGER."""
    return write(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def write_oid(dotted: str) -> bytes:
    """Write an OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    return write(OID, b"".join(_base128(n) for n in (40 * first + second, *rest)))


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Say where the content of the value at a place begins, and how long it is."""
    if at + 2 > len(data) or data[at] & _MULTIPLE == _MULTIPLE:
        raise ValueError("no value")
    first = data[at + 1]
    if first < _LONG:
        return at + 2, first
    count = first & ~_LONG
    length = data[at + 2 : at + 2 + count]
    if not 1 <= count <= _MAX_LENGTH_BYTES or len(length) != count or length[0] == 0 or int.from_bytes(length) < _LONG:
        raise ValueError("a length not in its one form")
    return at + 2 + count, int.from_bytes(length)


def _base128(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))
