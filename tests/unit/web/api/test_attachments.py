from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.web.keys import hash_key

ATTACHMENTS = "/api/v1/messages/0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6/attachments"


@pytest.mark.parametrize("path", [ATTACHMENTS, f"{ATTACHMENTS}/1"])
def test_collector_of_no_party_sees_nobodys_attachments(
    rehub: Callable[..., Any], calling: Callable[[Any], Any], tmp_path: Path, path: str
) -> None:
    (tmp_path / "keys").write_text(f"scanner::collector:{hash_key('scanner', salt=bytes(16))}", "utf-8")
    call = calling(rehub(api_keys=tmp_path / "keys"))

    answer = call("GET", path, headers=[("x-api-key", "scanner")])

    assert (answer.status, answer.json["errors"][0]["code"]) == (403, "web.nobodys")
