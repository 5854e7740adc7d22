"""What was exchanged, as it goes into a container: requests and replies by their file names, and what is told of each reply."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.security.certificates import Certificate
from gateway.store.queries import DeliveryRow, MessageRow
from gateway.store.times import from_micros

from .messages import certificates_in, open_message, signer_of
from .record import ReceiptPart

DOCUMENT, BODY, ANSWER = "document.xml", "body.bin", "answer.bin"
REQUEST = "-request.bin"  # after a number
ANSWERED = frozenset({"message.accepted", "message.refused"})  # the events with which a message is answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question and its answer: their files below the message's folder, what is told of the answer, and the certificates in both."""

    files: Mapping[str, bytes] = field(repr=False)
    receipts: tuple[ReceiptPart, ...]
    certificates: frozenset[Certificate]


def answer_of(row: MessageRow, contents: Mapping[str, bytes], leaves: Iterable[str]) -> Iterator[Exchange]:
    """Tell of the gateway's own answer, where there is one; its time is that of the event, which is the ledger's."""
    if ANSWER in contents:
        events = (leaf for leaf in map(json.loads, leaves) if leaf["kind"] in ANSWERED)
        at = next((from_micros(int(leaf["at"])) for leaf in events), row.received_at)
        yield _told(row.id, {ANSWER: contents[ANSWER]}, ANSWER, "", party="", delivery="", at=at)


def exchange(delivery: DeliveryRow, number: int, request: bytes, reply: bytes | None, *, at: datetime) -> Exchange:
    """Tell of one attempt: what left, and what came back if anything did, settled at a time."""
    place = f"deliveries/{delivery.id}/{number:02}"
    asked = {f"{place}{REQUEST}": request}
    if reply is None:
        return Exchange(files=asked, receipts=(), certificates=frozenset(certificates_in(open_message(request))))
    name = f"{place}-reply.bin"
    return _told(delivery.message, {**asked, name: reply}, name, f"{place}{REQUEST}", party=delivery.party, delivery=delivery.id, at=at)


def _told(  # what a receipt is about, each by name
    message: str, files: Mapping[str, bytes], name: str, about: str, *, party: str, delivery: str, at: datetime
) -> Exchange:
    opened = [open_message(content) for content in files.values()]
    signer = signer_of(open_message(files[name]))
    receipt = ReceiptPart(
        file=f"messages/{message}/{name}",
        about=f"messages/{message}/{about}" if about else "",
        party=party,
        delivery=delivery,
        at=at,
        signer=signer.sha256 if signer else "",
        name=signer.subject if signer else "",
    )
    return Exchange(files=files, receipts=(receipt,), certificates=frozenset(c for each in opened for c in certificates_in(each)))
