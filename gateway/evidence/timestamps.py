"""Time-stamps of RFC 3161: asks authorities for them, one after the other, and takes none that does not verify."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from gateway.errors import Code, NotProven, Problem, Unavailable
from gateway.model import Reply, Request
from gateway.ports import Transport
from gateway.security import cms, der, stamps
from gateway.security.certificates import Certificate
from gateway.security.path import Anchors

MAX_ANSWER_BYTES = 65_536  # with a chain of four certificates some 10 KB
PATIENCE = timedelta(seconds=10)  # for one authority

_GRANTED = (b"\0", b"\1")  # PKIStatus: as asked, or with modifications
_INFO = "1.2.840.113549.1.9.16.1.4"
_BEFORE_NONCE = 5  # version, policy, imprint, serial number and time come first in a TSTInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A token in DER, the time it states, and the authority that was asked for it."""

    token: bytes
    at: datetime
    authority: str


class Authorities:
    """Authorities in the order in which they are asked."""

    def __init__(self, urls: Sequence[str], transport: Transport, anchors: Callable[[], Sequence[Certificate]]) -> None:
        """Ask at these addresses; what they answer must lead to `anchors`, which may change meanwhile."""
        self.urls = tuple(urls)
        self._transport = transport
        self._anchors = anchors

    def stamp(self, data: bytes) -> Stamp:
        """Have data stamped by the first authority that does; raises Unavailable, with a problem for each, where none does."""
        problems = []
        for url in self.urls:
            try:
                return self._ask(url, data)
            except (Unavailable, NotProven) as error:
                problems.append(Problem(text="stamping.not-given", path=url, values={"cause": error.problems[0].text}))
        raise Unavailable(Code.UNAVAILABLE, *problems)

    def _ask(self, url: str, data: bytes) -> Stamp:
        asked = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
        request = Request(
            endpoint=url,
            action="",
            body=asked.as_bytes(),
            headers={"content-type": "application/timestamp-query"},
            reply_bytes=MAX_ANSWER_BYTES,
        )
        token = _token(self._transport.send(request, timeout=PATIENCE))
        at = verify_stamp(token, data, self._anchors())
        # a token for an earlier question of the same data would state an earlier time
        if asked.nonce is None or der.write_integer(asked.nonce) not in _behind_time(token):
            raise _refused("other-answer")
        return Stamp(token=token, at=at, authority=url)


def verify_stamp(token: bytes, data: bytes, anchors: Sequence[Certificate]) -> datetime:
    """Give the time at which an authority that leads to an anchor stamped data; raises NotProven for any other token."""
    return stamps.reader(Anchors(certificates=tuple(anchors)))(token, data)


def certificates_in(token: bytes) -> tuple[Certificate, ...]:
    """Give the certificates that came with a token; raises NotProven where it is none."""
    return cms.read(token, _INFO).certificates


def stamped_by(token: bytes, known: Sequence[Certificate]) -> Certificate:
    """Give whose key a token is under: a certificate in it or, where it has none, a known one. Raises NotProven where there is none."""
    signed = cms.read(token, _INFO)
    return cms.signer_of(signed, signed.certificates or tuple(known))[0]


def _token(reply: Reply) -> bytes:
    """Take the token out of an answer; raises NotProven where there is none."""
    if reply.status != HTTPStatus.OK:
        raise _refused("not-answered")
    try:
        status, *token = der.read(reply.body).children()
        granted = status.children()[0].content in _GRANTED
    except (ValueError, IndexError) as error:
        raise _refused("unreadable") from error
    if not granted or len(token) != 1:
        raise _refused("refused")
    return token[0].raw


def _behind_time(token: bytes) -> list[bytes]:
    return [part.raw for part in der.read(cms.read(token, _INFO).content or b"").children()[_BEFORE_NONCE:]]


def _refused(name: str) -> NotProven:
    return NotProven(Code.SIGNATURE, Problem(text=f"stamping.{name}"))
