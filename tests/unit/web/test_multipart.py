import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from gateway.errors import NotReadable
from gateway.model import Attachment
from gateway.web.bodies import MAX_XML
from gateway.web.multipart import MAX_NAME, MAX_PARTS, Parcel, is_multipart

FORM = "multipart/form-data; boundary=xyz"


@dataclass
class Shelf:
    """Keeps uploads in memory, and remembers what was taken back."""

    uploads: list["Upload"] = field(default_factory=list)

    def begin(self, name: str, media_type: str) -> "Upload":
        self.uploads.append(Upload(name=name, media_type=media_type))
        return self.uploads[-1]


@dataclass
class Upload:
    name: str
    media_type: str
    content: bytes = b""
    finished: bool = False
    discarded: bool = False

    def write(self, data: bytes) -> None:
        self.content += data

    def finish(self) -> Attachment:
        self.finished = True
        sha256 = hashlib.sha256(self.content).hexdigest()
        return Attachment(name=self.name, media_type=self.media_type, size=len(self.content), sha256=sha256, id=sha256)

    def discard(self) -> None:
        self.discarded = True


def part(content: bytes, *headers: str) -> bytes:
    return b"--xyz\r\n" + "".join(f"{each}\r\n" for each in headers).encode() + b"\r\n" + content + b"\r\n"


def named(name: str, filename: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")


DOCUMENT = part(b"<Envelope/>", named("document"), "Content-Type: application/xml")
FILE = part(b"%PDF", named("file", "a.pdf"), "Content-Type: application/pdf")
END = b"--xyz--\r\n"


def parcel_of(body: bytes, *, media_type: str = FORM, size: int = 0) -> tuple[Parcel, Shelf]:
    shelf = Shelf()
    parcel = Parcel(media_type, shelf.begin)
    for start in range(0, len(body), size or len(body) or 1):
        parcel.feed(body[start : start + (size or len(body))])
    return parcel, shelf


def refused(body: bytes, *, media_type: str = FORM) -> str:
    with pytest.raises(NotReadable) as error:
        parcel_of(body, media_type=media_type)[0].finish()
    return error.value.problems[0].text


def names(bodies: Iterable[bytes]) -> list[str]:
    parcel, _ = parcel_of(DOCUMENT + b"".join(bodies) + END)
    return [each.name for each in parcel.finish()[1]]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 64])
def test_parts_are_told_apart_however_they_come(size: int) -> None:
    parcel, shelf = parcel_of(DOCUMENT + FILE + part(b"\r\n--xy\r\n", named("b")) + END, size=size)

    document, attachments = parcel.finish()

    assert document == b"<Envelope/>"
    assert [(a.name, a.media_type, a.size) for a in attachments] == [("a.pdf", "application/pdf", 4), ("b", "application/octet-stream", 8)]
    assert [upload.content for upload in shelf.uploads] == [b"%PDF", b"\r\n--xy\r\n"]


@pytest.mark.parametrize("media_type", ["application/xml", "text/xml; charset=utf-8", "Application/XML"])
def test_first_xml_part_is_the_document_where_none_is_called_so(media_type: str) -> None:
    parcel, _ = parcel_of(FILE + part(b"<a/>", named("x"), f"Content-Type: {media_type}") + END)

    assert parcel.finish()[0] == b"<a/>"


def test_xml_behind_the_document_is_an_attachment() -> None:
    parcel, _ = parcel_of(DOCUMENT + part(b"<b/>", named("list", "list.xml"), "Content-Type: text/xml") + END)

    document, (attachment,) = parcel.finish()

    assert (document, attachment.name) == (b"<Envelope/>", "list.xml")


def test_related_parts_need_no_names() -> None:
    related = part(b"<a/>", "Content-Type: text/xml", "Content-ID: <root>") + part(b"x", "Content-Type: image/png") + END

    parcel, _ = parcel_of(related, media_type='multipart/related; type="text/xml"; start="<root>"; boundary="xyz"')

    document, (attachment,) = parcel.finish()
    assert (document, attachment.name, attachment.media_type) == (b"<a/>", "attachment-2", "image/png")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("hoá đơn.pdf", "hoá đơn.pdf"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\an\scan.tif", "scan.tif"),
        ("/", "attachment-2"),
        ("..", "attachment-2"),
        ("  ", "f"),
        ("a\u202efdp.exe", "afdp.exe"),
        ("a\tb", "ab"),
        ("x" * MAX_NAME, "x" * MAX_NAME),
    ],
)
def test_name_is_never_a_path(given: str, kept: str) -> None:
    assert names([part(b"", f'Content-Disposition: form-data; name="f"; filename="{given}"')]) == [kept]


def test_name_in_the_extended_form_is_read() -> None:
    both = "Content-Disposition: attachment; filename=\"ho_ _n.pdf\"; filename*=UTF-8''ho%C3%A1%20%C4%91%C6%A1n.pdf"

    assert names([part(b"", both)]) == ["hoá đơn.pdf"]
    assert names([part(b"", "Content-Disposition: attachment; filename*=UTF-8''ho%C3%A1.pdf")]) == ["hoá.pdf"]
    assert names([part(b"", "Content-Disposition: attachment; filename*=nothing''a%FF.pdf")])


@pytest.mark.parametrize("media_type", ["text/html\x01", "a", "", "image/png; a=b; c=d; e=f; g=h", "x" * 300 + "/y", 'text/plain; q=""'])
def test_media_type_that_is_none_reads_as_opaque(media_type: str) -> None:
    parcel, _ = parcel_of(DOCUMENT + part(b"", named("f"), f"Content-Type: {media_type}") + END)

    assert parcel.finish()[1][0].media_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (FILE + END, "web.multipart-no-document"),
        (END, "web.multipart-no-document"),
        (b"", "web.multipart-truncated"),
        (DOCUMENT, "web.multipart-truncated"),
        (DOCUMENT + FILE[:-8], "web.multipart-truncated"),
        (DOCUMENT + DOCUMENT + END, "web.multipart-documents"),
        (part(b"<a/>", named("x"), "Content-Type: text/xml") + DOCUMENT + END, "web.multipart-documents"),
        (DOCUMENT.replace(b"xyz", b"abc") + END, "web.multipart"),
        (b"<Envelope/>", "web.multipart"),
        (part(b"", "no colon") + END, "web.multipart"),
        (part(b"", "Content-Disposition: form-data; name*0=a; name*=b") + END, "web.multipart"),
        (part(b"", 'Content-Disposition: form-data; name="f"; filename*=a; filename*1=b') + END, "web.multipart"),
        (part(b"", "Content-Type: a/b", "Content-Type: c/d") + END, "web.multipart"),
        (part(b"", *(f"X-{n}: y" for n in range(9))) + END, "web.multipart"),
        (part(b"", "X: " + "y" * 5000) + END, "web.multipart"),
        (part(b"PGEvPg==", named("document"), "Content-Transfer-Encoding: base64") + END, "web.multipart-encoding"),
        (part(b"", named("f", "é" * MAX_NAME)) + END, "web.multipart-name"),
        (DOCUMENT + FILE * MAX_PARTS + END, "web.multipart-parts"),
        (part(b"<" * (MAX_XML + 1), named("document")) + END, "web.body-too-large"),
    ],
)
def test_what_is_no_document_with_attachments_is_refused(body: bytes, text: str) -> None:
    assert refused(body) == text


@pytest.mark.parametrize(
    "media_type",
    ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""', "multipart/form-data; boundary=a\x00b",
     f"multipart/form-data; boundary={'x' * 71}", "multipart/form-data; boundary*=UTF-8''xyz", 'multipart/related; boundary="x "'],
)  # fmt: skip
def test_boundary_that_is_none_is_refused(media_type: str) -> None:
    assert refused(b"", media_type=media_type) == "web.multipart-boundary"


def test_boundary_written_whole_and_in_pieces_is_refused() -> None:
    assert refused(b"", media_type="multipart/form-data; boundary*0=x; boundary*=yz") == "web.multipart"


def test_everything_that_was_begun_is_taken_back() -> None:
    parcel, shelf = parcel_of(DOCUMENT + FILE + FILE[:-3])

    parcel.discard()

    assert [(upload.finished, upload.discarded) for upload in shelf.uploads] == [(True, True), (False, True)]


def test_nothing_of_a_refused_body_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    refused(b"secret")

    assert caplog.records == []


def test_only_the_document_is_held() -> None:
    parcel, _ = parcel_of(DOCUMENT + part(b"x" * 100_000, named("f")) + END)

    assert parcel.held == len(b"<Envelope/>")


@pytest.mark.parametrize(
    ("media_type", "parts"), [(FORM, True), ("Multipart/Related; boundary=x", True), ("multipart/byteranges", False), ("text/xml", False)]
)
def test_kinds_of_parts(media_type: str, parts: bool) -> None:  # noqa: FBT001  # parametrized
    assert is_multipart(media_type) is parts


# --- a signature beside the document -------------------------------------------------------------------------------------

DER = b"\x30\x03\r\n\x00"
P7S = "Content-Type: application/pkcs7-signature"


def signature_of(*parts: bytes) -> bytes:
    parcel, _ = parcel_of(DOCUMENT + b"".join(parts) + END)
    parcel.finish()
    return parcel.signature()


@pytest.mark.parametrize(
    "headers",
    [
        (named("signature"), P7S),
        (named("signature", "a.p7s"), "Content-Type: application/x-pkcs7-signature"),
        ('Content-Disposition: attachment; filename="smime.p7s"', P7S),
        ('Content-Disposition: attachment; filename="smime.p7s"', P7S, "Content-Transfer-Encoding: binary"),
    ],
)
def test_signature_is_known_by_its_media_type_and_name(headers: tuple[str, ...]) -> None:
    assert signature_of(part(DER, *headers)) == DER


def test_signature_may_be_base64_as_in_s_mime() -> None:
    text = base64.encodebytes(DER)

    assert signature_of(part(text, named("signature"), P7S, "Content-Transfer-Encoding: base64")) == DER


def test_without_a_signature_there_is_none() -> None:
    assert signature_of(FILE) == b""


def test_signed_file_that_comes_as_an_attachment_stays_one() -> None:
    assert names([part(DER, named("file", "hop-dong.pdf.p7s"), P7S), part(DER, named("signature"), "Content-Type: image/png")]) == [
        "hop-dong.pdf.p7s", "signature",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "parts",
    [
        (part(DER, named("signature"), P7S),) * 2,
        (part(b"", named("signature"), P7S),),
        (part(b"not base64!", named("signature"), P7S, "Content-Transfer-Encoding: base64"),),
        (part(b"=30", named("signature"), P7S, "Content-Transfer-Encoding: quoted-printable"),),
        (part(bytes(131_073), named("signature"), P7S),),
    ],
)
def test_signature_that_cannot_be_meant_is_refused(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(NotReadable) as error:
        signature_of(*parts)

    assert error.value.problems[0].text == "web.multipart-signature"
