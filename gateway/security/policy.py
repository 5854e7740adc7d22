"""Policies: which algorithms, key sizes and shapes a signature may have. The one place to allow or forbid an algorithm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from gateway.model import SealProfile
from gateway.xml.namespaces import DS, ENVELOPED, EXC_C14N

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
    """A signature algorithm: `key` is the kind of key it needs, `hash` hashlib's name; `curve` is set where only one is allowed."""

    uri: str
    family: Literal["rsa", "pss", "ecdsa", "dsa", "hmac"]
    key: Literal["rsa", "ecdsa", "dsa", "hmac"]
    hash: str
    curve: str = ""


RSA_SHA256 = Method(uri=f"{MORE}rsa-sha256", family="rsa", key="rsa", hash="sha256")
RSA_SHA384 = Method(uri=f"{MORE}rsa-sha384", family="rsa", key="rsa", hash="sha384")
RSA_SHA512 = Method(uri=f"{MORE}rsa-sha512", family="rsa", key="rsa", hash="sha512")
ECDSA_SHA256 = Method(uri=f"{MORE}ecdsa-sha256", family="ecdsa", key="ecdsa", hash="sha256", curve="secp256r1")
ECDSA_SHA384 = Method(uri=f"{MORE}ecdsa-sha384", family="ecdsa", key="ecdsa", hash="sha384", curve="secp384r1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one kind of verification accepts; `methods` and `digests` by their URI.

    `bare_keys` allows a key that no certificate vouches for; `needs_trust` demands a certificate that leads to a trusted one.
    """

    name: str
    methods: Mapping[str, Method]
    digests: Mapping[str, str]
    min_rsa_bits: int
    bare_keys: bool
    needs_trust: bool


GATEWAY = Policy(
    name="gateway",
    methods=MappingProxyType({m.uri: m for m in (RSA_SHA256, RSA_SHA384, RSA_SHA512, ECDSA_SHA256, ECDSA_SHA384)}),
    digests=MappingProxyType({f"{XMLENC}sha256": "sha256", f"{MORE}sha384": "sha384"}),
    min_rsa_bits=2048,
    bare_keys=False,
    needs_trust=True,
)


# For diagnosis only (nsw verify --policy permissive): whatever can be computed. Never for messages; parties.toml cannot name it.
_MORE_2007, _MORE_2021 = "http://www.w3.org/2007/05/xmldsig-more#", "http://www.w3.org/2021/04/xmldsig-more#"
_OLD = ("sha1", "sha224", "sha256", "sha384", "sha512")
_SHA3 = ("sha3-224", "sha3-256", "sha3-384", "sha3-512")


def _any_method() -> Iterator[Method]:
    """Give every algorithm that the permissive policy can compute; names of SHA-1's URIs are older than the others'."""
    for name in _OLD:
        base = DS if name == "sha1" else MORE
        yield Method(uri=f"{base}rsa-{name}", family="rsa", key="rsa", hash=name)
        yield Method(uri=f"{MORE}ecdsa-{name}", family="ecdsa", key="ecdsa", hash=name)
        yield Method(uri=f"{base}hmac-{name}", family="hmac", key="hmac", hash=name)
    for name in (*_OLD, *_SHA3):
        yield Method(uri=f"{_MORE_2007}{name}-rsa-MGF1", family="pss", key="rsa", hash=name.replace("sha3-", "sha3_"))
    for name in _SHA3:
        yield Method(uri=f"{_MORE_2021}ecdsa-{name}", family="ecdsa", key="ecdsa", hash=name.replace("sha3-", "sha3_"))
    yield Method(uri=f"{DS}dsa-sha1", family="dsa", key="dsa", hash="sha1")
    yield Method(uri="http://www.w3.org/2009/xmldsig11#dsa-sha256", family="dsa", key="dsa", hash="sha256")


PERMISSIVE = Policy(
    name="permissive",
    methods=MappingProxyType({m.uri: m for m in _any_method()}),
    digests=MappingProxyType({
        f"{DS}sha1": "sha1", f"{MORE}sha224": "sha224", f"{XMLENC}sha256": "sha256", f"{MORE}sha384": "sha384", f"{XMLENC}sha512": "sha512",
        **{f"{_MORE_2007}{name}": name.replace("sha3-", "sha3_") for name in _SHA3},
    }),
    min_rsa_bits=512,
    bare_keys=True,
    needs_trust=False,
)  # fmt: skip


# --- what one party may use -------------------------------------------------------------------------------------------

WEAK_METHODS = {  # what a dated concession adds; HMAC has none, because a secret that two share proves nothing to a third
    "sha1": ((Method(uri=f"{DS}rsa-sha1", family="rsa", key="rsa", hash="sha1"),), {f"{DS}sha1": "sha1"}),
    "dsa": ((Method(uri="http://www.w3.org/2009/xmldsig11#dsa-sha256", family="dsa", key="dsa", hash="sha256"),), {}),
    "rsa-1024": ((), {}),
}
CONCEDED_RSA_BITS = 1024
SATISFIED_BY: Mapping[str, frozenset[str]] = MappingProxyType({  # a profile -> those that prove at least as much
    "xmldsig": frozenset({"xmldsig", "xades-b-b", "xades-b-t", "xades-b-lt"}),
    "xades-b-b": frozenset({"xades-b-b", "xades-b-t", "xades-b-lt"}),
    "xades-b-t": frozenset({"xades-b-t", "xades-b-lt"}),
    "xades-b-lt": frozenset({"xades-b-lt"}),
})  # fmt: skip
MISSING: Mapping[str, str] = MappingProxyType({  # what a message lacks without a signature of its profile; of the others: the system's
    "wss-x509": "message-unsigned", "cms-detached": "detached-missing", "none": "exception-ended",
})  # fmt: skip


def for_party(profile: SealProfile, *, at: datetime) -> Policy:
    """Give the policy for what a party signs: the gateway's, narrowed by its data, widened by what is conceded to it at a moment."""
    if not profile.algorithms and not profile.concessions and profile.min_rsa_bits == GATEWAY.min_rsa_bits:
        return GATEWAY
    return _policy(profile, frozenset(name for c in profile.concessions if at < c.until for name in c.allow))


@lru_cache(maxsize=256)  # parties with wishes of their own
def _policy(profile: SealProfile, conceded: frozenset[str]) -> Policy:
    methods, digests = dict(GATEWAY.methods), dict(GATEWAY.digests)
    if profile.algorithms:
        methods = {uri: m for uri, m in methods.items() if uri.rpartition("#")[2] in profile.algorithms}
    for name in conceded:
        added, hashes = WEAK_METHODS[name]
        methods.update({m.uri: m for m in added})
        digests.update(hashes)
    bits = CONCEDED_RSA_BITS if "rsa-1024" in conceded else profile.min_rsa_bits
    return replace(GATEWAY, methods=MappingProxyType(methods), digests=MappingProxyType(digests), min_rsa_bits=bits)


POLICIES: Mapping[str, Policy] = MappingProxyType({p.name: p for p in (GATEWAY, PERMISSIVE)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
