"""The adapters' half: an envelope becomes a SOAP request in an agency's dialect, its reply becomes an outcome. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from gateway.errors import GatewayError
from gateway.lifecycle import Delivered, Failed, Outcome, Rejected
from gateway.model import ON_MESSAGE, Envelope, Party, Reply, Request, Route, Seal
from gateway.xml import soap
from gateway.xml.envelope import forward
from gateway.xml.parse import parse
from gateway.xml.payload import payload_of

from .dialects import PLAIN, TRANSPORT, Dialect, for_party
from .reply import RECEIVED, REFUSED
from .wrapping import field_of, local_name, operation_of, request

SUCCESS = range(200, 300)
UNSIGNED_INSIDE = ON_MESSAGE | {"none"}  # profiles of receivers whose envelope carries no signature unless they ask to keep the person's
MAX_REASON = 1000  # characters of a partner's reason that are kept and shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """Makes a request's body of a sealed envelope; a value, so that equal requests compare equal."""

    dialect: Dialect
    version: str
    office: str
    document_type: str

    def __call__(self, envelope: bytes) -> bytes:
        """Wrap an envelope's bytes."""
        return soap.wrap(request(self.dialect, envelope, office=self.office, document_type=self.document_type), version=self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a synchronous reply says: its function, the partner's id for it, and its errors as (code, name)."""

    function: str
    reference: str
    errors: tuple[tuple[str, str], ...]


def encode(dialect: Dialect, envelope: Envelope, route: Route) -> Request:
    """Write a message as an agency wants it: To, codes and version in its spelling, signatures by its profile.

    Reads from the party's data: what dialects.for_party lists, `soap` ("1.1", "1.2"), `version`, `office_code`, and any
    procedure code as a key whose value is the party's spelling of it.
    """
    party = route.party
    spelled = for_party(dialect, party)
    procedure = envelope.header.subject.document_type
    document_type = party.dialect.get(procedure, procedure)
    document = _document(envelope, party, document_type)
    wrapping = Wrapping(
        dialect=spelled,
        version=party.dialect.get("soap", "1.1"),
        office=party.dialect.get("office_code", envelope.sender if spelled.office_of == "sender" else party.code),
        document_type=document_type,
    )
    profile = party.accepts.signature
    sealed = profile != "none"
    return Request(
        endpoint=route.endpoint,
        action=spelled.action,
        body=b"" if sealed else wrapping(document),
        headers={"content-type": _media_type(wrapping.version, spelled.action)},
        seal=Seal(profile=profile, document=document, wrap=wrapping, algorithms=party.accepts.algorithms) if sealed else None,
    )


def signed_part(dialect: Dialect, reply: Reply) -> bytes | None:
    """Give the envelope inside a reply, for its signature to be proved; None where none can be found. Never raises."""
    try:
        field = field_of(operation_of(soap.unwrap(reply.body).child), dialect.result)
        return payload_of(field) if field is not None else None
    except GatewayError:
        return None


def decode(dialect: Dialect, reply: Reply, *, try_later: frozenset[str] = frozenset()) -> Outcome:
    """Read a synchronous reply: 99 is Delivered, 00 is Rejected, save for codes in `try_later`; all else is Failed. Never raises."""
    try:
        child = operation_of(soap.unwrap(reply.body).child)
        if local_name(child) == "Fault":
            return Failed(code="soap-fault", detail=_fault_text(child))
        field = field_of(child, dialect.result)
        answer = read_answer(payload_of(field)) if field is not None else None
    except GatewayError:
        answer = None
    if answer is None:
        return _unreadable(reply)
    return _outcome(answer, reply.status, try_later)


def read_answer(payload: bytes) -> Answer:
    """Read a reply envelope, in either error dialect. Raises NotReadable where it is not XML."""
    root = parse(payload)
    content = root.find("Body/Content")
    return Answer(
        function=_text(root, "Header/Subject/function"),
        reference=_text(root, "Header/Reference/messageId"),
        errors=() if content is None else tuple(_errors(content)),
    )


def _errors(content: etree._Element) -> Iterator[tuple[str, str]]:
    for names in (PLAIN, TRANSPORT):
        for error in content.iterfind(f"{names.errors}/{names.error}"):
            yield _text(error, names.code), _text(error, names.name)


def _document(envelope: Envelope, party: Party, document_type: str) -> bytes:
    return forward(
        envelope.document.content,
        receiver=party.identity,
        document_type=document_type,
        version=party.dialect.get("version"),
        slots=_strict(envelope.document.slots),
        keep_person=party.accepts.signature not in UNSIGNED_INSIDE or party.person_signature == "keep",
    )


def _strict(slots: tuple[str, str]) -> tuple[str, str]:
    """Leave out what may be left out: the receiver's own schema may not declare what ours calls optional."""
    person, system = ("required" if slot == "required" else "absent" for slot in slots)
    return person, system


def _media_type(version: str, action: str) -> str:
    """SOAP 1.2 says the action in the media type; SOAP 1.1 has a header for it, which the transport writes."""
    media_type = soap.media_type(version)
    return f'{media_type}; action="{action}"' if version == "1.2" and action else media_type


def _outcome(answer: Answer, status: int, try_later: frozenset[str]) -> Outcome:
    codes = [code for code, _ in answer.errors]
    if answer.function == RECEIVED:
        return Delivered(reference=answer.reference) if status in SUCCESS else Failed(code=f"http-{status}")
    if answer.function not in (REFUSED, "0"):
        return Failed(code="reply-unreadable", detail="neither 99 nor 00")
    reason = "; ".join(f"{code}: {name}" for code, name in answer.errors)[:MAX_REASON] or "00"
    if codes and all(code in try_later for code in codes):
        return Failed(code=codes[0], detail=reason)
    return Rejected(reason=reason)


def _unreadable(reply: Reply) -> Failed:
    return Failed(code="reply-unreadable" if reply.status in SUCCESS else f"http-{reply.status}")


def _fault_text(fault: etree._Element) -> str:
    """The reason of a SOAP fault, 1.1 (faultstring) or 1.2 (Reason/Text)."""
    texts = (element.text or "" for element in fault.iter() if local_name(element) in ("faultstring", "Text"))
    return " ".join(next(texts, "").split())[:MAX_REASON]


def _text(parent: etree._Element, path: str) -> str:
    return " ".join((parent.findtext(path) or "").split())
