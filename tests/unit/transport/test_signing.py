"""Requests to S3-compatible storage: what libcurl signs is what the storage's own library would sign."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from gateway.model import Request
from gateway.testing.storage import KEYS
from gateway.transport.http import HttpTransport, Signing

TIMEOUT = timedelta(seconds=5)
BYTES = {"content-type": "application/octet-stream"}


@dataclass(frozen=True)
class Came:
    method: str
    headers: Mapping[str, str]
    body: bytes


@pytest.fixture
def seen() -> list[Came]:
    return []


@pytest.fixture
def storage(seen: list[Came]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            seen.append(Came(self.command, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        do_PUT = do_DELETE = do_GET  # noqa: N815  # the base class looks for these names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("PUT", "/bucket/att/0123/000000", b"\x00sealed\xff" * 1000),
        ("PUT", "/bucket/empty", b""),
        ("GET", "/bucket/att/0123/000001", b""),
        ("GET", "/bucket?list-type=2&prefix=att%2F0123%2F", b""),
        ("DELETE", "/bucket/att/0123/000000", b""),
    ],
)
def test_signature_is_the_one_the_storage_computes(storage: str, seen: list[Came], method: str, target: str, body: bytes) -> None:
    with HttpTransport(signing=KEYS) as transport:
        transport.send(Request(endpoint=storage + target, action="", body=body, headers=BYTES, method=method), timeout=TIMEOUT)

    (came,) = seen
    assert came.headers["authorization"] == _signed(storage + target, came)


def test_body_is_covered_by_the_signature(storage: str, seen: list[Came]) -> None:
    with HttpTransport(signing=KEYS) as transport:
        transport.send(Request(endpoint=storage + "/b/k", action="", body=b"x", headers=BYTES, method="PUT"), timeout=TIMEOUT)

    assert seen[0].headers["x-amz-content-sha256"] not in {"UNSIGNED-PAYLOAD", ""}
    assert len(seen[0].headers["x-amz-content-sha256"]) == 64


def test_keys_are_shown_nowhere() -> None:
    signing = Signing(region="r", access_key="AKIAX", secret_key="s3cr3t")  # noqa: S106  # opens nothing

    assert "s3cr3t" not in repr(signing)
    assert "AKIAX" not in repr(signing)


def _signed(url: str, came: Came) -> str:
    """Sign a request as the storage's own library does, with the headers and the moment that came."""
    names = came.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: came.headers[name] for name in names}
    request = AWSRequest(method=came.method, url=url, data=came.body, headers=headers)
    request.context["timestamp"] = came.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(KEYS.access_key, KEYS.secret_key), "s3", KEYS.region)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    scope = f"{KEYS.access_key}/{came.headers['x-amz-date'][:8]}/{KEYS.region}/s3/aws4_request"
    assert urlsplit(url).netloc == came.headers["host"]
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
