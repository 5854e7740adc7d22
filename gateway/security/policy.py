"""Policies: which algorithms, key sizes and shapes a signature may have. The one place to allow or forbid an algorithm."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from gateway.xml.namespaces import ENVELOPED, EXC_C14N

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
XMLENC = "http://www.w3.org/2001/04/xmlenc#"

MAX_CERTIFICATES = 5  # a leaf and at most four issuers; the longest chain of a licensed provider has three certificates
MAX_REFERENCES = 16  # of a foreign signature; the busiest container signature seen has 9
MAX_TRANSFORMS = 4  # of one reference; real ones have one or two
MAX_SIGNATURES = 16  # in one foreign file; counter-signed contracts have 4
MAX_RSA_BITS = 8192  # verification time grows with the square of it
MAX_EXPONENT_BITS = 64  # OpenSSL's own limit for large moduli; real exponents have 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A signature algorithm: `hash` is hashlib's name; `curve` is set where ECDSA allows only one."""

    uri: str
    family: Literal["rsa", "ecdsa"]
    hash: str
    curve: str = ""


RSA_SHA256 = Method(uri=f"{MORE}rsa-sha256", family="rsa", hash="sha256")
RSA_SHA384 = Method(uri=f"{MORE}rsa-sha384", family="rsa", hash="sha384")
RSA_SHA512 = Method(uri=f"{MORE}rsa-sha512", family="rsa", hash="sha512")
ECDSA_SHA256 = Method(uri=f"{MORE}ecdsa-sha256", family="ecdsa", hash="sha256", curve="secp256r1")
ECDSA_SHA384 = Method(uri=f"{MORE}ecdsa-sha384", family="ecdsa", hash="sha384", curve="secp384r1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one kind of verification accepts; `methods` and `digests` by their URI."""

    name: str
    methods: Mapping[str, Method]
    digests: Mapping[str, str]
    min_rsa_bits: int


GATEWAY = Policy(
    name="gateway",
    methods=MappingProxyType({m.uri: m for m in (RSA_SHA256, RSA_SHA384, RSA_SHA512, ECDSA_SHA256, ECDSA_SHA384)}),
    digests=MappingProxyType({f"{XMLENC}sha256": "sha256", f"{MORE}sha384": "sha384"}),
    min_rsa_bits=2048,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One of the two places of a signature in an envelope: what it must refer to, by which transforms, and what that covers.

    `begins` and `ends` are the canonical tags around a signature that stands last in its document.
    """

    role: Literal["person", "system"]
    path: str
    transforms: tuple[str, ...]
    covers: str
    begins: bytes = b""
    ends: tuple[str, ...] = ()


PERSON = Place(role="person", path="/Envelope/Body/Signature", transforms=(EXC_C14N,), covers="/Envelope/Body/Content")
SYSTEM = Place(
    role="system",
    path="/Envelope/SystemSignature",
    transforms=(ENVELOPED, EXC_C14N),
    covers="/Envelope",
    begins=b"<SystemSignature>",
    ends=("</SystemSignature>", "</Envelope>"),
)
