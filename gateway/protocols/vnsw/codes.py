"""The table from the gateway's codes to the codes of the field, `ERRnn_CODE`."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.errors import Code

INVALID = "ERR00_CODE"  # message invalid: signature, party, conflicting repeat, limits

CODES: Mapping[Code, str] = MappingProxyType(
    {
        Code.PROCEDURE_UNKNOWN: "ERR01_CODE",
        Code.NOT_XML: "ERR02_CODE",
        Code.SCHEMA: "ERR02_CODE",
        Code.PROCEDURE_UNREADABLE: "ERR03_CODE",
        Code.MESSAGE_UNKNOWN: "ERR04_CODE",
        Code.CONTENT_EMPTY: "ERR05_CODE",
        Code.SIGNATURE: INVALID,
        Code.PARTY: INVALID,
        Code.CONFLICT: INVALID,
        Code.LIMIT: INVALID,
        Code.NO_ROUTE: INVALID,
        Code.NOT_ALLOWED: INVALID,
        Code.NOT_FOUND: INVALID,
        Code.RULES: INVALID,
    }
)
FAULTS = frozenset({Code.NOT_SOAP, Code.UNAVAILABLE})  # never in an envelope: a SOAP fault says it


def field_code(code: Code) -> str:
    """Give the field's code of a refusal; what has none of its own is an invalid message."""
    return CODES.get(code, INVALID)
