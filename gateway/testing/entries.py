"""Entries as intake hands them to an outbox: small, and different only in what is asked."""

import os
from datetime import UTC, datetime, timedelta
from typing import Literal

from gateway.model import (
    Arrival,
    Attachment,
    Channel,
    DeliveryId,
    Document,
    Envelope,
    Header,
    Identity,
    Judged,
    MessageId,
    Party,
    PartyCode,
    Receipt,
    Reply,
    Route,
    Subject,
    Wrapper,
    uuid7,
)
from gateway.ports import Entry

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
BNN, NSW = PartyCode("BNN"), PartyCode("NSW")


def envelope_text(content: str = "<Phyto>1</Phyto>", *, sent: str = "2026-11-21 08:00:00", message_id: str = "m-1") -> bytes:
    """Write a small envelope."""
    return (
        f"<Envelope><Header><Reference><messageId>{message_id}</messageId></Reference><From><identity>NSW</identity></From>"
        f"<To><identity>BNN</identity></To><Subject><documentType>P1</documentType><type>10</type><function>01</function>"
        f"<reference>R1</reference><documentYear>2026</documentYear><sendDate>{sent}</sendDate></Subject></Header>"
        f"<Body><Content>{content}</Content></Body></Envelope>"
    ).encode()


def identity(code: str) -> Identity:
    """Write a party's identity."""
    return Identity(name=code, identity=code, country="VN", ministry=code, organization=code)


def make_entry(
    *,
    key: bytes = b"k1",
    content: bytes | None = None,
    parties: tuple[PartyCode, ...] = (BNN,),
    order: Literal["none", "dossier"] = "none",
    reference: str = "R1",
    channel: str = "127.0.0.1",
    repeat_key: str | None = None,
    body: bytes | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> Entry:
    """Make an entry: one message, a delivery a party; equal keys make repeats."""
    content = envelope_text() if content is None else content
    message = MessageId(uuid7(START, os.urandom(10)))
    subject = Subject(document_type="P1", type="10", function="01", reference=reference, year="2026")
    header = Header(id="m-1", sender=identity("NSW"), receiver=identity("BNN"), subject=subject, sent_at=START)
    document = Document(type="P11001", content=content, sha256="ab" * 32)
    envelope = Envelope(id=message, header=header, sender=NSW, document=document, signers=(), received_at=START, attachments=attachments)
    arrival = Arrival(
        id=message, received_at=START, channel=Channel(kind="network", name=channel), door="vnsw", path="/ws", media_type="text/xml",
        body=key + content if body is None else body, repeat_key=repeat_key, attachments=attachments,
    )  # fmt: skip
    routes = tuple(
        Route(
            name=f"to-{p}",
            party=Party(code=p, identity=identity(p)),
            transport="http",
            endpoint="http://x",
            timeout=timedelta(5),
            order=order,
        )
        for p in parties
    )
    deliveries = tuple(DeliveryId(uuid7(START, os.urandom(10))) for _ in routes)
    receipt = Receipt(message=message, header=header, sender=NSW, sha256=document.sha256, accepted_at=START, deliveries=deliveries)
    return Entry(
        arrival=arrival,
        envelope=envelope,
        wrapper=Wrapper(protocol="vnsw", operation="receiveRequest"),
        judged=Judged(schema_pack="s", rule_set="r", procedure="p"),
        receipt=receipt,
        answer=Reply(status=200, body=b"99 " + message.encode()),
        proof="network",
        routes=routes,
        key=key,
        keys=(("certificate", "C1"),),
    )
