"""The two halves fit: what an adapter sends, a door opens, and what the door answers, the adapter reads."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import Code, Problem
from gateway.lifecycle import Delivered, Failed, Rejected
from gateway.model import Receipt, Refusal
from gateway.protocols.vnsw.client import decode, encode
from gateway.protocols.vnsw.dialects import DIALECTS, Dialect
from gateway.protocols.vnsw.door import VnswDoor
from gateway.testing import builders

each = pytest.mark.parametrize(
    "dialect", [replace(d, namespace="urn:any") if d.namespace == "*" else d for d in DIALECTS], ids=lambda d: d.name
)
versions = pytest.mark.parametrize("version", ["1.1", "1.2"])


def called(door: VnswDoor, dialect: Dialect, version: str, result: Receipt | Refusal) -> object:
    party = replace(builders.party("BNN"), dialect={"soap": version})
    request = encode(dialect, builders.envelope("10/01"), builders.route(party))
    opened = door.open(builders.arrival(request.body, media_type=request.headers["content-type"]))
    return decode(dialect, door.answer(opened, result))


@each
@versions
def test_a_receipt_is_read_as_delivered(door: VnswDoor, receipt: Receipt, dialect: Dialect, version: str) -> None:
    assert called(door, dialect, version, receipt) == Delivered(reference=receipt.message)


@each
@versions
def test_a_refusal_is_read_as_rejected(door: VnswDoor, refuse: Callable[..., Refusal], dialect: Dialect, version: str) -> None:
    outcome = called(door, dialect, version, refuse(Code.CONTENT_EMPTY))

    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("ERR05_CODE: ")


@each
@versions
def test_our_trouble_is_read_as_a_failure(door: VnswDoor, refuse: Callable[..., Refusal], dialect: Dialect, version: str) -> None:
    outcome = called(door, dialect, version, refuse(Code.UNAVAILABLE, Problem(text="vnsw.unavailable")))

    assert isinstance(outcome, Failed)
    assert outcome.code == "soap-fault"
