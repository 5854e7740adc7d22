"""JSON as the tables hold it."""

import json

import pytest

from gateway.store.compact import write


@pytest.mark.parametrize(
    "value",
    [{"b": "Bộ Nông nghiệp", "a": [1, None, True, 1.5]}, [["tên", 'a"b\\c\n\x07\x7f\u2028']], {}, [], "", {"number": 2**63 - 1}],
)
def test_it_is_what_the_standard_library_writes_without_white_space(value: object) -> None:
    assert write(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_text_that_has_no_utf_8_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        write({"a": "\ud800"})
