"""A document and its signature in one body: taken apart as they were put together, and readable by any MIME library."""

import email
import email.policy

import pytest

from gateway.security import beside

DOCUMENTS = [b"<a/>", b"", b"\r\n", b"<a>\r\n--b\r\n</a>\r\n", b"--" + b"0" * 64 + b"--\r\n", bytes(range(256))]


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("signature", [b"\x30\x00", b"\r\n\r\n--", bytes(range(256))])
def test_what_was_put_together_is_taken_apart(document: bytes, signature: bytes) -> None:
    assert beside.read(beside.write(document, signature, document_type="text/xml; charset=utf-8")) == (document, signature)


def test_any_mime_library_reads_it() -> None:
    body = beside.write(b"<a>\n</a>", b"\x30\x03\x02\x01\x00")
    head = f"MIME-Version: 1.0\r\nContent-Type: {beside.media_type(body)}\r\n\r\n".encode()

    document, signature = email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts()

    assert document.get_payload(decode=True) == b"<a>\n</a>"
    assert (signature.get_content_type(), signature.get_filename()) == ("application/pkcs7-signature", "smime.p7s")
    assert signature.get_payload(decode=True) == b"\x30\x03\x02\x01\x00"


@pytest.mark.parametrize(
    "change", [(b"<a/>", b"<b/>"), (b"--\r\n", b"--"), (b"p7s", b"p7m"), (b"application/pkcs7-s", b"application/pkcs7-S")]
)
def test_any_other_body_is_none_of_ours(change: tuple[bytes, bytes]) -> None:
    assert beside.read(beside.write(b"<a/>", b"\x30\x00").replace(*change)) is None


@pytest.mark.parametrize("body", [b"", b"--", b"<a/>", b"--" * 100, b"\r\n--" * 1000])
def test_garbage_is_none_of_ours(body: bytes) -> None:
    assert beside.read(body) is None
