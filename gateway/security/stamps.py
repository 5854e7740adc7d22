"""Reads a time-stamp token (RFC 3161) of a signature: whether a trusted authority saw exactly these bytes, and when (SIG-31)."""

import hashlib
import hmac
import re
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.errors import NotProven

from . import cms, der
from .certificates import BAD_EXTENSIONS, Certificate
from .path import Anchors
from .properties import ReadStamp
from .refusal import refusal

PURPOSE = "tsa"  # the folder of anchors that time-stamp authorities lead to
_INFO = "1.2.840.113549.1.9.16.1.4"
_HASHES = {der.write_oid(f"2.16.840.1.101.3.4.2.{n}"): name for n, name in ((1, "sha256"), (2, "sha384"), (3, "sha512"))}
_TIME = re.compile(rb"(\d{14})(?:\.(\d{1,6}))?Z")


def reader(anchors: Anchors) -> ReadStamp:
    """Make what reads a token under these anchors: gives the stated time, raises NotProven."""

    def read_stamp(token: bytes, covered: bytes) -> datetime:
        try:
            return _read(token, covered, anchors)
        except (IndexError, *BAD_EXTENSIONS) as error:
            raise refusal(31, "stamp-unreadable") from error
        except NotProven as refused:
            raise refusal(31, "stamp-wrong", reason=refused.problems[0].text) from refused

    return read_stamp


def _read(token: bytes, covered: bytes, anchors: Anchors) -> datetime:
    signed = cms.read(token, _INFO)
    content = signed.content or b""
    leaf, others = cms.signer_of(signed, signed.certificates or anchors.certificates)
    cms.check_signature(signed, leaf, content, _INFO)
    _, _, imprint, _, time, *_ = der.read(content).children()
    hashed, value = imprint.children()
    # (31) the token is over these bytes, of an authority for time-stamps alone, that leads to an anchor at the stated time
    name = _HASHES.get(hashed.children()[0].raw, "")
    if not name or not hmac.compare_digest(hashlib.new(name, covered).digest(), value.content):
        raise refusal(31, "stamp-wrong", reason="imprint")
    stated = _time(time)
    if not only_stamps(leaf):
        raise refusal(31, "stamp-wrong", reason="extendedKeyUsage")
    anchors.path(leaf, others, at=stated)
    return stated


def _time(value: der.Value) -> datetime:
    found = _TIME.fullmatch(value.content)
    if value.tag != der.GENERALIZED_TIME or not found:
        raise ValueError("no time")
    fraction = (found[2] or b"0").decode().ljust(6, "0")
    return datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC, microsecond=int(fraction))


def only_stamps(leaf: Certificate) -> bool:
    """Say whether a certificate is for time-stamps and, as RFC 3161 demands, for nothing else."""
    try:
        found = leaf.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return found.critical and list(found.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
