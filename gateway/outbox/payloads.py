"""Content at rest: masked, encrypted, and bound to the row it belongs to."""

import hashlib
import re
from dataclasses import dataclass

from gateway.ports import Cipher

# A WS-Security UsernameToken or a login carried in the message: its text is a credential and is not kept. A body holds the
# envelope as text, so a tag may stand there escaped, once or twice. Possessive: hostile input cannot make it look twice.
_LESS, _MORE = rb"(?:<|&(?:amp;)?lt;)", rb"(?:>|&(?:amp;)?gt;)"
_INSIDE = rb"(?:[^<>&]|&(?!(?:amp;)?[lg]t;)){0,512}+"
_OPENING = rb"(" + _LESS + rb"(?:[\w.-]{1,64}:)?[Pp]assword(?=[\s>&])" + _INSIDE + _MORE + rb")"
_TEXT = rb"(?:[^<&]|<(?=!)|&(?!(?:amp;)?lt;[^!]))++"  # a CDATA section too
_CREDENTIAL = re.compile(_OPENING + _TEXT + rb"(?=" + _LESS + rb"/)")
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


def digest_of(content: bytes) -> str:
    """Digest content as it is kept, for the ledger: SHA-256, in hex."""
    return hashlib.sha256(masked(content)).hexdigest()


def masked(content: bytes) -> bytes:
    """Give content as it is kept: without the text of credentials."""
    return _CREDENTIAL.sub(MASK, content) if content.rfind(b"assword") >= 0 else content  # looked for from behind, in half the time
