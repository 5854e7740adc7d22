"""Keys in PKCS#11 tokens: they sign inside the token, through sessions that are kept; a token that was away is found again."""

import ctypes
import hashlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pkcs11
from pkcs11 import Mechanism, ObjectClass, PKCS11Error
from pkcs11.exceptions import PinIncorrect, UserAlreadyLoggedIn

from gateway.errors import Code, Problem, Unavailable

from .policy import Method

SESSIONS = 8  # signatures under way at once; small network HSMs allow 16
_OS_LOCKING = 2  # CKF_OS_LOCKING_OK
_RSA = {"sha256": Mechanism.SHA256_RSA_PKCS, "sha384": Mechanism.SHA384_RSA_PKCS, "sha512": Mechanism.SHA512_RSA_PKCS}

_Open = tuple[pkcs11.Session, Any]  # a session and the key in it; what a key can do the library decides when it finds one


class TokenKey:
    """Signs with a key that a token holds; implements keys.Signs. Its repr names the key, and nothing else of it leaves."""

    def __init__(self, module: Path, *, token: str, label: str, pin: Callable[[], str]) -> None:
        """Name the module, the token and the key by their labels; nothing is opened before the first signature."""
        self._module = module
        self._token = token
        self._label = label
        self._pin = pin
        self._library: pkcs11._pkcs11.lib | None = None
        self._idle: deque[_Open] = deque()
        self._permits = threading.Semaphore(SESSIONS)
        self._changing = threading.Lock()
        self._generation = 0
        self._refused: str | None = None  # the PIN that the token did not take

    def __repr__(self) -> str:
        return f"TokenKey(token={self._token!r}, label={self._label!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key does not leave its process")

    def sign(self, data: bytes, method: Method) -> bytes:
        """Give the signature value as XML-DSig writes it; begins anew once where the token went and came, else raises Unavailable."""
        generation = self._generation
        try:
            return self._sign(data, method)
        except (PKCS11Error, RuntimeError):
            try:
                self._begin_anew(generation)
                return self._sign(data, method)
            except (PKCS11Error, RuntimeError) as error:
                values = {"token": self._token, "object": self._label, "fault": type(error).__name__}
                raise Unavailable(Code.UNAVAILABLE, Problem(text="signature.token-away", values=values)) from None

    def _sign(self, data: bytes, method: Method) -> bytes:
        """Sign in a session of this thread's own; one that fails is closed."""
        with self._permits:
            session, key = self._taken()
            try:
                if method.family == "rsa":
                    value = key.sign(data, mechanism=_RSA[method.hash])
                else:
                    value = key.sign(hashlib.new(method.hash, data).digest(), mechanism=Mechanism.ECDSA)
            except PKCS11Error:
                _close(session)
                raise
            self._idle.append((session, key))
            return bytes(value)

    def _taken(self) -> _Open:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        with self._changing:
            if self._library is None:
                self._library = pkcs11.lib(str(self._module))
                _allow_threads(self._module)
            session = self._opened(self._library.get_token(token_label=self._token))
        try:
            return session, session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._label)
        except PKCS11Error:
            _close(session)
            raise

    def _opened(self, token: pkcs11.Token) -> pkcs11.Session:
        """Open a session; whoever logged in once is logged in for all sessions of a process. A wrong PIN is tried once."""
        pin = self._pin()
        if pin == self._refused:  # a token locks itself after some wrong ones
            raise PinIncorrect
        try:
            return token.open(user_pin=pin)
        except UserAlreadyLoggedIn:
            return token.open()
        except PinIncorrect:
            self._refused = pin
            raise

    def _begin_anew(self, generation: int) -> None:
        """Forget every session and start the module again, which finds tokens that were plugged in; waits for signatures under way."""
        for _ in range(SESSIONS):
            self._permits.acquire()
        try:
            if self._generation == generation:
                while self._idle:
                    _close(self._idle.pop()[0])
                if self._library is not None:
                    _allow_threads(self._module)
                self._generation += 1
        finally:
            self._permits.release(SESSIONS)


def _allow_threads(module: Path) -> None:
    """Start a module again so that threads may call it at once: the wrapper starts it as for one thread."""
    library = ctypes.CDLL(str(module))
    library.C_Finalize(None)
    library.C_Initialize(ctypes.byref(_Arguments(flags=_OS_LOCKING)))


class _Arguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS of PKCS#11."""

    _fields_ = [  # how ctypes reads it
        *((name, ctypes.c_void_p) for name in ("create", "destroy", "lock", "unlock")),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    ]


def _close(session: pkcs11.Session) -> None:
    try:
        session.close()
    except PKCS11Error:
        return  # of a token that is gone
