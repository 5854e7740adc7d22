"""Chunks as objects in S3-compatible storage: `<prefix>/<upload>/<number>`, each one signed request of bounded size."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from urllib.parse import quote

from gateway.errors import Code, Problem, Unavailable
from gateway.model import Reply, Request
from gateway.xml.parse import parse

from .keeping import missing

BYTES = {"content-type": "application/octet-stream"}
GONE = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.OK, HTTPStatus.NOT_FOUND})


class ObjectStore:
    """Implements ports.ChunkStore; a chunk is durable when the storage has answered. Nothing is staged on this machine."""

    name = "s3"

    def __init__(self, ask: Callable[[Request], Reply], *, bucket: str, prefix: str = "") -> None:
        """`ask` sends a signed request; `bucket` is its address, as https://host/bucket."""
        self._ask = ask
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def add(self, upload: str, number: int, sealed: bytes) -> None:
        """Take the next chunk; raises Unavailable."""
        reply = self._request("PUT", self._key(upload, number), sealed)
        if reply.status != HTTPStatus.OK:
            raise _away(reply)

    def keep(self, upload: str, digest: str) -> None:
        """Do nothing: every chunk is where it will be found."""

    def chunks(self, upload: str, digest: str, count: int) -> Iterator[bytes]:
        """Give the chunks in their order; raises Unavailable where one is missing."""
        for number in range(count):
            reply = self._request("GET", self._key(upload, number))
            if reply.status == HTTPStatus.NOT_FOUND:
                raise missing(f"{self.name}:{digest[:12]}/{number}")
            if reply.status != HTTPStatus.OK:
                raise _away(reply)
            yield reply.body

    def remove(self, upload: str, digest: str) -> None:  # noqa: ARG002  # the port's; objects lie under their upload
        """Remove whatever is there; nothing is fine too. Raises Unavailable."""
        after = f"{self._prefix}{upload}/"
        while keys := self._listed(upload, after):
            for key in keys:
                reply = self._request("DELETE", key)
                if reply.status not in GONE:
                    raise _away(reply)
            after = keys[-1]  # not from the beginning: some storages go on listing for a while what they removed

    def _listed(self, upload: str, after: str) -> list[str]:
        """List an upload's objects that come after a key, at most a page of them."""
        under, behind = quote(f"{self._prefix}{upload}/", safe=""), quote(after, safe="")
        reply = self._send("GET", f"{self._bucket}?list-type=2&prefix={under}&start-after={behind}")
        if reply.status != HTTPStatus.OK:
            raise _away(reply)
        return [key.text or "" for key in parse(reply.body).iter("{*}Key")]

    def _key(self, upload: str, number: int) -> str:
        return f"{self._prefix}{upload}/{number:06d}"

    def _request(self, method: str, key: str, body: bytes = b"") -> Reply:
        return self._send(method, f"{self._bucket}/{quote(key)}", body)

    def _send(self, method: str, endpoint: str, body: bytes = b"") -> Reply:
        return self._ask(Request(endpoint=endpoint, action="", body=body, headers=BYTES, method=method))


def _away(reply: Reply) -> Unavailable:
    return Unavailable(
        Code.UNAVAILABLE, Problem(text="attachments.store", values={"store": ObjectStore.name, "cause": f"HTTP {reply.status}"})
    )
