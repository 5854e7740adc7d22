"""The files of the certificate registry: certificates are put in, taken out, prepared and put in force, each file replaced whole.

One writer at a time, over all processes of a machine; whoever reads needs no lock (see trust).
"""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.errors import Code, Conflict, NotProven, NotValid, Problem, Unavailable
from gateway.model import PartyCode

from . import certificates
from .certificates import Certificate
from .keys import SigningKey, load_key, new_key
from .path import may_sign
from .policy import GATEWAY
from .shape import rsa_allowed
from .trust import Trust
from .writing import make_folder, put, write_private

MAX_REGISTERED = 8  # certificates of one party at once; a renewal needs two, a party with several systems some more
_LOCK = ".lock"  # is locked by whoever writes
OWN, NEXT = "gateway", "gateway-next"
_CURVES = frozenset({"secp256r1", "secp384r1"})  # what the gateway's profile verifies


class CertificateFiles:
    """Writes the registry under one folder; every method raises Unavailable where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made with the first write."""
        self._folder = folder

    def register(self, party: PartyCode, certificate: Certificate, issuers: Iterable[Certificate] = (), *, at: datetime) -> bool:
        """Register a certificate for a party beside those it has; False where it was there already.

        Raises NotValid where it cannot be used, Conflict where it was revoked, is another party's, or there are too many.
        """
        with self._alone():
            trust = Trust(self._folder)
            self._check(certificate, tuple(issuers), trust, at=at)
            owners, held = trust.owners(certificate), trust.certificates(party)
            if party in owners:
                return False
            if owners:
                raise _conflict("other-party", party=", ".join(sorted(owners)))
            if len(held) >= MAX_REGISTERED:
                raise _conflict("too-many", party=party, limit=str(MAX_REGISTERED))
            put(self._party_file(party), _pems((*held, certificate)))
            return True

    def add_anchor(self, purpose: str, certificate: Certificate, *, at: datetime) -> bool:
        """Trust an authority for a purpose; False where it was trusted already. Raises NotValid, Conflict."""
        if not purpose.replace("-", "").isalnum():
            raise _refused("purpose", found=purpose)
        if not _is_authority(certificate):
            raise _refused("not-an-authority", subject=certificate.subject)
        with self._alone():
            trust = Trust(self._folder)
            self._check_living(certificate, at=at)
            if certificate in trust.anchors(purpose).certificates:
                return False
            put(self._folder / "anchors" / purpose / f"{certificate.sha256[:16]}.pem", _pems((certificate,)))
            return True

    def revoke(self, sha256: str) -> Certificate:
        """Take a certificate out of every place at once; it cannot be registered again. Raises NotValid(NOT_FOUND)."""
        with self._alone():
            places = {path: found for path, found in self._held().items() if any(c.sha256 == sha256 for c in found)}
            if not places:
                raise NotValid(Code.NOT_FOUND, Problem(text="certificates.unknown", values={"sha256": sha256}))
            revoked = next(c for found in places.values() for c in found if c.sha256 == sha256)
            put(self._revoked_file(sha256), _pems((revoked,)))
            for path, found in places.items():
                _put_or_remove(path, tuple(c for c in found if c != revoked))
            return revoked

    # --- the gateway's own -------------------------------------------------------------------------------------------

    def prepare(self) -> bytes:
        """Make the key that the gateway will sign with next, of the present one's kind, and the request for its certificate, in PEM.

        Raises Conflict where one is prepared already, Unavailable where there is no present certificate to take the subject from.
        """
        with self._alone():
            if self._own(NEXT, "key").exists():
                raise _conflict("prepared", path=str(self._own(NEXT, "key")))
            try:
                present = certificates.read_pem(self._own(OWN, "cert").read_bytes())[0]
            except ValueError as error:
                raise _unwritable(self._own(OWN, "cert"), error) from error
            key_pem, request = new_key(present)
            put(self._own(NEXT, "key"), key_pem)
            return request

    def take_next(self, chain: tuple[Certificate, ...], *, at: datetime) -> SigningKey:
        """Keep the certificate of the prepared key, issuers after it; raises Unavailable where it is another key's, NotValid."""
        with self._alone():
            self._check(chain[0], chain[1:], None, at=at)
            staged = self._own(f".{NEXT}", "cert")
            put(staged, _pems(chain))
            try:
                key = load_key(self._own(NEXT, "key"), staged)
            except Unavailable:
                staged.unlink()
                raise
            staged.replace(self._own(NEXT, "cert"))
            return key

    def rotate(self, *, at: datetime) -> tuple[Certificate | None, SigningKey]:
        """Sign with the prepared key from now on; the old certificate stays beside it, as gateway-<date>.cert.pem, its key does not.

        A rotation that was broken off is finished. Raises Conflict where nothing is prepared, or it is not valid yet.
        """
        with self._alone():
            if not self._own(NEXT, "cert").exists():
                raise _conflict("not-prepared", path=str(self._own(NEXT, "cert")))
            prepared = self._own(NEXT, "key") if self._own(NEXT, "key").exists() else self._own(OWN, "key")  # broken off between the two
            key = load_key(prepared, self._own(NEXT, "cert"))
            if not key.certificates[0].valid_at(at):
                raise _conflict("not-in-force", subject=key.certificates[0].subject, since=key.certificates[0].not_before.isoformat())
            old = self._put_aside()
            prepared.replace(self._own(OWN, "key"))
            self._own(NEXT, "cert").replace(self._own(OWN, "cert"))
            return old, key

    def _put_aside(self) -> Certificate | None:
        """Keep the old certificate under the day on which it began, so that what was signed with it can be verified."""
        try:
            held = certificates.read_pem(self._own(OWN, "cert").read_bytes())
        except (OSError, ValueError):
            return None
        name = f"{OWN}-{held[0].not_before:%Y%m%d}-{held[0].sha256[:8]}"
        put(self._own(name, "cert"), _pems(held))
        return held[0]

    # --- what may be registered --------------------------------------------------------------------------------------

    def _check(self, certificate: Certificate, issuers: tuple[Certificate, ...], trust: Trust | None, *, at: datetime) -> None:
        self._check_living(certificate, at=at)
        key = certificate.key
        if not (rsa_allowed(key, GATEWAY) if key.kind == "rsa" else key.curve in _CURVES):
            raise _refused("weak-key", key=key.name)
        if not may_sign(certificate):
            raise _refused("key-usage", subject=certificate.subject)
        anchors = trust.anchors("party") if trust else None
        if anchors and anchors.certificates:  # where authorities are named for parties, others are refused
            try:
                anchors.path(certificate, issuers, at=max(at, certificate.not_before))
            except NotProven as error:
                raise _refused("untrusted", issuer=certificate.x509.issuer.rfc4514_string()) from error

    def _check_living(self, certificate: Certificate, *, at: datetime) -> None:
        if certificate.not_after <= at:
            raise _refused("expired", subject=certificate.subject, to=certificate.not_after.isoformat())
        if self._revoked_file(certificate.sha256).exists():
            raise _conflict("revoked", sha256=certificate.sha256)

    # --- files -------------------------------------------------------------------------------------------------------

    def _held(self) -> dict[Path, tuple[Certificate, ...]]:
        paths = [*self._folder.glob("parties/*.pem"), *self._folder.glob("anchors/*/*.pem")]
        try:
            return {path: certificates.read_pem(path.read_bytes()) for path in sorted(paths)}
        except (OSError, ValueError) as error:
            raise _unwritable(self._folder, error) from error

    def _party_file(self, party: PartyCode) -> Path:
        if "/" in party or party.startswith("."):
            raise _refused("party-name", party=party)
        return self._folder / "parties" / f"{party}.pem"

    def _revoked_file(self, sha256: str) -> Path:
        return self._folder / "revoked" / f"{sha256}.pem"

    def _own(self, name: str, kind: str) -> Path:
        return self._folder / f"{name}.{kind}.pem"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Write while nobody else does."""
        try:
            make_folder(self._folder)
            if not (self._folder / _LOCK).exists():
                write_private(self._folder / _LOCK, b"")
            with (self._folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise _unwritable(self._folder, error) from error


def read_one(pem: bytes) -> tuple[Certificate, ...]:
    """Read a certificate and the issuers after it; raises NotValid for whatever is not that."""
    try:
        return certificates.read_pem(pem)
    except ValueError as error:
        raise _refused("unreadable") from error


def to_pem(certificate: Certificate) -> str:
    """Write a certificate as PEM."""
    return certificate.x509.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _is_authority(certificate: Certificate) -> bool:
    try:
        return certificate.x509.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *certificates.BAD_EXTENSIONS):
        return False


def _pems(chain: Iterable[Certificate]) -> bytes:
    return "".join(map(to_pem, chain)).encode()


def _put_or_remove(path: Path, left: tuple[Certificate, ...]) -> None:
    if left:
        put(path, _pems(left))
    else:
        path.unlink()


def _refused(name: str, **values: str) -> NotValid:
    return NotValid(Code.SCHEMA, Problem(text=f"certificates.{name}", values=values))


def _conflict(name: str, **values: str) -> Conflict:
    return Conflict(Code.CONFLICT, Problem(text=f"certificates.{name}", values=values))


def _unwritable(folder: Path, error: Exception) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text="certificates.files", path=str(folder), values={"fault": type(error).__name__}))
