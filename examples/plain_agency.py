"""An adapter in one file: an agency that takes the business content alone, in a SOAP operation Submit, and answers at once.

<Taken number="42"/>            it has the message, under its number 42
<Refused>why</Refused>          it will not have it, now or later
<Busy/>                         it will have it in a minute
"""

from datetime import timedelta
from http import HTTPStatus

from gateway import (
    Code,
    Deferred,
    Delivered,
    Envelope,
    Failed,
    GatewayError,
    NotValid,
    Outcome,
    Problem,
    Profile,
    Rejected,
    Reply,
    Request,
    Route,
)
from gateway.xml import soap
from gateway.xml.canonical import canonical
from gateway.xml.envelope import business, content
from gateway.xml.parse import parse

PAUSE = timedelta(minutes=1)
HEADERS = {"content-type": soap.media_type("1.1"), "soapaction": '"Submit"'}


class PlainAgency:
    """Implements Adapter: two pure functions and a profile, without state."""

    profile = Profile(name="plain_agency", protocol="wsdl", specification="an example; no agency speaks it")

    def encode(self, envelope: Envelope, route: Route) -> Request:
        """Write the business element of a message; raises NotValid where it has none."""
        held = content(parse(envelope.document.content))
        element = business(held) if held is not None else None
        if element is None:
            raise NotValid(Code.CONTENT_EMPTY, Problem(text="routing.content-empty"))
        body = soap.wrap(b"<Submit>" + canonical(element) + b"</Submit>", version="1.1")
        return Request(endpoint=route.endpoint, action="Submit", body=body, headers=HEADERS)

    def decode(self, reply: Reply) -> Outcome:
        """Read what the agency answered; never raises."""
        try:
            answer = soap.unwrap(reply.body).child
        except GatewayError:
            return Failed(code="reply-unreadable" if reply.status == HTTPStatus.OK else f"http-{reply.status}")
        match answer.tag:
            case "Taken":
                return Delivered(reference=answer.get("number", ""))
            case "Refused":
                return Rejected(reason=answer.text or "")
            case "Busy":
                return Deferred(for_=PAUSE)
        return Failed(code="reply-unreadable")


ADAPTER = PlainAgency()
