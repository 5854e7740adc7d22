"""How certificates come and go: imported, renewed by their parties, asked for, rotated, revoked; each change with its ledger leaf."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit import Event
from gateway.errors import Code, Conflict, NotProven, NotValid, Problem
from gateway.model import PartyCode, uuid7
from gateway.ports import Clock, Database, Entropy, Tx
from gateway.store.leaves import write_leaf
from gateway.store.tables import CERTIFICATE_REQUESTS
from gateway.store.times import from_micros, to_micros

from . import sql
from .certificates import Certificate, describe
from .keys import SigningKey, verify_der, verify_value
from .policy import GATEWAY
from .registry import CertificateFiles, read_one, to_pem
from .shape import rsa_allowed
from .trust import Trust

MAX_CSR = 16_384  # characters; real ones have 1 to 3 KB
MAX_WAITING = 4  # requests of one party that nobody decided yet
MAX_LISTED = 200
_COLUMNS = tuple(c.name for c in CERTIFICATE_REQUESTS.c)
_CURVES = frozenset({"secp256r1", "secp384r1"})

Issue = Callable[[x509.CertificateSigningRequest], Certificate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A party's request for a certificate: `csr` and `certificate` in PEM, `sha256` of the request in hex."""

    id: str
    party: PartyCode
    csr: str
    sha256: str
    state: Literal["waiting", "approved", "declined"]
    requested_at: datetime
    requested_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    certificate: str | None = None


class Enrolment:
    """Changes the registry; raises Unavailable where its files or the database are away."""

    def __init__(
        self, files: CertificateFiles, trust: Callable[[], Trust], database: Database | None, *, clock: Clock, entropy: Entropy,
        issue: Issue | None = None,
    ) -> None:  # fmt: skip
        """Take the files and, where there is one, the database that holds the ledger; `issue` is the development authority."""
        self._files = files
        self._trust = trust
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._issue = issue

    # --- by staff ----------------------------------------------------------------------------------------------------

    def add(self, party: PartyCode, pem: bytes, *, by: str) -> Certificate:
        """Register a certificate for a party, beside those it has; raises NotValid, Conflict."""
        leaf, *issuers = read_one(pem)
        if self._files.register(party, leaf, issuers, at=self._clock()):
            self._note("certificate.imported", leaf, by=by, party=party)
        return leaf

    def add_anchor(self, purpose: str, pem: bytes, *, by: str) -> Certificate:
        """Trust an authority for a purpose; raises NotValid, Conflict."""
        authority = read_one(pem)[0]
        if self._files.add_anchor(purpose, authority, at=self._clock()):
            self._note("certificate.imported", authority, by=by, purpose=purpose)
        return authority

    def revoke(self, sha256: str, *, by: str) -> Certificate:
        """Take a certificate out of the registry for good; raises NotValid(NOT_FOUND)."""
        revoked = self._files.revoke(sha256)
        self._note("certificate.revoked", revoked, by=by)
        return revoked

    def take_next(self, pem: bytes, *, by: str) -> Certificate:
        """Keep the gateway's next certificate, of the key that was prepared; raises NotValid, Conflict, Unavailable."""
        key = self._files.take_next(read_one(pem), at=self._clock())
        self._note("certificate.imported", key.certificates[0], by=by, purpose="gateway")
        return key.certificates[0]

    def rotate(self, *, by: str) -> SigningKey:
        """Sign with the prepared key from now on; raises Conflict where none is."""
        old, key = self._files.rotate(at=self._clock())
        self._note("certificate.rotated", key.certificates[0], by=by, before=old.sha256 if old else "")
        return key

    # --- by the party itself -----------------------------------------------------------------------------------------

    def renew(self, party: PartyCode, pem: bytes, signature: bytes, *, by: str) -> Certificate:
        """Register a party's next certificate, signed over its PEM's very bytes with the key of a registered one that is valid.

        Raises NotProven where no such key made the signature, NotValid, Conflict.
        """
        at = self._clock()
        present = [c for c in self._trust().certificates(party) if c.valid_at(at)]
        if not any(_made_by(c, signature, pem) for c in present):
            raise NotProven(Code.SIGNATURE, Problem(text="certificates.not-signed", values={"party": party}))
        return self.add(party, pem, by=by)

    def ask(self, party: PartyCode, csr: str, *, by: str) -> Asked:
        """Keep a request for a certificate until a person decides; raises NotValid, or Conflict where too many wait."""
        request = _read_csr(csr)
        digest = hashlib.sha256(request.public_bytes(Encoding.DER)).hexdigest()

        def work(tx: Tx) -> Asked:
            if len(tx.rows(sql.WAITING, party=party)) >= MAX_WAITING:
                raise Conflict(Code.CONFLICT, Problem(text="certificates.many-requests", values={"party": party}))
            now = tx.now()
            asked = Asked(
                id=uuid7(now, self._entropy(10)), party=party, csr=csr, sha256=digest, state="waiting", requested_at=now, requested_by=by
            )
            row = {name: getattr(asked, name) for name in ("id", "party", "csr", "sha256", "requested_by")}
            tx.changed(sql.ASK, **row, requested_at=to_micros(now))
            _leaf(tx, "certificate.requested", by=by, request=asked.id, party=party, sha256=digest)
            return asked

        return self._there.commit(work)

    # --- what was asked for ------------------------------------------------------------------------------------------

    def requests(self, *, party: str = "") -> tuple[Asked, ...]:
        """List requests, the last first; of one party where one is named."""
        rows = self._there.read(lambda tx: tx.rows(sql.LISTED, party=party, most=MAX_LISTED))
        return tuple(map(_asked, rows))

    def request(self, request: str) -> Asked:
        """Find a request; raises NotValid(NOT_FOUND)."""
        return self._there.read(lambda tx: _one(tx, request))

    def approve(self, request: str, pem: bytes | None, *, by: str) -> Asked:
        """Register the certificate that an authority issued for a request, or on a development gateway issue one.

        Raises NotValid where it is not for the request's key, Conflict where it was decided before.
        """
        asked = self.request(request)
        if asked.state != "waiting":
            raise _decided(asked)
        csr = _read_csr(asked.csr)
        if pem is None and self._issue is None:
            raise NotValid(Code.SCHEMA, Problem(text="certificates.no-authority", values={"request": request}))
        leaf, *issuers = read_one(pem) if pem is not None else (self._issue(csr),) if self._issue else ()
        if leaf.x509.public_key() != csr.public_key():
            raise NotValid(Code.SCHEMA, Problem(text="certificates.other-key", values={"subject": leaf.subject}))
        self._files.register(asked.party, leaf, issuers, at=self._clock())  # again, where a commit failed before
        return self._decide(asked, "approved", by=by, reason="", certificate=leaf)

    def decline(self, request: str, *, by: str, reason: str) -> Asked:
        """End a request without a certificate; raises Conflict where it was decided before."""
        return self._decide(self.request(request), "declined", by=by, reason=reason)

    def _decide(self, asked: Asked, to: str, *, by: str, reason: str, certificate: Certificate | None = None) -> Asked:
        pem, digest = (to_pem(certificate), certificate.sha256) if certificate else (None, "")

        def work(tx: Tx) -> Asked:
            if not tx.changed(sql.DECIDE, of=asked.id, to=to, now=to_micros(tx.now()), who=by, why=reason or None, pem=pem):
                raise _decided(_one(tx, asked.id))
            if certificate:
                _leaf(tx, "certificate.imported", by=by, request=asked.id, party=asked.party, sha256=digest)
            else:
                _leaf(tx, "certificate.declined", by=by, request=asked.id, party=asked.party)
            return _one(tx, asked.id)

        return self._there.commit(work)

    # --- the ledger --------------------------------------------------------------------------------------------------

    @property
    def _there(self) -> Database:
        if self._database is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="certificates.no-database"))
        return self._database

    def _note(self, kind: str, certificate: Certificate, **values: str) -> None:
        """Tell the ledger, where there is one: a gateway that never ran has none yet."""
        if self._database is not None:
            self._database.commit(lambda tx: _leaf(tx, kind, sha256=certificate.sha256, **values))


def _leaf(tx: Tx, kind: str, **values: str) -> None:
    write_leaf(tx, Event(kind=kind, at=tx.now(), values={name: value for name, value in values.items() if value}))


def _made_by(certificate: Certificate, signature: bytes, data: bytes) -> bool:
    """Say whether a certificate's key made a signature; an ECDSA one as ASN.1 (Java) or as r and s side by side (.NET)."""
    key = certificate.key
    methods = [m for m in GATEWAY.methods.values() if m.key == key.kind and m.curve in ("", key.curve)]
    return any(verify_value(key, m, signature, data) or verify_der(key, m.hash, signature, data) for m in methods)


def _read_csr(text: str) -> x509.CertificateSigningRequest:
    """Read a request that its own key signed, of a kind that may sign messages; raises NotValid."""
    try:
        request = x509.load_pem_x509_csr(text[:MAX_CSR].encode("ascii"))
        key, own = describe(request.public_key()), request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise NotValid(Code.SCHEMA, Problem(text="certificates.csr")) from error
    if not own or len(text) > MAX_CSR:
        raise NotValid(Code.SCHEMA, Problem(text="certificates.csr"))
    if not (rsa_allowed(key, GATEWAY) if key.kind == "rsa" else key.curve in _CURVES):
        raise NotValid(Code.SCHEMA, Problem(text="certificates.weak-key", values={"key": key.name}))
    return request


def _one(tx: Tx, request: str) -> Asked:
    rows = tx.rows(sql.ONE, id=request)
    if not rows:
        raise NotValid(Code.NOT_FOUND, Problem(text="certificates.no-request", values={"request": request}))
    return _asked(rows[0])


def _asked(row: tuple[Any, ...]) -> Asked:
    values = dict(zip(_COLUMNS, row, strict=True))
    decided = values["decided_at"]
    return Asked(**values | {"requested_at": from_micros(values["requested_at"]), "decided_at": from_micros(decided) if decided else None})


def _decided(asked: Asked) -> Conflict:
    return Conflict(Code.CONFLICT, Problem(text="certificates.decided", values={"request": asked.id, "state": asked.state}))
