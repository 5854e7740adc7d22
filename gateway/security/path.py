"""Finds the path from a signer's certificate to an anchor: the part of RFC 5280 section 6 that signers need, and refusal of the rest."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID
from lxml.etree import _Element

from .certificates import BAD_EXTENSIONS, Certificate
from .policy import GATEWAY
from .refusal import refusal
from .shape import rsa_allowed

MAX_PATH = 6  # a leaf, four issuers that came along, an anchor
MAX_STEPS = 24  # signatures checked in one search; certificates that share a name could ask for many more
CACHED_SEARCHES = 1024  # declarants active in an hour

_UNDERSTOOD = frozenset({
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.CERTIFICATE_POLICIES,
})  # fmt: skip
_HASHES = frozenset({"sha256", "sha384", "sha512"})
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})

Chain = tuple[Certificate, ...]
Check = Callable[[Chain, datetime, _Element | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a certificate leads no further: the text that explains it, and the certificate's subject."""

    text: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """The certificates that are trusted for one purpose; a person's certificate must lead to one of them.

    `check` refuses a path on which a certificate was revoked (SIG-60, SIG-61).
    """

    certificates: Chain
    check: Check | None = None

    def path(self, leaf: Certificate, issuers: Chain, *, at: datetime, place: _Element | None = None) -> Chain:
        """Give the path from a leaf to an anchor, all valid at a moment; raises NotProven (SIG-18, SIG-19)."""
        paths, obstacle = _search(leaf, issuers, self.certificates)
        # (18) the certificate leads to an anchor, and every certificate on the way is valid
        if not paths:
            raise refusal(18, obstacle.text, place, subject=obstacle.subject, issuer=leaf.x509.issuer.rfc4514_string())
        current = next((p for p in paths if all(c.valid_at(at) for c in p)), None)
        if current is None:
            expired = next(c for c in paths[0] if not c.valid_at(at))
            raise refusal(18, "path-expired", place, subject=expired.subject, to=expired.not_after.isoformat(), at=at.isoformat())
        # (19) the certificate may be used for signatures
        if not may_sign(leaf):
            raise refusal(19, "key-usage", place, subject=leaf.subject)
        if self.check:
            self.check(current, at, place)
        return current


def may_sign(leaf: Certificate) -> bool:
    """Say whether a certificate's key usage, where stated, holds digitalSignature or nonRepudiation."""
    try:
        usage = leaf.x509.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except BAD_EXTENSIONS:
        return False
    return usage.digital_signature or usage.content_commitment


@dataclass(slots=True)
class _Budget:
    """Counts down the signatures that one search may still check, and keeps the last obstacle met."""

    steps: int = MAX_STEPS
    obstacle: Obstacle | None = field(default=None)


@lru_cache(maxsize=CACHED_SEARCHES)
def _search(leaf: Certificate, issuers: Chain, anchors: Chain) -> tuple[tuple[Chain, ...], Obstacle]:
    """Find every path that holds at some time or other; time is judged by the caller, so that the search can be kept."""
    budget = _Budget()
    paths = tuple(_grow((leaf,), issuers, anchors, budget))
    return paths, budget.obstacle or Obstacle(text="no-issuer", subject=leaf.subject)


def _grow(chain: Chain, issuers: Chain, anchors: Chain, budget: _Budget) -> Iterator[Chain]:
    tip = chain[-1]
    if tip in anchors:
        yield chain
        return
    if len(chain) == MAX_PATH:
        return
    for issuer in (*anchors, *issuers):
        if issuer in chain or issuer.x509.subject != tip.x509.issuer or budget.steps == 0:
            continue
        budget.steps -= 1
        fault = _fault(tip, issuer, below=len(chain) - 1)
        if fault:
            budget.obstacle = Obstacle(text=fault, subject=issuer.subject)
            continue
        yield from _grow((*chain, issuer), issuers, anchors, budget)


def issuer_of(certificate: Certificate, known: Iterable[Certificate]) -> Certificate | None:
    """Find who issued a certificate among those known; None where nobody did, or it vouches for itself."""
    return next((issuer for issuer in known if issuer != certificate and issued(certificate, issuer)), None)


def issued(certificate: Certificate, issuer: Certificate) -> bool:
    """Say whether one certificate may have issued another directly."""
    return issuer.x509.subject == certificate.x509.issuer and not _fault(certificate, issuer, below=0)


def _fault(certificate: Certificate, issuer: Certificate, *, below: int) -> str:
    """Say why `issuer` may not have issued `certificate`, with `below` issuers between it and the leaf; empty where it may."""
    if not _strong(issuer):
        return "issuer-key"
    try:
        if certificate.x509.signature_hash_algorithm is None or certificate.x509.signature_hash_algorithm.name not in _HASHES:
            return "issuer-hash"
        certificate.x509.verify_directly_issued_by(issuer.x509)
        return _fault_in_extensions(certificate.x509, issuer.x509, below)
    except InvalidSignature:
        return "issuer-signature"
    except (*BAD_EXTENSIONS, TypeError, UnsupportedAlgorithm):
        return "issuer-unreadable"


def _fault_in_extensions(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> str:
    if any(e.critical and e.oid not in _UNDERSTOOD for c in (certificate, issuer) for e in c.extensions):
        return "issuer-extension"  # name constraints among them: refused rather than half understood
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return "issuer-not-ca"
    if not basic.ca or (basic.path_length is not None and basic.path_length < below):
        return "issuer-not-ca"
    return "" if _may_issue(issuer) else "issuer-not-ca"


def _may_issue(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _strong(issuer: Certificate) -> bool:
    return rsa_allowed(issuer.key, GATEWAY) if issuer.key.kind == "rsa" else issuer.key.curve in _CURVES
