"""A document and its signature in one body: taken apart as they were put together, and readable by any MIME library."""

import base64
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


def written(boundary: bytes, *parts: bytes) -> bytes:
    return b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary


P7S = b"Content-Type: application/x-pkcs7-signature; name=smime.p7s"


@pytest.mark.parametrize("headers", [P7S, P7S + b"\r\nContent-Transfer-Encoding: BASE64"])
@pytest.mark.parametrize("boundary", [b"x", b"----=_Part_1_2.3", b"b" * 70])
def test_what_others_put_together_is_taken_apart(headers: bytes, boundary: bytes) -> None:
    content = base64.encodebytes(b"\x30\x00") if b"BASE64" in headers else b"\x30\x00"

    body = written(boundary, b"\r\n<a/>\r\n", headers + b"\r\n\r\n" + content)

    assert beside.read(body) == (b"<a/>\r\n", b"\x30\x00")


DOCUMENT, SIGNATURE = b"Content-Type: text/xml\r\n\r\n<a/>", P7S + b"\r\n\r\n0"


@pytest.mark.parametrize(
    "parts",
    [
        (), (DOCUMENT,), (SIGNATURE,), (DOCUMENT, DOCUMENT), (SIGNATURE, SIGNATURE), (SIGNATURE, DOCUMENT),
        (DOCUMENT, SIGNATURE, SIGNATURE),
        (DOCUMENT, DOCUMENT, SIGNATURE), (DOCUMENT, P7S + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n!"),
        (DOCUMENT, P7S + b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n0"),
        (b"Content-Transfer-Encoding: base64\r\n" + DOCUMENT, SIGNATURE),
    ],
)  # fmt: skip
def test_body_of_other_parts_is_none_of_ours(parts: tuple[bytes, ...]) -> None:
    assert beside.read(written(b"x", *parts)) is None


@pytest.mark.parametrize(
    "change",
    [(b"--x--", b"--x"), (b"--x\r\nContent-Type: app", b"--xy\r\nContent-Type: app"), (b"--x", b"--" + b"x" * 71), (b"--x", b"--")],
)
def test_body_that_is_divided_otherwise_is_none_of_ours(change: tuple[bytes, bytes]) -> None:
    assert beside.read(written(b"x", DOCUMENT, SIGNATURE).replace(*change)) is None


@pytest.mark.parametrize("body", [b"", b"--", b"<a/>", b"--" * 100, b"\r\n--" * 1000, b"--x\r\n" * 100_000])
def test_garbage_is_none_of_ours(body: bytes) -> None:
    assert beside.read(body) is None
