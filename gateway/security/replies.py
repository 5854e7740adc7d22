"""Proves what a partner answered, and holds it to what was sent: a good signature under an answer to something else proves nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.errors import Code, NotProven, Problem
from gateway.lifecycle import Accepted, Delivered, Outcome, Rejected
from gateway.model import Party, Reply, Request
from gateway.ports import Adapter, SignsReplies
from gateway.xml.receipts import differences, envelope_in, subject_of

from . import beside
from .prover import Prover

SIGNATURE_MARK = b"SignatureValue"  # what every XML signature holds, escaped or not
SECURITY_MARK = b"wss-wssecurity-secext"  # what every message with a WS-Security header holds
VERDICTS = (Delivered, Accepted, Rejected)  # what only the partner can say; that it did not work needs no signature, and is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a reply answers: `message` gives the request that carried it, and is called only where a signed reply is compared with it."""

    to: Party
    adapter: Adapter
    message: Callable[[], Request]


def prove_reply(reply: Reply, sent: Sent, prover: Prover) -> tuple[Reply, bool]:
    """Prove what is signed of a reply; gives what its adapter reads of it, and whether anything is signed. Raises NotProven."""
    parted = beside.read(reply.body)
    inner = replace(reply, body=parted[0]) if parted else reply
    if not parted and SIGNATURE_MARK not in reply.body:
        return inner, False  # without a look inside: most replies show that nobody signed them
    signed = sent.adapter.signed_part(inner) if isinstance(sent.adapter, SignsReplies) else None
    proof = prover.prove_reply(signed, sent.to, message=inner.body if SECURITY_MARK in inner.body else b"", beside=parted)
    if signed and proof:
        _check_about(signed, sent)
    return inner, proof is not None


def check_signed(outcome: Outcome, sent: Sent, *, signed: bool) -> None:
    """Refuse a verdict that nobody signed, of a partner that signs its answers. Raises NotProven."""
    # (26) who signs its replies signs each of them
    if not signed and isinstance(outcome, VERDICTS) and (sent.adapter.profile.replies_signed or sent.to.sends.replies_signed):
        raise NotProven(Code.SIGNATURE, Problem(text="signature.reply-unsigned", values={"check": "26", "sender": sent.to.code}))


def _check_about(signed: bytes, sent: Sent) -> None:
    """Refuse a proved envelope that is about another message than the one that was sent; what is no envelope is about none."""
    message = sent.message()
    said, wrote = subject_of(signed), subject_of(message.seal.document if message.seal else envelope_in(message.body))
    others = differences(wrote, said) if said and wrote else ()
    # (33) a signed reply is about the message that was sent
    if others:
        values = {"check": "33", "sender": sent.to.code, "found": ", ".join(others)}
        raise NotProven(Code.SIGNATURE, Problem(text="signature.reply-other", values=values))
