"""What the VNSW tests share: a directory of parties, a door whose signatures can be seen, and its results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from gateway.errors import Code, Problem
from gateway.model import Header, Identity, MessageId, Party, PartyCode, Receipt, Refusal
from gateway.protocols.vnsw.door import VnswDoor
from gateway.testing import builders

AT = datetime(2026, 10, 12, 2, 30, 1, tzinfo=UTC)
MESSAGE = MessageId("019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071")
OWN = Identity(name="Cổng một cửa", identity="VNSWGW", country="VN", ministry="BTC", organization="TCHQ")


@dataclass(frozen=True)
class Parties:
    """A Directory of three parties."""

    known: Mapping[str, Party]

    def party(self, spelling: str) -> Party | None:
        return self.known.get(spelling)

    @property
    def own(self) -> Party:
        return self.known["VNSWGW"]


def sign(envelope: bytes, _profile: str) -> bytes:
    """Leave a mark where a signature would stand."""
    assert envelope.endswith(b"</Envelope>")
    return envelope.removesuffix(b"</Envelope>") + b"<!--signed--></Envelope>"


@pytest.fixture
def parties() -> Parties:
    abroad = replace(builders.party("SG"), languages=("th", "en", "vi"))
    own = replace(builders.party("VNSWGW"), identity=OWN)
    every = (own, builders.party("NSW"), builders.party("BNN"), abroad)
    return Parties({party.code: party for party in every})


@pytest.fixture
def door(parties: Parties) -> VnswDoor:
    return VnswDoor(rules=lambda: parties, zone=builders.ZONE, sign=sign)


@pytest.fixture
def receipt() -> Receipt:
    return Receipt(message=MESSAGE, header=builders.header("10/01"), sender=PartyCode("NSW"), sha256="0" * 64, accepted_at=AT, seal="none")


@pytest.fixture
def refuse() -> Callable[..., Refusal]:
    def make(
        code: Code = Code.NOT_XML, *problems: Problem, header: Header | None = None, sender: str | None = None, seal: str = "none"
    ) -> Refusal:
        return Refusal(
            message=MESSAGE,
            refused_at=AT,
            code=code,
            problems=problems or (Problem(text="vnsw.service"),),
            header=header,
            sender=PartyCode(sender) if sender else None,
            seal=seal,
        )

    return make
