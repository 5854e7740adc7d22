"""A request with attachments as one multipart/related body (SOAP Messages with Attachments): written while libcurl asks for more."""

import hashlib
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pycurl

from gateway.model import Attachment, Request

ReadContent = Callable[[Attachment], Iterator[bytes]]
ROOT = "<document>"
OPAQUE = "application/octet-stream"


class Parts:
    """One multipart body on its way out; read by one thread, again from its beginning after rewind()."""

    def __init__(self, request: Request, read: ReadContent, *, media_type: str) -> None:
        """`media_type` is the document's own."""
        self._request = request
        self._read_content = read
        # Nobody who sends a file knows the keyed digests that the boundary is made of, so no file can hold it.
        boundary = hashlib.sha256("\n".join(each.id for each in request.attachments).encode()).hexdigest()
        self._heads = [_head(boundary, media_type, ROOT), *(_attachment(boundary, n, a) for n, a in enumerate(request.attachments, 1))]
        self._end = f"\r\n--{boundary}--\r\n".encode()
        plain = media_type.partition(";")[0].strip()
        self.media_type = f'multipart/related; type="{plain}"; start="{ROOT}"; boundary="{boundary}"'
        self.size = sum(map(len, self._heads)) + len(request.body) + sum(a.size for a in request.attachments) + len(self._end)
        self.failure: BaseException | None = None
        self.rewind()

    def rewind(self) -> None:
        """Begin anew."""
        self._pieces = self._written()
        self._left = memoryview(b"")

    def read(self, size: int) -> bytes | int:
        """Give the next bytes, as libcurl wants them; what goes wrong is kept in `failure`, and the request given up."""
        try:
            while not self._left:
                piece = next(self._pieces, None)
                if piece is None:
                    return b""
                self._left = memoryview(piece)
        except BaseException as error:  # noqa: BLE001  # libcurl's frames lie between this and whoever must hear of it
            self.failure = error
            return pycurl.READFUNC_ABORT
        given, self._left = bytes(self._left[:size]), self._left[size:]
        return given

    def seek(self, offset: int, origin: int) -> int:
        """Go back to the beginning, which is all that libcurl asks for when it repeats a request on a new connection."""
        if offset or origin:
            return pycurl.SEEKFUNC_FAIL
        self.rewind()
        return pycurl.SEEKFUNC_OK

    def _written(self) -> Iterator[bytes]:
        yield self._heads[0]
        yield self._request.body
        for head, attachment in zip(self._heads[1:], self._request.attachments, strict=True):
            yield head
            yield from self._read_content(attachment)
        yield self._end


def _attachment(boundary: str, number: int, attachment: Attachment) -> bytes:
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in attachment.name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(attachment.name, safe='')}"
    return _head(boundary, attachment.media_type or OPAQUE, f"<attachment-{number}>", disposition, first=False)


def _head(boundary: str, media_type: str, content_id: str, disposition: str = "", *, first: bool = True) -> bytes:
    lines = [f"--{boundary}", f"Content-Type: {media_type}", "Content-Transfer-Encoding: binary", f"Content-ID: {content_id}"]
    lines += [f"Content-Disposition: {disposition}"] if disposition else []
    return (("" if first else "\r\n") + "\r\n".join(lines) + "\r\n\r\n").encode()
