"""Encryption at rest: AES-256-GCM under named keys, each a file of 32 random bytes that only the gateway may read."""

import hashlib
import hmac
import os
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Entropy

KEY_BYTES = 32
NONCE_BYTES = 12
FIRST_KEY = "content-1"
DIGEST_KEY = "digest"  # never rotated: what was accepted under it must be recognised for as long as it is kept


class FileCipher:
    """Encrypts under the newest content key of a folder and decrypts under any of them.

    A sealed value is: length of the key's name (1 byte), the name, nonce (12 bytes), ciphertext with its tag.
    """

    def __init__(self, folder: Path, *, entropy: Entropy) -> None:
        """Read the keys of a folder; the first start makes them."""
        self._entropy = entropy
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (FIRST_KEY, DIGEST_KEY):
            _make(folder / f"{name}.key", entropy)
        self._keys = {p.stem: AESGCM(p.read_bytes()) for p in folder.glob("content-*.key")}
        self._present = max(self._keys, key=lambda name: int(name.removeprefix("content-")))
        self._digest_key = (folder / f"{DIGEST_KEY}.key").read_bytes()

    def __repr__(self) -> str:
        return f"FileCipher(present={self._present!r}, keys={len(self._keys)})"

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """Encrypt under the present key, bound to a context; the result names the key."""
        name = self._present.encode()
        nonce = self._entropy(NONCE_BYTES)
        sealed = self._keys[self._present].encrypt(nonce, plain, context.encode())
        return b"".join((bytes((len(name),)), name, nonce, sealed))

    def decrypt(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt what encrypt() made; raises Unavailable where its key is not here or a byte was changed."""
        start = 1 + (sealed[0] if sealed else 0)
        name = sealed[1:start].decode("ascii", "replace")
        if name not in self._keys:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.no-key", values={"key": name}))
        try:
            return self._keys[name].decrypt(sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :], context.encode())
        except (InvalidTag, ValueError) as error:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.changed", values={"row": context})) from error

    def fingerprint(self, *parts: bytes) -> bytes:
        """Make a keyed digest (32 bytes) of parts, each counted with its length."""
        mac = hmac.new(self._digest_key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(8))
            mac.update(part)
        return mac.digest()


def _make(path: Path, entropy: Entropy) -> None:
    """Make a key file once, whole: two processes that start together agree on the first one's, and a killed one leaves none."""
    if path.exists():
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(entropy(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        path.hardlink_to(part)  # fails where another process was first
    part.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)  # a key that a power loss takes back would take all content with it
    os.close(folder)
