"""What a container tells of itself, evidence.json: whose messages, who signed them, what happened, and the heads that prove it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import Code, NotReadable, Problem

from .packing import MAX_FILES, MAX_NAME, is_name

NAME = "evidence.json"
MAX_BYTES = 32 * 1024 * 1024
MAX_EVENTS = 20_000  # of one message; one that is tried for a month has some 5,000
MAX_ATTACHMENTS = 1000  # of one message, as the REST interface counts them
MAX_PATH = 64  # a tree of 2^63 leaves


def _file_name(found: str) -> str:
    if not is_name(found):
        raise ValueError("no name for a file of a container")
    return found


Text = Annotated[str, Field(max_length=4000)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]  # of a message or a delivery; it is part of file names
FileName = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_file_name)]
Nothing = Literal[""]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """Strict both ways: what is written is what is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SignerPart(_Part):
    """Who signed a document, as the certificate says; `signed_at` is what the signature states, None where it states no time."""

    role: Literal["person", "system"]
    name: Text
    organization: Text
    tax_code: Text
    contact: Text
    certificate: Hash
    issuer: Text
    signed_at: AwareDatetime | None


class DeliveryPart(_Part):
    """One delivery as it stood."""

    id: Id
    party: Text
    state: Text
    attempts: int
    reference: Text
    created_at: AwareDatetime
    updated_at: AwareDatetime


class AttachmentPart(_Part):
    """What came beside a document: its name as its sender has it; `file` is empty where the content was left out."""

    number: int
    name: Text
    media_type: Text
    size: int
    sha256: Hash
    file: FileName | Nothing


class ReceiptPart(_Part):
    """An answer: the gateway's, or the partner's to the request in `about`; `signer` is the certificate in it, empty where nobody signed.

    `at` is the time of the event that the ledger has of it.
    """

    file: FileName
    about: FileName | Nothing
    party: Text
    delivery: Id | Nothing
    at: AwareDatetime
    signer: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    name: Text


class EventPart(_Part):
    """One leaf under the head of `head` leaves: its exact text, its position, and the path to the root, in hex."""

    head: int
    leaf: Annotated[str, Field(max_length=65_536)]
    position: int
    path: Annotated[tuple[Hash, ...], Field(max_length=MAX_PATH)]


class MessagePart(_Part):
    """One message: `waiting` counts events that no signed head covers yet, `files` are its own."""

    id: Id
    state: Text
    received_at: AwareDatetime
    channel: Text
    proof: Text
    sender: Text
    receiver: Text
    procedure: Text
    type: Text
    function: Text
    reference: Text
    code: Text
    signers: tuple[SignerPart, ...]
    deliveries: tuple[DeliveryPart, ...]
    attachments: Annotated[tuple[AttachmentPart, ...], Field(max_length=MAX_ATTACHMENTS)]
    receipts: Annotated[tuple[ReceiptPart, ...], Field(max_length=MAX_FILES)]
    events: Annotated[tuple[EventPart, ...], Field(max_length=MAX_EVENTS)]
    waiting: int
    files: Annotated[tuple[FileName, ...], Field(max_length=MAX_FILES)]


class HeadPart(_Part):
    """One signed head as LEDGER.md writes it; `stamp` names the file of its time-stamp, empty where there is none.

    `consistency` proves that its tree begins with that of the next smaller head here; empty for the smallest.
    """

    signed: dict[str, object]
    consistency: Annotated[tuple[Hash, ...], Field(max_length=MAX_PATH)] = ()
    stamp: FileName | Nothing
    stamped_at: AwareDatetime | None


class Record(_Part):
    """All that evidence.json holds; `gateway` is the subject of the gateway's certificate."""

    format: Literal["nsw evidence 1"]
    made_at: AwareDatetime
    gateway: Text
    heads: Annotated[tuple[HeadPart, ...], Field(max_length=8)]
    messages: Annotated[tuple[MessagePart, ...], Field(min_length=1, max_length=200)]


def write_record(record: Record) -> bytes:
    """Write what stands at NAME."""
    return record.model_dump_json(indent=1).encode()


def read_record(data: bytes) -> Record:
    """Read what write_record() wrote; raises NotReadable."""
    try:
        return Record.model_validate_json(data if len(data) <= MAX_BYTES else b"")
    except (ValidationError, ValueError, RecursionError) as error:
        raise NotReadable(Code.NOT_XML, Problem(text="container.record-unreadable", path=NAME)) from error
