"""Content at rest: masked, encrypted, and bound to the row it belongs to."""

import re
from dataclasses import dataclass

from gateway.ports import Cipher

# A WS-Security UsernameToken or a login carried in the message: its text is a credential and is not kept.
_CREDENTIAL = re.compile(rb"(<(?:[\w.-]{1,64}:)?(?:Password|password)\b[^<>]{0,512}>)[^<]+(?=</)")
MASK = rb"\1***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """Writes and reads content under one cipher."""

    cipher: Cipher

    def lock(self, owner: str, part: str, content: bytes) -> bytes:
        """Mask and encrypt what belongs to a row; it can be read only as that part of that row."""
        return self.cipher.encrypt(masked(content), context=f"{owner}/{part}")

    def unlock(self, owner: str, part: str, content: bytes) -> bytes:
        """Decrypt what lock() made; raises Unavailable where the key is not here or the row was changed."""
        return self.cipher.decrypt(content, context=f"{owner}/{part}")


def masked(content: bytes) -> bytes:
    """Give content as it is kept: without the text of credentials."""
    return _CREDENTIAL.sub(MASK, content) if b"assword" in content else content
