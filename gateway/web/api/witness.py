"""Other gateways' heads over REST: their ledgers are witnessed here, so that none of them can show two histories."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Code, NotProven, Problem
from gateway.evidence.copies import Copy, write_copy
from gateway.evidence.heads import read_signed
from gateway.evidence.witness import Offer
from gateway.evidence.witnessing import PATH
from gateway.model import Channel, PartyCode
from gateway.security.certificates import Certificate

from .filters import Text
from .gate import Gate
from .ledger import HEAD, ROOT, HeadView
from .responses import refusals
from .views import View

if TYPE_CHECKING:
    from gateway.hub import Hub

MOST_LEAVES = 2**62
MAX_PATH = 128  # hashes: more than any tree of so many leaves needs
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=[ROOT])]
AsParty = Annotated[Text | None, Query(description="on a gateway without keys: as which party; elsewhere the credential says so")]


class HeadBody(BaseModel):
    """A head, as its ledger signed it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str = Field(max_length=40, examples=["2026-10-12T02:30:02+00:00"])
    key: Hash
    root: Hash
    size: int = Field(ge=1, le=MOST_LEAVES, examples=[4711])


class OfferBody(BaseModel):
    """A signed head to be witnessed, and the proof that its tree begins with that of `old` leaves, the last one that is held; 0: none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: HeadBody
    method: str = Field(max_length=100, examples=[HEAD["method"]])
    signature: str = Field(max_length=2000, examples=[HEAD["signature"]])
    old: int = Field(ge=0, le=MOST_LEAVES, examples=[4700])
    path: list[Hash] = Field(max_length=MAX_PATH)


class CountersignatureView(View):
    """What the witness signed: `at`, the SHA-256 of the head's bytes as `head`, and `key`, as JSON with sorted keys (LEDGER.md)."""

    at: str = Field(examples=["2026-10-12T02:31:00+00:00"])
    key: str = Field(examples=[ROOT], description="SHA-256 of the witness's certificate")
    method: str = Field(examples=[HEAD["method"]])
    signature: str = Field(examples=[HEAD["signature"]], description="base64")


class CopyView(HeadView):
    """A head that this gateway witnessed."""

    witnessed: CountersignatureView


class HeldView(View):
    """The last head that is held of a party; null where there is none."""

    held: CopyView | None


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Let other gateways have their heads witnessed, each as the party whose certificate signs them."""
    routes = APIRouter(tags=["evidence"])
    caller = gate.party("sender", "reader")

    @routes.get(PATH, responses=refusals(), summary="The last head that is held")
    def held(channel: Annotated[Channel, Depends(caller)], party: AsParty = None) -> HeldView:
        """Give the last head that this gateway holds of the caller's ledger."""
        owner, _ = _registered(hub, gate.owner(channel, party))
        found = hub.witness.held(owner)
        return HeldView(held=_view(found) if found else None)

    @routes.post(PATH, responses=refusals(409, 422), summary="Witness a head")
    def witness(channel: Annotated[Channel, Depends(caller)], what: OfferBody, party: AsParty = None) -> CopyView:
        """Check that the caller's ledger only grew since the last head that is held, keep the new one, and countersign it."""
        owner, certificates = _registered(hub, gate.owner(channel, party))
        for signer in certificates:
            if signer.sha256 == what.head.key:
                hub.trust.registry.check_status(signer, "prefer", at=hub.clock())
        offer = Offer(signed=read_signed(what.model_dump()), old=what.old, path=tuple(map(bytes.fromhex, what.path)))
        return _view(hub.witness.witness(owner, certificates, offer))

    return routes


def _registered(hub: "Hub", party: str) -> tuple[PartyCode, tuple[Certificate, ...]]:
    """Give a party with its certificates; raises NotProven(PARTY) where it has none: what anybody may call himself names no file."""
    code = PartyCode(party)
    found = hub.trust.certificates(code)
    if not found:
        raise NotProven(Code.PARTY, Problem(text="ledger.witness-unknown", values={"party": party}))
    return code, found


def _view(copy: Copy) -> CopyView:
    return CopyView.model_validate(write_copy(copy))
