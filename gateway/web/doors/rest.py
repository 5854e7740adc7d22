"""The REST door: a document is the whole body, or has its signature beside it there; answers are JSON. Pure."""

from collections.abc import Callable
from dataclasses import replace

from gateway.errors import Code
from gateway.model import BESIDE, Arrival, Attachment, Receipt, Refusal, Reply, Wrapper
from gateway.ports import Opened
from gateway.protocols.vnsw.codes import field_code
from gateway.security import beside
from gateway.web.problems import PROBLEM_JSON, describe, json_reply, problem_document, status_of

NAME = "rest"
OPERATION = "documents"


class RestDoor:
    """Implements ports.Inbound for documents that are posted bare."""

    def __init__(self, *, sign: Callable[[bytes, str], bytes]) -> None:
        """`sign` makes the signature beside an answer, by a profile; it is called only where a result asks for one."""
        self._sign = sign

    def open(self, arrival: Arrival) -> Opened:
        """Take the body as it is, or its signature from beside it; raises nothing."""
        found = beside.read(arrival.body) if arrival.media_type == beside.KEPT else None
        payload, signature = found or (arrival.body, b"")
        return Opened(wrapper=Wrapper(protocol=NAME, operation=OPERATION), payload=payload, signature=signature)

    def answer(self, opened: Opened | None, result: Receipt | Refusal) -> Reply:  # noqa: ARG002  # every caller gets the same form
        """Write a receipt, or a problem document with the field's code beside ours; signed for whom takes signatures beside documents."""
        reply = _receipt(result) if isinstance(result, Receipt) else _refusal(result)
        if result.seal not in BESIDE:
            return reply
        kind = reply.headers["content-type"]
        body = beside.write(reply.body, self._sign(reply.body, result.seal), document_type=kind)
        return replace(reply, body=body, headers={**reply.headers, "content-type": beside.media_type(body, document_type=kind)})


def _receipt(receipt: Receipt) -> Reply:
    """Answer 202: the message is durable, its deliveries are still to come."""
    document = {
        "id": receipt.message,
        "state": "accepted",
        "sha256": receipt.sha256,
        "accepted_at": receipt.accepted_at.isoformat(),
        "deliveries": list(receipt.deliveries),
        "warnings": [describe(warning) for warning in receipt.warnings],
        **({"attachments": [_beside(n, a) for n, a in enumerate(receipt.attachments, start=1)]} if receipt.attachments else {}),
    }
    return json_reply(202, document, headers={"location": f"/api/v1/messages/{receipt.message}"})


def _beside(number: int, attachment: Attachment) -> dict[str, object]:
    told = {"number": number, "name": attachment.name, "media_type": attachment.media_type}
    return told | {"size": attachment.size, "sha256": attachment.sha256}


def _refusal(refusal: Refusal) -> Reply:
    status = status_of(refusal.code, refusal.problems)
    document = problem_document(refusal.code, refusal.problems, status=status)
    if refusal.code is not Code.UNAVAILABLE:  # then nothing was kept, and the sender comes again
        document |= {"vnsw_code": field_code(refusal.code), "id": refusal.message, "state": "refused"}
    return json_reply(status, document, media_type=PROBLEM_JSON)
