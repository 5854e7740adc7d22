"""Private keys: read once from their files, used for signing, never shown. Nothing outside this file touches one."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn, Protocol, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import pkcs12

from gateway.errors import Code, Problem, Unavailable

from . import certificates
from .certificates import Certificate, Key, describe
from .policy import ECDSA_SHA256, ECDSA_SHA384, GATEWAY, RSA_SHA256, Method

HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType({
    "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
    # of old or foreign signatures under the permissive policy; nothing is signed with them
    "sha1": hashes.SHA1(), "sha224": hashes.SHA224(),  # noqa: S303 - verification for diagnosis only  # nosec B303
    "sha3_224": hashes.SHA3_224(), "sha3_256": hashes.SHA3_256(), "sha3_384": hashes.SHA3_384(), "sha3_512": hashes.SHA3_512(),
})  # fmt: skip
_PADDING = padding.PKCS1v15()
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_METHODS = {"secp256r1": ECDSA_SHA256, "secp384r1": ECDSA_SHA384}


class Signs(Protocol):
    """Whatever holds a private key: memory, or a token that the key never leaves."""

    def sign(self, data: bytes, method: Method) -> bytes:
        """Give the signature value as XML-DSig writes it; raises Unavailable where the key cannot be reached."""


class KeyInMemory:
    """A key that was read from a file."""

    __slots__ = ("_key",)

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def sign(self, data: bytes, method: Method) -> bytes:
        """Give the signature value as XML-DSig writes it: for ECDSA r and s side by side."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, _PADDING, HASHES[method.hash])
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(HASHES[method.hash])))
        size = (self._key.key_size + 7) // 8
        return r.to_bytes(size) + s.to_bytes(size)


class SigningKey:
    """A private key with its certificates, leaf first. Its repr names the certificate; it cannot be pickled or copied."""

    __slots__ = ("_key", "certificates", "method")

    def __init__(self, key: PrivateKey | Signs, chain: tuple[Certificate, ...]) -> None:
        """Keep a key that belongs to the first certificate; raises ValueError for a kind or curve that may not sign, or another's key."""
        self._key: Signs = KeyInMemory(key) if isinstance(key, PrivateKey) else key
        self.certificates = chain
        self.method: Method = _method_for(chain[0].key)
        if isinstance(key, PrivateKey) and describe(key.public_key()).kind != chain[0].key.kind:
            raise ValueError("the key does not belong to the certificate")
        if not verify_value(chain[0].key, self.method, self.sign(b"probe"), b"probe"):
            raise ValueError("the key does not belong to the certificate")

    @property
    def algorithm(self) -> str:
        """The signature algorithm's URI."""
        return self.method.uri

    def sign(self, data: bytes) -> bytes:
        """Give the signature value as XML-DSig writes it; raises Unavailable where a token is away."""
        return self._key.sign(data, self.method)

    def __repr__(self) -> str:
        return f"SigningKey(subject={self.certificates[0].subject!r}, sha256={self.certificates[0].sha256})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key does not leave its process")

    def __copy__(self) -> NoReturn:
        raise TypeError("a signing key is not copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a signing key is not copied")


def load_key(key_pem: Path, cert_pem: Path, *, pin: bytes | None = None) -> SigningKey:
    """Read a key and its certificates; `pin` opens an encrypted one.

    Raises Unavailable where a file is missing, damaged, or locked, or they do not belong together.
    """
    chain = read_chain(cert_pem)
    try:
        # The checks of an RSA key cost 40 ms; the probe in SigningKey proves what matters, that key and certificate belong together.
        key = _unlocked(key_pem.read_bytes(), pin)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable("key-file", key_pem, error) from None
    return signing_key(_usable(key, key_pem), chain, key_pem)


def load_pkcs12(path: Path, *, pin: bytes | None) -> SigningKey:
    """Read a key and its certificates of a PKCS#12 file; raises Unavailable as load_key() does."""
    try:
        found = pkcs12.load_pkcs12(path.read_bytes(), pin)
        held = [found.cert, *found.additional_certs]
        chain = tuple(certificates.read(c.certificate.public_bytes(serialization.Encoding.DER)) for c in held if c)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable("key-file", path, error) from None  # what the library says may quote what it read
    if found.cert is None:
        raise _unusable("certificate-file", path)
    return signing_key(_usable(found.key, path), chain, path)


def read_chain(cert_pem: Path) -> tuple[Certificate, ...]:
    """Read the certificates of a key, leaf first; raises Unavailable."""
    try:
        return certificates.read_pem(cert_pem.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable("certificate-file", cert_pem, error) from error


def signing_key(key: PrivateKey | Signs, chain: tuple[Certificate, ...], place: Path) -> SigningKey:
    """Put a key and its certificates together; raises Unavailable where they do not belong together."""
    try:
        return SigningKey(key, chain)
    except ValueError as error:
        raise _unusable("key-mismatch", place, error) from error


def _usable(key: object, place: Path) -> PrivateKey:
    if not isinstance(key, PrivateKey):
        raise _unusable("key-kind", place)
    return key


def _unlocked(data: bytes, pin: bytes | None) -> object:
    """Read a key in PEM; a PIN is for keys that are encrypted, and ignored for others."""
    locked = b"ENCRYPTED" in data
    return serialization.load_pem_private_key(data, pin if locked else None, unsafe_skip_rsa_key_validation=True)


def new_key(present: Certificate) -> tuple[bytes, bytes]:
    """Make a key of the kind of a certificate's, and the request for a certificate of the same subject, both in PEM."""
    made: PrivateKey
    if present.key.kind == "rsa":
        made = rsa.generate_private_key(public_exponent=65537, key_size=max(present.key.bits, GATEWAY.min_rsa_bits))
    else:
        made = ec.generate_private_key(ec.SECP384R1() if present.key.curve == "secp384r1" else ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(present.x509.subject).sign(made, hashes.SHA256())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.private_bytes(pem, form, serialization.NoEncryption()), request.public_bytes(pem)


def verify_value(key: Key, method: Method, value: bytes, data: bytes) -> bool:
    """Say whether a signature value is right for the data under a public key; False, too, for a key that does not fit the method."""
    if key.kind != method.key:
        return False
    public, algorithm = key.public, HASHES[method.hash]
    try:
        match method.family:
            case "rsa":
                cast("rsa.RSAPublicKey", public).verify(value, data, _PADDING, algorithm)
            case "pss":
                salted = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
                cast("rsa.RSAPublicKey", public).verify(value, data, salted, algorithm)
            case "ecdsa":
                cast("ec.EllipticCurvePublicKey", public).verify(_pair(value), data, ec.ECDSA(algorithm))
            case "dsa":
                cast("dsa.DSAPublicKey", public).verify(_pair(value), data, algorithm)
            case _:
                return False
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def verify_der(key: Key, hash_name: str, value: bytes, data: bytes) -> bool:
    """Say whether a signature value as ASN.1 writes it (for ECDSA one sequence) is right under an RSA or ECDSA key."""
    if key.kind not in ("rsa", "ecdsa") or hash_name not in ("sha256", "sha384", "sha512"):
        return False
    try:
        if key.kind == "rsa":
            cast("rsa.RSAPublicKey", key.public).verify(value, data, _PADDING, HASHES[hash_name])
        else:
            cast("ec.EllipticCurvePublicKey", key.public).verify(value, data, ec.ECDSA(HASHES[hash_name]))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _pair(value: bytes) -> bytes:
    """Write r and s, which XML-DSig puts side by side, as ASN.1."""
    half = len(value) // 2
    return encode_dss_signature(int.from_bytes(value[:half]), int.from_bytes(value[half:]))


def _method_for(key: Key) -> Method:
    if key.kind == "rsa":
        if key.bits < GATEWAY.min_rsa_bits:
            raise ValueError("too short a key")
        return RSA_SHA256
    if key.curve not in _METHODS:
        raise ValueError("a curve that may not sign")
    return _METHODS[key.curve]


def _unusable(name: str, path: Path, error: Exception | None = None) -> Unavailable:
    """Name the file and the kind of fault; never a library's wording, which may quote the file."""
    fault = type(error).__name__ if error else "-"
    return Unavailable(Code.UNAVAILABLE, Problem(text=f"signature.{name}", path=str(path), values={"fault": fault}))
