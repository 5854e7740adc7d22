"""Private keys: read once from their files, used for signing, never shown. Nothing outside this file touches one."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from gateway.errors import Code, Problem, Unavailable

from . import certificates
from .certificates import Certificate, Key
from .policy import ECDSA_SHA256, ECDSA_SHA384, GATEWAY, RSA_SHA256, Method

HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType({
    "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
    # of old or foreign signatures under the permissive policy; nothing is signed with them
    "sha1": hashes.SHA1(), "sha224": hashes.SHA224(),  # noqa: S303 - verification for diagnosis only  # nosec B303
    "sha3_224": hashes.SHA3_224(), "sha3_256": hashes.SHA3_256(), "sha3_384": hashes.SHA3_384(), "sha3_512": hashes.SHA3_512(),
})  # fmt: skip
_PADDING = padding.PKCS1v15()
_METHODS = {"secp256r1": ECDSA_SHA256, "secp384r1": ECDSA_SHA384}


class SigningKey:
    """A private key with its certificates, leaf first. Its repr names the certificate; it cannot be pickled or copied."""

    __slots__ = ("_key", "certificates", "method")

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, chain: tuple[Certificate, ...]) -> None:
        """Keep a key that belongs to the first certificate; raises ValueError for a kind or curve that may not sign, or another's key."""
        self._key = key
        self.certificates = chain
        self.method: Method = _method_for(key)
        if not verify_value(chain[0].key, self.method, self.sign(b"probe"), b"probe"):
            raise ValueError("the key does not belong to the certificate")

    @property
    def algorithm(self) -> str:
        """The signature algorithm's URI."""
        return self.method.uri

    def sign(self, data: bytes) -> bytes:
        """Give the signature value as XML-DSig writes it: for ECDSA r and s side by side."""
        if self.method.family == "rsa":
            return cast("rsa.RSAPrivateKey", self._key).sign(data, _PADDING, HASHES[self.method.hash])
        r, s = decode_dss_signature(cast("ec.EllipticCurvePrivateKey", self._key).sign(data, ec.ECDSA(HASHES[self.method.hash])))
        size = (self._key.key_size + 7) // 8
        return r.to_bytes(size) + s.to_bytes(size)

    def __repr__(self) -> str:
        return f"SigningKey(subject={self.certificates[0].subject!r}, sha256={self.certificates[0].sha256})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key does not leave its process")

    def __copy__(self) -> NoReturn:
        raise TypeError("a signing key is not copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a signing key is not copied")


def load_key(key_pem: Path, cert_pem: Path) -> SigningKey:
    """Read a key and its certificates; raises Unavailable where a file is missing, damaged, encrypted, or they do not belong together."""
    try:
        chain = certificates.read_pem(cert_pem.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable("certificate-file", cert_pem, error) from error
    try:
        # The checks of an RSA key cost 40 ms; the probe in SigningKey proves what matters, that key and certificate belong together.
        key = serialization.load_pem_private_key(key_pem.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable("key-file", key_pem, error) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _unusable("key-kind", key_pem)
    try:
        return SigningKey(key, chain)
    except ValueError as error:
        raise _unusable("key-mismatch", key_pem, error) from error


def new_key(present: Certificate) -> tuple[bytes, bytes]:
    """Make a key of the kind of a certificate's, and the request for a certificate of the same subject, both in PEM."""
    made: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
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


def _method_for(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Method:
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < GATEWAY.min_rsa_bits:
            raise ValueError("too short a key")
        return RSA_SHA256
    if key.curve.name not in _METHODS:
        raise ValueError("a curve that may not sign")
    return _METHODS[key.curve.name]


def _unusable(name: str, path: Path, error: Exception | None = None) -> Unavailable:
    """Name the file and the kind of fault; never a library's wording, which may quote the file."""
    fault = type(error).__name__ if error else "-"
    return Unavailable(Code.UNAVAILABLE, Problem(text=f"signature.{name}", path=str(path), values={"fault": fault}))
