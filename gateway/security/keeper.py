"""What notices when the gateway's own key or certificate was put in force anew, so that renewal needs no restart."""

from collections.abc import Callable, Iterable

from gateway.errors import GatewayError
from gateway.ports import Watch

from .keys import SigningKey
from .trust import Trust

EVERY_SECONDS = 1.0


class KeyKeeper:
    """Hands a new key to whoever signs; a key that cannot be used never replaces the one in force."""

    def __init__(self, trust: Trust, takers: Iterable[Callable[[SigningKey], None]], *, watch: Watch) -> None:
        self._trust = trust
        self._takers = tuple(takers)
        self._watch = watch
        self._stamp = trust.own_stamp()

    def look(self) -> None:
        """Take up what changed; half of a change is looked at again."""
        stamp = self._trust.own_stamp()
        if stamp == self._stamp:
            return
        try:
            key = self._trust.own_key()
        except GatewayError as error:
            self._watch("key.unusable", {"code": error.problems[0].text})
            return
        self._stamp = stamp
        for take in self._takers:
            take(key)
        self._watch("key.renewed", {"certificate": key.certificates[0].sha256})
