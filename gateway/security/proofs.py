"""What the profiles have in common whose signature is not in the envelope."""

from dataclasses import dataclass
from typing import ClassVar

from gateway.model import Signer

from .certificates import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemProof:
    """A message of which every check passed: whose certificate signed it as the system that sent it."""

    profile: ClassVar[str]  # its name, as parties.toml has it
    covers: ClassVar[str]  # the XPath of what such a signature covers

    certificate: Certificate

    @property
    def subject(self) -> str:
        """Who signed, in RFC 4514 form."""
        return self.certificate.subject

    @property
    def signer(self) -> Signer:
        """What is recorded with the message."""
        leaf = self.certificate
        return Signer(role="system", subject=leaf.subject, tax_code=leaf.tax_code, certificate_sha256=leaf.sha256, covers=(self.covers,))
