"""A time-stamp authority for tests: OpenSSL's `ts` behind a small HTTP server that can also be slow, refuse, or answer rubbish."""

import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from gateway.security import certificates
from gateway.security.certificates import Certificate

Way = Literal["chain", "leaf", "none", "error", "rubbish", "other", "silent", "refusing"]
REFUSAL = bytes.fromhex("30053003020102")  # a TimeStampResp: rejection
_CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = test
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[stamps]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[signs]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
[tsa]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class StampAuthority:
    """A root, an issuer and an authority's keys in a folder; `impostor` has a certificate that is not for time-stamps."""

    folder: Path

    def certificate(self, name: str) -> Certificate:
        """Give the certificate of "root", "issuer", "stamps" or "signs"."""
        return certificates.read_pem((self.folder / f"{name}.pem").read_bytes())[0]

    @property
    def anchors(self) -> tuple[Certificate, ...]:
        """The root and the issuer, as an installation names them."""
        return self.certificate("root"), self.certificate("issuer")

    def answer(self, query: bytes, way: Way = "chain") -> bytes:
        """Answer a request in DER: with the chain, with the signer's certificate alone if it was asked for, or with none."""
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            asked, given = Path(place) / "query", Path(place) / "answer"
            asked.write_bytes(_without_certificates(query) if way == "none" else query)
            chain = ("-chain", str(self.folder / "issuer.pem")) if way == "chain" else ()
            options = ("-config", "tsa.cnf", "-section", "tsa", "-signer", "stamps.pem", "-inkey", "stamps.key", *chain)
            _openssl(self.folder, "ts", "-reply", "-queryfile", str(asked), "-out", str(given), *options)
            return given.read_bytes()

    @contextmanager
    def serve(self, way: Way = "chain") -> Iterator[str]:
        """Serve at an address of this machine, in one way of answering, until the block ends."""
        released = threading.Event()
        authority = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["content-length"]))
                if way == "silent":
                    released.wait(60)
                    return
                body = authority.in_way(query, way)
                self.send_response(503 if way == "error" else 200)
                self.send_header("content-type", "application/timestamp-reply")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/tsa"
        finally:
            released.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def in_way(self, query: bytes, way: Way) -> bytes:
        """Give what an answer in some way consists of."""
        match way:
            case "error" | "rubbish" | "silent":
                return b"<html>503 Service Unavailable</html>"
            case "refusing":
                return REFUSAL
            case "other":
                return self.answer(self.question(b"other data"))
            case _:
                return self.answer(query, way)

    def question(self, data: bytes) -> bytes:
        """Write a request for a stamp over data."""
        return _openssl(self.folder, "ts", "-query", "-data", "/dev/stdin", "-sha256", "-cert", stdin=data)


def make_authority(folder: Path) -> StampAuthority:
    """Make keys and certificates under a folder."""
    (folder / "tsa.cnf").write_text(_CONFIGURATION.format(folder=folder), "utf-8")
    (folder / "serial").write_text("01\n", "utf-8")
    config = ("-config", "tsa.cnf", "-days", "3650")
    root = ("-keyout", "root.key", "-out", "root.pem", "-extensions", "authority", "-subj", "/CN=Root")
    _openssl(folder, "req", "-x509", *_KEY, *config, *root)
    for name, issuer, kind in (("issuer", "root", "authority"), ("stamps", "issuer", "stamps"), ("signs", "issuer", "signs")):
        _openssl(folder, "req", *_KEY, "-config", "tsa.cnf", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial", "-days", "3650")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-extfile", "tsa.cnf", "-extensions", kind, "-out", f"{name}.pem")
    return StampAuthority(folder=folder)


def _without_certificates(query: bytes) -> bytes:
    """Take the wish for certificates off a request: its last member but the default."""
    wish = bytes.fromhex("0101ff")
    bare = query.removesuffix(wish)
    return bare[:1] + bytes((len(bare) - 2,)) + bare[2:]


def _openssl(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    command: Sequence[str] = ("openssl", *arguments)
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=True, timeout=30).stdout  # noqa: S603  # our own arguments
