"""API keys: a file with one line a key, `name:party:roles:hash`.

    portal:NSW:sender,reader:sha256$6a1f…$9c04…
    duty-officer::operator,reader:scrypt$77d0…$1be2…

`party` is empty for staff; `roles` are of ROLES, split by commas; lines that start with # are comments. A key that this program
made holds 256 random bits, for which one salted SHA-256 is enough; a key that a person chose is hashed with scrypt.
"""

import hashlib
import hmac
import re
import threading
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import Code, GatewayError, Problem, Unavailable
from gateway.model import PartyCode
from gateway.ports import Entropy, Watch

ROLES = frozenset({"reader", "sender", "collector", "operator", "content"})
MAX_KEY = 200  # characters of a presented key; ours have 47
MAX_WRONG = 1024  # wrong keys remembered: programs that were not told of a new one
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
HASH = re.compile(r"(?:sha256|scrypt)\$(?:[0-9a-f]{2}){16,64}\$[0-9a-f]{64}")
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}  # 16 MiB and some 50 ms a guess


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One line of the file: who it is, whom it speaks for, what it may do."""

    name: str
    party: PartyCode | None
    roles: frozenset[str]
    hash: str = field(repr=False)


def new_key(entropy: Entropy) -> str:
    """Make a key of 256 random bits; it is shown once and never stored."""
    return "nsw_" + urlsafe_b64encode(entropy(32)).rstrip(b"=").decode()


def hash_key(key: str, *, salt: bytes, chosen: bool = False) -> str:
    """Write the hash of a key as the file holds it; `chosen` by a person, it takes the slow hash. `salt` has 16 bytes or more."""
    algorithm = "scrypt" if chosen else "sha256"
    return f"{algorithm}${salt.hex()}${_digest(algorithm, salt, key).hex()}"


def verify_key(key: str, hashed: str) -> bool:
    """Say whether a key has this hash, in constant time."""
    algorithm, salt, digest = hashed.split("$")
    return hmac.compare_digest(_digest(algorithm, bytes.fromhex(salt), key), bytes.fromhex(digest))


def read_keys(text: str, *, place: str) -> tuple[ApiKey, ...]:
    """Read the file's lines; raises GatewayError(RULES) with every line that is wrong."""
    keys: list[ApiKey] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            found = _read_line(line.strip(), seen={k.name for k in keys})
            if isinstance(found, ApiKey):
                keys.append(found)
            else:
                problems.append(Problem(text=found, path=place, line=number))
    if problems:
        raise GatewayError(Code.RULES, *problems)
    return tuple(keys)


def read_file(path: Path) -> tuple[ApiKey, ...]:
    """Read a file of keys; raises GatewayError(RULES) where it cannot be read, or with every line that is wrong."""
    try:
        text = path.read_text("utf-8-sig")  # Windows editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise GatewayError(Code.RULES, Problem(text="web.keys-unreadable", path=str(path))) from error
    return read_keys(text, place=str(path))


class _Keys:
    """The keys of one file as it was read, and what was found out with them since, by the digests of presented keys."""

    def __init__(self, keys: tuple[ApiKey, ...]) -> None:
        self.quick = tuple(key for key in keys if not key.hash.startswith("scrypt"))
        self.slow = tuple(key for key in keys if key.hash.startswith("scrypt"))
        self.known: dict[bytes, ApiKey] = {}  # at most one entry for each key of the file
        self.wrong: dict[bytes, None] = {}  # at most MAX_WRONG, the oldest first


class KeyFile:
    """The keys in force. Reads the file again when it has changed; one that does not pass never replaces them, and is told of."""

    def __init__(self, path: Path, *, watch: Watch) -> None:
        """Read the file; raises GatewayError(RULES) where it is missing or wrong."""
        self._path = path
        self._watch = watch
        self._stamp = self._present()
        self._keys = _Keys(read_file(path))
        self._problems: tuple[Problem, ...] = ()
        self._reading, self._deriving = threading.Lock(), threading.Lock()

    def problems(self) -> tuple[Problem, ...]:
        """Say what is wrong with the file as it is now, while earlier keys are in force."""
        self._refresh()
        return self._problems

    def find(self, key: str) -> ApiKey | None:
        """Find whose key this is. One that was judged before costs microseconds, another costs every hash in the file.

        Slow hashes are derived for one caller at a time; raises Unavailable for whoever needs them meanwhile.
        """
        if not 0 < len(key) <= MAX_KEY:
            return None
        self._refresh()
        keys = self._keys
        digest = hashlib.sha256(key.encode()).digest()  # not the key itself: this stays in memory
        if digest in keys.wrong:
            return None
        if digest not in keys.known:
            found = _match(key, keys.quick) or self._derive(key, digest, keys)
            if found is None:
                return None
            keys.known[digest] = found
        return keys.known[digest]

    def _derive(self, key: str, digest: bytes, keys: _Keys) -> ApiKey | None:
        """Try the slow hashes, and remember a key that has none of them: each costs 16 MiB and a core, and whoever asks may be anybody."""
        if not keys.slow:
            return None
        if not self._deriving.acquire(blocking=False):  # waiting would hold a thread that others need
            raise Unavailable(Code.UNAVAILABLE, Problem(text="web.keys-busy"))
        try:
            found = _match(key, keys.slow)
            if found is None:
                if len(keys.wrong) >= MAX_WRONG:
                    del keys.wrong[next(iter(keys.wrong))]
                keys.wrong[digest] = None
            return found
        finally:
            self._deriving.release()

    def _refresh(self) -> None:
        if self._present() == self._stamp:
            return
        with self._reading:
            stamp = self._present()  # before the file is read: what changes meanwhile is read the next time
            if stamp == self._stamp:
                return
            try:
                self._keys, self._problems = _Keys(read_file(self._path)), ()
            except GatewayError as error:
                self._problems = (Problem(text="web.keys-kept", path=str(self._path)), *error.problems)
                self._watch("keys.refused", {"code": error.problems[0].text, "line": error.problems[0].line})
            self._stamp = stamp

    def _present(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _match(key: str, keys: tuple[ApiKey, ...]) -> ApiKey | None:
    return next((each for each in keys if verify_key(key, each.hash)), None)


def _read_line(line: str, *, seen: set[str]) -> ApiKey | str:
    """Read one line, or name the text that says what is wrong with it."""
    parts = [part.strip() for part in line.split(":")]
    if len(parts) != 4:  # noqa: PLR2004  # name:party:roles:hash
        return "web.key-line"
    name, party, listed, hashed = parts
    roles = frozenset(role.strip() for role in listed.split(","))
    if not NAME.fullmatch(name):
        return "web.key-name"
    if name in seen:
        return "web.key-twice"
    if not roles <= ROLES:
        return "web.key-roles"
    if not HASH.fullmatch(hashed):
        return "web.key-hash"
    return ApiKey(name=name, party=PartyCode(party) if party else None, roles=roles, hash=hashed)


def _digest(algorithm: str, salt: bytes, key: str) -> bytes:
    if algorithm == "scrypt":
        return hashlib.scrypt(key.encode(), salt=salt, maxmem=64 * 1024 * 1024, **SCRYPT)
    return hashlib.sha256(salt + key.encode()).digest()
