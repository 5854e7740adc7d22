"""Asks another gateway to witness heads: it checks that this ledger only grew, keeps the head, and countersigns it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.errors import Code, NotReadable, Problem, Unavailable
from gateway.model import PartyCode, Reply, Request
from gateway.ports import Transport
from gateway.security.certificates import Certificate

from .copies import Copy, is_witnessed_by, read_copy
from .heads import SignedHead, write_signed

PATH = "/api/v1/ledger/witnessed"
MAX_ANSWER_BYTES = 65_536  # a refusal explained in two languages has some 2,000
PATIENCE = timedelta(seconds=10)

_JSON = {"content-type": "application/json", "accept": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a witness is asked: where, as which party, by which transport and key, and whose countersignatures count."""

    url: str
    party: Callable[[], PartyCode]  # as which the witness knows this gateway
    transport: Transport
    key: str  # of the witness's REST interface; empty: the client certificate says who asks
    witnesses: Callable[[], Iterable[Certificate]]  # registered for the witness now
    consistency: Callable[[int, int], tuple[bytes, ...]]  # of this ledger

    def carry(self, signed: SignedHead) -> Copy:
        """Have a head witnessed; raises Unavailable where the witness is away, refuses, or holds what this ledger does not."""
        held = self._held()
        if held is not None and held.signed.head.size >= signed.head.size:
            return self._again(signed, held)
        old = held.signed.head.size if held else 0
        path = self.consistency(old, signed.head.size) if old else ()
        offer = {**write_signed(signed), "old": old, "path": [step.hex() for step in path]}
        return self._good(signed, _copy(self._ask("POST", json.dumps(offer).encode())))

    def _held(self) -> Copy | None:
        """Ask for the last head that the witness holds of this gateway."""
        held = self._ask("GET").get("held")
        return None if held is None else _copy(held)

    def _again(self, signed: SignedHead, held: Copy) -> Copy:
        """Take what the witness gave for this very head before; refuse to go on where it holds more than this ledger has."""
        if held.signed.head.size > signed.head.size:
            raise _unavailable("ahead", size=str(signed.head.size), held=str(held.signed.head.size))
        if held.signed.head.root != signed.head.root:
            raise _unavailable("other-tree", size=str(signed.head.size))
        return self._good(held.signed, held)

    def _good(self, signed: SignedHead, copy: Copy) -> Copy:
        if copy.signed != signed or not is_witnessed_by(copy, {found.sha256: found for found in self.witnesses()}):
            raise _unavailable("not-countersigned", url=self.url)
        return copy

    def _ask(self, method: str, body: bytes = b"") -> Mapping[str, Any]:
        request = Request(
            endpoint=f"{self.url.rstrip('/')}{PATH}?party={quote(self.party(), safe='')}",
            action="",
            method=method,
            body=body,
            headers=_JSON | ({"x-api-key": self.key} if self.key else {}),
            reply_bytes=MAX_ANSWER_BYTES,
        )
        return _answer(self.transport.send(request, timeout=PATIENCE))


def read_key(path: Path | None) -> str:
    """Read the key that a witness gave this gateway; empty where there is no file. Raises Unavailable."""
    if path is None:
        return ""
    try:
        return path.read_text("utf-8-sig").strip()  # Windows editors begin a file with a mark
    except (OSError, UnicodeError) as error:
        raise Unavailable(Code.RULES, Problem(text="ledger.witness-key", path=str(path))) from error


def _answer(reply: Reply) -> Mapping[str, Any]:
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise _unavailable("no-answer", status=str(reply.status)) from error
    match found:
        case {"errors": [{"code": "ledger.witness-inconsistent"}, *_]}:
            raise _unavailable("says-inconsistent")
        case dict() if reply.status == HTTPStatus.OK:
            return found
        case {"code": str(code)}:
            raise _unavailable("refuses", status=str(reply.status), code=code[:40])
        case _:
            raise _unavailable("no-answer", status=str(reply.status))


def _copy(members: object) -> Copy:
    try:
        return read_copy(members)
    except NotReadable as error:
        raise _unavailable("no-answer", status=str(int(HTTPStatus.OK))) from error


def _unavailable(name: str, **values: str) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text=f"ledger.witness-{name}", values=values))
