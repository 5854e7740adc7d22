"""A software token (SoftHSM 2) with keys whose certificates are known, for tests."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so")
TOKEN, PIN = "gateway", "9Qz-4417"
SECONDS = 20
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def module() -> Path | None:
    """Find the module; None where SoftHSM is not installed."""
    found = (Path(name) for name in MODULES)
    return next((path for path in found if path.exists()), None) if shutil.which("softhsm2-util") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftToken:
    """A token in a folder of its own, which `unplug` takes away and `plug` brings back."""

    folder: Path
    module: Path

    def import_key(self, key: Key, label: str) -> None:
        """Put a key in."""
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        path = self.folder / f"{label}.pem"
        path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
        _util("--import", str(path), "--token", TOKEN, "--label", label, "--id", label.encode().hex(), "--pin", PIN)
        path.unlink()

    def unplug(self) -> None:
        """Take the token away."""
        (self.folder / "tokens").rename(self.folder / "away")
        (self.folder / "tokens").mkdir()

    def plug(self) -> None:
        """Bring it back."""
        (self.folder / "tokens").rmdir()
        (self.folder / "away").rename(self.folder / "tokens")


def make_token(folder: Path, library: Path) -> SoftToken:
    """Make a token; SOFTHSM2_CONF of this process names it from now on, and the module starts anew to see it."""
    (folder / "tokens").mkdir(parents=True)
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n", "utf-8")
    os.environ["SOFTHSM2_CONF"] = str(conf)
    _util("--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", PIN)
    pkcs11.unload(str(library))
    return SoftToken(folder=folder, module=library)


def _util(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, timeout=SECONDS)  # noqa: S603, S607  # a test's tool
