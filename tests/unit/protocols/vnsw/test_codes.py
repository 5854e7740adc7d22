import pytest

from gateway.errors import Code
from gateway.protocols.vnsw.codes import CODES, FAULTS, field_code


@pytest.mark.parametrize("code", Code)
def test_every_refusal_is_either_a_fault_or_has_a_code_of_the_field(code: Code) -> None:
    assert (code in CODES) is (code not in FAULTS)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.NOT_XML, "ERR02_CODE"),
        (Code.SCHEMA, "ERR02_CODE"),
        (Code.PROCEDURE_UNKNOWN, "ERR01_CODE"),
        (Code.PROCEDURE_UNREADABLE, "ERR03_CODE"),
        (Code.MESSAGE_UNKNOWN, "ERR04_CODE"),
        (Code.CONTENT_EMPTY, "ERR05_CODE"),
        (Code.SIGNATURE, "ERR00_CODE"),
        (Code.PARTY, "ERR00_CODE"),
        (Code.CONFLICT, "ERR00_CODE"),
        (Code.LIMIT, "ERR00_CODE"),
    ],
)
def test_the_table_is_the_fields(code: Code, expected: str) -> None:
    assert field_code(code) == expected
