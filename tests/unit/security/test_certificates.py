"""Certificates: what is read from a subject, and what is not taken for a certificate."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.security import certificates, der
from gateway.testing.signing import Bench, signed_certificate

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (NameOID.USER_ID, "MST:0101234567", "0101234567"),
        (NameOID.USER_ID, "mst: 0101234567", "0101234567"),
        (NameOID.SERIAL_NUMBER, "MST:0101234567-001", "0101234567-001"),
        (NameOID.SERIAL_NUMBER, "MST:0101234567001", "0101234567-001"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Phòng kế toán, MST 0101234567", "0101234567"),
        (NameOID.ORGANIZATION_IDENTIFIER, "VATVN-0101234567", "0101234567"),
        (NameOID.USER_ID, "MST:012345678901", "012345678901"),
        (NameOID.USER_ID, "CMND:012345678", None),
        (NameOID.USER_ID, "CCCD:012345678901", None),
        (NameOID.SERIAL_NUMBER, "0101234567", None),
        (NameOID.USER_ID, "MST:010123456", None),
        (NameOID.USER_ID, "MST:01012345678", None),
        (NameOID.COMMON_NAME, "MST:0101234567", None),
    ],
)
def test_tax_code_is_read_in_its_known_shapes(place: x509.ObjectIdentifier, value: str, expected: str | None) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"), x509.NameAttribute(place, value)])

    assert signed_certificate(KEY, KEY, subject, subject).tax_code == expected


def test_subject_is_written_as_rfc_4514_says(bench: Bench) -> None:
    leaf = bench.person.certificates[0]

    assert leaf.subject == "CN=Nguyễn Văn An,O=Công ty Nông sản Thử Nghiệm,UID=MST:0101234567,C=VN"


@pytest.mark.parametrize("der", [b"", b"\0", b"\x30\x03\x02\x01\x01", b"\x30" * 20_000])
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a certificate|too large"):
        certificates.read(der)


def test_truncated_certificate_is_refused(bench: Bench) -> None:
    der = bench.person.certificates[0].der

    for length in range(0, len(der), 37):
        with pytest.raises(ValueError, match="not a certificate"):
            certificates.read(der[:length])


def test_key_of_a_kind_we_do_not_use_is_of_no_kind() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = signed_certificate(ed25519.Ed25519PrivateKey.generate(), KEY, subject, subject)  # type: ignore[arg-type]

    assert made.key.kind == ""


@pytest.mark.parametrize("text", [b"QUJD", b" Q\tU\nJ\rD ", b"QUI=", b"QQ=="])
def test_base64_may_hold_white_space(text: bytes) -> None:
    assert certificates.strict_base64(text) == base64.b64decode(b"".join(text.split()))


@pytest.mark.parametrize(
    "text", [b"", b"   ", b"QUJ", b"QUI", b"QR==", b"Q===", b"QQ==QQ==", b"QU%D", "QUJà".encode(), b"QU=D", b"-_-_", b"QUJD\0"]
)
def test_other_base64_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"base64|padding|data|character"):
        certificates.strict_base64(text)


def test_same_certificate_is_equal_however_it_was_read(bench: Bench) -> None:
    leaf = bench.person.certificates[0]

    again = certificates.read_base64(base64.b64encode(leaf.der))
    folded = certificates.read_base64(base64.encodebytes(leaf.der))

    assert leaf == again == folded
    assert len({leaf, again, folded}) == 1
    assert again is certificates.read_base64(base64.b64encode(leaf.der))


def test_pem_file_with_one_damaged_certificate_is_refused(bench: Bench) -> None:
    good = bench.person.certificates[0].x509.public_bytes(Encoding.PEM)

    with pytest.raises(ValueError, match="not a certificate"):
        certificates.read_pem(good + good.replace(b"MII", b"AAA"))


@pytest.mark.parametrize("serial", [b"\x00", b"\xff", b"\x7f" + b"\xff" * 20, b"\x7f" + b"\xff" * 12_000])
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_serial_number_that_is_not_positive_or_too_long_makes_no_certificate(bench: Bench, serial: bytes) -> None:
    body, *rest = der.read(bench.rsa.certificates[0].der).children()
    changed = [der.write(der.INTEGER, serial) if value.tag == der.INTEGER else value.raw for value in body.children()]

    with pytest.raises(ValueError, match="not a certificate"):
        certificates.read(der.write(der.SEQUENCE, der.write(der.SEQUENCE, *changed), *(value.raw for value in rest)))
