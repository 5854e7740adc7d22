"""One HTTP request out and its answer in, over libcurl.

Connections are kept alive and belong to the sessions of a pool, one session a request under way. Nothing is read from the
environment, no redirect is followed, no proxy is used. What is not an HTTP answer is Unavailable with a text "transport.*".
"""

import math
import re
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import sleep
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

import pycurl
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential

from gateway.errors import Code, Problem, Unavailable
from gateway.model import Attachment, Reply, Request

from .parts import Parts, ReadContent

REPLY_BYTES = 10_485_760  # an XML document is at most 10 MB, and a reply holds one with its wrapper
HEADER_BYTES = 65_536  # a real partner needs 1 KB
SESSIONS = 32  # idle sessions kept; each keeps up to five connections alive
CONNECT_SECONDS = 5.0  # a partner in the same country connects in milliseconds; a dead one must not hold a worker
RETRIES = 3  # tries while nothing has left: a service that restarts refuses for a moment
RETRY_SECONDS = 2.0  # all of them together; longer waits are the outbox's
KEEPALIVE_SECONDS = 30  # shorter than any firewall forgets an idle connection
STREAM_BYTES = 131_072  # of attachments, a second: the slowest line that is waited for; a claim's lease is renewed meanwhile
DEFAULT_MEDIA_TYPE = "text/xml; charset=utf-8"

_LINE_BREAK = re.compile(r"[\r\n\0]")  # in a header's value it would begin another header
_METHOD = re.compile(r"[A-Z]{3,7}")

# What libcurl reports, by the text that explains it. Every other code cannot come from what we ask of libcurl, or says nothing
# more than "it did not work": transport.other. tests/unit/transport proves that no code of libcurl is forgotten.
TEXTS: Mapping[int, str] = MappingProxyType({
    code: text
    for text, codes in {
        "transport.address": (pycurl.E_URL_MALFORMAT,),
        "transport.dns": (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY),
        "transport.refused": (pycurl.E_COULDNT_CONNECT, pycurl.E_INTERFACE_FAILED, pycurl.E_NO_CONNECTION_AVAILABLE),
        "transport.timeout": (pycurl.E_OPERATION_TIMEDOUT,),
        "transport.tls": (
            pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CONNECT_ERROR, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CIPHER,
            pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_CRL_BADFILE, pycurl.E_SSL_ISSUER_ERROR, pycurl.E_SSL_INVALIDCERTSTATUS,
            pycurl.E_SSL_PINNEDPUBKEYNOTMATCH, pycurl.E_SSL_SHUTDOWN_FAILED, pycurl.E_SSL_ENGINE_INITFAILED,
            pycurl.E_SSL_ENGINE_NOTFOUND, pycurl.E_SSL_ENGINE_SETFAILED, pycurl.E_USE_SSL_FAILED,
        ),
        "transport.reset": (
            pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE, pycurl.E_SEND_FAIL_REWIND,
        ),
        "transport.too-large": (pycurl.E_FILESIZE_EXCEEDED,),
        # libcurl names a first line that is not HTTP/1 after the protocol it then would be: HTTP/0.9, not supported
        "transport.not-http": (
            pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_FTP_WEIRD_SERVER_REPLY, pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_HTTP2,
        ),
    }.items()
    for code in codes
})  # fmt: skip
NOTHING_LEFT = frozenset({"transport.dns", "transport.refused"})  # not one byte of the request can have reached anyone


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How requests to S3-compatible storage are signed (AWS Signature Version 4); libcurl signs headers and body."""

    region: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Signing(region={self.region!r})"


def no_attachments(attachment: Attachment) -> Iterator[bytes]:
    """Stand in where nothing with attachments is sent; raises Unavailable."""
    raise Unavailable(Code.UNAVAILABLE, Problem(text="attachments.missing", values={"place": attachment.id[:12]}))


class HttpTransport:
    """Carries requests over HTTP and HTTPS; safe from any number of threads.

    TLS is 1.2 or later, the partner's certificate and host name are always verified. A request is tried again for up to two
    seconds only while no connection came about. libcurl itself repeats a request once when a kept-alive connection
    turns out to have been closed before a byte of the answer came; partners deduplicate by message id.
    """

    def __init__(
        self,
        *,
        client_certificate: Path | None = None,
        client_key: Path | None = None,
        ca_file: Path | None = None,
        reply_bytes: int = REPLY_BYTES,
        read: ReadContent = no_attachments,
        signing: Signing | None = None,
        pause: Callable[[float], None] = sleep,
    ) -> None:
        """Present the client certificate where a partner asks for one; trust `ca_file`, or the system's authorities without it.

        `read` gives the content of attachments; `signing` signs every request.
        """
        self._identity = (client_certificate, client_key)
        self._read = read
        self._signing = signing
        self._authorities = _authorities(ca_file)
        self._reply_bytes = reply_bytes
        self._idle: deque[_Session] = deque()  # its append and pop are atomic; the last one in is the warmest
        self._retrying = Retrying(
            retry=retry_if_exception_type(_NothingLeft),
            stop=stop_after_attempt(RETRIES) | stop_before_delay(RETRY_SECONDS),
            wait=wait_exponential(multiplier=0.2),
            sleep=pause,
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        """Send and wait, at most `timeout` for each try; raises Unavailable with text "transport.*" for whatever is no HTTP answer."""
        check_sendable(request)
        return self._retrying(self._send_once, request, timeout)

    def close(self) -> None:
        """Close what is kept alive; requests under way end by themselves."""
        while self._idle:
            self._idle.pop().close()

    def _send_once(self, request: Request, timeout: timedelta) -> Reply:
        session = self._taken()
        try:
            return session.perform(request, timeout)
        finally:
            self._put_back(session)

    def _taken(self) -> "_Session":
        try:
            return self._idle.pop()
        except IndexError:
            return _Session(self._identity, self._authorities, self._reply_bytes, read=self._read, signing=self._signing)

    def _put_back(self, session: "_Session") -> None:
        if len(self._idle) < SESSIONS:
            self._idle.append(session)
        else:
            session.close()


def check_sendable(request: Request) -> None:
    """Refuse what is no HTTP request, before libcurl guesses what was meant; raises Unavailable, and ValueError for a caller's bug."""
    place = _place(request.endpoint)
    if not request.endpoint.lower().startswith(("http://", "https://")) or not place or _LINE_BREAK.search(request.endpoint):
        raise Unavailable(Code.UNAVAILABLE, Problem(text="transport.address", values={"detail": request.endpoint}))
    if any(map(_LINE_BREAK.search, (request.action, *request.headers, *request.headers.values()))):
        raise Unavailable(Code.UNAVAILABLE, Problem(text="transport.header", path=place))
    if (
        not _METHOD.fullmatch(request.method)
        or request.method == "HEAD"
        or request.parts
        or (request.attachments and request.method == "GET")
    ):
        raise ValueError("a request is sent as one body, by a method that has an answer")


def library() -> str:
    """Name libcurl's version, and its TLS library's."""
    found = pycurl.version_info()
    return f"libcurl {found[1]}, {found[5]}"


class _NothingLeft(Unavailable):
    """No connection came about, so trying again cannot send anything twice."""


class _Session:
    """A libcurl handle with its connections, used by one thread at a time."""

    def __init__(
        self,
        identity: tuple[Path | None, Path | None],
        authorities: Mapping[int, str],
        limit: int,
        *,
        read: ReadContent,
        signing: Signing | None,
    ) -> None:
        self._limit = limit
        self._read = read
        self._parts: Parts | None = None
        self._head: list[bytes] = []
        self._body: list[bytes] = []
        self._room = self._head_room = 0
        self._curl = pycurl.Curl()
        self._configure(identity, authorities)
        if signing:
            self._curl.setopt(pycurl.AWS_SIGV4, f"aws:amz:{signing.region}:s3")
            self._curl.setopt(pycurl.USERNAME, signing.access_key)
            self._curl.setopt(pycurl.PASSWORD, signing.secret_key)

    def _configure(self, identity: tuple[Path | None, Path | None], authorities: Mapping[int, str]) -> None:
        """Set what holds for every request."""
        certificate, key = identity
        options: dict[int, int | str | Callable[[bytes], int | None]] = {
            pycurl.NOSIGNAL: 1,  # signals and threads do not mix
            pycurl.PROXY: "",  # whatever the environment says
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.FOLLOWLOCATION: 0,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,  # or later
            pycurl.SSL_VERIFYPEER: 1,
            pycurl.SSL_VERIFYHOST: 2,
            pycurl.TCP_KEEPALIVE: 1,
            pycurl.TCP_KEEPIDLE: KEEPALIVE_SECONDS,
            pycurl.TCP_KEEPINTVL: KEEPALIVE_SECONDS,
            pycurl.HEADERFUNCTION: self._on_header,
            pycurl.WRITEFUNCTION: self._on_body,
            **authorities,
            **({pycurl.SSLCERT: str(certificate)} if certificate else {}),
            **({pycurl.SSLKEY: str(key)} if key else {}),
        }
        for option, value in options.items():
            self._curl.setopt(option, value)

    def perform(self, request: Request, timeout: timedelta) -> Reply:
        """Carry one request; raises Unavailable."""
        self._head, self._body, self._room, self._head_room = [], [], self._limit_of(request), HEADER_BYTES
        try:
            self._prepare(request, timeout)
            self._curl.perform()
            return Reply(status=self._curl.getinfo(pycurl.RESPONSE_CODE), headers=_headers(self._head), body=b"".join(self._body))
        except pycurl.error as error:
            if self._parts and self._parts.failure:
                raise self._parts.failure from error
            raise self._explained(error, request, timeout) from error
        finally:
            self._head, self._body, self._parts = [], [], None

    def close(self) -> None:
        """Close the handle and its connections."""
        self._curl.close()

    def _limit_of(self, request: Request) -> int:
        return self._limit if request.reply_bytes is None else request.reply_bytes

    def _prepare(self, request: Request, timeout: timedelta) -> None:
        seconds = timeout.total_seconds()
        headers = _headers_of(request)
        self._curl.setopt(pycurl.URL, request.endpoint)
        if request.attachments:
            self._stream(request, headers)
        elif request.method == "GET":
            self._curl.setopt(pycurl.HTTPGET, 1)
        else:
            self._curl.setopt(pycurl.POSTFIELDS, request.body)
        self._curl.setopt(pycurl.CUSTOMREQUEST, request.method)
        self._curl.setopt(pycurl.HTTPHEADER, _lines(headers))
        streamed = sum(attachment.size for attachment in request.attachments)
        self._curl.setopt(pycurl.TIMEOUT_MS, max(1, round((seconds + streamed / STREAM_BYTES) * 1000)))
        self._curl.setopt(pycurl.LOW_SPEED_LIMIT, 1 if streamed else 0)  # bytes a second, for as long as the timeout: it stands still
        self._curl.setopt(pycurl.LOW_SPEED_TIME, math.ceil(seconds) if streamed else 0)
        self._curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(min(seconds, CONNECT_SECONDS) * 1000)))

    def _stream(self, request: Request, headers: dict[str, str]) -> None:
        """Let libcurl fetch body and attachments while it sends them."""
        self._parts = Parts(request, self._read, media_type=headers["content-type"])
        headers["content-type"] = self._parts.media_type
        self._curl.setopt(pycurl.UPLOAD, 1)
        self._curl.setopt(pycurl.INFILESIZE_LARGE, self._parts.size)
        self._curl.setopt(pycurl.READFUNCTION, self._parts.read)
        self._curl.setopt(pycurl.SEEKFUNCTION, self._parts.seek)

    def _on_header(self, line: bytes) -> int | None:
        if line.startswith(b"HTTP/"):  # the final answer's lines replace an interim one's
            self._head = []
        self._head.append(line)
        self._head_room -= len(line)
        return None if self._head_room >= 0 else -1

    def _on_body(self, chunk: bytes) -> int | None:
        self._room -= len(chunk)
        self._body.append(chunk)
        return None if self._room >= 0 else -1  # libcurl gives the answer up

    def _explained(self, error: pycurl.error, request: Request, timeout: timedelta) -> Unavailable:
        code = int(error.args[0])
        text = "transport.too-large" if min(self._room, self._head_room) < 0 else TEXTS.get(code, "transport.other")
        values = {
            "host": _place(request.endpoint),
            "seconds": f"{timeout.total_seconds():g}",
            "limit": f"{self._limit_of(request)}",
            "detail": f"libcurl {code}: {self._curl.errstr()}",
        }
        refusal = _NothingLeft if text in NOTHING_LEFT else Unavailable
        return refusal(Code.UNAVAILABLE, Problem(text=text, path=_place(request.endpoint), values=values))


def _authorities(ca_file: Path | None) -> Mapping[int, str]:
    """Say whom to trust: one file, or the system's authorities, which a libcurl from a wheel does not find by itself."""
    if ca_file is not None:
        return {pycurl.CAINFO: str(ca_file)}
    system = ssl.get_default_verify_paths()
    found = {pycurl.CAINFO: system.cafile, pycurl.CAPATH: system.capath}
    return {option: path for option, path in found.items() if path is not None}


def _place(endpoint: str) -> str:
    """Name host and port, without credentials, path or query."""
    try:
        return urlsplit(endpoint).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _headers_of(request: Request) -> dict[str, str]:
    """Give the headers; SOAP 1.1 demands a SOAPAction."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    media_type = headers.setdefault("content-type", DEFAULT_MEDIA_TYPE)
    if media_type.startswith("text/xml"):
        headers.setdefault("soapaction", f'"{request.action}"')
    if request.method == "GET":
        headers.pop("content-type")
        headers.pop("soapaction", None)
    return headers


def _lines(headers: Mapping[str, str]) -> list[str]:
    """Write header lines; libcurl must not wait for a 100 nobody sends."""
    return ["Expect:", *(f"{name}: {value}" if value else f"{name};" for name, value in headers.items())]


def _headers(lines: list[bytes]) -> Mapping[str, str]:
    """Read header lines; one that comes twice is joined by a comma, as HTTP allows."""
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            key, text = name.strip().lower(), value.strip()
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
