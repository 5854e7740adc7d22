"""A container: everything that proves what happened to messages, in one ASiC-E file that needs neither gateway nor database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import BinaryIO

from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey

from .heads import SignedHead, write_signed
from .ledger import ProvedLeaf
from .packing import Content, digest_of, pack
from .record import NAME, EventPart, HeadPart, MessagePart, Record, write_record
from .seal import MANIFEST, PLACE, manifest, seal
from .timestamps import Stamp

README = "README.txt"
Report = Callable[[Record], Mapping[str, bytes]]  # what people read of a container, by file name


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A signed head with its time-stamp, None where it has none, and the proof that it continues the head before it."""

    signed: SignedHead
    stamp: Stamp | None = None
    consistency: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """What there is of one message: what is told of it, its files by their names below its folder, and its leaves under trees."""

    told: MessagePart
    files: Mapping[str, Content] = field(repr=False)
    leaves: Sequence[tuple[int, ProvedLeaf]] = ()
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All that goes into a container; `revocations` are lists (.crl) and answers (.ors) in DER, by file name."""

    exhibits: Sequence[Exhibit]
    trees: Sequence[Tree]
    certificates: frozenset[Certificate]
    revocations: Mapping[str, bytes] = field(default_factory=dict)


def write_container(gathered: Gathered, key: SigningKey, into: BinaryIO, *, at: datetime, report: Report) -> None:
    """Write and sign a container, to a file that can be searched.

    Raises NotValid where it would be too large, and what a file raises that is read meanwhile.
    """
    record = Record(
        format="nsw evidence 1",
        made_at=at,
        gateway=key.certificates[0].subject,
        heads=tuple(map(_head, gathered.trees)),
        messages=tuple(map(_message, gathered.exhibits)),
    )
    files: dict[str, Content] = {README: _readme(), NAME: write_record(record), **report(record)}
    for exhibit in gathered.exhibits:
        files |= {_place(exhibit, name): content for name, content in exhibit.files.items()}
    files |= {_stamp_file(tree): tree.stamp.token for tree in gathered.trees if tree.stamp}
    held = gathered.certificates | set(key.certificates)
    files |= {f"certificates/{c.sha256}.cer": c.der for c in sorted(held, key=lambda c: c.sha256)}
    files |= {f"revocation/{name}": content for name, content in gathered.revocations.items()}
    digests = {name: digest_of(content) for name, content in files.items()}
    pack({**files, MANIFEST: manifest(files), PLACE: seal(digests, key, at=at)}, into)


def _head(tree: Tree) -> HeadPart:
    return HeadPart(
        signed=write_signed(tree.signed),
        consistency=tuple(step.hex() for step in tree.consistency),
        stamp=_stamp_file(tree) if tree.stamp else "",
        stamped_at=tree.stamp.at if tree.stamp else None,
    )


def _message(exhibit: Exhibit) -> MessagePart:
    events = tuple(
        EventPart(head=size, leaf=leaf.leaf, position=leaf.position, path=tuple(step.hex() for step in leaf.path))
        for size, leaf in exhibit.leaves
    )
    files = tuple(_place(exhibit, name) for name in exhibit.files)
    return exhibit.told.model_copy(update={"events": events, "waiting": exhibit.waiting, "files": files})


def _place(exhibit: Exhibit, name: str) -> str:
    return f"messages/{exhibit.told.id}/{name}"


def _stamp_file(tree: Tree) -> str:
    return f"stamps/{tree.signed.head.size}.tst"


def _readme() -> bytes:
    return (resources.files("gateway.evidence") / "templates" / "README.txt").read_bytes()
