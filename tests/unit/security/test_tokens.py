"""Keys in a token: they sign as keys in files do, never leave, and come back with their token."""

import copy
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import Unavailable
from gateway.security import signer
from gateway.security.keys import SigningKey, verify_value
from gateway.security.ownkey import OwnKey, Unlocking
from gateway.security.policy import ECDSA_SHA256
from gateway.security.registry import to_pem
from gateway.security.tokens import SESSIONS, TokenKey, _allow_threads
from gateway.testing import builders
from gateway.testing.signing import self_signed
from gateway.testing.softhsm import PIN, TOKEN, Key, SoftToken, make_token, module

KEYS: dict[str, Key] = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
}
MODULE = module()

pytestmark = pytest.mark.skipif(MODULE is None and not os.environ.get("CI"), reason="SoftHSM is not installed: apt-get install softhsm2")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    before = os.environ.get("SOFTHSM2_CONF")
    assert MODULE is not None, "SoftHSM is missing, and CI must not skip these tests: apt-get install softhsm2"
    made = make_token(tmp_path_factory.mktemp("softhsm"), MODULE)
    for name, key in KEYS.items():
        made.import_key(key, name)
    yield made
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


def held(token: SoftToken, name: str = "p256", *, pin: str = PIN) -> TokenKey:
    return TokenKey(token.module, token=TOKEN, label=name, pin=lambda: pin)


@pytest.mark.parametrize("name", KEYS)
def test_token_signs_what_its_certificate_verifies(token: SoftToken, name: str) -> None:
    certificate = self_signed(KEYS[name])
    key = SigningKey(held(token, name), (certificate,))

    signed = signer.sign_system(builders.message("10/01"), key)

    assert b"<SignatureValue>" in signed
    assert verify_value(certificate.key, key.method, key.sign(b"data"), b"data")


def test_key_of_another_certificate_is_refused(token: SoftToken) -> None:
    with pytest.raises(ValueError, match="does not belong"):
        SigningKey(held(token), (self_signed(ec.generate_private_key(ec.SECP256R1())),))


def test_many_threads_sign_at_once_in_few_sessions(token: SoftToken) -> None:
    certificate = self_signed(KEYS["p256"])
    inner = held(token)
    key = SigningKey(inner, (certificate,))

    with ThreadPoolExecutor(4 * SESSIONS) as threads:
        values = list(threads.map(lambda n: (b"%d" % n, key.sign(b"%d" % n)), range(200)))

    assert all(verify_value(certificate.key, key.method, value, data) for data, value in values)
    assert len(inner._idle) <= SESSIONS


def test_token_that_was_unplugged_is_unavailable_and_comes_back_by_itself(token: SoftToken) -> None:
    certificate = self_signed(KEYS["p256"])
    key = SigningKey(held(token), (certificate,))
    token.unplug()
    try:
        with pytest.raises(Unavailable) as error:
            key.sign(b"away")
    finally:
        token.plug()

    assert error.value.problems[0].text == "signature.token-away"
    assert verify_value(certificate.key, key.method, key.sign(b"back"), b"back")


@pytest.mark.parametrize("change", [{"token": "other"}, {"label": "other"}, {"pin": lambda: "0000-0000"}])
def test_wrong_token_key_or_pin_is_unavailable_and_tells_no_pin(token: SoftToken, change: dict[str, object]) -> None:
    arguments: dict[str, object] = {"token": TOKEN, "label": "p256", "pin": lambda: PIN}
    key = TokenKey(token.module, **arguments | change)  # type: ignore[arg-type]
    _allow_threads(token.module)  # nobody is logged in any more
    with pytest.raises(Unavailable) as error:
        key.sign(b"data", ECDSA_SHA256)

    told = repr((error.value, error.value.problems, key, error.value.__cause__))
    assert PIN not in told
    assert "0000-0000" not in told


def test_module_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    key = TokenKey(tmp_path / "none.so", token=TOKEN, label="p256", pin=lambda: PIN)

    with pytest.raises(Unavailable):
        key.sign(b"data", ECDSA_SHA256)


def test_key_neither_shows_itself_nor_leaves(token: SoftToken) -> None:
    key = held(token)

    assert PIN not in repr(key)
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(key)


def test_own_key_is_found_by_its_setting(token: SoftToken, tmp_path: Path) -> None:
    (tmp_path / "gateway.cert.pem").write_text(to_pem(self_signed(KEYS["rsa"])))
    pin = tmp_path / "pin"
    pin.write_text(PIN + "\n")

    own = OwnKey(tmp_path, f"pkcs11:{token.module}?token={TOKEN}&object=rsa", unlocking=Unlocking(file=pin))

    assert own.load().method.hash == "sha256"
    assert own.load()._key is own.load()._key


def test_wrong_pin_is_tried_once(token: SoftToken) -> None:
    asked: list[str] = []

    def pin() -> str:
        asked.append("asked")
        return "0000-0000"

    key = TokenKey(token.module, token=TOKEN, label="p256", pin=pin)
    _allow_threads(token.module)
    refused = [key._refused]
    for _ in range(3):
        with pytest.raises(Unavailable):
            key.sign(b"data", ECDSA_SHA256)
        refused.append(key._refused)

    assert refused == [None, "0000-0000", "0000-0000", "0000-0000"]
    right = SigningKey(held(token), (self_signed(KEYS["p256"]),))
    assert right.sign(b"not locked")
