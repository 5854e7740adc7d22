"""The trader's side: an application, signed by the declarant and by the portal, sent to the gateway's SOAP door."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from gateway.security.keys import SigningKey, load_key
from gateway.security.signer import sign_person, sign_system

from . import builders
from .client import post
from .contents import Consignment
from .vnsw import SOAP_REQUEST, Answer, read_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An application that was sent: under which id, as which bytes, and what came back."""

    message_id: str
    envelope: bytes
    status: int
    reply: bytes
    answer: Answer


def declarant_key(pki: Path) -> SigningKey:
    """Load the development declarant's key; raises Unavailable."""
    return load_key(pki / "person" / "declarant.key.pem", pki / "person" / "declarant.cert.pem")


def party_key(pki: Path, party: str = "NSW") -> SigningKey:
    """Load a party's development key; raises Unavailable."""
    return load_key(pki / "keys" / f"{party}.key.pem", pki / "parties" / f"{party}.pem")


def signed_application(pki: Path, consignment: Consignment, *, sent_at: datetime, message_id: str = "") -> bytes:
    """Write a 10/01 signed by the declarant in Body/Signature and by the portal in SystemSignature."""
    header = replace(builders.header("10/01", consignment), sent_at=sent_at)
    named = replace(header, id=message_id) if message_id else header
    envelope = builders.message("10/01", consignment, under=named)
    return sign_system(sign_person(envelope, declarant_key(pki)), party_key(pki))


def send_application(
    gateway: str, pki: Path, consignment: Consignment, *, sent_at: datetime, message_id: str = "", client: str = "saaj"
) -> Sent:
    """Sign an application and post it to the gateway's door as one of the field's clients; raises OSError where nobody answers."""
    envelope = signed_application(pki, consignment, sent_at=sent_at, message_id=message_id)
    reply = post(f"{gateway.rstrip('/')}/ws", builders.soap(envelope, client=client), SOAP_REQUEST, timeout=15)
    known_as = message_id or builders.message_id("10/01", consignment)
    return Sent(message_id=known_as, envelope=envelope, status=reply.status, reply=reply.body, answer=read_answer(reply.body))
