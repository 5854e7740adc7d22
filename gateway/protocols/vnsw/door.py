"""The VNSW door: takes the SOAP wrapper off what arrives, and answers in the caller's dialect and SOAP version. Pure.

What is not SOAP, or asks for no operation of ours, gets a SOAP fault; every other refusal is an envelope with function 00.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from gateway.errors import Code, NotReadable, Problem, explain
from gateway.model import BESIDE, ON_MESSAGE, Arrival, Header, Identity, Receipt, Refusal, Reply, Wrapper
from gateway.ports import Directory, Opened
from gateway.security import beside
from gateway.xml import soap
from gateway.xml.payload import payload_of

from . import reply
from .codes import FAULTS
from .dialects import ANY_NS, DIALECTS, Dialect
from .wrapping import field_of, hint_of, operation_of, response, split

PROTOCOL = "vnsw"
MAX_NAME = 200  # characters of an unknown operation's name that a fault repeats
RETRY_AFTER = "30"  # seconds; a hint for clients that read it
_NOBODY = Identity(name="", identity="", country="", ministry="", organization="")


class VnswDoor:
    """Implements ports.Inbound for SOAP 1.1 and 1.2 in every dialect it is given."""

    def __init__(
        self,
        dialects: Sequence[Dialect] = DIALECTS,
        *,
        rules: Callable[[], Directory],
        zone: tzinfo,
        sign: Callable[[bytes, str], bytes],
    ) -> None:
        """`sign` signs a canonical envelope, or the message around it, by a profile; it is called only where a result asks for it."""
        self._dialects: Mapping[tuple[str, str], Dialect] = {(d.namespace, d.request): d for d in dialects}
        self._rules = rules
        self._zone = zone
        self._sign = sign

    def open(self, arrival: Arrival) -> Opened:
        """Find the operation by the Body child's name, whatever the SOAPAction, and take the payload out of it.

        Raises NotReadable where there is no such operation; its problems carry the SOAP version for answer(). An empty
        payload is not refused here: the caller gets a proper reply for it.
        """
        spoken = "1.2" if "soap+xml" in arrival.media_type.lower() else "1.1"
        try:
            body = soap.unwrap(arrival.body)
            spoken = body.version
            opened = self._opened(body)
            return replace(opened, message=arrival.body) if body.secured else opened
        except NotReadable as refusal:
            problems = (replace(p, values={**p.values, "soap": spoken}) for p in refusal.problems)
            raise NotReadable(refusal.code, *problems) from refusal

    def answer(self, opened: Opened | None, result: Receipt | Refusal) -> Reply:
        """Write the 99 or 00 envelope in the caller's dialect, or a SOAP fault where no envelope can say it."""
        if isinstance(result, Refusal) and (opened is None or result.code in FAULTS):
            return self._fault(opened, result)
        if opened is None:
            raise ValueError("a receipt without what was opened")
        dialect = self._dialect(opened.wrapper.operation)
        envelope = self._envelope(dialect, opened.wrapper, result)
        sealed = envelope if result.seal == "none" or result.seal in ON_MESSAGE else self._sign(envelope, result.seal)
        body = soap.wrap(response(dialect, sealed), version=opened.wrapper.version)
        kind = soap.media_type(opened.wrapper.version)
        if result.seal in BESIDE:
            body = beside.write(body, self._sign(body, result.seal), document_type=kind)
            kind = beside.media_type(body, document_type=kind)
        elif result.seal in ON_MESSAGE:
            body = self._sign(body, result.seal)
        return Reply(status=200, body=body, headers={"content-type": kind})

    # --- opening ---

    def _opened(self, body: soap.SoapBody) -> Opened:
        operation = operation_of(body.child)
        dialect = self._dialect(str(operation.tag))
        field = field_of(operation, dialect.payload)
        holder = None if field is None else field.getparent()
        hints = operation if holder is None else holder
        wrapper = Wrapper(
            protocol=PROTOCOL,
            operation=str(operation.tag),
            version=body.version,
            office_code=hint_of(hints, dialect.office),
            document_type=hint_of(hints, dialect.document_type),
        )
        return Opened(wrapper=wrapper, payload=b"" if field is None else payload_of(field))

    def _dialect(self, operation: str) -> Dialect:
        namespace, local = split(operation)
        exact = self._dialects.get((namespace, local))
        if exact:
            return exact
        anywhere = self._dialects.get((ANY_NS, local))
        if anywhere is None:
            raise NotReadable(Code.NOT_SOAP, Problem(text="vnsw.operation", values={"operation": operation[:MAX_NAME]}))
        return replace(anywhere, namespace=namespace)

    # --- answering ---

    def _envelope(self, dialect: Dialect, wrapper: Wrapper, result: Receipt | Refusal) -> bytes:
        if isinstance(result, Receipt):
            return reply.accepted(result, dialect.answers, zone=self._zone)
        header = result.header or self._stand_in(wrapper, result)
        return reply.refused(result, header, dialect.answers, language=self._language(result), zone=self._zone)

    def _stand_in(self, wrapper: Wrapper, refusal: Refusal) -> Header:
        rules = self._rules()
        caller = rules.party(refusal.sender) if refusal.sender else None
        return reply.stand_in(wrapper, sender=caller.identity if caller else _NOBODY, receiver=rules.own.identity)

    def _language(self, refusal: Refusal) -> str:
        rules = self._rules()
        claimed = refusal.sender or (refusal.header.sender.identity if refusal.header else "")
        party = rules.party(claimed) if claimed else None
        return reply.language_of((party or rules.own).languages)

    def _fault(self, opened: Opened | None, refusal: Refusal) -> Reply:
        ours = refusal.code is Code.UNAVAILABLE
        version = opened.wrapper.version if opened else refusal.problems[0].values.get("soap", "1.1")
        language = self._language(refusal)
        text = explain(Problem(text="vnsw.unavailable"), language) if ours else reply.spoken(refusal.problems[0], language)
        headers = {"content-type": soap.media_type(version)} | ({"retry-after": RETRY_AFTER} if ours else {})
        status = 400 if version == "1.2" and not ours else 500  # SOAP 1.2 part 2, table 20; SOAP 1.1, section 6.2
        return Reply(status=status, body=soap.fault(version, sender=not ours, text=text, language=language), headers=headers)
