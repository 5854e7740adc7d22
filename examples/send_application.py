"""Sends an envelope to the gateway with plain zeep, and prints what it answered: send_application.py ENVELOPE [WSDL].

Nothing here belongs to the gateway: any SOAP client that reads its WSDL does the same.
"""

import sys
from pathlib import Path

import zeep
from lxml import etree

WSDL = "http://127.0.0.1:8080/ws/gateway.wsdl"


def main(envelope: str, wsdl: str = WSDL) -> int:
    """Send, print the reply's function and errors; ends with 0 for 99 (received) and 1 for 00 (refused)."""
    client = zeep.Client(wsdl)  # type: ignore[no-untyped-call]  # zeep has no types
    reply = client.service.receive(
        officeCode="BNN",
        documentType="BNN&PTNT0300002",
        requestPayload=Path(envelope).read_text("utf-8"),
    )
    answer = etree.fromstring(reply.encode())
    function = answer.findtext("Header/Subject/function")
    print(function, answer.findtext("Body/Content/ReceiveDate") or "")
    for error in answer.iterfind("Body/Content/ErrorList/Error"):
        print(error.findtext("ErrorCode"), error.findtext("ErrorName"))
    return 0 if function == "99" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
