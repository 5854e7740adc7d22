"""What a message becomes in the tables and in the ledger."""

import hashlib
from datetime import datetime

from gateway.audit import Event
from gateway.model import Arrival, Header, MessageId, PartyCode, Refusal, Reply, Subject
from gateway.ports import Entry
from gateway.store.tables import MESSAGES
from gateway.store.times import to_micros

from .payloads import digest_of
from .records import write_header, write_map, write_pairs, write_problems, write_signers

_EMPTY: dict[str, object] = {c.name: None for c in MESSAGES.c}


def message_row(arrival: Arrival) -> dict[str, object]:
    """Write what is known of every arrival before anything is parsed."""
    return _EMPTY | {
        "id": arrival.id,
        "received_at": to_micros(arrival.received_at),
        "door": arrival.door,
        "channel": channel_name(arrival),
        "path": arrival.path,
    }


def accepted_row(entry: Entry) -> dict[str, object]:
    """Write what an accepted message adds: who, what, and the versions that judged it."""
    document = entry.envelope.document
    return _header_columns(entry.envelope.header) | {
        "state": "accepted",
        "message_key": entry.key,
        "repeat_key": entry.arrival.repeat_key,
        "sender": entry.envelope.sender,
        "sha256": document.sha256,
        "schema": document.type,
        "slots": ",".join(document.slots),
        "proof": entry.proof,
        "header": write_header(entry.envelope.header),
        "signers": write_signers(entry.envelope.signers),
        "schema_pack": entry.judged.schema_pack,
        "rule_set": entry.judged.rule_set,
        "procedure_version": entry.judged.procedure,
        "keys": write_pairs(entry.keys),
        "way": way(entry),
        "warnings": write_problems(entry.warnings),
        "attachments": len(entry.arrival.attachments) or None,
    }


def refused_row(arrival: Arrival, refusal: Refusal) -> dict[str, object]:
    """Write what a refused message adds: the cause, the digest of its bytes, and as much of its header as could be read."""
    header = _header_columns(refusal.header) if refusal.header else {}
    return header | {
        "state": "refused",
        "sender": refusal.sender,
        "sha256": hashlib.sha256(arrival.body).hexdigest(),
        "code": refusal.code.value,
        "cause": write_problems(refusal.problems),
    }


def notice_row(message: MessageId, header: Header, *, sender: PartyCode, at: datetime, sha256: str) -> dict[str, object]:
    """Write a message that the gateway itself sends: nobody's bytes came in, nothing was judged, nobody waits for an answer."""
    return _EMPTY | _header_columns(header) | {
        "id": message, "state": "accepted", "received_at": to_micros(at), "door": "gateway", "channel": "own:gateway", "path": "",
        "sender": sender, "sha256": sha256, "schema": "notice", "slots": "absent,absent", "proof": "own", "header": write_header(header),
        "signers": "[]", "keys": "[]", "answer_status": 0, "answer_headers": "{}",
    }  # fmt: skip


def answer_row(answer: Reply) -> dict[str, object]:
    """Write how a message was answered; the body goes to the payloads."""
    return {"answer_status": answer.status, "answer_headers": write_map(answer.headers)}


def channel_name(arrival: Arrival) -> str:
    """Name the channel a message came by, as the tables hold it."""
    return f"{arrival.channel.kind}:{arrival.channel.name}"


def way(entry: Entry) -> str:
    """Name how a message was wrapped; its answer is wrapped alike."""
    return f"{entry.wrapper.protocol} {entry.wrapper.version} {entry.wrapper.operation}"


def dossier(entry: Entry) -> str:
    """Name a message's dossier."""
    return dossier_of(entry.envelope.header.subject)


def dossier_of(subject: Subject) -> str:
    """Name a dossier: the earlier reference where a message gives one, otherwise its own."""
    reference, year = (subject.previous, subject.previous_year or subject.year) if subject.previous else (subject.reference, subject.year)
    return f"{subject.document_type}/{reference}/{year}"


def accepted_event(entry: Entry) -> Event:
    """Tell the ledger what was accepted: ids, codes and digests only."""
    envelope = entry.envelope
    subject = envelope.header.subject
    values = {
        "sha256": envelope.document.sha256,
        "sender": str(envelope.sender),
        "procedure": subject.document_type,
        "type": subject.type,
        "function": subject.function,
        "proof": entry.proof,
        "answer": digest_of(entry.answer.body),
        "deliveries": " ".join(entry.receipt.deliveries),
        "signers": " ".join(s.certificate_sha256 for s in envelope.signers),
        **({"attachments": " ".join(a.sha256 for a in envelope.attachments)} if envelope.attachments else {}),
    }
    return Event(kind="message.accepted", at=entry.receipt.accepted_at, message=entry.arrival.id, values=values)


def _header_columns(header: Header) -> dict[str, object]:
    subject = header.subject
    return {
        "receiver": header.receiver.identity,
        "message_id": header.id,
        "procedure": subject.document_type,
        "type": subject.type,
        "function": subject.function,
        "reference": subject.reference,
        "year": subject.year,
        "previous": subject.previous,
    }
