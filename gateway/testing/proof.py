"""How a simulated partner that accepts signatures checks what the gateway sent: with the gateway's registered certificate."""

from gateway.errors import NotProven, explain
from gateway.security.certificates import read_pem
from gateway.security.trust import Trust
from gateway.security.verifier import find, verify_person, verify_system

from .simulator import SimContext
from .vnsw import Call


def unproven(call: Call, context: SimContext) -> str | None:
    """Say, as an error of the field, why an envelope is not proven; None where the gateway's signature, and the person's if any, is good.

    An agency that was started without keys takes everything.
    """
    if context.pki is None:
        return None
    registered = read_pem((context.pki / "gateway.cert.pem").read_bytes())
    try:
        found = find(call.root)
        verify_system(found, at=context.clock(), registered=lambda certificate: certificate in registered)
        if found.person is not None:
            verify_person(found, at=context.clock(), anchors=Trust(context.pki).anchors("person"))
    except NotProven as refusal:
        return f"ERR00_CODE {explain(refusal.problems[0], 'vi')}"
    return None
