"""Encryption at rest: AES-256-GCM under named keys, each a file of 32 random bytes that only the gateway may read."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import MappingProxyType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Entropy

from .keyring import DIGEST_KEY, first_keys, key_file, key_names, present_key, read_key

NONCE_BYTES = 12
LOOK_SECONDS = 0.5  # how soon a key that was added or rotated by a command is noticed; looking costs some 30 microseconds
PATIENCE = 20.0  # seconds that are encrypted under a key of which nobody can tell any more whether it is in force; it is retired after 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ring:
    """The keys as they were when the folder was read; replaced whole, so that threads see one or the other."""

    present: str
    keys: Mapping[str, AESGCM]


class FileCipher:
    """Encrypts under the present content key of a folder and decrypts under any of them; notices when a command changes them.

    Where the folder cannot be read, `problems` says why, and soon nothing is encrypted: the key may be retired meanwhile, and then
    nobody could read what is under it.

    A sealed value is: length of the key's name (1 byte), the name, nonce (12 bytes), ciphertext with its tag.
    """

    def __init__(self, folder: Path, *, entropy: Entropy, timer: Callable[[], float] = monotonic) -> None:
        """Read the keys of a folder; the first start makes them. Raises Unavailable where one of them is no key."""
        self._folder = folder
        self._entropy = entropy
        self._timer = timer
        first_keys(folder, entropy)
        self._mac = hmac.new(read_key(key_file(folder, DIGEST_KEY)), digestmod=hashlib.sha256)  # copied for each digest
        self._ring = self._read({})
        self._looked = self._knew = timer()
        self._problems: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        return f"FileCipher(present={self._ring.present!r}, keys={len(self._ring.keys)})"

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """Encrypt under the present key, bound to a context; the result names it. Raises Unavailable where nobody can tell which it is."""
        problems = self.problems()
        if problems and self._timer() - self._knew >= PATIENCE:
            raise Unavailable(Code.UNAVAILABLE, *problems)
        ring = self._ring
        name = ring.present.encode()
        nonce = self._entropy(NONCE_BYTES)
        sealed = ring.keys[ring.present].encrypt(nonce, plain, context.encode())
        return b"".join((bytes((len(name),)), name, nonce, sealed))

    def decrypt(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt what encrypt() made; raises Unavailable where its key is not here or a byte was changed."""
        start = 1 + (sealed[0] if sealed else 0)
        name = self.key_of(sealed)
        if name not in self._ring.keys:
            self._look()  # another process may have begun to write under a new key
        if name not in self._ring.keys:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.no-key", values={"key": name}))
        try:
            return self._ring.keys[name].decrypt(sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :], context.encode())
        except (InvalidTag, ValueError) as error:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.changed", values={"row": context})) from error

    def key_of(self, sealed: bytes) -> str:
        """Name the key that a sealed value is under."""
        return sealed[1 : 1 + sealed[0]].decode("ascii", "replace") if sealed else ""

    def fingerprint(self, *parts: bytes) -> bytes:
        """Make a keyed digest (32 bytes) of parts, each counted with its length."""
        mac = self._mac.copy()
        for part in parts:
            mac.update(len(part).to_bytes(8))
            mac.update(part)
        return mac.digest()

    def problems(self) -> tuple[Problem, ...]:
        """Say why the folder cannot be read, as the last look found; looks again where that is a while ago."""
        if self._timer() - self._looked >= LOOK_SECONDS:
            self._look()
        return self._problems

    def _look(self) -> None:
        """Take up what changed in the folder; where it cannot be read, the keys in force stay in force for a while."""
        self._looked = self._timer()
        try:
            self._ring, self._knew, self._problems = self._read(self._ring.keys), self._looked, ()
        except OSError as error:
            self._problems = (Problem(text="cipher.closed", path=error.filename, values={"reason": error.strerror or "?"}),)
        except Unavailable as error:
            self._problems = error.problems

    def _read(self, known: Mapping[str, AESGCM]) -> _Ring:
        names = key_names(self._folder)
        if not names:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.no-keys", path=str(self._folder)))
        keys = {name: known.get(name) or AESGCM(read_key(key_file(self._folder, name))) for name in names}
        present = present_key(self._folder)
        if present not in keys:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.no-key", values={"key": present}))
        return _Ring(present=present, keys=MappingProxyType(keys))
