"""The ledger over REST: its signed heads, proofs that it only grew, and a message's proof for whoever gets no signed receipt."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from gateway.evidence.heads import SignedHead, write_signed
from gateway.evidence.ledger import Proof
from gateway.model import Channel
from gateway.store.viewer import Tells, tells_leaf

from .filters import MessagePath
from .gate import Gate
from .messages import visible
from .responses import refusals
from .views import MESSAGE_ID, View

if TYPE_CHECKING:
    from gateway.hub import Hub

MOST_HEADS = 1000  # in one answer
ROOT = "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456"
HEAD = {
    "head": {"at": "2026-10-12T02:30:02+00:00", "key": ROOT, "root": ROOT, "size": 4711},
    "method": "…#ecdsa-sha256",
    "signature": "MEUC…",
}
Size = Annotated[int, Query(ge=1, le=2**62, examples=[4711])]


class HeadView(View):
    """One signed head: `signature` is over exactly the bytes of `head` as JSON with sorted keys and no white space (LEDGER.md)."""

    head: dict[str, Any] = Field(examples=[HEAD["head"]])
    method: str = Field(examples=[HEAD["method"]], description="the signature algorithm's URI")
    signature: str = Field(examples=[HEAD["signature"]], description="base64")


class HeadList(View):
    """Signed heads, the smallest first; ask again after the last one's size."""

    items: list[HeadView]


class ConsistencyView(View):
    """The proof that the tree of `second` leaves begins with the tree of `first` (RFC 9162, 2.1.4)."""

    first: int
    second: int
    path: list[str] = Field(description="hashes in hex", examples=[[ROOT]])


class LeafView(View):
    """One event: the exact text that was hashed, its position, and the path from it to the head's root (RFC 9162, 2.1.3)."""

    leaf: str = Field(examples=['{"at":1791772202000000,"kind":"message.accepted","message":"…"}'])
    position: int
    path: list[str] = Field(description="hashes in hex, from the leaf up", examples=[[ROOT]])


class ProofView(View):
    """What proves a message's events; `waiting` counts those that no signed head covers yet: ask again a second later."""

    message: str = Field(examples=[MESSAGE_ID])
    head: HeadView | None
    leaves: list[LeafView]
    waiting: int


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Show the ledger's heads to readers, and a message's proof to whom the message concerns."""
    routes = APIRouter(prefix="/api/v1", tags=["evidence"])
    reader = gate.needs("reader", "operator")

    @routes.get("/ledger/heads", responses=refusals(), dependencies=[Depends(reader)], summary="Signed heads")
    def heads(after: Annotated[int, Query(ge=0, le=2**62, description="only heads of more leaves")] = 0) -> HeadList:
        """Give signed heads, to be kept elsewhere: whoever has one can show later that nothing before it was altered."""
        return HeadList(items=[_head(signed) for signed in islice(hub.ledger.heads(after=after), MOST_HEADS)])

    @routes.get("/ledger/consistency", responses=refusals(404), dependencies=[Depends(reader)], summary="The ledger only grew")
    def consistency(first: Size, second: Size) -> ConsistencyView:
        """Prove that a later tree begins with an earlier one."""
        return ConsistencyView(first=first, second=second, path=[step.hex() for step in hub.ledger.consistency(first, second)])

    @routes.get("/messages/{message}/proof", responses=refusals(404), summary="A message's proof")
    def proof(channel: Annotated[Channel, Depends(reader)], message: MessagePath) -> ProofView:
        """Prove what happened to a message under the last signed head; a party is given the events that it is told of."""
        viewer = gate.viewer(channel)
        row, deliveries = visible(hub, viewer, message)
        return _proof(hub.ledger.proof_of(message), viewer.tells(row, deliveries))

    return routes


def _head(signed: SignedHead) -> HeadView:
    return HeadView.model_validate(write_signed(signed))


def _proof(proof: Proof, tells: Tells) -> ProofView:
    told = (p for p in proof.leaves if tells_leaf(tells, p.leaf))
    leaves = [LeafView(leaf=p.leaf, position=p.position, path=[step.hex() for step in p.path]) for p in told]
    return ProofView(message=proof.message, head=_head(proof.head) if proof.head else None, leaves=leaves, waiting=proof.waiting)
