import hashlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.model import Attachment
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


def test_whoever_of_the_staff_reads_attachments_is_in_the_ledger(
    rehub: Callable[..., Any], calling: Callable[[Any], Any], tmp_path: Path
) -> None:
    lines = [("duty", "", "content"), ("bnn", "BNN", "collector")]
    (tmp_path / "keys").write_text("\n".join(f"{n}:{party}:{role}:{hash_key(n, salt=bytes(16))}" for n, party, role in lines), "utf-8")
    hub = rehub(api_keys=tmp_path / "keys")
    beside = (Attachment(name="hoá đơn.pdf", media_type="application/pdf", size=4, sha256="ab" * 32, id="p"),)
    hub.attachments = SimpleNamespace(of=lambda _: beside, read=lambda _: iter((b"%PDF",)))
    call = calling(hub)

    given = [
        call("GET", path, headers=[("x-api-key", key)]).status for key in ("duty", "bnn") for path in (ATTACHMENTS, f"{ATTACHMENTS}/1")
    ]

    assert given == [200] * 4
    assert [(part, by) for _, part, by in hub.history.read] == [("attachments", "key:duty"), ("attachment-1", "key:duty")]


def test_attachment_comes_with_its_digest_as_http_writes_it(hub: Any, calling: Callable[[Any], Any]) -> None:
    beside = (Attachment(name="hoá đơn.pdf", media_type="application/pdf", size=4, sha256=hashlib.sha256(b"%PDF").hexdigest(), id="p"),)
    hub.attachments = SimpleNamespace(of=lambda _: beside, read=lambda _: iter((b"%PDF",)))

    answer = calling(hub)("GET", f"{ATTACHMENTS}/1")

    assert answer.headers["repr-digest"] == f"sha-256=:{b64encode(hashlib.sha256(answer.body).digest()).decode()}:"
