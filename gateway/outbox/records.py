"""How values are written into rows and read back."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from gateway.errors import Problem
from gateway.model import Header, Identity, Signer, Subject
from gateway.store.compact import write

HARMLESS = frozenset({"check"})  # values that come from the gateway and never from a document


def write_header(header: Header) -> str:
    """Write a header as JSON."""
    return write(
        {
            "id": header.id,
            "sender": _values(header.sender),
            "receiver": _values(header.receiver),
            "subject": _values(header.subject),
            "sent_at": header.sent_at and header.sent_at.isoformat(),
            "version": header.version,
        }
    )


def read_header(text: str) -> Header:
    """Read what write_header wrote."""
    read = json.loads(text)
    return Header(
        id=read["id"],
        sender=Identity(**read["sender"]),
        receiver=Identity(**read["receiver"]),
        subject=Subject(**read["subject"]),
        sent_at=datetime.fromisoformat(read["sent_at"]) if read["sent_at"] else None,
        version=read["version"],
    )


def write_signers(signers: Iterable[Signer]) -> str:
    """Write signers as JSON."""
    return write([_values(s) for s in signers])


def read_signers(text: str) -> tuple[Signer, ...]:
    """Read what write_signers wrote."""
    return tuple(Signer(**{**s, "covers": tuple(s["covers"])}) for s in json.loads(text))


def write_problems(problems: Iterable[Problem]) -> str:
    """Write problems as JSON without their values, which may quote a document; only a check's number is kept."""
    return write([_told(p) for p in problems])


def write_map(values: Mapping[str, str]) -> str:
    """Write a flat mapping as JSON, its keys in order."""
    return write(dict(sorted(values.items())))


def write_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Write pairs as JSON, in their order."""
    return write(list(pairs))


def _told(problem: Problem) -> dict[str, Any]:
    values = {name: value for name, value in problem.values.items() if name in HARMLESS}
    return {"text": problem.text, "path": problem.path, "line": problem.line} | ({"values": values} if values else {})


def _values(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
