"""A certificate authority with its revocation list and OpenSSL's own OCSP responder, served over HTTP on loopback, for tests."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.security.authority import Authority, create
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey

SECONDS = 10


@dataclass(slots=True)
class RevocationServer:
    """An authority that answers at `url`; `away` makes it answer with 503, `asked` counts what was asked for."""

    folder: Path
    authority: Authority
    url: str
    away: bool = False
    asked: dict[str, int] = field(default_factory=dict)
    _issued: dict[Certificate, datetime | None] = field(default_factory=dict)

    def issue(self, common: str, *, now: datetime, crl: bool = True, ocsp: bool = False) -> SigningKey:
        """Issue a certificate that names the list, the responder or both."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        made = self.authority.issue(
            request, now=now, list_url=f"{self.url}/ca.crl" if crl else "", ocsp_url=f"{self.url}/ocsp" if ocsp else ""
        )
        self._issued[made] = None
        return SigningKey(key, (made,))

    def revoke(self, certificate: Certificate, *, now: datetime) -> None:
        """Revoke for both the list and the responder."""
        self._issued[certificate] = now
        self.authority.revoke(certificate, now=now)

    def answer(self, path: str, body: bytes) -> bytes:
        """Give the list, or have OpenSSL answer a request."""
        self.asked[path] = self.asked.get(path, 0) + 1
        return (self.folder / "ca.crl.pem").read_bytes() if path == "/ca.crl" else self._respond(body)

    def _respond(self, request: bytes) -> bytes:
        (self.folder / "index.txt").write_text("".join(map(self._line, self._issued)), "ascii")
        (self.folder / "request.der").write_bytes(request)
        ca = ["-CA", "ca.cert.pem", "-rsigner", "ca.cert.pem", "-rkey", "ca.key.pem"]
        command = ["openssl", "ocsp", "-index", "index.txt", *ca, "-ndays", "1", "-reqin", "request.der", "-respout", "answer.der"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=SECONDS)  # noqa: S603  # our own words only
        return (self.folder / "answer.der").read_bytes()

    def _line(self, certificate: Certificate) -> str:
        """Write a line of OpenSSL's index: state, end, time of revocation, serial number, file, subject."""
        since, form = self._issued[certificate], "%y%m%d%H%M%SZ"
        revoked = f"{since:{form}}" if since else ""
        serial = f"{certificate.x509.serial_number:X}"
        serial = serial if len(serial) % 2 == 0 else f"0{serial}"
        return f"{'R' if since else 'V'}\t{certificate.not_after:{form}}\t{revoked}\t{serial}\tunknown\t/CN={serial}\n"


@contextmanager
def revoking(folder: Path, *, now: datetime) -> Iterator[RevocationServer]:
    """Serve an authority of its own on a free port of loopback."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self._give(b"")

        def do_POST(self) -> None:  # the library's name
            self._give(self.rfile.read(int(self.headers.get("content-length", 0))))

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _give(self, body: bytes) -> None:
            content = b"" if server.away else server.answer(self.path, body)
            self.send_response(503 if server.away else 200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server = RevocationServer(folder, create(folder, now=now), f"http://127.0.0.1:{listening.server_address[1]}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
