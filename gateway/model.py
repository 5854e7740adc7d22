"""The values that travel through the gateway: frozen, without behaviour beyond reading themselves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NewType

from .errors import Code, Problem

MessageId = NewType("MessageId", str)  # the gateway's own, UUIDv7 in canonical text
DeliveryId = NewType("DeliveryId", str)  # the same form
PartyCode = NewType("PartyCode", str)  # as in parties.toml, never an alias


def uuid7(now: datetime, random: bytes) -> str:
    """Make a UUIDv7 (RFC 9562, 5.7) of a time and ten random bytes, in canonical text."""
    milliseconds = int(now.timestamp() * 1000)
    value = milliseconds << 80 | int.from_bytes(random[:10])
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


BESIDE = frozenset({"cms-detached"})  # profiles whose signature stands beside the bytes that are sent
ON_MESSAGE = BESIDE | {"wss-x509"}  # those whose signature is not in the envelope: it covers the message that carries it


# --- who ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a party's deliveries are repeated: `first` doubles by `factor` up to `longest`, spread by `jitter`."""

    first: timedelta = timedelta(seconds=5)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=10)
    jitter: float = 0.2  # share of the delay, 0 to 1
    attempts: int = 40  # counted failures until the delivery is set aside


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one destination may be asked to bear."""

    concurrency: int = 4  # requests under way at once
    timeout: timedelta = timedelta(seconds=15)
    reply_bytes: int = 10_485_760
    per_minute: int | None = None  # requests in any minute; None: as many as it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time in which a party wants nothing sent: once, or at the same hours of every week; aware, in the gateway's zone."""

    start: datetime
    until: datetime
    weekly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Concession:
    """What a party may use although it is weak, until a date: "sha1", "rsa-1024", "dsa"."""

    allow: frozenset[str]
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealProfile:
    """What signatures a party sends or accepts.

    `signature` is "none", "xmldsig", "xades-b-b", "xades-b-t", "xades-b-lt", "wss-x509" or "cms-detached". `until` ends an exception,
    `bound_to` names what proves an unsigned party instead: "network:127.0.0.0/8", "certificate:<sha256 hex>", "key:<name>".
    `algorithms` are short names such as "ecdsa-sha256"; none given are all that are safe. `clock_skew` is how far its clock and ours
    may differ. `replies_signed` says that it signs what it answers to us, so an unsigned answer is none.
    """

    signature: str = "xmldsig"
    until: datetime | None = None
    bound_to: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    min_rsa_bits: int = 2048
    clock_skew: timedelta = timedelta(minutes=5)
    concessions: tuple[Concession, ...] = ()
    replies_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How a party writes itself in an envelope's From and To."""

    name: str
    identity: str
    country: str
    ministry: str
    organization: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """How long to keep: the content of messages, their record (ids, codes, times, digests), and archives of purged content."""

    content: timedelta
    record: timedelta
    archive: timedelta = timedelta(days=90)  # a period that was written wrongly can be made good that long; zero: no archive


def longest(periods: Iterable[Periods]) -> Periods | None:
    """Take the longest of each period; None of none."""
    each = tuple(periods)
    if not each:
        return None
    return Periods(content=max(p.content for p in each), record=max(p.record for p in each), archive=max(p.archive for p in each))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Which periods hold for which messages: by procedure and by party; `otherwise` where no procedure is known."""

    procedures: Mapping[str, Periods] = field(default_factory=dict)
    parties: Mapping[str, Periods] = field(default_factory=dict)
    otherwise: Periods | None = None  # None: such messages are kept

    def of(self, procedure: str, parties: Iterable[str]) -> Periods | None:
        """Give the periods of a message: the longest of its procedure's and those that its parties ask for; None: it is kept."""
        governing = self.procedures.get(procedure, self.otherwise)
        asked = [self.parties[party] for party in parties if party in self.parties]
        return longest([governing, *asked]) if governing else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One correspondent as parties.toml declares it; data, never code."""

    code: PartyCode
    identity: Identity
    aliases: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    adapter: str = ""  # name of the adapter that reaches it; empty: it only sends
    dialect: Mapping[str, str] = field(default_factory=dict)  # what its adapter wants to know, such as the spelling of codes
    sends: SealProfile = SealProfile()
    accepts: SealProfile = SealProfile()
    person_signature: Literal["drop", "keep"] = "drop"  # for a party that accepts "none"
    sends_for: frozenset[PartyCode] = frozenset()
    endpoint: str = ""
    languages: tuple[str, ...] = ("vi", "en")
    limits: Limits = Limits()
    retry: RetryPolicy = RetryPolicy()
    maintenance: tuple[Window, ...] = ()
    collects: bool = False  # it fetches from its mailbox; nothing is sent to it
    retention: Periods | None = None  # where it asks for longer than the procedure
    revocation: Literal["require", "prefer", "off"] = "prefer"  # what an unknown status of its certificate does: refuse, be told, nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What the connection itself proves: a key, a client certificate or a network; "open" proves nothing.

    `name` is the key's name, the certificate's SHA-256 in hex, or the address; `party` is set where the channel belongs to one.
    """

    kind: Literal["key", "certificate", "network", "open"]
    name: str
    party: PartyCode | None = None
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed: `subject` in RFC 4514 form, `covers` the XPath of what the signature covers."""

    role: Literal["person", "system"]
    subject: str
    tax_code: str | None
    certificate_sha256: str
    covers: tuple[str, ...]


# --- what came in --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """An opaque part beside a document: `name` is what its sender calls it, never a path; `id` is where its content is found.

    `sha256` of the content is in hex; the content itself stays in its store and is streamed.
    """

    name: str
    media_type: str
    size: int
    sha256: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Raw bytes at a door, named before anything is parsed. `path` and `media_type` as the transport gave them."""

    id: MessageId
    received_at: datetime
    channel: Channel
    door: str
    path: str
    media_type: str
    body: bytes
    repeat_key: str | None = None  # the REST Idempotency-Key
    attachments: tuple[Attachment, ...] = ()  # already in their store, where nothing refers to them yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """The protocol's outer wrapper, as hints: the envelope decides. `operation` names the dialect's operation."""

    protocol: str  # "vnsw", "rest"
    operation: str
    version: str = ""  # "1.1" or "1.2" for SOAP
    office_code: str = ""
    document_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a message is about; who numbers what is the procedure's business."""

    document_type: str
    type: str
    function: str
    reference: str
    year: str
    previous: str = ""
    previous_year: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """An envelope's header: `id` is the sender's messageId, `sent_at` aware; `version` as written."""

    id: str | None
    sender: Identity
    receiver: Identity
    subject: Subject
    sent_at: datetime | None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The versions that judged a message, recorded with it."""

    schema_pack: str
    rule_set: str
    procedure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A validated document: `type` is its schema's name, `content` the payload's bytes as received, `sha256` in hex.

    `slots` say whether that schema declares Body/Signature and SystemSignature: "absent", "optional" or "required" each.
    """

    type: str
    content: bytes
    sha256: str
    slots: tuple[str, str] = ("absent", "absent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message the gateway vouches for: proven, valid, ready to be routed. `sender` is the resolved party's code."""

    id: MessageId
    header: Header
    sender: PartyCode
    document: Document
    signers: tuple[Signer, ...]
    received_at: datetime
    attachments: tuple[Attachment, ...] = ()


# --- where it goes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One destination of a message. `order` is "dossier" where a later message waits for the earlier one, else "none"."""

    name: str
    party: Party
    transport: str
    endpoint: str
    timeout: timedelta
    order: Literal["none", "dossier"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What the sealer signs before a request leaves: `document` under `profile`; `wrap` then makes the body of it.

    `algorithms` are those that the receiver takes, by their short names; none given are all.
    """

    profile: str
    document: bytes
    wrap: Callable[[bytes], bytes]
    algorithms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request to a partner; `method` is POST unless said. `parts` are for multipart protocols.

    `reply_bytes` limits the answer; None leaves it to the transport. `attachments` leave behind the body, as parts of one multipart
    body, streamed out of their store.
    """

    endpoint: str
    action: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[bytes, ...] = ()
    seal: Seal | None = None
    method: str = "POST"
    reply_bytes: int | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, ours or a partner's; header names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


# --- what is answered ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The promise that a message is durable; `seal` names the profile in which its answer is signed."""

    message: MessageId
    header: Header
    sender: PartyCode
    sha256: str
    accepted_at: datetime
    deliveries: tuple[DeliveryId, ...] = ()
    warnings: tuple[Problem, ...] = ()
    seal: str = "none"
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a message was not accepted. `header` is what could be read of it, `sender` the channel's party where known."""

    message: MessageId
    refused_at: datetime
    code: Code
    problems: tuple[Problem, ...]
    header: Header | None = None
    sender: PartyCode | None = None
    seal: str = "none"
