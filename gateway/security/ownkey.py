"""Where the gateway's own key lies: a file, a PKCS#12 file or a token; and how it is unlocked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs

from gateway.errors import Code, Problem, Unavailable

from .keys import SigningKey, load_key, load_pkcs12, read_chain, signing_key
from .tokens import TokenKey

PIN_NAME = "nsw-key-pin"  # of the credential
MAX_PIN = 256  # bytes


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Unlocking:
    """Where the password or PIN comes from; it is read when it is needed, and never shown."""

    given: str = ""
    file: Path | None = None
    credentials: Path | None = None

    def pin(self) -> str:
        """Give it, empty where none is set; raises Unavailable where its file cannot be read."""
        place = self.file or (self.credentials / PIN_NAME if self.credentials else None)
        if place is None or (self.file is None and not place.exists()):
            return self.given
        try:
            with place.open("rb") as file:
                return file.read(MAX_PIN).decode("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="signature.key-pin", path=str(place))) from error


class OwnKey:
    """Loads the gateway's own key with its certificates, as often as they change; sessions with a token are kept."""

    def __init__(self, folder: Path, place: str = "", *, unlocking: Unlocking | None = None) -> None:
        """Take the folder of `gateway.cert.pem`, and the place of the key as NSW_KEY has it."""
        self._certificates = folder / "gateway.cert.pem"
        self._kind, _, self._rest = place.partition(":") if place else ("file", ":", str(folder / "gateway.key.pem"))
        self._unlocking = unlocking or Unlocking()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose change means another key."""
        return (self._certificates, Path(self._rest.partition("?")[0]))

    def pin(self) -> bytes | None:
        """Give the password of a key file, None where none is set; raises Unavailable where it cannot be read."""
        return self._unlocking.pin().encode() or None

    def load(self) -> SigningKey:
        """Load it; raises Unavailable where it is not there, locked, or does not belong to the certificate."""
        load: dict[str, Callable[[], SigningKey]] = {"file": self._file, "pkcs12": self._pkcs12, "pkcs11": self._pkcs11}
        return load[self._kind]() if self._kind in load else self._misplaced()

    def _file(self) -> SigningKey:
        if not any(file.exists() for file in self.files):
            raise Unavailable(Code.UNAVAILABLE, Problem(text="certificates.none", path=str(self._certificates.parent)))
        return load_key(Path(self._rest), self._certificates, pin=self.pin())

    def _pkcs12(self) -> SigningKey:
        return load_pkcs12(Path(self._rest), pin=self.pin())

    def _pkcs11(self) -> SigningKey:
        return signing_key(self._token, read_chain(self._certificates), self._certificates)

    @cached_property
    def _token(self) -> TokenKey:
        module, _, query = self._rest.partition("?")
        named = parse_qs(query, strict_parsing=False)
        if set(named) != {"token", "object"}:
            self._misplaced()
        return TokenKey(Path(module), token=named["token"][0], label=named["object"][0], pin=self._unlocking.pin)

    def _misplaced(self) -> SigningKey:
        raise Unavailable(Code.RULES, Problem(text="signature.key-place", path="NSW_KEY"))
